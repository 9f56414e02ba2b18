//! The spine against a real PostgreSQL: engine, crash harness, approvals, schedules, live stream, audit.

mod access;
mod approvals;
mod cancels;
mod crashes;
mod engine;
mod killed;
mod lists;
mod live;
mod schedules;
mod workers;

use bagua_core::{Clock, Console};
use bagua_model::operation::{ListAudit, OperationId, OperationState, OperationView, Submission};
use bagua_testkit::probe::{Effect, Outside, Probe};
use bagua_testkit::{TestDatabase, operation_view, people};
use std::sync::Arc;

/// A database, a standing clock, and a console with probes.
pub(crate) struct Bench {
    pub(crate) console: Arc<Console>,
    pub(crate) outside: Outside,
    pub(crate) clock: Clock,
    // Last, so that the database goes when nobody uses it any more.
    pub(crate) db: TestDatabase,
}

impl Bench {
    pub(crate) async fn new() -> anyhow::Result<Bench> {
        let db = bagua_testkit::database().await?;
        let outside = Outside::create(&db.owner).await?;
        let clock = bagua_testkit::clock();
        let console = second_console("one", &db, &clock, &outside);
        Ok(Bench {
            console,
            outside,
            clock,
            db,
        })
    }

    /// Submits as Wei, an operator.
    pub(crate) async fn submit(&self, probe: Probe) -> anyhow::Result<OperationId> {
        Ok(self
            .console
            .submit(&people::operator("Wei"), probe, Submission::default())
            .await?
            .operation)
    }

    /// Works until there is nothing to do.
    pub(crate) async fn work(&self) -> anyhow::Result<()> {
        let worker = bagua_core::Worker::new(&self.console);
        while worker.run_once().await?.is_some() {}
        Ok(())
    }

    pub(crate) async fn run(&self, probe: Probe) -> anyhow::Result<OperationView> {
        let operation = self.submit(probe).await?;
        self.work().await?;
        self.view(operation).await
    }

    pub(crate) async fn view(&self, operation: OperationId) -> anyhow::Result<OperationView> {
        operation_view(&self.console, operation).await
    }

    pub(crate) async fn state(&self, operation: OperationId) -> anyhow::Result<OperationState> {
        Ok(self.view(operation).await?.summary.state)
    }

    /// `action:result` of an operation's audit records, oldest first.
    pub(crate) async fn audit(&self, operation: OperationId) -> anyhow::Result<Vec<String>> {
        let query = ListAudit {
            operation: Some(operation),
            limit: 200,
            ..ListAudit::default()
        };
        let page = self.console.ask(&people::system(), query).await?;
        Ok(page
            .rows
            .iter()
            .rev()
            .map(|row| format!("{}:{}", row.action, row.result))
            .collect())
    }

    /// What the outside saw, as `step:direction`.
    pub(crate) async fn effects(&self, operation: OperationId) -> anyhow::Result<Vec<String>> {
        let effects = self.outside.effects(operation).await?;
        Ok(effects
            .into_iter()
            .map(|Effect { step, direction }| format!("{step}:{direction}"))
            .collect())
    }
}

pub(crate) fn second_console(
    name: &str,
    db: &TestDatabase,
    clock: &Clock,
    outside: &Outside,
) -> Arc<Console> {
    let mut parts = bagua_testkit::parts(name, db, clock);
    outside.register(&mut parts);
    Console::new(parts)
}
