use amp::state::Channel;
use amp_protocol::account::{ChannelAccount, offset};

use super::{assert_same_but_for, read_by_the_program};
use crate::Verdict;

/// A channel's account data: client and program take the same accounts, read the same numbers in them, and
/// what the client writes back differs in nothing but bytes that have no meaning.
pub fn channel_account(data: &[u8]) -> Verdict {
    let client = ChannelAccount::decode(data);
    let program = read_by_the_program::<Channel>(data).filter(|state| state.check_version().is_ok());
    // the client refuses terms that the program never writes; the program does not look at them again
    let sound = program.filter(|state| state.terms().check().is_ok());
    assert_eq!(client.is_ok(), sound.is_some(), "{client:?}");
    if let (Ok(client), Some(program)) = (&client, &sound) {
        assert_eq!(*client, as_the_client_has_it(program));
        let meaningless = [offset::MAX_CHAIN_DEPTH + 1..offset::FUNDER, offset::RESERVED..400];
        assert_same_but_for(&client.encode(), data, &meaningless);
        assert_eq!(ChannelAccount::decode(&client.encode()).as_ref(), Ok(client));
    }
    Verdict::of(&client)
}

fn as_the_client_has_it(state: &Channel) -> ChannelAccount {
    ChannelAccount {
        bump: state.bump,
        vault_bump: state.vault_bump,
        chain_depth: state.chain_depth,
        funder: state.funder.to_bytes(),
        recipient: state.recipient.to_bytes(),
        authorized_signer: state.authorized_signer.to_bytes(),
        mint: state.mint.to_bytes(),
        vault: state.vault.to_bytes(),
        rent_payer: state.rent_payer.to_bytes(),
        parent: state.parent.to_bytes(),
        nonce: state.nonce,
        opened_slot: state.opened_slot,
        opened_at: state.opened_at,
        delegated_slot: state.delegated_slot,
        closing_at: state.closing_at,
        terms: state.terms(),
        books: state.books(),
        signer: state.signer_books(),
    }
}
