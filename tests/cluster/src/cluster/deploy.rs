//! Deploys the program over RPC, as `solana program deploy` does: into a buffer, piece by piece, then at once.

use amp_sdk::chain::{Chain as _, ComputeBudget, PROGRAM_ID, Plan, PriorityFee};
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::{Context, bail, ensure};
use futures::{StreamExt as _, stream};
use solana_address::Address;
use solana_rpc_client_api::config::RpcSendTransactionConfig;
use solana_system_interface::instruction::create_account;

use super::Cluster;
use super::loader::{
    self, BUFFER_HEAD, LOADER, PROGRAM, PROGRAM_DATA_HEAD, initialize_buffer, program_data_address, write,
};
use crate::patience::eventually;

/// Bytes of the program in one transaction.
const PIECE: usize = 1_000;
/// Pieces that are on their way at once.
const AT_ONCE: usize = 16;
/// How often what did not land is sent again.
const ROUNDS: u32 = 20;

/// Deploys `amp.so` under a key made for it; its address.
pub(super) async fn deploy(cluster: &Cluster) -> anyhow::Result<Address> {
    let path = amp_embedded::program_path();
    let built = std::fs::read(&path)
        .with_context(|| format!("no program at {}; build it with `make program`", path.display()))?;
    let (program, buffer) = (KeypairSigner::generate(), KeypairSigner::generate());
    let (program_id, payer) = (program.public_key(), cluster.payer.public_key());
    let bytes = under_id(built, &program_id)?;
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
    let data = program_data_address(&program_id);
    let deployed = cluster.chain.account(&data).await?.context("the program's data are not there")?;
    let found = deployed.data.get(PROGRAM_DATA_HEAD..).unwrap_or_default();
    ensure!(found == bytes, "what is deployed is not what was built");
    // a program runs from the slot after its deployment on
    let slot = cluster.chain.clock().await?.slot;
    eventually("a slot passes", async || Ok(cluster.chain.clock().await?.slot > slot)).await?;
    println!("deployed: {program_id}");
    Ok(program_id)
}

/// The program with another id in it: a program refuses to run under an id that it does not declare, and nobody has
/// the key of the one in the source. It stands in the bytes once; a build with another `declare_id!` differs there
/// and nowhere else.
fn under_id(mut built: Vec<u8>, program_id: &Address) -> anyhow::Result<Vec<u8>> {
    let declared = PROGRAM_ID.to_bytes();
    let places: Vec<usize> = built
        .windows(declared.len())
        .enumerate()
        .filter(|(_, at)| *at == declared)
        .map(|(at, _)| at)
        .collect();
    let [place] = places[..] else {
        bail!("the declared id stands {} times in the program, not once; build it with this id", places.len())
    };
    let end = place.saturating_add(declared.len());
    if let Some(id) = built.get_mut(place..end) {
        id.copy_from_slice(program_id.as_ref());
    }
    Ok(built)
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
        stream::iter(&missing)
            .map(|(offset, piece)| send(cluster, buffer, *offset, piece, blockhash))
            .buffer_unordered(AT_ONCE)
            .for_each(|_| async {})
            .await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
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
    let plan = Plan::new(payer, ComputeBudget::close_delegation(), PriorityFee::default(), vec![instruction]);
    let transaction = plan.sign(blockhash, &[&cluster.payer]).await?;
    let config = RpcSendTransactionConfig { skip_preflight: true, ..RpcSendTransactionConfig::default() };
    cluster.rpc.send_transaction_with_config(&transaction, config).await?;
    Ok(())
}
