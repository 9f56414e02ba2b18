//! Access: people, what they are trusted with, how they prove who they are, and their sessions. The README beside this
//! crate is the one-screen overview.

mod copies;
mod email;
mod links;
pub mod matrix;
mod operations;
mod password;
mod queries;
mod record;
mod session_store;
mod sessions;
mod sign_in;
mod store;
mod token;
mod tokens;
mod zones;

pub use copies::copy_key;
pub use links::{Acceptance, VALID as LINK_VALID, new_link};
pub use password::MINIMUM as PASSWORD_MINIMUM;
pub use record::Visitor;
pub use session_store::{DataStore, FLASH_LIMIT};
pub use sessions::{ABSOLUTE, FRESH, IDLE, STALE, SessionActor, Sessions, SessionsAway, Who};
pub use sign_in::SignedIn;
pub use token::NewLink;
pub use tokens::{NewToken, new_token};

use bagua_core::{Clock, LiveHub, Registry, Sources};
use bagua_model::notices::Source;
use bagua_model::region::Environment;
use copies::Copies;
use password::Passwords;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration as StdDuration;
use time::Duration;
use tokio_util::sync::CancellationToken;

/// What the room is made of.
pub struct AccessParts {
    /// The control database, application role.
    pub db: PgPool,
    /// The environment that this console looks after.
    pub environment: Environment,
    /// The time.
    pub clock: Clock,
    /// Redis, `redis://…`; without it sessions live in memory and PostgreSQL alone.
    pub redis_url: Option<String>,
    /// Seals the copies in Redis, see [`copy_key`]; the same on every console.
    pub copy_key: [u8; 32],
    /// Told whether Redis answers, for the notice on the screens.
    pub sources: Sources,
    /// Tells when people, roles or sessions have changed, so that copies are renewed at once.
    pub live: LiveHub,
}

/// The room. Shared as `Arc`.
pub struct Access {
    db: PgPool,
    environment: Environment,
    clock: Clock,
    passwords: Passwords,
    sessions: Arc<Sessions>,
}

/// How long the rows of ended sessions, links and counters stay.
const KEPT: Duration = Duration::days(1);
const PRUNE_EVERY: StdDuration = StdDuration::from_secs(15 * 60);
const COUNT_EVERY: StdDuration = StdDuration::from_secs(10);
const PING_EVERY: StdDuration = StdDuration::from_secs(2);

impl Access {
    /// The room. Connects to nothing yet; must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When Redis' address cannot be read.
    pub fn new(parts: AccessParts) -> redis::RedisResult<Arc<Access>> {
        let lifetime = Sessions::copy_lifetime();
        let sources = parts.sources;
        let report = Arc::new(move |fault: Option<&str>| match fault {
            None => sources.ok(Source::Redis),
            Some(fault) => sources.failed(Source::Redis, fault),
        });
        let copies = Copies::new(parts.redis_url.as_deref(), parts.copy_key, lifetime, report)?;
        let sessions = Arc::new(Sessions::new(parts.db.clone(), parts.clock.clone(), copies));
        let told = Arc::downgrade(&sessions);
        parts.live.before(record::TOPIC, move |_| {
            if let Some(sessions) = told.upgrade() {
                sessions.people_changed();
            }
            Box::pin(std::future::ready(()))
        });
        Ok(Arc::new(Access {
            db: parts.db,
            environment: parts.environment,
            clock: parts.clock,
            passwords: Passwords::default(),
            sessions,
        }))
    }

    /// Who is behind a cookie.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Watches Redis and clears away what has ended, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ping = tokio::time::interval(PING_EVERY);
        let mut prune = tokio::time::interval(PRUNE_EVERY);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = tokio::time::interval(COUNT_EVERY);
        count.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ping.tick() => self.sessions.ping_redis().await,
                _ = count.tick() => self.measure().await,
                _ = prune.tick() => {
                    if let Err(error) = self.prune().await {
                        tracing::warn!(%error, "ended sessions could not be cleared away; trying again in 15 minutes");
                    }
                }
            }
        }
    }

    /// Tells Prometheus how many sessions are open. Every console tells the same number of the same table.
    async fn measure(&self) {
        let counted = store::sessions::count(&self.db, self.clock.now(), IDLE).await;
        if let Err(error) = &counted {
            tracing::debug!(%error, "open sessions were not counted");
        }
        // Not known is no number: the last one would pass for the present one.
        metrics::gauge!("user_sessions_active").set(counted.map_or(f64::NAN, |n| n as f64));
    }

    async fn prune(&self) -> sqlx::Result<()> {
        let now = self.clock.now();
        let sessions = store::sessions::prune(&self.db, now, IDLE, KEPT).await?;
        let counters = store::counters::prune(&self.db, now - KEPT).await?;
        let links = store::invitations::prune(&self.db, now - KEPT).await?;
        tracing::debug!(sessions, counters, links, "cleared away what has ended");
        Ok(())
    }
}

/// Registers every query and operation of this room.
pub fn register(registry: &mut Registry, room: Arc<Access>) {
    use bagua_model::access as m;
    use bagua_model::preferences as p;
    use bagua_model::tokens as t;
    registry
        .query::<m::ListPeople>(room.clone())
        .query::<m::ListSessions>(room.clone())
        .query::<p::GetPreferences>(room.clone())
        .query::<p::ListViews>(room.clone())
        .immediate::<p::ChooseZone>(room.clone())
        .immediate::<p::SaveView>(room.clone())
        .immediate::<p::RenameView>(room.clone())
        .immediate::<p::DeleteView>(room.clone())
        .immediate::<m::CreatePerson>(room.clone())
        .immediate::<m::InvitePerson>(room.clone())
        .immediate::<m::GrantRole>(room.clone())
        .immediate::<m::RevokeRole>(room.clone())
        .immediate::<m::DisablePerson>(room.clone())
        .immediate::<m::EnablePerson>(room.clone())
        .immediate::<m::RevokeSession>(room.clone())
        .immediate::<m::RevokeAllSessions>(room.clone())
        .query::<t::ListTokens>(room.clone())
        .immediate::<t::CreateToken>(room.clone())
        .immediate::<t::RevokeToken>(room);
}
