//! Nothing moves money before somebody said yes.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use crate::town::{PRICE, Said, TOKENS, Town, terminal};

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_asked_every_command_that_moves_money_refuses() {
    let town = Town::found().await;
    let url = town.url("/quote");
    let word = ["standard input is no terminal", "--yes"];
    for command in ["open", "call", "stream", "bench"] {
        let said = town.amp(&[command, &url]).await;
        said.fails(3, &word).fails(3, &["deposit", "0.25 "]);
    }
    assert_eq!(town.tokens(&town.agent), TOKENS);
    let channel = town.with_channel(1).await.to_string();
    let deputy = town.deputy().to_string();
    for (arguments, plan) in [
        (vec!["top-up", &url, "0.1"], "Add 0.10 "),
        (vec!["delegate", &url, &deputy, "0.1"], "spend up to 0.10 "),
        (vec!["revoke", &url, &deputy], "Stop"),
        (vec!["request-close", &channel], "has 1h to claim"),
        (vec!["close", &url], "0.00025 "),
        (vec!["close", "--all"], "0.00025 "),
    ] {
        town.amp(&arguments).await.fails(3, &word).fails(3, &[plan]);
    }
    let said = town.amp(&["top-up", &url, "0.1", "--json"]).await;
    assert!(said.err.contains(r#""kind":"not_confirmed""#), "{said:?}");
    assert_eq!(town.tokens(&town.agent), TOKENS - 250_000);
    assert_eq!(
        town.chain.executed().iter().flat_map(|done| done.instruction_names()).collect::<Vec<_>>(),
        ["OpenChannel"]
    );
}

/// Runs the command with a terminal for its standard input, at which this is typed.
async fn typed(town: &Town, arguments: &[&str], text: &'static str) -> Said {
    let mut command = town.command(arguments);
    let (mut keyboard, terminal) = terminal();
    command.stdin(Stdio::from(terminal)).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let child = command.spawn().unwrap();
        keyboard.write_all(text.as_bytes()).unwrap();
        Said::from(child.wait_with_output().unwrap())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_only_a_yes_is_a_yes() {
    let town = Town::found().await;
    let url = town.url("/quote");
    for no in ["n\n", "\n", "maybe\n"] {
        let said = typed(&town, &["open", &url], no).await;
        said.fails(3, &["Open a channel to", "Go on? [y/N]", "nothing was done"]);
    }
    assert_eq!(town.tokens(&town.agent), TOKENS);
    typed(&town, &["open", &url], "y\n").await.says(&["Go on? [y/N]", "opened: channel"]);
    assert_eq!(town.tokens(&town.agent), TOKENS - 250_000);
}

/// The same, where something happens between the question and the yes.
async fn yes_after(town: &Town, arguments: &[&str], meanwhile: impl FnOnce()) -> Said {
    let mut command = town.command(arguments);
    let (mut keyboard, terminal) = terminal();
    command.stdin(Stdio::from(terminal)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, mut asked) = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let (mut asked, mut byte) = (Vec::new(), [0]);
        while !asked.ends_with(b"[y/N] ") {
            child.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        (child, asked)
    })
    .await
    .unwrap();
    meanwhile();
    tokio::task::spawn_blocking(move || {
        keyboard.write_all(b"y\n").unwrap();
        let stderr = child.stderr.take().unwrap();
        let rest = std::io::read_to_string(stderr).unwrap();
        let mut output = child.wait_with_output().unwrap();
        asked.extend(rest.into_bytes());
        output.stderr = asked;
        Said::from(output)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_whose_price_changed_before_the_yes_pays_nothing() {
    let town = Town::found().await;
    let url = town.url("/quote");
    town.with_channel(0).await;
    for price in [2 * PRICE, PRICE / 2] {
        let said = yes_after(&town, &["bench", &url, "-n", "3"], || town.reprice(price)).await;
        said.fails(1, &["Make 3 calls", "has changed its terms meanwhile"]);
        town.reprice(PRICE);
    }
    assert_eq!(town.amp(&["list", "--json"]).await.json()[0]["spent"], "0");
    yes_after(&town, &["bench", &url, "-n", "3"], || {}).await.says(&["3 of 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_was_opened_after_the_question_is_not_closed_by_the_yes() {
    let town = Town::found().await;
    town.with_channel(1).await;
    // the same service by another name: another channel
    let other = town.url("/quote").replace("127.0.0.1", "localhost");
    let open = || assert!(town.command(&["open", &other, "--yes"]).output().unwrap().status.success());
    yes_after(&town, &["close", "--all"], open).await.says(&["closed: 0.24975 "]);
    let listed = town.amp(&["list", "--json"]).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert!(listed[0]["service"].as_str().unwrap().contains("localhost"), "{listed}");
    assert_eq!(listed[0]["state"], "open");
}

#[test]
fn a_terminal_of_the_tests_is_one() {
    let (mut keyboard, terminal) = terminal();
    assert!(std::io::IsTerminal::is_terminal(&terminal));
    keyboard.write_all(b"x\n").unwrap();
    let mut byte = [0];
    File::from(terminal).read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}
