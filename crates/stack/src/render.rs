//! Every configuration file, as text. Pure, so that each can be read in a test and checked by its engine's own tool.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use bagua_model::settings::{
    Alerts, Cell, ClientHeader, Component, Database, Engine, Keys, Listen, Metrics, Secret, Settings,
    Supervisor, Telegram, TelegramServer, Webhook,
};
use serde::Deserialize;
use serde_json::json;

use crate::error::StackError;
use crate::layout::Layout;
use crate::secrets::{Secrets, master_key_file};

/// The rules that ship with the console.
pub(crate) const RULES: &str = include_str!("../rules/bagua.rules.yml");

/// `pg_hba.conf`: passwords from loopback, nothing else.
pub(crate) const POSTGRES_ACCESS: &str = "# Written by `bagua up` at each start; changes are lost.
host all all 127.0.0.1/32 scram-sha-256
";

/// `blackbox.yml`.
pub(crate) const BLACKBOX: &str = "# Written by `bagua up` at each start; changes are lost.
modules:
  http_2xx:
    prober: http
    timeout: 2s
    http:
      preferred_ip_protocol: ip4
      follow_redirects: false
";

/// Name of a region's data database.
pub(crate) fn data_database(region: &str) -> String {
    format!("bagua_data_{}", region.replace('-', "_"))
}

/// The control database.
pub(crate) const CONTROL_DATABASE: &str = "bagua_control";

/// The key store. On one machine it lies in the same cluster; its master key lies outside of it.
pub(crate) const KEY_DATABASE: &str = "bagua_keys";

/// Everything that the files are made from.
#[derive(Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) secrets: &'a Secrets,
    pub(crate) environment: &'a str,
    pub(crate) site: Option<PathBuf>,
    /// Whether PostgreSQL can load `pg_stat_statements`.
    pub(crate) statement_statistics: bool,
    /// Where rules of bots may post updates to.
    pub(crate) webhooks: Vec<Webhook>,
}

/// The file in the data folder in which a person names them. It is read at each start and never written.
pub(crate) const WEBHOOKS: &str = "webhooks.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(default)]
    webhooks: Vec<Webhook>,
}

/// The addresses that the data folder names; none without the file.
pub(crate) fn webhooks(layout: &Layout) -> Result<Vec<Webhook>, StackError> {
    let path = layout.path(WEBHOOKS);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StackError::file("Reading", &path, error)),
    };
    let named: Named = toml::from_str(&text).map_err(|error| {
        // toml quotes the faulty line, which may hold a secret.
        StackError::BadOption(format!("{}: {}", path.display(), error.message()))
    })?;
    Ok(named.webhooks)
}

impl Inputs<'_> {
    fn database_url(&self, role: &str, password: &Secret, database: &str) -> Secret {
        Secret::new(format!(
            "postgres://{role}:{}@127.0.0.1:{}/{database}?sslmode=disable",
            password.expose(),
            self.layout.port_of("postgres")
        ))
    }

    /// Connection of the exporter, which may read statistics and nothing else.
    pub(crate) fn monitor_url(&self) -> Secret {
        self.database_url("bagua_monitor", &self.secrets.postgres_monitor, "postgres")
    }

    fn http(&self, service: &str) -> Engine {
        Engine {
            url: Secret::new(format!("http://127.0.0.1:{}", self.layout.port_of(service))),
        }
    }

    /// What our own roles read.
    pub(crate) fn settings(&self) -> Settings {
        let owner = |database: &str| self.database_url("bagua_owner", &self.secrets.postgres_owner, database);
        let app = |database: &str| self.database_url("bagua_app", &self.secrets.postgres_app, database);
        Settings {
            environment: self.environment.to_owned(),
            regions: self.layout.regions.clone(),
            site: self.site.clone(),
            listen: Listen {
                address: ([127, 0, 0, 1], self.layout.port).into(),
                public_url: self.layout.public_url(),
                trusted_proxies: Vec::new(),
                client_header: ClientHeader::default(),
            },
            control: Database {
                url: app(CONTROL_DATABASE),
                owner_url: Some(owner(CONTROL_DATABASE)),
            },
            redis: Engine {
                url: Secret::new(format!(
                    "redis://:{}@127.0.0.1:{}",
                    self.secrets.redis.expose(),
                    self.layout.port_of("redis")
                )),
            },
            prometheus: self.http("prometheus"),
            alertmanager: self.http("alertmanager"),
            supervisor: Some(Supervisor {
                socket: self.layout.socket(),
            }),
            alerts: Alerts {
                webhook_token: self.secrets.webhook_token.clone(),
            },
            api: Default::default(),
            metrics: Metrics {
                token: self.secrets.metrics_token.clone(),
            },
            keys: Some(Keys {
                url: app(KEY_DATABASE),
                owner_url: Some(owner(KEY_DATABASE)),
                master_key_file: master_key_file(self.layout),
            }),
            telegram: self.telegram(),
            webhooks: self.webhooks.clone(),
            cells: self
                .layout
                .regions
                .iter()
                .map(|region| Cell {
                    region: region.clone(),
                    url: app(&data_database(region)),
                    owner_url: Some(owner(&data_database(region))),
                    // The simulator runs on this machine and pushes to this address; Telegram's cloud takes no such one.
                    webhook_url: self.layout.demo_bots.then(|| self.layout.gateway_url(region)),
                })
                .collect(),
            components: self
                .layout
                .parts()
                .into_iter()
                .map(|part| Component {
                    id: part.id(),
                    url: part.url(),
                    region: part.region,
                    service: part.service.to_owned(),
                    port: part.port,
                    critical: part.critical,
                })
                .collect(),
        }
    }

    /// Telegram itself, and the stand-in while it runs.
    fn telegram(&self) -> Telegram {
        let mut telegram = Telegram::default();
        if self.layout.demo_bots {
            telegram.servers.push(TelegramServer {
                name: "simulator".to_owned(),
                url: self.layout.simulator_url(),
                simulator: true,
            });
        }
        telegram
    }

    /// `postgresql.conf`. No Unix socket: its path may be too long, and TCP on loopback serves everyone.
    pub(crate) fn postgres(&self) -> String {
        let preload = if self.statement_statistics {
            "shared_preload_libraries = 'pg_stat_statements'\n"
        } else {
            ""
        };
        format!(
            "# Written by `bagua up` at each start; changes are lost.\n\
             listen_addresses = '127.0.0.1'\n\
             port = {}\n\
             unix_socket_directories = ''\n\
             max_connections = 300\n\
             shared_buffers = 128MB\n\
             password_encryption = 'scram-sha-256'\n\
             timezone = 'UTC'\n\
             log_timezone = 'UTC'\n\
             log_line_prefix = '%m [%p] %q%u@%d '\n\
             log_min_duration_statement = '2s'\n\
             log_checkpoints = off\n\
             cluster_name = 'bagua'\n\
             {preload}",
            self.layout.port_of("postgres"),
        )
    }

    /// `redis.conf`. Nothing is written to disk: whatever is in Redis may vanish.
    pub(crate) fn redis(&self) -> String {
        format!(
            "# Written by `bagua up` at each start; changes are lost.\n\
             bind 127.0.0.1\n\
             port {}\n\
             protected-mode yes\n\
             requirepass {}\n\
             dir \"{}\"\n\
             daemonize no\n\
             save \"\"\n\
             appendonly no\n\
             maxmemory 128mb\n\
             maxmemory-policy allkeys-lru\n",
            self.layout.port_of("redis"),
            self.secrets.redis.expose(),
            self.layout.path("redis").display(),
        )
    }

    /// `alertmanager.yml`.
    pub(crate) fn alertmanager(&self) -> String {
        format!(
            r#"# Written by `bagua up` at each start; changes are lost.
route:
  receiver: console
  group_by: [alertname, region, component]
  # One machine: the console is told at once, and people are told by the console.
  group_wait: 1s
  group_interval: 5s
  repeat_interval: 4h
  routes:
    # A dead man's switch: it always fires, and its absence says that the way from Prometheus to the console is cut.
    - receiver: console
      matchers: ['alertname="Watchdog"']
      group_wait: 0s
      group_interval: 15s
      repeat_interval: 1m
receivers:
  - name: console
    webhook_configs:
      - url: http://127.0.0.1:{port}/hooks/alertmanager
        send_resolved: true
        # What a storm leaves out of a notification, the console reads in Alertmanager's list.
        max_alerts: 500
        http_config:
          follow_redirects: false
          authorization:
            type: Bearer
            credentials_file: {token}
inhibit_rules:
  # While a region's runner is down its gateway fails and is slow; that needs no alert of its own.
  - source_matchers: ['alertname="ServiceDown"', 'component="runner"']
    target_matchers: ['alertname=~"HighErrorRate|SlowResponseTime|ProbeFailed"']
    equal: [environment, region]
"#,
            port = self.layout.port,
            token = quoted(&self.layout.path("etc/webhook.token")),
        )
    }

    /// `prometheus.yml`.
    pub(crate) fn prometheus(&self) -> String {
        let targets = |name: &str| quoted(&self.layout.path(format!("prometheus/targets/{name}.json")));
        let plain: String = [
            "gateways",
            "runners",
            "traffic",
            "telegram-sim",
            "prometheus",
            "alertmanager",
        ]
            .iter()
            .map(|job| {
                format!(
                    "  - job_name: {job}\n    file_sd_configs:\n      - files: [{}]\n        refresh_interval: 10s\n",
                    targets(job)
                )
            })
            .collect();
        format!(
            r#"# Written by `bagua up` at each start; changes are lost.
global:
  scrape_interval: 5s
  scrape_timeout: 3s
  evaluation_interval: 5s
  external_labels:
    environment: {environment}
rule_files:
  - {rules}
alerting:
  alertmanagers:
    - timeout: 5s
      static_configs:
        - targets: ["127.0.0.1:{alertmanager}"]
scrape_configs:
{plain}  - job_name: console
    authorization:
      type: Bearer
      credentials_file: {metrics_token}
    file_sd_configs:
      - files: [{console}]
        refresh_interval: 10s
  - job_name: exporters
    file_sd_configs:
      - files: [{exporters}]
        refresh_interval: 10s
    # What an exporter says about its engine belongs to the engine; what it says about itself stays its own.
    metric_relabel_configs:
      - source_labels: [__name__]
        regex: "pg_.+"
        target_label: component
        replacement: postgres
      - source_labels: [__name__]
        regex: "redis_.+"
        target_label: component
        replacement: redis
      - source_labels: [__name__]
        regex: "node_.+"
        target_label: component
        replacement: machine
  - job_name: supervisor
    # Its page speaks for every component, so its own labels win.
    honor_labels: true
    file_sd_configs:
      - files: [{supervisor}]
        refresh_interval: 10s
  - job_name: probe-http
    metrics_path: /probe
    params:
      module: [http_2xx]
    file_sd_configs:
      - files: [{probes}]
        refresh_interval: 10s
    relabel_configs:
      - source_labels: [__address__]
        target_label: __param_target
      - source_labels: [__address__]
        target_label: instance
      - target_label: __address__
        replacement: 127.0.0.1:{blackbox}
      - target_label: probe
        replacement: http
"#,
            environment = self.environment,
            rules = quoted(&self.layout.path("prometheus/rules/*.yml")),
            alertmanager = self.layout.port_of("alertmanager"),
            metrics_token = quoted(&self.layout.path("etc/metrics.token")),
            console = targets("console"),
            exporters = targets("exporters"),
            supervisor = targets("supervisor"),
            probes = targets("probes"),
            blackbox = self.layout.port_of("blackbox-exporter"),
        )
    }

    /// Target files for `file_sd`: name without `.json`, content.
    pub(crate) fn targets(&self) -> Vec<(&'static str, String)> {
        let parts = self.layout.parts();
        let group = |target: String, region: &str, component: &str| {
            json!({
                "targets": [target],
                "labels": { "environment": self.environment, "region": region, "component": component },
            })
        };
        let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<serde_json::Value> {
            parts
                .iter()
                .filter(|part| wanted(part.service))
                .map(|part| group(format!("127.0.0.1:{}", part.port), &part.region, part.service))
                .collect()
        };
        let probes = parts
            .iter()
            .flat_map(|part| {
                let paths: &[&str] = match part.service {
                    "gateway" => &["/health", "/probe"],
                    "console" => &["/healthz"],
                    _ => &[],
                };
                paths
                    .iter()
                    .map(|path| group(format!("{}{path}", part.url()), &part.region, part.service))
                    .collect::<Vec<_>>()
            })
            .collect();
        let supervisor = vec![group(
            format!("127.0.0.1:{}", self.layout.supervisor_port()),
            "global",
            "supervisor",
        )];
        [
            ("gateways", of(&|service| service == "gateway")),
            ("runners", of(&|service| service == "runner")),
            ("traffic", of(&|service| service == "traffic")),
            ("telegram-sim", of(&|service| service == "telegram-sim")),
            ("console", of(&|service| service == "console")),
            ("exporters", of(&|service| service.ends_with("-exporter"))),
            ("prometheus", of(&|service| service == "prometheus")),
            ("alertmanager", of(&|service| service == "alertmanager")),
            ("supervisor", supervisor),
            ("probes", probes),
        ]
        .map(|(name, groups)| (name, format!("{:#}\n", serde_json::Value::Array(groups))))
        .into()
    }
}

/// A path as a YAML string in single quotes.
fn quoted(path: &std::path::Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_reads_back_what_we_write() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let layout = Layout {
            data: folder.path().to_owned(),
            port: 3000,
            regions: vec!["ap-east-1".into(), "us-west-2".into()],
            demo_bots: true,
        };
        let secrets = Secrets::load_or_make(&layout)?;
        let inputs = Inputs {
            layout: &layout,
            secrets: &secrets,
            environment: "dev",
            site: None,
            statement_statistics: true,
            webhooks: webhooks(&layout)?,
        };
        assert!(webhooks(&layout)?.is_empty());
        std::fs::write(
            layout.path(WEBHOOKS),
            "[[webhooks]]\nname = \"crm\"\nurl = \"https://crm.example/in\"\nsecret = \"whsec_c2VjcmV0\"",
        )?;
        let inputs = Inputs {
            webhooks: webhooks(&layout)?,
            ..inputs
        };
        let settings = inputs.settings();
        assert_eq!(settings.webhooks.len(), 1);
        settings.validate()?;
        let text = toml::to_string(&settings)?;
        assert_eq!(toml::from_str::<Settings>(&text)?, settings);
        assert!(
            toml::from_str::<Settings>(&format!("surprise = 1\n{text}")).is_err(),
            "unknown keys are refused"
        );
        assert!(
            !format!("{settings:?}").contains(secrets.postgres_app.expose()),
            "secrets stay out of logs"
        );
        assert_eq!(
            settings
                .component("us-west-2/runner")
                .map(|component| component.port),
            Some(3026)
        );
        assert!(
            settings
                .component("global/postgres")
                .is_some_and(|component| component.critical)
        );
        Ok(())
    }

    #[test]
    fn every_component_but_the_engines_behind_exporters_is_scraped() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let layout = Layout {
            data: folder.path().to_owned(),
            port: 3000,
            regions: vec!["ap-east-1".into()],
            demo_bots: true,
        };
        let secrets = Secrets::load_or_make(&layout)?;
        let inputs = Inputs {
            layout: &layout,
            secrets: &secrets,
            environment: "dev",
            site: None,
            statement_statistics: true,
            webhooks: webhooks(&layout)?,
        };
        let scraped: String = inputs
            .targets()
            .into_iter()
            .filter(|(name, _)| *name != "probes")
            .map(|(_, content)| content)
            .collect();
        for part in layout.parts() {
            let behind_exporter = matches!(part.service, "postgres" | "redis");
            assert_eq!(
                scraped.contains(&format!("127.0.0.1:{}\"", part.port)),
                !behind_exporter,
                "{}",
                part.id()
            );
        }
        Ok(())
    }
}
