use amp_protocol::account::ChannelAccount;
use amp_protocol::instruction::ChainChannel;
use amp_protocol::json::CredentialBody;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use solana_address::Address;

use super::claim::Claim;
use crate::chain::instructions::{self, ChainParties, ChannelKeys, CloseParties};
use crate::chain::{
    ChannelAddress, ComputeBudget, Plan, PriorityFee, TransactionFormat, associated_token_address,
    create_token_account,
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
    /// The largest that the cluster takes.
    pub(super) format: TransactionFormat,
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
    /// What fits into a packet is sent as one. So a claim that is alone, which any claim is when a transaction
    /// with others was refused, is collected whatever a node makes of the larger format.
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
        let plan = Plan::new(self.recipient, budget, self.priority_fee, all);
        if plan.fits() { plan } else { plan.in_format(self.format) }
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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]
mod tests {
    use super::*;
    use crate::chain::{MAX_TRANSACTION_BYTES, MAX_V1_TRANSACTION_BYTES, PROGRAM_ID, TOKEN_PROGRAM};
    use crate::server::ledger::{Authority, SignerRecord};
    use crate::server::settlement::pack::together;
    use crate::server::testing::{authority, channel_account, delegation_account, signer_id};

    /// A claim of nobody else's; `delegated` by a delegate.
    fn claim(number: u8, delegated: bool) -> Claim {
        let unit_price = channel_account().terms.unit_price().unwrap();
        let record = SignerRecord::new(signer_id(), Amount::new(10), unit_price, 64);
        let record = SignerRecord { signer: [100 + number; 32], ..record };
        let delegation = delegated.then(|| Address::from([150 + number; 32]));
        let of_delegate = Authority::Delegation(delegation_account([9; 32], 10).delegation);
        let authority = if delegated { of_delegate } else { authority() };
        Claim { record, authority, delegation, alone: false }
    }

    /// Bytes of a transaction with these claims, each `(channel, by a delegate)`.
    fn bytes(claims: &[(u8, bool)], fee: u64, create_payout: bool) -> usize {
        settlement(claims, fee, create_payout, TransactionFormat::V0).size().unwrap()
    }

    fn settlement(claims: &[(u8, bool)], fee: u64, create_payout: bool, format: TransactionFormat) -> Plan {
        let sender = Sender {
            program_id: PROGRAM_ID,
            recipient: Address::from([1; 32]),
            token_program: TOKEN_PROGRAM,
            priority_fee: PriorityFee(fee),
            format,
        };
        let accounts: Vec<ChannelAccount> = claims
            .iter()
            .map(|(channel, _)| ChannelAccount { vault: [50 + channel; 32], ..channel_account() })
            .collect();
        let made: Vec<Claim> =
            (1..).zip(claims).map(|(number, (_, delegated))| claim(number, *delegated)).collect();
        let all = claims.iter().zip(&accounts).zip(&made);
        let settling: Vec<Settling<'_>> = all
            .map(|(((channel, _), account), claim)| Settling {
                channel: [*channel; 32],
                account,
                claim,
                owed: Amount::new(10),
            })
            .collect();
        sender.settle(&settling, create_payout)
    }

    #[test]
    fn where_the_larger_format_is_taken_fourteen_channels_fit_and_no_fifteenth() {
        let of = |count: u8| (10..10 + count).map(|channel| (channel, false)).collect::<Vec<_>>();
        let plan = |count| settlement(&of(count), 1, true, TransactionFormat::V1);
        let most = together(TransactionFormat::V1);
        assert_eq!((most, plan(14).format(), plan(14).fits()), (14, TransactionFormat::V1, true));
        assert!(plan(14).size().unwrap() <= MAX_V1_TRANSACTION_BYTES && !plan(15).fits());
        // the smallest that there is
        assert!(!settlement(&of(15), 0, false, TransactionFormat::V1).fits());
        // where it is not taken, what does not fit is not made to
        assert!(!settlement(&of(6), 1, true, TransactionFormat::V0).fits());
    }

    #[test]
    fn what_fits_into_a_packet_is_sent_as_one_whatever_the_cluster_takes() {
        let of = |count: u8| (10..10 + count).map(|channel| (channel, false)).collect::<Vec<_>>();
        let format = |count| settlement(&of(count), 1, true, TransactionFormat::V1).format();
        let (packet, large) = (TransactionFormat::V0, TransactionFormat::V1);
        assert_eq!([1, 3, 4, 6].map(format), [packet, packet, large, large]);
    }

    #[test]
    fn three_settlements_fit_into_a_transaction_and_no_four() {
        let three_channels = [(10, false), (11, false), (12, false)];
        assert_eq!((together(TransactionFormat::V0), bytes(&three_channels, 1, true)), (3, 1_231));
        assert!(bytes(&[(10, false), (10, true), (10, true)], 1, true) <= MAX_TRANSACTION_BYTES);
        assert!(bytes(&[(10, true), (11, false), (12, false)], 1, false) <= MAX_TRANSACTION_BYTES);
        // delegates of three channels do not
        assert!(bytes(&[(10, true), (11, true), (12, true)], 0, false) > MAX_TRANSACTION_BYTES);
        // and four of one channel not either: as small as four can be
        assert!(bytes(&[(10, false), (10, true), (10, true), (10, true)], 0, false) > MAX_TRANSACTION_BYTES);
    }

    #[test]
    fn each_settlement_follows_its_own_signature() {
        let sender = Sender {
            program_id: PROGRAM_ID,
            recipient: Address::from([1; 32]),
            token_program: TOKEN_PROGRAM,
            priority_fee: PriorityFee::default(),
            format: TransactionFormat::V0,
        };
        let (account, one, other) = (channel_account(), claim(1, false), claim(2, true));
        let settling =
            |claim| Settling { channel: [10; 32], account: &account, claim, owed: Amount::new(10) };
        let plan = sender.settle(&[settling(&one), settling(&other)], true);
        let ed25519 = Address::from(amp_protocol::ed25519_instruction::PROGRAM_ID);
        let [_, _, first, settle, second, settle_too] = plan.instructions() else { panic!("{plan:?}") };
        for (signature, settle, claim) in [(first, settle, &one), (second, settle_too, &other)] {
            assert_eq!((signature.program_id, settle.program_id), (ed25519, PROGRAM_ID));
            assert_eq!(signature.data[16..48], claim.record.signer);
        }
    }
}
