//! What Telegram pushes: any process of any region takes it, because nothing but the secret and the ledger is needed.
//!
//! An answer of 2xx tells Telegram that the update may be forgotten; it is given after the commit and never before. Of every other
//! answer Telegram tries again.

use crate::BotId;
use crate::ingest::{Batch, Ingest, IngestError, Way};
use crate::runner::{Read, read, store};
use bagua_keys::KeyStore;
use bagua_telegram::RawUpdate;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use metrics::{counter, histogram};
use moka::future::Cache;
use rand::{CryptoRng, Rng as _};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// The header in which Telegram brings the secret along.
pub const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";
/// Where pushes go, followed by the bot's number. Below `/v1/`, which a region's gateway forwards to its runner.
pub const PATH: &str = "/v1/hooks/telegram/";
/// Where Telegram pushes to for a bot, below the address of a region.
pub fn url(base: &str, bot: BotId) -> String {
    format!("{}{PATH}{}", base.trim_end_matches('/'), bot.0)
}

/// Telegram's updates have 512 KiB at most.
const LARGEST_BODY: usize = 1 << 20;
/// How many pushes are under way in one process at most. Telegram keeps the others.
const AT_ONCE: usize = 1_000;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long looking a secret up may take.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How long a bot's secret is remembered; after a change the old one is taken for as long.
const REMEMBERED: Duration = Duration::from_secs(5);
/// How many bots are remembered.
const BOTS: u64 = 10_000;

/// A fresh secret: 256 bits as hexadecimal digits, which are among the characters that Telegram allows.
pub(crate) fn new_secret(random: &mut impl CryptoRng) -> String {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    let mut secret = String::with_capacity(64);
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(secret, "{byte:02x}");
    }
    secret
}

pub(crate) fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Where a sealed secret belongs.
pub(crate) fn secret_context(bot: BotId) -> [u8; 9] {
    let mut context = [b'w'; 9];
    context[1..].copy_from_slice(&bot.0.to_be_bytes());
    context
}

/// What is known of a bot that is pushed to.
#[derive(Clone, Copy)]
struct Hooked {
    digest: [u8; 32],
    running: bool,
}

/// Takes pushes of all bots of a cell. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    pool: PgPool,
    keys: Arc<KeyStore>,
    ingest: Ingest,
    hooked: Cache<BotId, Option<Hooked>>,
    room: Arc<Semaphore>,
}

impl Webhooks {
    /// Takes pushes into `ingest`; `pool` is the cell's database.
    pub fn new(pool: PgPool, keys: Arc<KeyStore>, ingest: Ingest) -> Webhooks {
        Webhooks {
            pool,
            keys,
            ingest,
            hooked: Cache::builder()
                .max_capacity(BOTS)
                .time_to_live(REMEMBERED)
                .build(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Answers one push to [`PATH`]. A service of any HTTP server: the body may be of any kind.
    ///
    /// 200 after the commit; 401 where bot or secret are not known, whichever it is; 405, 408 and 413 for what Telegram does not send; 503
    /// with `Retry-After` when nothing was stored and it is worth trying again.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: http_body::Body<Data: Send> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let began = Instant::now();
        let status = match self.take(request).await {
            Ok(()) => StatusCode::OK,
            Err(status) => status,
        };
        counter!("tg_webhook_requests_total", "status" => status.as_str().to_owned()).increment(1);
        histogram!("tg_webhook_seconds").record(began.elapsed());
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, later());
        }
        response
    }

    /// Whether a bot is one of this cell's that are pushed to. One that is remembered costs nothing.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn knows(&self, bot: BotId) -> Result<bool, Arc<sqlx::Error>> {
        let hooked = self.hooked.try_get_with(bot, self.look_up(bot)).await?;
        Ok(hooked.is_some())
    }

    async fn take<B>(&self, request: Request<B>) -> Result<(), StatusCode>
    where
        B: http_body::Body<Data: Send> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if request.method() != Method::POST {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let bot = bot_of(&request).ok_or(StatusCode::UNAUTHORIZED)?;
        // Before anything is read or remembered for whoever has no secret.
        let secret = request
            .headers()
            .get(SECRET_HEADER)
            .ok_or(StatusCode::UNAUTHORIZED)?;
        let given = digest(secret.as_bytes());
        let _room = self
            .room
            .try_acquire()
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let hooked = self
            .hooked
            .try_get_with(bot, self.look_up(bot))
            .await
            .map_err(|error| away(bot, &error.to_string()))?
            .ok_or(StatusCode::UNAUTHORIZED)?;
        // Of digests, in constant time: neither tells how much of a guess was right.
        if !bool::from(hooked.digest.ct_eq(&given)) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        // A bot that was stopped receives nothing; Telegram keeps its updates.
        if !hooked.running {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let body = timeout(
            BODY_TIME,
            Limited::new(request.into_body(), LARGEST_BODY).collect(),
        )
        .await
        .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                StatusCode::PAYLOAD_TOO_LARGE
            } else {
                StatusCode::BAD_REQUEST
            }
        })?
        .to_bytes();
        self.keep(bot, body).await
    }

    async fn look_up(&self, bot: BotId) -> sqlx::Result<Option<Hooked>> {
        let statement = sqlx::query!(
            r#"SELECT webhook_digest AS "digest!", desired = 'running' AS "running!" FROM bots
               WHERE bot_id = $1 AND mode = 'webhook' AND webhook_digest IS NOT NULL"#,
            bot.0
        )
        .fetch_optional(&self.pool);
        let row = timeout(LOOK_UP, statement)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        Ok(row.and_then(|row| {
            Some(Hooked {
                digest: row.digest.try_into().ok()?,
                running: row.running,
            })
        }))
    }

    async fn keep(&self, bot: BotId, body: Bytes) -> Result<(), StatusCode> {
        let update = match read(RawUpdate::new(body)) {
            Read::Update(update) => *update,
            Read::WithoutNumber(odd) => {
                return store::quarantine(&self.pool, &self.keys, bot, &[odd])
                    .await
                    .map_err(|error| away(bot, &error.to_string()));
            }
        };
        crate::figures::received(std::slice::from_ref(&update));
        let batch = Batch {
            bot,
            way: Way::Pushed,
            updates: vec![update],
        };
        match self.ingest.ingest(batch).await {
            Ok(_) => Ok(()),
            Err(IngestError::Busy) => Err(StatusCode::SERVICE_UNAVAILABLE),
            Err(error) => Err(away(bot, &error.to_string())),
        }
    }
}

/// Whom a push is for; nobody without a secret, so that whoever has none makes no work.
pub fn pushed_to<B>(request: &Request<B>) -> Option<BotId> {
    bot_of(request).filter(|_| request.headers().contains_key(SECRET_HEADER))
}

fn bot_of<B>(request: &Request<B>) -> Option<BotId> {
    let number = request.uri().path().rsplit('/').next()?;
    number.parse().ok().map(BotId)
}

fn away(bot: BotId, why: &str) -> StatusCode {
    tracing::warn!(
        bot = bot.0,
        why,
        "a pushed update was not stored; Telegram tries again"
    );
    StatusCode::SERVICE_UNAVAILABLE
}

/// 2 to 10 seconds, so that not all come back at once.
#[expect(clippy::disallowed_methods, reason = "jitter that no test looks at")]
fn later() -> HeaderValue {
    HeaderValue::from(rand::rng().random_range(2_u16..=10))
}
