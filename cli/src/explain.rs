//! The SDK's errors in the command's words: amounts in tokens, and which option or command helps.

use amp_sdk::chain::ChainError;
use amp_sdk::client::{ClientError, PolicyError};
use amp_sdk::protocol::money::Amount;

use crate::exit::{Exit, Failure, is_about_lamports};
use crate::token::Token;

/// Explains an error; amounts in tokens where the token is known.
pub(crate) fn explained(error: &ClientError, token: Option<&Token>) -> Failure {
    let text = |amount: &Amount| token.map_or_else(|| format!("{amount}u"), |token| token.text(*amount));
    let message = match error {
        ClientError::Policy(policy) => of_policy(policy, text),
        ClientError::InsufficientFunds { token_account, held, needed, .. } => {
            let missing = needed.checked_sub(*held).unwrap_or(Amount::ZERO);
            format!(
                "token account {token_account} holds {}, {} are needed; send it {} more",
                text(held),
                text(needed),
                text(&missing)
            )
        }
        ClientError::NeedsTopUp { channel, deposited, needed } => format!(
            "channel {channel} has {} deposited, {} are needed; run `amp top-up`, or allow it with --top-up",
            text(deposited),
            text(needed)
        ),
        ClientError::FunderMustTopUp { channel, funder, deposited, .. } => format!(
            "channel {channel} has {} deposited, which is too little; its funder {funder} can run `amp top-up`",
            text(deposited)
        ),
        ClientError::LimitReached { channel, delegate, limit, needed } => format!(
            "delegate {delegate} of channel {channel} has a limit of {}, {} are needed; its funder can raise it \
             with `amp delegate`",
            text(limit),
            text(needed)
        ),
        ClientError::NoChannel { origin } => {
            format!(
                "there is no channel to {origin} in this store; run `amp open {origin}` or `amp call` first"
            )
        }
        ClientError::NotOpened { origin } => format!(
            "the channel to {origin} is gone: the service closed it, or somebody else did, and the rest of its deposit \
             is with its funder; call again to open another"
        ),
        ClientError::NoChannelNamed { origin } => {
            format!(
                "no channel is named for {origin}; ask its funder for the address and give it by --channel"
            )
        }
        ClientError::WrongNetwork { origin, named, pinned } => format!(
            "{origin} settles on {named}, this command pays on {pinned}; choose the cluster with --rpc and --network"
        ),
        ClientError::WrongProgram { origin, named, pinned } => format!(
            "{origin} names program {named}, trusted is {pinned}; never pay it unless you know that program \
             (--program-id)"
        ),
        ClientError::OtherCluster { channel, reason } => format!(
            "channel {channel} is not on this cluster: {reason}; choose its own with --rpc and --network"
        ),
        ClientError::Disputed { origin, .. } | ClientError::Overcharged { origin, .. } => {
            format!("{error}; run `amp close {origin}`")
        }
        ClientError::ClosedByService { origin, channel } => format!(
            "{origin} serves channel {channel} no more, though it is open; run `amp close {origin}` to get the \
             deposit back, then call again"
        ),
        ClientError::Chain(error) => of_chain(error),
        other => other.to_string(),
    };
    Failure::new(Exit::of_client(error), message, error.code())
}

fn of_policy(error: &PolicyError, text: impl Fn(&Amount) -> String) -> String {
    match error {
        PolicyError::Price { price, max } => format!(
            "the call costs up to {}, --max-price allows {}; raise it if it is worth that to you",
            text(price),
            text(max)
        ),
        PolicyError::Deposit { deposit, max } => format!(
            "the channel would hold {}, --max-deposit allows {}; raise it, or give a smaller --deposit",
            text(deposit),
            text(max)
        ),
        PolicyError::Budget { wanted, committed, total } => format!(
            "{} more would pass the budget: {} of {} are committed; close idle channels (`amp list`), or raise \
             --budget",
            text(wanted),
            text(committed),
            text(total)
        ),
        PolicyError::Mint { mint } => {
            format!(
                "the service takes mint {mint}, which is not allowed; if you trust it, allow it with --mint {mint}"
            )
        }
        PolicyError::Insecure { host } => format!(
            "{host} is served without TLS, so anyone on the way could be the one who is paid; use https, or \
             --allow-insecure"
        ),
        PolicyError::CloseGrace { grace, max } => format!(
            "the service wants a close grace of {grace} s, --max-grace allows {max} s: so long could it hold a refund"
        ),
        other => other.to_string(),
    }
}

/// Of the chain's errors, those that a person can do something about here.
pub(crate) fn of_chain(error: &ChainError) -> String {
    match error {
        ChainError::Failed { error: cause, .. } if is_about_lamports(&cause.to_string()) => format!(
            "{cause}: the key that pays has too little SOL; an opening takes about 0.006 SOL, most of which comes \
             back at the close"
        ),
        ChainError::Unreachable(reason) => {
            format!("the cluster did not answer: {reason}; check --rpc, `amp doctor` says more")
        }
        ChainError::NoMint(mint) => {
            format!("there is no mint {mint} on this cluster; check --rpc and --network")
        }
        other => other.to_string(),
    }
}
