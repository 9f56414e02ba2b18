//! How a bot receives is changed by an operation; one update is read as it came; what had no number is thrown away by a word.

use crate::bots::{land, push};
use crate::support::{AWAY, HOME, text};
use bagua_core::Actor;
use bagua_model::access::Role;
use bagua_model::bots::{BotCondition, BotMode, GetBot, GetUpdate, TailBot};
use bagua_model::failure::{Failure, FailureKind};
use bagua_testkit::eventually;
use serde_json::json;

type Outcome = anyhow::Result<()>;

fn field(told: Result<impl std::fmt::Debug, Failure>) -> String {
    let failure = told.expect_err("it is refused");
    failure
        .fields
        .first()
        .map(|(name, _)| name.clone())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_set_to_webhook_and_back_and_telegram_says_so() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_051)?;
    land.add(&me, &bot, HOME).await?;
    let runner = land.runner(&land.home.app, "one")?;
    let console = &land.house.parts.console;
    let set = |mode: &str, kinds: &[&str]| json!({ "bot": bot.id(), "region": HOME, "mode": mode, "update_kinds": kinds });
    let same = console
        .plan_json(&me.actor, "bot.configure", set("polling", &[]))
        .await;
    assert_eq!(field(same), "bot");
    let odd = console
        .plan_json(&me.actor, "bot.configure", set("webhook", &["telepathy"]))
        .await;
    assert_eq!(field(odd), "update_kinds");

    let done = land
        .done(
            &me,
            "bot.configure",
            set("webhook", &["callback_query", "message"]),
        )
        .await?;
    let outcome = done.outcome.unwrap_or_default();
    assert_eq!(outcome["condition"], "running", "{outcome}");
    let detail = console.ask(&me.actor, GetBot { bot: bot.id() }).await?;
    assert_eq!(
        (detail.bot.mode, detail.bot.condition),
        (BotMode::Webhook, BotCondition::Running)
    );
    let settings = detail.settings;
    assert_eq!(settings.agrees(), Some(true), "{settings:?}");
    assert_eq!(settings.update_kinds, ["message", "callback_query"]);
    let url = format!("http://127.0.0.1:9/v1/hooks/telegram/{}", bot.id());
    assert_eq!(settings.webhook_url.as_deref(), Some(url.as_str()));
    let page = text(
        land.house
            .get(&format!("/bots/{}/settings", bot.id()), Some(&me))
            .await?,
    )
    .await?;
    assert!(
        page.contains("Telegram says what is wanted") && page.contains(&url),
        "{page}"
    );

    // Nobody listens at that address: the owner is well, and the bot is not.
    push(&bot, "nobody listens", 2);
    eventually("the pushes to be known to fail", || async {
        let detail = console.ask(&me.actor, GetBot { bot: bot.id() }).await?;
        let failed = detail.bot.condition == BotCondition::Retrying
            && detail.bot.error.as_deref() == Some("push_failed");
        Ok(failed.then_some(()))
    })
    .await?;

    land.done(&me, "bot.configure", set("polling", &[])).await?;
    push(&bot, "polled again", 1);
    eventually("the messages", || async {
        Ok((bot.totals().acknowledged == 3).then_some(()))
    })
    .await?;
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_an_address_takes_no_pushes() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_052)?;
    land.add(&me, &bot, AWAY).await?;
    let set = json!({ "bot": bot.id(), "region": AWAY, "mode": "webhook" });
    let told = land
        .house
        .parts
        .console
        .plan_json(&me.actor, "bot.configure", set)
        .await;
    assert_eq!(field(told), "mode");
    let page = text(
        land.house
            .get(&format!("/bots/{}/settings", bot.id()), Some(&me))
            .await?,
    )
    .await?;
    assert!(page.contains("names no address of this region"), "{page}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_read_as_it_came_by_who_may_and_each_reading_is_audited() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_053)?;
    land.add(&me, &bot, HOME).await?;
    let runner = land.runner(&land.home.app, "one")?;
    push(&bot, "byte for byte", 1);
    let console = &land.house.parts.console;
    let asked = |actor: Actor| {
        let bot = bot.id();
        async move { console.ask(&actor, TailBot { bot, limit: 1 }).await }
    };
    let newest = eventually("the message", || async {
        Ok(asked(me.actor.clone()).await?.pop())
    })
    .await?;
    let query = GetUpdate {
        bot: bot.id(),
        update: newest.update,
        received_at: newest.received_at,
    };
    let detail = console.ask(&me.actor, query.clone()).await?;
    let raw = detail.raw.unwrap_or_default();
    assert!(raw.contains("byte for byte 1") && raw.starts_with('{'), "{raw}");
    let readings: i64 = sqlx::query_scalar("SELECT count(*) FROM audit WHERE kind = 'bots.update'")
        .fetch_one(&land.ground().db.owner)
        .await?;
    assert_eq!(readings, 1);

    let viewer = land.house.person("Val", Role::Viewer, None).await?;
    let told = console.ask(&viewer.actor, query.clone()).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Forbidden)
    );
    // Another time is another update, whatever its number.
    let other = GetUpdate {
        received_at: newest.received_at - time::Duration::seconds(1),
        ..query
    };
    let told = console.ask(&me.actor, other).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::NotFound)
    );
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_stays_until_somebody_throws_it_away() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_054)?;
    land.add(&me, &bot, HOME).await?;
    // Sealed under a key that is not to be had, as after its destruction.
    let row: i64 = sqlx::query_scalar(
        "INSERT INTO update_quarantine (bot_id, received_at, reason, digest, raw) VALUES ($1, now(), 'no_number', '\x01', '\x01') RETURNING id",
    )
    .bind(bot.id())
    .fetch_one(&land.home.owner)
    .await?;
    let page = text(
        land.house
            .get(&format!("/bots/{}/calls", bot.id()), Some(&me))
            .await?,
    )
    .await?;
    assert!(
        page.contains("It has no number") && page.contains("Throw away"),
        "{page}"
    );
    let which = json!({ "bot": bot.id(), "region": HOME, "rows": [row] });
    let console = &land.house.parts.console;
    assert!(
        console
            .plan_json(&me.actor, "quarantine.replay", which.clone())
            .await
            .is_err()
    );
    let missing = json!({ "bot": bot.id(), "region": HOME, "rows": [row + 1] });
    let told = console.plan_json(&me.actor, "quarantine.discard", missing).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Conflict)
    );
    let done = land.done(&me, "quarantine.discard", which).await?;
    assert_eq!(done.outcome, Some(json!(1)));
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM update_quarantine")
        .fetch_one(&land.home.owner)
        .await?;
    assert_eq!(left, 0);
    Ok(())
}
