use std::path::PathBuf;
use std::sync::Arc;

use amp_protocol::json::CredentialBody;
use amp_protocol::money::{Amount, Seq};
use amp_sdk::client::{ChannelRecord, Client, ClientBuilder, Payment};
use amp_sdk::signer::{KeypairSigner, Signer as _};

use crate::DEPOSIT;
use crate::market::Market;

type Configure = Arc<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// An agent: its keys, its store, and the client over them.
pub struct Agent {
    pub funder: KeypairSigner,
    pub hot_key: KeypairSigner,
    pub client: Client,
    store: PathBuf,
    configure: Configure,
}

impl Agent {
    pub(crate) async fn hire(
        market: &Market,
        configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        let (funder, hot_key, configure) = (market.person(), KeypairSigner::generate(), Arc::new(configure));
        let name = format!("{}.db", funder.public_key());
        let store = market.folder.path().join(name);
        let client = build(market, &funder, &hot_key, store.clone(), &*configure).await;
        Self { funder, hot_key, client, store, configure }
    }

    /// A new process of the same agent: a new client over the same store.
    pub async fn restart(&mut self, market: &Market) {
        self.client = build(market, &self.funder, &self.hot_key, self.store.clone(), &*self.configure).await;
    }

    /// Another process of the same agent beside this one, over the same store.
    pub async fn second_client(&self, market: &Market) -> Client {
        build(market, &self.funder, &self.hot_key, self.store.clone(), &*self.configure).await
    }

    /// A new process, with a store that knows nothing.
    pub async fn lose_store(&mut self, market: &Market) {
        self.store.set_extension("new.db");
        self.restart(market).await;
    }

    /// `GET`s a URL, which must be answered with 200, and paid for.
    pub async fn buy(&self, url: &str) -> Payment {
        let answer = self.client.get(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(answer.status(), 200, "{url}");
        *answer.payment().expect("paid for")
    }

    /// The agent's newest channel.
    pub async fn channel(&self) -> ChannelRecord {
        self.client.channels().await.expect("channels").into_iter().next().expect("a channel")
    }

    /// A credential of the newest channel, with any seq: as whoever holds the hot key could sign it.
    pub async fn credential(&self, market: &Market, seq: u64) -> CredentialBody {
        let channel = self.channel().await;
        market.sign(&self.hot_key, &channel.channel, channel.opened_slot, Seq::new(seq)).await
    }
}

async fn build(
    market: &Market,
    funder: &KeypairSigner,
    hot_key: &KeypairSigner,
    store: PathBuf,
    configure: &(dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync),
) -> Client {
    let builder = Client::builder()
        .funder(funder.clone())
        .authorized_signer(hot_key.clone())
        .chain(Arc::new(market.chain.clone()))
        .allow_mint(market.mint.address)
        .deposit(Amount::new(DEPOSIT))
        .store(store);
    configure(builder).build().await.expect("a client")
}
