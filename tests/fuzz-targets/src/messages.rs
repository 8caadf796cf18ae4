use amp_protocol::message::{CloseStatement, Credential, MeteringProof};
use amp_protocol::money::{Amount, Seq};

use crate::Verdict;
use crate::input::Input;

/// The three signed messages: what parses is written as the very same bytes, no bytes are two messages,
/// and any fields survive being written and read.
pub fn messages(bytes: &[u8]) -> Verdict {
    let written = [
        Credential::parse(bytes).ok().map(|read| read.to_bytes().to_vec()),
        MeteringProof::parse(bytes).ok().map(|read| read.to_bytes().to_vec()),
        CloseStatement::parse(bytes).ok().map(|read| read.to_bytes().to_vec()),
    ];
    for (kind, written) in (1..).zip(&written) {
        let Some(written) = written else { continue };
        assert_eq!(written, bytes);
        assert_eq!(bytes[..4], [b'A', b'M', b'P', kind]);
    }
    let readings = written.iter().flatten().count();
    assert!(readings <= 1, "one signature would count as two things");
    any_fields_survive(&mut Input::new(bytes));
    if readings == 1 { Verdict::Accepted } else { Verdict::Refused }
}

fn any_fields_survive(input: &mut Input) {
    let credential =
        Credential { channel: input.array(), epoch: input.number(), seq: Seq::new(input.number()) };
    assert_eq!(Credential::parse(&credential.to_bytes()), Ok(credential));
    let statement =
        CloseStatement { channel: input.array(), opened_slot: input.number(), owed_total: input.amount() };
    assert_eq!(CloseStatement::parse(&statement.to_bytes()), Ok(statement));
    let proof = MeteringProof {
        channel: input.array(),
        epoch: input.number(),
        signer: input.array(),
        owed: Amount::new(input.number()),
        calls: input.number(),
        period_start: input.time(),
        period_end: input.time(),
        seq_start: Seq::new(input.number()),
        seq_end: Seq::new(input.number()),
    };
    assert_eq!(MeteringProof::parse(&proof.to_bytes()), Ok(proof));
}
