//! `toolchain-check <program.so> [runs] [seed]`: runs toolchain-check-program as bytecode (in
//! LiteSVM) and here, on the same random inputs, and stops at the first difference.

use std::{
    env, fs, panic,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use litesvm::LiteSVM;
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_instruction::{Instruction, error::InstructionError};
use solana_message::{Message, VersionedMessage};
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;
use toolchain_check_program::{SECTIONS, run};

const PROGRAM: Address = Address::new_from_array([7; 32]);
const PAYER: Address = Address::new_from_array([9; 32]);
const MAX_INPUT: u64 = 400;

/// None: it panicked.
type Outcome = Option<[u8; 32]>;

fn main() -> ExitCode {
    match check() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("toolchain-check: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), String> {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(file) = args.first() else {
        return Err("usage: toolchain-check <program.so> [runs] [seed]".into());
    };
    let number =
        |i: usize| args.get(i).map(|arg| arg.parse::<u64>().map_err(|e| format!("{arg}: {e}"))).transpose();
    let runs = number(1)?.unwrap_or(2_000);
    let seed = number(2)?.unwrap_or_else(time_as_seed);
    println!("{runs} runs of {} sections, seed {seed}", SECTIONS.len());

    let mut chain = LiteSVM::new().with_sigverify(false).with_transaction_history(0);
    let bytecode = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    chain.add_program(PROGRAM, &bytecode).map_err(|e| format!("{file}: {e:?}"))?;
    chain.airdrop(&PAYER, 1_000_000_000_000).map_err(|e| format!("{:?}", e.err))?;

    // panics of the host are outcomes here, not news
    panic::set_hook(Box::new(|_| {}));
    let mut random = Random(seed);
    let (mut panics, mut units_sum, mut units_max) = (0_u64, 0, 0);
    for i in 0..runs {
        let mut input = random.bytes(MAX_INPUT);
        let section = (i % SECTIONS.len() as u64) as usize;
        input.insert(0, section as u8);
        let here = panic::catch_unwind(|| run(&input)).ok();
        let (there, units, logs) = on_chain(&mut chain, &input)?;
        if here != there {
            return Err(format!(
                "DIFFERENCE at run {i}, section \"{}\"\n input   {}\n host    {}\n chain   {}\n logs    {logs:#?}\n\
                 {i} passed, 1 failed (repeat it: runs {runs}, seed {seed})",
                SECTIONS[section].0,
                hex(&input),
                show(here),
                show(there),
            ));
        }
        panics += u64::from(here.is_none());
        units_sum += units;
        units_max = units_max.max(units);
    }
    println!("{panics} of them panicked, on both sides");
    println!("{} compute units a run on average, at most {units_max}", units_sum / runs.max(1));
    println!("{runs} passed, 0 failed");
    Ok(())
}

/// An error here is one of the test, not of the code under test.
fn on_chain(chain: &mut LiteSVM, input: &[u8]) -> Result<(Outcome, u64, Vec<String>), String> {
    let instructions = [
        ComputeBudgetInstruction::set_compute_unit_limit(1_400_000),
        Instruction::new_with_bytes(PROGRAM, input, vec![]),
    ];
    let message = Message::new_with_blockhash(&instructions, Some(&PAYER), &chain.latest_blockhash());
    let transaction = VersionedTransaction {
        signatures: vec![Signature::default()],
        message: VersionedMessage::Legacy(message),
    };
    match chain.send_transaction(transaction) {
        Ok(meta) => {
            let digest = meta.return_data.data.try_into().map_err(|data| format!("returned {data:?}"))?;
            Ok((Some(digest), meta.compute_units_consumed, meta.logs))
        }
        // A panic. Running out of compute units or memory fails in the same way but says so.
        Err(failure)
            if failure.err
                == TransactionError::InstructionError(1, InstructionError::ProgramFailedToComplete)
                && failure.meta.logs.iter().any(|log| log.contains("SBF program Panicked in")) =>
        {
            Ok((None, failure.meta.compute_units_consumed, failure.meta.logs))
        }
        Err(failure) => Err(format!("{:?} for input {}\n{:#?}", failure.err, hex(input), failure.meta.logs)),
    }
}

fn show(outcome: Outcome) -> String {
    outcome.map_or("panicked".into(), |digest| hex(&digest))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn time_as_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_millis() as u64)
}

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Some bytes, at most `max`.
    fn bytes(&mut self, max: u64) -> Vec<u8> {
        let length = self.next() % max;
        (0..length).map(|_| self.next() as u8).collect()
    }
}
