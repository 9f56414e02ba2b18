//! The snapshot and the trends against a real Prometheus.

use crate::config::{ComponentConfig, RegionsConfig};
use crate::prometheus::{Prometheus, WORLD};
use crate::snapshot::{Reading, Watcher};
use crate::trends::{Span, Trends};
use bagua_core::Clock;
use bagua_model::region::{Environment, RegionId};
use bagua_model::regions::{ComponentId, ComponentView, Health, Metric};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Outcome = Result<(), Box<dyn Error>>;

/// A private Prometheus that ends with the test.
pub(crate) struct Engine {
    child: Child,
    pub(crate) url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Engine {
    /// Starts one that scrapes `targets` (component id and port) every second; `history` is OpenMetrics text for
    /// its past.
    pub(crate) async fn start(
        targets: &[(&ComponentId, u16)],
        history: Option<&str>,
    ) -> Result<Engine, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        if let Some(history) = history {
            backfill(folder.path(), &data, history)?;
        }
        let mut config = String::from("global: {scrape_interval: 1s}\nscrape_configs:\n");
        for (id, port) in targets {
            write!(
                config,
                "- job_name: {0}-{1}\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n    labels: {{environment: dev, region: {0}, component: {1}}}\n",
                id.region, id.service
            )?;
        }
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config)?;
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start `prometheus`; is the package installed? {error}"))?;
        let engine = Engine {
            child,
            url,
            _folder: folder,
        };
        let client = engine.client()?;
        let begun = Instant::now();
        while let Err(error) = client.ready().await {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(engine)
    }

    fn client(&self) -> Result<Prometheus, Box<dyn Error>> {
        Ok(Prometheus::new(&self.url)?)
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn backfill(folder: &Path, data: &Path, history: &str) -> Outcome {
    let file = folder.join("history.txt");
    std::fs::write(&file, history)?;
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&file, data])
        .output()?;
    if made.status.success() {
        return Ok(());
    }
    Err(format!("promtool: {}", String::from_utf8_lossy(&made.stderr)).into())
}

/// Serves `metrics` to everybody who connects, while `answering`.
pub(crate) async fn target(metrics: &'static str) -> Result<(u16, Arc<AtomicBool>), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let answering = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&answering);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 2048];
            let _ = stream.read(&mut request).await;
            if !flag.load(Ordering::Relaxed) {
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n";
            let answer = format!("{head}content-length: {}\r\n\r\n{metrics}", metrics.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Ok((port, answering))
}

pub(crate) fn config(url: &str, ids: &[&ComponentId]) -> Arc<RegionsConfig> {
    let component = |id: &&ComponentId| ComponentConfig {
        id: (*id).clone(),
        critical: false,
        health_url: None,
    };
    Arc::new(RegionsConfig {
        environment: Environment::Dev,
        prometheus_url: url.to_owned(),
        supervisor_socket: None,
        regions: vec![RegionId::new("eu-west-1")],
        components: ids.iter().map(component).collect(),
    })
}

/// Looks once a second until the component is in `wanted`, and says through which states it went.
async fn look_until(
    watcher: &mut Watcher,
    prometheus: &Prometheus,
    id: &ComponentId,
    wanted: Health,
) -> Result<(ComponentView, Vec<Health>), Box<dyn Error>> {
    let begun = Instant::now();
    let mut path = Vec::new();
    loop {
        let view = look(watcher, prometheus, id).await?;
        if path.last() != Some(&view.health) {
            path.push(view.health);
        }
        if view.health == wanted {
            return Ok((view, path));
        }
        if begun.elapsed() > Duration::from_secs(20) {
            return Err(format!("{id} never became {wanted}: {path:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn look(
    watcher: &mut Watcher,
    prometheus: &Prometheus,
    id: &ComponentId,
) -> Result<ComponentView, Box<dyn Error>> {
    let samples = prometheus.query(&WORLD).await?;
    let now = Clock::system().now();
    let world = watcher.observe(Reading {
        now,
        prometheus: Some(samples),
        supervisor: None,
        alerts: Some(vec![]),
    });
    crate::snapshot::components(&world)
        .find(|c| c.id == *id)
        .cloned()
        .ok_or_else(|| "not in the world".into())
}

#[tokio::test]
async fn a_scraped_component_is_healthy_then_down_and_without_prometheus_unknown() -> Outcome {
    let gateway = ComponentId::new("eu-west-1", "gateway");
    let absent = ComponentId::new("eu-west-1", "runner");
    let metrics = "component:cpu_percent 12.5\ncomponent:http_errors:ratio1m NaN\n";
    let (port, answering) = target(metrics).await?;
    let engine = Engine::start(&[(&gateway, port)], None).await?;
    let prometheus = engine.client()?;
    let mut watcher = Watcher::new(config(&engine.url, &[&gateway, &absent]));

    let (view, _) = look_until(&mut watcher, &prometheus, &gateway, Health::Healthy).await?;
    assert_eq!(view.figures.cpu_percent, Some(12.5));
    assert_eq!(view.figures.error_ratio, None, "no requests is no error ratio");
    assert!(view.sampled_at.is_some() && view.since.is_some());
    let runner = look(&mut watcher, &prometheus, &absent).await?;
    assert_eq!(
        runner.health,
        Health::Unknown,
        "configured and never scraped is not healthy"
    );

    answering.store(false, Ordering::Relaxed);
    let (view, path) = look_until(&mut watcher, &prometheus, &gateway, Health::Critical).await?;
    assert_eq!(
        path,
        [Health::Healthy, Health::Warning, Health::Critical],
        "one failed scrape is a warning only"
    );
    assert_eq!(
        view.figures.cpu_percent, None,
        "figures of a component that went away are gone"
    );

    answering.store(true, Ordering::Relaxed);
    look_until(&mut watcher, &prometheus, &gateway, Health::Healthy).await?;

    drop(engine);
    assert!(prometheus.query(&WORLD).await.is_err());
    let mut seen = Vec::new();
    for after in [0, 14, 17, 40] {
        let now = Clock::system().now() + Duration::from_secs(after);
        let world = watcher.observe(Reading {
            now,
            prometheus: None,
            supervisor: None,
            alerts: None,
        });
        let view = crate::snapshot::components(&world)
            .find(|c| c.id == gateway)
            .cloned()
            .ok_or("gone")?;
        seen.push((view.health, view.figures.cpu_percent));
    }
    assert_eq!(
        seen,
        [
            (Health::Healthy, Some(12.5)),
            (Health::Healthy, Some(12.5)),
            (Health::Unknown, Some(12.5)),
            (Health::Unknown, None)
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_gap_in_the_data_stays_a_gap_in_the_trend() -> Outcome {
    let id = ComponentId::new("eu-west-1", "gateway");
    let now = Clock::system().now();
    let until = now.unix_timestamp();
    let (gap_from, gap_until) = (until - 1_200, until - 600);
    let mut history = String::new();
    for name in [
        "component:cpu_percent",
        "component:http_request_duration_seconds:p95",
    ] {
        writeln!(history, "# TYPE {name} gauge")?;
        for at in (until - 1_800..until)
            .step_by(5)
            .filter(|at| !(gap_from..gap_until).contains(at))
        {
            writeln!(
                history,
                "{name}{{region=\"eu-west-1\",component=\"gateway\"}} 1.5 {at}"
            )?;
        }
    }
    history.push_str("# EOF\n");
    let engine = Engine::start(&[], Some(&history)).await?;
    let trends = Trends::new(engine.client()?);

    let view = trends.get(&id, Span::Last(30), now).await?;
    assert_eq!(
        view.trends.iter().map(|t| t.metric).collect::<Vec<_>>(),
        [Metric::Cpu, Metric::Latency]
    );
    assert_eq!(view.trends[1].series[0].name, "p95");
    let points = &view.trends[0].series[0].points;
    assert!(
        points.len() <= 240 && points.len() > 50,
        "{} points",
        points.len()
    );
    // A point may lie up to 30 s behind its step.
    assert!(
        points
            .iter()
            .all(|(at, _)| *at < gap_from + 30 || *at >= gap_until),
        "the gap was bridged"
    );
    assert!(points.iter().any(|(at, _)| *at < gap_from) && points.iter().any(|(at, _)| *at > gap_until));

    let again = trends.get(&id, Span::Last(30), now).await?;
    assert!(
        Arc::ptr_eq(&view, &again),
        "the same question within five seconds is answered from memory"
    );
    let other = trends
        .get(&ComponentId::new("eu-west-1", "runner"), Span::Last(30), now)
        .await?;
    assert!(
        other.trends.is_empty(),
        "no data is no trend, not a line of zeros"
    );
    drop(engine);
    assert!(
        trends.get(&id, Span::Last(60), now).await.is_err(),
        "a Prometheus that is away is an error, not an empty chart"
    );
    Ok(())
}
