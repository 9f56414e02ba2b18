//! What fires now, in memory: answers the feed without the database.

use crate::episode::Episode;
use crate::page;
use bagua_core::actor::Granted;
use bagua_model::alerts::{AlertCount, AlertFeed, AlertView, ListAlerts, Severity};
use bagua_model::failure::Failure;
use bagua_model::operation::Page;
use bagua_model::region::{Environment, RegionId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
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
}

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
        }
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
    pub fn list(&self, query: &ListAlerts, sight: &Sight) -> Result<AlertFeed, Failure> {
        let after = query.after.as_deref().map(page::firing_cursor).transpose()?;
        let limit = page::limit(query.limit);
        let text = query
            .text
            .as_deref()
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(str::to_lowercase);
        let mut rows: Vec<AlertView> = Vec::new();
        let mut next = None;
        for view in self.visible(sight) {
            if !matches(query, text.as_deref(), view) || after.is_some_and(|a| place(view) <= a) {
                continue;
            }
            if let Some(last) = rows.last().filter(|_| rows.len() == limit) {
                next = Some(page::after_firing(last));
                break;
            }
            rows.push(view.clone());
        }
        Ok(AlertFeed {
            page: Page { rows, next },
            firing: self.firing(sight),
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
        type Place<'a> = (Option<&'a RegionId>, Option<&'a str>);
        let mut counts: BTreeMap<Place<'_>, (u32, u32)> = BTreeMap::new();
        for view in self.visible(sight).filter(|v| !v.suppressed) {
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

fn matches(query: &ListAlerts, text: Option<&str>, view: &AlertView) -> bool {
    (query.severities.is_empty() || query.severities.contains(&view.severity))
        && query
            .region
            .as_ref()
            .is_none_or(|r| view.region.as_ref() == Some(r))
        && query
            .component
            .as_ref()
            .is_none_or(|c| view.component.as_ref() == Some(c))
        && query
            .acknowledged
            .is_none_or(|a| view.acknowledged.is_some() == a)
        && text.is_none_or(|t| {
            view.name.to_lowercase().contains(t)
                || view.summary.to_lowercase().contains(t)
                || view
                    .component
                    .as_ref()
                    .is_some_and(|c| c.to_lowercase().contains(t))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Observation;
    use crate::observation::tests::labels;
    use time::macros::datetime;

    fn episode(n: u128, severity: &str, region: &str, minute: i64) -> Arc<Episode> {
        let start = datetime!(2026-11-22 10:00 UTC) + time::Duration::minutes(minute);
        let labels = labels(&[
            ("alertname", "X"),
            ("severity", severity),
            ("region", region),
            ("component", "gateway"),
        ]);
        let o = Observation::new(format!("f{n}"), start, labels, BTreeMap::new());
        Arc::new(Episode::open(Uuid::from_u128(n), &o, start))
    }

    fn snapshot() -> Snapshot {
        Snapshot::new(
            [
                episode(1, "warning", "eu-west-1", 0),
                episode(2, "critical", "us-east-1", 0),
                episode(3, "critical", "eu-west-1", 5),
                episode(4, "critical", "eu-west-1", 0),
                episode(5, "info", "", 9),
            ],
            false,
        )
    }

    fn ids(feed: &AlertFeed) -> Vec<u128> {
        feed.page.rows.iter().map(|v| v.alert.as_u128()).collect()
    }

    #[test]
    fn the_worst_stands_first_then_the_newest() {
        let feed = snapshot()
            .list(&ListAlerts::default(), &Sight(None))
            .expect("no cursor");
        assert_eq!(ids(&feed), [3, 2, 4, 1, 5]);
        assert_eq!(feed.firing, [3, 1, 1]);
    }

    #[test]
    fn a_page_goes_on_where_the_last_ended_though_rows_came_and_went() {
        let query = ListAlerts {
            limit: 2,
            ..ListAlerts::default()
        };
        let first = snapshot().list(&query, &Sight(None)).expect("no cursor");
        assert_eq!(ids(&first), [3, 2]);
        // Row 2, the last of the page, has gone and a new worst has come.
        let mut rows: Vec<_> = snapshot()
            .rows()
            .iter()
            .filter(|e| e.view.alert.as_u128() != 2)
            .cloned()
            .collect();
        rows.push(episode(6, "critical", "eu-west-1", 20));
        let later = Snapshot::new(rows, false);
        let second = later
            .list(
                &ListAlerts {
                    after: first.page.next,
                    ..query.clone()
                },
                &Sight(None),
            )
            .expect("our cursor");
        assert_eq!(ids(&second), [4, 1]);
        let third = later
            .list(
                &ListAlerts {
                    after: second.page.next,
                    ..query.clone()
                },
                &Sight(None),
            )
            .expect("our cursor");
        assert_eq!((ids(&third), third.page.next), (vec![5], None));
        assert!(
            later
                .list(
                    &ListAlerts {
                        after: Some("nonsense".into()),
                        ..query
                    },
                    &Sight(None)
                )
                .is_err()
        );
    }

    #[test]
    fn a_reader_of_one_region_sees_and_counts_only_that() {
        let feed = snapshot()
            .list(&ListAlerts::default(), &Sight(Some(vec!["eu-west-1".into()])))
            .expect("no cursor");
        assert_eq!((ids(&feed), feed.firing), (vec![3, 4, 1], [2, 1, 0]));
        let nobody = snapshot()
            .list(&ListAlerts::default(), &Sight(Some(vec![])))
            .expect("no cursor");
        assert_eq!((ids(&nobody), nobody.firing), (vec![], [0, 0, 0]));
    }

    #[test]
    fn filters_narrow_the_rows_and_not_the_counters() {
        let query = ListAlerts {
            severities: vec![Severity::Critical],
            region: Some(RegionId::new("eu-west-1")),
            text: Some(" GATE".into()),
            acknowledged: Some(false),
            ..ListAlerts::default()
        };
        let feed = snapshot().list(&query, &Sight(None)).expect("no cursor");
        assert_eq!((ids(&feed), feed.firing), (vec![3, 4], [3, 1, 1]));
        let taken = ListAlerts {
            acknowledged: Some(true),
            ..ListAlerts::default()
        };
        assert!(
            snapshot()
                .list(&taken, &Sight(None))
                .expect("no cursor")
                .page
                .rows
                .is_empty()
        );
    }

    #[test]
    fn what_has_run_out_is_nobodys_and_stands_first_among_its_like() {
        let until = datetime!(2026-11-22 12:00 UTC);
        let mut rows = snapshot().rows().to_vec();
        // The last of the three critical ones.
        let taken = &mut Arc::make_mut(&mut rows[2]).view;
        taken.acknowledged = Some(bagua_model::alerts::Acknowledgement {
            by: "Wei".into(),
            at: until - time::Duration::HOUR,
            note: String::new(),
            until: Some(until),
        });
        let snapshot = Snapshot::new(rows, false);
        assert!(snapshot.lapsed(until - time::Duration::SECOND).is_none());
        let lapsed = snapshot.lapsed(until).expect("one has run out");
        let feed = lapsed
            .list(&ListAlerts::default(), &Sight(None))
            .expect("no cursor");
        assert_eq!(ids(&feed), [4, 3, 2, 1, 5]);
        let first = &feed.page.rows[0];
        assert_eq!(
            (first.acknowledged.as_ref(), first.lapsed_at),
            (None, Some(until))
        );
        assert!(lapsed.lapsed(until).is_none(), "nothing is left to run out");
    }

    #[test]
    fn counts_leave_suppressed_alerts_out() {
        let mut rows = snapshot().rows().to_vec();
        Arc::make_mut(&mut rows[0]).view.suppressed = true;
        let counts = Snapshot::new(rows, false).severity_by_component();
        assert_eq!(
            counts[&(RegionId::new("eu-west-1"), "gateway".to_owned())],
            (1, 1)
        );
        assert_eq!(
            counts[&(RegionId::new("us-east-1"), "gateway".to_owned())],
            (1, 0)
        );
        assert_eq!(counts.len(), 2);
    }
}
