//! A recipient and any number of channels that pay it, all made from numbers: two processes that are told
//! how many there are know the same ones.

use std::fmt::Write as _;

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::{Base58, CredentialBody};
use amp_protocol::message::{Credential, Key};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::{Books, RateWindow, SignerBooks, Terms};
use amp_protocol::text::header;
use ed25519_dalek::{Signer as _, SigningKey};
use solana_keypair::Keypair;

/// The slot in which all channels were opened.
pub(crate) const OPENED_SLOT: u64 = 9;
/// Base units a call, and what one seq is worth: the nth call of a channel is paid by seq n.
pub(crate) const PRICE: u64 = 1;
/// The accepted mint.
pub(crate) const MINT: Key = [4; 32];
/// Where in an address the channel's number stands.
const NUMBER: std::ops::Range<usize> = 8..16;
const DEPOSIT: Amount = Amount::new(1 << 50);

/// The key that is paid.
pub(crate) fn recipient() -> Keypair {
    Keypair::new_from_array([2; 32])
}

/// The address of the channel with a number.
pub(crate) fn address(number: usize) -> Key {
    let mut address = [200; 32];
    address[NUMBER].copy_from_slice(&(number as u64).to_le_bytes());
    address
}

/// The channel's number, if the address is one of ours.
pub(crate) fn number(address: &Key) -> Option<usize> {
    let number = u64::from_le_bytes(address[NUMBER].try_into().ok()?);
    let number = usize::try_from(number).ok()?;
    (self::address(number) == *address).then_some(number)
}

/// Who signs for a channel.
pub(crate) fn signer(number: usize) -> SigningKey {
    let mut seed = [7; 32];
    seed[NUMBER].copy_from_slice(&(number as u64).to_le_bytes());
    SigningKey::from_bytes(&seed)
}

/// The keys of so many channels' signers.
pub(crate) fn keys(channels: usize) -> Vec<Key> {
    (0..channels).map(|number| signer(number).verifying_key().to_bytes()).collect()
}

/// A channel as it is on chain, opened at `opened_at` (Unix seconds), with a deposit that nothing uses up.
pub(crate) fn account(authorized_signer: Key, recipient: Key, opened_at: i64) -> ChannelAccount {
    ChannelAccount {
        bump: 255,
        vault_bump: 255,
        chain_depth: 0,
        funder: [1; 32],
        recipient,
        authorized_signer,
        mint: MINT,
        vault: [5; 32],
        rent_payer: [6; 32],
        parent: [0; 32],
        nonce: 1,
        opened_slot: OPENED_SLOT,
        delegated_slot: 0,
        opened_at,
        closing_at: 0,
        terms: Terms {
            unit_price: PRICE,
            rate_limit: DEPOSIT.get(),
            settle_interval: 3_600,
            close_grace: 3_600,
            max_chain_depth: 0,
        },
        books: Books {
            deposited: DEPOSIT,
            claimed: Amount::ZERO,
            window: RateWindow { started_at: opened_at, claimed: Amount::ZERO },
            closing: false,
        },
        signer: SignerBooks { claimed: Amount::ZERO, last_settled_at: opened_at },
    }
}

/// Signs for the requests of some channels, in turns, each seq once.
pub(crate) struct Payer {
    signers: Vec<SigningKey>,
    /// The number of the first channel.
    first: usize,
    /// The last seq that was signed on each.
    seqs: Vec<u64>,
    next: usize,
}

impl Payer {
    /// A payer of the channels numbered from 0 on.
    pub(crate) fn new(channels: usize) -> Self {
        Self::among(0..channels)
    }

    /// A payer of the channels with these numbers.
    pub(crate) fn among(numbers: std::ops::Range<usize>) -> Self {
        let (first, seqs) = (numbers.start, vec![0; numbers.len()]);
        Self { signers: numbers.map(signer).collect(), first, seqs, next: 0 }
    }

    /// The next credential is worth so many base units more than the last.
    pub(crate) fn skip(&mut self, amount: u64) {
        self.seqs[self.next] += amount - 1;
    }

    /// The next credential, and whose it is.
    pub(crate) fn sign(&mut self) -> (CredentialBody, Key) {
        let number = self.next;
        self.next = (number + 1) % self.signers.len();
        self.seqs[number] += 1;
        let seq = Seq::new(self.seqs[number]);
        let channel = address(self.first + number);
        let message = Credential { channel, epoch: OPENED_SLOT, seq }.to_bytes();
        let signer = &self.signers[number];
        let sig = signer.sign(&message).to_bytes();
        let credential = CredentialBody { channel: channel.into(), seq, sig: sig.into() };
        (credential, signer.verifying_key().to_bytes())
    }

    /// The next request's three headers.
    pub(crate) fn headers(&mut self) -> [(&'static str, String); 3] {
        let (credential, _) = self.sign();
        headers(&credential)
    }

    /// The next request of a path, to be sent as it is.
    pub(crate) fn request(&mut self, path: &str) -> Box<[u8]> {
        request("GET", path, &self.headers(), "")
    }
}

/// A credential as headers.
pub(crate) fn headers(credential: &CredentialBody) -> [(&'static str, String); 3] {
    let Base58(channel) = credential.channel;
    [
        (header::CHANNEL, Base58(channel).to_string()),
        (header::SEQ, credential.seq.get().to_string()),
        (header::SIG, credential.sig.to_string()),
    ]
}

/// A request of HTTP/1.1 that keeps its connection. `rest` is sent after the head.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, String)], rest: &str) -> Box<[u8]> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
    for (name, value) in headers {
        // a String takes whatever is written
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.push_str(rest);
    text.into_bytes().into()
}
