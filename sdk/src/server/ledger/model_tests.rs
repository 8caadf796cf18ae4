//! The ledger against a model that keeps every seq and every reservation and adds them up anew.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use std::collections::{BTreeMap, BTreeSet};

use amp_protocol::account::ChannelAccount;
use amp_protocol::money::{Amount, Seq};
use proptest::prelude::*;

use super::{ChannelLedger, Request, Reservation, SignerId};
use crate::server::testing::channel_account;

const WINDOW: u32 = 4;
const UNIT_PRICE: u64 = 3;
const RATE_LIMIT: u64 = 40;
const INTERVAL: u32 = 10;

#[derive(Clone, Debug)]
enum Step {
    Admit { signer: u8, seq: u64, price: u64 },
    Charge { which: usize, used: u64, stored: bool },
    Release { which: usize },
    Wait { seconds: i64 },
    Settle,
    TopUp { amount: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2u8, 0..60u64, 0..12u64).prop_map(|(signer, seq, price)| Step::Admit { signer, seq, price }),
        4 => (any::<usize>(), 0..14u64, any::<bool>())
            .prop_map(|(which, used, stored)| Step::Charge { which, used, stored }),
        2 => any::<usize>().prop_map(|which| Step::Release { which }),
        1 => (0..15i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Settle),
        1 => (1..30u64).prop_map(|amount| Step::TopUp { amount }),
    ]
}

#[derive(Default)]
struct Model {
    accepted: BTreeMap<u8, BTreeSet<u64>>,
    spent: BTreeMap<u8, u64>,
    open: Vec<(u8, u64)>,
}

impl Model {
    fn used(&self, signer: Option<u8>) -> u64 {
        let is = |other: u8| signer.is_none_or(|signer| signer == other);
        let spent: u64 = self.spent.iter().filter(|(key, _)| is(**key)).map(|(_, spent)| spent).sum();
        spent + self.open.iter().filter(|(key, _)| is(*key)).map(|(_, price)| price).sum::<u64>()
    }

    fn admits(&self, account: &ChannelAccount, signer: u8, seq: u64, price: u64, now: i64) -> bool {
        let none = BTreeSet::new();
        let accepted = self.accepted.get(&signer).unwrap_or(&none);
        let floor = accepted.iter().rev().nth(WINDOW as usize).copied().unwrap_or(0);
        let highest = accepted.last().copied().unwrap_or(0).max(seq);
        let deposited = account.books.deposited.get();
        let window = account.books.window.at(now, INTERVAL).unwrap();
        let unclaimed = self.used(None) - account.books.claimed.get();
        let fresh = seq > floor && !accepted.contains(&seq) && seq * UNIT_PRICE <= deposited;
        let paid = self.used(Some(signer)) + price <= highest * UNIT_PRICE
            && self.used(None) + price <= deposited
            && unclaimed + price <= RATE_LIMIT - window.claimed.get();
        fresh && (price == 0 || paid)
    }
}

fn id(signer: u8) -> SignerId {
    SignerId { key: [signer; 32], epoch: 1 }
}

/// Runs one step on both; `Err` where they differ.
fn run(
    step: &Step,
    ledger: &mut ChannelLedger,
    model: &mut Model,
    open: &mut Vec<Reservation>,
    account: &mut ChannelAccount,
    now: &mut i64,
) -> Result<(), TestCaseError> {
    match *step {
        Step::Admit { signer, seq, price } => {
            let request =
                Request { signer: id(signer), seq: Seq::new(seq), sig: [0; 64], price: Amount::new(price) };
            let expected = model.admits(account, signer, seq, price, *now);
            let outcome = ledger.admit(account, &request, WINDOW, *now);
            prop_assert_eq!(outcome.is_ok(), expected, "{:?}", outcome);
            if let Ok(reservation) = outcome {
                prop_assert!(model.accepted.entry(signer).or_default().insert(seq), "{} twice", seq);
                model.open.push((signer, price));
                open.push(reservation);
            }
        }
        Step::Charge { which, used, stored } if !open.is_empty() => {
            let which = which % open.len();
            let (reservation, (signer, price)) = (open.remove(which), model.open.remove(which));
            let record = ledger.charge(&reservation, Amount::new(used), *now).unwrap();
            if stored {
                ledger.committed_record(&reservation, record);
                *model.spent.entry(signer).or_default() += used.min(price);
            } else {
                ledger.undo(&reservation, Amount::new(used));
            }
        }
        Step::Release { which } if !open.is_empty() => {
            let which = which % open.len();
            model.open.remove(which);
            ledger.release(&open.remove(which));
        }
        Step::Charge { .. } | Step::Release { .. } => {}
        Step::Wait { seconds } => *now += seconds,
        Step::Settle => {
            // what admission lets through can always be collected at once, all of it
            let spent = Amount::new(model.spent.values().sum());
            let due = spent.checked_sub(account.books.claimed).unwrap();
            let window = account.books.window.at(*now, INTERVAL).unwrap();
            account.books.window = window.claim(due, account.terms.rate_limit()).unwrap();
            account.books.claimed = spent;
        }
        Step::TopUp { amount } => {
            account.books.deposited = account.books.deposited.checked_add(Amount::new(amount)).unwrap();
        }
    }
    prop_assert_eq!(ledger.in_flight(), open.len() as u64);
    prop_assert_eq!(ledger.spent_total(), Some(Amount::new(model.spent.values().sum())));
    prop_assert!(model.used(None) <= account.books.deposited.get());
    for record in ledger.committed() {
        let ceiling = u128::from(record.seq.get()) * u128::from(UNIT_PRICE);
        prop_assert!(u128::from(record.spent.get()) <= ceiling, "the committed credential covers its spent");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_interleaving_passes_ceiling_deposit_or_rate_or_takes_a_seq_twice(
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut account = channel_account();
        account.books.deposited = Amount::new(60);
        account.books.window.started_at = 0;
        account.terms.unit_price = UNIT_PRICE;
        account.terms.rate_limit = RATE_LIMIT;
        account.terms.settle_interval = INTERVAL;
        let (mut ledger, mut model, mut open, mut now) = Default::default();
        for step in &steps {
            run(step, &mut ledger, &mut model, &mut open, &mut account, &mut now)?;
        }
    }
}
