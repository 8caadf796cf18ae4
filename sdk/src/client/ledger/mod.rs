//! One channel's books as the client keeps them. Pure: what may be signed next, and whether what a
//! service says it charged is what was agreed.

use amp_protocol::money::{Amount, Seq, UnitPrice};

/// The books of one signer on one channel.
///
/// Every call whose credential was sent is in exactly one of three places: its price is in `in_flight`
/// until it is answered; its cost is in `acknowledged` once the service has said so; a call that got
/// lost on the way is in neither, and its price stays in `agreed`, since the service may have served it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Base units that a step of seq authorizes.
    pub unit_price: UnitPrice,
    /// Deposited so far.
    pub deposited: Amount,
    /// The most a delegate may ever be claimed for. `None`: it is the authorized signer, without a limit.
    pub limit: Option<Amount>,
    /// The highest seq that was ever signed.
    pub last_signed: Seq,
    /// The highest total that the service has said it charged.
    pub acknowledged: Amount,
    /// The most it may have charged: costs of answered calls, prices of all others.
    pub agreed: Amount,
    /// Prices of the calls that are on their way.
    pub in_flight: Amount,
    /// What streams that are under way may cost beyond what was signed for them so far.
    pub unsigned: Amount,
    /// The same of streams that were lost: agreed to, and never signed for.
    pub lapsed: Amount,
}

/// What a call asks of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The call's price, or what is signed for a stream at first.
    pub price: Amount,
    /// The most that it may cost, where that is more than what is signed for it now.
    pub agreed: Option<Amount>,
    /// Whether it takes whatever was signed for before and is not used, as the service lets a stream do: calls beside it
    /// must not count on that.
    pub takes_unused: bool,
    /// Signed on top, where the deposit has room.
    pub prepay: Amount,
    /// The seq that the service asked for. It is no reason to sign more: where the books as they are need
    /// less, nothing is signed. Lost calls that were charged must be acknowledged first.
    pub at_least: Seq,
}

impl Ask {
    /// The most that it may cost.
    pub fn agreed(&self) -> Amount {
        self.agreed.unwrap_or(self.price)
    }
}

/// What a call that is under way takes of the books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What was signed for it.
    pub price: Amount,
    /// What it may cost: of a stream, more than what is signed for it so far.
    pub agreed: Amount,
}

impl Share {
    /// What it may cost beyond what is signed for it.
    pub fn unsigned(self) -> Amount {
        self.agreed.checked_sub(self.price).unwrap_or(Amount::ZERO)
    }
}

impl From<Amount> for Share {
    /// A call that costs no more than what it is signed for.
    fn from(price: Amount) -> Self {
        Self { price, agreed: price }
    }
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The deposit does not cover it: top up to at least `needed`.
    #[error("the call needs a deposit of {needed} base units, the channel has {deposited}")]
    DepositTooSmall {
        /// The ceiling that would have been signed.
        needed: Amount,
        /// What was deposited.
        deposited: Amount,
    },
    /// The delegate's limit does not cover it: the funder has to raise it to at least `needed`.
    #[error("the call needs a limit of {needed} base units, the delegation has {limit}")]
    LimitTooSmall {
        /// The ceiling that would have been signed.
        needed: Amount,
        /// The limit.
        limit: Amount,
    },
    /// The service wants a higher seq than what it has shown to be charged, and the calls in flight, need.
    #[error(
        "the service asks for seq {required}, what it has shown to be charged and the calls in flight need at most {justified}"
    )]
    Unjustified {
        /// What it asks for.
        required: Seq,
        /// What the client's own books justify.
        justified: Seq,
    },
}

/// A charge that nobody agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overcharge {
    /// A call cost more than its price.
    #[error("the call cost {cost} base units, its price is {price}")]
    Cost {
        /// What was charged.
        cost: Amount,
        /// What was agreed to.
        price: Amount,
    },
    /// All calls together cost more than was agreed to.
    #[error("{total} base units are charged in all, at most {agreed} were agreed to")]
    Total {
        /// What the service says.
        total: Amount,
        /// What was agreed to.
        agreed: Amount,
    },
    /// More was charged than was ever signed for.
    #[error("{total} base units are charged in all, seq {last_signed} authorizes less")]
    Unsigned {
        /// What the service says.
        total: Amount,
        /// The highest seq that was signed.
        last_signed: Seq,
    },
    /// All signers together were charged more than was agreed to and the delegates can have spent.
    #[error(
        "{total} base units are charged in all, at most {own} were agreed to and {delegated} can be the delegates'"
    )]
    WithDelegates {
        /// What the service says.
        total: Amount,
        /// What was agreed to and signed for.
        own: Amount,
        /// The most that the delegates can have spent.
        delegated: Amount,
    },
}

impl Ledger {
    /// The books of a channel that nothing was paid on.
    pub const fn new(unit_price: UnitPrice, deposited: Amount) -> Self {
        let zero = Amount::ZERO;
        Self {
            unit_price,
            deposited,
            limit: None,
            last_signed: Seq::ZERO,
            acknowledged: zero,
            agreed: zero,
            in_flight: zero,
            unsigned: zero,
            lapsed: zero,
        }
    }

    /// The seq to sign for a call, and the books once it is signed.
    ///
    /// Its ceiling is at most what is acknowledged and in flight, this call included, rounded up to a
    /// unit, plus the prepay; or one unit above the last, where a call that got lost has raised that
    /// already: so a lost call leaves one unit of exposure, whatever its price.
    pub fn reserve(&self, ask: Ask) -> Result<(Seq, Self), LedgerError> {
        self.reserve_more(ask, Share::default()).map(|(seq, books, _)| (seq, books))
    }

    /// The same for more of a call that has taken `before` already; and what it takes with it.
    pub fn reserve_more(&self, ask: Ask, before: Share) -> Result<(Seq, Self, Share), LedgerError> {
        let seq = self.next_seq(ask, before)?;
        let overflow = || self.too_small(Amount::MAX);
        let wanted = if ask.takes_unused { self.headroom(seq).max(ask.price) } else { ask.price };
        let price = before.price.checked_add(wanted).ok_or_else(overflow)?;
        // a stream was agreed to as a whole; any other call, as far as it is signed for
        let agreed = ask.agreed.unwrap_or(price).max(before.agreed);
        let share = Share { price, agreed };
        let newly_agreed = agreed.checked_sub(before.agreed).unwrap_or(Amount::ZERO);
        let unsigned = self.unsigned.checked_sub(before.unsigned()).unwrap_or(Amount::ZERO);
        let books = Self {
            last_signed: seq,
            agreed: self.agreed.checked_add(newly_agreed).ok_or_else(overflow)?,
            in_flight: self.in_flight.checked_add(wanted).ok_or_else(overflow)?,
            unsigned: unsigned.checked_add(share.unsigned()).ok_or_else(overflow)?,
            ..*self
        };
        Ok((seq, books, share))
    }

    /// What a credential with `seq` authorizes beyond what is acknowledged and in flight.
    fn headroom(&self, seq: Seq) -> Amount {
        let ceiling = self.unit_price.ceiling(seq).amount().unwrap_or(Amount::MAX);
        ceiling.checked_sub(self.expected()).unwrap_or(Amount::ZERO)
    }

    /// What will be charged once everything in flight is, at its price.
    fn expected(&self) -> Amount {
        // calls in flight may be acknowledged already, through an answer to a later one, and a stream in part: never
        // count them twice, or a stream would be signed for beyond what it may cost
        let unsigned = self.unsigned.checked_add(self.lapsed).unwrap_or(Amount::MAX);
        let signed_for = self.agreed.checked_sub(unsigned).unwrap_or(Amount::ZERO).max(self.acknowledged);
        self.acknowledged.checked_add(self.in_flight).unwrap_or(Amount::MAX).min(signed_for)
    }

    /// The most that will be charged if streams under way take what others signed for and did not use, too.
    fn possible(&self) -> Amount {
        let sum =
            self.acknowledged.checked_add(self.in_flight).and_then(|sum| sum.checked_add(self.unsigned));
        sum.unwrap_or(Amount::MAX).min(self.agreed)
    }

    fn next_seq(&self, ask: Ask, before: Share) -> Result<Seq, LedgerError> {
        let overflow = self.too_small(Amount::MAX);
        let step = self.last_signed.checked_add(Seq::new(1)).ok_or(overflow)?;
        let newly_agreed = ask.agreed.map_or(Some(ask.price), |agreed| agreed.checked_sub(before.agreed));
        let agreed = self.agreed.checked_add(newly_agreed.unwrap_or(Amount::ZERO)).ok_or(overflow)?;
        // a stream may have been charged out of what others signed for, and nothing is signed for that anew
        let needed = self.expected().checked_add(ask.price).ok_or(overflow)?.min(agreed);
        let mut least = self.unit_price.seq_covering(needed).max(step);
        if ask.at_least > least {
            let possible = self.possible().checked_add(ask.price).ok_or(overflow)?.min(agreed);
            let justified = self.unit_price.seq_covering(possible).max(least);
            if ask.at_least > justified {
                return Err(LedgerError::Unjustified { required: ask.at_least, justified });
            }
            least = ask.at_least;
        }
        let ahead = needed.checked_add(ask.prepay).map(|sum| self.unit_price.seq_covering(sum));
        let ahead = ahead.unwrap_or(least).max(least);
        [ahead, least]
            .into_iter()
            .find(|seq| {
                self.unit_price.ceiling(*seq).amount().is_some_and(|ceiling| ceiling <= self.spendable())
            })
            .ok_or_else(|| self.too_small(self.unit_price.ceiling(least).amount().unwrap_or(Amount::MAX)))
    }

    /// Which of deposit and limit is too small for a ceiling of `needed`, the limit first: its funder can
    /// do nothing without knowing of it.
    fn too_small(&self, needed: Amount) -> LedgerError {
        match self.limit {
            Some(limit) if limit < needed => LedgerError::LimitTooSmall { needed, limit },
            _ => LedgerError::DepositTooSmall { needed, deposited: self.deposited },
        }
    }

    /// The highest ceiling that may be signed.
    pub fn spendable(&self) -> Amount {
        self.limit.map_or(self.deposited, |limit| limit.min(self.deposited))
    }

    /// The highest ceiling that was signed.
    pub fn signed_for(&self) -> Amount {
        self.unit_price.ceiling(self.last_signed).amount().unwrap_or(Amount::MAX)
    }

    /// What would have to be signed for beyond what will be charged, for a ceiling as high as that of `seq`.
    pub(in crate::client) fn missing_to(&self, seq: Seq) -> Amount {
        self.headroom(seq)
    }

    /// The books after an answer. `cost`: what the call was charged, where that is final.
    ///
    /// Answers come in any order, so `spent` may be older than what is acknowledged.
    pub fn answered(
        &self,
        price: Amount,
        cost: Option<Amount>,
        spent: Option<Amount>,
    ) -> Result<Self, Overcharge> {
        self.ended(price, price, cost, spent)
    }

    /// The same for a call of which `price` was signed for, and that was agreed to cost up to `agreed`.
    pub fn ended(
        &self,
        price: Amount,
        agreed: Amount,
        cost: Option<Amount>,
        spent: Option<Amount>,
    ) -> Result<Self, Overcharge> {
        let cost = cost.unwrap_or(agreed);
        let unused = agreed.checked_sub(cost).ok_or(Overcharge::Cost { cost, price: agreed })?;
        let settled = self.without(Share { price, agreed }).no_longer_agreed(unused);
        spent.map_or(Ok(settled), |spent| settled.acknowledge(spent))
    }

    /// The books after the service said what it charged in all.
    pub fn acknowledge(&self, total: Amount) -> Result<Self, Overcharge> {
        if !self.unit_price.ceiling(self.last_signed).covers(total) {
            return Err(Overcharge::Unsigned { total, last_signed: self.last_signed });
        }
        if total > self.agreed {
            return Err(Overcharge::Total { total, agreed: self.agreed });
        }
        Ok(Self { acknowledged: self.acknowledged.max(total), ..*self })
    }

    /// Whether a close may pay this `total` out of `deposited`: up to `delegated` of it may be the
    /// delegates', the rest must have been agreed to and signed for.
    pub fn check_total(&self, total: Amount, delegated: Amount, deposited: Amount) -> Result<(), Overcharge> {
        let own = self.agreed.min(self.signed_for());
        let delegated = deposited.checked_sub(own).unwrap_or(Amount::ZERO).min(delegated);
        match self.acknowledge(total.checked_sub(delegated).unwrap_or(Amount::ZERO)) {
            Ok(_) => Ok(()),
            Err(overcharge) if delegated.is_zero() => Err(overcharge),
            Err(_) => Err(Overcharge::WithDelegates { total, own, delegated }),
        }
    }

    /// The books after a call was refused: nothing was charged.
    pub fn refused(&self, price: Amount, agreed: Amount) -> Self {
        self.without(Share { price, agreed }).no_longer_agreed(agreed)
    }

    /// The books after a call whose outcome nobody knows.
    pub fn lost(&self, share: impl Into<Share>) -> Self {
        let share = share.into();
        let lapsed = self.lapsed.checked_add(share.unsigned()).unwrap_or(Amount::MAX);
        Self { lapsed, ..self.without(share) }
    }

    /// The books without a call that is not under way any more.
    fn without(&self, share: Share) -> Self {
        let less = |sum: Amount, part| sum.checked_sub(part).unwrap_or(Amount::ZERO);
        let (in_flight, unsigned) =
            (less(self.in_flight, share.price), less(self.unsigned, share.unsigned()));
        Self { in_flight, unsigned, ..*self }
    }

    /// What is left of the deposit, or of the limit, when everything in flight is charged at its price.
    pub fn available(&self) -> Amount {
        self.spendable().checked_sub(self.expected()).unwrap_or(Amount::ZERO)
    }

    fn no_longer_agreed(&self, amount: Amount) -> Self {
        // never below what is acknowledged: that much was charged
        let agreed = self.agreed.checked_sub(amount).unwrap_or(Amount::ZERO).max(self.acknowledged);
        Self { agreed, ..*self }
    }
}

#[cfg(test)]
mod tests;
