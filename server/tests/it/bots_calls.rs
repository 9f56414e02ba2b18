//! What was lost, doubled and left uncertain, from the console's side.

use crate::bots::{land, push};
use crate::support::{HOME, text};
use bagua_model::access::Role;
use bagua_model::bots::ListBots;
use bagua_model::bots::calls::{CallState, ListCalls};
use bagua_model::failure::FailureKind;
use bagua_testkit::eventually;
use serde_json::json;

type Outcome = anyhow::Result<()>;

#[tokio::test(flavor = "multi_thread")]
async fn one_planted_loss_and_one_planted_duplicate_are_read_as_1_and_1() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_031)?;
    push(&bot, "hello", 20);
    land.add(&me, &bot, HOME).await?;
    let runner = land.runner(&land.home.app, "one")?;
    let console = &land.house.parts.console;
    let account = |lost: i64, doubled: i64| {
        let what = format!("the list to say lost {lost}, doubled {doubled}");
        let me = &me;
        async move {
            eventually(&what, || async {
                let fleet = console.ask(&me.actor, ListBots::default()).await?;
                let bot = fleet.bots.first();
                Ok(bot
                    .is_some_and(|bot| (bot.lost, bot.doubled) == (Some(lost), Some(doubled)))
                    .then_some(()))
            })
            .await
        }
    };
    eventually("the messages to be stored", || async {
        Ok((bot.totals().acknowledged == 20).then_some(()))
    })
    .await?;
    account(0, 0).await?;
    let page = text(land.house.get("/bots", Some(&me)).await?).await?;
    assert!(page.contains("Lost 0, doubled 0, of 20 updates"), "{page}");

    let some: Vec<i64> = sqlx::query_scalar("SELECT update_id FROM update_ledger ORDER BY update_id")
        .fetch_all(&land.home.owner)
        .await?;
    for sql in [
        "DELETE FROM update_ledger WHERE update_id = $1",
        "DELETE FROM updates WHERE update_id = $1",
    ] {
        sqlx::query(sql).bind(some[7]).execute(&land.home.owner).await?;
    }
    sqlx::query("INSERT INTO updates SELECT * FROM updates WHERE update_id = $1")
        .bind(some[11])
        .execute(&land.home.owner)
        .await?;
    account(1, 1).await?;
    let page = text(land.house.get("/bots", Some(&me)).await?).await?;
    assert!(page.contains("Lost 1, doubled 1, of 19 updates"), "{page}");
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uncertain_call_waits_for_a_persons_word_and_is_then_made_once() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_032)?;
    land.add(&me, &bot, HOME).await?;
    let runner = land.runner(&land.home.app, "one")?;
    let rule =
        json!({ "title": "Greets", "enabled": true, "actions": [{ "do": "reply", "template": "Hello!" }] });
    land.done(
        &me,
        "rule.write",
        json!({ "bot": bot.id(), "region": HOME, "says": rule }),
    )
    .await?;
    push(&bot, "hello", 1);
    eventually("the answer at Telegram", || async {
        Ok((bot.with_log(|log| log.sends.len()) == 1).then_some(()))
    })
    .await?;
    let console = &land.house.parts.console;
    let calls = |state| {
        let bot = bot.id();
        let me = &me;
        async move { console.ask(&me.actor, ListCalls { bot, state }).await }
    };
    eventually("the call to be sent", || async {
        Ok((calls(Some(CallState::Sent)).await?.calls.len() == 1).then_some(()))
    })
    .await?;
    // As a process leaves it that dies between the call and writing down its answer.
    sqlx::query("UPDATE outbox SET state = 'uncertain', class = 'owner_gone', message_id = NULL")
        .execute(&land.home.owner)
        .await?;
    let seen = calls(Some(CallState::Uncertain)).await?;
    assert_eq!((seen.uncertain, seen.calls.len()), (1, 1));
    let which = json!({ "bot": bot.id(), "region": HOME, "calls": [seen.calls[0].call] });
    let page = text(
        land.house
            .get(&format!("/bots/{}/calls", bot.id()), Some(&me))
            .await?,
    )
    .await?;
    assert!(
        page.contains("Its owner ended in the middle") && page.contains("Send again"),
        "{page}"
    );

    let plan = console.plan_json(&me.actor, "call.resend", which.clone()).await?;
    assert!(
        format!("{:?}", plan.plan.warnings).contains("plan.call.twice"),
        "{plan:?}"
    );
    land.done(&me, "call.resend", which.clone()).await?;
    eventually("it to be made once more", || async {
        Ok((bot.with_log(|log| log.sends.len()) == 2).then_some(()))
    })
    .await?;
    eventually("that to be known", || async {
        Ok((calls(Some(CallState::Sent)).await?.calls.len() == 1).then_some(()))
    })
    .await?;
    // What was decided cannot be decided again.
    let told = console.plan_json(&me.actor, "call.give_up", which).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Conflict)
    );
    runner.end().await
}
