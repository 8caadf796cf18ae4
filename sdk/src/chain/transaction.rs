use solana_address::Address;
use solana_hash::Hash;
use solana_instruction::Instruction;
use solana_message::{VersionedMessage, v0, v1};
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use super::budget::{ComputeBudget, PriorityFee};
use super::{Chain, ChainError, Confirmation, TransactionFormat};
use crate::signer::Signer;

/// Most bytes of accounts that a transaction loads, programs included: what v0 allows where nothing is said.
const LOADED_BYTES: u32 = 64 * 1024 * 1024;

/// A transaction before it has a blockhash and signatures.
#[derive(Clone, Debug)]
pub struct Plan {
    payer: Address,
    budget: ComputeBudget,
    fee: PriorityFee,
    format: TransactionFormat,
    /// How many of the instructions set the budget.
    of_budget: usize,
    instructions: Vec<Instruction>,
}

impl Plan {
    /// A transaction whose fees `payer` pays. An ed25519 instruction must stay just before the one
    /// that reads it: the budget goes in front of both.
    pub fn new(
        payer: Address,
        budget: ComputeBudget,
        fee: PriorityFee,
        instructions: Vec<Instruction>,
    ) -> Self {
        let mut all = budget.instructions(fee);
        let of_budget = all.len();
        all.extend(instructions);
        let format = TransactionFormat::V0;
        Self { payer, budget, fee, format, of_budget, instructions: all }
    }

    /// The same at another price.
    pub fn repriced(&self, fee: PriorityFee) -> Self {
        let own = self.own_instructions().to_vec();
        Self::new(self.payer, self.budget, fee, own).in_format(self.format)
    }

    /// The same in another format.
    #[must_use]
    pub fn in_format(self, format: TransactionFormat) -> Self {
        Self { format, ..self }
    }

    /// The format it is sent in; v0, unless set.
    pub fn format(&self) -> TransactionFormat {
        self.format
    }

    /// Without those that set the budget.
    fn own_instructions(&self) -> &[Instruction] {
        self.instructions.get(self.of_budget..).unwrap_or_default()
    }

    /// The compute units it asks for.
    pub fn budget(&self) -> ComputeBudget {
        self.budget
    }

    /// The accounts it writes.
    pub fn written_accounts(&self) -> impl Iterator<Item = Address> {
        let accounts = self.instructions.iter().flat_map(|instruction| &instruction.accounts);
        let written = accounts.filter(|account| account.is_writable).map(|account| account.pubkey);
        written.chain([self.payer])
    }

    /// The instructions, budget first.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The bytes it will have, signatures included.
    pub fn size(&self) -> Result<usize, ChainError> {
        let message = self.compile(Hash::default())?;
        Ok(size(&message, message.serialize().len()))
    }

    /// Whether it is within the limits of its format.
    pub fn fits(&self) -> bool {
        self.size().is_ok_and(|size| size <= self.format.max_bytes())
    }

    fn compile(&self, blockhash: Hash) -> Result<VersionedMessage, ChainError> {
        match self.format {
            TransactionFormat::V0 => {
                v0::Message::try_compile(&self.payer, &self.instructions, &[], blockhash)
                    .map(VersionedMessage::V0)
                    .map_err(|error| ChainError::Compile(error.to_string()))
            }
            TransactionFormat::V1 => self.compile_v1(blockhash),
        }
    }

    /// In this format the budget stands in the header. What is not set there is nothing, so all of it is set.
    fn compile_v1(&self, blockhash: Hash) -> Result<VersionedMessage, ChainError> {
        let config = v1::TransactionConfig {
            priority_fee: (self.fee.0 > 0).then(|| self.fee.lamports(self.budget)),
            compute_unit_limit: Some(self.budget.units()),
            loaded_accounts_data_size_limit: Some(LOADED_BYTES),
            heap_size: None,
        };
        let own = self.own_instructions();
        let message = v1::Message::try_compile_with_config(&self.payer, own, blockhash, config)
            .map_err(|error| ChainError::Compile(error.to_string()))?;
        message.validate().map_err(|error| ChainError::Compile(error.to_string()))?;
        Ok(VersionedMessage::V1(message))
    }

    /// Signs for `blockhash`, and holds the result against the packet limit.
    pub async fn sign(
        &self,
        blockhash: Hash,
        signers: &[&dyn Signer],
    ) -> Result<VersionedTransaction, ChainError> {
        let message = self.compile(blockhash)?;
        let bytes = message.serialize();
        let size = size(&message, bytes.len());
        let most = self.format.max_bytes();
        if size > most {
            return Err(ChainError::TooLarge { size, most });
        }
        let required = usize::from(message.header().num_required_signatures);
        let mut signatures = Vec::with_capacity(required);
        for key in message.static_account_keys().iter().take(required) {
            let signer = signers.iter().find(|signer| signer.public_key() == *key);
            let signature: Signature = signer.ok_or(ChainError::MissingSigner(*key))?.sign(&bytes).await?;
            signatures.push(signature);
        }
        Ok(VersionedTransaction { signatures, message })
    }

    /// Signs and sends, and waits for the confirmation. It is sent once: where its blockhash expires before it
    /// is seen confirmed, that is an error, and whoever sends it again must know that it can't be done twice.
    pub async fn send(&self, chain: &dyn Chain, signers: &[&dyn Signer]) -> Result<Confirmation, ChainError> {
        let transaction = self.sign(chain.latest_blockhash().await?, signers).await?;
        chain.send(&transaction).await
    }

    /// Signs and sends, and does so anew with a fresh blockhash and the next fee while the blockhash of the one
    /// before expired unseen; `most` times at most.
    ///
    /// Only for what can't be done twice, whatever a node says of the first. Settlements can't: what is owed is
    /// cumulative, and the program refuses a claim of no more than is booked. So of all that were sent at most
    /// one is paid, in whatever order they land, and the others are refused: before they are sent, as a
    /// rule, so they cost nothing. A top-up paid twice is paid twice, and a close that is sent later than its
    /// sender thinks may close what was opened since: those are sent once.
    pub async fn send_again_until_seen(
        &self,
        chain: &dyn Chain,
        signers: &[&dyn Signer],
        most: u32,
        fee: impl Fn(u32) -> PriorityFee,
    ) -> Result<Confirmation, ChainError> {
        let mut sends = 0;
        loop {
            let sent = self.repriced(fee(sends)).send(chain, signers).await;
            sends = sends.saturating_add(1);
            match sent {
                Err(error) if error.is_expired() && sends < most => {
                    tracing::warn!(%error, "it is signed anew and sent again");
                }
                other => return other,
            }
        }
    }
}

/// Of a message of so many bytes with its signatures. In v0 one byte says how many: there are fewer than 128.
fn size(message: &VersionedMessage, bytes: usize) -> usize {
    let required = usize::from(message.header().num_required_signatures);
    let count = usize::from(!matches!(message, VersionedMessage::V1(_)));
    required.saturating_mul(64).saturating_add(count).saturating_add(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::KeypairSigner;

    fn plan(payer: Address, data: usize) -> Plan {
        let instruction =
            Instruction { program_id: Address::from([1; 32]), accounts: vec![], data: vec![0; data] };
        Plan::new(payer, ComputeBudget::settle(), PriorityFee(1), vec![instruction])
    }

    #[tokio::test]
    async fn a_transaction_larger_than_a_packet_is_refused_before_it_is_sent() {
        let signer = KeypairSigner::generate();
        let sign = async |data| plan(signer.public_key(), data).sign(Hash::default(), &[&signer]).await;
        assert!(matches!(sign(1_300).await, Err(ChainError::TooLarge { size, .. }) if size > 1_300));
        let payer = Address::from([9; 32]);
        let least = plan(payer, 0).size().unwrap();
        let refused = plan(signer.public_key(), 1_300).sign(Hash::default(), &[&signer]).await;
        // two bytes for a length above 127
        let Err(ChainError::TooLarge { size, most: 1_232 }) = refused else { panic!() };
        assert_eq!(size, least + 1_301);
    }

    #[tokio::test]
    async fn the_larger_format_holds_more_and_says_in_its_header_what_the_budget_instructions_say() {
        let signer = KeypairSigner::generate();
        let plan = plan(signer.public_key(), 1_300).in_format(TransactionFormat::V1);
        let transaction = plan.sign(Hash::default(), &[&signer]).await.unwrap();
        let VersionedMessage::V1(message) = &transaction.message else { panic!() };
        let bytes = message.serialize();
        assert_eq!((plan.size().unwrap(), plan.fits(), bytes[0]), (bytes.len() + 64, true, v1::V1_PREFIX));
        // a micro-lamport for each unit, rounded up
        let expected = (Some(1), Some(ComputeBudget::settle().units()), Some(LOADED_BYTES), 1);
        let v1::TransactionConfig {
            priority_fee, compute_unit_limit, loaded_accounts_data_size_limit, ..
        } = message.config;
        let found =
            (priority_fee, compute_unit_limit, loaded_accounts_data_size_limit, message.instructions.len());
        assert_eq!(found, expected);
        assert!(transaction.signatures[0].verify(&signer.public_key().to_bytes(), &bytes));

        let large = self::plan(signer.public_key(), 4_096).in_format(TransactionFormat::V1);
        let refused = large.sign(Hash::default(), &[&signer]).await;
        assert!(matches!(refused, Err(ChainError::TooLarge { most: 4_096, .. })) && !large.fits());
        assert_eq!(plan.repriced(PriorityFee(2)).format(), TransactionFormat::V1);
    }

    #[test]
    fn more_accounts_than_the_larger_format_may_name_do_not_fit() {
        let naming = |accounts: u8| {
            let account = |number| solana_instruction::AccountMeta::new([number; 32].into(), false);
            let accounts = (1..=accounts).map(account).collect();
            let instruction = Instruction { program_id: Address::from([200; 32]), accounts, data: vec![] };
            let (payer, fee) = (Address::from([201; 32]), PriorityFee::default());
            let plan = Plan::new(payer, ComputeBudget::settle(), fee, vec![instruction]);
            plan.in_format(TransactionFormat::V1).fits()
        };
        assert_eq!((naming(62), naming(63)), (true, false));
    }

    #[tokio::test]
    async fn a_missing_signer_is_named() {
        let payer = Address::from([9; 32]);
        let signed = plan(payer, 0).sign(Hash::default(), &[]).await;
        assert!(matches!(signed, Err(ChainError::MissingSigner(key)) if key == payer));
    }
}
