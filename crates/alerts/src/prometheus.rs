//! Prometheus as the second witness: before an alert counts as ended, it must agree.
//!
//! Alertmanager alone cannot be believed about an end. It forgets everything that it held when its memory goes, and it
//! ends an alert by itself when Prometheus has not repeated it for some minutes, that is, when Prometheus is away. Both
//! would turn the feed green by absence.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

const TIME_OUT: Duration = Duration::from_secs(2);

/// A client for the two questions that are asked of Prometheus.
#[derive(Clone, Debug)]
pub struct Prometheus {
    http: reqwest::Client,
    base: reqwest::Url,
    /// After a start, the first evaluations may see no samples yet; that long Prometheus is not believed.
    settling: time::Duration,
}

/// What Prometheus knows of its alerting rules at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Testimony {
    /// When the process started; of alerts before that it knows only what was restored.
    pub started_at: OffsetDateTime,
    /// Whether it has run long enough to be believed.
    pub settled: bool,
    /// Alerting rules.
    pub rules: Vec<Rule>,
}

/// An alerting rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The label `alertname` of its alerts.
    pub name: String,
    /// Whether it has been evaluated since the start, the last time without error.
    pub evaluated: bool,
    /// Pending and firing alerts of it.
    pub alerts: Vec<ActiveAlert>,
}

/// A pending or firing alert.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveAlert {
    /// Labels, without those that Prometheus adds when it sends (`external_labels`).
    pub labels: BTreeMap<String, String>,
    /// Since when its expression holds; never later than the start that Alertmanager is told.
    pub active_at: OffsetDateTime,
}

/// What the witness says of one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It has ended.
    Ended,
    /// It goes on, or may go on.
    GoesOn,
    /// Prometheus has no rule of that name: the alert comes from elsewhere, or the rule was taken away.
    Stranger,
    /// Prometheus is away, has just started, or cannot evaluate the rule.
    Unknown,
}

impl Testimony {
    /// Whether the episode with these labels, whose latest known start is `last_started_at`, has ended.
    pub fn of(&self, labels: &BTreeMap<String, String>, last_started_at: OffsetDateTime) -> Word {
        if !self.settled {
            return Word::Unknown;
        }
        let name = labels.get("alertname").map_or("", String::as_str);
        let mut rules = self.rules.iter().filter(|r| r.name == name).peekable();
        if rules.peek().is_none() {
            return Word::Stranger;
        }
        // What began after the episode's latest start is another stretch of firing, unless Prometheus started in
        // between: then it has forgotten when this one began.
        let remembers = self.started_at <= last_started_at;
        let mut word = Word::Ended;
        for rule in rules {
            let goes_on = rule
                .alerts
                .iter()
                .any(|a| compatible(&a.labels, labels) && !(remembers && a.active_at > last_started_at));
            if goes_on {
                return Word::GoesOn;
            }
            if !rule.evaluated {
                word = Word::Unknown;
            }
        }
        word
    }
}

/// Prometheus adds labels when it sends alerts and may drop some: labels that both sides have must agree.
fn compatible(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> bool {
    ours.iter()
        .all(|(k, v)| theirs.get(k).is_none_or(|other| other == v))
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct RuntimeInfo {
    #[serde(rename = "startTime", with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<ApiRule>,
}

#[derive(Deserialize)]
struct ApiRule {
    name: String,
    #[serde(default)]
    health: String,
    /// Year 1 before the first evaluation.
    #[serde(rename = "lastEvaluation", with = "time::serde::rfc3339")]
    last_evaluation: OffsetDateTime,
    #[serde(default)]
    alerts: Vec<ApiActive>,
}

#[derive(Deserialize)]
struct ApiActive {
    labels: BTreeMap<String, String>,
    #[serde(rename = "activeAt", with = "time::serde::rfc3339")]
    active_at: OffsetDateTime,
}

impl Prometheus {
    /// A client for the Prometheus at `base`.
    ///
    /// # Errors
    /// When the HTTP client cannot be built or `base` is no URL.
    pub fn new(base: &str, settling: Duration) -> anyhow::Result<Prometheus> {
        Ok(Prometheus {
            http: crate::engine_client(TIME_OUT)?,
            base: crate::engine_base(base)?,
            settling: time::Duration::try_from(settling)?,
        })
    }

    /// What Prometheus knows at this moment.
    ///
    /// # Errors
    /// When it does not answer in time or in another shape; then nothing may be concluded.
    pub async fn testimony(&self, now: OffsetDateTime) -> Result<Testimony, reqwest::Error> {
        let (info, rules) = futures::try_join!(
            self.get::<RuntimeInfo>("api/v1/status/runtimeinfo"),
            self.get::<Groups>("api/v1/rules?type=alert")
        )?;
        let rules = rules.groups.into_iter().flat_map(|g| g.rules).map(|r| Rule {
            evaluated: r.health == "ok" && r.last_evaluation >= info.started_at,
            name: r.name,
            alerts: r
                .alerts
                .into_iter()
                .map(|a| ActiveAlert {
                    labels: a.labels,
                    active_at: crate::observation::at_milliseconds(a.active_at),
                })
                .collect(),
        });
        Ok(Testimony {
            started_at: info.started_at,
            settled: now - info.started_at >= self.settling,
            rules: rules.collect(),
        })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, reqwest::Error> {
        let url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        let answer = async {
            self.http
                .get(url)
                .send()
                .await?
                .error_for_status()?
                .json::<Envelope<T>>()
                .await
        }
        .await;
        answer
            .map(|envelope| envelope.data)
            .map_err(reqwest::Error::without_url)
    }
}

#[cfg(test)]
mod tests {
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
}
