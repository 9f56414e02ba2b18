//! What fires now, in memory: answers the feed without the database.

use crate::episode::Episode;
use crate::filter::Filter;
use crate::page;
use bagua_core::actor::Granted;
use bagua_model::alerts::{AlertCount, AlertFeed, AlertState, AlertView, ListAlerts, Severity};
use bagua_model::failure::Failure;
use bagua_model::operation::Page;
use bagua_model::region::{Environment, RegionId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use time::OffsetDateTime;
use uuid::Uuid;

/// Every firing episode at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Critical first, then the newest first.
    rows: Vec<Arc<Episode>>,
    /// The rows do not come from the database, because it is away.
    pub degraded: bool,
    /// Whether the rows were ever filled. Before that an empty list would look like health.
    pub filled: bool,
    /// When the first acknowledgement runs out.
    lapses_at: Option<OffsetDateTime>,
    /// Another number for other contents.
    revision: u64,
    /// What every console page asks for, counted once.
    counts: OnceLock<Vec<AlertCount>>,
}

/// The number of the last snapshot that was made.
static REVISION: AtomicU64 = AtomicU64::new(0);

/// The place of a row in the feed.
pub type Place = (Severity, Reverse<OffsetDateTime>, Uuid);

/// The place of an alert in the feed.
pub fn place(view: &AlertView) -> Place {
    (view.severity, Reverse(new_since(view)), view.alert)
}

/// Since when it wants a look: its start, or when the acknowledgement of whoever had it ran out.
pub fn new_since(view: &AlertView) -> OffsetDateTime {
    view.lapsed_at
        .map_or(view.started_at, |lapsed| lapsed.max(view.started_at))
}

/// The regions that a reader may see: `None` is every region, and what has none.
pub struct Sight(Option<Vec<String>>);

impl Sight {
    /// What was granted, in the environment of this console.
    pub fn of(granted: &Granted, environment: Environment) -> Sight {
        Sight(granted.regions(environment))
    }

    /// For SQL: `($1::text[] IS NULL OR region = ANY($1))`.
    pub fn regions(&self) -> Option<&[String]> {
        self.0.as_deref()
    }

    /// Whether an alert of that region may be seen.
    pub fn reaches(&self, region: Option<&RegionId>) -> bool {
        self.0
            .as_ref()
            .is_none_or(|seen| region.is_some_and(|r| seen.iter().any(|s| s == r.as_str())))
    }
}

impl Snapshot {
    /// A snapshot of these episodes, in any order.
    pub fn new(rows: impl IntoIterator<Item = Arc<Episode>>, degraded: bool) -> Snapshot {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_key(|e| place(&e.view));
        let ends = rows.iter().filter_map(|e| e.view.acknowledged.as_ref()?.until);
        Snapshot {
            lapses_at: ends.min(),
            rows,
            degraded,
            filled: true,
            revision: REVISION.fetch_add(1, Ordering::Relaxed) + 1,
            counts: OnceLock::new(),
        }
    }

    /// This snapshot with some episodes as they are now, whatever their state. The others are not looked at, so that
    /// one change costs little among thousands.
    pub fn with(&self, changed: Vec<Episode>) -> Snapshot {
        let ids: HashSet<Uuid> = changed.iter().map(|e| e.view.alert).collect();
        let stored: HashSet<&str> = changed.iter().map(|e| e.view.fingerprint.as_str()).collect();
        let stand = |e: &&Arc<Episode>| {
            let replaced = e.provisional && stored.contains(e.view.fingerprint.as_str());
            !replaced && !ids.contains(&e.view.alert)
        };
        let mut rows: Vec<_> = self.rows.iter().filter(stand).cloned().collect();
        drop(stored);
        let firing = changed.into_iter().filter(|e| e.view.state == AlertState::Firing);
        rows.extend(firing.map(Arc::new));
        Snapshot::new(rows, self.degraded)
    }

    /// A number that no snapshot with other contents has.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The snapshot by the clock: whose acknowledgement has run out, nobody has. `None` when that is nobody's. The rows
    /// follow with the next reading, or not at all while the database is away.
    pub fn lapsed(&self, now: OffsetDateTime) -> Option<Snapshot> {
        self.lapses_at.filter(|at| *at <= now)?;
        let rows = self.rows.iter().map(|episode| {
            let until = episode.view.acknowledged.as_ref().and_then(|a| a.until);
            match until.filter(|until| *until <= now) {
                None => Arc::clone(episode),
                Some(until) => {
                    let mut lapsed = Episode::clone(episode);
                    lapsed.view.acknowledged = None;
                    lapsed.view.lapsed_at = Some(until);
                    Arc::new(lapsed)
                }
            }
        });
        Some(Snapshot {
            filled: self.filled,
            ..Snapshot::new(rows, self.degraded)
        })
    }

    /// The same rows, as what was last known.
    #[must_use]
    pub fn as_last_known(self) -> Snapshot {
        Snapshot {
            degraded: true,
            ..self
        }
    }

    /// The episodes, in the order of the feed.
    pub fn rows(&self) -> &[Arc<Episode>] {
        &self.rows
    }

    /// One episode.
    pub fn find(&self, id: Uuid) -> Option<&Arc<Episode>> {
        self.rows.iter().find(|e| e.view.alert == id)
    }

    /// The feed of what fires.
    ///
    /// # Errors
    /// When the cursor is not one of ours.
    pub fn list(&self, query: &ListAlerts, sight: &Sight, now: OffsetDateTime) -> Result<AlertFeed, Failure> {
        let after = query.after.as_deref().map(page::firing_cursor).transpose()?;
        let limit = page::limit(query.limit);
        let filter = Filter::new(query);
        let mut page = Page {
            rows: Vec::new(),
            next: None,
        };
        let (mut matching, mut firing) = (0, [0; 3]);
        for view in self.visible(sight) {
            firing[view.severity as usize] += 1;
            if !filter.lets_through(view) {
                continue;
            }
            matching += 1;
            if after.is_some_and(|a| place(view) <= a) {
                continue;
            }
            match page.rows.last() {
                Some(last) if page.rows.len() == limit => {
                    page.next.get_or_insert_with(|| page::after_firing(last));
                }
                _ => page.rows.push(view.clone()),
            }
        }
        Ok(AlertFeed {
            page,
            firing,
            matching: Some(matching),
            causes: Vec::new(),
            as_of: now,
            degraded: self.degraded,
        })
    }

    /// How many fire, by severity, suppressed alerts included.
    pub fn firing(&self, sight: &Sight) -> [u32; 3] {
        let mut firing = [0; 3];
        for view in self.visible(sight) {
            firing[view.severity as usize] += 1;
        }
        firing
    }

    /// What the reader may see, in the order of the feed.
    pub fn visible<'a>(&'a self, sight: &'a Sight) -> impl Iterator<Item = &'a AlertView> {
        self.rows
            .iter()
            .map(|e| &e.view)
            .filter(|v| sight.reaches(v.region.as_ref()))
    }

    /// What fires and is not suppressed, by region and service.
    pub fn counts(&self, sight: &Sight) -> Vec<AlertCount> {
        let all = self.counts.get_or_init(|| self.count());
        let seen = all.iter().filter(|c| sight.reaches(c.region.as_ref()));
        seen.cloned().collect()
    }

    fn count(&self) -> Vec<AlertCount> {
        type Place<'a> = (Option<&'a RegionId>, Option<&'a str>);
        let mut counts: BTreeMap<Place<'_>, (u32, u32)> = BTreeMap::new();
        for view in self.rows.iter().map(|e| &e.view).filter(|v| !v.suppressed) {
            let count = counts.entry((view.region.as_ref(), service(view))).or_default();
            match view.severity {
                Severity::Critical => count.0 += 1,
                Severity::Warning => count.1 += 1,
                Severity::Info => {}
            }
        }
        counts
            .into_iter()
            .filter(|(_, count)| *count != (0, 0))
            .map(|((region, service), (critical, warning))| AlertCount {
                region: region.cloned(),
                service: service.map(str::to_owned),
                critical,
                warning,
            })
            .collect()
    }

    /// Critical and warning alerts by region and service, for whoever holds this room itself.
    pub fn severity_by_component(&self) -> HashMap<(RegionId, String), (u32, u32)> {
        let all = Sight(None);
        let counts = self.counts(&all).into_iter();
        counts
            .filter_map(|c| Some(((c.region?, c.service?), (c.critical, c.warning))))
            .collect()
    }
}

/// The service in `<region>/<service>`.
fn service(view: &AlertView) -> Option<&str> {
    view.component
        .as_deref()
        .and_then(|c| c.split_once('/'))
        .map(|(_, service)| service)
}

#[cfg(test)]
mod tests;
