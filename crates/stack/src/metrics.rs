//! The supervisor's own page for Prometheus: every child, measured from its `/proc` when the page is asked for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use bagua_model::supervisor::{ComponentStatus, ProcessState};

use crate::measure::{Snapshot, Usage, folder_bytes};
use crate::supervisor::Supervisor;

/// Walking a database folder takes thousands of look-ups, so it is done beside the page.
const DATA_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Page {
    supervisor: Arc<Supervisor>,
    environment: String,
    /// Bytes on disk per component.
    data: Mutex<HashMap<String, u64>>,
}

/// `GET /metrics` and `GET /health`. Must be called inside the async runtime: it starts a task that measures folders.
pub fn router(supervisor: Arc<Supervisor>, environment: &str) -> Router {
    let page = Arc::new(Page {
        supervisor,
        environment: environment.to_owned(),
        data: Mutex::new(HashMap::new()),
    });
    tokio::spawn(measure_folders(Arc::downgrade(&page)));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "ok\n" }))
        .with_state(page)
}

async fn measure_folders(page: std::sync::Weak<Page>) {
    loop {
        let Some(strong) = page.upgrade() else { return };
        let folders: Vec<(String, PathBuf)> = strong
            .supervisor
            .specs()
            .filter_map(|spec| Some((spec.id(), spec.data.clone()?)))
            .collect();
        let sizes = tokio::task::spawn_blocking(move || {
            folders
                .into_iter()
                .map(|(id, folder)| (id, folder_bytes(&folder)))
                .collect::<HashMap<_, _>>()
        });
        if let Ok(sizes) = sizes.await {
            *strong.data.lock().unwrap_or_else(PoisonError::into_inner) = sizes;
        }
        drop(strong);
        tokio::time::sleep(DATA_EVERY).await;
    }
}

async fn metrics(State(page): State<Arc<Page>>) -> impl IntoResponse {
    let statuses = page.supervisor.statuses();
    let pids: Vec<Option<u32>> = statuses.iter().map(|status| status.pid).collect();
    let usages = tokio::task::spawn_blocking(move || {
        let snapshot = Snapshot::take();
        pids.into_iter()
            .map(|pid| pid.and_then(|pid| snapshot.usage(pid)))
            .collect::<Vec<_>>()
    })
    .await
    .unwrap_or_default();
    let data = page.data.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let rows: Vec<Row> = statuses
        .into_iter()
        .zip(usages)
        .map(|(status, usage)| Row {
            data_bytes: data.get(&status.component).copied(),
            status,
            usage,
        })
        .collect();
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        render(&rows, &page.environment),
    )
}

struct Row {
    status: ComponentStatus,
    usage: Option<Usage>,
    data_bytes: Option<u64>,
}

type Value = fn(&Row) -> Option<f64>;

/// Name, type, help, value. A value that could not be measured gives no line.
const FAMILIES: [(&str, &str, &str, Value); 13] = [
    (
        "component_up",
        "gauge",
        "1 while the component has a process that has answered, else 0.",
        |row| {
            Some(f64::from(
                row.usage.is_some() && row.status.state == ProcessState::Running,
            ))
        },
    ),
    (
        "component_restarts_total",
        "counter",
        "Processes spawned after the first, since the supervisor started.",
        |row| Some(row.status.restarts as f64),
    ),
    (
        "component_crashes_total",
        "counter",
        "Processes that ended by themselves, since the supervisor started.",
        |row| Some(row.status.crashes as f64),
    ),
    (
        "component_generation",
        "gauge",
        "How many processes the component has ever had.",
        |row| Some(row.status.generation as f64),
    ),
    (
        "component_cpu_seconds_total",
        "counter",
        "Processor time of the process tree.",
        |row| row.usage.map(|usage| usage.cpu_seconds),
    ),
    (
        "component_resident_memory_bytes",
        "gauge",
        "Resident memory of the process tree, shared memory once.",
        |row| row.usage.map(|usage| usage.memory_bytes as f64),
    ),
    (
        "component_open_fds",
        "gauge",
        "Open file descriptors of the process tree.",
        |row| row.usage.map(|usage| usage.open_files as f64),
    ),
    (
        "component_threads",
        "gauge",
        "Threads of the process tree.",
        |row| row.usage.map(|usage| usage.threads as f64),
    ),
    ("component_processes", "gauge", "Processes of the tree.", |row| {
        row.usage.map(|usage| usage.processes as f64)
    }),
    (
        "component_io_read_bytes_total",
        "counter",
        "Bytes that the present processes read from storage.",
        |row| row.usage.map(|usage| usage.read_bytes as f64),
    ),
    (
        "component_io_write_bytes_total",
        "counter",
        "Bytes that the present processes wrote to storage.",
        |row| row.usage.map(|usage| usage.written_bytes as f64),
    ),
    (
        "component_start_time_seconds",
        "gauge",
        "When the process started, seconds since 1970.",
        |row| row.usage.map(|usage| usage.started_at),
    ),
    (
        "component_data_bytes",
        "gauge",
        "Bytes on disk of the component's own data folder.",
        |row| row.data_bytes.map(|bytes| bytes as f64),
    ),
];

fn render(rows: &[Row], environment: &str) -> String {
    let mut text = String::new();
    let labels = |row: &Row| {
        format!(
            r#"environment="{environment}",region="{}",component="{}""#,
            row.status.region, row.status.service
        )
    };
    for (name, kind, help, value) in FAMILIES {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for row in rows {
            if let Some(value) = value(row) {
                let _ = writeln!(text, "{name}{{{}}} {value}", labels(row));
            }
        }
    }
    let _ = writeln!(
        text,
        "# HELP component_state 1 for the state that the component is in, 0 for the others."
    );
    let _ = writeln!(text, "# TYPE component_state gauge");
    for row in rows {
        for state in ProcessState::ALL {
            let here = u8::from(row.status.state == state);
            let _ = writeln!(
                text,
                r#"component_state{{{},state="{}"}} {here}"#,
                labels(row),
                state.as_str()
            );
        }
    }
    text
}
