//! Requests that must not be done twice, however often they are sent: the same name gets the answer that was
//! kept, and costs nothing more.

use std::sync::Arc;

use amp_protocol::json::CredentialBody;
use amp_protocol::money::Amount;
use solana_sha256_hasher::hashv;

use super::admission::{Admission, Receipt};
use super::denial::{Denial, NameRefused};
use super::ledger::{Refusal, ReplayWindow};
use super::metrics::Observed;
use super::service::{AmpService, Asked, Core, Refused, incarnation};
use super::store::{AnswerId, AnswerKey, KeptAnswer};
use super::verification::Verified;

/// A client's name for a request, and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    key: AnswerKey,
    question: [u8; 32],
}

impl Once {
    /// `name` is the client's; `question` is what makes two requests the same one, in parts.
    pub fn new(name: &[u8], question: &[&[u8]]) -> Self {
        // the parts' lengths too: "a", "bc" is not "ab", "c"
        let lengths: Vec<[u8; 8]> = question.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        let parts = lengths.iter().zip(question).flat_map(|(length, part)| [&length[..], part]);
        let parts: Vec<&[u8]> = parts.collect();
        Self { key: AnswerKey::of(name), question: hashv(&parts).to_bytes() }
    }
}

/// What a named request is told.
#[derive(Debug)]
pub enum Authorized {
    /// It is the first of its name: do it, and [`charge_once`](Admission::charge_once).
    First(Box<Admission>),
    /// It was done before.
    Again {
        /// The answer that was kept.
        answer: Vec<u8>,
        /// As of now; the cost is zero.
        receipt: Receipt,
    },
}

impl AmpService {
    /// [`authorize`](Self::authorize) for a request that must not be done twice: under the same name the
    /// same signer gets the answer that was kept, with the seq that paid for it or any that was not used.
    /// That is neither used nor kept then. Names should be random: who guesses one, and has read the seq that
    /// paid in a settlement, gets the answer.
    ///
    /// # Errors
    /// Those of `authorize`, and [`Denial::Name`].
    pub async fn authorize_once(
        &self,
        credential: &CredentialBody,
        price: Amount,
        once: &Once,
    ) -> Result<Authorized, Denial> {
        let act = |verified: Verified| self.core.once(credential, price, once, verified);
        let observed = Observed::begin(&self.core.metrics, credential, price);
        let authorized = observed.admit(self.core.look(self.shown(credential), act)).await;
        self.wake_worker(credential, &authorized);
        authorized
    }
}

impl Core {
    async fn once(
        self: &Arc<Self>,
        credential: &CredentialBody,
        price: Amount,
        once: &Once,
        verified: Verified,
    ) -> Result<Authorized, Refused> {
        if let Some(kept) = self.kept(credential, once, &verified).await? {
            return self.again(credential, once, &verified, kept).await;
        }
        let asked = Asked { price, key: Some(once.key), metered: false };
        let admission = self.admit(credential, asked, verified.clone()).await?;
        // the one before it may have been answered between the look and the admission. From here on none of
        // this name is under way: the books refuse a second
        if let Some(kept) = self.kept(credential, once, &verified).await? {
            return self.answer(credential, once, &verified, kept);
        }
        Ok(Authorized::First(Box::new(admission.keeping(once.question))))
    }

    async fn kept(
        &self,
        credential: &CredentialBody,
        once: &Once,
        verified: &Verified,
    ) -> Result<Option<KeptAnswer>, Refused> {
        let incarnation = incarnation(credential.channel.0, &verified.account);
        let id = AnswerId { signer: verified.signer.key, epoch: verified.signer.epoch, key: once.key };
        let found = self.store.answer(incarnation, &id).await;
        found.map_err(|error| Refused::for_now(Denial::store(&error)))
    }

    /// The kept answer, for the request that paid for it and for those with a seq that was never used: other
    /// credentials stand in settlements on chain, for all to read.
    async fn again(
        &self,
        credential: &CredentialBody,
        once: &Once,
        verified: &Verified,
        kept: KeptAnswer,
    ) -> Result<Authorized, Refused> {
        let book = self.book(credential.channel.0, &verified.account);
        self.refresh(&book).await.map_err(|error| Refused::for_now(Denial::store(&error)))?;
        let last_seq = {
            let ledger = book.ledger();
            let window = ledger.signer(&verified.signer).map(|signer| &signer.live.replay);
            window.filter(|window| !window.is_fresh(credential.seq)).map(ReplayWindow::last)
        };
        match last_seq.filter(|_| credential.seq != kept.seq) {
            Some(last_seq) => {
                let refusal = Refusal::SeqUsed { last_seq };
                Err(Refused::for_now(Denial::from_refusal(&refusal, credential.channel.0)))
            }
            None => self.answer(credential, once, verified, kept),
        }
    }

    fn answer(
        &self,
        credential: &CredentialBody,
        once: &Once,
        verified: &Verified,
        kept: KeptAnswer,
    ) -> Result<Authorized, Refused> {
        if kept.question != once.question {
            return Err(Refused::for_now(Denial::Name(NameRefused::OtherQuestion)));
        }
        let Verified { account, signer, authority, .. } = verified;
        let book = self.book(credential.channel.0, account);
        let ledger = book.ledger();
        let books = ledger.signer(signer).map(|signer| (signer.live.spent, signer.live.replay.last()));
        let (spent, last_seq) = books.unwrap_or_default();
        let balance = ledger.balance_of(account, signer, authority);
        let receipt = Receipt { balance, spent, cost: Amount::ZERO, last_seq };
        Ok(Authorized::Again { answer: kept.answer, receipt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_its_parts_and_not_their_sum() {
        let of = |parts: &[&[u8]]| Once::new(b"name", parts);
        assert_eq!(of(&[b"a", b"bc"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"a", b"bc"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"a"]), Once::new(b"other", &[b"a"]));
    }
}
