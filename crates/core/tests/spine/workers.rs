//! Several workers, leases, and what a worker leaves alone.

use crate::{Bench, second_console};
use bagua_core::Worker;
use bagua_model::failure::FailureKind;
use bagua_model::operation::{OperationState, RetryDecision, RetryOperation, Submission};
use bagua_testkit::people::{operator, operator_in};
use bagua_testkit::probe::{Behaviour, Probe};
use bagua_testkit::{harness, wait_until};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn workers_of_two_consoles_share_the_work_and_a_stopped_one_hands_over() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let other = second_console("two", &bench.db, &bench.clock, &bench.outside);
    let (stop_one, stop_two) = (CancellationToken::new(), CancellationToken::new());
    let one = tokio::spawn(Worker::new(&bench.console).run(stop_one.clone()));
    let waiting = bench
        .submit(Probe::new("w", &["effect-1", "effect-2"]).behave("effect-2", Behaviour::Waits))
        .await?;
    wait_until(&bench.console, waiting, &[OperationState::Running]).await?;
    let two = tokio::spawn(Worker::new(&other).run(stop_two.clone()));
    let mut operations = Vec::new();
    for n in 0..10 {
        operations.push(
            bench
                .submit(Probe::new(&format!("t{n}"), &["tx-1", "effect-1"]))
                .await?,
        );
    }
    for operation in operations {
        wait_until(&bench.console, operation, &[OperationState::Succeeded]).await?;
        assert_eq!(bench.effects(operation).await?, ["effect-1:do"]);
    }
    // The lease is 15 s; the takeover must not wait for it.
    let began = std::time::Instant::now();
    stop_one.cancel();
    one.await?;
    bagua_testkit::eventually("a takeover", || async {
        Ok((bench.view(waiting).await?.attempt == 2).then_some(()))
    })
    .await?;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(bench.state(waiting).await?, OperationState::Running);
    assert_eq!(bench.effects(waiting).await?, ["effect-1:do"]);
    stop_two.cancel();
    two.await?;
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_keeps_a_short_lease() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let mut settings = bench.console.worker_settings().clone();
    settings.lease = Duration::from_millis(600);
    let stop = CancellationToken::new();
    let mut workers = Vec::new();
    for name in ["a", "b"] {
        let worker = Worker::with_settings(&bench.console, settings.clone(), name.to_owned());
        workers.push(tokio::spawn(worker.run(stop.clone())));
    }
    let operation = bench
        .submit(Probe::new("w", &["effect-1"]).behave("effect-1", Behaviour::Waits))
        .await?;
    wait_until(&bench.console, operation, &[OperationState::Running]).await?;
    // Several leases long, with a second worker that would take over a silent first one.
    let until = std::time::Instant::now() + 4 * settings.lease;
    bagua_testkit::eventually("four leases to pass", || async {
        anyhow::ensure!(
            bench.view(operation).await?.attempt == 1,
            "a living worker was taken over"
        );
        Ok((std::time::Instant::now() > until).then_some(()))
    })
    .await?;
    stop.cancel();
    for worker in workers {
        worker.await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_kills_every_worker_is_laid_before_a_person() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &["tx-1"])).await?;
    let mut settings = bench.console.worker_settings().clone();
    settings.most_attempts = 3;
    settings.probe = Some(std::sync::Arc::new(|_| bagua_core::run::Fate::Vanish));
    let worker = Worker::with_settings(&bench.console, settings, "dies".to_owned());
    for _ in 0..4 {
        worker.run_once().await?;
        harness::expire_lease(&bench.console, operation).await?;
    }
    assert_eq!(bench.state(operation).await?, OperationState::NeedsOperator);
    let retry = RetryOperation {
        operation,
        decision: RetryDecision::Retry,
        hash: None,
    };
    bench
        .console
        .submit(&operator("Wei"), retry, Submission::default())
        .await?;
    bench.work().await?;
    assert_eq!(bench.state(operation).await?, OperationState::Succeeded);
    Ok(())
}

#[tokio::test]
async fn kinds_that_this_binary_does_not_know_are_left_alone() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &["tx-1"])).await?;
    let bare = bagua_core::Console::new(bagua_testkit::parts("old", &bench.db, &bench.clock));
    assert_eq!(Worker::new(&bare).run_once().await?, None);
    assert_eq!(bench.state(operation).await?, OperationState::Queued);
    Ok(())
}

#[tokio::test]
async fn a_target_in_another_region_is_out_of_reach() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let dublin = operator_in("Aoife", "eu-west-1");
    for probe in [Probe::new("a", &["tx-1"]), Probe::new("a", &["tx-1"]).at(None)] {
        let refused = bench.console.submit(&dublin, probe, Submission::default()).await;
        assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Forbidden));
    }
    bench
        .console
        .submit(
            &dublin,
            Probe::new("a", &["tx-1"]).at(Some("eu-west-1")),
            Submission::default(),
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn with_its_connections_cut_again_and_again_it_ends_once() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let mut parts = bagua_testkit::parts("cut", &bench.db, &bench.clock);
    bench.outside.register(&mut parts);
    parts.workers.lease = Duration::from_millis(500);
    // On a slow machine a step may lose its connection more often in a row than an operation bears otherwise, and its
    // worker the lease: giving up is not what is looked at here.
    parts.workers.retry.times = 10_000;
    parts.workers.most_attempts = i32::MAX;
    let console = bagua_core::Console::new(parts);
    let stop = CancellationToken::new();
    let running = tokio::spawn(console.clone().run(stop.clone()));
    let steps: Vec<String> = (0..40)
        .map(|n| {
            if n % 2 == 0 {
                format!("tx-{n}")
            } else {
                format!("effect-{n}")
            }
        })
        .collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let mut operations = Vec::new();
    for n in 0..4 {
        operations.push(bench.submit(Probe::new(&format!("t{n}"), &steps)).await?);
    }
    let open = async || -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT count(*) FROM operations WHERE finished_at IS NULL")
            .fetch_one(&bench.db.owner)
            .await
    };
    // So many cuts and no more, so that it ends on a slow machine too.
    for _ in 0..200 {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE usename = 'bagua_app' AND datname = current_database() AND random() < 0.3",
        )
        .execute(&bench.db.owner)
        .await?;
        if open().await? == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bagua_testkit::eventually("all to end", || async { Ok((open().await? == 0).then_some(())) }).await?;
    for operation in operations {
        let view = wait_until(&console, operation, &[OperationState::Succeeded]).await?;
        assert_eq!(view.summary.steps_done, 40);
        let effects = bench.effects(operation).await?;
        let expected: Vec<_> = steps
            .iter()
            .filter(|s| s.starts_with("effect"))
            .map(|s| format!("{s}:do"))
            .collect();
        assert_eq!(effects, expected);
        assert_eq!(
            bench.audit(operation).await?,
            ["submit:allowed", "finish:succeeded"]
        );
    }
    stop.cancel();
    running.await?;
    Ok(())
}
