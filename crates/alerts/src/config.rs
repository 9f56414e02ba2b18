//! What the room needs to know of the outside.

use std::fmt;

/// Where the engines are and what Alertmanager must show to be heard.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertsConfig {
    /// Base URL of Alertmanager; may carry a password.
    pub alertmanager_url: String,
    /// Base URL of the Prometheus whose rules fire the alerts; may carry a password.
    pub prometheus_url: String,
    /// Bearer token of the webhook.
    pub webhook_token: String,
}

/// Below this a token could be guessed over the network.
const SHORTEST_TOKEN: usize = 24;

impl AlertsConfig {
    /// Checks what the types alone cannot say.
    ///
    /// # Errors
    /// The first value that cannot be used, with the remedy. The value is left out: it may be a secret.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key, remedy| Err(ConfigError { key, remedy });
        for (key, url) in [
            ("alertmanager.url", &self.alertmanager_url),
            ("prometheus.url", &self.prometheus_url),
        ] {
            let usable = reqwest::Url::parse(url)
                .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
            if !usable {
                return refuse(key, "write http://host:port");
            }
            if url.contains(['?', '#']) {
                return refuse(key, "leave the query and the fragment off");
            }
        }
        if self.webhook_token.len() < SHORTEST_TOKEN {
            return refuse("alerts.webhook_token", "use at least 24 random characters");
        }
        Ok(())
    }
}

impl fmt::Debug for AlertsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All three may hold a secret.
        f.debug_struct("AlertsConfig").finish_non_exhaustive()
    }
}

/// A value that cannot be used, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of `{key}` cannot be used: {remedy}")]
pub struct ConfigError {
    /// Dotted path of the key in the configuration file.
    pub key: &'static str,
    /// What to write instead.
    pub remedy: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AlertsConfig {
        AlertsConfig {
            alertmanager_url: "http://127.0.0.1:3004".into(),
            prometheus_url: "http://user:word@prometheus.internal/base".into(),
            webhook_token: "0123456789abcdef01234567".into(),
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_its_remedy() {
        assert_eq!(config().validate(), Ok(()));
        let key = |c: AlertsConfig| c.validate().err().map(|e| e.key);
        assert_eq!(
            key(AlertsConfig {
                alertmanager_url: "127.0.0.1:3004".into(),
                ..config()
            }),
            Some("alertmanager.url")
        );
        assert_eq!(
            key(AlertsConfig {
                prometheus_url: "ftp://x".into(),
                ..config()
            }),
            Some("prometheus.url")
        );
        assert_eq!(
            key(AlertsConfig {
                webhook_token: "short".into(),
                ..config()
            }),
            Some("alerts.webhook_token")
        );
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let shown = format!("{:?}", config());
        assert!(
            !shown.contains("word") && !shown.contains("0123456789"),
            "{shown}"
        );
    }
}
