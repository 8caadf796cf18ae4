use super::wait::at;
use super::{Draft, channel, delegation, is_current, pick, rent_payer};
use crate::cast::Person;
use crate::model::{Clock, Model};
use crate::operation::{Expiry, Limit, Twist, When};
use crate::place::Place;
use crate::transaction::{Call, CloseDelegation, RevokeDelegate, SetDelegate};

/// Who, by number.
pub(super) struct Choice {
    pub(super) channel: u8,
    pub(super) delegate: u8,
    pub(super) rent_payer: u8,
}

const DELEGATES: [Person; 4] =
    [Person::Delegate(0), Person::Delegate(1), Person::Delegate(2), Person::Service(1)];

pub(super) fn set(
    model: &Model,
    who: Choice,
    limit: Limit,
    expiry: Expiry,
    twist: Option<Twist>,
) -> Option<Draft> {
    let channel = channel(model, who.channel, |it| it.closing_since.is_none() && it.depth() == 0)?;
    let id = channel.id;
    let delegate = match twist {
        Some(Twist::AuthorizedDelegate) => channel.authorized_signer,
        _ => pick(&DELEGATES, who.delegate),
    };
    let is = model.delegations.get(&(id, delegate)).map_or(0, |it| it.limit);
    let limit = match limit {
        Limit::Units(units) => units.into(),
        Limit::Raise(more) => is.saturating_add(more.into()),
        Limit::Same => is.max(1),
        Limit::Lower => is.saturating_sub(1),
        Limit::Zero => 0,
        Limit::Most => u64::MAX,
    };
    let now = model.clock.time;
    let expires_at = match expiry {
        Expiry::Never => 0,
        Expiry::In(seconds) => now.saturating_add(seconds.into()),
        Expiry::Now => now,
        Expiry::Negative => -1,
    };
    Some(Draft::of(Call::SetDelegate(SetDelegate {
        funder: id.funder,
        rent_payer: rent_payer(who.rent_payer, id.funder),
        channel: Place::Channel(id),
        delegate,
        delegation: Place::Delegation(id, delegate),
        limit,
        expires_at,
    })))
}

pub(super) fn revoke(model: &Model, at: u8) -> Option<Draft> {
    let it = delegation(model, at, |it| it.revoked_at.is_none() && is_current(model, it))?;
    Some(Draft::of(Call::RevokeDelegate(RevokeDelegate {
        funder: it.channel.funder,
        channel: Place::Channel(it.channel),
        delegation: Place::Delegation(it.channel, it.delegate),
    })))
}

pub(super) fn close(model: &Model, number: u8, when: When) -> Option<(Clock, Draft)> {
    let it = delegation(model, number, |it| it.end().is_some() || !is_current(model, it))?;
    let now = i128::from(model.clock.time);
    let its_channel = model.channels.get(&it.channel).filter(|_| is_current(model, it));
    let until = its_channel.and_then(|channel| it.collectable_until(channel.terms.close_grace));
    let clock = at(model, until.map_or(now, |until| (until + 1).max(now)), when);
    let call = CloseDelegation {
        delegation: Place::Delegation(it.channel, it.delegate),
        channel: Place::Channel(it.channel),
        rent_payer: Place::Wallet(it.rent_payer),
    };
    Some((clock, Draft::of(Call::CloseDelegation(call))))
}
