//! The way of an alert through Alertmanager's configuration: which receivers it comes to, in which group.
//!
//! It follows Alertmanager's `dispatch` word for word: the first route that matches takes the alert, and those after it
//! only see it when that route says `continue`; a route whose children take it does not take it itself.

use crate::matching::Conditions;
use bagua_model::silences::{MatchOp, Matcher, read_matchers};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The routing tree with its receivers.
#[derive(Debug)]
pub struct Routing {
    root: Route,
    /// Kinds of integrations of each receiver (`webhook`, `email`), as often as they are configured.
    receivers: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Route {
    written: Vec<Matcher>,
    conditions: Conditions,
    goes_on: bool,
    routes: Vec<Route>,
    end: Settings,
}

/// What a route says of its groups; what it leaves out it has from the route above.
#[derive(Clone, Debug)]
struct Settings {
    receiver: String,
    /// `None` groups by all labels.
    group_by: Option<BTreeSet<String>>,
    wait: String,
    interval: String,
    repeat: String,
    muted: Vec<String>,
    active: Vec<String>,
    key: String,
}

/// One way that an alert goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Name of the receiver.
    pub receiver: String,
    /// Its integrations; none tells nobody.
    pub integrations: Vec<String>,
    /// The labels of the group.
    pub group: BTreeMap<String, String>,
    /// Alertmanager's key of the group.
    pub key: String,
    /// How long a new group waits before it is told, as the configuration writes it.
    pub wait: String,
    /// How long a group that was told waits before it is told of something new.
    pub interval: String,
    /// After how long it is told again.
    pub repeat: String,
    /// Time intervals during which nobody is told.
    pub muted: Vec<String>,
    /// Time intervals outside of which nobody is told.
    pub active: Vec<String>,
}

/// Why the configuration is not understood.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    /// No YAML, or of another shape.
    #[error("Alertmanager's configuration is not understood")]
    Shape(#[from] serde_yaml_ng::Error),
    /// A matcher.
    #[error("Alertmanager's configuration has a matcher that is not understood: {0}")]
    Matcher(String),
}

#[derive(Deserialize)]
struct File {
    route: Written,
    #[serde(default)]
    receivers: Vec<Receiver>,
}

#[derive(Deserialize)]
struct Receiver {
    name: String,
    #[serde(flatten)]
    more: BTreeMap<String, serde_yaml_ng::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Written {
    receiver: Option<String>,
    group_by: Vec<String>,
    matchers: Vec<String>,
    #[serde(rename = "match")]
    is: BTreeMap<String, String>,
    #[serde(rename = "match_re")]
    like: BTreeMap<String, String>,
    #[serde(rename = "continue")]
    goes_on: bool,
    routes: Vec<Written>,
    group_wait: Option<String>,
    group_interval: Option<String>,
    repeat_interval: Option<String>,
    mute_time_intervals: Vec<String>,
    active_time_intervals: Vec<String>,
}

impl Routing {
    /// Reads the configuration as `GET /api/v2/status` tells it.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn read(text: &str) -> Result<Routing, RoutingError> {
        let file: File = serde_yaml_ng::from_str(text)?;
        // As Alertmanager's own defaults.
        let above = Settings {
            receiver: String::new(),
            group_by: Some(BTreeSet::new()),
            wait: "30s".into(),
            interval: "5m".into(),
            repeat: "4h".into(),
            muted: Vec::new(),
            active: Vec::new(),
            key: String::new(),
        };
        let receivers = file.receivers.into_iter().map(|receiver| {
            let kinds = receiver.more.iter().flat_map(|(name, list)| {
                let kind = name.strip_suffix("_configs").unwrap_or(name).to_owned();
                let times = list.as_sequence().map_or(0, Vec::len);
                std::iter::repeat_n(kind, times)
            });
            (receiver.name, kinds.collect())
        });
        Ok(Routing {
            root: Route::new(file.route, &above)?,
            receivers: receivers.collect(),
        })
    }

    /// The ways that an alert with these labels goes, in Alertmanager's order.
    pub fn legs(&self, labels: &BTreeMap<String, String>) -> Vec<Leg> {
        let mut ends = Vec::new();
        self.root.take(labels, &mut ends);
        ends.into_iter().map(|end| self.leg(end, labels)).collect()
    }

    fn leg(&self, end: &Settings, labels: &BTreeMap<String, String>) -> Leg {
        let grouped = |name: &&String| end.group_by.as_ref().is_none_or(|by| by.contains(*name));
        let group: BTreeMap<String, String> = labels
            .iter()
            .filter(|(name, _)| grouped(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Leg {
            receiver: end.receiver.clone(),
            integrations: self.receivers.get(&end.receiver).cloned().unwrap_or_default(),
            key: format!("{}:{}", end.key, label_set(&group)),
            group,
            wait: end.wait.clone(),
            interval: end.interval.clone(),
            repeat: end.repeat.clone(),
            muted: end.muted.clone(),
            active: end.active.clone(),
        }
    }
}

impl Route {
    fn new(written: Written, above: &Settings) -> Result<Route, RoutingError> {
        let mut matchers = Vec::new();
        for (label, value) in written.is {
            matchers.push(Matcher::equal(label, value));
        }
        for (label, value) in written.like {
            let op = MatchOp::Matches;
            matchers.push(Matcher { label, op, value });
        }
        for text in written.matchers {
            matchers.extend(read_matchers(&text).map_err(RoutingError::Matcher)?);
        }
        matchers.sort_by(|a, b| (&a.label, &a.value).cmp(&(&b.label, &b.value)));
        let conditions = Conditions::as_configured(&matchers).map_err(RoutingError::Matcher)?;
        let group_by = match written.group_by.iter().any(|label| label == "...") {
            true => None,
            false if written.group_by.is_empty() => above.group_by.clone(),
            false => Some(written.group_by.into_iter().collect()),
        };
        let own = |here: Option<String>, above: &String| here.unwrap_or_else(|| above.clone());
        let slash = if above.key.is_empty() { "" } else { "/" };
        let end = Settings {
            receiver: own(written.receiver.filter(|r| !r.is_empty()), &above.receiver),
            group_by,
            wait: own(written.group_wait, &above.wait),
            interval: own(written.group_interval, &above.interval),
            repeat: own(written.repeat_interval, &above.repeat),
            // These are not handed down.
            muted: written.mute_time_intervals,
            active: written.active_time_intervals,
            key: format!("{}{slash}{}", above.key, matcher_set(&matchers)),
        };
        let routes: Result<Vec<_>, _> = written.routes.into_iter().map(|r| Route::new(r, &end)).collect();
        Ok(Route {
            written: matchers,
            conditions,
            goes_on: written.goes_on,
            routes: routes?,
            end,
        })
    }

    /// Whether this route takes the alert, by itself or by a route below.
    fn take<'a>(&'a self, labels: &BTreeMap<String, String>, ends: &mut Vec<&'a Settings>) -> bool {
        if !self.written.is_empty() && !self.conditions.hold(labels) {
            return false;
        }
        let before = ends.len();
        for route in &self.routes {
            if route.take(labels, ends) && !route.goes_on {
                break;
            }
        }
        if ends.len() == before {
            ends.push(&self.end);
        }
        true
    }
}

/// `{alertname="X"}`, as Alertmanager writes matchers.
fn matcher_set(matchers: &[Matcher]) -> String {
    let mut out = String::from("{");
    for (n, matcher) in matchers.iter().enumerate() {
        let _ = write!(
            out,
            "{}{}{}{}",
            comma(n, ","),
            matcher.label,
            matcher.op,
            quoted(&matcher.value)
        );
    }
    out + "}"
}

/// `{alertname="X", region="y"}`, as Alertmanager writes label sets.
fn label_set(labels: &BTreeMap<String, String>) -> String {
    let mut out = String::from("{");
    for (n, (name, value)) in labels.iter().enumerate() {
        let _ = write!(out, "{}{name}={}", comma(n, ", "), quoted(value));
    }
    out + "}"
}

fn comma(n: usize, comma: &'static str) -> &'static str {
    if n == 0 { "" } else { comma }
}

fn quoted(value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// A duration as Alertmanager's configuration writes it (`1m30s`).
pub fn seconds(written: &str) -> Option<u64> {
    let (mut total, mut number, mut rest) = (0_f64, String::new(), written);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let milliseconds = c == 'm' && rest.starts_with('s');
        let unit = match c {
            'm' if milliseconds => 0.001,
            's' => 1.0,
            'm' => 60.0,
            'h' => 3_600.0,
            'd' => 86_400.0,
            'w' => 7.0 * 86_400.0,
            'y' => 365.0 * 86_400.0,
            _ => return None,
        };
        if milliseconds {
            rest = &rest[1..];
        }
        total += number.parse::<f64>().ok()? * unit;
        number.clear();
    }
    number.is_empty().then_some(total.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::tests::labels;

    const TREE: &str = "
route:
  receiver: default
  group_by: [alertname, region]
  group_wait: 10s
  routes:
  - receiver: a
    matchers: ['severity=\"critical\"', 'region=~\"eu-.*\"']
    continue: true
    mute_time_intervals: [nights]
  - receiver: b
    match: {severity: critical}
    repeat_interval: 1h
    routes:
    - {receiver: c, match_re: {component: 'gate.*|runner'}, group_by: ['...'], group_wait: 1m30s}
receivers:
- name: default
- {name: a, email_configs: [{to: x}], webhook_configs: [{url: y}, {url: z}]}
- {name: b}
- {name: c, webhook_configs: [{url: x}]}
";

    #[test]
    fn an_alert_goes_on_past_a_route_that_says_so_and_down_to_the_last_that_takes_it() {
        let routing = Routing::read(TREE).expect("it is a configuration");
        let alert = labels(&[
            ("alertname", "X"),
            ("severity", "critical"),
            ("region", "eu-west-1"),
            ("component", "gateway"),
        ]);
        let legs = routing.legs(&alert);
        assert_eq!(
            legs.iter().map(|l| l.receiver.as_str()).collect::<Vec<_>>(),
            ["a", "c"]
        );
        assert_eq!(legs[0].integrations, ["email", "webhook", "webhook"]);
        assert_eq!(
            (legs[0].wait.as_str(), legs[0].muted.as_slice()),
            ("10s", &["nights".to_owned()][..])
        );
        assert_eq!(
            legs[0].key,
            r#"{}/{region=~"eu-.*",severity="critical"}:{alertname="X", region="eu-west-1"}"#
        );
        assert_eq!(
            (
                legs[1].group.len(),
                legs[1].wait.as_str(),
                legs[1].repeat.as_str()
            ),
            (4, "1m30s", "1h")
        );
        assert!(legs[1].muted.is_empty());
        let other = routing.legs(&labels(&[("alertname", "X")]));
        assert_eq!((other.len(), other[0].receiver.as_str()), (1, "default"));
        assert!(other[0].integrations.is_empty());
    }

    #[test]
    fn durations_are_read_as_they_are_written() {
        for (written, expected) in [
            ("0s", Some(0)),
            ("1m30s", Some(90)),
            ("4h", Some(14_400)),
            ("200ms", Some(1)),
            ("1d", Some(86_400)),
            ("90", None),
            ("1x", None),
        ] {
            assert_eq!(seconds(written), expected, "{written}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        assert!(Routing::read("receivers: []").is_err());
        assert!(Routing::read("route: {receiver: a, matchers: ['nonsense']}").is_err());
    }
}
