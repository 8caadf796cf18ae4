//! What a service says of the channel, held against what this client signed and saw.

use amp_protocol::json::{ChannelStatus, SignedMeteringProof};
use amp_protocol::money::{Amount, Seq};
use serde::de::IgnoredAny;
use solana_address::Address;

use super::error::{ClientError, ProofFailure};
use super::http::Client;
use super::operation::Operation;
use super::service::Service;
use super::store::ChannelRecord;
use crate::signed::verify_metering_proof;

impl Client {
    /// Asks the service of this URL what it has charged, and checks its metering proof: the signature,
    /// the channel, and that it charged nothing that was not agreed to.
    pub async fn status(&self, url: &str) -> Result<ChannelStatus, ClientError> {
        let service = self.service_of(url)?;
        let record = self.inner.store.current(&service.name).await?;
        let record = record.ok_or_else(|| ClientError::NoChannel { origin: service.name.clone() })?;
        self.status_of(&service, &record).await
    }

    pub(super) async fn status_of(
        &self,
        service: &Service,
        record: &ChannelRecord,
    ) -> Result<ChannelStatus, ClientError> {
        // the newest seq again: asking exposes nothing
        let signed = self.inner.store.load(record.id).await?.ledger.last_signed;
        self.status_with(service, record, signed).await
    }

    /// The same with a seq that was signed before: that of a stream, to be told what it waits for.
    pub(super) async fn status_with(
        &self,
        service: &Service,
        record: &ChannelRecord,
        seq: Seq,
    ) -> Result<ChannelStatus, ClientError> {
        let status = self.ask_status(service, record, seq).await?;
        let proven = status.metering_proof.as_ref().map_or(Amount::ZERO, |proof| proof.owed);
        let overcharge = self.inner.store.acknowledge(record.id, status.spent, proven).await?;
        let ledger = overcharge.map_err(|overcharge| {
            service.forget(record.id);
            ClientError::Overcharged { origin: service.name.clone(), overcharge }
        })?;
        let seen = status.metering_proof.map_or(Seq::ZERO, |proof| proof.seq_end).max(status.last_seq);
        // read after the answer: parallel calls may have signed more in the meantime
        if seen > ledger.last_signed {
            let (origin, ours) = (service.name.clone(), ledger.last_signed);
            return Err(ClientError::UnknownSeq { origin, theirs: seen, ours });
        }
        Ok(status)
    }

    /// Fetches the status with this seq, and checks what needs no books of this client's.
    pub(super) async fn ask_status(
        &self,
        service: &Service,
        record: &ChannelRecord,
        seq: Seq,
    ) -> Result<ChannelStatus, ClientError> {
        let status: ChannelStatus = self.ask(service, record, Operation::Status, seq).await?;
        let signer = self.inner.settings.signer().public_key();
        check(&status, record, &signer).map_err(|reason| ClientError::BadProof {
            origin: service.name.clone(),
            what: "metering proof",
            reason,
        })?;
        Ok(status)
    }

    /// Signs for `extra` more without a request, as a stream that outlasts its budget needs: the service
    /// may charge that much more. Returns the seq that was signed.
    pub async fn raise_ceiling(&self, url: &str, extra: Amount) -> Result<Seq, ClientError> {
        let ticket = self.authorize(url, extra).await?;
        let service = self.service_of(url)?;
        let seq = ticket.credential().seq;
        let _: IgnoredAny = self.ask(&service, ticket.channel(), Operation::Raise, seq).await?;
        // dropped, not answered: what the stream uses of it is told by later answers
        drop(ticket);
        Ok(seq)
    }
}

fn check(status: &ChannelStatus, record: &ChannelRecord, signer: &Address) -> Result<(), ProofFailure> {
    if status.channel.0 != record.channel.to_bytes() {
        return Err(ProofFailure::About(amp_protocol::json::StatementError::Channel));
    }
    let Some(proof) = &status.metering_proof else { return Ok(()) };
    check_proof(proof, record, signer)?;
    // the receipt may be older than the answer it comes with, never newer
    if proof.owed > status.spent || proof.seq_end > status.last_seq || proof.seq_start > proof.seq_end {
        return Err(ProofFailure::Numbers);
    }
    Ok(())
}

/// Whether a proof is the recipient's word on this signer and channel.
pub(super) fn check_proof(
    proof: &SignedMeteringProof,
    record: &ChannelRecord,
    signer: &Address,
) -> Result<(), ProofFailure> {
    let channel = record.channel.to_bytes();
    proof.check(&channel, record.epoch(), &signer.to_bytes()).map_err(ProofFailure::About)?;
    if !verify_metering_proof(proof, &record.recipient.to_bytes()) {
        return Err(ProofFailure::Signature);
    }
    Ok(())
}
