//! How each component is run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::engines::Engines;
use crate::layout::{Layout, Part};
use crate::process::{ProcessSpec, Ready, Timing};
use crate::render::Inputs;
use crate::user::RunAs;

/// Metrics are kept this long.
const RETENTION: &str = "30d";

/// Every component's specification.
pub(crate) fn all(
    inputs: &Inputs<'_>,
    engines: &Engines,
    bagua: &Path,
    user: Option<&RunAs>,
) -> Vec<ProcessSpec> {
    inputs
        .layout
        .parts()
        .iter()
        .map(|part| one(part, inputs, engines, bagua, user))
        .collect()
}

fn one(
    part: &Part,
    inputs: &Inputs<'_>,
    engines: &Engines,
    bagua: &Path,
    user: Option<&RunAs>,
) -> ProcessSpec {
    let layout = inputs.layout;
    let base = base(part, layout);
    match part.service {
        "postgres" => ProcessSpec {
            program: engines.postgres_bin.join("postgres"),
            arguments: vec![
                "-D".into(),
                text(layout.path("postgres")),
                format!("--config_file={}", text(layout.path("etc/postgresql.conf"))),
                format!("--hba_file={}", text(layout.path("etc/pg_hba.conf"))),
            ],
            run_as: user.cloned(),
            // Immediate shutdown: quick, and the next start recovers from the log as after any crash.
            death_signal: Signal::SIGQUIT,
            // Fast shutdown: ends sessions, writes a checkpoint.
            stop_signal: Signal::SIGINT,
            ready: Ready::Postgres,
            data: Some(layout.path("postgres")),
            timing: Timing {
                grace: Duration::from_secs(10),
                ready_within: Duration::from_secs(60),
                ..Timing::default()
            },
            ..base
        },
        "redis" => ProcessSpec {
            program: engines.redis.clone(),
            arguments: vec![text(layout.path("etc/redis.conf"))],
            run_as: user.cloned(),
            ready: Ready::Redis(inputs.secrets.redis.clone()),
            ..base
        },
        "prometheus" => ProcessSpec {
            program: engines.prometheus.clone(),
            arguments: vec![
                format!("--config.file={}", text(layout.path("etc/prometheus.yml"))),
                format!("--storage.tsdb.path={}", text(layout.path("prometheus/data"))),
                format!("--storage.tsdb.retention.time={RETENTION}"),
                listen(part),
                format!("--web.external-url={}", part.url()),
                "--web.enable-lifecycle".into(),
                // An Alertmanager that was away hears of firing alerts again this soon, not after a minute.
                "--rules.alert.resend-delay=10s".into(),
                "--log.level=warn".into(),
            ],
            run_as: user.cloned(),
            ready: Ready::Http("/-/ready".into()),
            data: Some(layout.path("prometheus/data")),
            timing: Timing {
                grace: Duration::from_secs(10),
                // Reading back its log after a crash takes time.
                ready_within: Duration::from_secs(120),
                ..Timing::default()
            },
            ..base
        },
        "alertmanager" => ProcessSpec {
            program: engines.alertmanager.clone(),
            arguments: vec![
                format!("--config.file={}", text(layout.path("etc/alertmanager.yml"))),
                format!("--storage.path={}", text(layout.path("alertmanager"))),
                listen(part),
                format!("--web.external-url={}", part.url()),
                // One machine: no gossip, and no port for it.
                "--cluster.listen-address=".into(),
                "--log.level=warn".into(),
            ],
            run_as: user.cloned(),
            ready: Ready::Http("/-/ready".into()),
            data: Some(layout.path("alertmanager")),
            timing: Timing {
                grace: Duration::from_secs(5),
                ..Timing::default()
            },
            ..base
        },
        "node-exporter" => ProcessSpec {
            program: engines.node_exporter.clone(),
            arguments: [
                listen(part),
                "--log.level=warn".into(),
                "--collector.disable-defaults".into(),
            ]
            .into_iter()
            .chain(
                [
                    "cpu",
                    "meminfo",
                    "filesystem",
                    "netdev",
                    "diskstats",
                    "loadavg",
                    "pressure",
                    "stat",
                    "uname",
                    "vmstat",
                ]
                .map(|collector| format!("--collector.{collector}")),
            )
            .collect(),
            run_as: user.cloned(),
            ready: Ready::Http("/".into()),
            ..base
        },
        "postgres-exporter" => ProcessSpec {
            program: engines.postgres_exporter.clone(),
            arguments: vec![listen(part), "--log.level=warn".into()],
            // In the environment, so that no list of processes shows it.
            environment: vec![(
                "DATA_SOURCE_NAME".into(),
                inputs.monitor_url().expose().to_owned(),
            )],
            run_as: user.cloned(),
            ready: Ready::Http("/".into()),
            ..base
        },
        "redis-exporter" => ProcessSpec {
            program: engines.redis_exporter.clone(),
            arguments: vec![
                "-web.listen-address".into(),
                format!("127.0.0.1:{}", part.port),
                "-redis.addr".into(),
                format!("redis://127.0.0.1:{}", layout.port_of("redis")),
                "-connection-timeout".into(),
                "2s".into(),
            ],
            environment: vec![("REDIS_PASSWORD".into(), inputs.secrets.redis.expose().to_owned())],
            run_as: user.cloned(),
            ready: Ready::Http("/health".into()),
            ..base
        },
        "blackbox-exporter" => ProcessSpec {
            program: engines.blackbox_exporter.clone(),
            arguments: vec![
                format!("--config.file={}", text(layout.path("etc/blackbox.yml"))),
                listen(part),
                "--log.level=warn".into(),
            ],
            run_as: user.cloned(),
            ready: Ready::Http("/-/healthy".into()),
            ..base
        },
        own => own_role(own, part, layout, bagua, base),
    }
}

fn own_role(role: &str, part: &Part, layout: &Layout, bagua: &Path, base: ProcessSpec) -> ProcessSpec {
    let mut arguments: Vec<String> = match role {
        "console" => vec!["serve".into()],
        "telegram-sim" => vec!["dev".into(), "telegram".into(), "--demo".into()],
        role => vec![role.into()],
    };
    if matches!(role, "gateway" | "runner") {
        arguments.extend(["--region".into(), part.region.clone()]);
    }
    arguments.extend(["--config".into(), text(layout.console_config())]);
    ProcessSpec {
        program: bagua.to_owned(),
        arguments,
        environment: vec![
            // A proxy of the person who starts us is not for our own loopback.
            ("NO_PROXY".into(), "127.0.0.1,localhost,::1".into()),
            ("no_proxy".into(), "127.0.0.1,localhost,::1".into()),
            // The allocator takes memory as it needs it, not a whole arena ahead: 9 MiB less for a process that does nothing.
            ("MIMALLOC_ARENA_EAGER_COMMIT".into(), "0".into()),
        ],
        inherit_environment: true,
        ready: Ready::Http(if role == "console" { "/healthz" } else { "/health" }.into()),
        timing: Timing {
            grace: Duration::from_secs(match role {
                "console" => 5,
                // What was received from Telegram is committed, and the leases are given back.
                "runner" => 10,
                _ => 2,
            }),
            ..Timing::default()
        },
        ..base
    }
}

fn base(part: &Part, layout: &Layout) -> ProcessSpec {
    ProcessSpec {
        region: part.region.clone(),
        service: part.service.to_owned(),
        port: part.port,
        critical: part.critical,
        program: PathBuf::new(),
        arguments: vec![],
        environment: vec![],
        inherit_environment: false,
        folder: PathBuf::from("/"),
        log: layout.log(&part.id()),
        run_as: None,
        death_signal: Signal::SIGKILL,
        stop_signal: Signal::SIGTERM,
        ready: Ready::Spawned,
        data: None,
        timing: Timing::default(),
    }
}

fn listen(part: &Part) -> String {
    format!("--web.listen-address=127.0.0.1:{}", part.port)
}

fn text(path: PathBuf) -> String {
    path.display().to_string()
}
