//! A runner in this process, against the simulator.

use crate::ground::{NOW, Running, ground, sim};
use anyhow::Result;
use bagua_bots::BotId;
use bagua_bots::catalogue::{replace_token, want};
use bagua_telegram::{ApiBase, Client, Token, Transport};
use bagua_telegram_sim::Bot;
use bagua_testkit::eventually;
use std::time::Duration;

fn push(bot: &Bot, updates: usize) {
    for number in 0..updates {
        bot.push(&format!(
            r#"{{"message":{{"message_id":{number},"from":{{"id":42}},"chat":{{"id":42,"type":"private"}},"date":{NOW},"text":"{number}"}}}}"#
        ));
    }
}

#[tokio::test]
async fn what_waits_at_telegram_is_stored_and_then_confirmed() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bots = [ground.bot_at(&sim).await?, ground.bot_at(&sim).await?];
    for bot in &bots {
        push(bot, 450);
    }
    let runner = Running::start(&ground, "a")?;
    for bot in &bots {
        ground.until_stored(bot.id(), 450).await?;
        eventually("all to be confirmed", || async {
            Ok((bot.totals().acknowledged == 450).then_some(()))
        })
        .await?;
        ground.until_state(bot.id(), "running", None).await?;
        ground.assert_all_here(bot).await?;
    }
    runner.end().await?;
    assert_eq!(ground.count("bot_leases WHERE owner IS NOT NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_revoked_token_stops_its_bot_alone_and_a_new_one_goes_on_with_its_history() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let (revoked, other) = (ground.bot_at(&sim).await?, ground.bot_at(&sim).await?);
    let runner = Running::start(&ground, "a")?;
    push(&revoked, 10);
    ground.until_stored(revoked.id(), 10).await?;
    revoked.revoke();
    ground
        .until_state(revoked.id(), "invalid", Some("unauthorized"))
        .await?;
    let polls = revoked.totals().polls;

    push(&other, 20);
    ground.until_stored(other.id(), 20).await?;
    // The other bot's whole journey took several looks of the runner; the revoked one was not asked again.
    assert_eq!(revoked.totals().polls, polls);

    let token = format!("{}:{}", revoked.id(), "N".repeat(35));
    sim.replace_token(&revoked, &token)?;
    replace_token(&ground.data.app, &ground.keys, &Token::parse(&token)?).await?;
    push(&revoked, 5);
    ground.until_stored(revoked.id(), 15).await?;
    ground.until_state(revoked.id(), "running", None).await?;
    runner.end().await
}

#[tokio::test]
async fn a_bot_that_is_stopped_is_drained_and_started_again_where_it_was() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let runner = Running::start(&ground, "a")?;
    push(&bot, 10);
    ground.until_stored(bot.id(), 10).await?;
    want(&ground.data.app, BotId(bot.id()), false).await?;
    ground.until_state(bot.id(), "stopped", None).await?;
    push(&bot, 10);
    want(&ground.data.app, BotId(bot.id()), true).await?;
    ground.until_stored(bot.id(), 20).await?;
    runner.end().await?;
    ground.assert_all_here(&bot).await
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_confirmed_and_afterwards_everything_is_there() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let runner = Running::start(&ground, "a")?;
    push(&bot, 10);
    ground.until_stored(bot.id(), 10).await?;
    eventually("the first ten to be confirmed", || async {
        Ok((bot.totals().acknowledged == 10).then_some(()))
    })
    .await?;
    let name: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&ground.data.owner)
        .await?;
    let say = |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&ground.data.owner);
    say(format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")).await?;
    say("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'bagua_app'".to_owned()).await?;
    push(&bot, 500);
    eventually("some to be handed over in vain", || async {
        Ok((bot.totals().delivered > 10).then_some(()))
    })
    .await?;
    assert_eq!(
        bot.totals().acknowledged,
        10,
        "what is not stored must not be confirmed"
    );
    say(format!("GRANT CONNECT ON DATABASE {name} TO PUBLIC")).await?;
    ground.until_stored(bot.id(), 510).await?;
    runner.end().await?;
    ground.assert_all_here(&bot).await
}

#[tokio::test]
async fn a_webhook_that_was_left_at_telegram_is_removed_and_what_waited_is_kept() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let client = Client::new(
        Transport::new(Duration::from_secs(2))?,
        ApiBase::parse(&sim.url())?,
        Token::parse(&bot.token())?,
    );
    // Nothing listens there.
    client
        .call(
            "setWebhook",
            &serde_json::json!({ "url": "http://127.0.0.1:9/hook" }),
        )
        .await?;
    push(&bot, 30);
    let runner = Running::start(&ground, "a")?;
    ground.until_stored(bot.id(), 30).await?;
    runner.end().await?;
    ground.assert_all_here(&bot).await
}

#[tokio::test]
async fn numbers_that_go_down_after_a_silence_are_taken() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let runner = Running::start(&ground, "a")?;
    push(&bot, 10);
    ground.until_stored(bot.id(), 10).await?;
    eventually("an empty queue", || async {
        Ok((bot.pending() == 0).then_some(()))
    })
    .await?;
    assert!(bot.restart_ids_at(7));
    push(&bot, 10);
    ground.until_stored(bot.id(), 20).await?;
    eventually("an empty queue", || async {
        Ok((bot.pending() == 0).then_some(()))
    })
    .await?;
    runner.end().await?;
    ground.assert_all_here(&bot).await
}

#[tokio::test]
async fn no_poll_ever_carries_an_offset_that_is_not_committed() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    // Commits take their time, so that whoever polled before the commit would be seen.
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON bot_cursors DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION slow()";
    sqlx::raw_sql(slow).execute(&ground.data.owner).await?;
    let runner = Running::start(&ground, "a")?;
    let mut looks = 0;
    for _ in 0..20 {
        push(&bot, 100);
        let wanted = bot.totals().pushed;
        while bot.totals().acknowledged < wanted {
            // The poll is looked at before the cursor: what was sent then must be committed now.
            let offset = bot.with_log(|log| log.polls.iter().map(|poll| poll.offset).max());
            let cursor = ground.cursor(bot.id()).await?;
            assert!(
                offset.unwrap_or_default() <= cursor,
                "{offset:?} was sent, and {cursor} is committed"
            );
            looks += 1;
        }
    }
    assert!(looks > 20, "{looks} looks show nothing");
    runner.end().await?;
    ground.assert_all_here(&bot).await
}
