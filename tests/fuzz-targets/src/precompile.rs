use amp::precompile::signed_message_just_before;
use amp_protocol::ed25519_instruction::{PROGRAM_ID, build, parse};
use amp_protocol::rejection::Rejection;
use anchor_lang::solana_program::pubkey::Pubkey;
use anchor_lang::solana_program::sysvar::instructions::{
    BorrowedAccountMeta, BorrowedInstruction, construct_instructions_data,
};

use crate::Verdict;
use crate::input::Input;

/// The instruction of the ed25519 precompile: accepted is exactly what would be built, byte for byte.
pub fn ed25519_instruction(data: &[u8]) -> Verdict {
    let short = accepted_is_what_is_built::<52, 164>(data);
    let long = accepted_is_what_is_built::<124, 236>(data);
    assert!(!(short && long));
    if short || long { Verdict::Accepted } else { Verdict::Refused }
}

fn accepted_is_what_is_built<const N: usize, const L: usize>(data: &[u8]) -> bool {
    let built = <&[u8; L]>::try_from(data).ok().map(|data| {
        let (signer, signature) = (data[16..48].try_into().unwrap(), data[48..112].try_into().unwrap());
        let message = data[112..].try_into().unwrap();
        (build::<N, L>(signer, signature, message), signer, message)
    });
    let expected = built.filter(|(built, ..)| built == data);
    let read = parse::<N>(data).ok();
    assert_eq!(
        read.map(|read| (read.signer, read.message)),
        expected.map(|(_, key, message)| (key, message))
    );
    read.is_some()
}

/// The walk through the instructions sysvar: no bytes make it panic; of what the runtime writes it takes
/// the instruction just before the running one and no other; it accepts nothing in which a plain reader of
/// the documented layout does not find a precompile instruction there.
pub fn instructions_sysvar(bytes: &[u8]) -> Verdict {
    let mut input = Input::new(bytes);
    if input.flag() { written_by_the_runtime(&mut input) } else { any_bytes(&bytes[bytes.len().min(1)..]) }
}

fn any_bytes(sysvar: &[u8]) -> Verdict {
    let read = signed_message_just_before::<52>(sysvar);
    if let Ok(read) = read {
        let (program, data) = plain_reading(sysvar).expect("accepted where a plain reader finds nothing");
        assert_eq!(program, PROGRAM_ID);
        let found = parse::<52>(data).expect("accepted what the precompile's own rules refuse");
        assert_eq!(read, found);
    }
    Verdict::of(&read)
}

/// Program and data of the instruction before the running one, byte after byte as the layout is described.
fn plain_reading(sysvar: &[u8]) -> Option<([u8; 32], &[u8])> {
    let take = |at: &mut usize, length: usize| {
        let bytes = sysvar[..sysvar.len() - 2].get(*at..*at + length)?;
        *at += length;
        Some(bytes)
    };
    let number =
        |at: &mut usize| take(at, 2).map(|bytes| usize::from(bytes[0]) + 256 * usize::from(bytes[1]));
    let running = sysvar.len().checked_sub(2)?;
    let running = usize::from(sysvar[running]) + 256 * usize::from(sysvar[running + 1]);
    let mut at = 2 + 2 * running.checked_sub(1)?;
    at = number(&mut at)?;
    for _ in 0..number(&mut at)? {
        take(&mut at, 33)?;
    }
    let program = take(&mut at, 32)?.try_into().ok()?;
    let length = number(&mut at)?;
    Some((program, take(&mut at, length)?))
}

struct Shown {
    program: Pubkey,
    accounts: Vec<(Pubkey, u8)>,
    data: Vec<u8>,
}

fn written_by_the_runtime(input: &mut Input) -> Verdict {
    let count = 1 + usize::from(input.byte() % 4);
    let shown: Vec<Shown> = (0..count).map(|_| instruction(input)).collect();
    let borrowed: Vec<BorrowedInstruction> = shown.iter().map(borrow).collect();
    let mut sysvar = construct_instructions_data(&borrowed);
    let running = usize::from(input.byte()) % count;
    let end = sysvar.len() - 2;
    sysvar[end..].copy_from_slice(&(running as u16).to_le_bytes());

    let expected = match running.checked_sub(1).map(|before| &shown[before]) {
        None => Err(Rejection::PrecompileMissing),
        Some(before) if before.program.to_bytes() != PROGRAM_ID => Err(Rejection::PrecompileOtherProgram),
        Some(before) => parse::<52>(&before.data),
    };
    assert_eq!(signed_message_just_before::<52>(&sysvar), expected);
    any_bytes(&sysvar)
}

fn instruction(input: &mut Input) -> Shown {
    let kind = input.byte();
    let program = if kind & 1 == 0 { PROGRAM_ID.into() } else { Pubkey::new_from_array(input.array()) };
    let accounts =
        (0..kind >> 1 & 3).map(|_| (Pubkey::new_from_array(input.array()), input.byte())).collect();
    let mut data = build::<52, 164>(&input.array(), &input.array(), &input.array()).to_vec();
    match kind >> 3 & 3 {
        0 => {}
        1 => data[usize::from(input.byte()) % 164] ^= input.byte(),
        2 => data.truncate(input.byte().into()),
        _ => {
            let length = usize::from(input.byte());
            data = input.bytes(length).to_vec();
        }
    }
    Shown { program, accounts, data }
}

fn borrow<'a>(shown: &'a Shown) -> BorrowedInstruction<'a> {
    let meta = |(pubkey, flags): &'a (Pubkey, u8)| BorrowedAccountMeta {
        pubkey,
        is_signer: flags & 1 != 0,
        is_writable: flags & 2 != 0,
    };
    BorrowedInstruction {
        program_id: &shown.program,
        accounts: shown.accounts.iter().map(meta).collect(),
        data: &shown.data,
    }
}
