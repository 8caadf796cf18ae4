use amp_protocol::json::{ChannelStatus, CredentialBody};
use amp_protocol::money::{Amount, Seq};

use super::admission::Receipt;
use super::denial::Denial;
use super::ledger::ChannelLedger;
use super::service::{AmpService, incarnation, signer_failed};
use super::verification::Verified;
use crate::signed;

impl Receipt {
    /// What a raised ceiling is answered with: how the channel stands, without its evidence.
    pub(crate) fn status(&self, credential: &CredentialBody) -> ChannelStatus {
        ChannelStatus {
            channel: credential.channel,
            spent: self.spent,
            balance: self.balance,
            last_seq: self.last_seq,
            required_seq: None,
            last_sig: None,
            metering_proof: None,
        }
    }
}

impl AmpService {
    /// What a client that lost its state needs to go on. Any seq will do, 0 too: only the signature
    /// counts, and nothing of the credential is kept. Where the seq is that which a stream was begun with, `required_seq`
    /// is what that stream waits for; where it is 0, the highest that any of this signer's waits for. A delegate learns of itself alone: its balance is
    /// what it can still spend, and that is nothing once its delegation has ended.
    pub async fn channel_status(&self, credential: &CredentialBody) -> Result<ChannelStatus, Denial> {
        let Verified { account, signer: id, authority, .. } = self.identify(credential).await?;
        let channel = credential.channel.0;
        let claimed = authority.books().claimed;
        let known = |ledger: &ChannelLedger| {
            let signer = ledger.signer(&id);
            let last = signer.map(|signer| (signer.live.replay.last(), signer.live.seq, signer.live.sig));
            let record = signer.and_then(|signer| signer.committed.clone());
            (ledger.balance_of(&account, &id, &authority), last, record)
        };
        let book = match self.core.books.find(&incarnation(channel, &account)) {
            None if self.core.store.shared().is_some() => Some(self.core.book(channel, &account)),
            known => known,
        };
        let waiting = book.as_ref().and_then(|book| book.required_of(&id, credential.seq));
        let (balance, last, record) = match book {
            Some(book) => {
                self.core.refresh(&book).await.map_err(|error| Denial::store(&error))?;
                known(&book.ledger())
            }
            None => known(&ChannelLedger::default()),
        };
        let ended = authority.has_ended(self.core.time.now());
        let proof = match record.as_ref().and_then(|record| record.metering_proof(channel)) {
            Some(proof) => {
                let signed = signed::sign_metering_proof(&*self.core.config.recipient, &proof).await;
                Some(signed.map_err(|error| signer_failed(&error))?)
            }
            None => None,
        };
        // a service that lost its store goes on from what the chain has paid: see SignerRecord::new
        let floor = account.terms.unit_price().map_or(Seq::ZERO, |price| price.seq_covering(claimed));
        Ok(ChannelStatus {
            channel: credential.channel,
            spent: record.map_or(claimed, |record| record.spent),
            balance: if ended { Amount::ZERO } else { balance },
            last_seq: last.map_or(floor, |(last_seq, ..)| last_seq),
            required_seq: waiting,
            // of what was taken over from the chain there is none
            last_sig: last
                .filter(|(last_seq, seq, sig)| last_seq == seq && sig.iter().any(|byte| *byte != 0))
                .map(|(.., sig)| sig.into()),
            metering_proof: proof,
        })
    }
}
