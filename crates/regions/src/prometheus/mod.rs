//! Prometheus, over its HTTP API: instant queries, range queries, readiness.

use reqwest::{Client, Url};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

mod expressions;
pub(crate) use expressions::{COMPARED, FIGURES, WORLD, figure_key, fresh_sum, trend_expression};

/// How long one question may take. Longer than any healthy answer, short enough that the map says "no data" in time.
pub const TIME_OUT: Duration = Duration::from_secs(3);

/// Why Prometheus gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// The configured address is not one.
    #[error("`{0}` is no address of a Prometheus; write http://host:port")]
    Address(String),
    /// Nobody answered, or too late.
    #[error("Prometheus does not answer")]
    Away(#[source] reqwest::Error),
    /// It answered, but not with what was asked for.
    #[error("Prometheus refused the query ({kind}): {message}")]
    Refused {
        /// Its own error type, `bad_data`, `timeout` …, or the HTTP status.
        kind: String,
        /// Its own words.
        message: String,
    },
}

impl From<reqwest::Error> for PrometheusError {
    fn from(error: reqwest::Error) -> Self {
        // The address may carry a password.
        PrometheusError::Away(error.without_url())
    }
}

/// One series of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Labels, the metric's name among them as `__name__` when the expression keeps it.
    pub labels: BTreeMap<String, String>,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

/// One series of a range query: Unix seconds and values. A missing point is a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSeries {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Points in order of time.
    pub points: Vec<(i64, f64)>,
}

/// A connection to one Prometheus.
#[derive(Clone, Debug)]
pub struct Prometheus {
    http: Client,
    base: Url,
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<VectorRow>),
    Matrix(Vec<MatrixRow>),
    Scalar((f64, String)),
}

#[derive(Deserialize)]
struct VectorRow {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Deserialize)]
struct MatrixRow {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Prometheus {
    /// A client for `url`, which may carry a path prefix and a password.
    ///
    /// # Errors
    /// When `url` is no http address.
    pub fn new(url: &str) -> Result<Prometheus, PrometheusError> {
        let wrong = || PrometheusError::Address(redact(url));
        let mut base = Url::parse(url).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong());
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        // Without `no_proxy` a proxy of the environment would be asked for the loopback address.
        let http = Client::builder()
            .no_proxy()
            .timeout(TIME_OUT)
            .connect_timeout(Duration::from_secs(1))
            .build()
            .map_err(PrometheusError::from)?;
        Ok(Prometheus { http, base })
    }

    /// Whether it is ready to serve.
    ///
    /// # Errors
    /// When it does not answer, or says that it is not ready.
    pub async fn ready(&self) -> Result<(), PrometheusError> {
        let response = self.http.get(self.url("-/ready")?).send().await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(PrometheusError::Refused {
            kind: response.status().to_string(),
            message: shorten(&response.text().await.unwrap_or_default()),
        })
    }

    /// The value of every series that `expression` matches now.
    ///
    /// # Errors
    /// When it does not answer or refuses the expression.
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>, PrometheusError> {
        match self
            .post("api/v1/query", &[("query", expression), ("timeout", "2s")])
            .await?
        {
            Data::Vector(rows) => Ok(rows
                .into_iter()
                .filter_map(|row| {
                    Some(Sample {
                        labels: row.metric,
                        value: number(&row.value.1)?,
                    })
                })
                .collect()),
            Data::Scalar((_, value)) => Ok(number(&value)
                .map(|value| Sample {
                    labels: BTreeMap::new(),
                    value,
                })
                .into_iter()
                .collect()),
            Data::Matrix(_) => Err(unexpected("a vector")),
        }
    }

    /// The values of `expression` from `from` until `until` (Unix seconds), one every `step` seconds.
    ///
    /// # Errors
    /// When it does not answer or refuses the expression.
    pub async fn query_range(
        &self,
        expression: &str,
        from: i64,
        until: i64,
        step: i64,
    ) -> Result<Vec<RangeSeries>, PrometheusError> {
        let (from, until, step) = (from.to_string(), until.to_string(), step.to_string());
        let parameters = [
            ("query", expression),
            ("start", from.as_str()),
            ("end", until.as_str()),
            ("step", step.as_str()),
            ("timeout", "2s"),
        ];
        match self.post("api/v1/query_range", &parameters).await? {
            Data::Matrix(rows) => Ok(rows
                .into_iter()
                .map(|row| RangeSeries {
                    labels: row.metric,
                    // Steps are whole seconds, so cutting the fraction off loses nothing.
                    points: row
                        .values
                        .into_iter()
                        .filter_map(|(at, v)| Some((at as i64, number(&v)?)))
                        .collect(),
                })
                .collect()),
            _ => Err(unexpected("a matrix")),
        }
    }

    async fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Data, PrometheusError> {
        // A POST, since expressions may be longer than a URL should be.
        let mut form = self.url("")?;
        form.query_pairs_mut().clear().extend_pairs(parameters);
        let response = self
            .http
            .post(self.url(path)?)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned())
            .send()
            .await?;
        let status = response.status();
        let body = response.bytes().await?;
        let refused = |kind: String, message: String| PrometheusError::Refused { kind, message };
        let envelope: Envelope = serde_json::from_slice(&body)
            .map_err(|_| refused(status.to_string(), shorten(&String::from_utf8_lossy(&body))))?;
        match envelope.data {
            Some(data) if envelope.status == "success" => Ok(data),
            _ => Err(refused(envelope.error_type, shorten(&envelope.error))),
        }
    }

    fn url(&self, path: &str) -> Result<Url, PrometheusError> {
        self.base
            .join(path)
            .map_err(|_| PrometheusError::Address(redact(self.base.as_str())))
    }
}

/// Prometheus writes numbers as text, since JSON has no NaN.
fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok(),
    }
}

fn unexpected(wanted: &str) -> PrometheusError {
    PrometheusError::Refused {
        kind: "bad_response".into(),
        message: format!("the answer is not {wanted}"),
    }
}

fn shorten(text: &str) -> String {
    text.trim().chars().take(300).collect()
}

/// The address without user and password.
fn redact(url: &str) -> String {
    match url.split_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_without_its_password() {
        for bad in ["", "prometheus:9090", "ftp://host", "/path"] {
            assert!(Prometheus::new(bad).is_err(), "{bad}");
        }
        let error = Prometheus::new("ftp://me:secret@host")
            .map(|_| ())
            .map_err(|e| e.to_string());
        assert!(error.is_err_and(|e| !e.contains("secret") && e.contains("host")));
    }

    #[test]
    fn a_path_prefix_is_kept() -> Result<(), PrometheusError> {
        let prometheus = Prometheus::new("http://127.0.0.1:9090/prom")?;
        assert_eq!(prometheus.url("api/v1/query")?.path(), "/prom/api/v1/query");
        Ok(())
    }
}
