//! One function for each thing that is looked at.

use amp_sdk::chain::{self, Chain as _, associated_token_address};
use amp_sdk::client::ChannelState;
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use solana_address::Address;

use super::Report;
use crate::cluster::network_of_genesis;
use crate::commands::discover::price;
use crate::explain::explained;
use crate::limits::Limits;
use crate::moment::now;
use crate::settings::Settings;

/// Seconds by which this machine's clock may differ from the cluster's, which is an estimate of its own.
const CLOCK: u64 = 60;
/// Lamports below which a key should get more: an opening takes about this much for rent and fees.
const FEW_LAMPORTS: u64 = 10_000_000;
/// Who may own a program.
const LOADERS: [&str; 3] = [
    "BPFLoaderUpgradeab1e11111111111111111111111",
    "BPFLoader2111111111111111111111111111111111",
    "LoaderV411111111111111111111111111111111111",
];

/// Whether a node answers, whose it is, and what time it has there.
pub(super) async fn cluster(settings: &Settings, report: &mut Report) -> bool {
    let clock = match settings.chain.clock().await {
        Ok(clock) => clock,
        Err(error) => {
            report.wrong("cluster", format!("{error}"));
            return false;
        }
    };
    let genesis = settings.genesis().await.ok();
    let by_genesis = genesis.and_then(network_of_genesis);
    match (settings.network().await, by_genesis, genesis) {
        (Err(error), ..) => report.wrong("cluster", error.to_string()),
        (Ok(network), Some(real), _) if network != real => {
            report.wrong(
                "cluster",
                format!("the node is of {real}, and {network} was asked for; check --rpc and --network"),
            );
        }
        // a public cluster's name, and another first block
        (Ok(network), None, Some(genesis)) if network != amp_sdk::protocol::text::network::LOCALNET => {
            report.wrong("cluster", format!("{network} was asked for, and the node's first block is {genesis}: check --rpc and --network"));
        }
        (Ok(network), ..) => report.fine("cluster", format!("{network}, slot {}", clock.slot)),
    }
    let off = now().abs_diff(clock.unix_timestamp);
    if off <= CLOCK {
        report.fine("clock", format!("{off} s from the cluster's"));
    } else {
        report.doubtful("clock", format!("this machine's clock is {off} s from the cluster's: times of expiry and grace are shown wrong; set it, or wait for a cluster that lags"));
    }
    true
}

/// Whether the program is there, and who can change it.
pub(super) async fn program(settings: &Settings, report: &mut Report) {
    const WHAT: &str = "program";
    let id = &match settings.program_id().await {
        Ok(id) => id,
        Err(error) => return report.wrong(WHAT, error.to_string()),
    };
    let account = match settings.chain.account(id).await {
        Err(error) => return report.wrong(WHAT, error.to_string()),
        Ok(None) => {
            return report.wrong(
                WHAT,
                format!("there is no program {id} on this cluster; check --rpc and --program-id"),
            );
        }
        Ok(Some(account)) => account,
    };
    if !LOADERS.contains(&account.owner.to_string().as_str()) {
        return report.wrong(WHAT, format!("{id} is no program: {} owns it", account.owner));
    }
    match upgrade_authority(settings, &account.data).await {
        Some(Some(authority)) => report.fine(WHAT, format!("{id}; {authority} can change it")),
        Some(None) => report.fine(WHAT, format!("{id}; nobody can change it")),
        None => report.fine(WHAT, id.to_string()),
    }
}

/// Of a program of the upgradeable loader: its program data's address follows a tag of 2; there, a tag of 3 and a
/// slot, the authority, if any.
async fn upgrade_authority(settings: &Settings, program: &[u8]) -> Option<Option<Address>> {
    let (tag, rest) = program.split_first_chunk::<4>()?;
    let data_at = (u32::from_le_bytes(*tag) == 2).then(|| rest.first_chunk::<32>()).flatten()?;
    let data = settings.chain.account(&Address::from(*data_at)).await.ok()??.data;
    let (tag, rest) = data.split_first_chunk::<4>()?;
    let (has_authority, rest) = rest.get(8..)?.split_first()?;
    let is_program_data = u32::from_le_bytes(*tag) == 3;
    is_program_data.then(|| {
        (*has_authority == 1).then(|| rest.first_chunk::<32>()).flatten().map(|key| Address::from(*key))
    })
}

/// Whether the key can be read, and by whom else.
pub(super) fn key(settings: &Settings, report: &mut Report) -> Option<Address> {
    const WHAT: &str = "key";
    let path = match settings.keypair_path() {
        Ok(path) => path,
        Err(error) => {
            report.wrong(WHAT, error.to_string());
            return None;
        }
    };
    let own = match KeypairSigner::from_file(&path) {
        Ok(signer) => signer.public_key(),
        Err(error) => {
            report.wrong(WHAT, error.to_string());
            return None;
        }
    };
    let shown = path.display();
    if others_can_read(&path) {
        report.doubtful(
            WHAT,
            format!("{own}, and other users of this machine can read {shown}: chmod 600 {shown}"),
        );
    } else {
        report.fine(WHAT, own.to_string());
    }
    Some(own)
}

#[cfg(unix)]
fn others_can_read(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_can_read(_path: &std::path::Path) -> bool {
    false
}

/// Whether it can pay rent and fees.
pub(super) async fn lamports(settings: &Settings, own: &Address, report: &mut Report) {
    const WHAT: &str = "SOL";
    let sol = |lamports: u64| {
        crate::token::Token { mint: Address::default(), decimals: 9 }.number(Amount::new(lamports))
    };
    match settings.chain.account(own).await.map(|account| account.map_or(0, |account| account.lamports)) {
        Err(error) => report.wrong(WHAT, error.to_string()),
        Ok(0) => report
            .wrong(WHAT, format!("{own} has no SOL for rent and fees; send it some (a delegate needs none)")),
        Ok(few) if few < FEW_LAMPORTS => {
            report.doubtful(WHAT, format!("{} SOL, which is little: an opening takes about 0.006", sol(few)))
        }
        Ok(enough) => report.fine(WHAT, format!("{} SOL", sol(enough))),
    }
}

/// Whether the store can be used, and what in it waits for something.
pub(super) async fn store(settings: &Settings, has_key: bool, report: &mut Report) {
    const WHAT: &str = "store";
    if !has_key {
        return;
    }
    let channels = match settings.bookkeeper().await {
        Ok(client) => client.channels().await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match channels {
        Err(error) => report.wrong(WHAT, format!("{error:#}")),
        Ok(channels) => {
            let count =
                |state: ChannelState| channels.iter().filter(|channel| channel.state == state).count();
            report.fine(WHAT, format!("{} channels, {} open", channels.len(), count(ChannelState::Open)));
            for channel in &channels {
                let what = match channel.state {
                    ChannelState::Disputed => "overcharged: run",
                    ChannelState::Closing => "is closing; to finish it run",
                    ChannelState::Opening => "was never seen open; to look again run",
                    _ => continue,
                };
                report.doubtful(WHAT, format!("{0} {what} `amp close {0}`", channel.origin));
            }
        }
    }
}

/// Whether a service can be paid: its own word, the limits, and the tokens for it.
pub(super) async fn service(
    settings: &Settings,
    limits: &Limits,
    url: &str,
    own: &Address,
    report: &mut Report,
) {
    const WHAT: &str = "service";
    let payer = match limits.payer(settings, url, false).await {
        Ok(payer) => payer,
        Err(error) => {
            let said = error
                .downcast_ref()
                .map_or_else(|| format!("{error:#}"), |error| explained(error, None).to_string());
            return report.wrong(WHAT, said);
        }
    };
    let offer = match payer.offer(url) {
        Ok(offer) => offer,
        Err(error) => return report.wrong(WHAT, error.to_string()),
    };
    let token = &offer.token;
    let quote = match payer.client.quote(url).await {
        Ok(quote) => quote,
        Err(error) => return report.wrong(WHAT, payer.explain(error).to_string()),
    };
    let costs = price(quote.pricing.mode, quote.pricing.rate(), |amount| token.text(amount));
    report.fine(WHAT, format!("{} is paid; {costs}", offer.document.recipient));
    let token_program = match chain::mint(&*settings.chain, &token.mint).await {
        Ok(mint) => mint.token_program,
        Err(error) => return report.wrong("tokens", error.to_string()),
    };
    let recipient = Address::from(offer.document.recipient.0);
    let payout = associated_token_address(&recipient, &token.mint, &token_program);
    if let Ok(false) = chain::has_token_account(&*settings.chain, &payout).await {
        report.doubtful(WHAT, "it has no token account to be paid at yet: whoever settles or closes first pays its rent, 0.002 SOL");
    }
    match (&quote.channel, quote.deposit) {
        (Some(channel), _) => report.fine(
            "channel",
            format!("{} has {} deposited", channel.channel, token.text(channel.ledger.deposited)),
        ),
        (None, Amount::ZERO) => {}
        (None, deposit) => {
            let account = associated_token_address(own, &token.mint, &token_program);
            match chain::token_amount(&*settings.chain, &account).await {
                Err(error) => report.wrong("tokens", error.to_string()),
                Ok(held) if held < deposit => report.wrong("tokens", format!("{account} holds {}, an opening deposits {}; send it more, or give a smaller --deposit", token.text(held), token.text(deposit))),
                Ok(held) => report.fine("tokens", format!("{}, an opening deposits {}", token.text(held), token.text(deposit))),
            }
        }
    }
}
