//! Cancel: who may, when, and what becomes of the operation.

use crate::{Bench, second_console};
use bagua_core::Worker;
use bagua_model::access::{Grant, Role};
use bagua_model::failure::FailureKind;
use bagua_model::operation::{CancelOperation, OperationId, OperationState, Submission};
use bagua_model::region::{RegionId, Scope};
use bagua_testkit::people::{operator, person, viewer};
use bagua_testkit::probe::{Behaviour, Probe};
use bagua_testkit::wait_until;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

fn cancel(operation: OperationId) -> CancelOperation {
    CancelOperation {
        operation,
        reason: Some("wrong one".to_owned()),
    }
}

#[tokio::test]
async fn what_has_not_begun_is_cancelled_at_once() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &["effect-1"])).await?;
    let wei = operator("Wei");
    bench
        .console
        .submit(&wei, cancel(operation), Submission::default())
        .await?;
    assert_eq!(bench.state(operation).await?, OperationState::Cancelled);
    bench.work().await?;
    assert!(bench.effects(operation).await?.is_empty());
    assert_eq!(
        bench.audit(operation).await?,
        ["submit:allowed", "cancel:allowed", "finish:cancelled"]
    );
    let again = bench
        .console
        .submit(&wei, cancel(operation), Submission::default())
        .await;
    assert_eq!(again.err().map(|f| f.kind), Some(FailureKind::Conflict));
    bench.submit(Probe::new("a", &["effect-1"])).await?;
    Ok(())
}

#[tokio::test]
async fn a_cancel_reaches_a_worker_of_another_console_within_a_second() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let other = second_console("two", &bench.db, &bench.clock, &bench.outside);
    let stop = CancellationToken::new();
    let working = tokio::spawn(Worker::new(&other).run(stop.clone()));
    let probe = Probe::new("a", &["effect-1", "effect-2"]).behave("effect-2", Behaviour::Waits);
    let operation = bench.submit(probe).await?;
    bagua_testkit::eventually("the second step", || async {
        Ok((bench.view(operation).await?.summary.current_step.as_deref() == Some("effect-2")).then_some(()))
    })
    .await?;
    let began = Instant::now();
    bench
        .console
        .submit(&operator("Wei"), cancel(operation), Submission::default())
        .await?;
    let view = wait_until(&bench.console, operation, &[OperationState::Cancelled]).await?;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "it took {:?}",
        began.elapsed()
    );
    assert!(view.cancel_requested && view.failure.is_none());
    assert_eq!(bench.effects(operation).await?, ["effect-1:do", "effect-1:undo"]);
    stop.cancel();
    working.await?;
    Ok(())
}

#[tokio::test]
async fn others_operations_take_the_permission_and_the_refusal_is_audited() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &["effect-1"])).await?;
    let refused = bench
        .console
        .submit(&viewer("Vi"), cancel(operation), Submission::default())
        .await;
    assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Forbidden));
    let denied: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit WHERE action = 'deny' AND kind = 'operation.cancel' AND actor LIKE 'Vi %'",
    )
    .fetch_one(&bench.db.owner)
    .await?;
    assert_eq!(denied, 1);
    assert_eq!(bench.state(operation).await?, OperationState::Queued);
    bench
        .console
        .submit(&operator("Lin"), cancel(operation), Submission::default())
        .await?;
    assert_eq!(bench.state(operation).await?, OperationState::Cancelled);
    Ok(())
}

#[tokio::test]
async fn ones_own_can_be_cancelled_after_the_grant_has_gone() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &["effect-1"])).await?;
    let elsewhere = Scope {
        environment: None,
        region: Some(RegionId::new("eu-west-1")),
    };
    let wei = person("Wei", Role::Viewer, elsewhere.clone());
    bench
        .console
        .submit(&wei, cancel(operation), Submission::default())
        .await?;
    assert_eq!(bench.state(operation).await?, OperationState::Cancelled);
    let operation = bench.submit(Probe::new("a", &["effect-1"])).await?;
    let mut stranger = person("Mallory", Role::Operator, elsewhere);
    if let bagua_core::Actor::Person { grants, .. } = &mut stranger {
        grants.push(Grant {
            role: Role::Viewer,
            scope: Scope::ANY,
        });
    }
    let refused = bench
        .console
        .submit(&stranger, cancel(operation), Submission::default())
        .await;
    assert_eq!(
        refused.err().map(|f| f.kind),
        Some(FailureKind::Forbidden),
        "the right to cancel is elsewhere"
    );
    Ok(())
}

#[tokio::test]
async fn an_operation_that_waits_for_a_person_can_be_cancelled_and_is_undone() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe = Probe::new("a", &["effect-1", "effect-2"]).behave("effect-2", Behaviour::Asks);
    let operation = bench.run(probe).await?.summary.operation;
    bench
        .console
        .submit(&operator("Wei"), cancel(operation), Submission::default())
        .await?;
    bench.work().await?;
    let view = bench.view(operation).await?;
    assert_eq!(
        (view.summary.state, view.failure),
        (OperationState::Cancelled, None)
    );
    assert_eq!(bench.effects(operation).await?, ["effect-1:do", "effect-1:undo"]);
    Ok(())
}

#[tokio::test]
async fn a_long_transaction_does_not_hold_up_the_cancel() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe = Probe::new("a", &["tx-1"]).behave("tx-1", Behaviour::Waits);
    let operation = bench.submit(probe).await?;
    let stop = CancellationToken::new();
    let working = tokio::spawn(Worker::new(&bench.console).run(stop.clone()));
    bagua_testkit::eventually("the step", || async {
        Ok(bench
            .view(operation)
            .await?
            .events
            .iter()
            .any(|e| e.name == "progress")
            .then_some(()))
    })
    .await?;
    bench
        .console
        .submit(&operator("Wei"), cancel(operation), Submission::default())
        .await?;
    wait_until(&bench.console, operation, &[OperationState::Cancelled]).await?;
    assert!(bench.outside.rows(operation).await?.is_empty());
    stop.cancel();
    working.await?;
    Ok(())
}
