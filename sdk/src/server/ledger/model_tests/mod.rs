//! The ledger against a model that keeps every seq and every reservation and adds them up anew, on a
//! chain that books settlements by the protocol's rules: the authorized signer and two delegates.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use std::collections::{BTreeMap, BTreeSet};

use amp_protocol::account::ChannelAccount;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::{Delegation, SignerBooks};
use proptest::prelude::*;

use super::{Advance, Authority, ChannelLedger, Halt, Limits, Request, Reservation, SignerId, SignerRecord};
use crate::server::testing::channel_account;

mod model;
mod world;

use model::{Model, Open};
use world::World;

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
        /// Its answer is paid for while it leaves.
        metered: bool,
    },
    /// A metered request goes on.
    Advance {
        which: usize,
        used: u64,
        least: u64,
        most: u64,
        stored: bool,
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
        24 => (0..3_usize, 0..60u64, 0..12u64, any::<bool>())
            .prop_map(|(signer, seq, price, metered)| Step::Admit { signer, seq, price, metered }),
        14 => (any::<usize>(), 0..20u64, 0..20u64, 0..30u64, any::<bool>())
            .prop_map(|(which, used, least, most, stored)| Step::Advance { which, used, least, most, stored }),
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

struct Run {
    chain: World,
    /// The chain as the service last saw it.
    seen: World,
    ledger: ChannelLedger,
    model: Model,
    open: Vec<Reservation>,
    disk: BTreeMap<SignerId, SignerRecord>,
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
        let (ledger, model, open, disk) = Default::default();
        Self { seen: chain.clone(), chain, ledger, model, open, disk, now: 1, next_epoch: 100 }
    }

    /// Runs one step on both; `Err` where they differ.
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        match *step {
            Step::Admit { signer, seq, price, metered } => self.admit(signer, seq, price, metered)?,
            Step::Advance { which, used, least, most, stored } if !self.open.is_empty() => {
                let amounts = [used, least, most].map(Amount::new);
                self.advance(which % self.open.len(), amounts, stored)?;
            }
            Step::Charge { which, used, stored } if !self.open.is_empty() => {
                self.charge(which % self.open.len(), used, stored);
            }
            Step::Release { which } if !self.open.is_empty() => {
                let which = which % self.open.len();
                let open = self.model.open.remove(which);
                self.ledger.release(&self.open.remove(which));
                if open.charged.is_some() {
                    self.model.behind.insert(open.signer);
                }
            }
            Step::Advance { .. } | Step::Charge { .. } | Step::Release { .. } => {}
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
                self.ledger = ChannelLedger::restore(self.disk.values().cloned().collect(), None, None);
                self.model.restart();
                self.open.clear();
                self.seen = self.chain.clone();
            }
            Step::LoseStore => {
                self.model.lose_store();
                (self.ledger, self.open, self.disk) = Default::default();
                self.seen = self.chain.clone();
            }
        }
        self.check()
    }

    /// The end of a request. What did not reach the disk is taken back, but for what a stream has let leave.
    fn charge(&mut self, which: usize, used: u64, stored: bool) {
        let (reservation, open) = (self.open.remove(which), self.model.open.remove(which));
        let record = self.ledger.charge(&reservation, Amount::new(used), self.now).unwrap();
        let stands = stored || open.charged.is_some();
        if stands {
            *self.model.spent.entry(open.signer).or_default() += open.due(used);
        }
        if stored {
            self.disk.insert(open.signer, self.ledger.to_store(record.clone()));
            self.ledger.committed_record(&reservation, record);
            self.model.store(open.signer);
        } else if stands {
            self.ledger.keep(&reservation);
            self.model.behind.insert(open.signer);
        } else {
            self.ledger.undo(&reservation, Amount::new(used));
        }
    }

    /// A stream has used some and wants more: it gets as much as all bounds leave, or stays as it is.
    fn advance(&mut self, which: usize, amounts: [Amount; 3], stored: bool) -> Result<(), TestCaseError> {
        let (reservation, open) = (self.open[which], self.model.open[which]);
        let id = open.signer;
        let Some(signer) =
            (0..3).find(|signer| self.seen.authority(*signer).is_some_and(|(key, _)| key == id))
        else {
            return Ok(());
        };
        let Some((_, authority)) = self.seen.authority(signer) else { return Ok(()) };
        let [used, least, most] = amounts;
        let advance = Advance { used, least, most, authority };
        let crowded = signer != 0 && self.is_crowded_out(id, authority.books().claimed);
        let highest = self.model.accepted[&id].last().copied().unwrap_or(0);
        let room = if crowded { 0 } else { self.model.room(&self.seen, (id, authority), highest, self.now) };
        let beyond = |total: Amount| total.get().saturating_sub(open.charged.unwrap_or(0) + open.price);
        let (least, most) = (beyond(least), beyond(most.max(least)));
        let expected = (least <= room && !authority.has_ended(self.now)).then_some(most.min(room));
        match self.ledger.advance(&self.seen.account, &reservation, &advance, &LIMITS, self.now) {
            Ok((next, record)) => {
                let due = open.due(used.get());
                let price = next.price.get();
                if !self.model.blurred {
                    prop_assert_eq!(Some(price + due - open.price), expected);
                }
                *self.model.spent.entry(id).or_default() += due;
                let charged = Some(open.charged.unwrap_or(0) + due);
                self.model.open[which] = Open { price, charged, ..open };
                self.open[which] = next;
                if stored {
                    self.disk.insert(id, self.ledger.to_store(record.clone()));
                    self.ledger.note_stored(&id, record);
                    self.model.store(id);
                }
            }
            Err(Halt::Refused(refusal)) => {
                prop_assert!(self.model.blurred || expected.is_none(), "{:?}, not {:?}", refusal, expected);
            }
            Err(halt) => prop_assert!(false, "{:?}", halt),
        }
        Ok(())
    }

    fn admit(&mut self, signer: usize, seq: u64, price: u64, metered: bool) -> Result<(), TestCaseError> {
        let Some((id, authority)) = self.seen.authority(signer) else { return Ok(()) };
        if !self.ledger.claims_are_noted(&self.seen.account) {
            self.ledger.note_claims(&self.seen.account, &self.seen.claims(), WINDOW);
        }
        let (seq_, price_) = (Seq::new(seq), Amount::new(price));
        let request =
            Request { signer: id, authority, seq: seq_, sig: [0; 64], price: price_, key: None, metered };
        let crowded = signer != 0 && price > 0 && self.is_crowded_out(id, authority.books().claimed);
        let outcome = self.ledger.admit(&self.seen.account, &request, &LIMITS, self.now);
        if !self.model.blurred || crowded {
            let expected = !crowded && self.model.admits(&self.seen, signer, seq, price, self.now);
            prop_assert_eq!(outcome.is_ok(), expected, "{:?}", outcome);
        }
        if let Ok(reservation) = outcome {
            prop_assert!(self.model.accepted.entry(id).or_default().insert(seq), "{} twice", seq);
            self.model.open.push(Open { signer: id, price, charged: metered.then_some(0) });
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
        // whoever served can collect: all of it, in any order, in this window, were the channel to close; and were the
        // service killed now, all that streams may have let leave
        if model.overstated {
            return Ok(());
        }
        let committed = |id: &SignerId| ledger.signers.get(id).and_then(|signer| signer.committed.as_deref());
        for order in [[0, 1, 2], [2, 1, 0]] {
            self.can_collect(order, committed)?;
            if model.behind.is_empty() {
                self.can_collect(order, |id| self.disk.get(id))?;
            }
        }
        Ok(())
    }

    fn can_collect<'a>(
        &self,
        order: [usize; 3],
        owing: impl Fn(&SignerId) -> Option<&'a SignerRecord>,
    ) -> Result<(), TestCaseError> {
        let mut chain = self.chain.clone();
        chain.account.books.closing = true;
        for signer in order {
            let Some((id, authority)) = chain.authority(signer) else { continue };
            let Some(record) = owing(&id) else { continue };
            let over = authority.delegation().is_some_and(|delegation| delegation.is_over(GRACE, self.now));
            if over || record.spent <= authority.books().claimed {
                continue;
            }
            let settled = chain.settle(signer, record.seq, record.spent, self.now);
            prop_assert_eq!(settled, Ok(()), "signer {} owes {}", signer, record.spent);
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
