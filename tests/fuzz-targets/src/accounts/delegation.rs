use amp::state::Delegation;
use amp_protocol::account::{DelegationAccount, delegation_offset as offset};

use super::{assert_same_but_for, read_by_the_program};
use crate::Verdict;

/// A delegation's account data: client and program take the same accounts, read the same numbers in them,
/// and what the client writes back differs in nothing but bytes that have no meaning.
pub fn delegation_account(data: &[u8]) -> Verdict {
    let client = DelegationAccount::decode(data);
    let program = read_by_the_program::<Delegation>(data).filter(|state| state.check_version().is_ok());
    assert_eq!(client.is_ok(), program.is_some(), "{client:?}");
    if let (Ok(client), Some(program)) = (&client, &program) {
        assert_eq!(*client, as_the_client_has_it(program));
        let meaningless = [offset::BUMP + 1..offset::CHANNEL, offset::RESERVED..200];
        assert_same_but_for(&client.encode(), data, &meaningless);
        assert_eq!(DelegationAccount::decode(&client.encode()).as_ref(), Ok(client));
        let mut recorded = *program;
        recorded.record(&program.terms());
        assert_eq!(recorded.terms(), program.terms(), "what the rules change is written where it is read");
    }
    Verdict::of(&client)
}

fn as_the_client_has_it(state: &Delegation) -> DelegationAccount {
    DelegationAccount {
        bump: state.bump,
        channel: state.channel.to_bytes(),
        delegate: state.delegate.to_bytes(),
        rent_payer: state.rent_payer.to_bytes(),
        channel_opened_slot: state.channel_opened_slot,
        created_slot: state.created_slot,
        delegation: state.terms(),
    }
}
