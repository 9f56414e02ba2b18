use super::*;
use crate::observation::tests::labels;
use time::Duration;
use time::macros::datetime;

const T0: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

fn at(minutes: i64) -> OffsetDateTime {
    T0 + Duration::minutes(minutes)
}

fn seen(start: i64) -> Observation {
    Observation::new("f".into(), at(start), labels(&[("alertname", "X")]), labels(&[])).suppressed_by(vec![])
}

fn firing(start: i64, last: i64) -> Episode {
    let mut episode = Episode::open(Uuid::from_u128(1), &seen(start), at(start));
    episode.last_started_at = at(last);
    episode
}

fn ended(start: i64, end: i64) -> Episode {
    let mut episode = firing(start, start);
    episode.view.alert = Uuid::from_u128(2);
    episode.view.state = AlertState::Resolved;
    episode.view.ended_at = Some(at(end));
    episode
}

fn known(firing: Option<Episode>, ended: Option<Episode>) -> Known {
    Known { firing, ended }
}

fn stored(known: Known) -> HashMap<String, Known> {
    HashMap::from([("f".to_owned(), known)])
}

#[test]
fn a_doubled_notification_changes_nothing() {
    assert_eq!(
        told_firing(&known(None, None), &seen(0)),
        Verdict::Do(Change::Open(seen(0)))
    );
    assert_eq!(
        told_firing(&known(Some(firing(0, 0)), None), &seen(0)),
        Verdict::Nothing
    );
    assert_eq!(
        told_ended(&known(None, Some(ended(0, 5))), &seen(0), at(5), Word::Ended),
        Verdict::Nothing
    );
}

#[test]
fn a_late_firing_after_the_end_opens_nothing_by_itself() {
    assert_eq!(
        told_firing(&known(None, Some(ended(0, 5))), &seen(0)),
        Verdict::Doubtful
    );
    assert_eq!(
        told_firing(&known(None, Some(ended(0, 5))), &seen(6)),
        Verdict::Do(Change::Open(seen(6)))
    );
    // Nor does it move the start of the episode after.
    assert_eq!(
        told_firing(&known(Some(firing(6, 6)), Some(ended(0, 5))), &seen(0)),
        Verdict::Nothing
    );
}

#[test]
fn a_moved_start_is_the_same_episode_and_keeps_the_earliest() {
    let renew = |started_at, last_started_at| {
        Verdict::Do(Change::Renew {
            id: Uuid::from_u128(1),
            started_at,
            last_started_at,
        })
    };
    assert_eq!(
        told_firing(&known(Some(firing(5, 5)), None), &seen(9)),
        renew(at(5), at(9))
    );
    assert_eq!(
        told_firing(&known(Some(firing(5, 5)), None), &seen(3)),
        renew(at(3), at(5))
    );
    assert_eq!(
        told_firing(&known(Some(firing(5, 9)), None), &seen(7)),
        Verdict::Nothing
    );
}

#[test]
fn a_late_end_of_an_earlier_stretch_does_not_end_this_one() {
    assert_eq!(
        told_ended(&known(Some(firing(6, 6)), None), &seen(0), at(5), Word::Ended),
        Verdict::Nothing
    );
    assert_eq!(
        told_ended(&known(Some(firing(0, 6)), None), &seen(0), at(5), Word::Ended),
        Verdict::Nothing
    );
}

#[test]
fn an_end_needs_the_second_witness() {
    let known = known(Some(firing(0, 0)), None);
    let resolve = Verdict::Do(Change::Resolve {
        id: Uuid::from_u128(1),
        ended_at: at(5),
    });
    assert_eq!(told_ended(&known, &seen(0), at(5), Word::Ended), resolve);
    assert_eq!(told_ended(&known, &seen(0), at(5), Word::Stranger), resolve);
    assert_eq!(
        told_ended(&known, &seen(0), at(5), Word::GoesOn),
        Verdict::Doubtful
    );
    assert_eq!(
        told_ended(&known, &seen(0), at(5), Word::Unknown),
        Verdict::Doubtful
    );
}

#[test]
fn an_end_whose_start_was_missed_is_kept_as_history() {
    let none = known(None, None);
    assert_eq!(
        told_ended(&none, &seen(0), at(5), Word::Ended),
        Verdict::Do(Change::Missed(seen(0), at(5)))
    );
}

#[test]
fn what_is_listed_and_unknown_opens_at_once() {
    let outcome = compare(&HashMap::new(), &[seen(0)], &mut Suspicions::default());
    assert_eq!(outcome.changes, vec![Change::Open(seen(0))]);
}

#[test]
fn an_alert_counts_as_absent_from_the_second_reading_in_a_row() {
    let stored = stored(known(Some(firing(0, 0)), None));
    let mut suspicions = Suspicions::default();
    assert!(compare(&stored, &[], &mut suspicions).absent.is_empty());
    assert_eq!(compare(&stored, &[], &mut suspicions).absent.len(), 1);
    // Held back by the second witness it stays absent, and seen once it starts anew.
    assert_eq!(compare(&stored, &[], &mut suspicions).absent.len(), 1);
    assert!(compare(&stored, &[seen(0)], &mut suspicions).absent.is_empty());
    assert!(compare(&stored, &[], &mut suspicions).absent.is_empty());
    suspicions.clear();
    assert!(compare(&stored, &[], &mut suspicions).absent.is_empty());
}

#[test]
fn an_episode_taken_for_ended_is_opened_again_on_the_second_reading() {
    let stored = stored(known(None, Some(ended(0, 5))));
    let mut suspicions = Suspicions::default();
    assert!(compare(&stored, &[seen(0)], &mut suspicions).changes.is_empty());
    let again = compare(&stored, &[seen(0)], &mut suspicions).changes;
    assert_eq!(
        again,
        vec![Change::Reopen {
            id: Uuid::from_u128(2)
        }]
    );
}

#[test]
fn a_new_start_shortly_before_our_late_end_is_a_new_episode() {
    let stored = stored(known(None, Some(ended(0, 5))));
    let mut suspicions = Suspicions::default();
    assert!(compare(&stored, &[seen(4)], &mut suspicions).changes.is_empty());
    assert_eq!(
        compare(&stored, &[seen(4)], &mut suspicions).changes,
        vec![Change::Open(seen(4))]
    );
}

#[test]
fn a_silence_is_taken_over_and_given_back() {
    let stored = stored(known(Some(firing(0, 0)), None));
    let silenced = seen(0).suppressed_by(vec!["s1".into()]);
    let outcome = compare(&stored, &[silenced], &mut Suspicions::default());
    assert_eq!(
        outcome.changes,
        vec![Change::Suppress {
            id: Uuid::from_u128(1),
            by: vec!["s1".into()]
        }]
    );
    assert!(
        compare(&stored, &[seen(0)], &mut Suspicions::default())
            .changes
            .is_empty()
    );
}
