//! Several bots change in batches; too many that do not come along leave the others alone.

use crate::bots::{Land, land};
use crate::support::{AWAY, HOME};
use bagua_model::access::Role;
use bagua_model::bots::{BotCondition, BotDesired};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{CancelOperation, OperationState, Submission};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

fn change(action: &str, bots: &[i64], at_once: u16, may_fail: u16) -> Value {
    json!({ "action": action, "bots": bots, "region": HOME, "at_once": at_once, "may_fail": may_fail })
}

fn field(told: Result<impl std::fmt::Debug, Failure>) -> Option<String> {
    let failure = told.err()?;
    failure.fields.first().map(|(name, _)| name.clone())
}

async fn wishes(land: &Land) -> anyhow::Result<Vec<(i64, String)>> {
    Ok(sqlx::query_as("SELECT bot_id, desired FROM bots ORDER BY bot_id")
        .fetch_all(&land.home.owner)
        .await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn several_bots_stop_and_start_in_batches_and_those_that_are_so_are_left_alone() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Operator, None).await?;
    let bots = [800_000_071, 800_000_072, 800_000_073];
    for id in bots {
        let bot = land.bot(id)?;
        land.add(&me, &bot, HOME).await?;
    }
    let runner = land.runner(&land.home.app, "one")?;
    for id in bots {
        land.until(&me, id, BotCondition::Running).await?;
    }
    let console = &land.house.parts.console;
    let none = console
        .plan_json(&me.actor, "bots.change", change("start", &bots, 5, 0))
        .await;
    assert_eq!(field(none).as_deref(), Some("bots"), "all run already");
    for (wrong, name) in [
        (change("stop", &[], 5, 0), "bots"),
        (change("stop", &[800_000_071, 5], 5, 0), "bots"),
        (change("stop", &bots, 0, 0), "at_once"),
        (change("stop", &bots, 51, 0), "at_once"),
    ] {
        let told = console.plan_json(&me.actor, "bots.change", wrong.clone()).await;
        assert_eq!(field(told).as_deref(), Some(name), "{wrong}");
    }

    let done = land
        .done(&me, "bots.change", change("stop", &bots[..2], 1, 0))
        .await?;
    assert_eq!(done.outcome, Some(json!({ "changed": 2, "failed": [] })));
    let names: Vec<&str> = done.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["choose-bots", "batch-1", "batch-2"]);
    for (id, condition) in bots.into_iter().zip([
        BotCondition::Stopped,
        BotCondition::Stopped,
        BotCondition::Running,
    ]) {
        assert_eq!(land.one(&me, id).await?.bot.condition, condition);
    }
    // The third is left as it is, and the plan says so.
    let plan = console
        .plan_json(&me.actor, "bots.change", change("start", &bots, 5, 0))
        .await?;
    assert_eq!(plan.plan.steps, ["batch-1"]);
    assert!(
        plan.plan
            .changes
            .iter()
            .any(|text| text.to_string().contains("@b800000073_bot")),
        "{:?}",
        plan.plan
    );
    let done = land
        .done(&me, "bots.change", change("start", &bots, 5, 0))
        .await?;
    assert_eq!(done.outcome, Some(json!({ "changed": 2, "failed": [] })));
    let done = land
        .done(&me, "bots.change", change("restart", &bots, 2, 0))
        .await?;
    assert_eq!(done.outcome, Some(json!({ "changed": 3, "failed": [] })));
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_that_fail_leave_the_others_alone_and_as_many_as_may_do_not() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Operator, None).await?;
    let bots = [800_000_074, 800_000_075, 800_000_076];
    for id in bots {
        let bot = land.bot(id)?;
        land.add(&me, &bot, HOME).await?;
        if id == bots[0] {
            bot.revoke();
        }
    }
    let runner = land.runner(&land.home.app, "one")?;
    land.until(&me, bots[0], BotCondition::Invalid).await?;
    for id in &bots[1..] {
        land.until(&me, *id, BotCondition::Running).await?;
    }
    land.done(&me, "bots.change", change("stop", &bots, 3, 0)).await?;

    let view = land
        .ended(&me, "bots.change", change("start", &bots, 1, 0))
        .await?;
    assert_eq!(view.summary.state, OperationState::Failed, "{view:?}");
    let why = view.failure.map(|text| text.to_string()).unwrap_or_default();
    assert!(
        why.contains("@b800000074_bot") && why.contains("Not touched: 2"),
        "{why}"
    );
    let running = BotDesired::Running.as_str().to_owned();
    let stopped = BotDesired::Stopped.as_str().to_owned();
    assert_eq!(
        wishes(&land).await?,
        [(bots[0], running), (bots[1], stopped.clone()), (bots[2], stopped)]
    );

    let done = land
        .done(&me, "bots.change", change("start", &bots, 1, 1))
        .await?;
    assert_eq!(done.outcome, Some(json!({ "changed": 2, "failed": [bots[0]] })));
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_leaves_those_alone_that_have_not_begun() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Operator, None).await?;
    let bots = [800_000_077, 800_000_078];
    for id in bots {
        let bot = land.bot(id)?;
        land.add(&me, &bot, HOME).await?;
    }
    land.done(&me, "bots.change", change("stop", &bots, 5, 0)).await?;
    // Nobody runs bots here, so the first batch waits.
    let console = &land.house.parts.console;
    let submitted = console
        .submit_json(
            &me.actor,
            "bots.change",
            change("start", &bots, 1, 0),
            Submission::default(),
        )
        .await?;
    bagua_testkit::eventually("the first bot to be wished", || async {
        let wishes = wishes(&land).await?;
        Ok((wishes[0].1 == "running").then_some(()))
    })
    .await?;
    let cancel = serde_json::to_value(CancelOperation {
        operation: submitted.operation,
        reason: None,
    })?;
    console
        .submit_json(&me.actor, "operation.cancel", cancel, Submission::default())
        .await?;
    bagua_testkit::wait_until(console, submitted.operation, &[OperationState::Cancelled]).await?;
    assert_eq!(wishes(&land).await?[1].1, "stopped");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_change_one_region_says_which_and_changes_no_other() -> Outcome {
    let land = land().await?;
    let admin = land.house.person("Ada", Role::Administrator, None).await?;
    let near = land.house.person("Near", Role::Operator, Some(HOME)).await?;
    let (here, there) = (land.bot(800_000_079)?, land.bot(800_000_080)?);
    land.add(&admin, &here, HOME).await?;
    land.add(&admin, &there, AWAY).await?;
    let console = &land.house.parts.console;
    let everywhere = json!({ "action": "stop", "bots": [here.id(), there.id()] });
    let told = console
        .plan_json(&near.actor, "bots.change", everywhere.clone())
        .await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Forbidden)
    );
    let other = change("stop", &[here.id(), there.id()], 5, 0);
    assert_eq!(
        field(console.plan_json(&near.actor, "bots.change", other).await).as_deref(),
        Some("bots")
    );
    let mine = change("stop", &[here.id()], 5, 0);
    assert_eq!(
        console
            .plan_json(&near.actor, "bots.change", mine)
            .await?
            .plan
            .steps
            .len(),
        1
    );
    assert_eq!(
        console
            .plan_json(&admin.actor, "bots.change", everywhere)
            .await?
            .plan
            .steps
            .len(),
        1
    );
    Ok(())
}
