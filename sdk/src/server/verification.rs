//! Which signer a credential is of, and by what right: only (channel, seq, signature) travel.

use std::sync::Arc;

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::CredentialBody;
use amp_protocol::message::Key;
use tokio::time::Instant;

use super::channels::Channel;
use super::config::ServiceConfig;
use super::delegates::Delegations;
use super::denial::Denial;
use super::ledger::{Authority, Remedy, SignerId};
use super::policy;
use super::service::{Core, Refused, incarnation};
use super::views::Freshness;
use crate::signed;

/// Whether a channel may be used for what is asked.
pub(crate) type Policy = fn(&ServiceConfig, Key, &ChannelAccount) -> Result<(), Denial>;

/// A credential whose signature verifies.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) account: Arc<Channel>,
    pub(crate) signer: SignerId,
    /// It may have ended.
    pub(crate) authority: Authority,
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
    Authorized(Arc<Channel>),
    /// It did not, and there are no delegates.
    Nobody(Arc<Channel>),
    /// It did not: one of these may have.
    Other(Arc<Channel>, Arc<Delegations>),
}

impl Seen {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NoChannel, Self::NoChannel) => true,
            (Self::Unfit(a, _), Self::Unfit(b, _))
            | (Self::Authorized(a), Self::Authorized(b))
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
    pub(crate) async fn look<T>(
        &self,
        credential: &CredentialBody,
        policy: Policy,
        act: impl Fn(&Verified) -> Result<T, Refused> + Send + Sync,
    ) -> Result<T, Denial> {
        let arrived = Instant::now();
        let seen = self.see(credential, policy, Freshness::Cached, Whose::Unknown).await?;
        let refused = match self.attempt(credential, &seen, &act).await {
            Ok(done) => return Ok(done),
            Err(refused) => refused,
        };
        let seen = match refused.remedy {
            Remedy::None => return Err(refused.denial),
            Remedy::Time => {
                self.time.sync_soon(&*self.chain).await.map_err(|error| Denial::chain(&error))?;
                seen
            }
            Remedy::Look | Remedy::LookForSigner => {
                let whose = match refused.remedy {
                    Remedy::LookForSigner => Whose::Unknown,
                    _ => Whose::Known,
                };
                let newer = self.see(credential, policy, Freshness::Since(arrived), whose).await?;
                if newer.is_same(&seen) {
                    return Err(refused.denial);
                }
                newer
            }
        };
        self.attempt(credential, &seen, &act).await.map_err(|refused| refused.denial)
    }

    /// Looks at the channel, and at its delegations where they matter: the authorized signer's key does
    /// not verify.
    ///
    /// The channel tells when the last delegation was made. So a signature of nobody's brings about no
    /// search for delegates where there are none, nor a newer one where all are known: one look at the
    /// channel answers it.
    async fn see(
        &self,
        credential: &CredentialBody,
        policy: Policy,
        freshness: Freshness,
        whose: Whose,
    ) -> Result<Seen, Denial> {
        let channel = credential.channel.0;
        let unreachable = |error| Denial::chain(&error);
        let Some(account) = self.channels.get(channel, freshness).await.map_err(unreachable)? else {
            return Ok(Seen::NoChannel);
        };
        if let Err(denial) = policy(&self.config, channel, &account) {
            return Ok(Seen::Unfit(account, denial));
        }
        if account.has_signed(credential) {
            return Ok(Seen::Authorized(account));
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

    /// Policy, then the signature, then the act: nothing of the ledger is shown to or changed by
    /// whoever does not hold a signer's key.
    async fn attempt<T>(
        &self,
        credential: &CredentialBody,
        seen: &Seen,
        act: &(impl Fn(&Verified) -> Result<T, Refused> + Send + Sync),
    ) -> Result<T, Refused> {
        let channel = credential.channel.0;
        let verified = match seen {
            Seen::NoChannel => return Err(Refused::by_chain(self.unknown(credential))),
            Seen::Unfit(account, denial) => {
                // not served, but what it owes is to be collected
                let payee = policy::check_payee(&self.config, channel, account).is_ok();
                if payee && account.has_signed(credential) {
                    self.take_up(channel, account, None).await.map_err(Refused::for_now)?;
                }
                return Err(Refused::by_chain(denial.clone()));
            }
            Seen::Authorized(account) => {
                self.take_up(channel, account, None).await.map_err(Refused::for_now)?;
                let (signer, authority) = (SignerId::authorized(account), Authority::channel(account));
                Verified { account: account.clone(), signer, authority }
            }
            Seen::Nobody(_) => return Err(Refused::nobodys(channel)),
            Seen::Other(account, delegations) => {
                let delegate = delegations.signer_of(credential);
                let delegate = delegate.ok_or_else(|| Refused::nobodys(channel))?;
                self.take_up(channel, account, Some(delegations)).await.map_err(Refused::for_now)?;
                let authority = Authority::Delegation(delegate.delegation);
                Verified { account: account.clone(), signer: SignerId::delegate(delegate), authority }
            }
        };
        act(&verified)
    }

    /// Makes the books of a channel whole before they are used, at the word of one of its signers: who
    /// does not hold a key makes no work for the store or the node.
    async fn take_up(
        &self,
        channel: Key,
        account: &ChannelAccount,
        delegations: Option<&Arc<Delegations>>,
    ) -> Result<(), Denial> {
        let incarnation = incarnation(channel, account);
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
        let Some(book) = book.filter(|book| !book.ledger().claims_are_noted(account)) else {
            return Ok(());
        };
        let delegations = match delegations {
            Some(delegations) => delegations.clone(),
            None => {
                let found = self.delegates.get(incarnation, Freshness::Cached).await;
                found.map_err(|error| Denial::chain(&error))?
            }
        };
        book.ledger().note_claims(account, delegations.claimed(), self.config.seq_window);
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
