//! `stream`.

use std::time::Duration;

use crate::town::{FILM, Town};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_printed_as_it_comes_and_costs_what_came() {
    let town = Town::found().await;
    let url = town.url("/film");
    let said = town.amp(&["stream", &url, "--yes"]).await;
    assert_eq!(said.ok().len(), FILM);
    said.says(&["200: cost 0.003 "]);
    let lines = town.amp(&["stream", &url, "--json"]).await;
    let lines: Vec<serde_json::Value> =
        lines.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, pieces) = lines.split_last().unwrap();
    let came: usize = pieces.iter().map(|piece| piece["data"].as_str().unwrap().len()).sum();
    assert_eq!((came, &last["bytes"], &last["complete"]), (FILM, &FILM.into(), &true.into()));
    assert_eq!(last["payment"]["cost"], FILM.to_string());
    town.amp(&["stream", &url, "-o", "film.txt"]).await.ok();
    assert_eq!(std::fs::metadata(town.file("film.txt")).unwrap().len(), u64::try_from(FILM).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_would_cost_more_ends_at_the_limit() {
    let town = Town::found().await;
    let said = town.amp(&["stream", &town.url("/film"), "--max-price", "1000u", "--yes"]).await;
    assert_eq!(said.code, 4, "{said:?}");
    assert_eq!(said.out.len(), 1_000, "what was paid for came");
    assert!(said.err.contains("--max-price allows 0.001 "), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_to_nowhere_is_not_paid() {
    let town = Town::found().await;
    town.amp(&["stream", "http://127.0.0.1:1/", "--yes"]).await.fails(11, &["127.0.0.1:1"]);
    town.amp(&["stream", &town.url("/film"), "-o", "agent.json/film", "--yes"])
        .await
        .fails(1, &["can't create"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_read_by_the_message_and_paid_for() {
    let town = Town::found().await;
    let url = town.url("/ticks").replace("http://", "ws://");
    let said = town.amp(&["stream", &url, "-d", "tick", "--yes"]).await;
    let lines: Vec<&str> = said.ok().lines().collect();
    assert_eq!((lines.len(), lines[0], lines[9]), (10, "tick 0", "tick 9"), "{said:?}");
    said.says(&["10 messages: cost "]);
    let some = town.amp(&["stream", &url, "-d", "tock", "--messages", "3", "--json"]).await;
    let lines: Vec<serde_json::Value> =
        some.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["text"], &lines[3]["messages"]), (4, &"tock 0".into(), &3.into()));
    // what the service charged is what the receipts said
    let spent = town.amp(&["list", "--json"]).await.json()[0]["spent"].clone();
    assert_eq!(spent, lines[3]["payment"]["spent"]);
    town.amp(&["stream", &url, "-H", "a: b"]).await.fails(2, &["not for sockets"]);
    town.amp(&["stream", &url, "-o", "x"]).await.fails(2, &["redirect standard output"]);
    town.amp(&["stream", "ws://127.0.0.1:1/", "--yes"]).await.fails(11, &["127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_interrupted_ends_in_good_order_and_costs_what_left() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::Read as _;
    let town = Town::found().await;
    let url = town.url("/tape");
    let mut stream = town.command(&["stream", &url, "--yes"]);
    stream.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let (mut child, mut seen) = tokio::task::spawn_blocking(move || {
        let mut child = stream.spawn().unwrap();
        let mut first = [0; 25];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        (child, first.to_vec())
    })
    .await
    .unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = child.stdout.take().unwrap();
    let said = tokio::task::spawn_blocking(move || {
        rest.read_to_end(&mut seen).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stderr).unwrap(), u64::try_from(seen.len()).unwrap())
    })
    .await
    .unwrap();
    let (said, came) = said;
    assert!(said.contains("200: cost unknown, spent 0.0"), "{said}");
    // what has left and did not come is a few lines at most
    let spent = town.amp(&["show", &town.origin, "--json"]).await.json()["service"]["spent"].clone();
    let spent: u64 = spent.as_str().unwrap().parse().unwrap();
    assert!((came..=came + 1_000).contains(&spent), "{spent} for {came}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_that_comes_while_a_piece_is_printed_is_not_lost() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{Read as _, Write as _};
    let town = Town::found().await;
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // one line fits, and the next is waited with
    let filler = rustix::pipe::fcntl_getpipe_size(&writer).unwrap() - 5;
    writer.write_all(&vec![b'.'; filler]).unwrap();
    let mut stream = town.command(&["stream", &town.url("/tape"), "--yes"]);
    stream.stdout(writer).stderr(std::process::Stdio::piped());
    let said = tokio::task::spawn_blocking(move || {
        let child = stream.spawn().unwrap();
        drop(stream);
        while rustix::io::ioctl_fionread(&reader).unwrap() < u64::try_from(filler + 5).unwrap() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let mut seen = Vec::new();
        reader.read_to_end(&mut seen).unwrap();
        let seen = String::from_utf8(seen.split_off(filler)).unwrap();
        (child.wait_with_output().unwrap(), seen)
    });
    let (output, seen) = said.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    // what was being printed is, and nothing more is bought
    assert!(seen.starts_with("tick\n") && seen.len() < 1_000, "{seen}");
}
