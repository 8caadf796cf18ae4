//! What must hold after every step, whatever was done. Each is held against the onlooker's ledger, not
//! against the books that the rules wrote: rules that are wrong on both sides are found here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ledger::{Authority, Flows};
use super::{Holder, Model};
use crate::cast::{Mint, Person};
use crate::place::Place;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub name: &'static str,
    /// Where, and how.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

type Check = Result<(), Broken>;

fn hold(holds: bool, name: &'static str, detail: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Broken { name, detail: detail() }) }
}

impl Model {
    /// Checks everything that must hold at any time.
    pub fn check(&self) -> Result<(), Broken> {
        self.nobody_is_given_an_epoch_twice()?;
        self.nobody_is_paid_more_than_was_signed_for()?;
        self.claims_stay_within_deposit_limit_and_rate()?;
        self.channels_claim_what_their_signers_were_paid_on()?;
        self.windows_hold_no_more_than_the_rate()?;
        self.vaults_cover_the_books()?;
        self.what_went_in_is_there_or_went_out()?;
        self.chains_are_as_deep_and_patient_as_their_roots()?;
        self.services_have_what_they_earned()?;
        self.rent_is_back_with_who_paid_it()?;
        self.every_account_has_its_lamports()
    }

    /// Were a key given one epoch twice (as a delegate, say, and after a close and an opening in that very slot
    /// as the authorized signer), what it signed once would count twice.
    fn nobody_is_given_an_epoch_twice(&self) -> Check {
        let given: Vec<_> = self.ledger.authorities().map(|(authority, _)| authority).collect();
        given.windows(2).try_for_each(|pair| {
            hold(pair[0] != pair[1], "nobody is given an epoch twice", || format!("{:?}", pair[0]))
        })
    }

    fn nobody_is_paid_more_than_was_signed_for(&self) -> Check {
        self.ledger.authorities().try_for_each(|(authority, granted)| {
            let seq = self.ledger.highest_seq(*authority);
            let ceiling = u128::from(seq) * u128::from(granted.unit_price);
            hold(granted.paid <= ceiling, "nobody is paid more than was signed for", || {
                format!("{authority:?} signed for {ceiling}, {} was paid", granted.paid)
            })
        })?;
        self.ledger.incarnations().try_for_each(|((id, slot), flows)| {
            let stated = self.ledger.highest_statement(*id, *slot).unwrap_or_default();
            let paid = u128::from(flows.by_statement);
            let total = paid + flows.settled();
            hold(paid == 0 || total <= u128::from(stated), "a close pays what was stated", || {
                format!("{id:?} of slot {slot}: {total} paid, {stated} stated")
            })
        })
    }

    fn claims_stay_within_deposit_limit_and_rate(&self) -> Check {
        for channel in self.channels.values() {
            let fits = channel.signer.amount <= channel.claimed && channel.claimed <= channel.deposited;
            hold(fits, "signer's claims <= claims <= deposit", || format!("{channel:?}"))?;
            let fits = channel.window_claimed <= channel.terms.rate_limit;
            hold(fits, "a window's claims <= rate limit", || format!("{channel:?}"))?;
        }
        self.delegations.values().try_for_each(|delegation| {
            let fits = delegation.claimed.amount <= delegation.limit;
            hold(fits, "a delegate's claims <= limit", || format!("{delegation:?}"))
        })
    }

    /// What the books say was claimed is what was paid: for each signer, and in all.
    fn channels_claim_what_their_signers_were_paid_on(&self) -> Check {
        for channel in self.channels.values() {
            let (id, epoch) = (channel.id, channel.opened.slot);
            let authority = Authority { channel: id, signer: channel.authorized_signer, epoch };
            let paid = self.ledger.paid(authority, epoch);
            let booked = paid == u128::from(channel.signer.amount);
            hold(booked, "a signer's claims are what was paid on it", || format!("{paid}, {channel:?}"))?;
            let settled = self.ledger.flows(id, epoch).map_or(0, Flows::settled);
            let booked = settled == u128::from(channel.claimed);
            hold(booked, "claims are the sum of settlements", || format!("{settled}, {channel:?}"))?;
        }
        self.delegations.values().try_for_each(|it| {
            let authority = Authority { channel: it.channel, signer: it.delegate, epoch: it.created_slot };
            let paid = self.ledger.paid(authority, it.channel_opened_slot);
            let booked = paid == u128::from(it.claimed.amount);
            hold(booked, "a delegate's claims are what was paid on it", || format!("{paid}, {it:?}"))
        })
    }

    /// From the log alone: all settlements of an interval, counted from the opening.
    fn windows_hold_no_more_than_the_rate(&self) -> Check {
        self.channels.values().try_for_each(|channel| {
            let Some(flows) = self.ledger.flows(channel.id, channel.opened.slot) else { return Ok(()) };
            let mut windows: BTreeMap<i128, u128> = BTreeMap::new();
            for it in &flows.settlements {
                let passed = i128::from(it.at) - i128::from(channel.opened.time);
                let window = passed / i128::from(channel.terms.settle_interval);
                *windows.entry(window).or_default() += u128::from(it.amount);
            }
            let most = windows.values().max().copied().unwrap_or_default();
            let fits = most <= u128::from(channel.terms.rate_limit);
            hold(fits, "an interval pays no more than the rate limit", || format!("{most}, {channel:?}"))
        })
    }

    fn vaults_cover_the_books(&self) -> Check {
        self.channels.values().try_for_each(|channel| {
            let held = self.bank.tokens(Place::Vault(channel.id)).map_or(0, |vault| vault.amount);
            hold(held >= channel.balance(), "a vault covers its books", || format!("{held}, {channel:?}"))
        })
    }

    /// deposits + donations = settled + paid by statement + refunded + what the vault still holds.
    fn what_went_in_is_there_or_went_out(&self) -> Check {
        self.ledger.incarnations().try_for_each(|((id, slot), flows)| {
            let held = match flows.closed {
                true => 0,
                false => self.bank.tokens(Place::Vault(*id)).map_or(0, |vault| vault.amount),
            };
            let out = flows.settled() + u128::from(flows.by_statement) + u128::from(flows.refund);
            let balanced = flows.deposits + flows.donations == out + u128::from(held);
            hold(balanced, "what went in is there or went out", || {
                format!("{id:?} of slot {slot}: {held} held, {flows:?}")
            })
        })?;
        Mint::ACCEPTED.into_iter().try_for_each(|mint| {
            let all = self.bank.all_tokens().filter(|(_, account)| account.mint == mint);
            let held: u128 = all.map(|(_, account)| u128::from(account.amount)).sum();
            let minted: u128 = Person::HOLDERS.iter().map(|person| u128::from(person.tokens(mint))).sum();
            let wrapped = if mint == Mint::WrappedSol { self.ledger.wrapped_ahead() } else { 0 };
            hold(held == minted + wrapped, "tokens are conserved", || format!("{mint:?}: {held} of {minted}"))
        })
    }

    fn chains_are_as_deep_and_patient_as_their_roots(&self) -> Check {
        self.channels.values().try_for_each(|channel| {
            let deep = channel.depth() <= channel.terms.max_chain_depth;
            hold(deep, "chains are as deep as their roots allow", || format!("{channel:?}"))?;
            let Some(parent) = channel.id.parent().and_then(|id| self.channels.get(&id)) else {
                return Ok(());
            };
            // a parent that was opened again since is another: this one was chained below the one before
            let patient = channel.terms.close_grace <= parent.terms.close_grace
                || parent.opened.slot >= channel.opened.slot;
            hold(patient, "no grace is above the one upstream", || format!("{channel:?}"))
        })
    }

    /// Nobody gives to a service: what it has is what channels paid it, each within what was signed.
    fn services_have_what_they_earned(&self) -> Check {
        let mut earned: BTreeMap<Person, u128> = BTreeMap::new();
        for ((id, _), flows) in self.ledger.incarnations() {
            *earned.entry(id.recipient()).or_default() += flows.earned();
        }
        Person::SERVICES.into_iter().try_for_each(|service| {
            let its = self.bank.all_tokens().filter(|(_, it)| it.holder == Holder::Person(service));
            let held: u128 = its.map(|(_, account)| u128::from(account.amount)).sum();
            let earned = earned.get(&service).copied().unwrap_or_default();
            hold(held == earned, "a service has what it earned", || format!("{service:?}: {held}, {earned}"))
        })
    }

    fn rent_is_back_with_who_paid_it(&self) -> Check {
        Person::ALL.into_iter().filter(|person| *person != Person::FeePayer).try_for_each(|person| {
            let has = i128::from(self.bank.lamports(Place::Wallet(person)));
            let due = i128::from(person.lamports()) + self.ledger.lamports_gained(person);
            hold(has == due, "rent is back with who paid it", || format!("{person:?}: {has}, {due}"))
        })
    }

    fn every_account_has_its_lamports(&self) -> Check {
        let all: u128 = self.bank.all_lamports().map(|(_, lamports)| u128::from(lamports)).sum();
        let start = self.bank.lamports_at_first();
        let fees = u128::from(self.bank.fees());
        hold(all + fees == start, "lamports are conserved", || format!("{all} + {fees} of {start}"))?;
        self.bank.all_tokens().try_for_each(|(place, account)| {
            let wrapped = if account.mint == Mint::WrappedSol { account.amount } else { 0 };
            let lamports = self.bank.lamports(place);
            let covered = lamports >= super::bank::rent(super::bank::TOKEN_ACCOUNT) + wrapped;
            hold(covered, "wrapped SOL is backed", || format!("{place:?}: {lamports}, {account:?}"))
        })
    }

    /// Checks what a transaction may have changed: nobody who did not sign it has less than before, be it
    /// tokens or lamports.
    pub fn check_against(&self, before: &Self, signers: &BTreeSet<Person>) -> Result<(), Broken> {
        for (place, account) in before.bank.all_tokens() {
            let Holder::Person(person) = account.holder else { continue };
            let left = self.bank.tokens(place).map_or(0, |account| account.amount);
            let kept = left >= account.amount || signers.contains(&person);
            hold(kept, "nobody loses tokens without signing", || format!("{place:?}: {left}, {account:?}"))?;
        }
        Person::ALL.into_iter().try_for_each(|person| {
            let (had, has) = [before, self].map(|it| it.bank.lamports(Place::Wallet(person))).into();
            let kept = has >= had || signers.contains(&person);
            hold(kept, "nobody loses lamports without signing", || format!("{person:?}: {had}, {has}"))
        })
    }
}
