use amp_protocol::account::TokenHolding;
use amp_protocol::money::Amount;
use amp_sdk::chain::{ChainError, associated_token_address, create_token_account};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;
use spl_token_2022_interface::extension::ExtensionType;
use spl_token_2022_interface::instruction as token;
use spl_token_2022_interface::state::Mint;

use crate::EmbeddedChain;

/// A mint whose authority is the embedded chain itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestMint {
    /// The mint.
    pub address: Address,
    /// SPL Token or Token-2022.
    pub token_program: Address,
}

impl TestMint {
    /// The associated token account of `owner`.
    pub fn account_of(&self, owner: &Address) -> Address {
        associated_token_address(owner, &self.address, &self.token_program)
    }
}

impl EmbeddedChain {
    /// Gives lamports.
    pub fn airdrop(&self, to: &Address, lamports: u64) -> Result<(), ChainError> {
        let transfer = |from: &Address| solana_system_interface::instruction::transfer(from, to, lamports);
        self.as_bank(|bank| vec![transfer(bank)], &[])
    }

    /// A mint without extensions, with 6 decimals.
    pub fn create_mint(&self, token_program: &Address) -> Result<TestMint, ChainError> {
        self.create_mint_with(token_program, &[], |_, _| Vec::new())
    }

    /// A mint with extensions; `initialize(mint, authority)` are their own instructions.
    pub fn create_mint_with(
        &self,
        token_program: &Address,
        extensions: &[ExtensionType],
        initialize: impl FnOnce(&Address, &Address) -> Vec<Instruction>,
    ) -> Result<TestMint, ChainError> {
        const DECIMALS: u8 = 6;
        let mint = self.next_mint();
        let address = mint.pubkey();
        let failed = |error: &dyn std::fmt::Display| ChainError::Compile(error.to_string());
        let space =
            ExtensionType::try_calculate_account_len::<Mint>(extensions).map_err(|error| failed(&error))?;
        let rent = self.lock().svm.minimum_balance_for_rent_exemption(space);
        let bytes = u64::try_from(space).unwrap_or(u64::MAX);
        let bank = self.lock().bank.pubkey();
        let start = token::initialize_mint2(token_program, &address, &bank, Some(&bank), DECIMALS)
            .map_err(|error| failed(&error))?;
        let create =
            solana_system_interface::instruction::create_account(&bank, &address, rent, bytes, token_program);
        let mut instructions = vec![create];
        instructions.extend(initialize(&address, &bank));
        instructions.push(start);
        self.as_bank(|_| instructions, &[&mint])?;
        Ok(TestMint { address, token_program: *token_program })
    }

    /// Numbered keys, not random ones: what a derivation on chain costs depends on the address.
    fn next_mint(&self) -> Keypair {
        let mut state = self.lock();
        state.mints = state.mints.saturating_add(1);
        let mut seed = *b"the mints of an embedded chain\0\0";
        let [.., high, low] = &mut seed;
        [*high, *low] = state.mints.to_be_bytes();
        Keypair::new_from_array(seed)
    }

    /// Creates the owner's associated token account where it is missing, and mints into it.
    pub fn mint_to(&self, mint: &TestMint, owner: &Address, amount: Amount) -> Result<Address, ChainError> {
        let account = mint.account_of(owner);
        self.as_bank(
            |bank| vec![create_token_account(bank, owner, &mint.address, &mint.token_program)],
            &[],
        )?;
        self.mint_into(mint, &account, amount)?;
        Ok(account)
    }

    /// Creates a token account of `owner` at the address of `account`, not the associated one.
    pub fn create_token_account_at(
        &self,
        mint: &TestMint,
        owner: &Address,
        account: &Keypair,
    ) -> Result<Address, ChainError> {
        const SPACE: u64 = 165;
        let address = account.pubkey();
        let rent = self.lock().svm.minimum_balance_for_rent_exemption(165);
        let initialize = token::initialize_account3(&mint.token_program, &address, &mint.address, owner)
            .map_err(|error| ChainError::Compile(error.to_string()))?;
        let create = |bank: &Address| {
            solana_system_interface::instruction::create_account(
                bank,
                &address,
                rent,
                SPACE,
                &mint.token_program,
            )
        };
        self.as_bank(|bank| vec![create(bank), initialize], &[account])?;
        Ok(address)
    }

    /// Mints into any token account: a donation, where it is somebody's.
    pub fn mint_into(&self, mint: &TestMint, account: &Address, amount: Amount) -> Result<(), ChainError> {
        let bank = self.lock().bank.pubkey();
        let instruction =
            token::mint_to(&mint.token_program, &mint.address, account, &bank, &[], amount.get())
                .map_err(|error| ChainError::Compile(error.to_string()))?;
        self.as_bank(|_| vec![instruction], &[])
    }

    /// Base units in a token account; zero where there is none.
    pub fn tokens(&self, account: &Address) -> Amount {
        let Some(account) = self.snapshot(account) else { return Amount::ZERO };
        TokenHolding::parse(&account.data).map_or(Amount::ZERO, |holding| holding.amount)
    }

    /// Executes set-up instructions that the bank pays for; they don't count as executed.
    fn as_bank(
        &self,
        instructions: impl FnOnce(&Address) -> Vec<Instruction>,
        signers: &[&Keypair],
    ) -> Result<(), ChainError> {
        let mut state = self.lock();
        let bank = state.bank.insecure_clone();
        let mut all = vec![&bank];
        all.extend(signers);
        state.run(&instructions(&bank.pubkey()), &all)?;
        Ok(())
    }
}
