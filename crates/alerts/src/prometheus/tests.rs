//! What Prometheus' word is worth.

use super::*;
use crate::observation::tests::labels;
use time::macros::datetime;

const START: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
const BEFORE: OffsetDateTime = datetime!(2026-11-22 09:59 UTC);
const AFTER: OffsetDateTime = datetime!(2026-11-22 10:05 UTC);

fn testimony(alerts: Vec<ActiveAlert>) -> Testimony {
    Testimony {
        started_at: datetime!(2026-11-22 08:00 UTC),
        settled: true,
        rules: vec![Rule {
            name: "ServiceDown".into(),
            evaluated: true,
            alerts,
        }],
    }
}

fn active(component: &str, active_at: OffsetDateTime) -> ActiveAlert {
    ActiveAlert {
        labels: labels(&[("alertname", "ServiceDown"), ("component", component)]),
        active_at,
    }
}

fn ask(testimony: &Testimony) -> Word {
    testimony.of(
        &labels(&[
            ("alertname", "ServiceDown"),
            ("component", "gateway"),
            ("environment", "dev"),
        ]),
        START,
    )
}

#[test]
fn an_alert_ends_only_when_an_evaluated_rule_no_longer_holds_it() {
    assert_eq!(ask(&testimony(vec![])), Word::Ended);
    assert_eq!(ask(&testimony(vec![active("runner", BEFORE)])), Word::Ended);
    assert_eq!(ask(&testimony(vec![active("gateway", BEFORE)])), Word::GoesOn);
    let mut never = testimony(vec![]);
    never.rules[0].evaluated = false;
    assert_eq!(ask(&never), Word::Unknown);
    assert_eq!(
        ask(&Testimony {
            settled: false,
            ..testimony(vec![])
        }),
        Word::Unknown
    );
    assert_eq!(
        ask(&Testimony {
            rules: vec![],
            ..testimony(vec![])
        }),
        Word::Stranger
    );
}

#[test]
fn a_second_stretch_does_not_keep_the_first_alive() {
    assert_eq!(ask(&testimony(vec![active("gateway", AFTER)])), Word::Ended);
}

#[test]
fn a_prometheus_that_started_in_between_cannot_tell_two_stretches_apart() {
    let restarted = Testimony {
        started_at: AFTER,
        ..testimony(vec![active("gateway", AFTER)])
    };
    assert_eq!(ask(&restarted), Word::GoesOn);
}

#[test]
fn many_alerts_are_told_apart_by_the_labels_that_all_of_them_have() {
    let mut testimony = testimony(vec![active("gateway", BEFORE), active("runner", BEFORE)]);
    testimony.rules[0].alerts[0]
        .labels
        .insert("zone".into(), "a".into());
    let judge = testimony.judge();
    let ask = |pairs: &[(&str, &str)]| judge.of(&labels(pairs), START);
    let named = ("alertname", "ServiceDown");
    assert_eq!(
        ask(&[named, ("component", "gateway"), ("zone", "a")]),
        Word::GoesOn
    );
    assert_eq!(
        ask(&[named, ("component", "gateway"), ("zone", "b")]),
        Word::Ended
    );
    assert_eq!(ask(&[named, ("component", "postgres")]), Word::Ended);
    // A label that was dropped on the way leaves the question open to each of them.
    assert_eq!(ask(&[named]), Word::GoesOn);
    assert_eq!(ask(&[("alertname", "Other")]), Word::Stranger);
}

#[test]
fn what_is_no_number_is_not_known_and_not_none() {
    let found: Found = serde_json::from_str(
        r#"{"resultType":"vector","result":[
            {"metric":{"integration":"webhook"},"value":[1700000000.1,"3.75"]},
            {"metric":{"integration":"email"},"value":[1700000000.1,"NaN"]},
            {"metric":{"integration":"slack"},"value":[1700000000.1,"+Inf"]},
            {"metric":{},"value":[1700000000.1,"1"]}]}"#,
    )
    .expect("it is as Prometheus answers");
    let counted = found.by_label("integration");
    assert_eq!((counted.len(), counted.get("webhook")), (1, Some(&3.75)));
}
