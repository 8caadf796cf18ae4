//! The AMP program: a payment channel whose vouchers are sequence numbers.
//!
//! A funder deposits once; every request is paid off chain by a signed seq; `seq * unit_price`
//! bounds what the recipient may claim, and the recipient claims what it metered. This file is the
//! table of contents: one line an instruction. The rules themselves stand in `amp_protocol::rules`,
//! which the SDK runs too; the instructions here check who asks, apply a rule, write, then move
//! tokens.

// the derive macros of anchor write public items without docs
#![allow(missing_docs)]

pub mod claim;
mod cluster;
pub mod constants;
pub mod derivation;
pub mod error;
pub mod events;
pub mod instructions;
pub mod opening;
pub mod precompile;
pub mod state;
pub mod token;

use anchor_lang::prelude::*;

pub use instructions::*;

// recorded in `amp_protocol::deployment`; `anchor keys sync` finds nothing here
declare_id!(Pubkey::new_from_array(cluster::PROGRAM_ID));

#[program]
pub mod amp {
    use super::*;

    /// Creates a channel and its vault and moves the deposit in.
    ///
    /// ### Authority
    /// The funder signs for the deposit, the rent payer for the accounts' rent.
    ///
    /// ### Errors
    /// `ZeroAmount`, the terms' bounds, `SelfPayment`, `MintExtensionRefused`, `MintNotOfTokenProgram`,
    /// `WrongDerivedAddress`.
    #[allow(clippy::too_many_arguments, reason = "an instruction's arguments; handed on as one struct")]
    pub fn open_channel(
        ctx: Context<OpenChannel>,
        nonce: u64,
        deposit: u64,
        unit_price: u64,
        rate_limit: u64,
        settle_interval: u32,
        close_grace: u32,
        max_chain_depth: u8,
    ) -> Result<()> {
        let terms = amp_protocol::rules::Terms {
            unit_price,
            rate_limit,
            settle_interval,
            close_grace,
            max_chain_depth,
        };
        instructions::open_channel::handle(ctx, nonce, deposit, terms)
    }

    /// Adds to the deposit. Refunds still go to the funder.
    ///
    /// ### Authority
    /// The owner of the tokens, whoever that is.
    ///
    /// ### Errors
    /// `ZeroAmount`, `Closing`, `DepositOverflow`.
    pub fn top_up(ctx: Context<TopUp>, amount: u64) -> Result<()> {
        instructions::top_up::handle(ctx, amount)
    }

    /// Pays `owed - claimed` of the signer of the credential in the ed25519 instruction just before.
    ///
    /// ### Authority
    /// The recipient.
    ///
    /// ### Errors
    /// The precompile's and the message's guards, `OwedNotAboveClaimed`, `OwedAboveCeiling`,
    /// `SettleEarly`, `ClaimedAboveDeposit`, `RateExceeded`; for a delegate also `WrongDelegation`,
    /// `DelegationOfEarlierChannel`, `OwedAboveLimit`, `DelegationOver`.
    pub fn settle(ctx: Context<Settle>, owed: u64) -> Result<()> {
        instructions::settle::handle(ctx, owed)
    }

    /// Starts the grace period after which anyone may close the channel.
    ///
    /// ### Authority
    /// The funder.
    ///
    /// ### Errors
    /// `AlreadyClosing`: asking again would restart the clock.
    pub fn request_close(ctx: Context<RequestClose>) -> Result<()> {
        instructions::request_close::handle(ctx)
    }

    /// Pays what a close statement says is still owed, refunds the rest, closes vault and channel.
    ///
    /// ### Authority
    /// The recipient at any time; the funder at once with the recipient's close statement in the
    /// ed25519 instruction just before; anyone once the grace of a close request has passed.
    ///
    /// ### Errors
    /// `ClosedInOpeningSlot`, `ClosedInDelegationSlot`, `GraceNotOver`, `StatementAboveDeposit`, `WrongFunder`,
    /// `WrongRentPayer`, `WrongPayoutOwner`, `WrongRefundOwner`, `RefundNotAssociated`, the precompile's guards.
    pub fn close_channel(ctx: Context<CloseChannel>) -> Result<()> {
        instructions::close_channel::handle(ctx)
    }

    /// Lets another key spend from the channel up to `limit` base units and until `expires_at` (Unix
    /// seconds, 0: never), or raises the limit or moves the expiry of one that may. What is left over
    /// from an earlier incarnation of the channel starts anew.
    ///
    /// ### Authority
    /// The funder; the rent payer signs for the rent of a new account.
    ///
    /// ### Errors
    /// `Closing`, `ChainedChannel`, `DelegateIsAuthorizedSigner`, `WrongDerivedAddress`, `ZeroAmount`, `ExpiryInPast`,
    /// `LimitLowered`, `DelegateRevoked`, `DelegationInCreationSlot`.
    pub fn set_delegate(ctx: Context<SetDelegate>, limit: u64, expires_at: i64) -> Result<()> {
        instructions::set_delegate::handle(ctx, limit, expires_at)
    }

    /// Stops a delegate's spending; what it has signed can be settled during the close grace.
    ///
    /// ### Authority
    /// The funder.
    ///
    /// ### Errors
    /// `WrongDelegation`, `DelegationOfEarlierChannel`, `AlreadyRevoked`.
    pub fn revoke_delegate(ctx: Context<RevokeDelegate>) -> Result<()> {
        instructions::revoke_delegate::handle(ctx)
    }

    /// Closes a delegation of which nothing can be settled any more; its rent goes to its rent payer.
    ///
    /// ### Authority
    /// None: anyone may tidy up.
    ///
    /// ### Errors
    /// `WrongDelegation`, `WrongRentPayer`, `DelegationInCreationSlot`, `DelegationNotOver`.
    pub fn close_delegation(ctx: Context<CloseDelegation>) -> Result<()> {
        instructions::close_delegation::handle(ctx)
    }

    /// Settles like `settle`, but pays into a new channel that the recipient signs for: a service pays
    /// its own supplier from the upstream budget. Refunds go to the upstream funder.
    ///
    /// ### Authority
    /// The recipient; the rent payer signs for the rent of the new accounts.
    ///
    /// ### Errors
    /// Those of `settle`, `Closing`, the terms' and the mint's, `SelfPayment`, `ChainTooDeep`,
    /// `GraceAboveParent`, `WrongDerivedAddress`.
    pub fn chain_channel(
        ctx: Context<ChainChannel>,
        owed: u64,
        nonce: u64,
        unit_price: u64,
        rate_limit: u64,
        settle_interval: u32,
        close_grace: u32,
    ) -> Result<()> {
        // the depth is the root's: read from the parent
        let terms = amp_protocol::rules::Terms {
            unit_price,
            rate_limit,
            settle_interval,
            close_grace,
            max_chain_depth: 0,
        };
        instructions::chain_channel::handle(ctx, owed, nonce, terms)
    }
}
