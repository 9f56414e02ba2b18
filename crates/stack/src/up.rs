//! `bagua up`: everything on one machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api;
use crate::engines;
use crate::error::StackError;
use crate::files;
use crate::layout::Layout;
use crate::lock::FolderLock;
use crate::logs;
use crate::metrics;
use crate::options::UpOptions;
use crate::orchestra::{self, Start};
use crate::ports;
use crate::provision;
use crate::render::{self, BLACKBOX, Inputs, POSTGRES_ACCESS, RULES};
use crate::secrets::{self, Secrets};
use crate::spawner::Spawner;
use crate::specs;
use crate::state::StateFile;
use crate::supervisor::Supervisor;
use crate::user::{self, RunAs};

/// Children of a supervisor that was killed may need this long to go.
const AFTER_CRASH: Duration = Duration::from_secs(10);

/// Starts everything, looks after it until Ctrl-C or SIGTERM, and ends it in order.
///
/// # Errors
/// When something keeps it from starting; everything that was started has been ended then.
pub async fn up(options: UpOptions) -> Result<(), StackError> {
    let begun = Instant::now();
    options.validate()?;
    let mut signals = Signals::install()?;
    let layout = Layout {
        data: options.data_folder(),
        port: options.port,
        regions: options.region_list()?,
        demo_bots: options.with_demo_bots(),
    };
    let user = user::engine_user(&layout.path("postgres"))?;
    let bagua = match options.bagua.clone() {
        Some(path) => path,
        None => std::env::current_exe().map_err(|error| {
            StackError::BadOption(format!("this executable's path is not known: {error}"))
        })?,
    };
    // Others must pass through to their own folders below, but not look around.
    files::folder(&layout.data, if user.is_some() { 0o711 } else { 0o700 }, None)?;
    if let Some(user) = &user {
        user::check_reach(user, &layout.data)?;
    }
    let lock = FolderLock::take(&layout)?;
    let prepared = prepare(&options, &layout, user.as_ref(), bagua, lock.after_crash).await;
    let result = match prepared {
        Ok(prepared) => prepared.run(&layout, &mut signals, begun).await,
        Err(error) => Err(error),
    };
    lock.release();
    result
}

/// Everything that is there before the first child.
struct Prepared {
    supervisor: Arc<Supervisor>,
    engines: engines::Engines,
    secrets: Secrets,
    bagua: PathBuf,
}

async fn prepare(
    options: &UpOptions,
    layout: &Layout,
    user: Option<&RunAs>,
    bagua: PathBuf,
    after_crash: bool,
) -> Result<Prepared, StackError> {
    let patience = if after_crash { AFTER_CRASH } else { Duration::ZERO };
    let (engines, ()) = futures::try_join!(engines::require(layout), ports::check(layout, patience))?;
    let state = StateFile::load(&layout.path("desired.json"))?;
    let secrets = Secrets::load_or_make(layout)?;
    secrets::make_master_key(layout)?;
    let inputs = Inputs {
        layout,
        secrets: &secrets,
        environment: options.environment.as_str(),
        site: options
            .site
            .as_ref()
            .map(|site| std::path::absolute(site).unwrap_or_else(|_| site.clone())),
        statement_statistics: provision::has_statement_statistics(&engines).await,
        webhooks: render::webhooks(layout)?,
    };
    inputs
        .settings()
        .validate()
        .map_err(|error| StackError::BadOption(error.to_string()))?;
    write_files(&inputs, user)?;
    provision::cluster(layout, &engines, &secrets, user).await?;
    let socket = api::bind(&layout.socket())?;
    let page = TcpListener::bind(("127.0.0.1", layout.supervisor_port()))
        .await
        .map_err(|error| {
            StackError::BadOption(format!(
                "port {} cannot be used: {error}",
                layout.supervisor_port()
            ))
        })?;
    let spawner = Spawner::new()
        .map_err(|error| StackError::BadOption(format!("the system gives no thread: {error}")))?;
    let specs = specs::all(&inputs, &engines, &bagua, user);
    let supervisor = Supervisor::new(specs, &spawner, state);
    serve(socket, api::router(Arc::clone(&supervisor)));
    serve(
        page,
        metrics::router(Arc::clone(&supervisor), options.environment.as_str()),
    );
    tokio::spawn(logs::keep_small(layout.path("log")));
    Ok(Prepared {
        supervisor,
        engines,
        secrets,
        bagua,
    })
}

fn serve<L>(listener: L, router: Router)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "a page of the supervisor has ended");
        }
    });
}

impl Prepared {
    async fn run(self, layout: &Layout, signals: &mut Signals, begun: Instant) -> Result<(), StackError> {
        let start = Start {
            supervisor: &self.supervisor,
            layout,
            engines: &self.engines,
            secrets: &self.secrets,
            bagua: &self.bagua,
        };
        let result = tokio::select! {
            result = start.run() => result,
            () = signals.next() => Err(StackError::Interrupted),
        };
        let result = match result {
            Ok(()) => {
                self.announce(layout, begun).await;
                signals.next().await;
                Ok(())
            }
            Err(StackError::Interrupted) => Ok(()),
            Err(error) => Err(error),
        };
        say("bagua stopping");
        let stop = orchestra::stop(&self.supervisor, layout);
        tokio::pin!(stop);
        tokio::select! {
            () = &mut stop => {}
            () = signals.next() => {
                self.supervisor.hurry();
                stop.await;
            }
        }
        let _ = std::fs::remove_file(layout.socket());
        say("bagua stopped");
        result
    }

    async fn announce(&self, layout: &Layout, begun: Instant) {
        let link = orchestra::first_administrator(layout, &self.bagua).await;
        say(&format!("bagua ready: {}", layout.public_url()));
        match link {
            Ok(Some(link)) => say(&format!("first administrator, one-time link: {link}")),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the first administrator's link could not be made"),
        }
        tracing::info!(milliseconds = begun.elapsed().as_millis(), "stack.ready");
    }
}

/// One line for whoever started us, person or script.
fn say(line: &str) {
    use std::io::Write as _;
    // A reader that went away must not end the stack.
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(crate) fn write_files(inputs: &Inputs<'_>, user: Option<&RunAs>) -> Result<(), StackError> {
    let layout = inputs.layout;
    files::folder(&layout.path("log"), 0o700, None)?;
    // Engines read these two as their group, and write only into their own folders.
    let shared = if user.is_some() { 0o750 } else { 0o700 };
    for folder in ["etc", "prometheus", "prometheus/targets", "prometheus/rules"] {
        files::folder(&layout.path(folder), shared, None)?;
        give_group(&layout.path(folder), user)?;
    }
    for folder in ["redis", "prometheus/data", "alertmanager"] {
        files::folder(&layout.path(folder), 0o700, user)?;
    }
    let text = toml::to_string(&inputs.settings())
        .map_err(|error| StackError::BadOption(format!("the configuration cannot be written: {error}")))?;
    let header = "# Written by `bagua up` at each start; changes are lost.\n";
    files::write(&layout.console_config(), &format!("{header}{text}"), 0o600, None)?;
    let etc = [
        ("postgresql.conf", inputs.postgres()),
        ("pg_hba.conf", POSTGRES_ACCESS.to_owned()),
        ("redis.conf", inputs.redis()),
        ("blackbox.yml", BLACKBOX.to_owned()),
        ("alertmanager.yml", inputs.alertmanager()),
        ("prometheus.yml", inputs.prometheus()),
        ("webhook.token", inputs.secrets.webhook_token.expose().to_owned()),
        ("metrics.token", inputs.secrets.metrics_token.expose().to_owned()),
    ];
    for (name, content) in etc {
        files::write(&layout.path("etc").join(name), &content, 0o640, user)?;
    }
    for (name, content) in inputs.targets() {
        let path = layout.path(format!("prometheus/targets/{name}.json"));
        files::write_if_changed(&path, &content, 0o640, user)?;
    }
    files::write(
        &layout.path("prometheus/rules/bagua.rules.yml"),
        RULES,
        0o640,
        user,
    )
}

fn give_group(path: &std::path::Path, user: Option<&RunAs>) -> Result<(), StackError> {
    match user {
        Some(user) => std::os::unix::fs::chown(path, None, Some(user.gid))
            .map_err(|error| StackError::file("Opening to the engines", path, error)),
        None => Ok(()),
    }
}

/// Ctrl-C, SIGTERM, and the terminal that goes away.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Absent under `nohup`, which asks to outlive the terminal.
    hang_up: Option<Signal>,
}

impl Signals {
    fn install() -> Result<Self, StackError> {
        let install = |kind| {
            signal(kind).map_err(|error| StackError::BadOption(format!("signals cannot be handled: {error}")))
        };
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            hang_up: if ignored(SignalKind::hangup()) {
                None
            } else {
                Some(install(SignalKind::hangup())?)
            },
        })
    }

    async fn next(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Whether whoever started us asked to ignore a signal.
fn ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    mask & (1 << (kind.as_raw_value() - 1)) != 0
}
