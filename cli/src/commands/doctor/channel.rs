//! A channel's accounts, and what the own key has to do with them.

use amp_sdk::chain::{self, Chain as _, associated_token_address, delegation_address};
use amp_sdk::protocol::account::ChannelAccount;
use amp_sdk::protocol::money::Amount;
use solana_address::Address;

use super::Report;
use crate::commands::list::{closable_from, delegation_life, life};
use crate::moment::utc;
use crate::settings::Settings;
use crate::token::Token;

const WHAT: &str = "channel";

/// Whether a channel can be paid from, settled and closed.
pub(super) async fn channel(settings: &Settings, address: &Address, own: &Address, report: &mut Report) {
    let looked = look(settings, address, own, report).await;
    if let Err(error) = looked {
        report.wrong(WHAT, format!("{error:#}"));
    }
}

async fn look(
    settings: &Settings,
    address: &Address,
    own: &Address,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (chain, program_id) = (&*settings.chain, &settings.program_id().await?);
    let Some(account) = chain::channel(chain, program_id, address).await? else {
        report.wrong(WHAT, format!("there is no channel {address} on this cluster (any more)"));
        return Ok(());
    };
    let now = chain.clock().await?.unix_timestamp;
    let token = Token::read(chain, &Address::from(account.mint)).await?;
    let balance = account.books.balance().unwrap_or(Amount::ZERO);
    let said = format!("{}, {} left", life(&account, now), token.text(balance));
    match closable_from(&account) {
        Some(from) => {
            let text = format!(
                "{said}; nothing more is paid from it, from {} on `amp request-close {address}` closes it",
                utc(from)
            );
            report.doubtful(WHAT, text);
        }
        None if balance.is_zero() => report.doubtful(WHAT, format!("{said}; `amp top-up` adds to it")),
        None => report.fine(WHAT, said),
    }
    let vault = chain::token_amount(chain, &Address::from(account.vault)).await?;
    if vault < balance {
        let text = format!("its vault holds {}, less than is booked: don't use it", token.text(vault));
        report.wrong("vault", text);
    }
    let mint = chain::mint(chain, &token.mint).await?;
    let payout =
        associated_token_address(&Address::from(account.recipient), &token.mint, &mint.token_program);
    if !chain::has_token_account(chain, &payout).await? {
        let text = format!(
            "its recipient has no token account {payout}: whoever settles or closes first pays its rent, 0.002 SOL"
        );
        report.doubtful("recipient", text);
    }
    part((chain, program_id), (address, &account), own, now, report).await?;
    Ok(())
}

/// What the own key has to do with it.
async fn part(
    (chain, program_id): (&chain::RpcChain, &Address),
    (address, account): (&Address, &ChannelAccount),
    own: &Address,
    now: i64,
    report: &mut Report,
) -> Result<(), chain::ChainError> {
    const WHAT: &str = "your part";
    let roles = [
        ("its funder", account.funder),
        ("its authorized signer", account.authorized_signer),
        ("its recipient", account.recipient),
    ];
    let own_roles: Vec<&str> =
        roles.iter().filter(|(_, key)| *key == own.to_bytes()).map(|(role, _)| *role).collect();
    if !own_roles.is_empty() {
        report.fine(WHAT, own_roles.join(", "));
        return Ok(());
    }
    let at = delegation_address(program_id, address, own);
    match chain::delegation(chain, program_id, &at).await? {
        Some(found) if found.channel_opened_slot != account.opened_slot => {
            report.wrong(WHAT, "its delegate before it was opened anew: ask its funder to delegate again");
        }
        Some(found) if found.delegation.has_ended(now) => {
            report.wrong(
                WHAT,
                format!("its delegate, {}: nothing more can be spent", delegation_life(&found, now)),
            );
        }
        Some(found) => report.fine(WHAT, format!("its delegate, {}", delegation_life(&found, now))),
        None => {
            report.wrong(WHAT, format!("none: {own} can neither spend from it nor close it; check --keypair"))
        }
    }
    Ok(())
}
