//! `amp-idl <program folder> <file>` writes a program's IDL, as `anchor idl build` does and by the
//! same library, for those without the Anchor CLI. `make program` runs it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, exit},
};

use anchor_lang_idl::build::IdlBuilder;

fn main() -> ExitCode {
    let args: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [program, file] = args.as_slice() else {
        eprintln!("usage: amp-idl <program folder> <file>");
        return ExitCode::from(2);
    };
    // rustup sets this below `cargo run`. The library would take it for a wish, find the toolchain
    // missing (it asks wrongly) and reinstall it.
    if env::var_os("RUSTUP_TOOLCHAIN").is_some() {
        return match restart_without("RUSTUP_TOOLCHAIN") {
            Ok(code) => exit(code),
            Err(error) => failed(&error),
        };
    }
    match write_idl(program, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error.as_ref()),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("amp-idl: {error}");
    ExitCode::FAILURE
}

/// A process can't safely change its own environment, a new one can.
fn restart_without(variable: &str) -> std::io::Result<i32> {
    let status =
        Command::new(env::current_exe()?).args(env::args_os().skip(1)).env_remove(variable).status()?;
    Ok(status.code().unwrap_or(1))
}

fn write_idl(program: &Path, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    // Builds the program for this machine as a test that prints the IDL. Tests beside the library
    // have no part in it.
    let idl =
        IdlBuilder::new().program_path(program.canonicalize()?).cargo_args(vec!["--lib".into()]).build()?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    // written aside, then renamed: who reads it meanwhile gets the old one or the new one
    let part = file.with_extension(format!("json.{}", std::process::id()));
    fs::write(&part, serde_json::to_string_pretty(&idl)?)?;
    fs::rename(&part, file)?;
    Ok(())
}
