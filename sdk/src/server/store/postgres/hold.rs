//! Requests in flight as they are stored: one value for all of a process's on a channel, as they change
//! together.

use amp_protocol::money::{Amount, Seq};

use crate::server::store::{AnswerKey, Hold};

/// signer 32, epoch 8, seq 8, price 8, whether there is a key 1, key 32; numbers big-endian.
const LEN: usize = 89;

pub(super) fn encode(holds: &[Hold]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(holds.len().saturating_mul(LEN));
    for Hold { signer, epoch, seq, price, key } in holds {
        bytes.extend_from_slice(signer);
        for number in [*epoch, seq.get(), price.get()] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.push(u8::from(key.is_some()));
        bytes.extend_from_slice(&key.map_or([0; 32], |key| key.0));
    }
    bytes
}

/// `None` where the bytes are not what [`encode`] writes.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Hold>> {
    let (holds, rest) = bytes.as_chunks::<LEN>();
    if !rest.is_empty() {
        return None;
    }
    holds.iter().map(one).collect()
}

fn one(bytes: &[u8; LEN]) -> Option<Hold> {
    let number = |at: usize| Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let key = AnswerKey(*bytes.last_chunk()?);
    let has_key = match bytes.get(56)? {
        0 => false,
        1 => true,
        _ => return None,
    };
    Some(Hold {
        signer: *bytes.first_chunk()?,
        epoch: number(32)?,
        seq: Seq::new(number(40)?),
        price: Amount::new(number(48)?),
        key: has_key.then_some(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let hold = |key| Hold {
            signer: [7; 32],
            epoch: u64::MAX - 1,
            seq: Seq::MAX,
            price: Amount::new(1 << 63),
            key,
        };
        let holds = vec![hold(None), hold(Some(AnswerKey([9; 32])))];
        let bytes = encode(&holds);
        assert_eq!(decode(&bytes), Some(holds));
        assert_eq!(decode(&[]), Some(Vec::new()));
        assert_eq!(decode(&bytes[1..]), None);
        let mut other = bytes;
        other[56] = 2;
        assert_eq!(decode(&other), None);
    }
}
