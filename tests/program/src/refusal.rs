use amp_embedded::Executed;
use amp_protocol::rejection::Rejection;
use amp_sdk::chain::ChainError;
use solana_instruction::error::InstructionError;
use solana_transaction_error::TransactionError;

/// Asserts that the program refused for exactly this reason; otherwise shows what happened.
#[track_caller]
pub fn assert_refused(outcome: Result<Executed, ChainError>, rejection: Rejection) {
    match outcome {
        Err(ChainError::Rejected(found)) if found == rejection => {}
        Err(error) => panic!("expected {rejection:?}, found: {error} ({error:?})"),
        Ok(done) => panic!("expected {rejection:?}, but it went through:\n{}", done.logs.join("\n")),
    }
}

/// Custom error numbers that are not AMP's own, where another layer refuses.
pub mod foreign {
    /// System program: the account exists already.
    pub const ALREADY_IN_USE: u32 = 0;
    /// Token program: insufficient funds.
    pub const INSUFFICIENT_FUNDS: u32 = 1;
    /// Token program: the signer does not own the account.
    pub const OWNER_MISMATCH: u32 = 4;
    /// Anchor: the account is passed read-only.
    pub const NOT_MUTABLE: u32 = 2000;
    /// Anchor: an address constraint.
    pub const CONSTRAINT_ADDRESS: u32 = 2012;
    /// Anchor: the account belongs to another program.
    pub const OWNED_BY_WRONG_PROGRAM: u32 = 3007;
    /// Anchor: the account is of another kind.
    pub const WRONG_DISCRIMINATOR: u32 = 3002;
    /// Anchor: not the program that is called.
    pub const WRONG_PROGRAM: u32 = 3008;
    /// Anchor: a signature is missing.
    pub const NOT_SIGNER: u32 = 3010;
}

/// Asserts that something other than AMP's own rules refused, with this custom error number.
#[track_caller]
pub fn assert_foreign(outcome: Result<Executed, ChainError>, number: u32) {
    match outcome {
        Err(ChainError::Failed {
            error: TransactionError::InstructionError(_, InstructionError::Custom(found)),
            ..
        }) if found == number => {}
        Err(error) => panic!("expected custom error {number}, found: {error} ({error:?})"),
        Ok(done) => panic!("expected custom error {number}, but it went through:\n{}", done.logs.join("\n")),
    }
}
