//! A real child process with the worker in it, killed with SIGKILL in the middle of a step.

use crate::Bench;
use bagua_core::Worker;
use bagua_core::run::{Fate, Point};
use bagua_model::operation::OperationState;
use bagua_testkit::harness::expire_lease;
use bagua_testkit::probe::{Outside, Probe};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

const URL: &str = "BAGUA_TEST_CHILD_DATABASE_URL";
const PLACE: &str = "BAGUA_TEST_CHILD_PLACE";

#[tokio::test]
async fn killed_at_three_places_it_goes_on_once() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench
        .submit(Probe::new("a", &["tx-1", "effect-1", "tx-2"]))
        .await?;
    for (n, place) in ["tx-1/Acted", "effect-1/Acted", "tx-2/Remembered"]
        .into_iter()
        .enumerate()
    {
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "killed::child",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(URL, &bench.db.app_url)
            .env(PLACE, place)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or_else(|| anyhow::anyhow!("no output"))?;
        let standing = tokio::task::spawn_blocking(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .any(|line| line.contains("standing at the place"))
        })
        .await?;
        // SIGKILL: nothing of it runs any more, no destructor, no release of the lease.
        child.kill()?;
        child.wait()?;
        assert!(standing, "the child never came to {place}");
        let view = bench.view(operation).await?;
        assert_eq!(view.summary.state, OperationState::Running);
        assert_eq!(view.attempt, i32::try_from(n + 1)?);
        expire_lease(&bench.console, operation).await?;
    }
    bench.work().await?;
    let view = bench.view(operation).await?;
    assert_eq!((view.summary.state, view.attempt), (OperationState::Succeeded, 4));
    assert_eq!(bench.effects(operation).await?, ["effect-1:do"]);
    assert_eq!(bench.outside.rows(operation).await?, ["tx-1", "tx-2"]);
    assert_eq!(
        bench.audit(operation).await?,
        ["submit:allowed", "finish:succeeded"]
    );
    Ok(())
}

/// The child: a worker that stands still at the place, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by killed_at_three_places_it_goes_on_once in a process of its own"]
async fn child() -> anyhow::Result<()> {
    let (Ok(url), Ok(place)) = (std::env::var(URL), std::env::var(PLACE)) else {
        return Ok(());
    };
    let db = sqlx::PgPool::connect(&url).await?;
    let clock = bagua_testkit::clock();
    let environment = bagua_model::region::Environment::Dev;
    let mut parts = bagua_core::ConsoleParts::new("child", db.clone(), environment, clock);
    Outside::open(db).register(&mut parts);
    parts.workers.probe = Some(Arc::new(move |point: &Point| {
        if format!("{}/{:?}", point.step, point.moment) == place {
            println!("standing at the place");
            std::io::stdout().flush().ok();
            loop {
                std::thread::park();
            }
        }
        Fate::GoOn
    }));
    let console = bagua_core::Console::new(parts);
    Worker::new(&console).run_once().await?;
    Ok(())
}
