use amp_protocol::account::DelegationAccount;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::Delegation;
use solana_address::Address;

use super::{FakeChain, State};
use crate::chain::{AccountSnapshot, ChainError, PROGRAM_ID, delegation_address};

impl FakeChain {
    pub(in crate::client::tests) fn delegation(
        &self,
        channel: &Address,
        delegate: &Address,
    ) -> Option<DelegationAccount> {
        self.state().delegation(&delegation_address(&PROGRAM_ID, channel, delegate))
    }

    pub(in crate::client::tests) fn delegations_of(&self, channel: &Address) -> Vec<DelegationAccount> {
        let state = self.state();
        let all = state.accounts.values().filter_map(|account| DelegationAccount::decode(&account.data).ok());
        all.filter(|found| found.channel == channel.to_bytes()).collect()
    }

    pub(in crate::client::tests) fn edit_delegation(
        &self,
        channel: &Address,
        delegate: &Address,
        change: impl FnOnce(&mut DelegationAccount),
    ) {
        let (mut state, at) = (self.state(), delegation_address(&PROGRAM_ID, channel, delegate));
        let mut account = state.delegation(&at).expect("a delegation");
        change(&mut account);
        state.put(at, &account);
    }

    /// The service settles with this delegate: it has claimed so much by now.
    pub(in crate::client::tests) fn settle_delegate(
        &self,
        channel: &Address,
        delegate: &Address,
        claimed: u64,
    ) {
        let mut more = 0;
        self.edit_delegation(channel, delegate, |account| {
            more = claimed - account.delegation.signer.claimed.get();
            account.delegation.signer.claimed = Amount::new(claimed);
        });
        self.edit(channel, |account| {
            account.books.claimed = Amount::new(account.books.claimed.get() + more);
        });
    }
}

impl State {
    fn delegation(&self, at: &Address) -> Option<DelegationAccount> {
        self.accounts.get(at).and_then(|account| DelegationAccount::decode(&account.data).ok())
    }

    fn put(&mut self, at: Address, delegation: &DelegationAccount) {
        let data = delegation.encode().to_vec();
        self.accounts.insert(at, AccountSnapshot { owner: PROGRAM_ID, lamports: 1, data });
    }

    pub(super) fn search(&self, channel: &Address) -> Result<Vec<(Address, AccountSnapshot)>, ChainError> {
        if !self.searchable {
            return Err(ChainError::Unreachable("this node has no index".to_owned()));
        }
        let names_channel = |account: &AccountSnapshot| {
            DelegationAccount::decode(&account.data).is_ok_and(|found| found.channel == channel.to_bytes())
        };
        let all = self.accounts.iter().filter(|(_, account)| names_channel(account));
        Ok(all.map(|(address, account)| (*address, account.clone())).collect())
    }

    pub(super) fn set_delegate(
        &mut self,
        arguments: &[u8],
        all: &[Address],
    ) -> Result<&'static str, Rejection> {
        let (limit, expires_at) = arguments.split_first_chunk::<8>().unwrap();
        let limit = Amount::new(u64::from_le_bytes(*limit));
        let expires_at = i64::from_le_bytes(expires_at.try_into().unwrap());
        let (mut channel, now) = (self.read(&all[2]), self.time);
        assert_eq!(
            (channel.funder, delegation_address(&PROGRAM_ID, &all[2], &all[3])),
            (all[0].to_bytes(), all[4])
        );
        if channel.books.closing {
            return Err(Rejection::Closing);
        }
        if channel.chain_depth != 0 {
            return Err(Rejection::ChainedChannel);
        }
        if channel.authorized_signer == all[3].to_bytes() {
            return Err(Rejection::DelegateIsAuthorizedSigner);
        }
        let present = self.delegation(&all[4]);
        let account = match present.filter(|found| found.channel_opened_slot == channel.opened_slot) {
            Some(found) => {
                let delegation = found.delegation.change(limit, expires_at, now)?;
                DelegationAccount { delegation, ..found }
            }
            None => DelegationAccount {
                bump: 255,
                channel: all[2].to_bytes(),
                delegate: all[3].to_bytes(),
                rent_payer: all[1].to_bytes(),
                channel_opened_slot: channel.opened_slot,
                created_slot: self.slot,
                delegation: Delegation::begin(limit, expires_at, now)?,
            },
        };
        self.put(all[4], &account);
        if account.created_slot == self.slot {
            channel.delegated_slot = self.slot;
            self.write(all[2], &channel);
        }
        Ok("set_delegate")
    }

    pub(super) fn revoke_delegate(&mut self, all: &[Address]) -> Result<&'static str, Rejection> {
        let (channel, found) = (self.read(&all[1]), self.delegation(&all[2]).expect("a delegation"));
        assert_eq!((channel.funder, found.channel), (all[0].to_bytes(), all[1].to_bytes()));
        let delegation = found.delegation.revoke(self.time)?;
        self.put(all[2], &DelegationAccount { delegation, ..found });
        Ok("revoke_delegate")
    }

    pub(super) fn close_delegation(&mut self, all: &[Address]) -> Result<&'static str, Rejection> {
        let found = self.delegation(&all[0]).expect("a delegation");
        assert_eq!((found.channel, found.rent_payer), (all[1].to_bytes(), all[2].to_bytes()));
        if self.slot <= found.created_slot {
            // time passes between two tries
            self.slot += 1;
            return Err(Rejection::DelegationInCreationSlot);
        }
        if self.accounts.contains_key(&all[1]) {
            let channel = self.read(&all[1]);
            let same = channel.opened_slot == found.channel_opened_slot;
            if same && !found.delegation.is_over(channel.terms.close_grace, self.time) {
                return Err(Rejection::DelegationNotOver);
            }
        }
        self.accounts.remove(&all[0]);
        Ok("close_delegation")
    }
}
