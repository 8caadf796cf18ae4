//! `amp serve`: what it says, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

fn amp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amp"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AMP_")) {
        command.env_remove(name);
    }
    command.env("RUST_LOG", "off");
    command
}

fn fails(arguments: &[&str]) -> String {
    let output = amp().args(arguments).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_missing_is_said_with_the_option_that_would_do() {
    assert!(fails(&["serve"]).contains("--upstream http://127.0.0.1:8000"));
    assert!(fails(&["serve", "--upstream", "http://127.0.0.1:1"]).contains("--price 0.001"));
    let ports = ["--listen", "127.0.0.1:0", "--operations", "127.0.0.1:0"];
    let words = fails(&[&["serve", "--upstream", "http://127.0.0.1:1", "--price", "1"], &ports[..]].concat());
    assert!(words.contains("--keypair FILE") && words.contains("amp keygen"), "{words}");
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amp.toml");
    std::fs::write(&file, "[upstream]\nurl = \"ftp://example\"\n").unwrap();
    let file = file.to_str().unwrap();
    let words = fails(&["serve", "--config", file]);
    assert!(words.contains(&format!("{file}:2:7: \"ftp://example\" must begin with http://")), "{words}");
    assert!(fails(&["serve", "--config", "/no/such/file"]).contains("can't be read"));
}

#[test]
fn dry_it_serves_without_a_key_or_a_chain_and_says_at_the_end_what_it_would_have_charged() {
    let arguments = ["serve", "--dry", "--upstream", "http://127.0.0.1:9", "--price", "0.5"];
    let ports = ["--listen", "127.0.0.1:0", "--operations", "127.0.0.1:0"];
    let mut serving = amp().args(arguments).args(ports).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(serving.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("serving http://127.0.0.1:") && line.ends_with(", 0.5 a call\n"), "{line}");
    let stopped = Command::new("kill").args(["-TERM", &serving.id().to_string()]).status().unwrap();
    assert!(stopped.success() && serving.wait().unwrap().success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(
        rest,
        "nothing is charged: what would be is logged\nwould have charged 0 base units for 0 answers\n"
    );
}
