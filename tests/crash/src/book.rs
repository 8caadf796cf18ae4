//! What the client of one channel saw.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::PRICE;

/// What is known of a seq that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is under way.
    Sent,
    /// The connection broke before an answer came.
    Lost,
    /// Answered with success.
    Served,
    /// Lost, and refused as used when it was sent again: it may have been charged for.
    Used,
}

/// A broken promise of the service's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A seq was served after its answer had come, or after it was refused as used.
    ServedTwice(u64),
    /// A seq that was never lost was refused as used.
    NeverUsed(u64),
    /// With one request at a time there is no doubt about what is spent.
    Spent {
        /// What the service says, in base units.
        said: u64,
        /// What it must be.
        expected: u64,
    },
    /// Less was claimed than was served.
    Unclaimable {
        /// In base units.
        claimed: u64,
        /// In base units.
        served: u64,
    },
    /// More was claimed than what was served and what nobody can know.
    Overcharged {
        /// In base units.
        claimed: u64,
        /// In base units.
        most: u64,
    },
    /// An answer that no honest client should get.
    Refused(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServedTwice(seq) => write!(f, "seq {seq} was served twice"),
            Self::NeverUsed(seq) => write!(f, "seq {seq} was refused as used, and never had been"),
            Self::Spent { said, expected } => write!(f, "spent is {said}, and should be {expected}"),
            Self::Unclaimable { claimed, served } => write!(f, "{served} were served, and {claimed} claimed"),
            Self::Overcharged { claimed, most } => {
                write!(f, "{claimed} were claimed, and at most {most} charged")
            }
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// The seqs of one channel, each for one call of [`PRICE`].
#[derive(Debug)]
pub struct Book {
    fates: BTreeMap<u64, Fate>,
    again: VecDeque<u64>,
    last: u64,
    step: u64,
}

impl Default for Book {
    fn default() -> Self {
        Self::with_step(PRICE)
    }
}

impl Book {
    /// Seqs that are `step` apart: above [`PRICE`] there is room for what dead processes have set aside.
    pub fn with_step(step: u64) -> Self {
        Self { fates: BTreeMap::new(), again: VecDeque::new(), last: 0, step }
    }

    /// The next seq to send: those that were lost before any new one.
    pub fn take_seq(&mut self) -> u64 {
        let seq = self.again.pop_front().unwrap_or(self.last + self.step);
        self.last = self.last.max(seq);
        self.fates.insert(seq, if self.fates.contains_key(&seq) { Fate::Lost } else { Fate::Sent });
        seq
    }

    /// The highest seq that was sent; 0: none.
    pub fn last_seq(&self) -> u64 {
        self.last
    }

    /// Whether lost seqs are still to be asked about.
    pub fn has_lost(&self) -> bool {
        !self.again.is_empty()
    }

    /// The answer did not come.
    pub fn lost(&mut self, seq: u64) {
        self.fates.insert(seq, Fate::Lost);
        self.again.push_back(seq);
    }

    /// The answer came, with success.
    pub fn served(&mut self, seq: u64) -> Result<(), Violation> {
        match self.fates.insert(seq, Fate::Served) {
            Some(Fate::Sent | Fate::Lost) => Ok(()),
            _ => Err(Violation::ServedTwice(seq)),
        }
    }

    /// The seq was refused as used.
    pub fn used(&mut self, seq: u64) -> Result<(), Violation> {
        match self.fates.insert(seq, Fate::Used) {
            Some(Fate::Lost) => Ok(()),
            _ => Err(Violation::NeverUsed(seq)),
        }
    }

    /// With one request at a time: the service's `spent` must be what was served, and what was used.
    pub fn spent_exactly(&self, said: u64) -> Result<(), Violation> {
        let (served, used) = self.counts();
        let expected = (served + used) * PRICE;
        if said == expected { Ok(()) } else { Err(Violation::Spent { said, expected }) }
    }

    /// What was claimed on chain must be at least what was served, and at most that and what was used.
    pub fn claimed(&self, claimed: u64) -> Result<(), Violation> {
        let (served, used) = self.counts();
        let (served, most) = (served * PRICE, (served + used + self.open()) * PRICE);
        if claimed < served {
            return Err(Violation::Unclaimable { claimed, served });
        }
        if claimed > most {
            return Err(Violation::Overcharged { claimed, most });
        }
        Ok(())
    }

    /// Calls served, and calls of which only the service knows.
    pub fn counts(&self) -> (u64, u64) {
        (self.count(Fate::Served), self.count(Fate::Used))
    }

    /// The `nth` newest seq that was served.
    pub fn served_before(&self, nth: usize) -> Option<u64> {
        let served = self.fates.iter().rev().filter(|(_, fate)| **fate == Fate::Served);
        served.map(|(seq, _)| *seq).nth(nth)
    }

    fn open(&self) -> u64 {
        self.count(Fate::Sent) + self.count(Fate::Lost)
    }

    fn count(&self, wanted: Fate) -> u64 {
        self.fates.values().map(|fate| u64::from(*fate == wanted)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_seqs_are_sent_again_before_new_ones() {
        let mut book = Book::default();
        assert_eq!([book.take_seq(), book.take_seq()], [10, 20]);
        book.lost(20);
        book.lost(10);
        assert_eq!([book.take_seq(), book.take_seq(), book.take_seq()], [20, 10, 30]);
    }

    #[test]
    fn a_seq_that_is_served_twice_is_a_violation() {
        let mut book = Book::default();
        let seq = book.take_seq();
        assert_eq!(book.served(seq), Ok(()));
        assert_eq!(book.served(seq), Err(Violation::ServedTwice(seq)));
        let seq = book.take_seq();
        book.lost(seq);
        assert_eq!(book.take_seq(), seq);
        assert_eq!(book.used(seq), Ok(()));
        assert_eq!(book.served(seq), Err(Violation::ServedTwice(seq)));
    }

    #[test]
    fn a_seq_that_was_never_lost_is_not_used() {
        let mut book = Book::default();
        let seq = book.take_seq();
        assert_eq!(book.used(seq), Err(Violation::NeverUsed(seq)));
    }

    #[test]
    fn claims_lie_between_what_was_served_and_what_nobody_knows() {
        let mut book = Book::default();
        let (served, used, lost) = (book.take_seq(), book.take_seq(), book.take_seq());
        book.served(served).unwrap();
        book.lost(used);
        assert_eq!(book.take_seq(), used);
        book.used(used).unwrap();
        book.lost(lost);
        assert_eq!(book.claimed(9), Err(Violation::Unclaimable { claimed: 9, served: 10 }));
        assert_eq!([book.claimed(10), book.claimed(30)], [Ok(()), Ok(())]);
        assert_eq!(book.claimed(31), Err(Violation::Overcharged { claimed: 31, most: 30 }));
        assert_eq!(book.spent_exactly(20), Ok(()));
        assert_eq!(book.spent_exactly(30), Err(Violation::Spent { said: 30, expected: 20 }));
    }
}
