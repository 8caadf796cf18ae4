use std::collections::BTreeMap;

use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::{Books, Closer, Delegation, RateWindow, SignerBooks, Terms, close, settle};

use super::wide;
use crate::Verdict;
use crate::input::Input;

/// The life of one channel by the rules alone, with a delegate, from the opening to the close: in all that
/// time no signer pays more than it signed for, no window more than the rate, all of them no more than the
/// deposit, and the close gives out what is left.
pub fn rules_history(bytes: &[u8]) -> Verdict {
    let mut input = Input::new(bytes);
    let terms = Terms {
        unit_price: 1 + input.number() / 2,
        rate_limit: 1 + input.number() / 2,
        settle_interval: 1 + input.number32() % 2_592_000,
        close_grace: input.number32() % 2_592_001,
        max_chain_depth: 0,
    };
    let mut life = Life::begin(terms, input.amount(), 1 + input.time().rem_euclid(1 << 40));
    // at most as many acts as a corpus file has bytes
    while !input.is_empty() {
        life.act(&mut input);
    }
    life.end(input.amount())
}

struct Life {
    terms: Terms,
    books: Books,
    signer: SignerBooks,
    delegate: Option<Delegation>,
    opened_at: i64,
    now: i64,
    /// Highest seq that each has signed: authorized signer, delegate.
    signed: [u64; 2],
    paid: [i128; 2],
    /// Paid in each window, by its number.
    by_window: BTreeMap<i64, i128>,
    settlements: u32,
}

impl Life {
    fn begin(terms: Terms, deposited: Amount, now: i64) -> Self {
        let window = RateWindow { started_at: now, claimed: Amount::ZERO };
        Self {
            terms,
            books: Books { deposited, claimed: Amount::ZERO, window, closing: false },
            signer: SignerBooks { claimed: Amount::ZERO, last_settled_at: now },
            delegate: None,
            opened_at: now,
            now,
            signed: [0; 2],
            paid: [0; 2],
            by_window: BTreeMap::new(),
            settlements: 0,
        }
    }

    fn act(&mut self, input: &mut Input) {
        match input.byte() % 8 {
            0 => self.now = self.now.saturating_add(i64::from(input.number32())).min(1 << 60),
            1 => self.now += i64::from(self.terms.settle_interval) * i64::from(input.byte()),
            2 => {
                let more = self.books.deposited.checked_add(input.amount());
                self.books.deposited = more.unwrap_or(self.books.deposited);
            }
            3 => self.books.closing |= input.flag(),
            4 => self.delegate_to(input.amount(), input.time()),
            5 => {
                let revoked = self.delegate.and_then(|delegate| delegate.revoke(self.now).ok());
                self.delegate = revoked.or(self.delegate);
            }
            6 => self.settle(input.number(), input.amount()),
            _ => self.settle_by_delegate(input.number(), input.amount()),
        }
    }

    fn delegate_to(&mut self, limit: Amount, expires_at: i64) {
        let delegate = match self.delegate {
            Some(delegate) => delegate.change(limit, expires_at, self.now),
            None => Delegation::begin(limit, expires_at, self.now),
        };
        self.delegate = delegate.ok().or(self.delegate);
    }

    fn settle(&mut self, seq: u64, owed: Amount) {
        self.signed[0] = self.signed[0].max(seq);
        if let Ok(done) = settle(&self.terms, &self.books, &self.signer, Seq::new(seq), owed, self.now) {
            self.signer = SignerBooks { claimed: done.signer_claimed, last_settled_at: self.now };
            self.book(0, done.payout, Books { claimed: done.claimed, window: done.window, ..self.books });
        }
    }

    fn settle_by_delegate(&mut self, seq: u64, owed: Amount) {
        let Some(delegate) = self.delegate else { return };
        self.signed[1] = self.signed[1].max(seq);
        if let Ok(done) = delegate.settle(&self.terms, &self.books, Seq::new(seq), owed, self.now) {
            let signer = SignerBooks { claimed: done.signer_claimed, last_settled_at: self.now };
            self.delegate = Some(Delegation { signer, ..delegate });
            self.book(1, done.payout, Books { claimed: done.claimed, window: done.window, ..self.books });
            assert!(self.paid[1] <= wide(delegate.limit));
        }
    }

    fn book(&mut self, who: usize, payout: Amount, books: Books) {
        self.books = books;
        self.settlements += 1;
        self.paid[who] += wide(payout);
        let ceiling = i128::from(self.signed[who]).checked_mul(i128::from(self.terms.unit_price)).unwrap();
        assert!(payout > Amount::ZERO && self.paid[who] <= ceiling);
        assert!(self.paid.iter().sum::<i128>() <= wide(self.books.deposited));
        let window = (self.now - self.opened_at) / i64::from(self.terms.settle_interval);
        let in_window = self.by_window.entry(window).or_default();
        *in_window += wide(payout);
        assert!(*in_window <= wide(self.terms.rate_limit()));
    }

    fn end(self, owed_total: Amount) -> Verdict {
        assert_eq!(self.paid.iter().sum::<i128>(), wide(self.books.claimed));
        let closer = Closer::FunderWithStatement(owed_total);
        let (deposited, claimed) = (self.books.deposited, self.books.claimed);
        if let Ok(done) = close(closer, deposited, claimed, 0, self.terms.close_grace, self.now) {
            let refund = wide(deposited) - wide(done.claimed);
            assert!(refund >= 0 && refund + wide(done.payout) + wide(claimed) == wide(deposited));
        }
        if self.settlements > 0 { Verdict::Accepted } else { Verdict::Refused }
    }
}
