use std::path::{Path, PathBuf};

/// There is no bytecode to run, or none that runs.
#[derive(Debug, thiserror::Error)]
#[error("no usable program at {path}: {reason}; build it with `make program`", path = .path.display())]
pub struct ProgramMissing {
    path: PathBuf,
    reason: String,
}

impl ProgramMissing {
    pub(crate) fn unusable(reason: &impl std::fmt::Display) -> Self {
        Self { path: program_path(), reason: reason.to_string() }
    }
}

/// Where the bytecode is: `$AMP_PROGRAM`, else `deploy/amp.so` in cargo's target directory.
pub fn program_path() -> PathBuf {
    if let Some(path) = std::env::var_os("AMP_PROGRAM") {
        return path.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    target.join("deploy/amp.so")
}

pub(crate) fn bytes() -> Result<Vec<u8>, ProgramMissing> {
    std::fs::read(program_path()).map_err(|error| ProgramMissing::unusable(&error))
}
