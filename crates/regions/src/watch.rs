//! The loop that keeps the snapshot.

use crate::Room;
use crate::prometheus::{Sample, WORLD};
use crate::recorder;
use crate::snapshot::{Reading, Watcher, figures_differ, states_differ};
use bagua_core::Actor;
use bagua_model::alerts::{AlertCount, CountAlerts};
use bagua_model::notices::Source;
use bagua_model::regions::WorldView;
use bagua_model::supervisor::ComponentStatus;
use futures::StreamExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the engines are read.
const EVERY: Duration = Duration::from_secs(1);
/// News are followed by a reading after this time, so that a burst of them costs a few readings and not one each.
const AFTER_NEWS: Duration = Duration::from_millis(150);
/// Figures alone wake the screens at most this often; a change of state wakes them at once.
const FIGURES_EVERY: Duration = Duration::from_secs(3);
/// How long a source may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take once it has failed to answer.
const PATIENCE_WHEN_AWAY: Duration = Duration::from_secs(1);
/// How long the first reading waits for the recorded states.
const FIRST_STATES_WITHIN: Duration = Duration::from_secs(2);

impl Room {
    /// Keeps the snapshot until `stop`. The database being away stops only the recording.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (states, seen) = watch::channel(Vec::new());
        let (recorded, mut adopt) = mpsc::channel(1);
        let environment = self.config.environment;
        let recorder = tokio::spawn(recorder::run(
            self.db.clone(),
            environment,
            seen,
            recorded,
            stop.clone(),
        ));

        let comparing = tokio::spawn(Arc::clone(&self).keep_paths(stop.clone()));

        let mut watcher = Watcher::new(Arc::clone(&self.config));
        if let Ok(Some(rows)) = tokio::time::timeout(FIRST_STATES_WITHIN, adopt.recv()).await {
            watcher.adopt(&rows);
        }
        let mut published: Option<(Arc<WorldView>, Instant)> = None;
        let heard = self.live.subscribe(None).await;
        let mut news = heard.filter(|event| {
            let mine = ["alerts", "operations"].contains(&event.message.topic.as_str());
            std::future::ready(mine)
        });
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
                // An alert, or an operation's step: the map should not be the last to know.
                Some(_) = news.next() => tokio::time::sleep(AFTER_NEWS).await,
            }
            while let Ok(rows) = adopt.try_recv() {
                watcher.adopt(&rows);
            }
            let begun = Instant::now();
            let reading = tokio::select! {
                () = stop.cancelled() => break,
                reading = self.read() => reading,
            };
            let world = Arc::new(watcher.observe(reading));
            metrics::histogram!("bagua_regions_snapshot_seconds").record(begun.elapsed());
            metrics::gauge!("bagua_regions_snapshot_at_seconds").set(world.at.unix_timestamp() as f64);
            self.world.store(Arc::clone(&world));
            states.send_replace(watcher.states(&world));

            let wake = published.as_ref().is_none_or(|(before, at)| {
                states_differ(before, &world)
                    || (at.elapsed() >= FIGURES_EVERY && figures_differ(before, &world))
            });
            if wake {
                self.live.publish_volatile("regions", None);
                published = Some((world, Instant::now()));
            }
        }
        recorder.abort();
        comparing.abort();
    }

    /// Reads every engine at the same time.
    async fn read(&self) -> Reading {
        let (prometheus, supervisor, alerts) =
            tokio::join!(self.read_prometheus(), self.read_supervisor(), self.read_alerts());
        Reading {
            now: self.clock.now(),
            prometheus,
            supervisor,
            alerts,
        }
    }

    async fn read_prometheus(&self) -> Option<Vec<Sample>> {
        let answer = self
            .patiently(Source::Prometheus, self.prometheus.query(&WORLD))
            .await;
        self.answered(Source::Prometheus, answer)
    }

    async fn read_supervisor(&self) -> Option<Vec<ComponentStatus>> {
        let supervisor = self.supervisor.as_ref()?;
        let answer = self.patiently(Source::Supervisor, supervisor.components()).await;
        self.answered(Source::Supervisor, answer)
    }

    /// Waits as long as the client does; less for a source that is away, which must not hold up what the others say.
    async fn patiently<T, E: std::error::Error>(
        &self,
        source: Source,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        let patience = if self.sources.is_away(source) {
            PATIENCE_WHEN_AWAY
        } else {
            PATIENCE
        };
        match tokio::time::timeout(patience, question).await {
            Ok(answer) => answer.map_err(|error| chain(&error)),
            Err(_) => Err("no answer in time".into()),
        }
    }

    /// Says on the board how it went.
    fn answered<T>(&self, source: Source, answer: Result<T, String>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.sources.ok(source);
                Some(answer)
            }
            Err(why) => {
                self.sources.failed(source, why);
                None
            }
        }
    }

    /// What the alerts room counts. Without one, or while it starts, nothing is known of alerts.
    async fn read_alerts(&self) -> Option<Vec<AlertCount>> {
        let console = self.console.get().ok()?;
        match console.ask(&Actor::system("regions"), CountAlerts {}).await {
            Ok(counts) => Some(counts),
            Err(failure) => {
                tracing::debug!(%failure, "alerts are not counted");
                None
            }
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
