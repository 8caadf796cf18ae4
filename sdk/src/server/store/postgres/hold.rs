//! Requests in flight as they are stored: one value for all of a process's on a channel, as they change
//! together.

use amp_protocol::money::{Amount, Seq};

use crate::server::store::{AnswerKey, Hold};

/// signer 32, epoch 8, seq 8, price 8, flags 1 (1: there is a key, 2: it is metered), key 32, charged so far 8; numbers
/// big-endian.
const LEN: usize = 97;

pub(super) fn encode(holds: &[Hold]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(holds.len().saturating_mul(LEN));
    for Hold { signer, epoch, seq, price, key, metered } in holds {
        bytes.extend_from_slice(signer);
        for number in [*epoch, seq.get(), price.get()] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.push(u8::from(key.is_some()) | u8::from(metered.is_some()) << 1);
        bytes.extend_from_slice(&key.map_or([0; 32], |key| key.0));
        bytes.extend_from_slice(&metered.map_or(0, Amount::get).to_be_bytes());
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
    let key = AnswerKey(*bytes.get(57..)?.first_chunk()?);
    let flags = *bytes.get(56).filter(|flags| **flags < 4)?;
    Some(Hold {
        signer: *bytes.first_chunk()?,
        epoch: number(32)?,
        seq: Seq::new(number(40)?),
        price: Amount::new(number(48)?),
        key: (flags & 1 != 0).then_some(key),
        metered: if flags & 2 == 0 { None } else { Some(Amount::new(number(89)?)) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let hold = |key, metered| Hold {
            signer: [7; 32],
            epoch: u64::MAX - 1,
            seq: Seq::MAX,
            price: Amount::new(1 << 63),
            key,
            metered,
        };
        let key = Some(AnswerKey([9; 32]));
        let metered = Some(Amount::new(5));
        let holds = vec![hold(None, None), hold(key, None), hold(None, metered), hold(key, metered)];
        let bytes = encode(&holds);
        assert_eq!(decode(&bytes), Some(holds));
        assert_eq!(decode(&[]), Some(Vec::new()));
        assert_eq!(decode(&bytes[1..]), None);
        let mut other = bytes;
        other[56] = 4;
        assert_eq!(decode(&other), None);
    }
}
