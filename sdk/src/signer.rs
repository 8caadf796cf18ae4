//! Who signs: a key in memory, a key in a file, or whatever implements [`Signer`] (an HSM, a KMS).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signature::Signature;
use solana_signer::Signer as _;

/// A key that can sign. Asynchronous, since the key may live in another machine.
#[async_trait]
pub trait Signer: Send + Sync + 'static {
    /// The public key.
    fn public_key(&self) -> Address;

    /// An ed25519 signature over `message`.
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignerError>;
}

/// Why there is no signature, or no signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The keypair file can't be read.
    #[error("can't read the keypair file {path}: {reason}; make one with `amp keygen {path}`", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The signer answered with a failure.
    #[error("the signer refused: {0}")]
    Refused(String),
}

/// A keypair in memory.
#[derive(Clone)]
pub struct KeypairSigner(Arc<Keypair>);

impl KeypairSigner {
    /// A new random keypair.
    pub fn generate() -> Self {
        Self::from(Keypair::new())
    }

    /// Reads a keypair file of the Solana tools: a JSON array of 64 numbers.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SignerError> {
        let path = path.as_ref();
        solana_keypair::read_keypair_file(path)
            .map(Self::from)
            .map_err(|error| SignerError::File { path: path.to_owned(), reason: error.to_string() })
    }
}

impl From<Keypair> for KeypairSigner {
    fn from(keypair: Keypair) -> Self {
        Self(Arc::new(keypair))
    }
}

/// Shows the public key only.
impl std::fmt::Debug for KeypairSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeypairSigner({})", self.public_key())
    }
}

#[async_trait]
impl Signer for KeypairSigner {
    fn public_key(&self) -> Address {
        self.0.pubkey()
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        Ok(self.0.sign_message(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_keypair_file_is_named_with_what_to_do() {
        let error = KeypairSigner::from_file("no/such/file.json").unwrap_err().to_string();
        assert!(error.contains("no/such/file.json") && error.contains("amp keygen"), "{error}");
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let signer = KeypairSigner::generate();
        assert_eq!(format!("{signer:?}"), format!("KeypairSigner({})", signer.public_key()));
    }
}
