//! The whole stack with its real engines; our own roles are the stand-in of `examples/`.

mod common;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bagua_model::settings::Settings;
use bagua_model::supervisor::{ComponentStatus, ControlRequest, ProcessState, RequestOutcome, RequestStatus};
use common::{letter, lives, page, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Cargo builds examples before it runs tests, beside the test's own folder.
fn stand_in() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .ok_or_else(|| anyhow::anyhow!("no target folder"))?;
    let path = target.join("examples/stand_in");
    anyhow::ensure!(
        path.exists(),
        "{} is missing; run `cargo test -p bagua-stack`",
        path.display()
    );
    Ok(path)
}

/// A base port whose whole range is free now.
fn free_port() -> anyhow::Result<u16> {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = 20_000 + u16::try_from(std::process::id() % 200)? * 30;
    (start..32_000)
        .step_by(30)
        .find(|base| (0..27).all(|offset| free(base + offset)))
        .ok_or_else(|| anyhow::anyhow!("no free range of ports"))
}

/// Everything below `root`, found by parent.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![];
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
            let above = stat
                .ok()
                .and_then(|stat| stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok());
            if above == Some(parent) {
                found.push(pid);
                open.push(pid);
            }
        }
    }
    found
}

struct Stack {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Stack {
    fn start(data: &Path, port: u16) -> anyhow::Result<Self> {
        let mut process = Command::new(stand_in()?)
            .args([
                "up",
                "--regions",
                "ap-east-1,us-west-2",
                "--port",
                &port.to_string(),
                "--data",
            ])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let out = process
            .stdout
            .take()
            .ok_or_else(|| anyhow::anyhow!("no output"))?;
        Ok(Self {
            process,
            lines: BufReader::new(out).lines(),
        })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        Ok(self
            .lines
            .next()
            .ok_or_else(|| anyhow::anyhow!("it ended without a word"))??)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.process.id())?), signal)?)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn all_gone(pids: &[u32]) -> anyhow::Result<()> {
    until("the end of every child", || async {
        pids.iter().all(|pid| !lives(*pid)).then_some(())
    })
    .await
}

async fn answers(url: &str) -> Option<serde_json::Value> {
    serde_json::from_str(&page(url).await?).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_life_of_a_stack() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let data = folder.path().join("data");
    let port = free_port()?;

    // First start: everything is made.
    let mut stack = Stack::start(&data, port)?;
    assert_eq!(stack.line()?, format!("bagua ready: http://localhost:{port}"));
    assert!(stack.line()?.contains("one-time link: http"));
    let settings: Settings = toml::from_str(&std::fs::read_to_string(data.join("console.toml"))?)?;
    settings.validate()?;
    for name in ["console.toml", "secrets.toml", "supervisor.sock", "desired.json"] {
        let mode = std::fs::metadata(data.join(name))?.permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let client = reqwest::Client::builder()
        .unix_socket(data.join("supervisor.sock"))
        .timeout(Duration::from_secs(30))
        .build()?;
    let components = async || -> anyhow::Result<Vec<ComponentStatus>> {
        Ok(client
            .get("http://supervisor/components")
            .send()
            .await?
            .json()
            .await?)
    };
    let all = until("every component runs", || async {
        let all = components().await.ok()?;
        all.iter()
            .all(|component| component.state == ProcessState::Running)
            .then_some(all)
    })
    .await?;
    assert_eq!(all.len(), 15);

    // A second one says who runs it, and changes nothing.
    let second = Command::new(stand_in()?)
        .args(["up", "--port", &port.to_string(), "--data"])
        .arg(&data)
        .output()?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success());
    assert!(
        said.contains(&format!("process {}", stack.process.id())),
        "{said}"
    );
    assert!(said.contains(&format!("http://localhost:{port}")), "{said}");
    let other = Command::new(stand_in()?)
        .args(["up", "--port", &port.to_string(), "--data"])
        .arg(folder.path().join("other"))
        .output()?;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        !other.status.success() && said.contains("is in use by stand_in") && said.contains("--port"),
        "{said}"
    );

    // The application role cannot make tables, and another database's role is not let in at all.
    let psql = |url: &str, sql: &str| Command::new("psql").args([url, "-XAtc", sql]).output();
    let app = psql(settings.control.url.expose(), "SELECT current_user")?;
    assert_eq!(
        String::from_utf8_lossy(&app.stdout).trim(),
        "bagua_app",
        "{app:?}"
    );
    assert!(
        !psql(settings.control.url.expose(), "CREATE TABLE t()")?
            .status
            .success()
    );

    // A frozen gateway goes down in Prometheus, and a restart gets rid of it.
    let prometheus = format!("http://127.0.0.1:{}", port + 3);
    let query = format!(
        "{prometheus}/api/v1/query?query=up%7Bregion%3D%22ap-east-1%22,component%3D%22gateway%22,job%3D%22gateways%22%7D"
    );
    let up = async || {
        Some(
            answers(&query)
                .await?
                .pointer("/data/result/0/value/1")?
                .as_str()?
                .to_owned(),
        )
    };
    until("the gateway's up", || async {
        (up().await? == "1").then_some(())
    })
    .await?;
    let gateway = all
        .iter()
        .find(|component| component.component == "ap-east-1/gateway")
        .and_then(|component| component.pid)
        .ok_or_else(|| anyhow::anyhow!("no gateway"))?;
    kill(Pid::from_raw(i32::try_from(gateway)?), Signal::SIGSTOP)?;
    until("the frozen gateway's down", || async {
        (up().await? == "0").then_some(())
    })
    .await?;
    assert_eq!(letter(gateway), Some('T'));
    let body = ControlRequest {
        request: uuid::Uuid::now_v7(),
        expect_generation: None,
        no_wait: false,
    };
    let done: RequestStatus = client
        .post("http://supervisor/components/ap-east-1/gateway/restart")
        .json(&body)
        .send()
        .await?
        .json()
        .await?;
    assert_eq!(
        (done.outcome, done.removed_pid),
        (RequestOutcome::Done, Some(gateway))
    );
    assert!(!lives(gateway));
    until("the gateway's up again", || async {
        (up().await? == "1").then_some(())
    })
    .await?;

    // What the engines' exporters say belongs to the engines, and Alertmanager hears of the watchdog.
    let engines =
        format!("{prometheus}/api/v1/query?query=up%7Bcomponent%3D~%22postgres%7Credis%22%7D%3D%3D1");
    until("both engines are up", || async {
        (answers(&engines)
            .await?
            .pointer("/data/result")?
            .as_array()?
            .len()
            == 2)
            .then_some(())
    })
    .await?;
    let alerts = format!("http://127.0.0.1:{}/api/v2/alerts", port + 4);
    let watchdog = until("the watchdog", || async {
        let alerts = answers(&alerts).await?;
        alerts
            .as_array()?
            .iter()
            .find(|alert| alert.pointer("/labels/alertname") == Some(&"Watchdog".into()))
            .cloned()
    })
    .await?;
    for (label, value) in [
        ("environment", "dev"),
        ("region", "global"),
        ("component", "prometheus"),
    ] {
        assert_eq!(watchdog.pointer(&format!("/labels/{label}")), Some(&value.into()));
    }

    // Killed without a chance to tidy up: nobody stays behind, not even PostgreSQL's own children.
    let children = tree(stack.process.id());
    assert!(children.len() > 14, "PostgreSQL has children of its own");
    stack.signal(Signal::SIGKILL)?;
    stack.process.wait()?;
    all_gone(&children).await?;

    // It comes back by itself, on the same data, and then ends in order.
    let mut again = Stack::start(&data, port)?;
    assert_eq!(again.line()?, format!("bagua ready: http://localhost:{port}"));
    let children = tree(again.process.id());
    again.signal(Signal::SIGTERM)?;
    assert!(again.process.wait()?.success());
    assert!(
        children.iter().all(|pid| !lives(*pid)),
        "a child outlived an orderly end"
    );
    let log = std::fs::read_to_string(data.join("log/global-postgres.log"))?;
    let last = log.lines().last().unwrap_or_default().to_owned();
    assert!(
        last.contains("database system is shut down"),
        "PostgreSQL did not end in order: {last}"
    );
    assert!(!data.join("supervisor.sock").exists());
    Ok(())
}
