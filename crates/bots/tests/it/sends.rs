//! Calls that Telegram shall see once.

use crate::ground::{Ground, Running, ground, reply, says, sim};
use anyhow::{Context as _, Result};
use bagua_bots::BotId;
use bagua_bots::outbox::{self, Entry, State, Wanted};
use bagua_bots::rules::Matches;
use bagua_telegram_sim::{Action, Bot, Config, Fault, SendLimits, Sim};
use serde_json::json;
use std::sync::Arc;

/// Asks for a message.
async fn say(ground: &Ground, bot: &Bot, effect: &str, chat: i64) -> Result<bool> {
    let wanted = Wanted {
        bot: BotId(bot.id()),
        effect,
        chat,
        method: "sendMessage",
        parameters: &json!({ "text": effect }),
    };
    Ok(outbox::put(&ground.data.app, &ground.keys, &wanted).await?)
}

async fn only(ground: &Ground, bot: &Bot) -> Result<Entry> {
    let calls = outbox::list(&ground.data.app, BotId(bot.id()), None, 10).await?;
    calls.into_iter().next().context("a call")
}

async fn running() -> Result<(Ground, Sim, Arc<Bot>, Running)> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let runner = Running::start(&ground, "a")?;
    Ok((ground, sim, bot, runner))
}

fn once(action: Action) -> Fault {
    Fault {
        method: "sendMessage".to_owned(),
        action,
        after: 0,
        times: Some(1),
    }
}

#[tokio::test]
async fn the_same_effect_is_asked_for_twice_and_made_once() -> Result<()> {
    let (ground, _sim, bot, runner) = running().await?;
    assert!(say(&ground, &bot, "hello", 42).await?);
    assert!(!say(&ground, &bot, "hello", 42).await?);
    ground.until_calls(bot.id(), "sent", 1).await?;
    runner.end().await?;
    assert_eq!(bot.totals().sends, 1);
    Ok(())
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_uncertain_and_repeated_by_a_person_only() -> Result<()> {
    let (ground, _sim, bot, runner) = running().await?;
    bot.plan(once(Action::CutAfter));
    say(&ground, &bot, "hello", 42).await?;
    ground.until_calls(bot.id(), "uncertain", 1).await?;
    // Another call goes its whole way meanwhile, and the uncertain one stays.
    say(&ground, &bot, "and more", 42).await?;
    ground.until_calls(bot.id(), "sent", 1).await?;
    let totals = bot.totals();
    assert_eq!((totals.sends_done, totals.sends_doubled), (2, 0));
    let uncertain = outbox::list(&ground.data.app, BotId(bot.id()), Some(State::Uncertain), 10).await?;
    outbox::resend(&ground.data.app, BotId(bot.id()), uncertain[0].id).await?;
    ground.until_calls(bot.id(), "sent", 2).await?;
    assert_eq!(bot.totals().sends_doubled, 1, "by a person's word");
    let again = outbox::resend(&ground.data.app, BotId(bot.id()), uncertain[0].id).await;
    assert!(matches!(again, Err(outbox::OutboxError::Changed)));
    runner.end().await
}

#[tokio::test]
async fn an_error_of_the_server_leaves_a_message_uncertain_and_repeats_an_edit() -> Result<()> {
    let (ground, _sim, bot, runner) = running().await?;
    bot.plan(once(Action::RefuseAfter { code: 500 }));
    say(&ground, &bot, "hello", 42).await?;
    ground.until_calls(bot.id(), "uncertain", 1).await?;
    assert_eq!(only(&ground, &bot).await?.class.as_deref(), Some("transient"));
    bot.plan(Fault {
        method: "setMessageReaction".to_owned(),
        ..once(Action::Gateway)
    });
    let wanted = Wanted {
        bot: BotId(bot.id()),
        effect: "a reaction",
        chat: 42,
        method: "setMessageReaction",
        parameters: &json!({ "message_id": 1 }),
    };
    outbox::put(&ground.data.app, &ground.keys, &wanted).await?;
    ground.until_calls(bot.id(), "sent", 1).await?;
    assert_eq!(only(&ground, &bot).await?.attempts, 2);
    runner.end().await
}

#[tokio::test]
async fn a_429_waits_as_long_as_it_says_and_is_then_sent() -> Result<()> {
    let (ground, _sim, bot, runner) = running().await?;
    bot.plan(once(Action::Refuse {
        code: 429,
        description: "Too Many Requests: retry after 1".to_owned(),
        retry_after: Some(1),
    }));
    say(&ground, &bot, "hello", 42).await?;
    say(&ground, &bot, "to another", 43).await?;
    ground.until_calls(bot.id(), "sent", 2).await?;
    let first = outbox::list(&ground.data.app, BotId(bot.id()), None, 10).await?;
    let mut attempts: Vec<i32> = first.iter().map(|call| call.attempts).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2]);
    assert_eq!(bot.totals().sends_done, 2);
    // What it cost is to be seen.
    let cost: (i64, i64) = sqlx::query_as("SELECT times, seconds FROM bot_throttles WHERE bot_id = $1")
        .bind(bot.id())
        .fetch_one(&ground.data.owner)
        .await?;
    assert_eq!(cost, (1, 1));
    runner.end().await
}

#[tokio::test]
async fn nothing_is_sent_to_who_blocked_the_bot_until_they_write_again() -> Result<()> {
    let (ground, _sim, bot, runner) = running().await?;
    ground
        .rule(bot.id(), Matches::default(), vec![reply("re: {text}")])
        .await?;
    bot.block(42, true);
    say(&ground, &bot, "one", 42).await?;
    ground.until_calls(bot.id(), "failed", 1).await?;
    say(&ground, &bot, "two", 42).await?;
    ground.until_calls(bot.id(), "failed", 2).await?;
    assert_eq!(bot.totals().sends, 1, "the second was not even tried");
    assert_eq!(only(&ground, &bot).await?.class.as_deref(), Some("blocked"));
    bot.block(42, false);
    bot.push(&says(42, 1, "here again"));
    ground.until_calls(bot.id(), "sent", 1).await?;
    runner.end().await
}

#[tokio::test]
async fn a_call_that_telegram_finds_wrong_fails_and_those_behind_it_go() -> Result<()> {
    let (ground, _sim, bot, runner) = running().await?;
    let wanted = Wanted {
        bot: BotId(bot.id()),
        effect: "empty",
        chat: 42,
        method: "sendMessage",
        parameters: &json!({ "text": " " }),
    };
    outbox::put(&ground.data.app, &ground.keys, &wanted).await?;
    say(&ground, &bot, "behind it", 42).await?;
    ground.until_calls(bot.id(), "sent", 1).await?;
    ground.until_calls(bot.id(), "failed", 1).await?;
    runner.end().await
}

#[tokio::test]
async fn more_than_the_limits_allow_arrives_later_and_whole() -> Result<()> {
    let ground = ground().await?;
    let sim = Sim::start(Config::default()).await?;
    let bot = ground.bot_at(&sim).await?;
    bot.limit_sends(Some(SendLimits::default()));
    for number in 0..45 {
        say(&ground, &bot, &format!("text {number}"), 500 + number % 15).await?;
    }
    let runner = Running::start(&ground, "a")?;
    ground.until_calls(bot.id(), "sent", 45).await?;
    runner.end().await?;
    let totals = bot.totals();
    assert_eq!((totals.sends_done, totals.sends_doubled), (45, 0));
    // Of what the limits hold back hardly anything is tried in vain; without them 15 of 45 would be.
    assert!(totals.sends_refused < 5, "{totals:?}");
    Ok(())
}

#[tokio::test]
async fn what_an_owner_left_in_the_middle_is_uncertain_for_its_successor() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    say(&ground, &bot, "half way", 42).await?;
    // As a process leaves it that dies between marking and the answer.
    sqlx::query("UPDATE outbox SET state = 'sending', fence = 0, attempts = 1")
        .execute(&ground.data.owner)
        .await?;
    let runner = Running::start(&ground, "a")?;
    ground.until_calls(bot.id(), "uncertain", 1).await?;
    assert_eq!(only(&ground, &bot).await?.class.as_deref(), Some("owner_gone"));
    outbox::give_up(&ground.data.app, BotId(bot.id()), only(&ground, &bot).await?.id).await?;
    runner.end().await?;
    assert_eq!(bot.totals().sends, 0);
    Ok(())
}
