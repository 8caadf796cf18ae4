use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::message::Key;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{self, Delegation, Settlement, SignerBooks};

/// A signer in one epoch of its authority: an authority made anew starts new books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SignerId {
    pub(crate) key: Key,
    pub(crate) epoch: u64,
}

impl SignerId {
    /// The channel's authorized signer.
    pub(crate) fn authorized(account: &ChannelAccount) -> Self {
        Self { key: account.authorized_signer, epoch: account.opened_slot }
    }

    /// A delegate.
    pub(crate) fn delegate(account: &DelegationAccount) -> Self {
        Self { key: account.delegate, epoch: account.created_slot }
    }
}

/// What gives a signer the right to spend, and what the chain has booked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// It is the channel's authorized signer.
    Channel(SignerBooks),
    /// It is a delegate.
    Delegation(Delegation),
}

impl Authority {
    /// The authorized signer's.
    pub(crate) fn channel(account: &ChannelAccount) -> Self {
        Self::Channel(account.signer)
    }

    /// What was claimed on the signer's credentials, and when last.
    pub(crate) fn books(&self) -> &SignerBooks {
        match self {
            Self::Channel(books) => books,
            Self::Delegation(delegation) => &delegation.signer,
        }
    }

    /// Most that may ever be charged to the signer, apart from the deposit.
    pub(crate) fn limit(&self) -> Option<Amount> {
        self.delegation().map(|delegation| delegation.limit)
    }

    /// From when on (Unix seconds) nothing new may be spent.
    pub(crate) fn ends_at(&self) -> Option<i64> {
        self.delegation().and_then(Delegation::ends_at)
    }

    /// Whether nothing new may be spent.
    pub(crate) fn has_ended(&self, now: i64) -> bool {
        self.delegation().is_some_and(|delegation| delegation.has_ended(now))
    }

    /// A delegate's delegation.
    pub(crate) fn delegation(&self) -> Option<&Delegation> {
        match self {
            Self::Channel(_) => None,
            Self::Delegation(delegation) => Some(delegation),
        }
    }

    /// What the program makes of a claim of `owed` (cumulative) under a credential with `seq`.
    pub(crate) fn settle(
        &self,
        account: &ChannelAccount,
        seq: Seq,
        owed: Amount,
        now: i64,
    ) -> Result<Settlement, Rejection> {
        let (terms, books) = (&account.terms, &account.books);
        match self {
            Self::Channel(signer) => rules::settle(terms, books, signer, seq, owed, now),
            Self::Delegation(delegation) => delegation.settle(terms, books, seq, owed, now),
        }
    }
}
