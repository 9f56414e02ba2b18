//! One stretch of firing of one alert, and how reports about it are weighed. Nothing in here touches an engine.
//!
//! What is known of the engines and decides here:
//! * Alertmanager keeps an alert's `startsAt` while it holds the alert. The start moves when Alertmanager has lost its
//!   memory and Prometheus restarted: the episode goes on and keeps its earliest start.
//! * Notifications come doubled, late and out of order. What Alertmanager's API lists is the present.
//! * An empty list right after Alertmanager's start, and the end of an alert that Prometheus has not repeated, are
//!   absence, not health: an end needs the second witness ([`crate::prometheus`]).

use crate::observation::Observation;
use crate::prometheus::Word;
use bagua_model::alerts::{AlertState, AlertView};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// An episode as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// What readers see.
    pub view: AlertView,
    /// The latest start that was reported for it; `view.started_at` is the earliest.
    pub last_started_at: OffsetDateTime,
    /// Made from Alertmanager's word alone while the database was away; not stored yet.
    pub provisional: bool,
}

impl Episode {
    /// A new firing episode.
    pub fn open(id: Uuid, o: &Observation, received_at: OffsetDateTime) -> Episode {
        let suppressed_by = o.suppressed_by.clone().unwrap_or_default();
        Episode {
            view: AlertView {
                alert: id,
                fingerprint: o.fingerprint.clone(),
                name: o.name().to_owned(),
                severity: o.severity(),
                state: AlertState::Firing,
                environment: o.environment(),
                region: o.region(),
                component: o.component(),
                summary: o.summary().to_owned(),
                description: o.description().to_owned(),
                started_at: o.started_at,
                ended_at: None,
                received_at,
                suppressed: !suppressed_by.is_empty(),
                suppressed_by,
                acknowledged: None,
                lapsed_at: None,
                labels: o.labels.clone(),
                annotations: o.annotations.clone(),
            },
            last_started_at: o.started_at,
            provisional: false,
        }
    }
}

/// What is stored of one fingerprint, as far as it matters to a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The episode that fires.
    pub firing: Option<Episode>,
    /// The episode that ended last.
    pub ended: Option<Episode>,
}

impl Known {
    /// Whether a report with this start may be about the episode that ended last, or one before it.
    fn has_seen(&self, started_at: OffsetDateTime) -> bool {
        self.ended
            .as_ref()
            .is_some_and(|e| e.view.ended_at.is_some_and(|end| started_at <= end))
    }
}

/// A change to the stored episodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new episode fires.
    Open(Observation),
    /// An episode that we never saw fire has ended.
    Missed(Observation, OffsetDateTime),
    /// The same episode under another start. Readers see nothing of it unless the start is earlier.
    Renew {
        /// Which.
        id: Uuid,
        /// Earliest start.
        started_at: OffsetDateTime,
        /// Latest start.
        last_started_at: OffsetDateTime,
    },
    /// It is suppressed by these from now on; by none: no longer.
    Suppress {
        /// Which.
        id: Uuid,
        /// Silences and alerts.
        by: Vec<String>,
    },
    /// It had been taken for ended and fires.
    Reopen {
        /// Which.
        id: Uuid,
    },
    /// It has ended.
    Resolve {
        /// Which.
        id: Uuid,
        /// When.
        ended_at: OffsetDateTime,
    },
}

impl Change {
    /// A word for the log, with the episode where it has one.
    pub fn in_short(&self) -> String {
        match self {
            Change::Open(o) => format!("opened {}", o.name()),
            Change::Missed(o, _) => format!("missed {}", o.name()),
            Change::Renew { id, .. } => format!("renewed {id}"),
            Change::Suppress { id, by } => format!("suppressed {id} by {by:?}"),
            Change::Reopen { id } => format!("reopened {id}"),
            Change::Resolve { id, .. } => format!("resolved {id}"),
        }
    }
}

/// What a report comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Known already, or overtaken by what came later.
    Nothing,
    /// Something changes.
    Do(Change),
    /// The report alone does not say; Alertmanager's list will, on the next reading.
    Doubtful,
}

/// A notification says that the alert fires.
pub fn told_firing(known: &Known, o: &Observation) -> Verdict {
    match &known.firing {
        Some(episode) => renewed(known, episode, o).map_or(Verdict::Nothing, Verdict::Do),
        // It may be late, or Alertmanager took the alert up again where it had left it.
        None if known.has_seen(o.started_at) => Verdict::Doubtful,
        None => Verdict::Do(Change::Open(o.clone())),
    }
}

/// A notification says that the alert ended. `word` is what the second witness says.
pub fn told_ended(known: &Known, o: &Observation, ended_at: OffsetDateTime, word: Word) -> Verdict {
    let believed = matches!(word, Word::Ended | Word::Stranger);
    match &known.firing {
        // The end of an earlier stretch, overtaken by the start of this one.
        Some(episode) if ended_at < episode.last_started_at => Verdict::Nothing,
        Some(_) if !believed => Verdict::Doubtful,
        Some(episode) => Verdict::Do(Change::Resolve {
            id: episode.view.alert,
            ended_at,
        }),
        None if known.has_seen(o.started_at) => Verdict::Nothing,
        None if !believed => Verdict::Doubtful,
        None => Verdict::Do(Change::Missed(o.clone(), ended_at.max(o.started_at))),
    }
}

fn renewed(known: &Known, episode: &Episode, o: &Observation) -> Option<Change> {
    let id = episode.view.alert;
    if o.started_at > episode.last_started_at {
        let started_at = episode.view.started_at;
        return Some(Change::Renew {
            id,
            started_at,
            last_started_at: o.started_at,
        });
    }
    if o.started_at < episode.view.started_at && !known.has_seen(o.started_at) {
        let last_started_at = episode.last_started_at;
        return Some(Change::Renew {
            id,
            started_at: o.started_at,
            last_started_at,
        });
    }
    None
}

/// What earlier readings of Alertmanager's list left open. A single reading may have begun before a change that it is
/// compared with; two in a row cannot.
#[derive(Clone, Debug, Default)]
pub struct Suspicions {
    absent: HashSet<Uuid>,
    back: HashSet<Uuid>,
}

impl Suspicions {
    /// A reading failed: what comes next is no longer "in a row".
    pub fn clear(&mut self) {
        self.absent.clear();
        self.back.clear();
    }

    /// Whether nothing was left open.
    pub fn is_empty(&self) -> bool {
        self.absent.is_empty() && self.back.is_empty()
    }

    /// Adds what a part of a reading left open about alerts that are back.
    pub fn take_back(&mut self, part: Suspicions) {
        self.back.extend(part.back);
    }

    /// Forgets what was left open about alerts that are back: this reading says it anew.
    pub fn forget_back(&mut self) {
        self.back.clear();
    }

    /// These are absent from this reading; answers those that were absent from the one before too.
    pub fn miss(&mut self, absent: Vec<Arc<Episode>>) -> Vec<Arc<Episode>> {
        let now = absent.iter().map(|e| e.view.alert).collect();
        let before = std::mem::replace(&mut self.absent, now);
        let mut again = absent;
        again.retain(|e| before.contains(&e.view.alert));
        again
    }
}

/// Whether the list says of a firing episode what is known already.
pub fn says_nothing_new(episode: &Episode, o: &Observation) -> bool {
    episode.view.started_at <= o.started_at
        && o.started_at <= episode.last_started_at
        && o.suppressed_by
            .as_ref()
            .is_none_or(|by| *by == episode.view.suppressed_by)
}

/// What a reading of Alertmanager's list comes to.
#[derive(Debug, Default, PartialEq)]
pub struct Comparison {
    /// What is certain.
    pub changes: Vec<Change>,
    /// Firing episodes that were absent from two readings in a row: they have ended if the second witness agrees.
    pub absent: Vec<Episode>,
}

/// Compares what is stored with what Alertmanager lists.
pub fn compare(
    known: &HashMap<String, Known>,
    listed: &[Observation],
    suspicions: &mut Suspicions,
) -> Comparison {
    let nothing = Known::default();
    let mut outcome = Comparison::default();
    let mut back = HashSet::new();
    for o in listed {
        let known = known.get(&o.fingerprint).unwrap_or(&nothing);
        if let Some(episode) = &known.firing {
            outcome.changes.extend(renewed(known, episode, o));
            if let Some(by) = o
                .suppressed_by
                .as_ref()
                .filter(|by| **by != episode.view.suppressed_by)
            {
                outcome.changes.push(Change::Suppress {
                    id: episode.view.alert,
                    by: by.clone(),
                });
            }
            continue;
        }
        match &known.ended {
            Some(ended) if known.has_seen(o.started_at) => {
                let id = ended.view.alert;
                if !suspicions.back.contains(&id) {
                    back.insert(id);
                } else if o.started_at <= ended.last_started_at {
                    outcome.changes.push(Change::Reopen { id });
                } else {
                    outcome.changes.push(Change::Open(o.clone()));
                }
            }
            _ => outcome.changes.push(Change::Open(o.clone())),
        }
    }
    suspicions.back = back;

    let listed: HashSet<&str> = listed.iter().map(|o| o.fingerprint.as_str()).collect();
    let mut absent = HashSet::new();
    for episode in known.values().filter_map(|k| k.firing.as_ref()) {
        if listed.contains(episode.view.fingerprint.as_str()) {
            continue;
        }
        let id = episode.view.alert;
        if suspicions.absent.contains(&id) {
            outcome.absent.push(episode.clone());
        }
        absent.insert(id);
    }
    suspicions.absent = absent;
    outcome
}

#[cfg(test)]
mod tests;
