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

/// A claim of a channel, and how much (cumulative) is claimed.
#[derive(Clone, Copy)]
pub(super) struct Settling<'a> {
    pub(super) channel: Key,
    pub(super) account: &'a ChannelAccount,
    pub(super) claim: &'a Claim,
    pub(super) owed: Amount,
}

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

    /// Makes all these claims, of channels with one mint, in one transaction: either all are booked or none.
    pub(super) fn settle(&self, claims: &[Settling<'_>], create_payout: bool) -> Plan {
        let mut budget: Option<ComputeBudget> = None;
        let mut all = Vec::with_capacity(claims.len().saturating_mul(2).saturating_add(1));
        for Settling { channel, account, claim, owed } in claims {
            let keys = self.keys(*channel, account);
            let payout = self.payout_account(account.mint);
            let mut own = match claim.delegation {
                Some(_) => ComputeBudget::settle_by_delegate(),
                None => ComputeBudget::settle(),
            };
            if create_payout && all.is_empty() {
                own = own.with_token_accounts(1);
                let (owner, program) = (&self.recipient, &self.token_program);
                all.push(create_token_account(owner, owner, &keys.mint, program));
            }
            budget = Some(budget.map_or(own, |before| before.and(own)));
            // the program reads the instruction just before its own, with one signature in it: these two
            // stay together, and no two claims share one
            let record = &claim.record;
            let signed =
                CredentialBody { channel: (*channel).into(), seq: record.seq, sig: record.sig.into() };
            all.push(instructions::credential(&Address::from(record.signer), record.epoch, &signed));
            let delegation = claim.delegation.as_ref();
            all.push(instructions::settle(&keys, &self.recipient, &payout, delegation, *owed));
        }
        let budget = budget.unwrap_or(ComputeBudget::settle());
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
