//! Every operation leaves its audit records: who, what, on what, and how it ended.

use crate::inputs::{Seed, inputs, plant};
use crate::support::{AWAY, Ground, HOME, Somebody};
use anyhow::Context as _;
use bagua_core::Verb;
use bagua_model::access::Role;
use bagua_model::operation::{GetOperation, OperationState, StepState, Submission};
use bagua_model::supervisor::{Action, ControlRequest};
use bagua_testkit::wait_until;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeMap;
use uuid::Uuid;

type Outcome = anyhow::Result<()>;

#[derive(sqlx::FromRow, Debug)]
struct Row {
    action: String,
    actor: String,
    person: Option<Uuid>,
    kind: Option<String>,
    environment: Option<String>,
    target: Option<String>,
    result: String,
}

async fn rows(db: &PgPool, operation: Uuid) -> anyhow::Result<Vec<Row>> {
    let query = "SELECT action, actor, person, kind, environment, target, result FROM audit WHERE operation = $1 ORDER BY id";
    Ok(sqlx::query_as(query).bind(operation).fetch_all(db).await?)
}

/// Inputs that can be carried out one after the other, in the order of the kinds' names.
fn feasible(table: &mut BTreeMap<&'static str, Value>, home: &Seed, away: &Seed, hash: &str) {
    table.insert(
        "operation.approve",
        json!({ "operation": home.waiting, "hash": hash }),
    );
    // Before it is disabled by another kind's input.
    table.insert("person.disable", json!({ "person": away.person }));
    // Of a process that runs: another kind's input stops the gateway here.
    let restart = json!({ "component": format!("{AWAY}/gateway") });
    let create =
        json!({ "name": "hourly", "cron": "7 * * * *", "kind": "component.restart", "input": restart });
    table.insert("schedule.create", create);
    table.insert("schedule.pause", json!({ "name": away.schedule, "paused": true }));
    table.insert(
        "operation.reject",
        json!({ "operation": away.waiting, "reason": "not tonight" }),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_leaves_a_record_of_its_submission_and_of_its_end() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let (home, away) = (
        plant(&ground, &house, HOME).await?,
        plant(&ground, &house, AWAY).await?,
    );
    let console = &house.parts.console;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let gave = |operation| GetOperation { operation };
    let hash = console.ask(&me.actor, gave(home.waiting)).await?.plan_hash;

    // A process that was restarted behind the console's back: the queued restart has another plan now, and waits.
    let wish = ControlRequest {
        request: Uuid::new_v4(),
        expect_generation: None,
        no_wait: false,
    };
    let restarted = ground
        .supervisor
        .control(&format!("{AWAY}/gateway"), Action::Restart, &wish)
        .await;
    anyhow::ensure!(restarted.is_ok(), "{restarted:?}");
    // A third operation that waits for a second person, to be cancelled.
    let third = console
        .submit_json(
            &me.actor,
            "component.stop",
            json!({ "component": "global/alertmanager" }),
            Submission::default(),
        )
        .await?;
    assert_eq!(third.state, OperationState::AwaitingApproval);
    house.run();
    wait_until(console, away.queued, &[OperationState::NeedsOperator]).await?;
    wait_until(console, home.queued, &[OperationState::Succeeded]).await?;

    let mut table = inputs(&house, &home, &me).await?;
    feasible(&mut table, &home, &away, &hash);
    table.insert("operation.cancel", json!({ "operation": third.operation }));
    table.insert(
        "operation.retry",
        json!({ "operation": away.queued, "decision": "give_up" }),
    );
    // What would end one's own session comes with another person's.
    let other = house.person("Wei", Role::Viewer, None).await?;
    let sessions = console
        .ask(&other.actor, bagua_model::access::ListSessions::default())
        .await?;
    table.insert(
        "session.revoke",
        json!({ "session": sessions.first().context("Wei is signed in")?.session }),
    );
    table.insert("session.revoke_all", json!({ "person": other.id() }));

    let mut checked = 0;
    for info in console
        .registry()
        .kinds()
        .into_iter()
        .filter(|info| info.verb != Verb::Query)
        // Alertmanager is away here; silences go through a real one in the tests of crates/alerts.
        .filter(|info| !info.kind.starts_with("silence."))
        // The cells are away here; bots go through real ones in `bots.rs`.
        .filter(|info| {
            !["bot.", "bots.", "rule.", "call.", "quarantine."]
                .iter()
                .any(|room| info.kind.starts_with(room))
        })
    {
        let input = table[info.kind].clone();
        let submitted = console
            .submit_json(&me.actor, info.kind, input, Submission::default())
            .await
            .with_context(|| format!("submitting {}", info.kind))?;
        // The engine's end of an operation that needs a second person is the approved one's.
        let states = [OperationState::Succeeded, OperationState::AwaitingApproval];
        let view = wait_until(console, submitted.operation, &states)
            .await
            .with_context(|| info.kind.to_owned())?;
        assert_eq!(view.summary.state, OperationState::Succeeded, "{}", info.kind);
        check(&ground.db.owner, &me, &view, info.verb)
            .await
            .with_context(|| info.kind.to_owned())?;
        checked += 1;
    }
    assert!(checked >= 17, "only {checked} kinds were submitted");

    // What was approved goes on to its end, with a record of who approved it and of the end.
    let view = wait_until(console, home.waiting, &[OperationState::Succeeded]).await?;
    assert!(
        view.steps.iter().all(|step| step.state == StepState::Done),
        "{:?}",
        view.steps
    );
    let actions: Vec<String> = rows(&ground.db.owner, home.waiting.0)
        .await?
        .into_iter()
        .map(|row| row.action)
        .collect();
    assert_eq!(actions, ["submit", "approve", "finish"]);
    for (operation, last) in [
        (away.waiting, "reject"),
        (third.operation, "cancel"),
        (away.queued, "give-up"),
    ] {
        let all = rows(&ground.db.owner, operation.0).await?;
        let mine = all
            .iter()
            .find(|row| row.action == last)
            .with_context(|| format!("no `{last}` in {all:?}"))?;
        assert_eq!(mine.person, Some(me.id()));
    }
    Ok(())
}

async fn check(
    db: &PgPool,
    me: &Somebody,
    view: &bagua_model::operation::OperationView,
    verb: Verb,
) -> Outcome {
    let summary = &view.summary;
    let all = rows(db, summary.operation.0).await?;
    let expected: &[(&str, &str)] = match verb {
        // Submitted and done in one transaction: one record says both.
        Verb::Immediate => &[("submit", "succeeded")],
        _ => &[("submit", "allowed"), ("finish", "succeeded")],
    };
    let found: Vec<_> = all
        .iter()
        .map(|row| (row.action.as_str(), row.result.as_str()))
        .collect();
    assert_eq!(found, expected);
    for row in &all {
        assert_eq!(row.kind.as_deref(), Some(summary.kind.as_str()));
        assert_eq!(row.environment.as_deref(), Some("dev"));
        assert_eq!(
            row.target,
            Some(format!("{}:{}", summary.target.noun, summary.target.id))
        );
    }
    let submit = all.first().context("a submission is recorded")?;
    assert_eq!(
        (submit.actor.clone(), submit.person),
        (me.actor.label(), Some(me.id()))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_role_can_neither_change_nor_delete_a_record() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    house.person("Ada", Role::Administrator, None).await?;
    let count = "SELECT count(*) FROM audit";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&ground.db.app).await?;
    assert!(before > 0, "making a person is recorded");
    for attack in [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ] {
        assert!(
            sqlx::query(attack).execute(&ground.db.app).await.is_err(),
            "{attack} was carried out"
        );
    }
    assert_eq!(
        sqlx::query_scalar::<_, i64>(count)
            .fetch_one(&ground.db.app)
            .await?,
        before
    );
    Ok(())
}
