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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::{Json, Router, routing::post};
    use serde_json::{Value, json};

    use super::*;

    /// A node on which the feature's account is this.
    async fn node(account: Value) -> (RpcClient, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let counted = asked.clone();
        let answer = async move |Json(body): Json<Value>| {
            counted.fetch_add(1, Ordering::SeqCst);
            assert_eq!(body["params"][0], FEATURE.to_string());
            let result = json!({"context": {"slot": 1}, "value": account});
            Json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result}))
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = RpcClient::new(format!("http://{}", listener.local_addr().unwrap()));
        let app = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (client, asked)
    }

    fn feature(owner: &str, data: &str) -> Value {
        json!({"data": [data, "base64"], "executable": false, "lamports": 1, "owner": owner, "rentEpoch": 0,
            "space": 9})
    }

    #[tokio::test]
    async fn the_larger_format_is_used_where_the_feature_is_active_and_nowhere_else() {
        let (owner, system) = (FEATURE_PROGRAM.to_string(), Address::default().to_string());
        // active since a slot; asked for and not active yet; somebody's account; none
        let accounts = [
            (feature(&owner, "AQUAAAAAAAAA"), TransactionFormat::V1),
            (feature(&owner, "AAAAAAAAAAAA"), TransactionFormat::V0),
            (feature(&system, "AQUAAAAAAAAA"), TransactionFormat::V0),
            (Value::Null, TransactionFormat::V0),
        ];
        for (account, expected) in accounts {
            let (client, asked) = node(account.clone()).await;
            let known = FormatFeature::default();
            assert_eq!(
                [known.format(&client).await, known.format(&client).await],
                [expected; 2],
                "{account}"
            );
            assert_eq!(asked.load(Ordering::SeqCst), 1, "what is known is not asked again");
        }
    }

    #[tokio::test]
    async fn a_node_that_does_not_answer_is_asked_again() {
        let (known, nobody) = (FormatFeature::default(), RpcClient::new("http://127.0.0.1:9".to_owned()));
        assert_eq!(known.format(&nobody).await, TransactionFormat::V0);
        let (client, _) = node(feature(&FEATURE_PROGRAM.to_string(), "AQUAAAAAAAAA")).await;
        assert_eq!(known.format(&client).await, TransactionFormat::V1);
    }
}
