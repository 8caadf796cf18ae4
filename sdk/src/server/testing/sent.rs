use amp_protocol::instruction::SETTLE;
use amp_protocol::message::Key;
use solana_hash::Hash;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_transaction::versioned::VersionedTransaction;

use crate::chain::PROGRAM_ID;

/// A transaction as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) blockhash: Hash,
    /// Micro-lamports per compute unit.
    pub(crate) price: u64,
    /// Compute units.
    pub(crate) limit: u32,
    /// The channels that it settles, in order; one twice where two of its signers are.
    pub(crate) settles: Vec<Key>,
}

impl Sent {
    pub(super) fn new(transaction: &VersionedTransaction) -> Self {
        let keys = transaction.message.static_account_keys();
        let all = transaction.message.instructions();
        let program = |one: &CompiledInstruction| keys[usize::from(one.program_id_index)];
        let budget = |kind: u8| {
            let is_it = |one: &&CompiledInstruction| {
                program(one) == solana_compute_budget_interface::ID && one.data[0] == kind
            };
            let mut number = [0; 8];
            all.iter()
                .find(is_it)
                .iter()
                .for_each(|one| number[..one.data.len() - 1].copy_from_slice(&one.data[1..]));
            u64::from_le_bytes(number)
        };
        let settle = all.iter().filter(|one| program(one) == PROGRAM_ID && one.data.starts_with(&SETTLE));
        Self {
            blockhash: *transaction.message.recent_blockhash(),
            price: budget(3),
            limit: u32::try_from(budget(2)).unwrap(),
            settles: settle.map(|one| keys[usize::from(one.accounts[1])].to_bytes()).collect(),
        }
    }
}
