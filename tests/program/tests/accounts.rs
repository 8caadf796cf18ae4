//! Every account of every instruction: passed read-only, without its signature, in place of the program it
//! stands for, owned by another program, of another kind. What is changed is the account and nothing else:
//! unchanged, each of the instructions goes through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_embedded::Executed;
use amp_program_tests::{DEPOSIT, GRACE, TERMS, World, foreign};
use amp_protocol::money::Amount;
use amp_protocol::rules::Terms;
use amp_sdk::chain::{ChainError, PROGRAM_ID, TOKEN_PROGRAM, instructions};
use solana_instruction::Instruction;
use solana_instruction::error::InstructionError;
use solana_keypair::Keypair;
use solana_signer::Signer;
use solana_system_interface::program::ID as SYSTEM_PROGRAM;
use solana_transaction_error::TransactionError;

/// An instruction that goes through. A stranger pays the fee, so that no account is writable or signed for
/// because it pays.
struct Case<'w> {
    name: &'static str,
    world: &'w World,
    before: Vec<Instruction>,
    instruction: Instruction,
    signers: Vec<&'w Keypair>,
}

impl Case<'_> {
    fn run(&self, instruction: Instruction) -> Result<Executed, ChainError> {
        let mut signers = vec![&self.world.stranger];
        let signs = |key| instruction.accounts.iter().any(|meta| meta.is_signer && meta.pubkey == key);
        signers.extend(self.signers.iter().filter(|signer| signs(signer.pubkey())));
        let mut all = self.before.clone();
        all.push(instruction);
        self.world.chain.execute(&all, &signers)
    }

    /// Changes the account with this index and expects this custom error of anchor's.
    fn refuses(&self, index: usize, number: u32, change: impl FnOnce(&mut Instruction)) {
        let mut instruction = self.instruction.clone();
        change(&mut instruction);
        match self.run(instruction) {
            Err(ChainError::Failed {
                error: TransactionError::InstructionError(_, InstructionError::Custom(found)),
                ..
            }) if found == number => {}
            Err(error) => {
                panic!("{}, account {index}: expected custom error {number}, found: {error}", self.name)
            }
            Ok(_) => {
                panic!("{}, account {index}: expected custom error {number}, but it went through", self.name)
            }
        }
    }

    /// The same with what the account holds changed for that time.
    fn refuses_data(
        &self,
        index: usize,
        number: u32,
        change: impl FnOnce(&mut amp_sdk::chain::AccountSnapshot),
    ) {
        let address = self.instruction.accounts[index].pubkey;
        let genuine = self.world.chain.snapshot(&address).expect("the account exists");
        let mut changed = genuine.clone();
        change(&mut changed);
        self.world.chain.overwrite(&address, changed).unwrap();
        self.refuses(index, number, |_| {});
        self.world.chain.overwrite(&address, genuine).unwrap();
    }
}

/// Runs `check` on each instruction with every account it can be given, then the instruction itself.
fn each_instruction(check: impl Fn(&Case)) {
    let run = |case: Case| {
        check(&case);
        case.run(case.instruction.clone()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    };

    let world = World::default();
    run(Case {
        name: "open_channel",
        world: &world,
        before: vec![],
        instruction: world.open_instruction(0, DEPOSIT, TERMS),
        signers: vec![&world.funder, &world.rent_payer],
    });

    let world = World::default();
    let channel = world.open_with(0, DEPOSIT, Terms { max_chain_depth: 1, ..TERMS });
    let funder = world.funder.pubkey();
    run(Case {
        name: "top_up",
        world: &world,
        before: vec![],
        instruction: instructions::top_up(&channel.keys(), &funder, &world.funder_token, Amount::new(1)),
        signers: vec![&world.funder],
    });
    let delegated = channel.delegate();
    run(Case {
        name: "set_delegate",
        world: &world,
        before: vec![],
        instruction: delegated.set_instruction(1_000, 0),
        signers: vec![&world.funder, &world.rent_payer],
    });
    channel.wait_for_interval();
    run(Case {
        name: "settle",
        world: &world,
        before: vec![delegated.proof(1)],
        instruction: channel.settle_instruction_with(Some(&delegated.address), 100),
        signers: vec![&world.recipient],
    });
    channel.wait_for_interval();
    let supplier = world.supplier.pubkey();
    let mut chain = channel.chain_instruction(&supplier, Some(delegated.address), 200, 0, TERMS);
    chain.accounts[1].pubkey = world.rent_payer.pubkey();
    run(Case {
        name: "chain_channel",
        world: &world,
        before: vec![delegated.proof(2)],
        instruction: chain,
        signers: vec![&world.recipient, &world.rent_payer],
    });
    run(Case {
        name: "revoke_delegate",
        world: &world,
        before: vec![],
        instruction: delegated.revoke_instruction(&funder),
        signers: vec![&world.funder],
    });
    world.chain.advance_seconds(GRACE + 1);
    run(Case {
        name: "close_delegation",
        world: &world,
        before: vec![],
        instruction: delegated.close_instruction(),
        signers: vec![],
    });
    run(Case {
        name: "request_close",
        world: &world,
        before: vec![],
        instruction: instructions::request_close(&PROGRAM_ID, &channel.at.channel, &funder),
        signers: vec![&world.funder],
    });
    run(Case {
        name: "close_channel",
        world: &world,
        before: vec![channel.statement_proof(300)],
        instruction: channel.close_instruction(&funder, Some(world.recipient_token)),
        signers: vec![&world.funder],
    });
}

#[test]
fn an_account_that_is_written_is_refused_read_only() {
    each_instruction(|case| {
        for (index, meta) in case.instruction.accounts.iter().enumerate() {
            if meta.is_writable {
                let read_only = |changed: &mut Instruction| changed.accounts[index].is_writable = false;
                case.refuses(index, foreign::NOT_MUTABLE, read_only);
            }
        }
    });
}

#[test]
fn an_account_that_must_sign_is_refused_without_its_signature() {
    each_instruction(|case| {
        for (index, meta) in case.instruction.accounts.iter().enumerate() {
            if meta.is_signer {
                let unsigned = |changed: &mut Instruction| changed.accounts[index].is_signer = false;
                case.refuses(index, foreign::NOT_SIGNER, unsigned);
            }
        }
    });
}

#[test]
fn a_program_is_refused_in_place_of_another() {
    each_instruction(|case| {
        for (index, meta) in case.instruction.accounts.iter().enumerate() {
            let other = match meta.pubkey {
                TOKEN_PROGRAM => SYSTEM_PROGRAM,
                SYSTEM_PROGRAM => TOKEN_PROGRAM,
                _ => continue,
            };
            let replaced = |changed: &mut Instruction| changed.accounts[index].pubkey = other;
            case.refuses(index, foreign::WRONG_PROGRAM, replaced);
        }
    });
}

#[test]
fn an_account_is_refused_in_place_of_the_instructions_sysvar() {
    each_instruction(|case| {
        for (index, meta) in case.instruction.accounts.iter().enumerate() {
            if meta.pubkey == instructions::INSTRUCTIONS_SYSVAR {
                let other = case.world.stranger.pubkey();
                let replaced = |changed: &mut Instruction| changed.accounts[index].pubkey = other;
                case.refuses(index, foreign::CONSTRAINT_ADDRESS, replaced);
            }
        }
    });
}

/// The accounts that anchor reads as a channel or a delegation.
fn of_ours(case: &Case) -> &'static [usize] {
    match case.name {
        "open_channel" => &[],
        "top_up" | "request_close" | "close_channel" => &[1],
        "set_delegate" => &[2],
        "settle" => &[1, 7],
        "chain_channel" => &[2, 11],
        "revoke_delegate" => &[1, 2],
        "close_delegation" => &[0],
        other => panic!("{other} is new"),
    }
}

#[test]
fn the_very_bytes_of_an_account_are_refused_when_another_program_owns_it() {
    each_instruction(|case| {
        for index in of_ours(case) {
            let owner = case.world.stranger.pubkey();
            case.refuses_data(*index, foreign::OWNED_BY_WRONG_PROGRAM, |account| account.owner = owner);
        }
    });
}

#[test]
fn an_account_of_ours_is_refused_when_it_is_of_another_kind() {
    each_instruction(|case| {
        for index in of_ours(case) {
            case.refuses_data(*index, foreign::WRONG_DISCRIMINATOR, |account| account.data[0] ^= 1);
        }
    });
}
