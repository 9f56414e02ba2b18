//! Two consoles: what one leaves in order, the other goes on with at once.

use crate::support::{Empty, Ground, HOME, settings};
use bagua_core::Actor;
use bagua_model::operation::{OperationState, Submission};
use bagua_model::settings::Settings;
use bagua_server::{database, serve, wiring};
use bagua_testkit::{eventually, wait_until};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Outcome = anyhow::Result<()>;

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    process: JoinHandle<anyhow::Result<()>>,
}

async fn start(settings: &Settings) -> anyhow::Result<Served> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut settings = settings.clone();
    bagua_server::settings::listen_elsewhere(&mut settings, Some(address));
    let stop = CancellationToken::new();
    let process = tokio::spawn(serve::run(settings, stop.clone()));
    eventually("the console answers", || async {
        anyhow::ensure!(!process.is_finished(), "the console did not start");
        Ok(TcpStream::connect(address).await.ok().map(|_| ()))
    })
    .await?;
    Ok(Served {
        address,
        stop,
        process,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_is_asked_to_stop_hands_its_work_to_the_other_before_any_lease_runs_out() -> Outcome {
    let ground = Ground::new().await?;
    let empty = Empty::new(&ground.db).await?;
    let mut settings = settings(
        ground.folder(),
        &empty.app_url,
        &ground.folder().join("supervisor.sock"),
    )?;
    settings.cells.clear();
    settings.control.owner_url = Some(bagua_model::settings::Secret::new(empty.owner_url.clone()));
    database::migrate(&settings).await?;

    let first = start(&settings).await?;
    // Asked by a process that carries out nothing itself, as the command line does.
    let asking = wiring::build(&settings)?.console;
    let input = json!({ "component": format!("{HOME}/slow") });
    let submitted = asking
        .submit_json(
            &Actor::system("cli:test"),
            "component.stop",
            input,
            Submission::default(),
        )
        .await?;
    wait_until(&asking, submitted.operation, &[OperationState::Running]).await?;
    let second = start(&settings).await?;

    let asked = Instant::now();
    first.stop.cancel();
    eventually("the first console's port is free", || async {
        Ok(TcpStream::connect(first.address).await.is_err().then_some(()))
    })
    .await?;
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "the port was kept for {:?}",
        asked.elapsed()
    );
    tokio::time::timeout(Duration::from_secs(12), first.process).await???;
    let ended = asked.elapsed();
    let view = wait_until(&asking, submitted.operation, &[OperationState::Succeeded]).await?;
    assert!(
        view.attempt > 1,
        "the first console did it alone: nothing was handed over"
    );
    // A lease that had to run out would take 15 s.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(
        ended < Duration::from_secs(8),
        "the first console took {ended:?} to end"
    );
    second.stop.cancel();
    tokio::time::timeout(Duration::from_secs(12), second.process).await???;
    Ok(())
}
