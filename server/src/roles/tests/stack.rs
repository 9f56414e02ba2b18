//! A private Redis, a data database of its own, and the three servers on free ports.

use crate::roles::{gateway, runner, traffic};
use anyhow::{Context as _, bail, ensure};
use bagua_model::settings::Settings;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) type Outcome = anyhow::Result<()>;

/// All roles of this process share one recorder, so tests that read counters take turns.
pub(super) static TURN: Mutex<()> = Mutex::const_new(());

pub(super) const REGION: &str = "ap-east-1";

pub(super) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A private Redis that ends with the test.
pub(super) struct Redis {
    pub(super) port: u16,
    pub(super) process: Option<Child>,
}

impl Redis {
    pub(super) fn on(port: u16) -> anyhow::Result<Redis> {
        let mut redis = Redis { port, process: None };
        redis.start()?;
        Ok(redis)
    }

    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let port = self.port.to_string();
        let process = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                "/tmp",
            ])
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server is not installed")?;
        self.process = Some(process);
        Ok(())
    }

    pub(super) fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.end();
    }
}

/// A data database of its own in the development cluster, reached with the application's role.
pub(super) struct Cell {
    pub(super) cluster: String,
    pub(super) name: String,
}

impl Cell {
    pub(super) async fn create() -> anyhow::Result<Cell> {
        let url = match std::env::var("BAGUA_TEST_DATABASE_URL") {
            Ok(url) => url,
            Err(_) => {
                let dev = concat!(env!("CARGO_MANIFEST_DIR"), "/../dev");
                String::from_utf8(Command::new(dev).arg("db").output()?.stdout)?
                    .trim()
                    .to_owned()
            }
        };
        let (cluster, _) = url
            .rsplit_once('/')
            .context("BAGUA_TEST_DATABASE_URL names no database")?;
        let cell = Cell {
            cluster: cluster.to_owned(),
            name: format!("bagua_test_{}", uuid::Uuid::new_v4().simple()),
        };
        // A cluster in which no other test has run yet has no such role; several tests may make it at once.
        let role = "DO $$ BEGIN CREATE ROLE bagua_app LOGIN PASSWORD 'bagua_app'; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$";
        cell.admin(role).await?;
        cell.admin(&format!("CREATE DATABASE {}", cell.name)).await?;
        let mut connection = PgConnection::connect(&format!("{cluster}/{}", cell.name)).await?;
        sqlx::migrate!("../migrations/data").run(&mut connection).await?;
        connection.close().await?;
        Ok(cell)
    }

    pub(super) async fn admin(&self, statement: &str) -> Outcome {
        let mut connection = PgConnection::connect(&format!("{}/postgres", self.cluster)).await?;
        connection.execute(AssertSqlSafe(statement.to_owned())).await?;
        connection.close().await?;
        Ok(())
    }

    pub(super) fn url(&self) -> anyhow::Result<String> {
        let (_, address) = self
            .cluster
            .rsplit_once('@')
            .context("the cluster's address has no user")?;
        Ok(format!("postgres://bagua_app@{address}/{}", self.name))
    }

    /// Takes the database away: nobody may connect, and who is connected is thrown out.
    pub(super) async fn take_away(&self) -> Outcome {
        let name = &self.name;
        self.admin(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
            .await?;
        self.admin(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .await
    }

    pub(super) async fn give_back(&self) -> Outcome {
        self.admin(&format!(
            "ALTER DATABASE {} WITH ALLOW_CONNECTIONS true",
            self.name
        ))
        .await
    }

    pub(super) async fn drop(self) -> Outcome {
        self.admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await
    }
}

pub(super) struct Stack {
    pub(super) settings: Settings,
    pub(super) cell: Cell,
    pub(super) redis: Redis,
    pub(super) client: reqwest::Client,
    pub(super) _turn: MutexGuard<'static, ()>,
}

pub(super) struct Running {
    pub(super) stop: CancellationToken,
    pub(super) role: JoinHandle<Outcome>,
}

impl Running {
    /// Stops the role and checks that it ends by itself, without a failure and within the drain.
    pub(super) async fn end(self) -> Outcome {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.role)
            .await
            .context("the role did not end")??
    }
}

impl Stack {
    pub(super) async fn create() -> anyhow::Result<Stack> {
        let turn = TURN.lock().await;
        let (cell, redis) = (Cell::create().await?, Redis::on(free_port()?)?);
        let [gateway, runner, traffic] = [free_port()?, free_port()?, free_port()?];
        let text = format!(
            r#"
            environment = "dev"
            regions = ["{REGION}"]
            listen = {{ address = "127.0.0.1:0", public_url = "http://localhost:1" }}
            control = {{ url = "postgres://nobody@127.0.0.1:1/none" }}
            redis = {{ url = "redis://127.0.0.1:{redis}" }}
            prometheus = {{ url = "http://127.0.0.1:1" }}
            alertmanager = {{ url = "http://127.0.0.1:1" }}
            alerts = {{ webhook_token = "123456789012345678901234" }}
            metrics = {{ token = "123456789012345678901234" }}
            [[cells]]
            region = "{REGION}"
            url = "{cell}"
            [[components]]
            id = "{REGION}/gateway"
            region = "{REGION}"
            service = "gateway"
            url = "http://127.0.0.1:{gateway}"
            port = {gateway}
            [[components]]
            id = "{REGION}/runner"
            region = "{REGION}"
            service = "runner"
            url = "http://127.0.0.1:{runner}"
            port = {runner}
            [[components]]
            id = "global/traffic"
            region = "global"
            service = "traffic"
            url = "http://127.0.0.1:{traffic}"
            port = {traffic}
            "#,
            redis = redis.port,
            cell = cell.url()?,
        );
        let settings: Settings = toml::from_str(&text)?;
        settings.validate()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()?;
        Ok(Stack {
            settings,
            cell,
            redis,
            client,
            _turn: turn,
        })
    }

    pub(super) fn start(&self, service: &'static str) -> Running {
        let (settings, stop) = (self.settings.clone(), CancellationToken::new());
        let token = stop.clone();
        let role = tokio::spawn(async move {
            match service {
                "gateway" => gateway(&settings, REGION, token).await,
                "runner" => runner(&settings, REGION, token).await,
                _ => traffic(&settings, token).await,
            }
        });
        Running { stop, role }
    }

    pub(super) async fn get(&self, component: &str, path: &str) -> anyhow::Result<(u16, Value)> {
        let base = &self
            .settings
            .component(component)
            .context("no such component")?
            .url;
        let response = self.client.get(format!("{base}{path}")).send().await?;
        let status = response.status().as_u16();
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
            .to_owned();
        ensure!(
            status < 400 || kind == "application/problem+json" || path == "/health",
            "{status} came as {kind}"
        );
        Ok((status, serde_json::from_slice(&response.bytes().await?)?))
    }

    /// Asks until the answer is what is wanted; the last answer shows when it never is.
    pub(super) async fn until(
        &self,
        component: &str,
        path: &str,
        wanted: impl Fn(u16, &Value) -> bool,
    ) -> anyhow::Result<Value> {
        let started = Instant::now();
        loop {
            let answer = self.get(component, path).await;
            match answer {
                Ok((status, body)) if wanted(status, &body) => return Ok(body),
                other if started.elapsed() > Duration::from_secs(20) => {
                    bail!("{component}{path} never became as wanted: {other:?}")
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// The sum over all series of `name` that have all `labels`, as Prometheus would read it from `component`.
    pub(super) async fn measured(&self, component: &str, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
        let base = &self
            .settings
            .component(component)
            .context("no such component")?
            .url;
        let text = self
            .client
            .get(format!("{base}/metrics"))
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?;
        let series = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        text.lines().filter(series).try_fold(0.0, |sum, line| {
            let (_, value) = line.rsplit_once(' ').context("a line without a value")?;
            Ok(sum + value.parse::<f64>()?)
        })
    }
}
