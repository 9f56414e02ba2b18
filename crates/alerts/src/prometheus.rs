//! Prometheus as the second witness: before an alert counts as ended, it must agree.
//!
//! Alertmanager alone cannot be believed about an end. It forgets everything that it held when its memory goes, and it
//! ends an alert by itself when Prometheus has not repeated it for some minutes, that is, when Prometheus is away. Both
//! would turn the feed green by absence.

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
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
        self.judge().of(labels, last_started_at)
    }

    /// The testimony, prepared for many questions: a storm of ends must not compare each alert with each.
    pub fn judge(&self) -> Judge<'_> {
        let mut rules: HashMap<&str, Vec<RuleIndex<'_>>> = HashMap::new();
        for rule in &self.rules {
            rules.entry(&rule.name).or_default().push(RuleIndex::new(rule));
        }
        Judge {
            testimony: self,
            rules,
        }
    }
}

/// A [`Testimony`] with its alerts in order.
pub struct Judge<'a> {
    testimony: &'a Testimony,
    rules: HashMap<&'a str, Vec<RuleIndex<'a>>>,
}

/// A rule's alerts by the values of the labels that all of them have.
struct RuleIndex<'a> {
    rule: &'a Rule,
    common: Vec<&'a str>,
    alerts: HashMap<Vec<&'a str>, Vec<&'a ActiveAlert>>,
}

impl<'a> RuleIndex<'a> {
    fn new(rule: &'a Rule) -> RuleIndex<'a> {
        let mut common: Vec<&str> = rule
            .alerts
            .first()
            .map(|first| first.labels.keys().map(String::as_str).collect())
            .unwrap_or_default();
        for alert in &rule.alerts {
            common.retain(|label| alert.labels.contains_key(*label));
        }
        let mut alerts: HashMap<Vec<&str>, Vec<&ActiveAlert>> = HashMap::new();
        for alert in &rule.alerts {
            let values = common.iter().filter_map(|label| alert.labels.get(*label));
            let values = values.map(String::as_str).collect();
            alerts.entry(values).or_default().push(alert);
        }
        RuleIndex { rule, common, alerts }
    }

    /// Alerts that may be the one with these labels.
    fn candidates<'s>(
        &'s self,
        labels: &'s BTreeMap<String, String>,
    ) -> Box<dyn Iterator<Item = &'a ActiveAlert> + 's> {
        let values: Option<Vec<&str>> = self
            .common
            .iter()
            .map(|label| labels.get(*label).map(String::as_str))
            .collect();
        match values {
            Some(values) => Box::new(self.alerts.get(&values).into_iter().flatten().copied()),
            // A label was dropped on the way to Alertmanager: each is a candidate.
            None => Box::new(self.alerts.values().flatten().copied()),
        }
    }
}

impl Judge<'_> {
    /// As [`Testimony::of`].
    pub fn of(&self, labels: &BTreeMap<String, String>, last_started_at: OffsetDateTime) -> Word {
        if !self.testimony.settled {
            return Word::Unknown;
        }
        let name = labels.get("alertname").map_or("", String::as_str);
        let Some(rules) = self.rules.get(name) else {
            return Word::Stranger;
        };
        // What began after the episode's latest start is another stretch of firing, unless Prometheus started in
        // between: then it has forgotten when this one began.
        let remembers = self.testimony.started_at <= last_started_at;
        let mut word = Word::Ended;
        for index in rules {
            let goes_on = index
                .candidates(labels)
                .any(|a| compatible(&a.labels, labels) && !(remembers && a.active_at > last_started_at));
            if goes_on {
                return Word::GoesOn;
            }
            if !index.rule.evaluated {
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

/// What an instant query found.
#[derive(Deserialize)]
struct Found {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: HashMap<String, String>,
    value: (f64, String),
}

impl Found {
    /// Prometheus writes numbers as text. What is no number (`NaN`: nothing was there to count) is not known, which is
    /// not the same as none.
    fn by_label(self, label: &str) -> HashMap<String, f64> {
        let samples = self.result.into_iter().filter_map(|mut sample| {
            let value = sample.value.1.parse().ok().filter(|v: &f64| v.is_finite())?;
            Some((sample.metric.remove(label)?, value))
        });
        samples.collect()
    }
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

    /// What an instant query finds, by the value of one label.
    ///
    /// # Errors
    /// When it does not answer in time or in another shape.
    pub async fn by_label(&self, query: &str, label: &str) -> Result<HashMap<String, f64>, reqwest::Error> {
        let mut url = self
            .base
            .join("api/v1/query")
            .unwrap_or_else(|_| self.base.clone());
        url.query_pairs_mut().append_pair("query", query);
        let found: Found = self.fetch(url).await?;
        Ok(found.by_label(label))
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, reqwest::Error> {
        self.fetch(self.base.join(path).unwrap_or_else(|_| self.base.clone()))
            .await
    }

    async fn fetch<T: serde::de::DeserializeOwned>(&self, url: reqwest::Url) -> Result<T, reqwest::Error> {
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
mod tests;
