//! Every transaction the SDK builds, at its largest: all parties different, a priority fee, token accounts to
//! be made. Each is serialized as it is sent, and held against what a cluster takes. docs/transactions.md
//! has the figures (`AMP_BLESS=1` writes it anew).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_protocol::instruction as kind;
use amp_protocol::money::{Amount, Seq, UnitPrice};
use amp_sdk::chain::{
    AccountSnapshot, Chain, ChainClock, ChainError, Confirmation, MAX_TRANSACTION_BYTES, PROGRAM_ID,
    PriorityFee, TOKEN_2022_PROGRAM,
};
use amp_sdk::client::{Client, CloseOutcome, Expiry, Reclaimed};
use amp_sdk::server::{AmpLayer, AmpService, ServiceConfig, SqliteStore, SubChannel};
use amp_sdk::signed::sign_credential;
use amp_sdk::signer::{KeypairSigner, Signer};
use axum::{Router, routing::get};
use solana_address::Address;
use solana_hash::Hash;
use solana_transaction::versioned::VersionedTransaction;

/// Accounts a transaction may lock on every cluster.
const MAX_ACCOUNTS: usize = 64;
const PRICE: u64 = 100;
const INTERVAL: u32 = 60;

/// Bytes, accounts and signatures of a transaction.
type Size = [usize; 3];

/// An embedded chain that measures what it is sent.
#[derive(Clone)]
struct Measured {
    chain: EmbeddedChain,
    sizes: Arc<Mutex<BTreeMap<String, Size>>>,
}

/// The AMP instructions of a transaction, and what else is in it.
fn name(transaction: &VersionedTransaction) -> String {
    const KINDS: [(&str, [u8; 8]); 9] = [
        ("open_channel", kind::OPEN_CHANNEL),
        ("top_up", kind::TOP_UP),
        ("settle", kind::SETTLE),
        ("request_close", kind::REQUEST_CLOSE),
        ("close_channel", kind::CLOSE_CHANNEL),
        ("set_delegate", kind::SET_DELEGATE),
        ("revoke_delegate", kind::REVOKE_DELEGATE),
        ("close_delegation", kind::CLOSE_DELEGATION),
        ("chain_channel", kind::CHAIN_CHANNEL),
    ];
    let keys = transaction.message.static_account_keys();
    let of = |index: u8| keys[usize::from(index)];
    let mut names: Vec<&str> = Vec::new();
    for instruction in transaction.message.instructions() {
        let program = of(instruction.program_id_index);
        if program == PROGRAM_ID {
            names.extend(
                KINDS.iter().filter(|(_, found)| instruction.data.starts_with(found)).map(|one| one.0),
            );
            // the delegation is the last account; anchor reads the program's own id as none
            let last = instruction.accounts.last().map(|index| of(*index));
            let optional = instruction.data.starts_with(&kind::SETTLE)
                || instruction.data.starts_with(&kind::CHAIN_CHANNEL);
            if optional && last != Some(PROGRAM_ID) {
                names.push("by a delegate");
            }
        } else if program.to_string().starts_with("AToken") {
            names.push("create token account,");
        } else if program.to_string().starts_with("Ed25519") && names.iter().all(|name| name.ends_with(',')) {
            names.push("ed25519,");
        }
    }
    match names[..] {
        [first, .., last] if names.iter().all(|name| *name == first && first == last) => {
            format!("{} x {first}", names.len())
        }
        _ => names.join(" "),
    }
}

#[async_trait::async_trait]
impl Chain for Measured {
    async fn account(&self, address: &Address) -> Result<Option<AccountSnapshot>, ChainError> {
        self.chain.account(address).await
    }

    async fn delegations(
        &self,
        program_id: &Address,
        channel: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.chain.delegations(program_id, channel).await
    }

    async fn channels_funded_by(
        &self,
        program_id: &Address,
        funder: &Address,
    ) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        self.chain.channels_funded_by(program_id, funder).await
    }

    async fn clock(&self) -> Result<ChainClock, ChainError> {
        self.chain.clock().await
    }

    async fn latest_blockhash(&self) -> Result<Hash, ChainError> {
        self.chain.latest_blockhash().await
    }

    async fn send(&self, transaction: &VersionedTransaction) -> Result<Confirmation, ChainError> {
        let signatures = transaction.signatures.len();
        let bytes = 1 + 64 * signatures + transaction.message.serialize().len();
        let size = [bytes, transaction.message.static_account_keys().len(), signatures];
        let mut sizes = self.sizes.lock().unwrap().clone();
        let largest = sizes.entry(name(transaction)).or_default();
        *largest = size.max(*largest);
        *self.sizes.lock().unwrap() = sizes;
        self.chain.send(transaction).await
    }
}

/// A service with a price, at a port of its own.
async fn serve(
    chain: &Measured,
    mint: &TestMint,
    key: &KeypairSigner,
    store: PathBuf,
) -> (AmpService, String) {
    let config = ServiceConfig::new(Arc::new(key.clone()), mint.address, Amount::new(PRICE));
    let config = config.settle_interval(INTERVAL).priority_fee(PriorityFee(u64::MAX / 2_000_000));
    let config = config.channel_max_age(Duration::from_millis(20));
    // a close that its funder does not carry out at once, the service does when it is asked to settle
    let config = config.close_deadline(Duration::from_millis(1));
    let service =
        AmpService::start(config, Arc::new(chain.clone()), SqliteStore::open(store).unwrap()).await.unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/", get(|| async { "paid" })).layer(AmpLayer::new(service.clone()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (service, origin)
}

async fn measure() -> BTreeMap<String, Size> {
    let chain = Measured { chain: EmbeddedChain::new(ClockMode::Manual).unwrap(), sizes: Arc::default() };
    let mint = chain.chain.create_mint(&TOKEN_2022_PROGRAM).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [funder, hot_key, rent_payer, recipient, supplier, agent_key] =
        [(); 6].map(|()| KeypairSigner::generate());
    for person in [&funder, &rent_payer, &recipient] {
        // the priority fee is the largest there is room for, so lamports are no matter here
        let owner = solana_address::Address::default();
        let rich = AccountSnapshot { owner, lamports: 1 << 62, data: vec![] };
        chain.chain.overwrite(&person.public_key(), rich).unwrap();
    }
    chain.chain.mint_to(&mint, &funder.public_key(), Amount::new(1_000_000)).unwrap();
    let (service, origin) = serve(&chain, &mint, &recipient, folder.path().join("service.db")).await;
    let client = Client::builder()
        .funder(funder.clone())
        .authorized_signer(hot_key.clone())
        .rent_payer(rent_payer)
        .chain(Arc::new(chain.clone()))
        .priority_fee(PriorityFee(u64::MAX / 2_000_000))
        .allow_mint(mint.address)
        .max_price_per_call(Amount::new(PRICE))
        .deposit(Amount::new(100_000))
        .max_chain_depth(3)
        .store(folder.path().join("client.db"))
        .build()
        .await
        .unwrap();
    let channel = client.prepare(&origin).await.unwrap().channel;
    client.top_up(&origin, Amount::new(1)).await.unwrap();
    let buy = async |client: &Client| assert_eq!(client.get(&origin).await.unwrap().status(), 200);
    // a first settlement makes the payout account
    buy(&client).await;
    chain.chain.advance_seconds(INTERVAL);
    service.settle(channel).await.unwrap();

    let agent = Client::builder().delegate(agent_key.clone()).chain(Arc::new(chain.clone()));
    let agent = agent.allow_mint(mint.address).store(folder.path().join("agent.db")).build().await.unwrap();
    let delegate = agent_key.public_key();
    client.delegate(&origin, &delegate, Amount::new(10 * PRICE), Expiry::NEVER).await.unwrap();
    chain.chain.advance_slots(1);
    agent.use_channel(&origin, channel).await.unwrap();
    buy(&agent).await;
    forget(&chain, &mint, &recipient.public_key());
    chain.chain.advance_seconds(INTERVAL);
    service.settle(channel).await.unwrap();
    buy(&agent).await;
    chain.chain.advance_seconds(INTERVAL);
    let asked = SubChannel {
        sub_service: supplier.public_key(),
        deposit: Amount::new(PRICE),
        unit_price: UnitPrice::ONE,
        rate_limit: Amount::new(PRICE),
        settle_interval: INTERVAL,
        close_grace: 0,
    };
    let chained = service.chain(&channel, asked).await.unwrap().channel;
    // with nobody's token account there: the supplier's was never made, the funder's is used up and closed
    let Reclaimed::Requested { .. } = client.reclaim(&chained).await.unwrap() else { panic!() };
    chain.chain.advance_slots(1);
    forget(&chain, &mint, &funder.public_key());
    let Reclaimed::Closed { .. } = client.reclaim(&chained).await.unwrap() else { panic!() };

    for _ in 0..12 {
        let other = KeypairSigner::generate().public_key();
        client.delegate(&origin, &other, Amount::new(PRICE), Expiry::NEVER).await.unwrap();
    }
    client.revoke_delegate(&origin, &delegate).await.unwrap();
    chain.chain.advance_slots(1);
    for person in [&funder, &recipient] {
        forget(&chain, &mint, &person.public_key());
    }
    let outcome = client.close(&origin).await.unwrap();
    assert!(matches!(outcome, CloseOutcome::Closed { .. }), "{outcome:?}");

    settle_three(&chain, &mint, &service, &origin, folder.path(), &recipient.public_key()).await;

    // the service closes a channel that its funder does not
    chain.chain.mint_to(&mint, &funder.public_key(), Amount::new(1_000)).unwrap();
    let left = client.prepare(&origin).await.unwrap();
    chain.chain.advance_slots(1);
    let nothing = sign_credential(&hot_key, &left.channel, left.opened_slot, Seq::ZERO).await.unwrap();
    service.close(&nothing).await.unwrap();
    service.settle(left.channel).await.unwrap();
    assert_eq!(chain.chain.snapshot(&left.channel), None);
    std::mem::take(&mut chain.sizes.lock().unwrap())
}

/// Three channels of three funders, settled together by a service whose payout account is to be made.
async fn settle_three(
    chain: &Measured,
    mint: &TestMint,
    service: &AmpService,
    origin: &str,
    folder: &Path,
    recipient: &Address,
) {
    let mut channels = Vec::new();
    for number in 0..3 {
        let funder = KeypairSigner::generate();
        chain.chain.airdrop(&funder.public_key(), 1_000_000_000).unwrap();
        chain.chain.mint_to(mint, &funder.public_key(), Amount::new(10 * PRICE)).unwrap();
        let client = Client::builder().funder(funder).authorized_signer(KeypairSigner::generate());
        let client = client.chain(Arc::new(chain.clone())).allow_mint(mint.address);
        let client = client.deposit(Amount::new(10 * PRICE)).store(folder.join(format!("{number}.db")));
        let client = client.build().await.unwrap();
        assert_eq!(client.get(origin).await.unwrap().status(), 200);
        channels.push(client.prepare(origin).await.unwrap().channel);
    }
    forget(chain, mint, recipient);
    chain.chain.advance_seconds(INTERVAL);
    let outcomes = service.settle_all().await.into_iter().filter(|(channel, _)| channels.contains(channel));
    let transactions: Vec<_> = outcomes.map(|(_, outcome)| outcome.unwrap().transactions).collect();
    assert!(
        transactions.len() == 3 && transactions.iter().all(|one| one.len() == 1 && *one == transactions[0])
    );
}

/// Takes a token account away, as its owner can once it is empty.
fn forget(chain: &Measured, mint: &TestMint, owner: &Address) {
    let gone = AccountSnapshot { owner: Address::default(), lamports: 0, data: vec![] };
    chain.chain.overwrite(&mint.account_of(owner), gone).unwrap();
}

fn page(sizes: &BTreeMap<String, Size>) -> String {
    let mut page = String::from(
        "# Transactions\n\n\
         Written by `make bless` from what the SDK sends, at its largest: funder,\n\
         rent payer, signer and recipient all different, a priority fee, Token-2022, token accounts to be made. A\n\
         cluster takes 1,232 bytes and 64 accounts; the SDK refuses to sign more bytes (`ChainError::TooLarge`), and so\n\
         many can't name 64 accounts.\n\n\
         | transaction | bytes | accounts | signatures |\n| --- | ---: | ---: | ---: |\n",
    );
    for (name, [bytes, accounts, signatures]) in sizes {
        let _ = writeln!(page, "| {name} | {bytes} | {accounts} | {signatures} |");
    }
    page
}

#[tokio::test]
async fn every_transaction_fits_into_a_packet_at_its_largest() {
    let sizes = measure().await;
    for (name, [bytes, accounts, _]) in &sizes {
        assert!(
            *bytes <= MAX_TRANSACTION_BYTES && *accounts <= MAX_ACCOUNTS,
            "{name}: {bytes} bytes, {accounts} accounts"
        );
    }
    // whatever the SDK can send was sent
    for wanted in [
        "open_channel",
        "top_up",
        "create token account, ed25519, settle",
        "create token account, ed25519, settle by a delegate",
        "ed25519, chain_channel by a delegate",
        "request_close",
        "create token account, close_channel",
        "create token account, create token account, ed25519, close_channel",
        "set_delegate",
        "revoke_delegate",
    ] {
        assert!(sizes.contains_key(wanted), "{wanted} was not sent: {:?}", sizes.keys());
    }
    assert!(sizes.contains_key("8 x close_delegation"), "{:?}", sizes.keys());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/transactions.md");
    if std::env::var_os("AMP_BLESS").is_some() {
        std::fs::write(&path, page(&sizes)).unwrap();
    }
    let known = std::fs::read_to_string(&path).expect("docs/transactions.md; write it with AMP_BLESS=1");
    assert_eq!(known, page(&sizes), "docs/transactions.md is stale: AMP_BLESS=1");
}
