//! A runner in a process of its own, to be killed and frozen: this test program once more, as one ignored test.

use crate::ground::{MASTER, here};
use anyhow::{Context as _, Result};
use bagua_bots::ingest::{Committer, CommitterConfig, Ingest};
use bagua_bots::runner::{Parts, Runner, RunnerConfig};
use bagua_keys::{KeyStore, MasterKey};
use bagua_telegram::Transport;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::PgPool;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use time::macros::datetime;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const OWNER: &str = "BAGUA_TEST_RUNNER";
const DATA: &str = "BAGUA_TEST_RUNNER_DATA";
const KEYS: &str = "BAGUA_TEST_RUNNER_KEYS";

/// Settings under which things happen within a test's patience.
pub fn quick(owner: &str) -> RunnerConfig {
    RunnerConfig {
        lease: Duration::from_secs(2),
        look: Duration::from_millis(100),
        poll_seconds: 1,
        observe: Duration::from_millis(200),
        settled: Instant::now(),
        ..RunnerConfig::new(here(owner))
    }
}

/// A process that runs bots until it is killed.
pub struct Process(Child);

impl Process {
    /// Starts one on the databases of a ground.
    pub fn start(ground: &crate::ground::Ground, owner: &str) -> Result<Process> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--ignored", "--exact", "process::runs_bots_until_it_is_killed"])
            .env(OWNER, owner)
            .env(DATA, &ground.data.app_url)
            .env(KEYS, &ground.keys_db.app_url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Process(child))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.0.id().context("the process has ended")?;
        kill(Pid::from_raw(i32::try_from(pid)?), signal)?;
        Ok(())
    }

    /// Ends it in the middle of whatever it does.
    pub async fn kill(mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.0.wait().await?;
        Ok(())
    }

    /// Asks it to end, and waits until it has: within ten seconds, or whoever supervises it kills it.
    pub async fn terminate(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let status = tokio::time::timeout(Duration::from_secs(10), self.0.wait())
            .await
            .context("it did not end within ten seconds of being asked to")??;
        anyhow::ensure!(status.success(), "{status}");
        Ok(())
    }
}

#[tokio::test]
#[ignore = "other tests start it as a process of its own"]
async fn runs_bots_until_it_is_killed() -> Result<()> {
    let Ok(owner) = std::env::var(OWNER) else {
        return Ok(());
    };
    let data = PgPool::connect(&std::env::var(DATA)?).await?;
    let keys = PgPool::connect(&std::env::var(KEYS)?).await?;
    let mut random = StdRng::from_os_rng();
    let keys = KeyStore::new(keys, MasterKey::new(&MASTER), &mut random, 1_000);
    let now = Arc::new(|| datetime!(2026-11-22 20:00:00 UTC));
    let committer = Committer::start(&data, CommitterConfig::default(), now);
    let parts = Parts {
        pool: data,
        keys: keys.clone(),
        ingest: Ingest::new(keys, committer),
        transport: Transport::new(Duration::from_secs(2))?,
    };
    let stop = CancellationToken::new();
    let mut asked = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn({
        let stop = stop.clone();
        async move {
            asked.recv().await;
            stop.cancel();
        }
    });
    Runner::new(quick(&owner), parts).run(stop).await;
    Ok(())
}
