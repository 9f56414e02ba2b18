//! Redis: copies of open sessions, for when PostgreSQL is slow, shared by several consoles, or away.
//!
//! A copy is sealed with a key that Redis does not have, because it says who somebody is and what they may do: whoever
//! can write to Redis must not be able to make an administrator. Its name is the hash of the token, so whoever can
//! read Redis cannot sign in. Losing Redis loses nothing.

use crate::store::sessions::Open;
use crate::token::{self, TokenHash};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;

/// Longest wait for Redis: a cache that is slower than the truth is none.
const TIMEOUT: Duration = Duration::from_millis(200);
/// After a fault Redis is left alone for so long, so that requests do not wait for it one after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// Told after every question whether Redis answered, and if not, why.
pub type Report = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// The key that seals copies, from a secret that every console has and Redis has not, such as the control database's
/// address with its password: whoever knows that can write sessions anyway.
pub fn copy_key(secret: &str) -> [u8; 32] {
    token::hash(&format!("bagua session copies 1\n{secret}"))
}

/// What was known of a token at a time: an open session, or that there is none any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// When PostgreSQL said so.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The session, unless it has ended.
    pub open: Option<Open>,
}

/// The copies in Redis. Without an address every question goes unanswered.
pub struct Copies {
    redis: Option<ConnectionManager>,
    key: [u8; 32],
    lifetime: Duration,
    report: Report,
    start: Instant,
    /// Milliseconds after `start` until which Redis is left alone.
    paused_until: AtomicU64,
}

impl Copies {
    /// Connects when first asked. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn new(
        url: Option<&str>,
        key: [u8; 32],
        lifetime: Duration,
        report: Report,
    ) -> redis::RedisResult<Copies> {
        let redis = url
            .map(|url| {
                let config = ConnectionManagerConfig::new()
                    .set_number_of_retries(1)
                    .set_connection_timeout(Some(TIMEOUT))
                    .set_response_timeout(Some(TIMEOUT));
                ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)
            })
            .transpose()?;
        Ok(Copies {
            redis,
            key,
            lifetime,
            report,
            start: Instant::now(),
            paused_until: AtomicU64::new(0),
        })
    }

    /// The copy of a session, when Redis has one with our seal.
    pub async fn get(&self, hash: &TokenHash) -> Option<Copy> {
        let command = self.command("GET", hash);
        let text: Option<String> = self
            .ask(|mut redis| async move { command.query_async(&mut redis).await })
            .await?;
        self.unseal(hash, &text?)
    }

    /// Writes a copy; nobody waits for more than the time-out.
    pub async fn put(&self, hash: &TokenHash, copy: &Copy) {
        let Some(text) = self.sealed(hash, copy) else {
            return;
        };
        let mut command = self.command("SET", hash);
        command
            .arg(text)
            .arg("PX")
            .arg(u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX));
        let _: Option<()> = self
            .ask(|mut redis| async move { command.query_async(&mut redis).await })
            .await;
    }

    /// Asks Redis whether it is there, for the notice on the screens.
    pub async fn ping(&self) {
        let _: Option<String> = self
            .ask(|mut redis| async move { redis::cmd("PING").query_async(&mut redis).await })
            .await;
    }

    fn command(&self, name: &str, hash: &TokenHash) -> redis::Cmd {
        let mut command = redis::cmd(name);
        command.arg(format!("bagua:session:{}", token::hex(hash)));
        command
    }

    async fn ask<T, F>(&self, question: impl FnOnce(ConnectionManager) -> F) -> Option<T>
    where
        F: Future<Output = redis::RedisResult<T>>,
    {
        let redis = self.redis.clone()?;
        if self.elapsed() < self.paused_until.load(Ordering::Relaxed) {
            return None;
        }
        let fault = match tokio::time::timeout(TIMEOUT, question(redis)).await {
            Ok(Ok(answer)) => {
                (self.report)(None);
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", TIMEOUT.as_millis()),
        };
        let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(0);
        self.paused_until.store(self.elapsed() + pause, Ordering::Relaxed);
        (self.report)(Some(&fault));
        None
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// `<seal in hex>.<JSON>`; the seal covers the token's hash too, so that a copy cannot be moved to another token.
    fn sealed(&self, hash: &TokenHash, copy: &Copy) -> Option<String> {
        let json = serde_json::to_string(copy).ok()?;
        Some(format!("{}.{json}", token::hex(&self.seal(hash, &json))))
    }

    fn unseal(&self, hash: &TokenHash, text: &str) -> Option<Copy> {
        let (seal, json) = text.split_once('.')?;
        // Comparing hashes of both sides leaves nothing for a clock to learn.
        let ours = token::hash(&token::hex(&self.seal(hash, json)));
        if token::hash(seal) != ours {
            tracing::warn!("a session copy in Redis bears another seal and is left aside");
            return None;
        }
        serde_json::from_str(json).ok()
    }

    fn seal(&self, hash: &TokenHash, json: &str) -> [u8; 32] {
        let mut message = hash.to_vec();
        message.extend_from_slice(json.as_bytes());
        token::seal(&self.key, &message)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use uuid::Uuid;

    fn copies(secret: &str) -> Copies {
        Copies::new(None, copy_key(secret), Duration::from_secs(900), Arc::new(|_| ())).unwrap()
    }

    #[tokio::test]
    async fn a_copy_is_read_back_only_under_its_own_key_and_token() {
        let copy = Copy {
            at: OffsetDateTime::UNIX_EPOCH,
            open: Some(Open {
                session: Uuid::from_u128(1),
                created_at: OffsetDateTime::UNIX_EPOCH,
                last_seen_at: OffsetDateTime::UNIX_EPOCH,
                expires_at: OffsetDateTime::UNIX_EPOCH,
                person: Uuid::from_u128(2),
                name: "Wei".into(),
                email: "wei@example.org".into(),
                grants: vec![],
                zone: None,
            }),
        };
        let (ours, theirs) = (copies("a"), copies("b"));
        let (one, other) = (token::hash("one"), token::hash("other"));
        let text = ours.sealed(&one, &copy).unwrap();
        assert_eq!(ours.unseal(&one, &text), Some(copy));
        assert_eq!(theirs.unseal(&one, &text), None, "another key");
        assert_eq!(ours.unseal(&other, &text), None, "another token");
        assert_eq!(
            ours.unseal(&one, &text.replace("wei@", "eve@")),
            None,
            "changed words"
        );
    }
}
