//! The cluster that this bytecode is for, chosen by a feature. It declares the id recorded for it.

use amp_protocol::deployment::{self, ProgramId};

#[cfg(not(any(feature = "devnet", feature = "testnet", feature = "mainnet-beta")))]
const RECORDED: Option<&str> = deployment::LOCALNET;
#[cfg(feature = "devnet")]
const RECORDED: Option<&str> = deployment::DEVNET;
#[cfg(feature = "testnet")]
const RECORDED: Option<&str> = deployment::TESTNET;
#[cfg(feature = "mainnet-beta")]
const RECORDED: Option<&str> = deployment::MAINNET_BETA;

pub(crate) const PROGRAM_ID: ProgramId = deployment::declared(RECORDED);
