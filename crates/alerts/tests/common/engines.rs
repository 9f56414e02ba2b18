//! Real engines for the tests: started on ports of their own, below a temporary folder, gone with the test.

use anyhow::Context;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A free port. Somebody else may take it before the engine does; the test then fails with the engine's own words.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A program that ends with the test.
pub struct Engine {
    child: Child,
    command: Vec<String>,
    log: PathBuf,
    pub url: String,
    ready: &'static str,
}

impl Engine {
    async fn start(
        command: Vec<String>,
        log: PathBuf,
        port: u16,
        ready: &'static str,
    ) -> anyhow::Result<Engine> {
        let child = spawn(&command, &log)?;
        let engine = Engine {
            child,
            command,
            log,
            url: format!("http://127.0.0.1:{port}"),
            ready,
        };
        engine.until_ready().await?;
        Ok(engine)
    }

    /// A real Alertmanager that posts to `hook`.
    pub async fn alertmanager(folder: &Path, hook: &str) -> anyhow::Result<Engine> {
        // group_by '...' makes every alert a group of its own: each is posted as soon as it is known.
        let config = format!(
            "route: {{receiver: console, group_by: ['...'], group_wait: 50ms, group_interval: 200ms, repeat_interval: 1h}}\n\
             receivers:\n- name: console\n  webhook_configs:\n  - url: '{hook}'\n    send_resolved: true\n    \
             http_config: {{authorization: {{type: Bearer, credentials: {TOKEN}}}}}\n"
        );
        Engine::alertmanager_with(folder, &config).await
    }

    /// A real Alertmanager with a configuration of its own.
    pub async fn alertmanager_with(folder: &Path, written: &str) -> anyhow::Result<Engine> {
        let port = free_port()?;
        let config = folder.join("alertmanager.yml");
        std::fs::write(&config, written)?;
        let command = vec![
            "prometheus-alertmanager".into(),
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", folder.join("alertmanager").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".into(),
        ];
        Engine::start(command, folder.join("alertmanager.log"), port, "/-/ready").await
    }

    /// A real Prometheus with the rule `Broken`, which fires while the page at `target` says `broken{…} 1`, and which
    /// sends to `alertmanager`.
    pub async fn prometheus(folder: &Path, target: &str, alertmanager: &str) -> anyhow::Result<Engine> {
        let port = free_port()?;
        let rules = folder.join("rules.yml");
        std::fs::write(
            &rules,
            "groups:\n- name: test\n  rules:\n  - alert: Broken\n    expr: broken == 1\n    \
             labels: {severity: critical}\n    annotations: {summary: 'It is broken ({{ $value }})'}\n",
        )?;
        let config = folder.join("prometheus.yml");
        let host = |url: &str| url.trim_start_matches("http://").to_owned();
        std::fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 250ms, evaluation_interval: 250ms, external_labels: {{environment: dev}}}}\n\
                 rule_files: ['{}']\n\
                 scrape_configs: [{{job_name: test, static_configs: [{{targets: ['{}']}}]}}]\n\
                 alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}\n",
                rules.display(),
                host(target),
                host(alertmanager)
            ),
        )?;
        let command = vec![
            "prometheus".into(),
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.join("prometheus").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            // Alertmanager takes an alert for ended when it has not been repeated for four times this.
            "--rules.alert.resend-delay=1s".into(),
        ];
        Engine::start(command, folder.join("prometheus.log"), port, "/-/ready").await
    }

    /// Ends it at once, without a chance to write anything.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again where it was.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.command, &self.log)?;
        self.until_ready().await
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        let url = format!("{}{}", self.url, self.ready);
        let http = http()?;
        let ready = super::until("the engine is ready", || async {
            Ok(http.get(&url).send().await.is_ok_and(|a| a.status().is_success()))
        });
        ready
            .await
            .with_context(|| std::fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn spawn(command: &[String], log: &Path) -> anyhow::Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(log)?;
    Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} is not installed; see ./dev setup", command[0]))
}

pub fn http() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(std::time::Duration::from_secs(5))
        .build()?)
}
