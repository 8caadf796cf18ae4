use std::sync::Arc;

use amp_protocol::code::Code;
use amp_protocol::json::{CloseResponse, CredentialBody, ErrorBody, SignedCloseStatement};
use amp_protocol::message::CloseStatement;
use amp_protocol::money::Seq;

use super::books::Book;
use super::channels::Channel;
use super::denial::Denial;
use super::service::{AmpService, Core, signer_failed};
use super::verification::Verified;
use crate::signed;

impl AmpService {
    /// Stops serving a channel for good, waits for its requests in flight, and returns the statement
    /// of what it owes in all: with that the funder closes at once. Asked again, it returns the same.
    ///
    /// The credential's seq must not be below the highest accepted one: who replays an old one can't
    /// stop service. It is not kept, and authorizes nothing. A delegate may spend from the channel, not
    /// end it for its funder and all other delegates.
    ///
    /// # Errors
    /// `AMP_INVALID_SIG` for a delegate, `AMP_INVALID_SEQ` for an old credential.
    pub async fn close(&self, credential: &CredentialBody) -> Result<CloseResponse, Denial> {
        let channel = credential.channel.0;
        let Verified { account, signer: id, authority, .. } = self.identify(credential).await?;
        if authority.delegation().is_some() {
            return Err(Denial::not_for_delegates(channel));
        }
        let book = self.core.book(channel, &account);
        self.core.refresh(&book).await.map_err(|error| Denial::store(&error))?;
        let last_seq = book.ledger().signer(&id).map_or(Seq::ZERO, |signer| signer.live.replay.last());
        if credential.seq < last_seq {
            let message = format!("a close takes the newest credential; sign seq {last_seq} or higher");
            return Err(Denial::Refused(Box::new(ErrorBody {
                channel: Some(credential.channel),
                last_seq: Some(last_seq),
                ..ErrorBody::new(Code::InvalidSeq, message)
            })));
        }
        let close_statement = self.core.close(&book, &account).await?;
        let delegates = book.ledger().delegates_credentials(&account);
        Ok(CloseResponse { close_statement, delegates })
    }
}

impl Core {
    async fn close(&self, book: &Arc<Book>, account: &Arc<Channel>) -> Result<SignedCloseStatement, Denial> {
        let incarnation = book.incarnation;
        let _one_at_a_time = book.closing().await;
        let failed = |error| Denial::store(&error);
        if let Some(statement) = book.ledger().statement.as_deref() {
            return Ok(*statement);
        }
        // from here on nothing is admitted, so the requests in flight only get fewer
        self.stop(book).await.map_err(failed)?;
        self.drained(book).await.map_err(failed)?;
        let total = self.seal(book, account).await.map_err(failed)?;
        let owed_total = total.ok_or(Denial::unavailable("the service's books do not add up"))?;
        let statement =
            CloseStatement { channel: incarnation.channel, opened_slot: incarnation.opened_slot, owed_total };
        let signed = signed::sign_close_statement(&*self.config.recipient, &statement)
            .await
            .map_err(|error| signer_failed(&error))?;
        let signed = self.keep_statement(book, signed).await.map_err(failed)?;
        tracing::info!(channel = %incarnation, %owed_total, "service stopped; close statement given");
        Ok(signed)
    }
}
