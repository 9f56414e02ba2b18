//! Sessions: who is behind a cookie, answered from memory, with a truth that is at most two seconds old.
//!
//! Three layers. A copy in this process answers while it is younger than [`FRESH`]; from half that age on it is renewed
//! in the background, so that a person who clicks never waits. A copy in Redis that another console has just renewed
//! saves a question to PostgreSQL. PostgreSQL is the truth. Age is always counted from the moment at which PostgreSQL
//! was asked, whichever layer a copy went through, so that layers do not add up and no lost message can keep a revoked
//! session alive.
//!
//! While PostgreSQL does not answer, the youngest copy goes on for up to [`STALE`], marked as stale.

use crate::copies::{Copies, Copy};
use crate::store;
use crate::store::sessions::Open;
use crate::token::{self, TokenHash};
use crate::zones;
use bagua_core::{Actor, Clock};
use bagua_model::access::Me;
use bagua_model::zone::Zone;
use moka::future::Cache;
use sqlx::PgPool;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration as StdDuration;
use time::{Duration, OffsetDateTime};
use tokio::sync::{Mutex, Semaphore};
use tower_sessions::session::Id;
use uuid::Uuid;

/// A revoked session is gone everywhere after this.
pub const FRESH: Duration = Duration::seconds(2);
/// From this age on a copy is renewed in the background.
const RENEW: Duration = Duration::seconds(1);
/// While PostgreSQL is away a copy serves to this age.
pub const STALE: Duration = Duration::minutes(15);
/// A session that is not used ends after this.
pub const IDLE: Duration = Duration::hours(12);
/// A session ends after this even if it is used.
pub const ABSOLUTE: Duration = Duration::days(7);
/// Use is written down at most this often.
const TOUCH: Duration = Duration::minutes(5);
/// After a fault of PostgreSQL, stale copies serve for so long without asking again.
const RETRY: Duration = Duration::milliseconds(500);
/// How long one fault lets stale copies serve without waiting for an answer.
const OUTAGE: Duration = Duration::seconds(2);
/// Longest wait of a request that has a stale copy to fall back on.
const PATIENCE: StdDuration = StdDuration::from_millis(500);
/// Longest wait of a request that has none, and of a renewal that nobody waits for.
const TIMEOUT: StdDuration = StdDuration::from_millis(2_500);
/// Copies in this process.
const CAPACITY: u64 = 20_000;
/// Tokens that are looked up for the first time at once: made-up ones must not take every connection.
const STRANGERS: usize = 6;

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The session's name in lists and operations; not the cookie.
    pub session: Uuid,
    /// The person's id.
    pub person: Uuid,
    /// The person with their roles, for `ask` and `submit`.
    pub actor: Actor,
    /// The same for screens.
    pub me: Me,
    /// The time zone of their screens.
    pub zone: Zone,
    /// When the session ends if it is not used again.
    pub ends_at: OffsetDateTime,
}

/// The answer to "who is behind this cookie". Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionActor {
    /// Who.
    pub who: Arc<Who>,
    /// Whether PostgreSQL could not be asked: the answer may be up to [`STALE`] old, and is good for reading only.
    pub stale: bool,
    /// When PostgreSQL was asked.
    pub as_of: OffsetDateTime,
}

/// Nobody can say who is behind a cookie: PostgreSQL is away and there is no copy. Not the same as "nobody".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session cannot be looked up: PostgreSQL does not answer and there is no copy")]
pub struct SessionsAway;

#[derive(Default)]
struct Entry {
    held: RwLock<Option<Held>>,
    /// One question to PostgreSQL at a time for each session.
    turn: Mutex<()>,
    renewing: AtomicBool,
    /// Unix time at which use was written down last, by this process.
    touched: AtomicI64,
}

#[derive(Clone)]
struct Held {
    at: OffsetDateTime,
    /// How many changes of people this process had heard of when PostgreSQL was asked.
    changes: u64,
    open: Open,
    who: Arc<Who>,
}

impl Entry {
    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, held: Option<Held>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

/// Sessions in three layers. Share it in an `Arc`.
pub struct Sessions {
    pub(crate) db: PgPool,
    pub(crate) clock: Clock,
    copies: Copies,
    memory: Cache<TokenHash, Arc<Entry>>,
    strangers: Semaphore,
    /// Unix microseconds of the last fault of PostgreSQL; 0: none since the last answer.
    failed_at: AtomicI64,
    /// Changes of people that this process has heard of: a copy from before the last one is due.
    changes: AtomicU64,
    /// Unix microseconds of the last one: a copy in Redis has no other mark.
    changed_at: AtomicI64,
}

enum Truth {
    Open(Box<Held>),
    Gone,
    Away,
}

impl Sessions {
    /// Sessions over the control database `db` with copies in Redis.
    pub fn new(db: PgPool, clock: Clock, copies: Copies) -> Sessions {
        Sessions {
            db,
            clock,
            copies,
            memory: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(StdDuration::from_secs(20 * 60))
                .build(),
            strangers: Semaphore::new(STRANGERS),
            failed_at: AtomicI64::new(0),
            changes: AtomicU64::new(0),
            changed_at: AtomicI64::new(0),
        }
    }

    /// How long a copy in Redis lives.
    pub fn copy_lifetime() -> StdDuration {
        STALE.unsigned_abs()
    }

    /// Who is behind a cookie's value, or `None` when nobody is: never signed in, signed out, revoked, ended, disabled.
    ///
    /// No input or output happens while the copy in this process is fresh.
    ///
    /// # Errors
    /// When PostgreSQL is away and there is no copy.
    pub async fn actor_of(
        self: &Arc<Self>,
        cookie_token: &str,
    ) -> Result<Option<SessionActor>, SessionsAway> {
        // What is no token at all costs nothing, whoever sends it.
        if cookie_token.parse::<Id>().is_err() {
            return Ok(None);
        }
        let hash = token::hash(cookie_token);
        let known = self.memory.get(&hash).await;
        let Some(entry) = known else {
            return self.first_sight(hash).await;
        };
        let now = self.clock.now();
        if let Some(held) = entry.held() {
            if self.is_fresh(&held, now, FRESH) {
                if !self.is_fresh(&held, now, RENEW) {
                    self.renew_in_background(hash, &entry);
                }
                return Ok(self.serve(hash, &entry, &held, now, false));
            }
            if now - held.at < STALE && self.outage(now, OUTAGE) {
                if !self.outage(now, RETRY) {
                    self.renew_in_background(hash, &entry);
                }
                metrics::counter!("bagua_session_answers_total", "layer" => "stale").increment(1);
                return Ok(self.serve(hash, &entry, &held, now, true));
            }
        }
        self.wait_for_truth(hash, &entry).await
    }

    /// Asks for a token that this process does not know. Only sessions that exist get a place in memory.
    async fn first_sight(self: &Arc<Self>, hash: TokenHash) -> Result<Option<SessionActor>, SessionsAway> {
        let place = tokio::time::timeout(TIMEOUT, self.strangers.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(SessionsAway);
        };
        let entry = Arc::new(Entry::default());
        let answer = self.wait_for_truth(hash, &entry).await;
        if matches!(answer, Ok(Some(_))) {
            self.memory.entry(hash).or_insert(entry).await;
        }
        answer
    }

    async fn wait_for_truth(
        self: &Arc<Self>,
        hash: TokenHash,
        entry: &Arc<Entry>,
    ) -> Result<Option<SessionActor>, SessionsAway> {
        let patience = if entry.held().is_some() { PATIENCE } else { TIMEOUT };
        // In a task of its own: a reader who hangs up must not cut the question off for those who wait with them.
        let task = tokio::spawn(self.clone().find_truth(hash, entry.clone(), patience));
        let truth = task.await.unwrap_or(Truth::Away);
        let now = self.clock.now();
        match truth {
            Truth::Open(held) => {
                let stale = now - held.at >= FRESH;
                Ok(self.serve(hash, entry, &held, now, stale))
            }
            Truth::Gone => Ok(None),
            Truth::Away => match entry.held().filter(|held| now - held.at < STALE) {
                Some(held) => Ok(self.serve(hash, entry, &held, now, true)),
                None => Err(SessionsAway),
            },
        }
    }

    /// Redis, if it has something newer and fresh; else PostgreSQL; else the youngest copy there is.
    async fn find_truth(self: Arc<Self>, hash: TokenHash, entry: Arc<Entry>, patience: StdDuration) -> Truth {
        let _turn = entry.turn.lock().await;
        let asked_at = self.clock.now();
        let changes = self.changes.load(Ordering::Relaxed);
        // Somebody else may have found it while we waited for our turn.
        if let Some(held) = entry.held().filter(|held| self.is_fresh(held, asked_at, RENEW)) {
            return Truth::Open(Box::new(held));
        }
        let copy = self
            .copies
            .get(&hash)
            .await
            .filter(|c| c.at <= asked_at && asked_at - c.at < STALE);
        if let Some(Copy { at, open: Some(open) }) = &copy
            && asked_at - *at < RENEW
            && micros(*at) > self.changed_at.load(Ordering::Relaxed)
        {
            metrics::counter!("bagua_session_answers_total", "layer" => "redis").increment(1);
            return Truth::Open(Box::new(self.keep(&entry, *at, changes, open.clone())));
        }
        let question = store::sessions::open(&self.db, &hash, asked_at, IDLE);
        let fault = match tokio::time::timeout(patience, question).await {
            Ok(Ok(answer)) => {
                self.failed_at.store(0, Ordering::Relaxed);
                metrics::counter!("bagua_session_answers_total", "layer" => "postgresql").increment(1);
                return self.learn(hash, &entry, asked_at, changes, answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", patience.as_millis()),
        };
        if self.failed_at.swap(micros(self.clock.now()), Ordering::Relaxed) == 0 {
            tracing::warn!(
                fault,
                "sessions cannot be looked up in PostgreSQL; copies serve for up to 15 minutes"
            );
        }
        match copy {
            Some(copy) if entry.held().is_none_or(|held| held.at < copy.at) => match copy.open {
                Some(open) => Truth::Open(Box::new(self.keep(&entry, copy.at, changes, open))),
                None => {
                    self.forget(&hash, &entry).await;
                    Truth::Gone
                }
            },
            _ => Truth::Away,
        }
    }

    /// Takes PostgreSQL's answer into memory at once and into Redis behind the caller's back.
    fn learn(
        self: &Arc<Self>,
        hash: TokenHash,
        entry: &Arc<Entry>,
        at: OffsetDateTime,
        changes: u64,
        answer: Option<Open>,
    ) -> Truth {
        let was_known = entry.held().is_some();
        let truth = match &answer {
            Some(open) => Truth::Open(Box::new(self.keep(entry, at, changes, open.clone()))),
            None => {
                entry.hold(None);
                Truth::Gone
            }
        };
        // A made-up token leaves nothing behind, in Redis as little as here.
        if answer.is_some() || was_known {
            let sessions = self.clone();
            tokio::spawn(async move {
                if answer.is_none() {
                    sessions.memory.invalidate(&hash).await;
                }
                sessions.copies.put(&hash, &Copy { at, open: answer }).await;
            });
        }
        truth
    }

    fn keep(&self, entry: &Entry, at: OffsetDateTime, changes: u64, open: Open) -> Held {
        let unchanged = entry.held().filter(|held| held.open == open).map(|held| held.who);
        let who = unchanged.unwrap_or_else(|| Arc::new(who(&open)));
        let held = Held {
            at,
            changes,
            open,
            who,
        };
        entry.hold(Some(held.clone()));
        held
    }

    async fn forget(&self, hash: &TokenHash, entry: &Entry) {
        entry.hold(None);
        self.memory.invalidate(hash).await;
    }

    fn serve(
        self: &Arc<Self>,
        hash: TokenHash,
        entry: &Entry,
        held: &Held,
        now: OffsetDateTime,
        stale: bool,
    ) -> Option<SessionActor> {
        if now >= held.open.expires_at || now - held.open.last_seen_at >= IDLE {
            return None;
        }
        if !stale && now - held.open.last_seen_at >= TOUCH {
            self.touch_in_background(hash, entry, now);
        }
        Some(SessionActor {
            who: held.who.clone(),
            stale,
            as_of: held.at,
        })
    }

    fn touch_in_background(self: &Arc<Self>, hash: TokenHash, entry: &Entry, now: OffsetDateTime) {
        let second = now.unix_timestamp();
        let last = entry.touched.load(Ordering::Relaxed);
        let due = second - last >= TOUCH.whole_seconds()
            && entry
                .touched
                .compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if due {
            let sessions = self.clone();
            tokio::spawn(async move {
                let touch = store::sessions::touch(&sessions.db, &hash, now);
                if !matches!(tokio::time::timeout(TIMEOUT, touch).await, Ok(Ok(()))) {
                    tracing::debug!(
                        "the use of a session could not be written down; the next request tries again later"
                    );
                }
            });
        }
    }

    fn renew_in_background(self: &Arc<Self>, hash: TokenHash, entry: &Arc<Entry>) {
        if entry.renewing.swap(true, Ordering::Relaxed) {
            return;
        }
        let (sessions, entry) = (self.clone(), entry.clone());
        tokio::spawn(async move {
            // A time-out of its own below the age at which requests would have to wait.
            sessions
                .find_truth(hash, entry.clone(), StdDuration::from_secs(1))
                .await;
            entry.renewing.store(false, Ordering::Relaxed);
        });
    }

    /// Ends the session behind a cookie: here at once, elsewhere within [`FRESH`].
    pub(crate) async fn ended(&self, cookie_token: &str) {
        let hash = token::hash(cookie_token);
        if let Some(entry) = self.memory.get(&hash).await {
            self.forget(&hash, &entry).await;
        }
        self.copies
            .put(
                &hash,
                &Copy {
                    at: self.clock.now(),
                    open: None,
                },
            )
            .await;
    }

    /// Something about people or sessions has changed: every copy is renewed before it serves again.
    pub fn people_changed(&self) {
        self.changed_at
            .fetch_max(micros(self.clock.now()), Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks Redis whether it is there.
    pub(crate) async fn ping_redis(&self) {
        self.copies.ping().await;
    }

    fn is_fresh(&self, held: &Held, now: OffsetDateTime, limit: Duration) -> bool {
        now - held.at < limit && held.changes == self.changes.load(Ordering::Relaxed)
    }

    fn outage(&self, now: OffsetDateTime, within: Duration) -> bool {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        failed_at != 0
            && micros(now) - failed_at < i64::try_from(within.whole_microseconds()).unwrap_or(i64::MAX)
    }
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

fn who(open: &Open) -> Who {
    Who {
        session: open.session,
        person: open.person,
        actor: Actor::Person {
            id: open.person,
            name: open.name.clone(),
            email: open.email.clone(),
            grants: open.grants.clone(),
            through: None,
        },
        me: Me {
            person: open.person,
            name: open.name.clone(),
            email: open.email.clone(),
            grants: open.grants.clone(),
        },
        zone: open
            .zone
            .as_deref()
            .and_then(|name| zones::zone(name, open.last_seen_at))
            .unwrap_or_default(),
        ends_at: open.expires_at.min(open.last_seen_at + IDLE),
    }
}
