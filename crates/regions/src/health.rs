//! The rule that turns what was seen into a state. Pure: the same observation always gives the same answer.

use bagua_model::regions::Health;
use bagua_model::supervisor::{Desired, ProcessState};
use bagua_model::text::{Text, keys};
use time::{Duration, OffsetDateTime};

/// A sample older than this says nothing about now.
pub const STALE_AFTER: Duration = Duration::seconds(30);
/// How long Prometheus may be away before what it said last stops counting.
pub const AWAY_AFTER: Duration = Duration::seconds(15);
/// How long a process may be absent between its end and its next start before it counts as gone.
pub const ABSENT_FOR: Duration = Duration::seconds(10);
/// How many scrapes in a row have to fail before a component counts as down: one may be lost by chance.
pub const FAILED_SCRAPES: u32 = 2;

/// The process as the supervisor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenProcess {
    /// What it does.
    pub state: ProcessState,
    /// What it should do.
    pub desired: Desired,
    /// Whether there is a process.
    pub alive: bool,
    /// Since when it does what it does.
    pub since: OffsetDateTime,
}

/// The newest scrape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeenScrape {
    /// When.
    pub at: OffsetDateTime,
    /// Whether it succeeded.
    pub up: bool,
    /// How many scrapes of this very process have failed in a row, this one included.
    pub failed: u32,
}

/// Everything that was seen of one component.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Now.
    pub now: OffsetDateTime,
    /// The process, when a supervisor looks after it and answers.
    pub process: Option<SeenProcess>,
    /// The newest scrape, however old.
    pub scrape: Option<SeenScrape>,
    /// Since when Prometheus has not answered.
    pub prometheus_away_since: Option<OffsetDateTime>,
    /// Firing critical alerts.
    pub critical_alerts: u32,
    /// Firing warning alerts.
    pub warning_alerts: u32,
}

/// The state, and why when it is not healthy.
pub fn judge(seen: &Observation) -> (Health, Option<Text>) {
    let because = |health, key| (health, Some(Text::new(key)));
    let starting = seen.process.is_some_and(|p| p.state == ProcessState::Starting);

    if let Some(process) = seen.process {
        match (process.state, process.desired) {
            (ProcessState::Stopped, Desired::Stopped) => {
                return because(Health::Stopped, keys::HEALTH_WHY_STOPPED);
            }
            (ProcessState::CrashLooping, _) => {
                return because(Health::Critical, keys::HEALTH_WHY_CRASH_LOOPING);
            }
            // Not there yet, or just between two processes; the supervisor says "backing off" after a crash.
            (ProcessState::Stopped, Desired::Running) if seen.now - process.since <= ABSENT_FOR => {
                return because(Health::Warning, keys::HEALTH_WHY_STARTING);
            }
            (ProcessState::Stopped, Desired::Running) => {
                return because(Health::Critical, keys::HEALTH_WHY_GONE);
            }
            (ProcessState::Running, _) if !process.alive => {
                return because(Health::Critical, keys::HEALTH_WHY_GONE);
            }
            _ => {}
        }
    }
    // What Prometheus saw counts only while it is young; a process that has not answered yet is not down but starting.
    let down = seen
        .scrape
        .filter(|s| !s.up && !starting && seen.now - s.at <= STALE_AFTER);
    if down.is_some_and(|s| s.failed >= FAILED_SCRAPES) {
        return because(Health::Critical, keys::HEALTH_WHY_DOWN);
    }
    if seen.critical_alerts > 0 {
        return (
            Health::Critical,
            Some(Text::new(keys::HEALTH_WHY_CRITICAL_ALERTS).with("count", seen.critical_alerts)),
        );
    }
    if let Some(process) = seen.process {
        match process.state {
            ProcessState::BackingOff => return because(Health::Warning, keys::HEALTH_WHY_BACKING_OFF),
            ProcessState::Starting => return because(Health::Warning, keys::HEALTH_WHY_STARTING),
            ProcessState::Stopping => return because(Health::Warning, keys::HEALTH_WHY_STOPPING),
            ProcessState::Running | ProcessState::Stopped | ProcessState::CrashLooping => {}
        }
    }
    if down.is_some() {
        return because(Health::Warning, keys::HEALTH_WHY_SCRAPE_FAILED);
    }
    if seen.warning_alerts > 0 {
        return (
            Health::Warning,
            Some(Text::new(keys::HEALTH_WHY_WARNING_ALERTS).with("count", seen.warning_alerts)),
        );
    }
    match (seen.scrape, seen.prometheus_away_since) {
        (None, _) => because(Health::Unknown, keys::HEALTH_WHY_NEVER_SEEN),
        (Some(_), Some(since)) if seen.now - since > AWAY_AFTER => (
            Health::Unknown,
            Some(Text::new(keys::HEALTH_WHY_PROMETHEUS_AWAY).with("since", moment(since))),
        ),
        (Some(scrape), _) if seen.now - scrape.at > STALE_AFTER => (
            Health::Unknown,
            Some(Text::new(keys::HEALTH_WHY_NO_DATA).with("since", moment(scrape.at))),
        ),
        _ => (Health::Healthy, None),
    }
}

/// What a region shows for a component: a component that was stopped on purpose leaves its region incomplete.
pub fn weight_in_region(health: Health) -> Health {
    match health {
        Health::Stopped => Health::Warning,
        other => other,
    }
}

/// A moment inside a sentence, to the second, in UTC.
pub(crate) fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!("{:02}:{:02}:{:02} UTC", at.hour(), at.minute(), at.second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00:00 UTC);

    fn scrape(up: bool, failed: u32, seconds_ago: i64) -> Option<SeenScrape> {
        Some(SeenScrape {
            at: NOW - Duration::seconds(seconds_ago),
            up,
            failed,
        })
    }

    fn process(state: ProcessState) -> Option<SeenProcess> {
        let desired = if state == ProcessState::Stopped {
            Desired::Stopped
        } else {
            Desired::Running
        };
        let alive = matches!(
            state,
            ProcessState::Running | ProcessState::Starting | ProcessState::Stopping
        );
        Some(SeenProcess {
            state,
            desired,
            alive,
            since: NOW - Duration::minutes(5),
        })
    }

    #[test]
    fn the_table() {
        use Health as H;
        use ProcessState as P;
        let calm = Observation {
            now: NOW,
            process: process(P::Running),
            scrape: scrape(true, 0, 1),
            prometheus_away_since: None,
            critical_alerts: 0,
            warning_alerts: 0,
        };
        let away = |seconds: i64| Some(NOW - Duration::seconds(seconds));
        let absent = |state, seconds| {
            Some(SeenProcess {
                state,
                desired: Desired::Running,
                alive: false,
                since: NOW - Duration::seconds(seconds),
            })
        };
        let (gone, lost, between) = (
            absent(P::Running, 60),
            absent(P::Stopped, 11),
            absent(P::Stopped, 1),
        );
        let rows: Vec<(&str, Observation, Health)> = vec![
            ("running and scraped", calm, H::Healthy),
            (
                "scraped, nobody looks after the process",
                Observation {
                    process: None,
                    ..calm
                },
                H::Healthy,
            ),
            (
                "stopped on purpose, whatever Prometheus says",
                Observation {
                    process: process(P::Stopped),
                    scrape: scrape(false, 9, 1),
                    critical_alerts: 1,
                    ..calm
                },
                H::Stopped,
            ),
            (
                "stopped on purpose while Prometheus is away",
                Observation {
                    process: process(P::Stopped),
                    prometheus_away_since: away(60),
                    ..calm
                },
                H::Stopped,
            ),
            (
                "stopped, though it should run",
                Observation {
                    process: lost,
                    ..calm
                },
                H::Critical,
            ),
            (
                "between two processes",
                Observation {
                    process: between,
                    ..calm
                },
                H::Warning,
            ),
            (
                "crash looping",
                Observation {
                    process: process(P::CrashLooping),
                    ..calm
                },
                H::Critical,
            ),
            (
                "running without a process",
                Observation {
                    process: gone,
                    ..calm
                },
                H::Critical,
            ),
            (
                "one lost scrape",
                Observation {
                    scrape: scrape(false, 1, 1),
                    ..calm
                },
                H::Warning,
            ),
            (
                "two lost scrapes",
                Observation {
                    scrape: scrape(false, 2, 1),
                    ..calm
                },
                H::Critical,
            ),
            (
                "two lost scrapes, no supervisor",
                Observation {
                    process: None,
                    scrape: scrape(false, 2, 1),
                    ..calm
                },
                H::Critical,
            ),
            (
                "two lost scrapes long ago",
                Observation {
                    scrape: scrape(false, 2, 31),
                    ..calm
                },
                H::Unknown,
            ),
            (
                "one lost scrape and an alert",
                Observation {
                    scrape: scrape(false, 1, 1),
                    critical_alerts: 1,
                    ..calm
                },
                H::Critical,
            ),
            (
                "critical alert",
                Observation {
                    critical_alerts: 2,
                    ..calm
                },
                H::Critical,
            ),
            (
                "critical alert while Prometheus is away",
                Observation {
                    critical_alerts: 1,
                    prometheus_away_since: away(60),
                    ..calm
                },
                H::Critical,
            ),
            (
                "warning alert",
                Observation {
                    warning_alerts: 1,
                    ..calm
                },
                H::Warning,
            ),
            (
                "both kinds of alert",
                Observation {
                    warning_alerts: 1,
                    critical_alerts: 1,
                    ..calm
                },
                H::Critical,
            ),
            (
                "backing off",
                Observation {
                    process: process(P::BackingOff),
                    ..calm
                },
                H::Warning,
            ),
            (
                "backing off, seen down twice",
                Observation {
                    process: process(P::BackingOff),
                    scrape: scrape(false, 2, 1),
                    ..calm
                },
                H::Critical,
            ),
            (
                "starting, not answering yet",
                Observation {
                    process: process(P::Starting),
                    scrape: scrape(false, 5, 1),
                    ..calm
                },
                H::Warning,
            ),
            (
                "starting, without any sample",
                Observation {
                    process: process(P::Starting),
                    scrape: None,
                    ..calm
                },
                H::Warning,
            ),
            (
                "starting with a critical alert",
                Observation {
                    process: process(P::Starting),
                    critical_alerts: 1,
                    ..calm
                },
                H::Critical,
            ),
            (
                "stopping",
                Observation {
                    process: process(P::Stopping),
                    ..calm
                },
                H::Warning,
            ),
            (
                "running, never scraped",
                Observation { scrape: None, ..calm },
                H::Unknown,
            ),
            (
                "nothing known at all",
                Observation {
                    process: None,
                    scrape: None,
                    ..calm
                },
                H::Unknown,
            ),
            (
                "a sample of 30 s",
                Observation {
                    scrape: scrape(true, 0, 30),
                    ..calm
                },
                H::Healthy,
            ),
            (
                "a sample of 31 s",
                Observation {
                    scrape: scrape(true, 0, 31),
                    ..calm
                },
                H::Unknown,
            ),
            (
                "Prometheus away for 15 s",
                Observation {
                    scrape: scrape(true, 0, 15),
                    prometheus_away_since: away(15),
                    ..calm
                },
                H::Healthy,
            ),
            (
                "Prometheus away for 16 s",
                Observation {
                    scrape: scrape(true, 0, 16),
                    prometheus_away_since: away(16),
                    ..calm
                },
                H::Unknown,
            ),
            (
                "crash looping while Prometheus is away",
                Observation {
                    process: process(P::CrashLooping),
                    prometheus_away_since: away(60),
                    ..calm
                },
                H::Critical,
            ),
        ];
        for (name, seen, expected) in rows {
            let (health, why) = judge(&seen);
            assert_eq!(health, expected, "{name}");
            assert_eq!(
                why.is_none(),
                health == Health::Healthy,
                "{name}: a state that is not healthy says why"
            );
        }
    }

    #[test]
    fn a_stopped_component_makes_its_region_a_warning() {
        assert_eq!(weight_in_region(Health::Stopped), Health::Warning);
        assert_eq!(weight_in_region(Health::Unknown), Health::Unknown);
        assert_eq!(weight_in_region(Health::Healthy), Health::Healthy);
    }
}
