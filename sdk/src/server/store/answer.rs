use std::fmt;

use amp_protocol::message::Key;
use amp_protocol::money::Seq;
use solana_sha256_hasher::hash;

/// A client's name for a request that must not be done twice, as its SHA-256: names may be long, and may say
/// what is nobody's business.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey(pub [u8; 32]);

impl AnswerKey {
    /// The key of a name.
    pub fn of(name: &[u8]) -> Self {
        Self(hash(name).to_bytes())
    }
}

impl fmt::Debug for AnswerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "AnswerKey({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// Whose request it was, and its name: the same name of two signers of a channel is two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerId {
    /// The signer whose credential paid.
    pub signer: Key,
    /// The slot in which its authority was created.
    pub epoch: u64,
    /// The name.
    pub key: AnswerKey,
}

/// An answer that was paid for, to be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Whose, and what it is called.
    pub id: AnswerId,
    /// SHA-256 of what was asked for: another question under the same name is a mistake.
    pub question: [u8; 32],
    /// The answer in the transport's own encoding.
    pub answer: Vec<u8>,
    /// Unix seconds.
    pub kept_at: i64,
    /// The seq that paid for it.
    pub seq: Seq,
}
