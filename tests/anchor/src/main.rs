//! `amp-credential <keypair> <channel> <epoch> <seq>` prints the credential that an agent's client would send,
//! signed by the SDK, as the JSON that travels. The TypeScript test holds it against docs/protocol.md, and the
//! program settles it.

use amp_protocol::money::Seq;
use amp_sdk::signed::sign_credential;
use amp_sdk::signer::KeypairSigner;
use anyhow::Context;
use solana_address::Address;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [keypair, channel, epoch, seq] = &arguments[..] else {
        anyhow::bail!("usage: amp-credential <keypair> <channel> <epoch> <seq>");
    };
    let signer = KeypairSigner::from_file(keypair)?;
    let channel: Address = channel.parse().context("the channel is no address")?;
    let (epoch, seq) = (epoch.parse().context("the epoch")?, Seq::new(seq.parse().context("the seq")?));
    let credential = sign_credential(&signer, &channel, epoch, seq).await?;
    println!("{}", serde_json::to_string(&credential)?);
    Ok(())
}
