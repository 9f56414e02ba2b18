//! The second person: by code, and by the database.

use crate::Bench;
use bagua_core::{Actor, Applies, Console, PlanContext};
use bagua_model::access::Permission;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{
    ApprovalInbox, ApproveOperation, CreateSchedule, OperationId, OperationState, Plan, RecentEvents,
    RejectOperation, RetryDecision, RetryOperation, Submission,
};
use bagua_model::region::Scope;
use bagua_model::text::Text;
use bagua_model::verbs::{Operation, Risk, Target};
use bagua_testkit::people::{administrator, operator, operator_in, system, viewer};
use bagua_testkit::probe::{CriticalProbe, Probe};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::sync::Arc;
use std::time::Duration;

async fn approve(bench: &Bench, who: &Actor, operation: OperationId) -> Result<OperationState, Failure> {
    let hash = bench
        .view(operation)
        .await
        .map_err(|_| Failure::internal())?
        .plan_hash;
    let approve = ApproveOperation { operation, hash };
    bench
        .console
        .submit(who, approve, Submission::default())
        .await
        .map(|s| s.state)
}

fn kind<T>(result: Result<T, Failure>) -> Option<FailureKind> {
    result.err().map(|failure| failure.kind)
}

#[tokio::test]
async fn a_second_person_lets_it_go() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let submitted = bench
        .console
        .submit(
            &wei,
            CriticalProbe(Probe::new("a", &["effect-1"])),
            Submission::default(),
        )
        .await?;
    let operation = submitted.operation;
    assert_eq!(submitted.state, OperationState::AwaitingApproval);
    bench.work().await?;
    assert!(
        bench.effects(operation).await?.is_empty(),
        "it ran without the second person"
    );
    assert_eq!(
        kind(approve(&bench, &wei, operation).await),
        Some(FailureKind::Forbidden)
    );
    assert_eq!(
        kind(approve(&bench, &viewer("Vi"), operation).await),
        Some(FailureKind::Forbidden)
    );
    let dublin = operator_in("Aoife", "eu-west-1");
    assert_eq!(
        kind(approve(&bench, &dublin, operation).await),
        Some(FailureKind::Forbidden)
    );
    assert_eq!(
        kind(approve(&bench, &system(), operation).await),
        Some(FailureKind::Forbidden)
    );
    let other = ApproveOperation {
        operation,
        hash: "0".repeat(64),
    };
    let refused = bench
        .console
        .submit(&operator("Lin"), other, Submission::default())
        .await;
    assert_eq!(kind(refused), Some(FailureKind::Drifted));
    approve(&bench, &operator("Lin"), operation).await?;
    assert_eq!(
        kind(approve(&bench, &operator("Ana"), operation).await),
        Some(FailureKind::Conflict)
    );
    bench.work().await?;
    let view = bench.view(operation).await?;
    assert_eq!(view.summary.state, OperationState::Succeeded);
    assert!(view.decided_by.is_some_and(|who| who.contains("Lin")));
    assert_eq!(
        bench.audit(operation).await?,
        ["submit:allowed", "approve:allowed", "finish:succeeded"]
    );
    Ok(())
}

#[tokio::test]
async fn a_refused_decision_leaves_nothing_locked_behind() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let submitted = bench
        .console
        .submit(
            &wei,
            CriticalProbe(Probe::new("a", &["effect-1"])),
            Submission::default(),
        )
        .await?;
    // A worker passes by what is locked, so a lock that outlives its refusal delays the operation by a poll.
    for _ in 0..50 {
        let refused = approve(&bench, &wei, submitted.operation).await;
        assert_eq!(kind(refused), Some(FailureKind::Forbidden));
        let free = sqlx::query("SELECT 1 FROM operations WHERE id = $1 FOR UPDATE NOWAIT")
            .bind(submitted.operation.0)
            .execute(&bench.db.owner)
            .await;
        assert!(free.is_ok(), "the row is still locked: {free:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_database_refuses_what_the_code_would_not() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let operation = bench
        .console
        .submit(
            &wei,
            Probe::new("a", &["tx-1"]).with_approval(),
            Submission::default(),
        )
        .await?;
    let me = wei.person();
    let broken = |sql: &'static str| {
        let owner = &bench.db.owner;
        async move {
            let done = sqlx::query(sql)
                .bind(operation.operation.0)
                .bind(me)
                .execute(owner)
                .await;
            done.err().and_then(|e| {
                e.as_database_error()
                    .and_then(|e| e.constraint().map(str::to_owned))
            })
        }
    };
    let own = broken("UPDATE operations SET approved_by = $2, approved_hash = plan_hash WHERE id = $1").await;
    assert_eq!(own.as_deref(), Some("operations_second_person"));
    let prepared = broken(
        "UPDATE operations SET submitted_by_person = NULL, prepared_by = ARRAY[$2::uuid], approved_by = $2,
             approved_hash = plan_hash WHERE id = $1",
    )
    .await;
    assert_eq!(prepared.as_deref(), Some("operations_second_person"));
    let unapproved =
        broken("UPDATE operations SET state = 'queued' WHERE id = $1 AND $2::uuid IS NOT NULL").await;
    assert_eq!(unapproved.as_deref(), Some("operations_approved_before_start"));
    let other_hash = broken(
        "UPDATE operations SET approved_by = gen_random_uuid(), approved_hash = 'x' WHERE id = $1 AND $2::uuid IS NOT NULL",
    )
    .await;
    assert_eq!(other_hash.as_deref(), Some("operations_approval_binds_to_hash"));
    let quiet =
        broken("UPDATE operations SET break_glass = true WHERE id = $1 AND $2::uuid IS NOT NULL").await;
    assert_eq!(quiet.as_deref(), Some("operations_break_glass_has_reason"));
    Ok(())
}

#[tokio::test]
async fn a_rejection_ends_it() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench
        .submit(Probe::new("a", &["effect-1"]).with_approval())
        .await?;
    let reject = |reason: &str| RejectOperation {
        operation,
        reason: reason.to_owned(),
    };
    let refused = bench
        .console
        .submit(&operator("Lin"), reject(" "), Submission::default())
        .await;
    assert_eq!(kind(refused), Some(FailureKind::Invalid));
    let refused = bench
        .console
        .submit(&operator("Wei"), reject("mine"), Submission::default())
        .await;
    assert_eq!(kind(refused), Some(FailureKind::Forbidden));
    bench
        .console
        .submit(&operator("Lin"), reject("not today"), Submission::default())
        .await?;
    let view = bench.view(operation).await?;
    assert_eq!(view.summary.state, OperationState::Cancelled);
    assert!(
        view.failure
            .is_some_and(|why| why.to_string().contains("not today"))
    );
    assert_eq!(
        bench.audit(operation).await?,
        ["submit:allowed", "reject:allowed", "finish:cancelled"]
    );
    assert_eq!(
        kind(approve(&bench, &operator("Lin"), operation).await),
        Some(FailureKind::Conflict)
    );
    Ok(())
}

#[tokio::test]
async fn what_waits_holds_nothing_and_asks_again_when_approved() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let waiting = bench
        .submit(Probe::new("a", &["effect-1"]).with_approval())
        .await?;
    let now = bench.submit(Probe::new("a", &["effect-1"])).await?;
    let refused = approve(&bench, &operator("Lin"), waiting).await;
    let refused = refused
        .err()
        .ok_or_else(|| anyhow::anyhow!("approved beside another"))?;
    assert_eq!((refused.kind, refused.operation), (FailureKind::Busy, Some(now)));
    assert_eq!(bench.state(waiting).await?, OperationState::AwaitingApproval);
    bench.work().await?;
    approve(&bench, &operator("Lin"), waiting).await?;
    bench.work().await?;
    assert_eq!(bench.state(waiting).await?, OperationState::Succeeded);
    Ok(())
}

#[tokio::test]
async fn an_approval_lapses_before_and_after_it_is_given() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let waiting = bench
        .submit(Probe::new("a", &["effect-1"]).with_approval())
        .await?;
    let given = bench
        .submit(Probe::new("b", &["effect-1"]).with_approval())
        .await?;
    approve(&bench, &operator("Lin"), given).await?;
    bench.clock.advance(time::Duration::hours(72));
    assert_eq!(bench.console.expire_approvals().await?, 0);
    bench.clock.advance(time::Duration::seconds(1));
    assert_eq!(
        kind(approve(&bench, &operator("Lin"), waiting).await),
        Some(FailureKind::Conflict)
    );
    assert_eq!(bench.console.expire_approvals().await?, 2);
    for operation in [waiting, given] {
        assert_eq!(bench.state(operation).await?, OperationState::Cancelled);
        let audit = bench.audit(operation).await?;
        assert!(
            audit.ends_with(&["expire:cancelled".to_owned(), "finish:cancelled".to_owned()]),
            "{audit:?}"
        );
    }
    bench.work().await?;
    assert!(bench.effects(given).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn break_glass_needs_right_and_reason_and_is_loud() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let submission = |reason: Option<&str>| Submission {
        break_glass: true,
        reason: reason.map(str::to_owned),
        ..Submission::default()
    };
    let probe = || CriticalProbe(Probe::new("a", &["effect-1"]));
    let refused = bench
        .console
        .submit(&operator("Wei"), probe(), submission(Some("fire")))
        .await;
    assert_eq!(kind(refused), Some(FailureKind::Forbidden));
    for reason in [None, Some("  ")] {
        let refused = bench
            .console
            .submit(&administrator("Root"), probe(), submission(reason))
            .await;
        assert_eq!(kind(refused), Some(FailureKind::Invalid));
    }
    let submitted = bench
        .console
        .submit(&administrator("Root"), probe(), submission(Some("fire")))
        .await?;
    assert_eq!(submitted.state, OperationState::Queued);
    bench.work().await?;
    let view = bench.view(submitted.operation).await?;
    assert!(view.break_glass && view.summary.state == OperationState::Succeeded);
    assert_eq!(
        bench.audit(submitted.operation).await?,
        ["submit:allowed", "break-glass:allowed", "finish:succeeded"]
    );
    let events = bench.console.ask(&system(), RecentEvents::default()).await?;
    assert!(events.iter().any(|event| event.kind == "operation.break-glass"));
    // Where no second person is needed there is no glass to break.
    let plain = bench
        .console
        .submit(&operator("Wei"), Probe::new("b", &["tx-1"]), submission(None))
        .await?;
    assert!(!bench.view(plain.operation).await?.break_glass);
    Ok(())
}

#[tokio::test]
async fn a_new_plan_needs_a_new_approval_and_not_from_who_confirmed_it() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench
        .submit(Probe::new("a", &["effect-1"]).with_approval())
        .await?;
    approve(&bench, &operator("Lin"), operation).await?;
    bench.outside.set_world(50).await?;
    bench.work().await?;
    let view = bench.view(operation).await?;
    assert_eq!(view.summary.state, OperationState::NeedsOperator);
    let retry = RetryOperation {
        operation,
        decision: RetryDecision::Retry,
        hash: view.new_plan_hash,
    };
    bench
        .console
        .submit(&operator("Lin"), retry, Submission::default())
        .await?;
    assert_eq!(bench.state(operation).await?, OperationState::AwaitingApproval);
    for preparer in ["Lin", "Wei"] {
        assert_eq!(
            kind(approve(&bench, &operator(preparer), operation).await),
            Some(FailureKind::Forbidden)
        );
    }
    approve(&bench, &operator("Ana"), operation).await?;
    bench.work().await?;
    assert_eq!(bench.state(operation).await?, OperationState::Succeeded);
    assert_eq!(bench.effects(operation).await?, ["effect-1:do"]);
    Ok(())
}

#[tokio::test]
async fn a_schedules_creator_is_no_second_person_for_what_it_submits() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let schedule = CreateSchedule {
        name: "probe".to_owned(),
        cron: "0 * * * *".to_owned(),
        kind: "probe.critical".to_owned(),
        input: serde_json::to_value(CriticalProbe(Probe::new("a", &["tx-1"])))?,
    };
    bench
        .console
        .submit(&operator("Wei"), schedule, Submission::default())
        .await?;
    bench.clock.advance(time::Duration::hours(2));
    assert_eq!(bench.console.fire_due_schedules().await?, 1);
    let inbox = bench.console.ask(&operator("Lin"), ApprovalInbox {}).await?;
    assert_eq!(inbox.len(), 1);
    let operation = inbox[0].summary.operation;
    assert!(
        bench
            .console
            .ask(&operator("Wei"), ApprovalInbox {})
            .await?
            .is_empty()
    );
    assert_eq!(
        kind(approve(&bench, &operator("Wei"), operation).await),
        Some(FailureKind::Forbidden)
    );
    approve(&bench, &operator("Lin"), operation).await?;
    bench.work().await?;
    assert_eq!(bench.state(operation).await?, OperationState::Succeeded);
    Ok(())
}

/// Something that is only rows, needs a second person, and cools off for a minute.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
struct Note {
    word: String,
}

impl Operation for Note {
    const KIND: &'static str = "note.write";
    const PERMISSION: Permission = Permission::ComponentsOperate;
    const RISK: Risk = Risk::Critical;
    const COOLING_OFF: u32 = 60;
    type Outcome = ();
    fn target(&self) -> Target {
        Target {
            noun: "note".into(),
            id: self.word.clone(),
            scope: Scope::ANY,
        }
    }
}

struct Notes;

#[async_trait::async_trait]
impl Applies<Note> for Notes {
    async fn plan(&self, _: &PlanContext, note: &Note) -> Result<Plan, Failure> {
        Ok(Plan {
            summary: Text::verbatim(&note.word),
            changes: vec![],
            facts: Default::default(),
            estimates: vec![],
            warnings: vec![],
            steps: vec![],
            approval: None,
        })
    }
    async fn apply(&self, _: &PlanContext, db: &mut PgConnection, note: &Note) -> Result<(), Failure> {
        if note.word == "refuse" {
            return Err(Failure::field("word", Text::verbatim("not this one")));
        }
        let done = sqlx::query("INSERT INTO probe_rows VALUES (gen_random_uuid(), $1, 0)")
            .bind(&note.word)
            .execute(db);
        done.await.map(|_| ()).map_err(bagua_core::db::failure)
    }
}

#[tokio::test]
async fn an_immediate_operation_with_a_second_person_is_applied_after_approval_and_cooling_off()
-> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let mut parts = bagua_testkit::parts("notes", &bench.db, &bench.clock);
    parts.registry.immediate::<Note>(Arc::new(Notes));
    let console: Arc<Console> = Console::new(parts);
    let worker = bagua_core::Worker::new(&console);
    for (word, end) in [
        ("yes", OperationState::Succeeded),
        ("refuse", OperationState::Failed),
    ] {
        let note = Note {
            word: word.to_owned(),
        };
        let operation = console
            .submit(&operator("Wei"), note, Submission::default())
            .await?
            .operation;
        let hash = bagua_testkit::operation_view(&console, operation)
            .await?
            .plan_hash;
        let approve = ApproveOperation { operation, hash };
        console
            .submit(&operator("Lin"), approve, Submission::default())
            .await?;
        assert_eq!(worker.run_once().await?, None, "it did not cool off");
        bench.clock.advance(time::Duration::seconds(61));
        assert_eq!(worker.run_once().await?, Some(operation));
        assert_eq!(
            bagua_testkit::operation_view(&console, operation)
                .await?
                .summary
                .state,
            end
        );
    }
    let written: Vec<String> = sqlx::query_scalar("SELECT step FROM probe_rows")
        .fetch_all(&bench.db.owner)
        .await?;
    assert_eq!(written, ["yes"]);
    // The worker looks for it by itself: nothing is left waiting.
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(5), worker.run_once()).await??,
        None
    );
    Ok(())
}
