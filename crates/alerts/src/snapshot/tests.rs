//! The feed in memory.

use super::*;
use crate::observation::Observation;
use crate::observation::tests::labels;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-22 13:00 UTC);

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
        .list(&ListAlerts::default(), &Sight(None), NOW)
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
    let first = snapshot().list(&query, &Sight(None), NOW).expect("no cursor");
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
            NOW,
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
            NOW,
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
                &Sight(None),
                NOW
            )
            .is_err()
    );
}

#[test]
fn a_reader_of_one_region_sees_and_counts_only_that() {
    let feed = snapshot()
        .list(
            &ListAlerts::default(),
            &Sight(Some(vec!["eu-west-1".into()])),
            NOW,
        )
        .expect("no cursor");
    assert_eq!((ids(&feed), feed.firing), (vec![3, 4, 1], [2, 1, 0]));
    let nobody = snapshot()
        .list(&ListAlerts::default(), &Sight(Some(vec![])), NOW)
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
    let feed = snapshot().list(&query, &Sight(None), NOW).expect("no cursor");
    assert_eq!((ids(&feed), feed.firing), (vec![3, 4], [3, 1, 1]));
    let taken = ListAlerts {
        acknowledged: Some(true),
        ..ListAlerts::default()
    };
    assert!(
        snapshot()
            .list(&taken, &Sight(None), NOW)
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
        .list(&ListAlerts::default(), &Sight(None), NOW)
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

#[test]
fn one_change_among_many_leaves_the_others_alone() {
    let before = snapshot();
    let mut taken = Episode::clone(&before.rows()[1]);
    taken.view.suppressed = true;
    let mut ended = Episode::clone(&before.rows()[0]);
    ended.view.state = AlertState::Resolved;
    let fresh = Episode::clone(&episode(9, "critical", "eu-west-1", 30));
    let after = before.with(vec![taken, ended, fresh]);
    let ids: Vec<_> = after.rows().iter().map(|e| e.view.alert.as_u128()).collect();
    assert_eq!(ids, [9, 2, 4, 1, 5]);
    assert!(after.rows()[1].view.suppressed);
    assert!(
        Arc::ptr_eq(&after.rows()[2], &before.rows()[2]),
        "what has not changed is the same row"
    );
    assert_ne!(after.revision(), before.revision());
}

#[test]
fn the_feed_says_how_many_match_on_all_pages() {
    let query = ListAlerts {
        severities: vec![Severity::Critical],
        limit: 1,
        ..ListAlerts::default()
    };
    let feed = snapshot().list(&query, &Sight(None), NOW).expect("no cursor");
    assert_eq!(
        (feed.page.rows.len(), feed.matching, feed.firing),
        (1, Some(3), [3, 1, 1])
    );
}
