//! Which signer a credential is of, and by what right: only (channel, seq, signature) travel.

use std::net::IpAddr;
use std::sync::Arc;

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::CredentialBody;
use amp_protocol::message::Key;
use tokio::time::Instant;

use super::books::Book;
use super::channels::{Channel, View};
use super::config::ServiceConfig;
use super::delegates::Delegations;
use super::denial::Denial;
use super::ledger::{Authority, Remedy, SignerId};
use super::peers::Paid;
use super::policy;
use super::prices::PriceList;
use super::service::{Core, Refused, incarnation};
use super::store::Incarnation;
use super::views::Freshness;
use crate::signed;

/// A credential, and who shows it for what.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) credential: &'a CredentialBody,
    pub(crate) policy: Policy,
    /// Where it came from, if that is known.
    pub(crate) peer: Option<IpAddr>,
    /// Whether a view will do that is older than it should be, while the chain does not answer.
    pub(crate) old_view_will_do: bool,
}

/// Whether a channel may be used for what is asked.
pub(crate) type Policy = fn(&ServiceConfig, &PriceList, Key, &ChannelAccount) -> Result<(), Denial>;

/// A credential whose signature verifies.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) account: Arc<Channel>,
    pub(crate) signer: SignerId,
    /// It may have ended.
    pub(crate) authority: Authority,
    /// How old the view of the channel is.
    pub(crate) age: Age,
}

/// How old a view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// No older than the configuration allows.
    Fresh,
    /// Older: the chain does not answer. What is admitted on it is counted.
    Old,
}

/// Whether it is known whose signature a credential has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Known,
    Unknown,
}

/// What a credential was held against.
enum Seen {
    NoChannel,
    /// The policy is against the channel.
    Unfit(Arc<Channel>, Denial),
    /// The authorized signer signed.
    Authorized(Arc<Channel>, Age),
    /// It did not, and there are no delegates.
    Nobody(Arc<Channel>),
    /// It did not: one of these may have.
    Other(Arc<Channel>, Arc<Delegations>),
}

/// Who shows a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shower {
    /// Anybody.
    Stranger,
    /// Who holds a key of the channel's.
    Signer,
}

impl Seen {
    /// Who it was, after a refusal.
    fn shower(&self, credential: &CredentialBody, refused: &Refused) -> Shower {
        let signed = match self {
            Self::NoChannel | Self::Nobody(_) => false,
            Self::Unfit(account, _) => account.has_signed(credential),
            Self::Authorized(..) => true,
            Self::Other(..) => refused.remedy != Remedy::LookForSigner,
        };
        if signed { Shower::Signer } else { Shower::Stranger }
    }

    /// Whether the authorized signer signed, where that was found out with this very view of the channel.
    fn is_authorized(&self, by: &Arc<Channel>) -> Option<bool> {
        match self {
            Self::Authorized(account, _) if Arc::ptr_eq(account, by) => Some(true),
            Self::Nobody(account) | Self::Other(account, _) if Arc::ptr_eq(account, by) => Some(false),
            _ => None,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NoChannel, Self::NoChannel) => true,
            (Self::Unfit(a, _), Self::Unfit(b, _))
            | (Self::Authorized(a, _), Self::Authorized(b, _))
            | (Self::Nobody(a), Self::Nobody(b)) => Arc::ptr_eq(a, b),
            (Self::Other(a, a_delegations), Self::Other(b, b_delegations)) => {
                Arc::ptr_eq(a, b) && Arc::ptr_eq(a_delegations, b_delegations)
            }
            _ => false,
        }
    }
}

impl Core {
    /// Verifies a credential and acts on it, with the channel as it is known; where that is refused for
    /// what may have changed since, once more with what the chain says now: a top-up may have landed, a
    /// channel may have been reopened, a delegation made.
    pub(crate) async fn look<T, A>(
        &self,
        shown: Shown<'_>,
        act: impl Fn(Verified) -> A + Send + Sync,
    ) -> Result<T, Denial>
    where
        A: Future<Output = Result<T, Refused>> + Send,
    {
        let mut paid = None;
        let looked = self.look_twice(shown, act, &mut paid).await;
        if let (Ok(_) | Err((_, Shower::Signer)), Some(paid)) = (&looked, paid) {
            self.peers.give_back(paid);
        }
        looked.map_err(|(denial, _)| denial)
    }

    async fn look_twice<T, A>(
        &self,
        shown: Shown<'_>,
        act: impl Fn(Verified) -> A + Send + Sync,
        paid: &mut Option<Paid>,
    ) -> Result<T, (Denial, Shower)>
    where
        A: Future<Output = Result<T, Refused>> + Send,
    {
        let Shown { credential, .. } = shown;
        let channel = credential.channel.0;
        let arrived = Instant::now();
        let stranger = |denial| (denial, Shower::Stranger);
        // one that was served is known, though its view may be gone: after a start, or for want of room
        let is_known = self.channels.holds(channel)
            || self.channels.knows(channel, Freshness::Cached)
            || !self.books.of(channel).is_empty();
        if !is_known {
            self.pay_for_look(shown, paid).map_err(stranger)?;
        }
        let seen = self.see(shown, Freshness::Cached, Whose::Unknown, None).await.map_err(stranger)?;
        let (refused, shower) = match self.attempt(credential, &seen, &act).await {
            Ok(done) => return Ok(done),
            Err(refused) => {
                let shower = seen.shower(credential, &refused);
                (refused, shower)
            }
        };
        // boxed: a request holds room for it, and few need it
        Box::pin(self.look_again(shown, act, paid, arrived, (seen, refused, shower))).await
    }

    /// The second look, where one may help.
    async fn look_again<T, A>(
        &self,
        shown: Shown<'_>,
        act: impl Fn(Verified) -> A + Send + Sync,
        paid: &mut Option<Paid>,
        arrived: Instant,
        (seen, refused, shower): (Seen, Refused, Shower),
    ) -> Result<T, (Denial, Shower)>
    where
        A: Future<Output = Result<T, Refused>> + Send,
    {
        let Shown { credential, .. } = shown;
        let channel = credential.channel.0;
        let stranger = |denial| (denial, Shower::Stranger);
        let seen = match refused.remedy {
            Remedy::None => return Err((refused.denial, shower)),
            Remedy::Time => {
                let synced = self.time.sync_soon(&*self.chain).await;
                synced.map_err(|error| (Denial::chain(&error), shower))?;
                seen
            }
            Remedy::Look | Remedy::LookForSigner => {
                let whose = match refused.remedy {
                    Remedy::LookForSigner => Whose::Unknown,
                    _ => Whose::Known,
                };
                let since = Freshness::Since(arrived);
                let is_known = refused.remedy == Remedy::Look && self.channels.knows(channel, since);
                if shower == Shower::Stranger && !is_known {
                    self.pay_for_look(shown, paid).map_err(stranger)?;
                }
                let newer = self.see(shown, since, whose, Some(&seen)).await;
                let newer = newer.map_err(|denial| (denial, shower))?;
                if newer.is_same(&seen) {
                    return Err((refused.denial, shower));
                }
                newer
            }
        };
        let attempted = self.attempt(credential, &seen, &act).await;
        attempted.map_err(|refused| {
            let shower = seen.shower(credential, &refused);
            (refused.denial, shower)
        })
    }

    /// Takes a look at the chain from the budget of whoever shows a credential that proves nothing so far, once
    /// per credential.
    ///
    /// Without a budget it is told to come back: that there is no such channel, or that the signature is wrong,
    /// would make an honest client behind the same address open another channel or give up its own.
    fn pay_for_look(&self, shown: Shown<'_>, paid: &mut Option<Paid>) -> Result<(), Denial> {
        if paid.is_none() {
            let message = "too many channels and signatures that prove to be nobody's come from your address";
            let refused = |retry_after| Denial::Unavailable { message, retry_after };
            *paid = Some(self.peers.take(shown.peer).map_err(refused)?);
        }
        Ok(())
    }

    /// The channel, as new as it must be; or, if that will do, an older view while the chain does not answer.
    async fn view(&self, shown: Shown<'_>, freshness: Freshness) -> Result<(View, Age), Denial> {
        let channel = shown.credential.channel.0;
        let old_view = || {
            let may_be_old = shown.old_view_will_do && freshness == Freshness::Cached;
            let age = self.outage.oldest_view().filter(|_| may_be_old)?;
            Some((self.channels.younger_than(channel, age)?, Age::Old))
        };
        // it is not asked again for each request: each would wait for an answer that does not come
        if let Some(view) = old_view()
            && !self.channels.knows(channel, freshness)
        {
            return Ok(view);
        }
        match self.channels.get(channel, freshness).await {
            Ok(view) => Ok((view, Age::Fresh)),
            Err(error) => old_view().ok_or_else(|| Denial::chain(&error)),
        }
    }

    /// Looks at the channel, and at its delegations where they matter: the authorized signer's key does
    /// not verify.
    ///
    /// The channel tells when the last delegation was made. So a signature of nobody's brings about no
    /// search for delegates where there are none, nor a newer one where all are known: one look at the
    /// channel answers it.
    async fn see(
        &self,
        shown: Shown<'_>,
        freshness: Freshness,
        whose: Whose,
        before: Option<&Seen>,
    ) -> Result<Seen, Denial> {
        let Shown { credential, policy, .. } = shown;
        let channel = credential.channel.0;
        let unreachable = |error| Denial::chain(&error);
        let (view, age) = self.view(shown, freshness).await?;
        let Some(account) = view else {
            return Ok(Seen::NoChannel);
        };
        if let Err(denial) = policy(&self.config, &self.prices.now(), channel, &account) {
            return Ok(Seen::Unfit(account, denial));
        }
        // the same signature over the same view is checked once: bad ones come in floods
        let known = before.and_then(|before| before.is_authorized(&account));
        let check = || self.metrics.requests.verify(|| account.has_signed(credential));
        if known.unwrap_or_else(check) {
            return Ok(Seen::Authorized(account, age));
        }
        if age == Age::Old {
            // a delegate's right hangs on a second view, which may be incomplete where the chain answers in
            // part: it waits
            return Err(Denial::unavailable("the service can't reach the chain"));
        }
        if account.delegated_slot == 0 {
            return Ok(Seen::Nobody(account));
        }
        let incarnation = incarnation(channel, &account);
        if freshness != Freshness::Cached && whose == Whose::Unknown {
            let known = self.delegates.get(incarnation, Freshness::Cached).await.map_err(unreachable)?;
            if known.are_all(account.delegated_slot) {
                return Ok(Seen::Other(account, known));
            }
        }
        let found = self.delegates.get(incarnation, freshness).await;
        Ok(Seen::Other(account, found.map_err(unreachable)?))
    }

    /// A signer's standing once more, as it is now: its channel may be closing, its delegation revoked. What it
    /// signed is not looked at again.
    pub(crate) async fn standing(
        &self,
        verified: &Verified,
        channel: Key,
        freshness: Freshness,
    ) -> Result<Verified, Denial> {
        let unreachable = |error| Denial::chain(&error);
        let opened_slot = verified.account.opened_slot;
        let view = self.channels.get(channel, freshness).await.map_err(unreachable)?;
        let same = view.filter(|account| account.opened_slot == opened_slot);
        let account = same.ok_or_else(|| Denial::closed(channel))?;
        policy::check(&self.config, &self.prices.now(), channel, &account)?;
        let authority = match verified.authority {
            Authority::Channel(_) => Authority::channel(&account),
            Authority::Delegation(_) => {
                let found = self.delegates.get(incarnation(channel, &account), freshness).await;
                let delegation = found.map_err(unreachable)?.of(&verified.signer);
                Authority::Delegation(delegation.ok_or_else(|| Denial::invalid_sig(channel))?)
            }
        };
        policy::check_authority(&self.config, channel, &authority)?;
        Ok(Verified { account, signer: verified.signer, authority, age: Age::Fresh })
    }

    /// Policy, then the signature, then the act: nothing of the ledger is shown to or changed by
    /// whoever does not hold a signer's key.
    async fn attempt<T, A>(
        &self,
        credential: &CredentialBody,
        seen: &Seen,
        act: &(impl Fn(Verified) -> A + Send + Sync),
    ) -> Result<T, Refused>
    where
        A: Future<Output = Result<T, Refused>> + Send,
    {
        let channel = credential.channel.0;
        let verified = match seen {
            Seen::NoChannel => return Err(Refused::by_chain(self.unknown(credential))),
            Seen::Unfit(account, denial) => {
                // not served, but what it owes is to be collected
                let payee = policy::check_payee(&self.config, &self.prices.now(), channel, account).is_ok();
                if payee && account.has_signed(credential) {
                    self.take_up(channel, account).await.map_err(Refused::for_now)?;
                }
                return Err(Refused::by_chain(denial.clone()));
            }
            Seen::Authorized(account, age) => {
                self.take_up(channel, account).await.map_err(Refused::for_now)?;
                let (signer, authority) = (SignerId::authorized(account), Authority::channel(account));
                Verified { account: account.clone(), signer, authority, age: *age }
            }
            Seen::Nobody(_) => return Err(Refused::nobodys(channel)),
            Seen::Other(account, delegations) => {
                let delegate = self.metrics.requests.verify(|| delegations.signer_of(credential));
                let delegate = delegate.ok_or_else(|| Refused::nobodys(channel))?;
                self.take_up(channel, account).await.map_err(Refused::for_now)?;
                let authority = Authority::Delegation(delegate.delegation);
                let signer = SignerId::delegate(delegate);
                Verified { account: account.clone(), signer, authority, age: Age::Fresh }
            }
        };
        act(verified).await
    }

    /// Makes the books of a channel whole before they are used, at the word of one of its signers: who
    /// does not hold a key makes no work for the store or the node.
    async fn take_up(&self, channel: Key, account: &ChannelAccount) -> Result<(), Denial> {
        let incarnation = incarnation(channel, account);
        if self.store.shared().is_some() {
            return Box::pin(self.take_up_shared(incarnation, account)).await;
        }
        if self.books.find(&incarnation).is_none() {
            // the channel may have been served before, taken for closed and forgotten, and be on chain
            // after all: new books would serve its used seqs again
            let stored = self.store.recall(incarnation, self.config.seq_window).await;
            if let Some(stored) = stored.map_err(|error| Denial::store(&error))? {
                self.books.recall(stored);
            }
        }
        let book = if account.books.claimed == account.signer.claimed {
            self.books.find(&incarnation)
        } else {
            // delegates were claimed from, which is the recipient's doing: there are books, or were
            Some(self.books.open(incarnation))
        };
        match book.filter(|book| !book.ledger().claims_are_noted(account)) {
            Some(book) => Box::pin(self.note_claims(&book)).await,
            None => Ok(()),
        }
    }

    /// The same where other processes serve the channel, too: the first turn brings what is stored, and whatever
    /// was claimed since the claims were noted may have been claimed by another process.
    async fn take_up_shared(&self, incarnation: Incarnation, account: &ChannelAccount) -> Result<(), Denial> {
        if account.books.claimed == account.signer.claimed {
            return Ok(());
        }
        let book = self.books.open(incarnation);
        if book.ledger().noted_claims() >= Some(account.books.claimed) {
            return Ok(());
        }
        self.note_claims(&book).await
    }

    /// Holds the chain's claims against the books. What was claimed by then was spent in books that are read
    /// after it.
    async fn note_claims(&self, book: &Arc<Book>) -> Result<(), Denial> {
        let moment = self.moment(book).await?;
        self.refresh(book).await.map_err(|error| Denial::store(&error))?;
        book.ledger().note_claims(&moment.account, &moment.claimed, self.config.seq_window);
        Ok(())
    }

    /// There is no channel at the address; its last signers are told that it was closed.
    fn unknown(&self, credential: &CredentialBody) -> Denial {
        let channel = credential.channel.0;
        let most = usize::try_from(self.config.max_delegates).unwrap_or(usize::MAX).saturating_add(1);
        let verifies = |key: &Key, epoch| signed::verify_credential(credential, epoch, key);
        if self.books.of(channel).iter().any(|book| book.ledger().any_signer(most, verifies)) {
            return Denial::closed(channel);
        }
        Denial::no_channel(channel)
    }
}
