//! Which alerts matchers match, by the rules of Alertmanager: expressions match the whole label, a label that is not
//! there is empty. The expressions are RE2's kind, so no text makes one slow.

use bagua_model::failure::Failure;
use bagua_model::silences::{LONGEST_VALUE, MOST_MATCHERS, MatchOp, Matcher};
use bagua_model::text::{Text, keys};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;

/// Bytes of a compiled expression: repetitions of repetitions grow quickly.
const LARGEST_EXPRESSION: usize = 1 << 20;

/// Matchers that have been checked.
#[derive(Debug)]
pub struct Conditions(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    label: String,
    wanted: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Is(String),
    Like(Regex),
}

impl Conditions {
    /// Checks matchers.
    ///
    /// # Errors
    /// A field error on `matchers` that says which condition is wrong, and why.
    pub fn new(matchers: &[Matcher]) -> Result<Conditions, Failure> {
        let wrong = |text: Text| Failure::field("matchers", text);
        if matchers.is_empty() || matchers.len() > MOST_MATCHERS {
            return Err(wrong(
                Text::new(keys::SILENCE_FAILURE_COUNT).with("most", MOST_MATCHERS),
            ));
        }
        let conditions: Result<Vec<_>, _> = matchers.iter().map(condition).collect();
        let conditions = Conditions(conditions.map_err(wrong)?);
        // Alertmanager refuses what would match an alert without any label: it would hold everything.
        if conditions.hold(&BTreeMap::new()) {
            return Err(wrong(Text::new(keys::SILENCE_FAILURE_EVERYTHING)));
        }
        Ok(conditions)
    }

    /// Matchers that Alertmanager has checked already, also such that match everything.
    ///
    /// # Errors
    /// The condition that is not understood.
    pub fn as_configured(matchers: &[Matcher]) -> Result<Conditions, String> {
        let written = |m: &Matcher| bagua_model::silences::write_matchers(std::slice::from_ref(m));
        let conditions: Result<Vec<_>, _> = matchers
            .iter()
            .map(|m| condition(m).map_err(|_| written(m)))
            .collect();
        conditions.map(Conditions)
    }

    /// Whether an alert with these labels is matched.
    pub fn hold(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|condition| {
            let value = labels.get(&condition.label).map_or("", String::as_str);
            let is = match &condition.test {
                Test::Is(wanted) => value == wanted,
                Test::Like(expression) => expression.is_match(value),
            };
            is == condition.wanted
        })
    }
}

fn condition(matcher: &Matcher) -> Result<Condition, Text> {
    let about = |key| Text::new(key).with("label", &matcher.label);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if matcher.label.is_empty()
        || !matcher.label.chars().all(plain)
        || matcher.label.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(about(keys::SILENCE_FAILURE_LABEL));
    }
    if matcher.value.chars().count() > LONGEST_VALUE {
        return Err(about(keys::SILENCE_FAILURE_VALUE).with("most", LONGEST_VALUE));
    }
    let test = match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => Test::Is(matcher.value.clone()),
        MatchOp::Matches | MatchOp::MatchesNot => {
            let whole = RegexBuilder::new(&format!("^(?:{})$", matcher.value))
                .size_limit(LARGEST_EXPRESSION)
                .build();
            Test::Like(whole.map_err(|_| about(keys::SILENCE_FAILURE_EXPRESSION))?)
        }
    };
    Ok(Condition {
        label: matcher.label.clone(),
        wanted: matches!(matcher.op, MatchOp::Equal | MatchOp::Matches),
        test,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::tests::labels;
    use bagua_model::silences::read_matchers;

    fn hold(matchers: &str) -> Option<bool> {
        let alert = labels(&[("alertname", "GatewayDown"), ("region", "eu-west-1")]);
        let conditions = Conditions::new(&read_matchers(matchers).ok()?).ok()?;
        Some(conditions.hold(&alert))
    }

    #[test]
    fn alerts_are_matched_as_alertmanager_does() {
        for (matchers, expected) in [
            ("alertname=GatewayDown", Some(true)),
            ("alertname=GatewayDown, region=us-east-1", Some(false)),
            ("alertname!=GatewaySlow, region=eu-west-1", Some(true)),
            // The whole label, and alternatives as a whole.
            ("alertname=~Gateway", Some(false)),
            ("alertname=~Slow|Gateway.*", Some(true)),
            ("region!~eu-.*, alertname=~.+", Some(false)),
            // A label that is not there is empty.
            ("alertname=GatewayDown, component=\"\"", Some(true)),
            ("component=~.+", Some(false)),
            // Wrong, or everything.
            ("alertname=~Gateway(", None),
            ("alertname=~\"(?:a{1000}){1000}\"", None),
            ("component=\"\"", None),
            ("alertname=~.*", None),
            ("alertname!=X", None),
            ("", None),
        ] {
            assert_eq!(hold(matchers), expected, "{matchers}");
        }
    }
}
