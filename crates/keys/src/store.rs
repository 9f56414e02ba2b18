//! The key store's database: one current key for each person, chat and bot.

use crate::MEMORY;
use crate::envelope::{DataKey, KeyId, SealError, Sealed};
use crate::master::MasterKey;
use crate::terms::TermKey;
use moka::sync::Cache;
use rand::rngs::StdRng;
use rand::{CryptoRng, RngCore, SeedableRng as _};
use sqlx::PgPool;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// What kind of thing a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectKind {
    /// A Telegram account: what it wrote.
    Person,
    /// A group or channel: what cannot be said to be of one person.
    Chat,
    /// A bot: its token.
    Bot,
    /// The index of a bot's messages, by the bot's number.
    Index,
}

impl SubjectKind {
    fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Person => "person",
            SubjectKind::Chat => "chat",
            SubjectKind::Bot => "bot",
            SubjectKind::Index => "index",
        }
    }

    /// The other way round. The table's CHECK knows the same words.
    fn named(name: &str) -> SubjectKind {
        match name {
            "person" => SubjectKind::Person,
            "chat" => SubjectKind::Chat,
            "index" => SubjectKind::Index,
            _ => SubjectKind::Bot,
        }
    }
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Person, chat, bot or index.
    pub kind: SubjectKind,
    /// Telegram's number of it.
    pub id: i64,
}

impl Subject {
    /// What the wrapping of its keys is bound to, so that nobody can give one subject the key of another.
    fn context(self) -> Vec<u8> {
        format!("data key of {} {}", self.kind.as_str(), self.id).into_bytes()
    }
}

/// Why a key was not had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key store's database is away or refused.
    #[error("the key store does not answer")]
    Store(#[from] sqlx::Error),
    /// The content is gone for good: its key was destroyed.
    #[error("the key was destroyed; what it sealed cannot be read any more")]
    Destroyed,
    /// No such key: the content belongs to another key store, or the store was restored from too old a backup.
    #[error("the key store has no key {}; see whether it was restored from an old backup", .0.0)]
    Unknown(KeyId),
    /// Wrapped with a master key that this process was not given.
    #[error("the key is wrapped with the master key {0}, which this process was not given")]
    OtherMaster(String),
    /// Sealing or opening failed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Hands out data keys, and remembers them for at most [`MEMORY`].
pub struct KeyStore {
    pool: PgPool,
    master: MasterKey,
    random: Mutex<StdRng>,
    current: Cache<Subject, DataKey>,
    by_id: Cache<KeyId, DataKey>,
    pub(crate) terms: Cache<i64, TermKey>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Look-ups of data keys since a store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Remembered.
    pub hits: u64,
    /// Asked for in the database.
    pub misses: u64,
    /// How many keys are remembered now, of both ways of looking them up; a little late.
    pub entries: u64,
}

struct Row {
    id: i64,
    subject_kind: String,
    subject_id: i64,
    master: String,
    wrapped: Option<Vec<u8>>,
}

impl KeyStore {
    /// A store on `pool`. `random` seeds the generator of keys and nonces; `remembered` is how many keys of each kind of
    /// look-up stay in memory (about 1 KiB each).
    pub fn new(
        pool: PgPool,
        master: MasterKey,
        random: &mut impl CryptoRng,
        remembered: u64,
    ) -> Arc<KeyStore> {
        Arc::new(KeyStore {
            pool,
            master,
            random: Mutex::new(StdRng::from_rng(random)),
            current: Cache::builder()
                .max_capacity(remembered)
                .time_to_live(MEMORY)
                .build(),
            by_id: Cache::builder()
                .max_capacity(remembered)
                .time_to_live(MEMORY)
                .build(),
            terms: Cache::builder()
                .max_capacity(remembered)
                .time_to_live(MEMORY)
                .build(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// How often keys were remembered.
    pub fn reads(&self) -> Reads {
        Reads {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.current.entry_count() + self.by_id.entry_count(),
        }
    }

    fn count(&self, hits: usize, misses: usize) {
        for (counter, n) in [(&self.hits, hits), (&self.misses, misses)] {
            counter.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// A generator of its own for a caller that seals much, so that it does not wait for others.
    pub fn random(&self) -> StdRng {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        StdRng::from_rng(&mut *random)
    }

    /// The keys that seal what is new about `subjects`, made where there is none yet. At most two statements, whatever
    /// the number; none when all are remembered.
    ///
    /// # Errors
    /// [`KeyError`] of the first key that cannot be had.
    pub async fn current(&self, subjects: &HashSet<Subject>) -> Result<HashMap<Subject, DataKey>, KeyError> {
        let mut found = HashMap::with_capacity(subjects.len());
        let mut missing = Vec::new();
        for subject in subjects {
            match self.current.get(subject) {
                Some(key) => drop(found.insert(*subject, key)),
                None => missing.push(*subject),
            }
        }
        self.count(found.len(), missing.len());
        if missing.is_empty() {
            return Ok(found);
        }
        // Sorted, so that two processes that make keys for the same people do not wait for each other in a circle.
        missing.sort_unstable();
        self.take_current(&missing, &mut found).await?;
        missing.retain(|subject| !found.contains_key(subject));
        if !missing.is_empty() {
            self.make(&missing).await?;
            // Also those that another process made at the same moment.
            self.take_current(&missing, &mut found).await?;
        }
        Ok(found)
    }

    /// The key that seals what is new about one subject.
    ///
    /// # Errors
    /// As [`KeyStore::current`].
    pub async fn current_one(&self, subject: Subject) -> Result<DataKey, KeyError> {
        let mut keys = self.current(&HashSet::from([subject])).await?;
        // `current` answers for every subject or fails.
        keys.remove(&subject).ok_or(KeyError::Destroyed)
    }

    async fn take_current(
        &self,
        subjects: &[Subject],
        found: &mut HashMap<Subject, DataKey>,
    ) -> Result<(), KeyError> {
        let (kinds, ids) = columns(subjects);
        let rows = sqlx::query_as!(
            Row,
            "SELECT id, subject_kind, subject_id, master, wrapped FROM data_keys
             JOIN unnest($1::text[], $2::bigint[]) AS wanted (kind, subject) ON subject_kind = kind AND subject_id = subject
             WHERE retired_at IS NULL",
            &kinds,
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            let Some(subject) = subjects
                .iter()
                .find(|s| s.kind.as_str() == row.subject_kind && s.id == row.subject_id)
            else {
                continue;
            };
            let key = self.unwrap(*subject, row)?;
            self.current.insert(*subject, key.clone());
            self.by_id.insert(key.id(), key.clone());
            found.insert(*subject, key);
        }
        Ok(())
    }

    /// Makes keys for those that have none. A key that somebody else made meanwhile stays.
    async fn make(&self, subjects: &[Subject]) -> Result<(), KeyError> {
        let (kinds, ids) = columns(subjects);
        let mut wrapped = Vec::with_capacity(subjects.len());
        let mut random = self.random();
        for subject in subjects {
            wrapped.push(self.master.generate(&mut random, &subject.context())?.1);
        }
        sqlx::query!(
            "INSERT INTO data_keys (subject_kind, subject_id, master, wrapped)
             SELECT kind, subject, $4, wrapped FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS new (kind, subject, wrapped)
             ON CONFLICT (subject_kind, subject_id) WHERE retired_at IS NULL DO NOTHING",
            &kinds,
            &ids,
            &wrapped,
            self.master.fingerprint()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    fn unwrap(&self, subject: Subject, row: Row) -> Result<DataKey, KeyError> {
        let id = KeyId(row.id);
        Ok(DataKey::new(id, &*self.bytes(subject, row)?))
    }

    fn bytes(&self, subject: Subject, row: Row) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let wrapped = row.wrapped.ok_or(KeyError::Destroyed)?;
        if row.master != self.master.fingerprint() {
            return Err(KeyError::OtherMaster(row.master));
        }
        Ok(self.master.unwrap(&subject.context(), &wrapped)?)
    }

    /// The bytes of the key that is current, for what is no sealing.
    pub(crate) async fn current_bytes(&self, subject: Subject) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT id, subject_kind, subject_id, master, wrapped FROM data_keys
             WHERE subject_kind = $1 AND subject_id = $2 AND retired_at IS NULL",
            subject.kind.as_str(),
            subject.id
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(KeyError::Destroyed)?;
        self.bytes(subject, row)
    }

    /// The key of that number, retired or not.
    ///
    /// # Errors
    /// [`KeyError::Destroyed`] when it is gone for good, and others.
    pub async fn by_id(&self, id: KeyId) -> Result<DataKey, KeyError> {
        if let Some(key) = self.by_id.get(&id) {
            self.count(1, 0);
            return Ok(key);
        }
        self.count(0, 1);
        let row = sqlx::query_as!(
            Row,
            "SELECT id, subject_kind, subject_id, master, wrapped FROM data_keys WHERE id = $1",
            id.0
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(KeyError::Unknown(id))?;
        let kind = SubjectKind::named(&row.subject_kind);
        let key = self.unwrap(
            Subject {
                kind,
                id: row.subject_id,
            },
            row,
        )?;
        self.by_id.insert(id, key.clone());
        Ok(key)
    }

    /// Opens sealed content with whichever key sealed it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let sealed = Sealed::parse(sealed)?;
        Ok(self.by_id(sealed.key()).await?.open(context, sealed)?)
    }

    /// From now on another key seals what is new about `subject`; other processes follow within [`MEMORY`]. What was
    /// sealed before can still be read. Returns how many keys were retired: 0 or 1.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn retire(&self, subject: Subject) -> Result<u64, KeyError> {
        let done = sqlx::query!(
            "UPDATE data_keys SET retired_at = clock_timestamp()
             WHERE subject_kind = $1 AND subject_id = $2 AND retired_at IS NULL",
            subject.kind.as_str(),
            subject.id
        )
        .execute(&self.pool)
        .await?;
        self.current.invalidate(&subject);
        self.terms.invalidate(&subject.id);
        Ok(done.rows_affected())
    }

    /// Destroys the keys of `subject` that were retired at least [`MEMORY`] ago: what they sealed is gone for good, in every
    /// copy and backup of the data. Returns how many were destroyed.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn destroy_retired(&self, subject: Subject) -> Result<u64, KeyError> {
        let destroyed = sqlx::query_scalar!(
            "UPDATE data_keys SET wrapped = NULL, destroyed_at = clock_timestamp()
             WHERE subject_kind = $1 AND subject_id = $2 AND destroyed_at IS NULL
               AND retired_at <= clock_timestamp() - make_interval(secs => $3)
             RETURNING id",
            subject.kind.as_str(),
            subject.id,
            MEMORY.as_secs_f64()
        )
        .fetch_all(&self.pool)
        .await?;
        for id in &destroyed {
            self.by_id.invalidate(&KeyId(*id));
        }
        Ok(destroyed.len() as u64)
    }
}

impl KeyStore {
    /// How many keys are remembered for sealing, for the figures of the cache.
    pub fn remembered(&self) -> u64 {
        self.current.entry_count()
    }
}

fn columns(subjects: &[Subject]) -> (Vec<String>, Vec<i64>) {
    subjects
        .iter()
        .map(|s| (s.kind.as_str().to_owned(), s.id))
        .unzip()
}

// A generator that seals must not be predictable.
const _: fn() = || {
    fn cryptographic<R: RngCore + CryptoRng>() {}
    cryptographic::<StdRng>();
};
