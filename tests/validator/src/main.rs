//! The SDK over JSON-RPC against a real `solana-test-validator`: discover, open, pay, be refused, top up,
//! settle, close, with both token programs. `make validator-check`; it says what is missing.
//!
//! A program and not a test: it needs a validator, and a test that passes where there is none proves nothing.

mod life;
mod mint;
mod validator;

use amp_sdk::chain::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use validator::Validator;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let validator = Validator::start().await?;
    let mut passed = 0_u32;
    for (name, token_program) in [("SPL Token", TOKEN_PROGRAM), ("Token-2022", TOKEN_2022_PROGRAM)] {
        life::live(&validator, &token_program).await?;
        println!("a channel's life with {name}: ok");
        passed = passed.saturating_add(1);
    }
    validator.stop().await?;
    println!("{passed} passed, 0 failed");
    Ok(())
}
