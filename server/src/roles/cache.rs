//! The runner's cache in Redis. Whatever happens to Redis, a request is answered: slower, and marked as degraded.

use anyhow::Context as _;
use bagua_bots::presence::Reads;
use metrics::{counter, gauge, histogram};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A cache that answers later than this is no help.
const TIMEOUT: Duration = Duration::from_millis(300);

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// The stored value.
    Hit(String),
    /// Nothing stored, or stored too long ago.
    Miss,
    /// Redis did not answer, and why.
    Away(String),
}

impl Read {
    /// The `result` label of `cache_requests_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Read::Hit(_) => "hit",
            Read::Miss => "miss",
            Read::Away(_) => "error",
        }
    }
}

/// One connection to Redis, made when needed and again after every failure.
///
/// `redis`'s own connection manager remembers a first failure that is no I/O error (a wrong password, a Redis that
/// still loads) for ever; here the next request simply tries again.
pub struct Cache {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    reads: Arc<Reads>,
}

impl Cache {
    /// Connects to nothing yet.
    pub fn new(url: &str, reads: Arc<Reads>) -> anyhow::Result<Cache> {
        // The cause may quote the address, and the address holds the password.
        let client = Client::open(url)
            .ok()
            .context("redis.url is not usable; write redis://:password@host:port")?;
        Ok(Cache {
            client,
            connection: Mutex::new(None),
            reads,
        })
    }

    /// Reads a value, and counts whether it was there.
    pub async fn get(&self, key: &str) -> Read {
        let started = Instant::now();
        let read = match self.ask::<Option<String>>(redis::cmd("GET").arg(key)).await {
            Ok(Some(value)) => Read::Hit(value),
            Ok(None) => Read::Miss,
            Err(reason) => Read::Away(reason),
        };
        counter!("cache_requests_total", "result" => read.label()).increment(1);
        let count = match &read {
            Read::Hit(_) => &self.reads.hits,
            Read::Miss => &self.reads.misses,
            Read::Away(_) => &self.reads.errors,
        };
        count.fetch_add(1, Ordering::Relaxed);
        histogram!("cache_request_duration_seconds").record(started.elapsed());
        read
    }

    /// Stores a value for `lifetime`. A failure is logged only: the next read asks the database again.
    pub async fn put(&self, key: &str, value: &str, lifetime: Duration) {
        let mut command = redis::cmd("SET");
        command
            .arg(key)
            .arg(value)
            .arg("PX")
            .arg(lifetime.as_millis() as u64);
        if let Err(reason) = self.ask::<()>(&command).await {
            tracing::debug!(reason, "a value could not be cached");
        }
    }

    /// Whether Redis answers now; if not, why.
    pub async fn check(&self) -> Result<(), String> {
        self.ask::<String>(&redis::cmd("PING")).await.map(|_| ())
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, String> {
        let outcome = match timeout(TIMEOUT, self.try_ask(command)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => Err(reason(&fault)),
            Err(_) => Err(format!("Redis did not answer within {} ms", TIMEOUT.as_millis())),
        };
        gauge!("dependency_up", "dependency" => "redis").set(if outcome.is_ok() { 1 } else { 0 });
        if outcome.is_err()
            && let Ok(mut connection) = self.connection.try_lock()
        {
            *connection = None;
        }
        outcome
    }

    async fn try_ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> redis::RedisResult<T> {
        // Only connecting holds the lock; requests share the connection.
        let mut connection = {
            let mut slot = self.connection.lock().await;
            match &*slot {
                Some(open) => open.clone(),
                None => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(TIMEOUT))
                        .set_response_timeout(Some(TIMEOUT));
                    let open = self
                        .client
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?;
                    slot.insert(open).clone()
                }
            }
        };
        command.query_async(&mut connection).await
    }
}

fn reason(fault: &redis::RedisError) -> String {
    match fault.kind() {
        redis::ErrorKind::AuthenticationFailed => "Redis refused the password; correct redis.url".to_owned(),
        _ if fault.is_connection_refusal() => {
            "Redis does not listen (connection refused); start it".to_owned()
        }
        _ => format!("Redis failed: {fault}"),
    }
}
