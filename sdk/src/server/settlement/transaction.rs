use amp_protocol::account::ChannelAccount;
use amp_protocol::instruction::ChainChannel;
use amp_protocol::json::CredentialBody;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use solana_address::Address;

use super::claim::Claim;
use crate::chain::instructions::{self, ChainParties, ChannelKeys, CloseParties};
use crate::chain::{
    ChannelAddress, ComputeBudget, Plan, PriorityFee, associated_token_address, create_token_account,
};
use crate::server::ledger::SignerRecord;

/// The service's part in the transactions it sends: it signs and pays for them.
pub(super) struct Sender {
    pub(super) program_id: Address,
    pub(super) recipient: Address,
    pub(super) token_program: Address,
    pub(super) priority_fee: PriorityFee,
}

impl Sender {
    fn keys(&self, channel: Key, account: &ChannelAccount) -> ChannelKeys {
        ChannelKeys {
            program_id: self.program_id,
            channel: Address::from(channel),
            vault: Address::from(account.vault),
            mint: Address::from(account.mint),
            token_program: self.token_program,
        }
    }

    /// Where settlements are paid to.
    pub(super) fn payout_account(&self, mint: Key) -> Address {
        associated_token_address(&self.recipient, &Address::from(mint), &self.token_program)
    }

    /// Claims `owed` (cumulative) with the signer's highest credential; of a delegate's delegation the
    /// address is given.
    pub(super) fn settle(
        &self,
        channel: Key,
        account: &ChannelAccount,
        record: &SignerRecord,
        delegation: Option<&Address>,
        owed: Amount,
        create_payout: bool,
    ) -> Plan {
        let keys = self.keys(channel, account);
        let payout = self.payout_account(account.mint);
        let signed = CredentialBody { channel: channel.into(), seq: record.seq, sig: record.sig.into() };
        let mut budget = match delegation {
            Some(_) => ComputeBudget::settle_by_delegate(),
            None => ComputeBudget::settle(),
        };
        let mut all = Vec::with_capacity(3);
        if create_payout {
            budget = budget.with_token_accounts(1);
            all.push(create_token_account(&self.recipient, &self.recipient, &keys.mint, &self.token_program));
        }
        // the program reads the instruction just before its own: these two stay together
        all.push(instructions::credential(&Address::from(record.signer), record.epoch, &signed));
        all.push(instructions::settle(&keys, &self.recipient, &payout, delegation, owed));
        Plan::new(self.recipient, budget, self.priority_fee, all)
    }

    /// Claims up to `args.owed` with the claim's credential into a new channel at `at`.
    pub(super) fn chain(
        &self,
        upstream: Address,
        account: &ChannelAccount,
        claim: &Claim,
        sub_service: &Address,
        args: &ChainChannel,
        at: &ChannelAddress,
    ) -> Plan {
        let record = &claim.record;
        let channel = upstream.to_bytes();
        let signed = CredentialBody { channel: channel.into(), seq: record.seq, sig: record.sig.into() };
        let parties = ChainParties {
            recipient: self.recipient,
            rent_payer: self.recipient,
            sub_service: *sub_service,
            delegation: claim.delegation,
        };
        let all = vec![
            instructions::credential(&Address::from(record.signer), record.epoch, &signed),
            instructions::chain_channel(&self.keys(channel, account), &parties, args),
        ];
        Plan::new(self.recipient, ComputeBudget::chain(at), self.priority_fee, all)
    }

    /// The funder's associated account: where a close by the recipient refunds to.
    pub(super) fn refund_account(&self, account: &ChannelAccount) -> Address {
        let (funder, mint) = (Address::from(account.funder), Address::from(account.mint));
        associated_token_address(&funder, &mint, &self.token_program)
    }

    /// Closes the channel as its recipient: what is left goes to the funder's associated account.
    pub(super) fn close(&self, channel: Key, account: &ChannelAccount) -> Plan {
        let keys = self.keys(channel, account);
        let funder = Address::from(account.funder);
        let parties = CloseParties {
            closer: self.recipient,
            refund_token: self.refund_account(account),
            rent_payer: Address::from(account.rent_payer),
            payout_token: None,
        };
        let budget = ComputeBudget::close_by_other(&funder, &keys.mint, &self.token_program);
        let close = instructions::close_channel(&keys, &parties);
        Plan::new(self.recipient, budget, self.priority_fee, vec![close])
    }
}
