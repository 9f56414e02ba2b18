//! What the tests of the room share.
#![expect(dead_code, reason = "each test binary uses its own part")]

pub mod db;
pub mod engines;
pub mod wire;

use anyhow::Context;
use bagua_alerts::{Alerts, AlertsConfig, Timing};
use bagua_core::run::Probe;
use bagua_core::{Actor, Clock, Console, ConsoleParts};
use bagua_model::access::{Grant, Role};
use bagua_model::alerts::{AlertFeed, AlertState, AlertView, ListAlerts};
use bagua_model::region::{Environment, RegionId, Scope};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Waits until a state is reached; the engines decide how long that takes, half a minute is the most.
pub async fn until<F, T>(what: &str, mut reached: F) -> anyhow::Result<()>
where
    F: FnMut() -> T,
    T: Future<Output = anyhow::Result<bool>>,
{
    let began = Instant::now();
    while !reached()
        .await
        .with_context(|| format!("while waiting until {what}"))?
    {
        anyhow::ensure!(
            began.elapsed() < Duration::from_secs(30),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(())
}

/// A console with the room, running until it is dropped.
pub struct Bench {
    pub room: Arc<Alerts>,
    pub console: Arc<Console>,
    _stop: DropGuard,
}

pub fn quick() -> Timing {
    Timing {
        reconcile_every: Duration::from_millis(200),
        compare_every: Duration::from_millis(500),
        settling: Duration::from_millis(1500),
        stranger_grace: Duration::ZERO,
    }
}

impl Bench {
    pub fn start(db: PgPool, alertmanager: &str, prometheus: &str, timing: Timing) -> anyhow::Result<Bench> {
        Bench::start_probed(db, alertmanager, prometheus, timing, None)
    }

    /// With workers that a probe may kill.
    pub fn start_probed(
        db: PgPool,
        alertmanager: &str,
        prometheus: &str,
        timing: Timing,
        probe: Option<Probe>,
    ) -> anyhow::Result<Bench> {
        let mut parts = ConsoleParts::new(
            format!("test-{}", Uuid::now_v7()),
            db,
            Environment::Dev,
            Clock::system(),
        );
        // So that what a killed worker held is soon taken over.
        parts.workers.lease = Duration::from_millis(600);
        parts.workers.probe = probe;
        let config = AlertsConfig {
            alertmanager_url: alertmanager.into(),
            prometheus_url: prometheus.into(),
            webhook_token: engines::TOKEN.into(),
        };
        let room = Alerts::with_timing(&config, &parts, timing)?;
        bagua_alerts::register(&mut parts.registry, Arc::clone(&room));
        let console = Console::new(parts);
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&room).run(stop.clone()));
        tokio::spawn(Arc::clone(&console).run(stop.clone()));
        Ok(Bench {
            room,
            console,
            _stop: stop.drop_guard(),
        })
    }

    pub async fn list(&self, query: ListAlerts) -> anyhow::Result<AlertFeed> {
        Ok(self.console.ask(&Actor::system("test"), query).await?)
    }

    /// What fires, once the feed is filled.
    pub async fn firing(&self) -> anyhow::Result<Vec<AlertView>> {
        match self.list(ListAlerts::default()).await {
            Ok(feed) => Ok(feed.page.rows),
            Err(_) if !self.room.snapshot().filled => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub async fn ended(&self) -> anyhow::Result<Vec<AlertView>> {
        let query = ListAlerts {
            state: Some(AlertState::Resolved),
            ..ListAlerts::default()
        };
        Ok(self.list(query).await?.page.rows)
    }

    pub async fn until_filled(&self) -> anyhow::Result<()> {
        until("the feed is filled", || async { Ok(self.room.snapshot().filled) }).await
    }

    /// Until everything that one or two readings could conclude has been concluded.
    pub async fn until_read_thrice(&self) -> anyhow::Result<()> {
        let before = self.room.readings();
        until("the list has been read three times", || async {
            Ok(self.room.readings() >= before + 3)
        })
        .await
    }

    pub async fn until_firing(&self, names: &[&str]) -> anyhow::Result<()> {
        let wanted = sorted(names.iter().map(|n| (*n).to_owned()));
        until(&format!("{names:?} fire"), || async {
            Ok(self.room.snapshot().filled
                && sorted(self.firing().await?.into_iter().map(|v| v.name)) == wanted)
        })
        .await
    }
}

/// Now; Alertmanager and Prometheus have the same clock.
pub fn now() -> OffsetDateTime {
    Clock::system().now()
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Kinds of the event log's lines about alerts, in order.
pub async fn story(db: &PgPool) -> anyhow::Result<Vec<String>> {
    let kinds =
        sqlx::query_scalar("SELECT kind FROM events WHERE topic = 'alerts' AND NOT quiet ORDER BY id");
    Ok(kinds.fetch_all(db).await?)
}

pub async fn rows(db: &PgPool) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM alerts")
        .fetch_one(db)
        .await?)
}

pub fn person(name: &str, role: Role, region: Option<&str>) -> Actor {
    let scope = Scope {
        environment: None,
        region: region.map(RegionId::new),
    };
    Actor::Person {
        id: Uuid::now_v7(),
        name: name.into(),
        email: format!("{name}@example.org"),
        grants: vec![Grant { role, scope }],
        through: None,
    }
}

/// An alert as Alertmanager's API takes it.
pub fn alert(
    name: &str,
    region: &str,
    start: OffsetDateTime,
    end: Option<OffsetDateTime>,
) -> anyhow::Result<Value> {
    let mut alert = json!({
        "labels": { "alertname": name, "severity": "critical", "region": region, "component": "gateway" },
        "annotations": { "summary": format!("{name} in {region}") },
        "startsAt": start.format(&Rfc3339)?,
    });
    if let Some(end) = end {
        alert["endsAt"] = json!(end.format(&Rfc3339)?);
    }
    Ok(alert)
}

/// Tells Alertmanager of alerts, as Prometheus would.
pub async fn push(alertmanager: &str, alerts: &[Value]) -> anyhow::Result<()> {
    let http = engines::http()?;
    http.post(format!("{alertmanager}/api/v2/alerts"))
        .json(alerts)
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}

/// A notification as Alertmanager posts it, of one alert.
pub fn notification(
    name: &str,
    region: &str,
    start: OffsetDateTime,
    end: Option<OffsetDateTime>,
) -> anyhow::Result<Vec<u8>> {
    let mut alert = alert(name, region, start, end)?;
    alert["status"] = json!(if end.is_some() { "resolved" } else { "firing" });
    alert["fingerprint"] = json!(format!("{name}-{region}"));
    if end.is_none() {
        alert["endsAt"] = json!("0001-01-01T00:00:00Z");
    }
    let all = json!({ "version": "4", "receiver": "console", "alerts": [alert], "truncatedAlerts": 0 });
    Ok(serde_json::to_vec(&all)?)
}

pub fn bearer() -> String {
    format!("Bearer {}", engines::TOKEN)
}
