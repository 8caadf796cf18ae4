use amp_protocol::rejection::Rejection;

use super::accounts::{CHANNEL, mint_at, must_be_token_program};
use super::bank::TOKEN_ACCOUNT;
use super::refusal::{Faults, require};
use super::state::Claimed;
use super::{Authority, Channel, Context, Holder, Model, Refused, foreign};
use crate::cast::{Mint, Person};
use crate::place::{ChannelId, Place};
use crate::transaction::{OpenChannel, Terms};

const DAY: u32 = 24 * 60 * 60;

/// What a new channel is made of, and where.
pub(super) struct New {
    pub(super) id: ChannelId,
    pub(super) authorized_signer: Person,
    pub(super) mint: Place,
    pub(super) rent_payer: Person,
    pub(super) terms: Terms,
    pub(super) deposit: u64,
    pub(super) channel: Place,
    pub(super) vault: Place,
    pub(super) token_program: Place,
}

impl Model {
    pub(super) fn open_channel(&mut self, context: &Context, call: &OpenChannel) -> Result<(), Refused> {
        let mut faults = Faults::default();
        context.must_sign(&mut faults, call.funder);
        context.must_sign(&mut faults, call.rent_payer);
        must_be_token_program(&mut faults, call.token_program);
        faults.settle()?;

        check_terms(&call.terms)?;
        let new = New {
            id: ChannelId::root(call.funder, call.recipient, call.nonce),
            authorized_signer: call.authorized_signer,
            mint: call.mint,
            rent_payer: call.rent_payer,
            terms: call.terms,
            deposit: call.deposit,
            channel: call.channel,
            vault: call.vault,
            token_program: call.token_program,
        };
        self.begin(&new)?;
        let owner = Holder::Person(call.funder);
        let way = (call.funder_token, call.vault);
        self.bank.move_tokens(call.token_program, call.mint, way, owner, call.deposit)
    }

    /// Makes a channel and its vault. The deposit is booked, and still to be moved.
    pub(super) fn begin(&mut self, new: &New) -> Result<(), Refused> {
        let New { id, deposit, terms, .. } = *new;
        require(deposit > 0, Rejection::ZeroAmount)?;
        require(id.funder != id.recipient(), Rejection::SelfPayment)?;
        let mint = mint_at(new.mint).filter(|mint| mint.program().place() == new.token_program);
        let Some(mint) = mint else { return Err(Rejection::MintNotOfTokenProgram.into()) };
        require(mint != Mint::Extended, Rejection::MintExtensionRefused)?;
        let derived = new.channel == Place::Channel(id) && new.vault == Place::Vault(id);
        require(derived, Rejection::WrongDerivedAddress)?;
        require(!self.channels.contains_key(&id), foreign::ALREADY_IN_USE)?;
        self.pay_rent(new.rent_payer, new.channel, CHANNEL)?;
        self.pay_rent(new.rent_payer, new.vault, TOKEN_ACCOUNT)?;
        let ahead = self.bank.begin_vault(id, mint);

        let channel = Channel {
            id,
            authorized_signer: new.authorized_signer,
            mint,
            rent_payer: new.rent_payer,
            terms,
            opened: self.clock,
            delegated_slot: 0,
            closing_since: None,
            deposited: deposit,
            claimed: 0,
            signer: Claimed { amount: 0, last_settled: self.clock.time },
            window: 0,
            window_claimed: 0,
        };
        let authority = Authority { channel: id, signer: new.authorized_signer, epoch: self.clock.slot };
        self.ledger.grant(authority, self.clock.slot, terms.unit_price);
        self.ledger.deposit(id, self.clock.slot, deposit);
        self.ledger.wrap(id, self.clock.slot, ahead);
        self.channels.insert(id, channel);
        Ok(())
    }
}

/// What every channel's terms are held to.
pub(super) fn check_terms(terms: &Terms) -> Result<(), Refused> {
    require(terms.unit_price > 0, Rejection::ZeroUnitPrice)?;
    require(terms.rate_limit > 0, Rejection::ZeroRateLimit)?;
    let interval = terms.settle_interval >= 1 && terms.settle_interval <= 30 * DAY;
    require(interval, Rejection::SettleIntervalOutOfRange)?;
    require(terms.close_grace <= 30 * DAY, Rejection::CloseGraceOutOfRange)?;
    require(terms.max_chain_depth <= 3, Rejection::ChainDepthOutOfRange)
}
