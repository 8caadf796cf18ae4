use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::lane::{LANES, Lanes};
use super::{PostgresStore, failed, refused, schema};
use crate::server::store::StoreError;

/// Connections beside the lanes': reads, heartbeats, what the settlement worker notes.
const OTHERS: usize = 4;
/// How long a connection may take to be made, or to become free.
const WAIT: Duration = Duration::from_secs(5);

impl PostgresStore {
    /// Connects to a database, and makes the schema that holds the tables where it is not there. `database`
    /// is a URL (`postgres://user:password@host/database?sslmode=require`) or a key-value string, as
    /// `libpq` takes them; `schema` is a name of lower-case letters, digits and underscores, one for each
    /// service.
    ///
    /// With `sslmode=require`, and where the server offers it, the connection is encrypted and the server's
    /// certificate is held against the system's roots; `SSL_CERT_FILE` names others.
    ///
    /// # Errors
    /// What is wrong with the address, the database's answer, or a schema of a newer release.
    pub async fn connect(database: &str, schema: &str) -> Result<Self, StoreError> {
        check_name(schema)?;
        let mut config = Config::from_str(database).map_err(failed)?;
        config
            .connect_timeout(WAIT)
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(super::lane::LIMIT);
        if config.get_application_name().is_none() {
            config.application_name("amp");
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config, tls()?, recycling);
        let pool = Pool::builder(manager)
            .max_size(LANES.saturating_add(OTHERS))
            .runtime(Runtime::Tokio1)
            .timeouts(deadpool_postgres::Timeouts::wait_millis(
                WAIT.as_millis().try_into().unwrap_or(u64::MAX),
            ))
            .post_create(settings(schema))
            .build()
            .map_err(failed)?;
        let mut client = pool.get().await.map_err(failed)?;
        schema::migrate(&mut client, schema).await?;
        for (setting, why) in [("fsync", "what it commits"), ("full_page_writes", "what it wrote before")] {
            let row = client.query_one(&format!("SHOW {setting}"), &[]).await.map_err(failed)?;
            if row.get::<_, String>(0) == "off" {
                tracing::error!(setting, "is off: a crash of the database may lose {why}, which is money");
            }
        }
        // a name that no process ever had
        let row = client.query_one("SELECT uuid_send(gen_random_uuid())", &[]).await.map_err(failed)?;
        let random: Vec<u8> = row.get(0);
        let process = *random.first_chunk().ok_or_else(|| refused("the database made no random number"))?;
        drop(client);
        let store = Self { lanes: Lanes::start(&pool, process), pool, process, stamps: Arc::default() };
        // the first change must not find this process dead
        crate::server::store::SharedStore::stay_alive(&store, false).await?;
        Ok(store)
    }
}

/// What each connection is set to.
fn settings(schema: &str) -> Hook {
    // a transaction that this process left open, or that another holds up, must not hold up all channels
    let settings = format!(
        "SET search_path TO \"{schema}\"; SET default_transaction_isolation TO 'read committed';
         SET statement_timeout TO '8s'; SET idle_in_transaction_session_timeout TO '8s';
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    );
    Hook::async_fn(move |client, _| {
        let settings = settings.clone();
        Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
    })
}

fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(failed)?;
    let mut roots = rustls::RootCertStore::empty();
    // one that can't be read is as one that is not there: a server that needs it is refused
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn check_name(schema: &str) -> Result<(), StoreError> {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins_well = schema.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if begins_well && schema.len() <= 63 && schema.bytes().all(is_good) && !schema.starts_with("pg_") {
        return Ok(());
    }
    Err(refused(format!(
        "the schema name {schema:?} won't do: use at most 63 lower-case letters, digits and underscores"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_need_escaping_are_refused() {
        for good in ["amp", "amp_service_2", "_a", &"a".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "2a", "Amp", "a\"; DROP", "a-b", "pg_a", "ä", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
