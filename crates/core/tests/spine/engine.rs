//! Operations from plan to end.

use crate::Bench;
use bagua_model::failure::FailureKind;
use bagua_model::operation::{
    OperationState, RetryDecision, RetryOperation, StepState, Submission, Submitted,
};
use bagua_testkit::people::{operator, viewer};
use bagua_testkit::probe::{Behaviour, Probe};
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn an_operation_runs_its_steps_and_leaves_its_story() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let view = bench.run(Probe::new("a", &["tx-1", "effect-1", "tx-2"])).await?;
    assert_eq!(view.summary.state, OperationState::Succeeded);
    assert_eq!(view.outcome, Some(json!(21)));
    assert_eq!(
        (view.summary.steps_done, view.summary.steps_total, view.attempt),
        (3, 3, 1)
    );
    assert!(view.steps.iter().all(|step| step.state == StepState::Done));
    let names: Vec<_> = view.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "submitted",
            "claimed",
            "step_started",
            "step_done",
            "step_started",
            "step_done",
            "step_started",
            "step_done",
            "finished"
        ]
    );
    assert!(view.events.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    let operation = view.summary.operation;
    assert_eq!(
        bench.audit(operation).await?,
        ["submit:allowed", "finish:succeeded"]
    );
    assert_eq!(bench.effects(operation).await?, ["effect-1:do"]);
    assert_eq!(bench.outside.rows(operation).await?, ["tx-1", "tx-2"]);
    Ok(())
}

#[tokio::test]
async fn a_failure_undoes_what_was_done_in_reverse() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe =
        Probe::new("a", &["effect-1", "tx-1", "effect-2", "effect-3"]).behave("effect-3", Behaviour::Fails);
    let view = bench.run(probe).await?;
    let operation = view.summary.operation;
    assert_eq!(view.summary.state, OperationState::Failed);
    assert_eq!(
        view.failure.map(|f| f.to_string()).as_deref(),
        Some("made to fail")
    );
    assert_eq!(
        bench.effects(operation).await?,
        ["effect-1:do", "effect-2:do", "effect-2:undo", "effect-1:undo"],
        "in reverse, and nothing is taken back that never happened"
    );
    assert!(bench.outside.rows(operation).await?.is_empty());
    assert_eq!(bench.audit(operation).await?, ["submit:allowed", "finish:failed"]);
    let failed = view.steps.iter().find(|step| step.name == "effect-3");
    assert!(
        failed.is_some_and(|step| step.failure.is_some()),
        "the step keeps its failure"
    );
    Ok(())
}

#[tokio::test]
async fn an_effect_that_failed_afterwards_is_taken_back_too() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe = Probe::new("a", &["effect-1"]).behave("effect-1", Behaviour::FailsAfterwards);
    let view = bench.run(probe).await?;
    assert_eq!(view.summary.state, OperationState::Failed);
    assert_eq!(
        bench.effects(view.summary.operation).await?,
        ["effect-1:do", "effect-1:undo"]
    );
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_no_row_and_needs_no_undo() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe = Probe::new("a", &["tx-1", "tx-2"])
        .behave("tx-2", Behaviour::Fails)
        .undo_fails("tx-2");
    let view = bench.run(probe).await?;
    assert_eq!(view.summary.state, OperationState::Failed, "{:?}", view.failure);
    assert!(bench.outside.rows(view.summary.operation).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_and_asks_the_outside_first() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let view = bench
        .run(Probe::new("a", &["effect-1"]).behave("effect-1", Behaviour::Falters))
        .await?;
    assert_eq!(view.summary.state, OperationState::Succeeded);
    assert_eq!(bench.effects(view.summary.operation).await?, ["effect-1:do"]);
    let view = bench
        .run(Probe::new("b", &["tx-1"]).behave("tx-1", Behaviour::FaltersForEver))
        .await?;
    assert_eq!(view.summary.state, OperationState::Failed);
    assert!(bench.outside.rows(view.summary.operation).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_panic_is_a_failure_that_is_undone() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe = Probe::new("a", &["effect-1", "effect-2"]).behave("effect-2", Behaviour::Panics);
    let view = bench.run(probe).await?;
    assert_eq!(view.summary.state, OperationState::Failed);
    assert_eq!(
        bench.effects(view.summary.operation).await?,
        ["effect-1:do", "effect-1:undo"]
    );
    Ok(())
}

#[tokio::test]
async fn one_at_a_time_per_target() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let first = bench.submit(Probe::new("a", &["tx-1"])).await?;
    let wei = operator("Wei");
    let refused = bench
        .console
        .submit(&wei, Probe::new("a", &["tx-1"]), Submission::default())
        .await;
    let failure = refused.err().ok_or_else(|| anyhow::anyhow!("two at a time"))?;
    assert_eq!(
        (failure.kind, failure.operation),
        (FailureKind::Busy, Some(first))
    );
    let input = serde_json::to_value(Probe::new("a", &["tx-1"]))?;
    assert_eq!(
        bench.console.plan_json(&wei, "probe.run", input).await?.busy,
        Some(first)
    );
    bench.submit(Probe::new("b", &["tx-1"])).await?;
    bench.work().await?;
    bench.submit(Probe::new("a", &["tx-1"])).await?;
    Ok(())
}

#[tokio::test]
async fn of_many_submissions_at_once_one_wins() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let all = (0..12).map(|_| {
        bench
            .console
            .submit(&wei, Probe::new("a", &["tx-1"]), Submission::default())
    });
    let mut results = Vec::new();
    for result in futures::future::join_all(all).await {
        results.push(result.map_err(|f| (f.kind, f.operation)));
    }
    let winners: Vec<_> = results.iter().flatten().map(|s| s.operation).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    for loser in results.iter().filter_map(|r| r.as_ref().err()) {
        assert_eq!(*loser, (FailureKind::Busy, Some(winners[0])));
    }
    Ok(())
}

#[tokio::test]
async fn the_same_token_is_the_same_submission() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let submission = Submission {
        token: Some(Uuid::new_v4()),
        ..Submission::default()
    };
    let all = (0..8).map(|_| {
        bench
            .console
            .submit(&wei, Probe::new("a", &["tx-1"]), submission.clone())
    });
    let all: Vec<Submitted> = futures::future::join_all(all)
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    assert!(all.iter().all(|s| s.operation == all[0].operation));
    bench.work().await?;
    let again = bench
        .console
        .submit(&wei, Probe::new("a", &["tx-1"]), submission.clone())
        .await?;
    assert_eq!(
        (again.operation, again.state),
        (all[0].operation, OperationState::Succeeded)
    );
    let other = bench
        .console
        .submit(&wei, Probe::new("b", &["tx-1"]), submission.clone())
        .await;
    assert_eq!(other.err().map(|f| f.kind), Some(FailureKind::Conflict));
    let lin = bench
        .console
        .submit(&operator("Lin"), Probe::new("a", &["tx-1"]), submission)
        .await;
    assert_eq!(
        lin.err().map(|f| f.kind),
        Some(FailureKind::Conflict),
        "a token is its submitter's"
    );
    Ok(())
}

#[tokio::test]
async fn a_confirmation_is_for_the_plan_that_was_shown() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let probe = Probe::new("a", &["tx-1"]);
    let plan = bench
        .console
        .plan_json(&wei, "probe.run", serde_json::to_value(&probe)?)
        .await?;
    let submission = Submission {
        plan_hash: Some(plan.hash),
        ..Submission::default()
    };
    bench.outside.set_world(1).await?; // An estimate moves; no fact.
    bench.console.submit(&wei, probe, submission.clone()).await?;
    bench.outside.set_world(20).await?;
    let drifted = bench
        .console
        .submit(&wei, Probe::new("b", &["tx-1"]), submission)
        .await;
    assert_eq!(drifted.err().map(|f| f.kind), Some(FailureKind::Drifted));
    Ok(())
}

#[tokio::test]
async fn a_plan_that_drifted_before_the_start_asks_again() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &["effect-1"])).await?;
    bench.outside.set_world(50).await?;
    bench.work().await?;
    let view = bench.view(operation).await?;
    assert_eq!(view.summary.state, OperationState::NeedsOperator);
    assert!(
        view.steps.is_empty() && view.summary.started_at.is_none(),
        "nothing has begun"
    );
    let new = view
        .new_plan
        .ok_or_else(|| anyhow::anyhow!("no new plan to confirm"))?;
    assert_eq!(new.facts["world"], json!(50));
    let wei = operator("Wei");
    let retry = |hash| RetryOperation {
        operation,
        decision: RetryDecision::Retry,
        hash,
    };
    for wrong in [None, Some(view.plan_hash.clone())] {
        let refused = bench
            .console
            .submit(&wei, retry(wrong), Submission::default())
            .await;
        assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Drifted));
    }
    let refused = bench
        .console
        .submit(
            &viewer("Vi"),
            retry(view.new_plan_hash.clone()),
            Submission::default(),
        )
        .await;
    assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Forbidden));
    bench
        .console
        .submit(&wei, retry(view.new_plan_hash), Submission::default())
        .await?;
    bench.work().await?;
    assert_eq!(bench.state(operation).await?, OperationState::Succeeded);
    assert_eq!(bench.effects(operation).await?, ["effect-1:do"]);
    assert_eq!(
        bench.audit(operation).await?,
        [
            "submit:allowed",
            "needs-operator:waiting",
            "retry:allowed",
            "finish:succeeded"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_drifted_operation_can_be_given_up() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &["effect-1"])).await?;
    bench.outside.set_world(50).await?;
    bench.work().await?;
    let give_up = RetryOperation {
        operation,
        decision: RetryDecision::GiveUp,
        hash: None,
    };
    bench
        .console
        .submit(&operator("Wei"), give_up, Submission::default())
        .await?;
    assert_eq!(bench.state(operation).await?, OperationState::Cancelled);
    assert!(bench.effects(operation).await?.is_empty());
    bench.submit(Probe::new("a", &["effect-1"])).await?;
    Ok(())
}

#[tokio::test]
async fn a_step_that_asks_for_a_person_goes_on_where_it_stopped() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe = Probe::new("a", &["effect-1", "effect-2"]).behave("effect-2", Behaviour::Asks);
    let operation = bench.run(probe).await?.summary.operation;
    let view = bench.view(operation).await?;
    assert_eq!(view.summary.state, OperationState::NeedsOperator);
    assert_eq!(
        view.failure.map(|f| f.to_string()).as_deref(),
        Some("made to ask")
    );
    bench.outside.set_world(100).await?;
    let retry = RetryOperation {
        operation,
        decision: RetryDecision::Retry,
        hash: None,
    };
    bench
        .console
        .submit(&operator("Lin"), retry, Submission::default())
        .await?;
    bench.work().await?;
    assert_eq!(bench.state(operation).await?, OperationState::Succeeded);
    assert_eq!(bench.effects(operation).await?, ["effect-1:do", "effect-2:do"]);
    Ok(())
}

#[tokio::test]
async fn giving_up_a_step_that_asks_undoes_what_was_done() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe = Probe::new("a", &["effect-1", "tx-1", "effect-2"]).behave("effect-2", Behaviour::Asks);
    let operation = bench.run(probe).await?.summary.operation;
    let give_up = RetryOperation {
        operation,
        decision: RetryDecision::GiveUp,
        hash: None,
    };
    bench
        .console
        .submit(&operator("Wei"), give_up, Submission::default())
        .await?;
    bench.work().await?;
    let view = bench.view(operation).await?;
    assert_eq!(view.summary.state, OperationState::Failed);
    assert_eq!(
        view.failure.map(|f| f.to_string()).as_deref(),
        Some("made to ask")
    );
    assert_eq!(bench.effects(operation).await?, ["effect-1:do", "effect-1:undo"]);
    assert!(bench.outside.rows(operation).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_failed_undo_waits_for_a_person_who_retries_or_gives_up() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for decision in [RetryDecision::Retry, RetryDecision::GiveUp] {
        bench.outside.set_world(0).await?;
        let probe = Probe::new("a", &["effect-1", "effect-2", "effect-3"])
            .behave("effect-3", Behaviour::Fails)
            .undo_fails("effect-1");
        let operation = bench.run(probe).await?.summary.operation;
        let view = bench.view(operation).await?;
        assert_eq!(view.summary.state, OperationState::NeedsOperator);
        let first = view.steps.iter().find(|step| step.name == "effect-1");
        assert_eq!(first.map(|step| step.state), Some(StepState::UndoFailed));
        assert_eq!(
            bench.effects(operation).await?,
            ["effect-1:do", "effect-2:do", "effect-2:undo"]
        );
        bench.outside.set_world(100).await?;
        let retry = RetryOperation {
            operation,
            decision,
            hash: None,
        };
        bench
            .console
            .submit(&operator("Wei"), retry, Submission::default())
            .await?;
        bench.work().await?;
        let view = bench.view(operation).await?;
        assert_eq!(view.summary.state, OperationState::Failed);
        let taken_back = bench
            .effects(operation)
            .await?
            .contains(&"effect-1:undo".to_owned());
        assert_eq!(taken_back, decision == RetryDecision::Retry);
        let why = view.failure.map(|f| f.to_string());
        let expected = if taken_back {
            "made to fail"
        } else {
            "made to fail its undo"
        };
        assert_eq!(why.as_deref(), Some(expected));
    }
    Ok(())
}
