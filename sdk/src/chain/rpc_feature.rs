use std::sync::Mutex;
use std::time::Duration;

use solana_address::Address;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use tokio::time::Instant;

use super::TransactionFormat;

/// "SIMD-0385: Transaction V1".
const FEATURE: Address = Address::from_str_const("txv1aq4pp281K9um3tnPgkfX8UqtFT6wcVW3hNezGLL");
const FEATURE_PROGRAM: Address = Address::from_str_const("Feature111111111111111111111111111111111111");
/// How often a cluster that does not take v1 is asked again: features become active between epochs, two days.
const ASK_AGAIN: Duration = Duration::from_secs(3_600);

/// Whether transactions of the format v1 are taken, as the cluster's feature account says. Features stay active.
#[derive(Debug, Default)]
pub(super) struct FormatFeature {
    known: Mutex<Option<(TransactionFormat, Instant)>>,
}

impl FormatFeature {
    /// Where the node does not answer, it is the format that all take.
    pub(super) async fn format(&self, client: &RpcClient) -> TransactionFormat {
        let known = *self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((format, at)) = known
            && (format == TransactionFormat::V1 || at.elapsed() < ASK_AGAIN)
        {
            return format;
        }
        let commitment = client.commitment();
        let Ok(found) = client.get_account_with_commitment(&FEATURE, commitment).await else {
            return TransactionFormat::V0;
        };
        let is_active = |owner: Address, data: &[u8]| owner == FEATURE_PROGRAM && data.first() == Some(&1);
        let taken = found.value.is_some_and(|account| is_active(account.owner, &account.data));
        let format = if taken { TransactionFormat::V1 } else { TransactionFormat::V0 };
        *self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some((format, Instant::now()));
        format
    }
}
