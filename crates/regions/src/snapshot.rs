//! One look at the world, and what has to be remembered from one look to the next.

use crate::config::{ComponentConfig, RegionsConfig};
use crate::health::{self, Observation, SeenProcess, SeenScrape};
use crate::prometheus::{FIGURES, Sample, figure_key};
use bagua_model::alerts::AlertCount;
use bagua_model::region::{KNOWN_REGIONS, RegionId};
use bagua_model::regions::{ComponentId, ComponentView, Figures, Health, ProcessView, RegionView, WorldView};
use bagua_model::supervisor::{ComponentStatus, LastExit};
use bagua_model::text::{Text, keys};
use std::collections::HashMap;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// The service whose figures stand for its region: the front door.
pub(crate) const FRONT_DOOR: &str = "gateway";
/// How long the supervisor's last answer counts when it does not answer.
const SUPERVISOR_MEMORY: Duration = Duration::seconds(15);

/// What the engines answered this time; `None` where one did not answer.
pub(crate) struct Reading {
    pub(crate) now: OffsetDateTime,
    pub(crate) prometheus: Option<Vec<Sample>>,
    pub(crate) supervisor: Option<Vec<ComponentStatus>>,
    pub(crate) alerts: Option<Vec<AlertCount>>,
}

/// A state that a component has entered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateChange {
    pub(crate) component: ComponentId,
    pub(crate) health: Health,
    pub(crate) why: Option<Text>,
    pub(crate) since: OffsetDateTime,
}

/// What is remembered of one component.
#[derive(Clone, Debug, Default)]
struct Memory {
    scrape: Option<SeenScrape>,
    /// The process that the failed scrapes belong to.
    generation: Option<u64>,
    figures: Figures,
    process: Option<(ComponentStatus, OffsetDateTime)>,
    state: Option<(Health, OffsetDateTime)>,
}

/// How long the first answers may take before what is missing counts as seen to be missing.
const SETTLES_WITHIN: Duration = health::AWAY_AFTER;

/// Which engines have answered since this process began. Until all have, or enough time has passed, nothing that is
/// seen counts as a change: a console that has just started would report that everything became unknown.
#[derive(Default)]
struct Settling {
    began: Option<OffsetDateTime>,
    prometheus: bool,
    supervisor: bool,
    alerts: bool,
}

/// Turns readings into views. One for each console process.
pub(crate) struct Watcher {
    config: Arc<RegionsConfig>,
    memory: HashMap<ComponentId, Memory>,
    settling: Settling,
    settled: bool,
    prometheus_away_since: Option<OffsetDateTime>,
    /// Alerts of the last reading that had any; alerts end when somebody says so, not when nobody answers.
    alerts: Vec<AlertCount>,
}

impl Watcher {
    pub(crate) fn new(config: Arc<RegionsConfig>) -> Watcher {
        Watcher {
            config,
            memory: HashMap::new(),
            settling: Settling::default(),
            settled: false,
            prometheus_away_since: None,
            alerts: Vec::new(),
        }
    }

    /// Takes over since when a component is in its state, where `recorded` agrees about the state: another console,
    /// or this one before a restart, saw it first.
    pub(crate) fn adopt(&mut self, recorded: &[StateChange]) {
        for row in recorded {
            let memory = self.memory.entry(row.component.clone()).or_default();
            match memory.state {
                Some((health, _)) if health != row.health => {}
                _ => memory.state = Some((row.health, row.since)),
            }
        }
    }

    /// The present state of every component, for the record; empty until the first readings have settled.
    pub(crate) fn states(&self, world: &WorldView) -> Vec<StateChange> {
        components(world)
            .filter(|_| self.settled)
            .filter_map(|c| {
                Some(StateChange {
                    component: c.id.clone(),
                    health: c.health,
                    why: c.why.clone(),
                    since: c.since?,
                })
            })
            .collect()
    }

    /// Looks at one reading.
    pub(crate) fn observe(&mut self, reading: Reading) -> WorldView {
        let now = reading.now;
        self.settle(&reading);
        match reading.prometheus {
            Some(samples) => {
                self.prometheus_away_since = None;
                self.take_samples(&samples);
            }
            None => {
                self.prometheus_away_since.get_or_insert(now);
            }
        }
        if let Some(statuses) = reading.supervisor {
            self.take_statuses(statuses, now);
        }
        if let Some(alerts) = reading.alerts {
            self.alerts = alerts;
        }

        let config = Arc::clone(&self.config);
        let mut views: HashMap<&RegionId, Vec<ComponentView>> = HashMap::new();
        for component in &config.components {
            let view = self.component(component, now);
            views.entry(&component.id.region).or_default().push(view);
        }
        let global = RegionId::new(RegionId::GLOBAL);
        WorldView {
            environment: config.environment,
            at: now,
            regions: config
                .regions
                .iter()
                .map(|region| self.region(region, views.remove(region).unwrap_or_default()))
                .collect(),
            global: views
                .remove(&global)
                .map(|components| self.region(&global, components)),
        }
    }

    fn settle(&mut self, reading: &Reading) {
        let began = *self.settling.began.get_or_insert(reading.now);
        self.settling.prometheus |= reading.prometheus.is_some();
        self.settling.supervisor |= reading.supervisor.is_some() || self.config.supervisor_socket.is_none();
        self.settling.alerts |= reading.alerts.is_some();
        let answered = self.settling.prometheus && self.settling.supervisor && self.settling.alerts;
        self.settled |= answered || reading.now - began > SETTLES_WITHIN;
    }

    fn take_samples(&mut self, samples: &[Sample]) {
        let mut seen: HashMap<ComponentId, (Option<bool>, Option<f64>, Figures)> = HashMap::new();
        for sample in samples {
            let (Some(region), Some(service), Some(key)) = (
                sample.labels.get("region"),
                sample.labels.get("component"),
                figure_key(&sample.labels),
            ) else {
                continue;
            };
            let entry = seen.entry(ComponentId::new(region, service)).or_default();
            match key {
                // Where a component has several instances, the worst one speaks for it.
                "up" => entry.0 = Some(entry.0.unwrap_or(true) && sample.value == 1.0),
                "sampled_at" => entry.1 = Some(entry.1.map_or(sample.value, |at| at.min(sample.value))),
                _ => {
                    if let Some(source) = FIGURES.iter().find(|f| f.name == key)
                        && sample.value.is_finite()
                    {
                        let slot = (source.slot)(&mut entry.2);
                        *slot = Some(slot.map_or(sample.value, |other| other.max(sample.value)));
                    }
                }
            }
        }
        for component in &self.config.components {
            let memory = self.memory.entry(component.id.clone()).or_default();
            let Some((up, at, figures)) = seen.remove(&component.id) else {
                // Prometheus answered and knows nothing: the figures are gone, the last scrape only gets older.
                memory.figures = Figures::default();
                continue;
            };
            memory.figures = figures;
            let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos((at * 1e9) as i128).ok());
            let (Some(up), Some(at)) = (up, at) else { continue };
            let before = memory.scrape.filter(|s| s.at < at);
            if memory.scrape.is_some() && before.is_none() {
                continue;
            }
            let failed = match before {
                _ if up => 0,
                Some(before) => before.failed + 1,
                // The first look of this process at something that was down before: it still is.
                None if memory.state.is_some_and(|(health, _)| health == Health::Critical) => {
                    health::FAILED_SCRAPES
                }
                None => 1,
            };
            memory.scrape = Some(SeenScrape { at, up, failed });
        }
    }

    fn take_statuses(&mut self, statuses: Vec<ComponentStatus>, now: OffsetDateTime) {
        let mut by_id: HashMap<String, ComponentStatus> =
            statuses.into_iter().map(|s| (s.component.clone(), s)).collect();
        for component in &self.config.components {
            let memory = self.memory.entry(component.id.clone()).or_default();
            memory.process = by_id
                .remove(&component.id.to_string())
                .map(|status| (status, now));
            let generation = memory.process.as_ref().map(|(s, _)| s.generation);
            if generation != memory.generation {
                // What the process before it failed to answer says nothing about this one.
                if let (Some(scrape), true) = (&mut memory.scrape, memory.generation.is_some()) {
                    scrape.failed = 0;
                }
                memory.generation = generation;
            }
        }
    }

    fn component(&mut self, component: &ComponentConfig, now: OffsetDateTime) -> ComponentView {
        let began = self.settling.began.unwrap_or(now);
        let memory = self.memory.entry(component.id.clone()).or_default();
        memory.process.take_if(|(_, at)| now - *at > SUPERVISOR_MEMORY);
        let (critical_alerts, warning_alerts) = alerts_of(&self.alerts, &component.id.region, |service| {
            service == Some(component.id.service.as_str())
        });
        let process = memory.process.as_ref().map(|(status, _)| status);
        let (health, why) = health::judge(&Observation {
            now,
            process: process.map(|s| SeenProcess {
                state: s.state,
                desired: s.desired,
                alive: s.pid.is_some(),
                since: s.since,
            }),
            scrape: memory.scrape,
            prometheus_away_since: self.prometheus_away_since,
            critical_alerts,
            warning_alerts,
        });
        let since = match memory.state {
            Some((before, since)) if before == health => Some(since),
            // Prometheus may have begun with us: not scraped yet is not the same as gone.
            _ if health == Health::Unknown
                && memory.scrape.is_none()
                && now - began <= health::STALE_AFTER =>
            {
                None
            }
            _ => self.settled.then_some(now),
        };
        if let Some(since) = since {
            memory.state = Some((health, since));
        }
        let sampled_at = memory.scrape.map(|s| s.at);
        let fresh = sampled_at.is_some_and(|at| now - at <= health::STALE_AFTER);
        ComponentView {
            id: component.id.clone(),
            health,
            why,
            since,
            figures: if fresh {
                memory.figures.clone()
            } else {
                Figures::default()
            },
            sampled_at,
            process: process.map(process_view),
            critical_alerts,
            warning_alerts,
            critical: component.critical,
        }
    }

    fn region(&self, region: &RegionId, mut components: Vec<ComponentView>) -> RegionView {
        let known = KNOWN_REGIONS.iter().find(|k| k.code == region.as_str());
        let figures = components
            .iter()
            .find(|c| c.id.service == FRONT_DOOR)
            .map(|c| c.figures.clone())
            .unwrap_or_default();
        // Alerts that name the region but none of its components.
        let (critical, warning) = alerts_of(&self.alerts, region, |service| {
            !components.iter().any(|c| Some(c.id.service.as_str()) == service)
        });
        let of_its_own = match (critical, warning) {
            (0, 0) => Health::Healthy,
            (0, _) => Health::Warning,
            _ => Health::Critical,
        };
        let of_components = components
            .iter()
            .map(|c| health::weight_in_region(c.health))
            .max()
            .unwrap_or(Health::Unknown);
        let health = of_components.worst(of_its_own);
        let here = |c: &&ComponentView| health::weight_in_region(c.health) == health;
        let times = components.iter().filter(here).filter_map(|c| c.since);
        // Since the first of them is bad; good only since the last of them has become good.
        let since = if health == Health::Healthy {
            times.max()
        } else {
            times.min()
        };
        components.sort_by(|a, b| {
            health::weight_in_region(b.health)
                .cmp(&health::weight_in_region(a.health))
                .then_with(|| a.id.service.cmp(&b.id.service))
        });
        let (name_key, group_key) = match known {
            Some(known) => (known.name_key.to_owned(), known.group_key.to_owned()),
            None if region.as_str() == RegionId::GLOBAL => (
                keys::REGION_GLOBAL.to_owned(),
                keys::REGION_GROUP_GLOBAL.to_owned(),
            ),
            None => (region.to_string(), keys::REGION_GROUP_OTHER.to_owned()),
        };
        RegionView {
            region: region.clone(),
            name_key,
            group_key,
            latitude: known.map(|k| k.latitude),
            longitude: known.map(|k| k.longitude),
            health,
            since,
            figures,
            components,
        }
    }
}

/// Every component of a world.
pub(crate) fn components(world: &WorldView) -> impl Iterator<Item = &ComponentView> {
    world
        .regions
        .iter()
        .chain(&world.global)
        .flat_map(|region| &region.components)
}

fn alerts_of(alerts: &[AlertCount], region: &RegionId, matches: impl Fn(Option<&str>) -> bool) -> (u32, u32) {
    alerts
        .iter()
        .filter(|a| a.region.as_ref() == Some(region) && matches(a.service.as_deref()))
        .fold((0, 0), |(critical, warning), a| {
            (critical + a.critical, warning + a.warning)
        })
}

fn process_view(status: &ComponentStatus) -> ProcessView {
    ProcessView {
        state: status.state.as_str().to_owned(),
        pid: status.pid.and_then(|pid| i32::try_from(pid).ok()),
        since: Some(status.since),
        restarts: status.restarts,
        last_exit: status.last_exit.as_ref().map(exit_words),
    }
}

pub(crate) fn exit_words(exit: &LastExit) -> String {
    match (exit.code, exit.signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), None) => format!("exit code {code}"),
        (None, None) => "unknown".into(),
    }
}

/// Whether the two worlds differ in anything but figures and times of samples.
pub(crate) fn states_differ(a: &WorldView, b: &WorldView) -> bool {
    let key = |c: &ComponentView| {
        (
            c.id.clone(),
            c.health,
            c.why.clone(),
            c.process.clone(),
            c.critical_alerts,
            c.warning_alerts,
        )
    };
    a.regions.iter().chain(&a.global).map(|r| r.health).ne(b
        .regions
        .iter()
        .chain(&b.global)
        .map(|r| r.health))
        || components(a).map(key).ne(components(b).map(key))
}

/// Whether the two worlds differ in any figure.
pub(crate) fn figures_differ(a: &WorldView, b: &WorldView) -> bool {
    components(a)
        .map(|c| &c.figures)
        .ne(components(b).map(|c| &c.figures))
}
