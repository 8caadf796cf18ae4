//! Deploys the program over RPC, as `solana program deploy` does: into a buffer, piece by piece, then at once.

use amp_sdk::chain::{Chain as _, ComputeBudget, Plan, PriorityFee};
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::{Context, bail, ensure};
use futures::{StreamExt as _, stream};
use solana_address::Address;
use solana_system_interface::instruction::create_account;

use super::Cluster;
use super::loader::{
    self, BUFFER_HEAD, LOADER, PROGRAM, PROGRAM_DATA_HEAD, initialize_buffer, program_data_address, write,
};
use crate::patience::eventually;

/// Bytes of the program in one transaction.
const PIECE: usize = 960;
/// Pieces that are on their way at once.
const AT_ONCE: usize = 16;
/// How often what did not land is sent again.
const ROUNDS: u32 = 20;

/// Deploys the program at `$AMP_PROGRAM` under the key at `$AMP_PROGRAM_KEY`, whose id it declares; its address. Where
/// it is deployed already, it is used.
pub(super) async fn deploy(cluster: &Cluster) -> anyhow::Result<Address> {
    let key = std::env::var("AMP_PROGRAM_KEY")
        .context("set AMP_PROGRAM_ID, or run toolchain/e2e.sh, which builds a program of one's own")?;
    let (path, program) = (amp_embedded::program_path(), KeypairSigner::from_file(key)?);
    let bytes = std::fs::read(&path).with_context(|| format!("no program at {}", path.display()))?;
    let (program_id, buffer) = (program.public_key(), KeypairSigner::generate());
    let payer = cluster.payer.public_key();
    let data = program_data_address(&program_id);
    if let Some(before) = cluster.chain.account(&data).await? {
        let found = before.data.get(PROGRAM_DATA_HEAD..).unwrap_or_default();
        ensure!(
            found.starts_with(&bytes),
            "{program_id} is deployed, and is another program; name another key"
        );
        println!("{program_id} is deployed already");
        return Ok(program_id);
    }
    println!("deploying {} bytes of {} as {program_id}", bytes.len(), path.display());

    let length = bytes.len();
    let rent = async |bytes: usize| cluster.rpc.get_minimum_balance_for_rent_exemption(bytes).await;
    let size = BUFFER_HEAD.saturating_add(length);
    let of_buffer = rent(size).await?;
    let has = cluster.lamports(&payer).await?;
    ensure!(has > of_buffer, "{payer} has {has} lamports, and the program's rent is {of_buffer}");
    let at = buffer.public_key();
    let open = create_account(&payer, &at, of_buffer, u64::try_from(size)?, &LOADER);
    let open = vec![open, initialize_buffer(&at, &payer)];
    cluster.transact(open, &[&buffer], ComputeBudget::settle()).await.context("the buffer")?;
    fill(cluster, &at, &bytes).await?;

    let of_program = rent(PROGRAM).await?;
    let create = create_account(&payer, &program_id, of_program, u64::try_from(PROGRAM)?, &LOADER);
    let finish = loader::deploy(&payer, &program_id, &at, u64::try_from(length)?);
    cluster
        .transact(vec![create, finish], &[&program], ComputeBudget::settle())
        .await
        .context("the deployment")?;
    let deployed = cluster.chain.account(&data).await?.context("the program's data are not there")?;
    let found = deployed.data.get(PROGRAM_DATA_HEAD..).unwrap_or_default();
    ensure!(found == bytes, "what is deployed is not what was built");
    // a program runs from the slot after its deployment on
    let slot = cluster.chain.clock().await?.slot;
    eventually("a slot passes", async || Ok(cluster.chain.clock().await?.slot > slot)).await?;
    println!("deployed: {program_id}");
    Ok(program_id)
}

/// Writes the buffer: what is not there yet is sent, until all of it is.
async fn fill(cluster: &Cluster, buffer: &Address, bytes: &[u8]) -> anyhow::Result<()> {
    let mut missing: Vec<(usize, &[u8])> = bytes
        .chunks(PIECE)
        .enumerate()
        .map(|(number, piece)| (number.saturating_mul(PIECE), piece))
        .collect();
    for _ in 0..ROUNDS {
        if missing.is_empty() {
            return Ok(());
        }
        println!("  {} pieces to write", missing.len());
        let blockhash = cluster.chain.latest_blockhash().await?;
        let sent: Vec<anyhow::Result<()>> = stream::iter(&missing)
            .map(|(offset, piece)| send(cluster, buffer, *offset, piece, blockhash))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        if let Some(error) = sent.into_iter().find_map(Result::err) {
            println!("  {error:#}");
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let written = cluster.chain.account(buffer).await?.context("the buffer is gone")?.data;
        let is_written = |offset: usize, piece: &[u8]| {
            let begin = BUFFER_HEAD.saturating_add(offset);
            written.get(begin..begin.saturating_add(piece.len())) == Some(piece)
        };
        missing.retain(|(offset, piece)| !is_written(*offset, piece));
    }
    bail!("{} pieces of the program could not be written", missing.len())
}

/// What fails is sent again in the next round.
async fn send(
    cluster: &Cluster,
    buffer: &Address,
    offset: usize,
    piece: &[u8],
    blockhash: solana_hash::Hash,
) -> anyhow::Result<()> {
    let payer = cluster.payer.public_key();
    let instruction = write(buffer, &payer, u32::try_from(offset)?, piece);
    let plan = Plan::new(payer, ComputeBudget::settle(), PriorityFee::default(), vec![instruction]);
    let transaction = plan.sign(blockhash, &[&cluster.payer]).await?;
    cluster.rpc.send_transaction(&transaction).await?;
    Ok(())
}
