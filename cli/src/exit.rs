//! How the command ends: one code for each thing that a script would do about it.

use std::fmt;
use std::process::ExitCode;

use amp_sdk::chain::{ChainError, UnsettleableError};
use amp_sdk::client::ClientError;
use amp_sdk::protocol::code::Code;
use serde_json::json;

use crate::explain::{explained, of_chain};
use crate::output::harmless;

/// What a script can tell apart. 0 is success, 2 is a command line that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something else.
    Failed = 1,
    /// The command line is wrong; also what clap exits with.
    Usage = 2,
    /// Money would move, and nobody said yes.
    NotConfirmed = 3,
    /// A limit of the agent's own.
    Limit = 4,
    /// The service refused, or is not to be paid.
    Service = 5,
    /// Too few tokens or SOL.
    Funds = 6,
    /// The chain refused.
    Chain = 7,
    /// Sent, and nobody knows what came of it.
    Unknown = 8,
    /// There is no such thing.
    NotFound = 9,
    /// It was checked, and is wrong.
    Invalid = 10,
    /// No answer.
    Unreachable = 11,
    /// The service answered with an error status.
    Status = 12,
}

/// The table of `amp help`.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done
   1  failed for another reason
   2  the command line is wrong
   3  not confirmed: nobody said yes, or nobody could be asked (--yes)
   4  outside your own limits (price, deposit, budget, mint, host, TLS)
   5  the service refused, or is not to be paid
   6  too few tokens or SOL
   7  the chain refused
   8  sent, and not known what came of it: look before you send again
   9  there is no such channel, delegation, account or transaction
  10  checked and found wrong: a receipt, a credential, something of `amp doctor`
  11  no answer from the cluster or the service
  12  the service answered with an HTTP error status (it may have been paid for)

Amounts are in tokens, with the mint's decimals: 1.5, \"1.50 USDC\". Base units are marked with a u: 1500000u.
Times to come are durations: 30m, 12h, 7d. JSON has base units, as decimal strings, and Unix seconds.

RPC address and keypair are those of the Solana CLI (~/.config/solana/cli/config.yml) unless they are given.
Where there is no such file, a node on this machine is used.";

impl Exit {
    /// Its name in JSON.
    const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotConfirmed => "not_confirmed",
            Self::Limit => "limit",
            Self::Service => "service",
            Self::Funds => "funds",
            Self::Chain => "chain",
            Self::Unknown => "unknown",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Status => "status",
        }
    }

    fn of(error: &anyhow::Error) -> Self {
        let settlement = error.chain().find_map(|cause| cause.downcast_ref::<UnsettleableError>());
        settlement.map_or(Self::Failed, Self::of_settlement)
    }

    /// What a client's error comes to.
    pub(crate) fn of_client(error: &ClientError) -> Self {
        match error {
            ClientError::Policy(_) => Self::Limit,
            ClientError::Url(_) | ClientError::Incomplete(_) => Self::Usage,
            ClientError::Http(error) if error.is_connect() || error.is_timeout() => Self::Unreachable,
            ClientError::Http(_) | ClientError::TimedOut { .. } => Self::Unknown,
            ClientError::InsufficientFunds { .. }
            | ClientError::NeedsTopUp { .. }
            | ClientError::FunderMustTopUp { .. }
            | ClientError::LimitReached { .. } => Self::Funds,
            ClientError::OpeningPending { .. } | ClientError::DelegationPending { .. } => Self::Unknown,
            ClientError::NotOpened { .. } => Self::NotConfirmed,
            ClientError::NoChannel { .. }
            | ClientError::NoDelegation { .. }
            | ClientError::NoProgram { .. }
            | ClientError::OtherCluster { .. }
            | ClientError::NoChannelNamed { .. } => Self::NotFound,
            ClientError::BadProof { .. } => Self::Invalid,
            ClientError::Chain(error) => Self::of_chain(error),
            ClientError::DelegationRefused { .. }
            | ClientError::DelegationOver { .. }
            | ClientError::DelegationNotOver { .. }
            | ClientError::NotTheFunder { .. }
            | ClientError::NotDelegated { .. } => Self::Chain,
            ClientError::Signer(_) | ClientError::Store(_) => Self::Failed,
            _ => Self::Service,
        }
    }

    fn of_chain(error: &ChainError) -> Self {
        match error {
            ChainError::Unreachable(_) => Self::Unreachable,
            ChainError::Unconfirmed { .. } | ChainError::Expired { .. } => Self::Unknown,
            ChainError::NoMint(_) => Self::NotFound,
            ChainError::Failed { error, .. } if is_about_lamports(&error.to_string()) => Self::Funds,
            ChainError::Rejected(_) | ChainError::Failed { .. } => Self::Chain,
            _ => Self::Failed,
        }
    }

    fn of_settlement(error: &UnsettleableError) -> Self {
        match error {
            UnsettleableError::NoChannel(_) => Self::NotFound,
            UnsettleableError::NobodysSignature(_) => Self::Invalid,
            UnsettleableError::Chain(error) => Self::of_chain(error),
            _ => Self::Chain,
        }
    }
}

/// The runtime's words for a payer without lamports.
pub(crate) fn is_about_lamports(text: &str) -> bool {
    ["insufficient funds", "no record of a prior credit", "insufficient lamports", "Insufficient"]
        .iter()
        .any(|words| text.contains(words))
}

/// An error in the command's own words, with the code it ends with.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    code: Option<Code>,
}

impl Failure {
    pub(crate) const fn new(exit: Exit, message: String, code: Option<Code>) -> Self {
        Self { exit, message, code }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// An error that ends the command with this code.
pub(crate) fn failure(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    Failure::new(exit, message.into(), None).into()
}

/// An error of the SDK's or the chain's, in the command's own words where nobody has put it so yet.
fn in_own_words(error: &anyhow::Error) -> Option<Failure> {
    error.chain().find_map(|cause| {
        let client = cause.downcast_ref::<ClientError>().map(|error| explained(error, None));
        let chain = || {
            let error = cause.downcast_ref::<ChainError>()?;
            Some(Failure::new(Exit::of_chain(error), of_chain(error), None))
        };
        client.or_else(chain)
    })
}

/// Says on standard error what went wrong, and how the command ends.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let explained = in_own_words(error);
    let known = error.downcast_ref::<Failure>().or(explained.as_ref());
    let exit = known.map_or_else(|| Exit::of(error), |failure| failure.exit);
    let message = known.map_or_else(|| causes(error), |failure| failure.message.clone());
    if json {
        let code = known.and_then(|failure| failure.code).map(|code| code.to_string());
        let body = json!({"kind": exit.name(), "exit": exit as u8, "code": code, "message": message});
        eprintln!("{}", json!({"error": body}));
    } else {
        eprintln!("amp: {}", harmless(&message));
    }
    ExitCode::from(exit as u8)
}

/// An error and its causes, each once: some say what their source says.
fn causes(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}
