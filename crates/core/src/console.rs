//! The console as one object: `ask` and `submit`, and no third way in.

use crate::actor::{Actor, Granted};
use crate::audit::AuditRecord;
use crate::clock::Clock;
use crate::db;
use crate::kinds;
use crate::live::LiveHub;
use crate::plan;
use crate::registry::{OperationEntry, Prepared, Registry};
use crate::sources::Sources;
use crate::store;
use crate::verbs::{AskContext, PlanContext};
use crate::worker::WorkerSettings;
use bagua_model::access::Permission;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::notices::Source;
use bagua_model::operation::{Plan, PlanView};
use bagua_model::region::{Environment, Scope};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::{Query, Risk, Target};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What a console is made of. Rooms take what they need (`db`, `live`, `sources`, `handle`) while they are built,
/// then register with `registry`.
pub struct ConsoleParts {
    /// The control database, application role.
    pub db: PgPool,
    /// The environment that this console looks after.
    pub environment: Environment,
    /// The time.
    pub clock: Clock,
    /// This process among several, for leases and logs: `host:pid`.
    pub name: String,
    /// All kinds. The console adds its own.
    pub registry: Registry,
    /// The live stream.
    pub live: LiveHub,
    /// What the console is missing.
    pub sources: Sources,
    /// For rooms that ask each other: empty until [`Console::new`].
    pub handle: ConsoleHandle,
    /// How operations are carried out in this process.
    pub workers: WorkerSettings,
}

impl ConsoleParts {
    /// Parts with an empty registry and the usual settings.
    pub fn new(name: impl Into<String>, db: PgPool, environment: Environment, clock: Clock) -> ConsoleParts {
        let live = LiveHub::new(db.clone(), environment, clock.clone());
        ConsoleParts {
            sources: Sources::new(clock.clone(), live.clone()),
            db,
            environment,
            clock,
            name: name.into(),
            registry: Registry::default(),
            live,
            handle: ConsoleHandle::default(),
            workers: WorkerSettings::default(),
        }
    }
}

/// The console for those that it owns itself: empty before it stands and after it has gone.
#[derive(Clone, Default)]
pub struct ConsoleHandle(Arc<OnceLock<Weak<Console>>>);

impl ConsoleHandle {
    /// The console.
    ///
    /// # Errors
    /// `Unavailable` while the console starts or stops.
    pub fn get(&self) -> Result<Arc<Console>, Failure> {
        self.0
            .get()
            .and_then(Weak::upgrade)
            .ok_or_else(|| Failure::unavailable(format!("@{}", keys::CORE_CONSOLE)))
    }
}

/// The console.
pub struct Console {
    /// The control database, application role.
    pub db: PgPool,
    /// The environment that this console looks after.
    pub environment: Environment,
    /// The time.
    pub clock: Clock,
    /// This process among several.
    pub name: String,
    /// The live stream.
    pub live: LiveHub,
    /// What the console is missing.
    pub sources: Sources,
    registry: Registry,
    pub(crate) workers: WorkerSettings,
    denials: Denials,
}

impl Console {
    /// Puts the parts together. Nothing runs until [`Console::run`].
    ///
    /// # Panics
    /// When a room has registered a kind of the console itself.
    pub fn new(mut parts: ConsoleParts) -> Arc<Console> {
        kinds::register(&mut parts);
        let handle = parts.handle;
        let console = Arc::new(Console {
            db: parts.db,
            environment: parts.environment,
            clock: parts.clock,
            name: parts.name,
            live: parts.live,
            sources: parts.sources,
            registry: parts.registry,
            workers: parts.workers,
            denials: Denials::default(),
        });
        if handle.0.set(Arc::downgrade(&console)).is_err() {
            tracing::warn!("a handle that belongs to another console was reused; it keeps pointing there");
        }
        console
    }

    /// Every kind.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How operations are carried out in this process.
    pub fn worker_settings(&self) -> &WorkerSettings {
        &self.workers
    }

    /// Asks.
    ///
    /// # Errors
    /// `Forbidden` without the permission (audited), `NotFound` for an unknown kind, or what the room answers.
    pub async fn ask<Q: Query>(&self, actor: &Actor, query: Q) -> Result<Q::Answer, Failure> {
        let handler = self.registry.answers::<Q>()?;
        let granted = actor.granted(Q::PERMISSION);
        let scope = query.scope().map(|scope| self.here(scope));
        let allowed = match &scope {
            Some(scope) => granted.covers(scope),
            None => self.somewhere(&granted),
        };
        if !allowed {
            return Err(self
                .deny(actor, Q::KIND, Q::PERMISSION, scope.as_ref(), None)
                .await);
        }
        let cx = AskContext {
            actor: actor.clone(),
            granted,
            environment: self.environment,
            now: self.clock.now(),
        };
        if Q::PERSONAL_DATA {
            self.audit_read(actor, &query, scope.as_ref()).await?;
        }
        let begun = Instant::now();
        let answer = handler.answer(&cx, query).await;
        measure_query(
            Q::KIND,
            begun.elapsed(),
            answer.as_ref().err().map(|failure| failure.kind),
        );
        answer
    }

    /// Refuses, before the input is read, whoever holds the permission of a kind nowhere: they learn nothing of it, not
    /// even what an input has to look like.
    ///
    /// # Errors
    /// `Forbidden` (audited), and `NotFound` for an unknown kind.
    pub async fn knock(&self, actor: &Actor, kind: &str) -> Result<(), Failure> {
        let info = self
            .registry
            .info(kind)
            .ok_or_else(|| crate::registry::unknown_kind(kind))?;
        if self.somewhere(&actor.granted(info.permission)) {
            return Ok(());
        }
        Err(self.deny(actor, info.kind, info.permission, None, None).await)
    }

    /// Asks with JSON from outside.
    ///
    /// # Errors
    /// Those of [`Console::ask`], and `Invalid` when the input does not fit the kind.
    pub async fn ask_json(&self, actor: &Actor, kind: &str, input: Value) -> Result<Value, Failure> {
        (self.registry.query_entry(kind)?.ask_json)(self, actor, input).await
    }

    /// Says what an operation would change.
    ///
    /// # Errors
    /// `Forbidden` without the permission (audited: a plan shows what is in its scope), or what the room answers.
    pub async fn plan_json(&self, actor: &Actor, kind: &str, input: Value) -> Result<PlanView, Failure> {
        let planned = self.plan(actor, kind, input).await?;
        let busy = match &planned.prepared.concurrency_key {
            Some(key) => store::operations::holder(&self.db, key)
                .await
                .map_err(db::failure)?,
            None => None,
        };
        Ok(PlanView {
            kind: kind.to_owned(),
            input: planned.prepared.input,
            plan: planned.plan,
            hash: planned.hash,
            target: planned.target,
            risk: planned.risk,
            busy,
            refused: None,
        })
    }

    /// Permission and plan, the common beginning of plan and submission.
    pub(crate) async fn plan(&self, actor: &Actor, kind: &str, input: Value) -> Result<Planned<'_>, Failure> {
        let admitted = self.admit(actor, kind, input).await?;
        self.plan_admitted(actor, admitted).await
    }

    pub(crate) async fn plan_admitted<'a>(
        &'a self,
        actor: &Actor,
        admitted: Admitted<'a>,
    ) -> Result<Planned<'a>, Failure> {
        let Admitted {
            entry,
            prepared,
            target,
        } = admitted;
        let cx = self.plan_context(actor);
        let plan = entry.handler.plan(&cx, &prepared.input).await?;
        let hash = plan::hash(entry.info.kind, &prepared.input, &target, &plan);
        let risk = entry.info.risk.unwrap_or(Risk::Critical);
        Ok(Planned {
            entry,
            prepared,
            target,
            plan,
            hash,
            risk,
        })
    }

    /// Reads the input, finds the target and checks the permission for it.
    pub(crate) async fn admit(
        &self,
        actor: &Actor,
        kind: &str,
        input: Value,
    ) -> Result<Admitted<'_>, Failure> {
        let entry = self.registry.operation_entry(kind)?;
        let permission = entry.info.permission;
        let granted = actor.granted(permission);
        self.knock(actor, kind).await?;
        let mut prepared = entry.handler.prepare(input)?;
        let mut target = entry
            .handler
            .locate(&self.plan_context(actor), &prepared.input)
            .await?;
        target.scope = self.here(target.scope);
        if !granted.covers(&target.scope) {
            return Err(self
                .deny(
                    actor,
                    entry.info.kind,
                    permission,
                    Some(&target.scope),
                    Some(&target),
                )
                .await);
        }
        if entry.secret {
            // From here on nobody meets the secret any more: neither plan nor hash, operation, audit or log.
            prepared.input = entry
                .handler
                .conceal(&self.plan_context(actor), prepared.input)
                .await?;
        }
        Ok(Admitted {
            entry,
            prepared,
            target,
        })
    }

    pub(crate) fn plan_context(&self, actor: &Actor) -> PlanContext {
        PlanContext {
            actor: actor.clone(),
            environment: self.environment,
            db: self.db.clone(),
            now: self.clock.now(),
        }
    }

    /// A wanted scope without an environment means the console's own.
    fn here(&self, mut scope: Scope) -> Scope {
        scope.environment.get_or_insert(self.environment);
        scope
    }

    /// Whether anything in this console's environment was granted.
    fn somewhere(&self, granted: &Granted) -> bool {
        granted
            .regions(self.environment)
            .is_none_or(|regions| !regions.is_empty())
    }

    /// Refuses, and writes it into the audit log as well as can be.
    pub(crate) async fn deny(
        &self,
        actor: &Actor,
        kind: &str,
        permission: Permission,
        scope: Option<&Scope>,
        target: Option<&Target>,
    ) -> Failure {
        let scope_words = scope.map_or_else(|| self.environment.to_string(), Scope::to_string);
        let narrow = actor
            .through()
            .filter(|through| !through.limit.allows(permission))
            .map(|through| through.name.as_str());
        let text = match narrow {
            Some(name) => Text::new(keys::FAILURE_TOKEN_NARROW).with("name", name),
            None => Text::new(keys::FAILURE_FORBIDDEN),
        };
        let text = text
            .with("permission", format!("@permission.{permission}"))
            .with("scope", scope_words);
        metrics::counter!("bagua_denials_total", "kind" => kind.to_owned()).increment(1);
        tracing::info!(actor = %actor.label(), kind, permission = %permission, "denied");
        let now = self.clock.now();
        let mut record = AuditRecord::new(actor, "deny", "denied", now).kind(kind);
        record = record.place(self.environment, scope.and_then(|s| s.region.clone()));
        if let Some(target) = target {
            record = record.target(target);
        }
        if let Some(left_out) = self.denials.admit() {
            record = record.detail(json!({ "permission": permission.as_str(), "left_out": left_out }));
            self.try_audit(record).await;
        }
        Failure::new(FailureKind::Forbidden, text)
    }

    /// Writes an audit record when the database is there to take it; for what has been refused anyway.
    pub(crate) async fn try_audit(&self, record: AuditRecord) {
        if self.sources.is_away(Source::Database) {
            tracing::warn!(
                ?record,
                "the database is away; this audit record stands in the log only"
            );
            return;
        }
        let write = store::audit::insert(&self.db, &record);
        match tokio::time::timeout(db::ACQUIRE_TIMEOUT, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(
                    ?record,
                    error = &error as &dyn std::error::Error,
                    "audit record not written"
                );
            }
            Err(_) => tracing::error!(?record, "audit record not written in time"),
        }
    }

    /// Personal data is shown only when the reading of it has been written down.
    async fn audit_read<Q: Query>(
        &self,
        actor: &Actor,
        query: &Q,
        scope: Option<&Scope>,
    ) -> Result<(), Failure> {
        let input = serde_json::to_value(query).map_err(|e| db::unreadable("a query", e))?;
        let record = AuditRecord::new(actor, "read", "allowed", self.clock.now())
            .kind(Q::KIND)
            .place(self.environment, scope.and_then(|s| s.region.clone()))
            .detail(json!({ "query": input }));
        store::audit::insert(&self.db, &record).await.map_err(db::failure)
    }
}

/// A query that takes longer is told in the log.
const SLOW_QUERY: Duration = Duration::from_millis(500);

/// Counts a query and how long it took; what was slow or our fault is found in the log by its kind.
fn measure_query(kind: &'static str, took: Duration, failure: Option<FailureKind>) {
    let result = match failure {
        None => "answered",
        Some(FailureKind::Internal) => "fault",
        Some(FailureKind::Unavailable) => "unavailable",
        Some(_) => "refused",
    };
    metrics::histogram!("bagua_query_duration_seconds", "kind" => kind, "result" => result).record(took);
    if took >= SLOW_QUERY {
        tracing::warn!(
            query.kind = kind,
            query.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            query.result = result,
            "slow query"
        );
    }
}

/// An operation whose submitter may submit it.
pub(crate) struct Admitted<'a> {
    pub(crate) entry: &'a OperationEntry,
    pub(crate) prepared: Prepared,
    pub(crate) target: Target,
}

/// An admitted operation with its plan.
pub(crate) struct Planned<'a> {
    pub(crate) entry: &'a OperationEntry,
    pub(crate) prepared: Prepared,
    pub(crate) target: Target,
    pub(crate) plan: Plan,
    pub(crate) hash: String,
    pub(crate) risk: Risk,
}

/// At most so many denials are written in a window: somebody who knocks on every door must not fill the log (and
/// the disk) with it. How many were left out stands in the next record.
#[derive(Default)]
struct Denials {
    window: Mutex<Option<(Instant, u32)>>,
    left_out: AtomicU64,
}

impl Denials {
    const WINDOW: Duration = Duration::from_secs(10);
    const PER_WINDOW: u32 = 200;

    /// Whether this denial is written; if so, how many before it were not.
    fn admit(&self) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = window.get_or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() > Self::WINDOW {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        if *count > Self::PER_WINDOW {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_denials_is_counted_and_not_written() {
        let denials = Denials::default();
        let written = (0..1000).filter(|_| denials.admit().is_some()).count();
        assert_eq!(written, Denials::PER_WINDOW as usize);
        if let Some(window) = denials
            .window
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            window.0 -= Denials::WINDOW * 2;
        }
        assert_eq!(denials.admit(), Some(1000 - u64::from(Denials::PER_WINDOW)));
    }
}
