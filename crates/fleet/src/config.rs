//! What the room is given: cells, key store, Bot API servers.

use bagua_keys::{KeyStore, MasterKey, MasterKeyError};
use bagua_model::region::RegionId;
use bagua_model::settings::{Keys, Settings};
use bagua_telegram::{ApiBase, BaseError};
use rand::CryptoRng;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

/// Connections of one console to each cell: it asks little.
const CONNECTIONS: u32 = 4;
/// Connections to the key store, which answers from its memory mostly.
const KEY_CONNECTIONS: u32 = 2;
/// How long a connection may take before the cell counts as away.
const ACQUIRE: Duration = Duration::from_secs(2);

/// Why a value of the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No address of a PostgreSQL.
    #[error("{0} is no PostgreSQL address; write postgres://user:password@host:port/database")]
    Database(String),
    /// The master key cannot be read.
    #[error(
        "the master key {0} cannot be read; `bagua up` makes one, elsewhere name it under keys.master_key_file"
    )]
    MasterFile(PathBuf, #[source] std::io::Error),
    /// It is none.
    #[error("the master key {0} cannot be used")]
    MasterKey(PathBuf, #[source] MasterKeyError),
    /// A server's address.
    #[error("the address of the Bot API server {0} cannot be used")]
    Server(String, #[source] BaseError),
}

/// One region's data database.
pub struct Cell {
    /// Whose.
    pub region: RegionId,
    /// Connects when it is first needed.
    pub pool: PgPool,
    /// Address below which Telegram reaches its gateway; nothing: its bots can only poll.
    pub webhook_url: Option<String>,
}

/// A Bot API server.
#[derive(Clone, Debug)]
pub struct Server {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub base: ApiBase,
    /// Whether it only stands in for Telegram.
    pub simulator: bool,
}

/// Everything.
pub struct FleetConfig {
    /// In the order of the settings.
    pub cells: Vec<Cell>,
    /// Nothing: no bot can be added.
    pub keys: Option<Arc<KeyStore>>,
    /// In the order of the settings.
    pub servers: Vec<Server>,
    /// Names of the addresses that rules may post updates to.
    pub webhooks: Vec<String>,
}

fn pool(url: &str, key: &str, name: &str, connections: u32) -> Result<PgPool, ConfigError> {
    // The cause may quote the address, and the address holds the password.
    let options = PgConnectOptions::from_str(url).map_err(|_| ConfigError::Database(key.to_owned()))?;
    let options = options.application_name(name).options([
        ("statement_timeout", "10s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options))
}

/// The key store that the settings name. `name` is what its database sees of this process.
///
/// # Errors
/// When address or master key cannot be used. Nothing is connected yet.
pub fn key_store(
    keys: &Keys,
    name: &str,
    random: &mut impl CryptoRng,
    remembered: u64,
) -> Result<Arc<KeyStore>, ConfigError> {
    let file = &keys.master_key_file;
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError::MasterFile(file.clone(), error))?;
    let master = MasterKey::from_hex(&text).map_err(|error| ConfigError::MasterKey(file.clone(), error))?;
    let pool = pool(keys.url.expose(), "keys.url", name, KEY_CONNECTIONS)?;
    Ok(KeyStore::new(pool, master, random, remembered))
}

impl FleetConfig {
    /// As the settings say.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn from_settings(
        settings: &Settings,
        random: &mut impl CryptoRng,
    ) -> Result<FleetConfig, ConfigError> {
        let cells = settings
            .cells
            .iter()
            .map(|cell| {
                let key = format!("cells.url of {}", cell.region);
                Ok(Cell {
                    region: RegionId::new(cell.region.as_str()),
                    pool: pool(cell.url.expose(), &key, "bagua", CONNECTIONS)?,
                    webhook_url: cell.webhook_url.clone(),
                })
            })
            .collect::<Result<_, ConfigError>>()?;
        let servers = settings
            .telegram
            .servers
            .iter()
            .map(|server| {
                Ok(Server {
                    name: server.name.clone(),
                    base: ApiBase::parse(&server.url)
                        .map_err(|error| ConfigError::Server(server.name.clone(), error))?,
                    simulator: server.simulator,
                })
            })
            .collect::<Result<_, ConfigError>>()?;
        let keys = settings.keys.as_ref();
        let keys = keys
            .map(|keys| key_store(keys, "bagua", random, 10_000))
            .transpose()?;
        let webhooks = settings.webhooks.iter();
        let webhooks = webhooks.map(|webhook| webhook.name.clone()).collect();
        Ok(FleetConfig {
            cells,
            keys,
            servers,
            webhooks,
        })
    }
}
