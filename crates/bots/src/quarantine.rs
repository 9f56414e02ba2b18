//! What cannot be stored as an update, because it has no number: kept as it came, read again after an upgrade, or thrown away by a
//! person's word.

use crate::BotId;
use crate::ingest::{Batch, Committer, CommitterConfig, Ingest, IngestError, Now, Update, Way};
use crate::runner::store::quarantine_context;
use crate::runner::{Read, read};
use bagua_keys::{KeyError, KeyStore};
use bagua_telegram::RawUpdate;
use sqlx::PgPool;
use std::sync::Arc;
use time::OffsetDateTime;

/// An update without a number, kept as it came.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// Its row.
    pub id: i64,
    /// When it came.
    pub received_at: OffsetDateTime,
    /// Why it is here.
    pub reason: String,
    digest: Vec<u8>,
    raw: Vec<u8>,
}

impl Quarantined {
    /// Its bytes as they came.
    ///
    /// # Errors
    /// When its key is not to be had, or destroyed.
    pub async fn open(&self, keys: &KeyStore, bot: BotId) -> Result<Vec<u8>, KeyError> {
        let context = quarantine_context(bot, &self.digest);
        Ok(keys.open(&context, &self.raw).await?.to_vec())
    }
}

/// What lies in quarantine, newest first.
///
/// # Errors
/// When the database is away.
pub async fn list(pool: &PgPool, bot: BotId, most: i64) -> sqlx::Result<Vec<Quarantined>> {
    sqlx::query_as!(
        Quarantined,
        "SELECT id, received_at, reason, digest, raw FROM update_quarantine WHERE bot_id = $1 ORDER BY id DESC LIMIT $2",
        bot.0,
        most
    )
    .fetch_all(pool)
    .await
}

/// Those of `rows` that are still there, oldest first.
///
/// # Errors
/// When the database is away.
pub async fn some(pool: &PgPool, bot: BotId, rows: &[i64]) -> sqlx::Result<Vec<Quarantined>> {
    sqlx::query_as!(
        Quarantined,
        "SELECT id, received_at, reason, digest, raw FROM update_quarantine WHERE bot_id = $1 AND id = ANY($2) ORDER BY id",
        bot.0,
        rows
    )
    .fetch_all(pool)
    .await
}

/// Why something in quarantine was not read again.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// It cannot be opened.
    #[error("what is in quarantine cannot be opened")]
    Keys(#[from] KeyError),
    /// It has a number now and was not stored.
    #[error("what is in quarantine was not stored")]
    Ingest(#[from] IngestError),
    /// The data database is away.
    #[error("the data database does not answer")]
    Database(#[from] sqlx::Error),
}

/// What came of reading again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Were stored as updates, as if they had just come.
    pub stored: u64,
    /// Were stored before, by the number that they have.
    pub repeats: u64,
    /// Still have no number, or cannot be opened by anybody any more, and stay.
    pub left: u64,
}

/// The update that this version finds in it; nothing where there is no number, or where its key was destroyed.
async fn found(one: &Quarantined, keys: &KeyStore, bot: BotId) -> Result<Option<Update>, KeyError> {
    let raw = match one.open(keys, bot).await {
        Ok(raw) => raw,
        Err(KeyError::Destroyed) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(match read(RawUpdate::new(raw.into())) {
        Read::Update(update) => Some(*update),
        Read::WithoutNumber(_) => None,
    })
}

/// Whether [`replay`] would store it.
///
/// # Errors
/// When its key is not to be had.
pub async fn is_readable(one: &Quarantined, keys: &KeyStore, bot: BotId) -> Result<bool, KeyError> {
    Ok(found(one, keys, bot).await?.is_some())
}

/// Reads `rows` again, received `now`. What has a number for this version is stored as any update is, once, and leaves the quarantine after that; so a
/// run that breaks off in the middle loses nothing, and the next one doubles nothing.
///
/// # Errors
/// [`QuarantineError`], at the first row that fails; those before it are done.
pub async fn replay(
    pool: &PgPool,
    keys: &Arc<KeyStore>,
    bot: BotId,
    rows: &[i64],
    now: Now,
) -> Result<Replayed, QuarantineError> {
    let config = CommitterConfig {
        writers: 1,
        ..CommitterConfig::default()
    };
    let committer = Committer::start(pool, config, now);
    let ingest = Ingest::new(Arc::clone(keys), committer);
    let mut replayed = Replayed::default();
    for one in some(pool, bot, rows).await? {
        let Some(update) = found(&one, keys, bot).await? else {
            replayed.left += 1;
            continue;
        };
        let batch = Batch {
            bot,
            way: Way::Pushed,
            updates: vec![update],
        };
        let done = ingest.ingest(batch).await?;
        replayed.stored += done.stored;
        replayed.repeats += done.repeats;
        discard(pool, bot, &[one.id]).await?;
    }
    Ok(replayed)
}

/// Throws `rows` away; how many there were.
///
/// # Errors
/// When the database is away.
pub async fn discard(pool: &PgPool, bot: BotId, rows: &[i64]) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM update_quarantine WHERE bot_id = $1 AND id = ANY($2)",
        bot.0,
        rows
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
