//! The exchanges in `docs/transports/websocket.md`, as they are on the wire.

use std::fmt::Write as _;
use std::path::PathBuf;

use solana_keypair::Keypair;

use super::*;
use crate::signer::KeypairSigner;

const BEGIN: &str = "<!-- recorded by a test: AMP_BLESS=1 cargo test --features ws recorded -->\n";
const END: &str = "<!-- recorded -->\n";

fn shown(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) => text.to_string(),
        Frame::Binary(bytes) => {
            let hex: String = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            format!("binary {hex}")
        }
        Frame::Close(Some(close)) => format!("close {}", u16::from(close.code)),
        other => panic!("{other:?}"),
    }
}

/// Sends each of the frames, waits for so many after it, and writes all of them down.
async fn record(stage: &Stage, title: &str, script: Vec<(Frame, usize)>) -> String {
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (socket, _) = client_async(format!("ws://{}/echo", stage.address), stream).await.unwrap();
    let mut peer = Peer(socket);
    let mut page = format!("**{title}**\n\n```text\n< {}\n", shown(&peer.frame().await.unwrap()));
    for (frame, answers) in script {
        writeln!(page, "> {}", shown(&frame)).unwrap();
        peer.send(frame).await;
        for _ in 0..answers {
            writeln!(page, "< {}", shown(&peer.frame().await.unwrap())).unwrap();
        }
    }
    page + "```\n\n"
}

#[tokio::test]
async fn recorded_exchanges_are_those_of_the_page() {
    let key = |seed| KeypairSigner::from(Keypair::new_from_array([seed; 32]));
    let mut bench = Bench::of(key(1));
    bench.recipient = key(3);
    bench.chain.put_channel(CHANNEL, &bench.account());
    let stage = Stage::over(bench, |config| config, SocketLimits::default()).await;
    let bind = |credential| Frame::text(serde_json::to_string(&SocketBind::from(credential)).unwrap());
    let (ten, low) = (bind(stage.bench.credential(10).await), bind(stage.bench.credential(9).await));
    let messages = vec![
        (ten, 1),
        (stage.paid(10, Some("SOL/USDC")).await, 1),
        (stage.paid(10, Some("ETH/USDC")).await, 1),
        (stage.paid(20, None).await, 1),
        (stage.binary(30, b"\x01\x02").await, 1),
        (Frame::text(amp_protocol::json::SocketFrame::CLOSE), 2),
    ];
    let mut page = record(&stage, "Messages at 10 each, answered by themselves", messages).await;
    page += &record(&stage, "Too little is signed for", vec![(low, 2)]).await;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/transports/websocket.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("a place for them");
    let (found, after) = rest.split_once(END).expect("its end");
    if std::env::var_os("AMP_BLESS").is_some() {
        return std::fs::write(&path, format!("{before}{BEGIN}\n{page}{END}{after}")).unwrap();
    }
    assert_eq!(
        found.trim(),
        page.trim(),
        "stale: `AMP_BLESS=1 cargo test --features ws recorded` writes it anew"
    );
}
