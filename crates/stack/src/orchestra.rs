//! The order in which everything starts and ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::check::{self, Helper};
use crate::engines::Engines;
use crate::error::StackError;
use crate::files;
use crate::layout::Layout;
use crate::provision;
use crate::secrets::Secrets;
use crate::supervisor::Supervisor;

/// Needed by nothing that runs before them, so they start first and side by side.
const FIRST: [&str; 3] = ["global/redis", "global/node-exporter", "global/blackbox-exporter"];

/// What is needed to start.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) supervisor: &'a Arc<Supervisor>,
    pub(crate) layout: &'a Layout,
    pub(crate) engines: &'a Engines,
    pub(crate) secrets: &'a Secrets,
    pub(crate) bagua: &'a Path,
}

impl Start<'_> {
    /// Starts everything; returns when the console answers.
    pub(crate) async fn run(&self) -> Result<(), StackError> {
        for id in FIRST {
            self.supervisor.launch(id);
        }
        self.supervisor.launch("global/postgres");
        let monitoring = async {
            check::configurations(self.engines, self.layout).await?;
            self.supervisor.launch("global/alertmanager");
            self.supervisor.launch("global/prometheus");
            Ok(())
        };
        let platform = async {
            self.ready("global/postgres", Duration::from_secs(60)).await?;
            provision::roles_and_databases(self.layout, self.engines, self.secrets).await?;
            self.migrate().await?;
            self.supervisor.launch("global/console");
            for part in self.layout.parts() {
                if part.service != "console" {
                    // Whatever has been launched already takes no notice.
                    if !matches!(part.service, "prometheus" | "alertmanager") {
                        self.supervisor.launch(&part.id());
                    }
                }
            }
            self.ready("global/console", Duration::from_secs(30)).await
        };
        futures::try_join!(monitoring, platform).map(drop)
    }

    async fn ready(&self, id: &str, patience: Duration) -> Result<(), StackError> {
        let begun = std::time::Instant::now();
        if self.supervisor.until_ready(id, patience).await {
            return Ok(());
        }
        let log = self.layout.log(id);
        Err(StackError::NotReady {
            component: id.to_owned(),
            seconds: begun.elapsed().as_secs(),
            tail: files::tail(&log, 8),
            log,
        })
    }

    async fn migrate(&self) -> Result<(), StackError> {
        Helper {
            what: "Bringing the databases to this version",
            program: self.bagua.to_owned(),
            arguments: vec![
                "migrate".into(),
                "--config".into(),
                self.layout.console_config().display().to_string(),
            ],
            environment: vec![],
            input: None,
            run_as: None,
            patience: Duration::from_secs(600),
        }
        .run()
        .await
        .map(drop)
    }
}

/// The one-time link of the first administrator; `None` when there is one already.
pub(crate) async fn first_administrator(layout: &Layout, bagua: &Path) -> Result<Option<String>, StackError> {
    let link = Helper {
        what: "Making the first administrator's link",
        program: bagua.to_owned(),
        arguments: vec![
            "admin".into(),
            "link".into(),
            "--config".into(),
            layout.console_config().display().to_string(),
        ],
        environment: vec![],
        input: None,
        run_as: None,
        patience: Duration::from_secs(20),
    }
    .run()
    .await?;
    let link = link.trim();
    Ok((!link.is_empty()).then(|| link.to_owned()))
}

/// Ends everything: whoever uses an engine goes before it.
pub(crate) async fn stop(supervisor: &Supervisor, layout: &Layout) {
    supervisor.close();
    let parts = layout.parts();
    let groups: [&dyn Fn(&str) -> bool; 10] = [
        &|service| service == "console",
        &|service| service == "traffic",
        &|service| service == "prometheus",
        &|service| service == "alertmanager",
        &|service| service == "gateway",
        &|service| service == "runner",
        // After the runners, which give it their last word.
        &|service| service == "telegram-sim",
        &|service| service.ends_with("-exporter"),
        &|service| service == "redis",
        &|service| service == "postgres",
    ];
    for belongs in groups {
        let ids: Vec<String> = parts
            .iter()
            .filter(|part| belongs(part.service))
            .map(crate::layout::Part::id)
            .collect();
        supervisor.shut_down(&ids).await;
    }
}
