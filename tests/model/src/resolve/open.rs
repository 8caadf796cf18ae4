use super::{Draft, any_channel, pick, rent_payer};
use crate::cast::{Mint, Person};
use crate::model::Model;
use crate::operation::{Amount, TermsChoice, TermsTwist, Twist};
use crate::place::{ChannelId, Place};
use crate::transaction::{Call, OpenChannel, Terms};

/// Who and what, by number.
pub(super) struct Choice {
    pub(super) address: u8,
    pub(super) signer: u8,
    pub(super) rent_payer: u8,
    pub(super) mint: u8,
}

/// The addresses that channels are opened at.
pub(super) fn id(at: u8) -> ChannelId {
    let recipient = Person::SERVICES[usize::from(at / 2) % 3];
    ChannelId::root(pick(&Person::FUNDERS, at), recipient, (at / 6) % 2)
}

/// An address without a channel: for an even number one that had a channel, if there is one.
fn free(model: &Model, at: u8) -> ChannelId {
    let incarnations = model.ledger.incarnations().filter(|((id, _), _)| id.parent().is_none());
    let mut gone: Vec<_> =
        incarnations.map(|((id, _), _)| *id).filter(|id| !model.channels.contains_key(id)).collect();
    gone.dedup();
    if at.is_multiple_of(2) && !gone.is_empty() {
        return gone[usize::from(at / 2) % gone.len()];
    }
    let from = at / 2;
    let all = (0..12).map(|step| id(from.wrapping_add(step)));
    all.into_iter().find(|id| !model.channels.contains_key(id)).unwrap_or(id(from))
}

pub(super) fn open(
    model: &Model,
    choice: Choice,
    deposit: Amount,
    terms: TermsChoice,
    twist: Option<Twist>,
) -> Draft {
    let mut id = match twist {
        Some(Twist::Occupied(at)) => any_channel(model, at).map_or(free(model, choice.address), |it| it.id),
        _ => free(model, choice.address),
    };
    if twist == Some(Twist::SelfPayment) {
        id = ChannelId::root(id.funder, id.funder, id.nonce());
    }
    let mint = match twist {
        Some(Twist::RefusedMint) => Mint::Extended,
        _ => pick(&Mint::ACCEPTED, choice.mint),
    };
    let funder_token = Place::Tokens(id.funder, mint);
    let has = model.bank.tokens(funder_token).map_or(0, |account| account.amount);
    let signers = [
        Person::Agent(0),
        Person::Agent(1),
        id.funder,
        Person::Delegate(0),
        Person::Delegate(1),
        id.recipient(),
    ];
    Draft::of(Call::OpenChannel(OpenChannel {
        funder: id.funder,
        rent_payer: rent_payer(choice.rent_payer, id.funder),
        recipient: id.recipient(),
        authorized_signer: pick(&signers, choice.signer),
        mint: Place::Mint(mint),
        channel: Place::Channel(id),
        vault: Place::Vault(id),
        funder_token,
        token_program: mint.program().place(),
        nonce: id.nonce(),
        deposit: amount(deposit, has),
        terms: twisted(terms.terms(), twist),
    }))
}

/// An amount that somebody gives who has so much.
pub(super) fn amount(choice: Amount, has: u64) -> u64 {
    match choice {
        Amount::Units(units) => u64::from(units).min(has),
        Amount::Power(power) => (1 << (power % 64)).min(has / 4),
        Amount::TooMuch => has.saturating_add(1),
        Amount::Zero => 0,
        Amount::Most => u64::MAX,
    }
}

/// The same terms, with one of them out of bounds.
pub(super) fn twisted(terms: Terms, twist: Option<Twist>) -> Terms {
    const MONTH: u32 = 30 * 86_400;
    let Some(Twist::Terms(twist)) = twist else { return terms };
    match twist {
        TermsTwist::NoPrice => Terms { unit_price: 0, ..terms },
        TermsTwist::NoRate => Terms { rate_limit: 0, ..terms },
        TermsTwist::NoInterval => Terms { settle_interval: 0, ..terms },
        TermsTwist::LongInterval => Terms { settle_interval: MONTH + 1, ..terms },
        TermsTwist::LongGrace => Terms { close_grace: MONTH + 1, ..terms },
        TermsTwist::Deep => Terms { max_chain_depth: 4, ..terms },
        TermsTwist::Longest => Terms { settle_interval: u32::MAX, close_grace: u32::MAX, ..terms },
    }
}
