//! Signing and verifying the protocol's messages.
//!
//! Verification is strict, as the precompile's is: a signature that a laxer rule would take and the
//! chain would not is served and can never be claimed.

use amp_protocol::json::{CredentialBody, SignedCloseStatement, SignedMeteringProof};
use amp_protocol::message::{CloseStatement, Credential, MeteringProof};
use amp_protocol::money::Seq;
use solana_address::Address;
use solana_signature::Signature;

use crate::signer::{Signer, SignerError};

mod strict;

pub use strict::{UnpackedKey, verify_strict};

/// Signs a credential: the three fields that travel with a request.
pub async fn sign_credential(
    signer: &dyn Signer,
    channel: &Address,
    epoch: u64,
    seq: Seq,
) -> Result<CredentialBody, SignerError> {
    let credential = Credential { channel: channel.to_bytes(), epoch, seq };
    let signature = signer.sign(&credential.to_bytes()).await?;
    Ok(CredentialBody { channel: credential.channel.into(), seq, sig: signature_bytes(signature).into() })
}

/// Whether a credential is `signer`'s for this epoch.
pub fn verify_credential(credential: &CredentialBody, epoch: u64, signer: &[u8; 32]) -> bool {
    UnpackedKey::new(signer).verify_credential(credential, epoch)
}

/// Signs a close statement with the recipient's key.
pub async fn sign_close_statement(
    recipient: &dyn Signer,
    statement: &CloseStatement,
) -> Result<SignedCloseStatement, SignerError> {
    let signature = recipient.sign(&statement.to_bytes()).await?;
    Ok(SignedCloseStatement::new(statement, signature_bytes(signature)))
}

/// Whether a close statement is `recipient`'s.
pub fn verify_close_statement(signed: &SignedCloseStatement, recipient: &[u8; 32]) -> bool {
    verify_strict(recipient, &signed.statement().to_bytes(), &signed.sig.0)
}

/// Signs a metering proof with the recipient's key.
pub async fn sign_metering_proof(
    recipient: &dyn Signer,
    proof: &MeteringProof,
) -> Result<SignedMeteringProof, SignerError> {
    let signature = recipient.sign(&proof.to_bytes()).await?;
    Ok(SignedMeteringProof::new(proof, signature_bytes(signature)))
}

/// Whether a metering proof is `recipient`'s.
pub fn verify_metering_proof(signed: &SignedMeteringProof, recipient: &[u8; 32]) -> bool {
    verify_strict(recipient, &signed.proof().to_bytes(), &signed.sig.0)
}

fn signature_bytes(signature: Signature) -> [u8; 64] {
    signature.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::KeypairSigner;

    #[tokio::test]
    async fn a_credential_is_bound_to_signer_channel_epoch_and_seq() {
        let signer = KeypairSigner::generate();
        let key = signer.public_key().to_bytes();
        let good = sign_credential(&signer, &Address::from([1; 32]), 7, Seq::new(9)).await.unwrap();
        assert!(verify_credential(&good, 7, &key));
        assert!(!verify_credential(&good, 8, &key));
        assert!(!verify_credential(&good, 7, &[3; 32]));
        assert!(!verify_credential(&CredentialBody { seq: Seq::new(10), ..good }, 7, &key));
        assert!(!verify_credential(&CredentialBody { channel: [2; 32].into(), ..good }, 7, &key));
    }
}
