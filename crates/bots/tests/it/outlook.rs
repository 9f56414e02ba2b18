//! What threatens a bot, as it is read from a cell.

use crate::ground::{Running, ground, reply, says, sim};
use anyhow::{Context as _, Result};
use bagua_bots::rules::Matches;
use bagua_bots::{BotId, Fence, observe, outlook};
use bagua_telegram_sim::NewBot;
use bagua_testkit::eventually;
use std::time::Duration;
use time::OffsetDateTime;

fn waits(pending: i64) -> observe::Info {
    observe::Info {
        pending_update_count: pending,
        ..observe::Info::default()
    }
}

#[tokio::test]
async fn the_time_to_loss_runs_from_when_nothing_waited_for_the_last_time() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let (app, bot) = (&ground.data.app, BotId(7));
    let now: OffsetDateTime = sqlx::query_scalar("SELECT now()").fetch_one(app).await?;
    observe::write(app, bot, Fence(0), &waits(0)).await?;
    assert_eq!(
        outlook::worst(app, now).await?.time_to_loss,
        None,
        "nothing waits"
    );
    sqlx::query("UPDATE bot_observations SET emptied_at = now() - interval '20 hours'")
        .execute(&ground.data.owner)
        .await?;
    // Seen again and again, what waits does not become younger.
    for pending in [3, 5] {
        observe::write(app, bot, Fence(0), &waits(pending)).await?;
    }
    let left = outlook::worst(app, now)
        .await?
        .time_to_loss
        .context("something waits")?;
    let four = Duration::from_secs(4 * 3_600);
    assert!(left.abs_diff(four) < Duration::from_secs(60), "{left:?}");
    // An owner of before says nothing any more.
    observe::write(app, bot, Fence(1), &waits(5)).await?;
    assert_eq!(observe::write(app, bot, Fence(0), &waits(0)).await?, None);
    assert!(outlook::worst(app, now).await?.time_to_loss.is_some());
    Ok(())
}

#[tokio::test]
async fn what_a_chat_holds_back_does_not_become_younger_when_others_go_on() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let (app, owner, bot) = (&ground.data.app, &ground.data.owner, BotId(7));
    let now: OffsetDateTime = sqlx::query_scalar("SELECT now()").fetch_one(app).await?;
    observe::write(app, bot, Fence(0), &waits(5)).await?;
    sqlx::raw_sql(
        "UPDATE bot_observations SET emptied_at = now() - interval '20 hours';
         INSERT INTO ingest_counts (bot_id, last_at, last_date) VALUES (7, now(), now())",
    )
    .execute(owner)
    .await?;
    let hours = || async {
        let left = outlook::worst(app, now)
            .await?
            .time_to_loss
            .context("something waits")?;
        anyhow::Ok((left.as_secs_f64() / 3_600.0).round())
    };
    // A bot that polls gets its updates in order: what waits is newer than what it has.
    assert_eq!(hours().await?, 24.0);
    sqlx::query("UPDATE bots SET mode = 'webhook', webhook_url = 'https://x', webhook_secret = 'x', webhook_digest = sha256('x')")
        .execute(owner)
        .await?;
    assert_eq!(hours().await?, 4.0);
    Ok(())
}

#[tokio::test]
async fn answers_are_measured_from_commit_to_confirmation_and_lag_by_new_messages_only() -> Result<()> {
    let (ground, sim) = (ground().await?, sim().await?);
    let bot = ground.bot_at(&sim).await?;
    let silent = sim.add_bot(&NewBot::default())?;
    ground
        .rule(bot.id(), Matches::default(), vec![reply("re: {text}")])
        .await?;
    let runner = Running::start(&ground, "a")?;
    for message in 0..3 {
        bot.push(&says(42 + i64::try_from(message)?, message, "hello"));
    }
    ground.until_calls(bot.id(), "sent", 3).await?;
    let answers = outlook::answers(&ground.data.app).await?;
    let p99 = answers.get(&BotId(bot.id())).context("it answered")?;
    assert!(*p99 < Duration::from_secs(30), "{p99:?}");
    assert_eq!(answers.get(&BotId(silent.id())), None);

    // An edit is stored today, of a message of yesterday: the bot is not late for it.
    let dated = "SELECT dated_at, last_date FROM ingest_counts";
    let before: (OffsetDateTime, OffsetDateTime) =
        sqlx::query_as(dated).fetch_one(&ground.data.owner).await?;
    let edit = says(42, 0, "hello").replacen("message", "edited_message", 1);
    bot.push(&edit.replacen("\"text\"", "\"edit_date\":1795000100,\"text\"", 1));
    eventually("the edit to be stored", || async {
        Ok((ground.count("updates WHERE kind = 'edited_message'").await? == 1).then_some(()))
    })
    .await?;
    let after = sqlx::query_as(dated).fetch_one(&ground.data.owner).await?;
    assert_eq!(before, after);
    runner.end().await
}
