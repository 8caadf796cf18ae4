use amp_protocol::account::ChannelAccount;
use amp_sdk::chain::{AccountSnapshot, ChannelChange};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use solana_address::Address;
use solana_transaction::versioned::VersionedTransaction;

use crate::{EmbeddedChain, State, live_snapshot};

/// An account before and after a transaction; `None`: there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// The account.
    pub address: Address,
    /// Before the transaction.
    pub before: Option<AccountSnapshot>,
    /// After it.
    pub after: Option<AccountSnapshot>,
    /// The transaction's slot.
    pub slot: u64,
}

impl AccountChange {
    /// As a change of a channel of `recipient`, if it is one.
    pub(crate) fn of_channel(self, program_id: &Address, recipient: &Address) -> Option<ChannelChange> {
        let is_channel = |account: &AccountSnapshot| {
            let decoded = ChannelAccount::decode(&account.data);
            account.owner == *program_id && decoded.is_ok_and(|found| found.recipient == recipient.to_bytes())
        };
        let Self { address, before, after, slot } = self;
        match after.filter(is_channel) {
            None => before.is_some_and(|account| is_channel(&account)).then_some(ChannelChange {
                address,
                account: None,
                slot,
            }),
            account => Some(ChannelChange { address, account, slot }),
        }
    }
}

/// Who is told of changes.
#[derive(Default)]
pub(crate) struct Listeners(Vec<UnboundedSender<AccountChange>>);

impl EmbeddedChain {
    /// What transactions change from now on, in the order in which they are executed.
    pub fn changes(&self) -> UnboundedReceiver<AccountChange> {
        let (listener, changes) = unbounded();
        self.lock().listeners.0.push(listener);
        changes
    }
}

impl State {
    /// The accounts that a transaction may change, as they are; empty where nobody listens.
    pub(crate) fn before(
        &self,
        transaction: &VersionedTransaction,
    ) -> Vec<(Address, Option<AccountSnapshot>)> {
        if self.listeners.0.is_empty() {
            return Vec::new();
        }
        let keys = transaction.message.static_account_keys().iter();
        keys.map(|address| (*address, live_snapshot(&self.svm, address))).collect()
    }

    /// Tells of those that have changed.
    pub(crate) fn tell(&mut self, before: Vec<(Address, Option<AccountSnapshot>)>, slot: u64) {
        for (address, before) in before {
            let after = live_snapshot(&self.svm, &address);
            if after != before {
                let change = AccountChange { address, before, after, slot };
                self.listeners.0.retain(|listener| listener.unbounded_send(change.clone()).is_ok());
            }
        }
    }
}
