//! `watch`: prints changes where there is no terminal, and is a live view where there is one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

use crate::town::{GRACE, Town, terminal};

const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";

/// A watch at a terminal, and all that it has drawn.
struct Watching {
    child: Child,
    keyboard: File,
    /// Held so that its settings can be looked at when the watch has gone.
    terminal: OwnedFd,
    drawn: Arc<Mutex<String>>,
}

impl Watching {
    fn begin(town: &Town, arguments: &[&str]) -> Self {
        let (screen, terminal) = terminal();
        let mut command = town.command(&[&["watch"], arguments].concat());
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap());
        let child = command.spawn().unwrap();
        let drawn = Arc::new(Mutex::new(String::new()));
        let (keyboard, all) = (screen.try_clone().unwrap(), drawn.clone());
        std::thread::spawn(move || {
            let (mut screen, mut part) = (screen, [0; 4096]);
            while let Ok(count @ 1..) = screen.read(&mut part) {
                all.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..count]));
            }
        });
        Self { child, keyboard, terminal, drawn }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Waits until this was drawn.
    async fn shows(&self, text: &str) {
        for _ in 0..600 {
            if self.drawn.lock().unwrap().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{text:?} is missing: {}", self.drawn.lock().unwrap());
    }

    /// Waits for its end, after which the terminal must be as it was; all that it has drawn.
    async fn ends(mut self, code: i32) -> String {
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        assert_eq!(status.code(), Some(code), "{}", self.drawn.lock().unwrap());
        assert!(!self.is_raw(), "its keys are lines again");
        if self.drawn.lock().unwrap().contains(ENTER) {
            self.shows(LEAVE).await;
            self.shows(SHOW_CURSOR).await;
        }
        std::mem::take(&mut *self.drawn.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_watch_is_drawn_in_place_and_leaves_it_as_it_was() {
    let town = Town::found().await;
    let channel = town.with_channel(1).await.to_string();
    let watching = Watching::begin(&town, &["--looks", "3", "--every", "100ms"]);
    let drawn = watching.ends(0).await;
    let (view, left) = drawn.split_once(LEAVE).unwrap();
    assert!(view.starts_with(ENTER) && view.matches("\u{1b}[1;1H").count() >= 3, "{view:?}");
    assert!(!view.contains('\n'), "nothing scrolls: {view:?}");
    for part in [&town.origin, &channel[..4], "0.25 ", "0.00025 ", "open", "looked", "q ends it"] {
        assert!(view.contains(part), "{part:?} is missing: {view:?}");
    }
    // what was seen last stays among the shell's lines
    assert!(left.contains(&channel) && left.contains("0.00025 ") && !left.contains("q ends it"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn q_and_ctrl_c_and_a_signal_end_a_live_view() {
    let town = Town::found().await;
    town.with_channel(1).await;
    for key in [Some(b'q'), Some(3), None] {
        let mut watching = Watching::begin(&town, &["--funder"]);
        watching.shows("recipient").await;
        watching.shows("q ends it").await;
        assert!(watching.is_raw());
        match key {
            Some(key) => watching.keyboard.write_all(&[b'x', key]).unwrap(),
            None => {
                let id = Pid::from_child(&watching.child);
                kill_process(id, Signal::TERM).unwrap();
            }
        }
        watching.ends(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_view_shows_a_close_as_it_comes_and_goes_on_where_the_node_does_not() {
    let town = Town::found().await;
    let channel = town.with_channel(1).await.to_string();
    let mut watching = Watching::begin(&town, &["--every", "100ms"]);
    watching.shows("0.00025 ").await;
    town.amp(&["request-close", &channel, "--yes"]).await.ok();
    watching.shows("closing").await;
    // by the town's clock, which stands still, an hour from there
    assert_eq!(GRACE, 3_600);
    watching.shows("in 1h").await;
    town.node.be_away(true);
    watching.shows("503").await;
    town.node.be_away(false);
    watching.keyboard.write_all(b"q").unwrap();
    watching.ends(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_can_not_be_had_leaves_the_terminal_alone() {
    let town = Town::found().await;
    let watching = Watching::begin(&town, &["--funder", "--rpc", "http://127.0.0.1:1"]);
    let drawn = watching.ends(11).await;
    assert!(!drawn.contains(ENTER), "{drawn:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_what_changes_and_nothing_else() {
    let town = Town::found().await;
    let channel = town.with_channel(1).await.to_string();
    let said = town.amp(&["watch", "--looks", "3", "--every", "100ms"]).await;
    assert_eq!(said.ok().matches(&channel).count(), 1, "{said:?}");
    let lines = town.amp(&["watch", "--funder", "--looks", "2", "--every", "100ms", "--json"]).await;
    let lines: Vec<serde_json::Value> =
        lines.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["channels"][0]["channel"]), (1, &channel.into()));
    town.amp(&["watch", "--funder", "--rpc", "http://127.0.0.1:1"]).await.fails(11, &["did not answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_a_call_that_is_made_meanwhile() {
    let town = Town::found().await;
    town.with_channel(1).await;
    let mut watch = town.command(&["watch", "--every", "100ms", "--json"]);
    let mut child = watch.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let (mut lines, first) = tokio::task::spawn_blocking(move || {
        let first = lines.next().unwrap().unwrap();
        (lines, first)
    })
    .await
    .unwrap();
    town.amp(&["call", &town.url("/quote")]).await.ok();
    // signed, then charged: the last of the changes is what counts
    let (spent, child) = tokio::task::spawn_blocking(move || {
        let changed =
            lines.by_ref().map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
        let spent = changed.map(|line| line["channels"][0]["spent"].clone()).find(|spent| spent == "500");
        child.kill().unwrap();
        (spent, child)
    })
    .await
    .unwrap();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["channels"][0]["spent"], spent), (&"250".into(), Some("500".into())));
    drop(child.wait_with_output());
}
