//! docs/cli.md is guide.md with what its commands really print. `AMP_BLESS=1` (`make bless`) writes it anew.

use std::path::Path;

use amp_sdk::chain::{PROGRAM_ID, channel};
use amp_sdk::protocol::money::Seq;
use amp_sdk::signed::sign_credential;
use solana_address::Address;

use crate::town::{Said, Town};

const PAGE: &str = "docs/cli.md";

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_shows_what_the_commands_print() {
    let page = Guide::new().await.render(include_str!("guide.md")).await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
    if std::env::var_os("AMP_BLESS").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    for (ours, theirs) in page.lines().zip(stored.lines()) {
        assert_eq!(ours, theirs, "{PAGE} is not what the commands print: `make bless`");
    }
    assert_eq!(page, stored, "{PAGE} is not what the commands print: `make bless`");
}

#[test]
fn every_command_is_in_the_guide() {
    let home = tempfile::tempdir().unwrap();
    let help = crate::town::offline(home.path(), &["help"]);
    let guide = include_str!("guide.md");
    for name in crate::offline::commands_in(help.ok()) {
        let run = guide.contains(&format!("\n{name} "));
        let shown = guide.contains(&format!("`amp {name}")) || guide.contains(&format!("\namp {name} "));
        assert!(run || shown || guide.contains(&format!("`{name}`")), "{name}");
    }
}

struct Guide {
    town: Town,
    channel: String,
    signature: String,
}

impl Guide {
    async fn new() -> Self {
        let town = Town::on_devnet().await;
        town.node.keep_history();
        Self { town, channel: String::new(), signature: String::new() }
    }

    /// Each block of commands becomes what a person would have seen.
    async fn render(mut self, template: &str) -> String {
        let (mut page, mut is_block) = (String::new(), false);
        for line in template.lines() {
            match line {
                "```amp" => {
                    is_block = true;
                    page.push_str("```console\n");
                }
                "```" if is_block => {
                    is_block = false;
                    page.push_str("```\n");
                }
                command if is_block => page.push_str(&self.line(command).await),
                prose => page.push_str(&format!("{prose}\n")),
            }
        }
        page
    }

    async fn line(&mut self, line: &str) -> String {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "#advance" => {
                self.town.chain.advance_seconds(rest.parse().unwrap());
                String::new()
            }
            "#open" => {
                self.town.amp(&["open", &self.town.url("/quote"), "--yes"]).await.ok();
                self.look().await;
                String::new()
            }
            "#credential" => {
                self.credential(rest.parse().unwrap()).await;
                String::new()
            }
            _ => self.command(line).await,
        }
    }

    /// A credential of the agent's, in a file.
    async fn credential(&self, seq: u64) {
        let at: Address = self.channel.parse().unwrap();
        let epoch = channel(&self.town.chain, &PROGRAM_ID, &at).await.unwrap().unwrap().opened_slot;
        let signed = sign_credential(&self.town.key("agent.json"), &at, epoch, Seq::new(seq)).await.unwrap();
        std::fs::write(self.town.file("credential.json"), serde_json::to_string(&signed).unwrap()).unwrap();
    }

    async fn command(&mut self, line: &str) -> String {
        let (shown, file) = line.split_once(" > ").map_or((line, None), |(line, file)| (line, Some(file)));
        let names = [
            ("https://quotes.example", self.town.origin.clone()),
            ("$CHANNEL", self.channel.clone()),
            ("$SIGNATURE", self.signature.clone()),
            ("$RECIPIENT", self.town.recipient.to_string()),
            ("$DEPUTY", self.town.deputy().to_string()),
        ];
        let real = names.iter().fold(shown.to_owned(), |text, (name, value)| text.replace(name, value));
        let real = words(&real);
        let said = self.town.amp(&real.iter().map(String::as_str).collect::<Vec<_>>()).await;
        // what was opened can be closed in the next slot
        self.town.chain.advance_slots(1);
        if let Some(file) = file {
            std::fs::write(self.town.file(file), said.ok()).unwrap();
        }
        self.look().await;
        let shown =
            names.iter().skip(1).fold(line.to_owned(), |text, (name, value)| text.replace(name, value));
        let printed = self.printed(&said, file.is_none());
        steady(&format!("$ amp {shown}\n{printed}"))
    }

    /// Where the agent's channel is, and what was done last.
    async fn look(&mut self) {
        let listed = self.town.amp(&["list", "--json"]).await.json();
        if let Some(channel) = listed[0]["channel"].as_str() {
            self.channel = channel.to_owned();
        }
        if let Some(last) = self.town.chain.executed().last() {
            self.signature = last.confirmation.signature.to_string();
        }
    }

    fn printed(&self, said: &Said, shows_output: bool) -> String {
        let mut text = String::new();
        let out = if shows_output { said.out.as_str() } else { "" };
        // the demo says what it does while it does it
        let parts = if said.err.contains("\u{2713}") { [&said.err, out] } else { [out, &said.err] };
        for part in parts {
            text.push_str(part);
            if !part.is_empty() && !part.ends_with('\n') {
                text.push('\n');
            }
        }
        if said.code != 0 {
            text.push_str(&format!("(exit code {})\n", said.code));
        }
        let home = self.town.folder.path().display().to_string();
        text.replace(&self.town.origin, "https://quotes.example")
            .replace(&self.town.node.url(), "https://api.devnet.solana.com")
            .replace(&home, "/home/agent")
    }
}

/// A command line as a shell would split it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Without what differs from run to run: times, signatures, keys that were made; # for what was measured.
fn steady(text: &str) -> String {
    let is_made = text.starts_with("$ amp keygen");
    let is_measured = ["$ amp bench", "$ amp demo"].iter().any(|command| text.starts_with(command));
    let mut out = String::new();
    for line in text.lines() {
        let line = words_replaced(line, |word| match word {
            _ if is_time(word) => Some("2026-01-01T00:00:00Z"),
            _ if is_unix_time(word) => Some("1767225600"),
            _ if word.len() > 80 && word.chars().all(char::is_alphanumeric) => Some("<signature>"),
            _ if is_made && word.len() > 40 => Some("<the new key's address>"),
            _ => None,
        });
        let line = match line.split_once(" s from the cluster's") {
            Some((before, after)) => {
                let before = before.trim_end_matches(|c: char| c.is_ascii_digit());
                format!("{before}0 s from the cluster's{after}")
            }
            None => line,
        };
        let line = if is_measured { measured(&line) } else { line };
        let line = match line.split_once("\"date\": ") {
            Some((before, _)) => format!("{before}\"date\": \"Thu, 01 Jan 2026 00:00:00 GMT\""),
            None => line,
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn words_replaced(line: &str, replaced: impl Fn(&str) -> Option<&'static str>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || [':', '-'].contains(&c);
    let (mut out, mut rest) = (String::new(), line);
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out.push_str(replaced(word).unwrap_or(word));
        let mut chars = after.chars();
        out.extend(chars.next());
        rest = chars.as_str();
    }
    out
}

fn is_time(word: &str) -> bool {
    word.len() == 20 && word.ends_with('Z') && word.as_bytes().get(10) == Some(&b'T')
}

fn is_unix_time(word: &str) -> bool {
    word.len() == 10 && word.starts_with("17") || word.len() == 10 && word.starts_with("18")
}

/// Rates, times and compute units of what depends on the machine, or on keys that are made.
fn measured(line: &str) -> String {
    const NAMES: [&str; 4] = ["OpenChannel", "TopUp", "Settle", "CloseChannel"];
    let hidden =
        |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect::<String>();
    if ["took", "p50"].iter().any(|word| line.starts_with(word)) {
        // numbers of any length look alike
        return line
            .split(' ')
            .map(|word| if word.parse::<u64>().is_ok() { "#" } else { word })
            .collect::<Vec<_>>()
            .join(" ");
    }
    if let Some((before, _)) = line.split_once(" transactions, ") {
        return format!("{before} transactions, # requests per second");
    }
    if let Some((before, after)) = line.split_once("http://127.0.0.1:") {
        return format!("{before}http://127.0.0.1:{}", hidden(after.get(..5).unwrap_or(after)))
            + after.get(5..).unwrap_or("");
    }
    match line.split('\u{2506}').collect::<Vec<_>>()[..] {
        [name, units, fee] if NAMES.iter().any(|known| name.contains(known)) => {
            format!("{name}\u{2506}{}\u{2506}{fee}", hidden(units))
        }
        _ => line.to_owned(),
    }
}
