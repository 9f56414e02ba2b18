//! `silences.cover`: from chosen alerts to matchers.

use crate::Alerts;
use crate::queries::no_such_alert;
use crate::snapshot::Sight;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::failure::Failure;
use bagua_model::silences::{CoverAlerts, MatchOp, Matcher};
use bagua_model::text::{Text, keys};
use std::collections::{BTreeMap, BTreeSet};

/// Alerts of one question.
const MOST: usize = 200;
/// The labels that say what and where; others would tie the silence to one instance.
const LABELS: [&str; 3] = ["alertname", "region", "component"];

#[async_trait]
impl Answers<CoverAlerts> for Alerts {
    async fn answer(&self, cx: &AskContext, query: CoverAlerts) -> Result<Vec<Matcher>, Failure> {
        let wanted: BTreeSet<_> = query.alerts.iter().collect();
        if wanted.is_empty() {
            return Err(Failure::field(
                "alerts",
                Text::new(keys::ALERT_FAILURE_NONE_CHOSEN),
            ));
        }
        if wanted.len() > MOST {
            let text = Text::new(keys::SILENCE_FAILURE_COVER).with("most", MOST);
            return Err(Failure::field("alerts", text));
        }
        let sight = Sight::of(&cx.granted, cx.environment);
        let snapshot = self.firing()?;
        let chosen = snapshot.visible(&sight).filter(|v| wanted.contains(&v.alert));
        let labels: Vec<_> = chosen.map(|v| &v.labels).collect();
        if labels.is_empty() {
            return Err(no_such_alert());
        }
        Ok(cover(&labels))
    }
}

fn cover(alerts: &[&BTreeMap<String, String>]) -> Vec<Matcher> {
    let matcher = |label: &&str| {
        let values: BTreeSet<&str> = alerts
            .iter()
            .map(|labels| labels.get(*label).map_or("", String::as_str))
            .collect();
        match values.iter().collect::<Vec<_>>()[..] {
            // None of them has it.
            [&""] => None,
            [only] => Some(Matcher::equal(*label, *only)),
            // Some have it and some do not: it tells them apart from nothing.
            _ if values.contains("") => None,
            _ => Some(Matcher {
                label: (*label).to_owned(),
                op: MatchOp::Matches,
                value: values.iter().map(|v| literal(v)).collect::<Vec<_>>().join("|"),
            }),
        }
    };
    LABELS.iter().filter_map(matcher).collect()
}

/// An expression for exactly this text, with no more signs than Alertmanager's expressions need: people read it.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Conditions;
    use crate::observation::tests::labels;
    use bagua_model::silences::write_matchers;

    #[test]
    fn what_they_share_is_said_and_what_differs_is_listed() {
        let one = labels(&[
            ("alertname", "Slow.1"),
            ("region", "eu-west-1"),
            ("component", "gateway"),
        ]);
        let two = labels(&[("alertname", "Down"), ("region", "eu-west-1")]);
        let matchers = cover(&[&one, &two]);
        assert_eq!(
            write_matchers(&matchers),
            r#"alertname=~"Down|Slow\\.1", region="eu-west-1""#
        );
        let conditions = Conditions::new(&matchers).expect("they can be used");
        assert!(conditions.hold(&one) && conditions.hold(&two));
        assert!(!conditions.hold(&labels(&[("alertname", "Slow-1"), ("region", "eu-west-1")])));
    }
}
