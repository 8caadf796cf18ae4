use crate::cast::{Mint, Person};
use crate::place::Place;

/// An instruction of the program, or of the two programs that can get in its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `open_channel`.
    OpenChannel(OpenChannel),
    /// `top_up`.
    TopUp(TopUp),
    /// `settle`.
    Settle(Settle),
    /// `request_close`.
    RequestClose(RequestClose),
    /// `close_channel`.
    CloseChannel(CloseChannel),
    /// `set_delegate`.
    SetDelegate(SetDelegate),
    /// `revoke_delegate`.
    RevokeDelegate(RevokeDelegate),
    /// `close_delegation`.
    CloseDelegation(CloseDelegation),
    /// `chain_channel`.
    ChainChannel(ChainChannel),
    /// The token program's transfer: a donation, where it is to a vault.
    MoveTokens(MoveTokens),
    /// The system program's transfer.
    SendLamports(SendLamports),
}

impl Call {
    /// Who must sign, in the order of the accounts.
    pub fn signers(&self) -> Vec<Person> {
        match self {
            Self::OpenChannel(call) => vec![call.funder, call.rent_payer],
            Self::TopUp(call) => vec![call.token_owner],
            Self::Settle(call) => vec![call.recipient],
            Self::RequestClose(call) => vec![call.funder],
            Self::CloseChannel(call) => vec![call.closer],
            Self::SetDelegate(call) => vec![call.funder, call.rent_payer],
            Self::RevokeDelegate(call) => vec![call.funder],
            Self::CloseDelegation(_) => vec![],
            Self::ChainChannel(call) => vec![call.recipient, call.rent_payer],
            Self::MoveTokens(call) => vec![call.owner],
            Self::SendLamports(call) => vec![call.from],
        }
    }
}

/// What is agreed on when a channel opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Base units a step of seq authorizes.
    pub unit_price: u64,
    /// Base units a window.
    pub rate_limit: u64,
    /// Seconds.
    pub settle_interval: u32,
    /// Seconds.
    pub close_grace: u32,
    /// Levels of channels below.
    pub max_chain_depth: u8,
}

/// Accounts and arguments of `open_channel`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct OpenChannel {
    pub funder: Person,
    pub rent_payer: Person,
    pub recipient: Person,
    pub authorized_signer: Person,
    pub mint: Place,
    pub channel: Place,
    pub vault: Place,
    pub funder_token: Place,
    pub token_program: Place,
    pub nonce: u8,
    pub deposit: u64,
    pub terms: Terms,
}

/// Accounts and arguments of `top_up`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TopUp {
    pub token_owner: Person,
    pub channel: Place,
    pub vault: Place,
    pub mint: Place,
    pub source_token: Place,
    pub token_program: Place,
    pub amount: u64,
}

/// Accounts and arguments of `settle`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Settle {
    pub recipient: Person,
    pub channel: Place,
    pub vault: Place,
    pub mint: Place,
    pub recipient_token: Place,
    pub token_program: Place,
    pub instructions: Place,
    pub delegation: Option<Place>,
    pub owed: u64,
}

/// Accounts of `request_close`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct RequestClose {
    pub funder: Person,
    pub channel: Place,
}

/// Accounts of `close_channel`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CloseChannel {
    pub closer: Person,
    pub channel: Place,
    pub vault: Place,
    pub mint: Place,
    pub refund_token: Place,
    pub rent_payer: Place,
    pub token_program: Place,
    pub payout_token: Option<Place>,
    pub instructions: Option<Place>,
}

/// Accounts and arguments of `set_delegate`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SetDelegate {
    pub funder: Person,
    pub rent_payer: Person,
    pub channel: Place,
    pub delegate: Person,
    pub delegation: Place,
    pub limit: u64,
    pub expires_at: i64,
}

/// Accounts of `revoke_delegate`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct RevokeDelegate {
    pub funder: Person,
    pub channel: Place,
    pub delegation: Place,
}

/// Accounts of `close_delegation`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CloseDelegation {
    pub delegation: Place,
    pub channel: Place,
    pub rent_payer: Place,
}

/// Accounts and arguments of `chain_channel`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ChainChannel {
    pub recipient: Person,
    pub rent_payer: Person,
    pub channel: Place,
    pub vault: Place,
    pub mint: Place,
    pub sub_service: Person,
    pub sub_channel: Place,
    pub sub_vault: Place,
    pub token_program: Place,
    pub instructions: Place,
    pub delegation: Option<Place>,
    pub owed: u64,
    pub nonce: u8,
    pub terms: Terms,
}

/// A transfer of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MoveTokens {
    pub owner: Person,
    pub mint: Mint,
    pub from: Place,
    pub to: Place,
    pub amount: u64,
}

/// A transfer of lamports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SendLamports {
    pub from: Person,
    pub to: Place,
    pub lamports: u64,
}
