//! What the room has to know: where its engines are, and which components there are.

use bagua_model::region::{Environment, RegionId};
use bagua_model::regions::ComponentId;
use bagua_model::settings::Settings;
use std::path::PathBuf;

/// Services without which alerts no longer reach anybody.
const ALERT_PIPELINE: [&str; 2] = ["prometheus", "alertmanager"];

/// Configuration of the room.
#[derive(Clone, Debug)]
pub struct RegionsConfig {
    /// The environment that this console looks after.
    pub environment: Environment,
    /// Base URL of Prometheus; may carry a password.
    pub prometheus_url: String,
    /// The supervisor's Unix socket; none where something else runs the processes.
    pub supervisor_socket: Option<PathBuf>,
    /// Regions in the order of every list.
    pub regions: Vec<RegionId>,
    /// The inventory: what should be there. What is not in it is not shown; what is in it and sends no data is `unknown`.
    pub components: Vec<ComponentConfig>,
}

/// One component of the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentConfig {
    /// `<region>/<service>`.
    pub id: ComponentId,
    /// The console or the alert pipeline needs it: stopping it wants a second person.
    pub critical: bool,
    /// Where its health can be asked over HTTP; none for those that speak no HTTP.
    pub health_url: Option<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` cannot be used: {remedy}")]
pub struct ConfigError {
    /// The key in the configuration file.
    pub key: &'static str,
    /// What is wrong with it and what to write.
    pub remedy: String,
}

impl RegionsConfig {
    /// Reads the room's part of the configuration file.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<RegionsConfig, ConfigError> {
        let environment = settings.environment.parse().map_err(|remedy| ConfigError {
            key: "environment",
            remedy,
        })?;
        let mut components = Vec::with_capacity(settings.components.len());
        for component in &settings.components {
            let id: ComponentId = component.id.parse().map_err(|remedy| ConfigError {
                key: "components.id",
                remedy,
            })?;
            components.push(ComponentConfig {
                critical: component.critical || ALERT_PIPELINE.contains(&component.service.as_str()),
                health_url: health_url(&component.service, &component.url),
                id,
            });
        }
        let config = RegionsConfig {
            environment,
            prometheus_url: settings.prometheus.url.expose().to_owned(),
            supervisor_socket: settings.supervisor.as_ref().map(|s| s.socket.clone()),
            regions: settings.regions.iter().map(RegionId::new).collect(),
            components,
        };
        config.validate()?;
        Ok(config)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// When a region or component stands twice, or a component is in no region.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (n, region) in self.regions.iter().enumerate() {
            if region.as_str() == RegionId::GLOBAL || self.regions[..n].contains(region) {
                return Err(ConfigError {
                    key: "regions",
                    remedy: format!("name `{region}` once, and never `global`"),
                });
            }
        }
        for (n, component) in self.components.iter().enumerate() {
            let id = &component.id;
            if self.components[..n].iter().any(|other| other.id == *id) {
                return Err(ConfigError {
                    key: "components.id",
                    remedy: format!("`{id}` stands twice; keep one"),
                });
            }
            if id.region.as_str() != RegionId::GLOBAL && !self.regions.contains(&id.region) {
                let remedy = format!("`{id}` is in a region that `regions` does not name; add it there");
                return Err(ConfigError {
                    key: "components.region",
                    remedy,
                });
            }
        }
        Ok(())
    }

    /// The component with this id.
    pub fn component(&self, id: &ComponentId) -> Option<&ComponentConfig> {
        self.components.iter().find(|c| c.id == *id)
    }
}

/// Where a service says that it can work, by the conventions of the programs that we run.
fn health_url(service: &str, url: &str) -> Option<String> {
    let base = url.strip_suffix('/').unwrap_or(url);
    base.starts_with("http://").then(|| match service {
        "prometheus" | "alertmanager" => format!("{base}/-/ready"),
        "blackbox-exporter" => format!("{base}/-/healthy"),
        "node-exporter" | "postgres-exporter" => format!("{base}/"),
        "console" => format!("{base}/healthz"),
        _ => format!("{base}/health"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(regions: &[&str], components: &[&str]) -> Result<RegionsConfig, String> {
        let mut all = Vec::new();
        for id in components {
            all.push(ComponentConfig {
                id: id.parse()?,
                critical: false,
                health_url: None,
            });
        }
        Ok(RegionsConfig {
            environment: Environment::Dev,
            prometheus_url: "http://127.0.0.1:9090".into(),
            supervisor_socket: None,
            regions: regions.iter().copied().map(RegionId::new).collect(),
            components: all,
        })
    }

    #[test]
    fn an_inventory_names_each_component_once_and_in_a_known_region() -> Result<(), String> {
        assert!(
            config(&["eu-west-1"], &["eu-west-1/gateway", "global/postgres"])?
                .validate()
                .is_ok()
        );
        assert!(
            config(&["eu-west-1"], &["eu-west-1/gateway", "eu-west-1/gateway"])?
                .validate()
                .is_err()
        );
        assert!(
            config(&["eu-west-1"], &["us-west-2/gateway"])?
                .validate()
                .is_err()
        );
        assert!(config(&["eu-west-1", "eu-west-1"], &[])?.validate().is_err());
        assert!(config(&["global"], &[])?.validate().is_err());
        Ok(())
    }

    #[test]
    fn only_http_services_have_a_health_address() {
        assert_eq!(
            health_url("gateway", "http://127.0.0.1:3011"),
            Some("http://127.0.0.1:3011/health".into())
        );
        assert_eq!(
            health_url("prometheus", "http://127.0.0.1:3003/"),
            Some("http://127.0.0.1:3003/-/ready".into())
        );
        assert_eq!(health_url("postgres", "postgres://127.0.0.1:3001"), None);
    }
}
