//! The ledger against a model that keeps every seq and every reservation and adds them up anew, on a
//! chain that books settlements by the protocol's rules: the authorized signer and two delegates.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use std::collections::{BTreeMap, BTreeSet};

use amp_protocol::account::ChannelAccount;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::{Delegation, SignerBooks};
use proptest::prelude::*;

use super::{Authority, ChannelLedger, Limits, Request, Reservation, SignerId};
use crate::server::testing::channel_account;

const WINDOW: u32 = 4;
const UNIT_PRICE: u64 = 3;
const RATE_LIMIT: u64 = 40;
const INTERVAL: u32 = 10;
const GRACE: u32 = 12;
/// Of three signers the last one is refused while the others owe.
const LIMITS: Limits = Limits { seq_window: WINDOW, max_owing: 1 };

#[derive(Clone, Debug)]
enum Step {
    Admit {
        signer: usize,
        seq: u64,
        price: u64,
    },
    Charge {
        which: usize,
        used: u64,
        stored: bool,
    },
    Release {
        which: usize,
    },
    Wait {
        seconds: i64,
    },
    Settle {
        signer: usize,
    },
    TopUp {
        amount: u64,
    },
    RaiseLimit {
        signer: usize,
        by: u64,
    },
    Revoke {
        signer: usize,
    },
    /// Closes a delegation whose grace is over.
    CloseDelegation {
        signer: usize,
    },
    /// Makes a delegation anew, where there is none.
    Delegate {
        signer: usize,
        limit: u64,
        expires_in: i64,
    },
    /// The service looks at the chain: until then it goes by what it saw.
    Look,
    /// The service starts again, with what is in its store.
    Restart,
    /// The same, without.
    LoseStore,
}

fn step() -> impl Strategy<Value = Step> {
    let delegate = || 1..3_usize;
    prop_oneof![
        24 => (0..3_usize, 0..60u64, 0..12u64).prop_map(|(signer, seq, price)| Step::Admit { signer, seq, price }),
        12 => (any::<usize>(), 0..14u64, any::<bool>())
            .prop_map(|(which, used, stored)| Step::Charge { which, used, stored }),
        4 => any::<usize>().prop_map(|which| Step::Release { which }),
        4 => (0..15i64).prop_map(|seconds| Step::Wait { seconds }),
        6 => (0..3_usize).prop_map(|signer| Step::Settle { signer }),
        3 => (1..30u64).prop_map(|amount| Step::TopUp { amount }),
        2 => (delegate(), 1..30u64).prop_map(|(signer, by)| Step::RaiseLimit { signer, by }),
        2 => delegate().prop_map(|signer| Step::Revoke { signer }),
        4 => delegate().prop_map(|signer| Step::CloseDelegation { signer }),
        2 => (delegate(), 1..60u64, 0..40i64)
            .prop_map(|(signer, limit, expires_in)| Step::Delegate { signer, limit, expires_in }),
        6 => Just(Step::Look),
        2 => Just(Step::Restart),
        2 => Just(Step::LoseStore),
    ]
}

/// The channel, and the delegations at the places 1 and 2 with their epochs.
#[derive(Clone)]
struct World {
    account: ChannelAccount,
    delegations: [Option<(u64, Delegation)>; 3],
}

impl World {
    fn authority(&self, signer: usize) -> Option<(SignerId, Authority)> {
        if signer == 0 {
            return Some((SignerId::authorized(&self.account), Authority::channel(&self.account)));
        }
        let (epoch, delegation) = self.delegations[signer]?;
        let key = [u8::try_from(signer).unwrap(); 32];
        Some((SignerId { key, epoch }, Authority::Delegation(delegation)))
    }

    fn claims(&self) -> Vec<(SignerId, Amount)> {
        let delegates = (1..3).filter_map(|signer| self.authority(signer));
        delegates.map(|(id, authority)| (id, authority.books().claimed)).collect()
    }

    /// Books a claim of all that a signer owes, as the program does.
    fn settle(&mut self, signer: usize, seq: Seq, owed: Amount, now: i64) -> Result<(), String> {
        let (_, authority) = self.authority(signer).ok_or("no delegation")?;
        let done = authority.settle(&self.account, seq, owed, now).map_err(|error| error.to_string())?;
        (self.account.books.claimed, self.account.books.window) = (done.claimed, done.window);
        let books = SignerBooks { claimed: done.signer_claimed, last_settled_at: now };
        match &mut self.delegations[signer] {
            Some((_, delegation)) => delegation.signer = books,
            None => self.account.signer = books,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Model {
    accepted: BTreeMap<SignerId, BTreeSet<u64>>,
    /// Those that are in the store.
    stored: BTreeMap<SignerId, BTreeSet<u64>>,
    /// Used before the store was lost.
    floor: BTreeMap<SignerId, u64>,
    spent: BTreeMap<SignerId, u64>,
    claimed: BTreeMap<SignerId, u64>,
    open: Vec<(SignerId, u64)>,
    /// A delegation was closed that still owed, and so was its record lost: how much was claimed of
    /// it nobody can tell any more.
    blurred: bool,
}

impl Model {
    fn used(&self, signer: Option<SignerId>) -> u64 {
        let is = |other: SignerId| signer.is_none_or(|signer| signer == other);
        let spent: u64 = self.spent.iter().filter(|(key, _)| is(**key)).map(|(_, spent)| spent).sum();
        spent + self.open.iter().filter(|(key, _)| is(*key)).map(|(_, price)| price).sum::<u64>()
    }

    fn admits(&self, seen: &World, signer: usize, seq: u64, price: u64, now: i64) -> bool {
        let Some((id, authority)) = seen.authority(signer) else { return false };
        let none = BTreeSet::new();
        let accepted = self.accepted.get(&id).unwrap_or(&none);
        let lost = self.floor.get(&id).copied().unwrap_or(0);
        let floor = accepted.iter().rev().nth(WINDOW as usize).copied().unwrap_or(lost);
        let highest = accepted.last().copied().unwrap_or(0).max(seq);
        let account = &seen.account;
        let deposited = account.books.deposited.get();
        let window = account.books.window.at(now, INTERVAL).unwrap();
        let unclaimed = self.used(None) - account.books.claimed.get();
        let fresh = seq > floor && !accepted.contains(&seq) && seq * UNIT_PRICE <= deposited;
        let paid = self.used(Some(id)) + price <= highest * UNIT_PRICE
            && self.used(Some(id)) + price <= authority.limit().map_or(u64::MAX, Amount::get)
            && self.used(None) + price <= deposited
            && unclaimed + price <= RATE_LIMIT - window.claimed.get();
        fresh && (price == 0 || paid) && !authority.has_ended(now)
    }

    /// What a service knows that begins anew with what the chain has booked.
    fn lose_store(&mut self) {
        let owed_by_closed = self.blurred;
        *self = Self { claimed: std::mem::take(&mut self.claimed), ..Self::default() };
        self.spent.clone_from(&self.claimed);
        self.floor = self.claimed.iter().map(|(id, claimed)| (*id, claimed.div_ceil(UNIT_PRICE))).collect();
        self.blurred = owed_by_closed;
    }
}

struct Run {
    chain: World,
    /// The chain as the service last saw it.
    seen: World,
    ledger: ChannelLedger,
    model: Model,
    open: Vec<Reservation>,
    now: i64,
    next_epoch: u64,
}

impl Run {
    fn new() -> Self {
        let mut account = channel_account();
        account.books.deposited = Amount::new(60);
        account.books.window.started_at = 0;
        account.signer.last_settled_at = 0;
        account.terms.unit_price = UNIT_PRICE;
        account.terms.rate_limit = RATE_LIMIT;
        account.terms.settle_interval = INTERVAL;
        account.terms.close_grace = GRACE;
        let delegations = [None; 3];
        let chain = World { account, delegations };
        let (ledger, model, open) = Default::default();
        Self { seen: chain.clone(), chain, ledger, model, open, now: 1, next_epoch: 100 }
    }

    /// Runs one step on both; `Err` where they differ.
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        match *step {
            Step::Admit { signer, seq, price } => self.admit(signer, seq, price)?,
            Step::Charge { which, used, stored } if !self.open.is_empty() => {
                let which = which % self.open.len();
                let (reservation, (id, price)) = (self.open.remove(which), self.model.open.remove(which));
                let record = self.ledger.charge(&reservation, Amount::new(used), now).unwrap();
                if stored {
                    self.ledger.committed_record(&reservation, record);
                    *self.model.spent.entry(id).or_default() += used.min(price);
                    self.model.stored.insert(id, self.model.accepted[&id].clone());
                } else {
                    self.ledger.undo(&reservation, Amount::new(used));
                }
            }
            Step::Release { which } if !self.open.is_empty() => {
                let which = which % self.open.len();
                self.model.open.remove(which);
                self.ledger.release(&self.open.remove(which));
            }
            Step::Charge { .. } | Step::Release { .. } => {}
            Step::Wait { seconds } => self.now += seconds,
            Step::Settle { signer } => self.settle(signer),
            Step::TopUp { amount } => {
                let books = &mut self.chain.account.books;
                books.deposited = books.deposited.checked_add(Amount::new(amount)).unwrap();
            }
            Step::RaiseLimit { signer, by } => self.change(signer, |delegation| {
                let limit = delegation.limit.checked_add(Amount::new(by)).unwrap();
                delegation.change(limit, delegation.expires_at, now).unwrap_or(delegation)
            }),
            Step::Revoke { signer } => {
                self.change(signer, |delegation| delegation.revoke(now).unwrap_or(delegation));
            }
            Step::CloseDelegation { signer } => {
                if let Some((id, Authority::Delegation(delegation))) = self.chain.authority(signer)
                    && delegation.is_over(GRACE, now)
                {
                    let spent = self.model.used(Some(id));
                    self.model.blurred |= spent != delegation.signer.claimed.get();
                    self.chain.delegations[signer] = None;
                }
            }
            Step::Delegate { signer, limit, expires_in } => {
                let expires_at = if expires_in == 0 { 0 } else { now + expires_in };
                if self.chain.delegations[signer].is_none() {
                    let delegation = Delegation::begin(Amount::new(limit), expires_at, now).unwrap();
                    self.chain.delegations[signer] = Some((self.next_epoch, delegation));
                    self.next_epoch += 1;
                }
            }
            Step::Look => self.seen = self.chain.clone(),
            Step::Restart => {
                let signers = self.ledger.signers.iter();
                let records =
                    signers.filter_map(|(_, signer)| signer.committed.as_deref().cloned()).collect();
                self.ledger = ChannelLedger::restore(records, None, None);
                self.model.accepted.clone_from(&self.model.stored);
                (self.model.open, self.open) = Default::default();
                self.seen = self.chain.clone();
            }
            Step::LoseStore => {
                self.model.lose_store();
                (self.ledger, self.open) = Default::default();
                self.seen = self.chain.clone();
            }
        }
        self.check()
    }

    fn admit(&mut self, signer: usize, seq: u64, price: u64) -> Result<(), TestCaseError> {
        let Some((id, authority)) = self.seen.authority(signer) else { return Ok(()) };
        if !self.ledger.claims_are_noted(&self.seen.account) {
            self.ledger.note_claims(&self.seen.account, &self.seen.claims(), WINDOW);
        }
        let (seq_, price_) = (Seq::new(seq), Amount::new(price));
        let request = Request {
            signer: id,
            authority,
            seq: seq_,
            sig: [0; 64],
            price: price_,
            key: None,
            metered: false,
        };
        let crowded = signer != 0 && price > 0 && self.is_crowded_out(id, authority.books().claimed);
        let outcome = self.ledger.admit(&self.seen.account, &request, &LIMITS, self.now);
        if !self.model.blurred || crowded {
            let expected = !crowded && self.model.admits(&self.seen, signer, seq, price, self.now);
            prop_assert_eq!(outcome.is_ok(), expected, "{:?}", outcome);
        }
        if let Ok(reservation) = outcome {
            prop_assert!(self.model.accepted.entry(id).or_default().insert(seq), "{} twice", seq);
            self.model.open.push((id, price));
            self.open.push(reservation);
        }
        Ok(())
    }

    /// Whether a delegate of which `claimed` was seen owes nothing, and too many others do, by what the
    /// ledger knows to be paid.
    fn is_crowded_out(&self, id: SignerId, claimed: Amount) -> bool {
        let authorized = SignerId::authorized(&self.seen.account);
        let owing = self.ledger.signers.iter().filter(|(other, signer)| {
            let known = match **other {
                other if other == authorized => self.seen.account.signer.claimed,
                other if other == id => signer.claimed.max(claimed),
                _ => signer.claimed,
            };
            let stored = signer.committed.as_ref().map_or(0, |record| record.spent.get());
            signer.live.spent.get().max(stored) + signer.reserved.get() > known.get()
        });
        let (own, others): (Vec<_>, Vec<_>) = owing.partition(|(other, _)| **other == id);
        own.is_empty() && others.len() > LIMITS.max_owing
    }

    /// As the worker does: by the credential in the store, with the chain's own eyes.
    fn settle(&mut self, signer: usize) {
        let Some((id, _)) = self.chain.authority(signer) else { return };
        let Some(record) = self.ledger.signers.get(&id).and_then(|signer| signer.committed.clone()) else {
            return;
        };
        if self.chain.settle(signer, record.seq, record.spent, self.now).is_ok() {
            self.model.claimed.insert(id, record.spent.get());
            self.ledger.note_claimed(&id, record.spent);
        }
    }

    fn change(&mut self, signer: usize, change: impl Fn(Delegation) -> Delegation) {
        if let Some((_, delegation)) = &mut self.chain.delegations[signer] {
            *delegation = change(*delegation);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let (ledger, model) = (&self.ledger, &self.model);
        // the bound, the one that came last, and the authorized signer
        let owes = |id: &SignerId| model.used(Some(*id)) > model.claimed.get(id).copied().unwrap_or(0);
        let owing = model.accepted.keys().chain(model.spent.keys()).collect::<BTreeSet<_>>();
        prop_assert!(owing.into_iter().filter(|id| owes(id)).count() <= LIMITS.max_owing + 2);
        prop_assert_eq!(ledger.in_flight(), self.open.len());
        if !model.blurred && ledger.noted_claims.is_some() {
            let spent = Amount::new(model.spent.values().sum());
            prop_assert_eq!(ledger.spent_total(&self.chain.account), Some(spent));
            prop_assert!(model.used(None) <= self.chain.account.books.deposited.get());
        }
        // whoever served can collect: all of it, in any order, in this window, were the channel to close
        for order in [[0, 1, 2], [2, 1, 0]] {
            let mut chain = self.chain.clone();
            chain.account.books.closing = true;
            for signer in order {
                let Some((id, authority)) = chain.authority(signer) else { continue };
                let Some(record) = ledger.signers.get(&id).and_then(|signer| signer.committed.clone()) else {
                    continue;
                };
                let over =
                    authority.delegation().is_some_and(|delegation| delegation.is_over(GRACE, self.now));
                if over || record.spent <= authority.books().claimed {
                    continue;
                }
                let settled = chain.settle(signer, record.seq, record.spent, self.now);
                prop_assert_eq!(settled, Ok(()), "signer {} owes {}", signer, record.spent);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn no_interleaving_passes_ceiling_limit_deposit_or_rate_takes_a_seq_twice_or_serves_what_can_not_be_claimed(
        steps in proptest::collection::vec(step(), 0..160),
    ) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step)?;
        }
    }
}
