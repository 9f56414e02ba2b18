//! What Telegram pushes.

use crate::ground::{Ground, Running, ground, ground_with, says, sim};
use anyhow::Result;
use bagua_bots::ingest::CommitterConfig;
use bagua_bots::webhook::{PATH, SECRET_HEADER, Webhooks};
use bagua_bots::{BotId, catalogue, fleet};
use bagua_telegram::{ApiBase, Client, Token, Transport};
use bagua_telegram_sim::{Bot, Config, Load, Shape, Share, Sim};
use bagua_testkit::eventually;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use std::time::Duration;

fn webhooks(ground: &Ground) -> Webhooks {
    Webhooks::new(
        ground.data.app.clone(),
        ground.keys.clone(),
        ground.ingest.clone(),
    )
}

/// An HTTP server as the console's: the address of its hooks.
async fn serve(hooks: Webhooks) -> Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let hooks = hooks.clone();
        async move { hooks.answer(request).await.map(axum::body::Body::new) }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(format!("http://{address}{PATH}"))
}

async fn push_to(ground: &Ground, bot: &Bot, hooks: &str) -> Result<()> {
    let bot = BotId(bot.id());
    let url = format!("{hooks}{}", bot.0);
    Ok(catalogue::push_to(&ground.data.app, &ground.keys, bot, &url).await?)
}

fn client(sim: &Sim, bot: &Bot) -> Result<Client> {
    let transport = Transport::new(Duration::from_secs(2))?;
    Ok(Client::new(
        transport,
        ApiBase::parse(&sim.url())?,
        Token::parse(&bot.token())?,
    ))
}

async fn until_acknowledged(bot: &Bot, updates: usize) -> Result<()> {
    eventually(&format!("{updates} confirmed updates"), || async {
        Ok((bot.totals().acknowledged >= updates).then_some(()))
    })
    .await
}

/// The secret of bot 7, as it lies sealed.
async fn secret(ground: &Ground) -> Result<String> {
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT webhook_secret FROM bots WHERE bot_id = 7")
        .fetch_one(&ground.data.owner)
        .await?;
    let mut context = vec![b'w'];
    context.extend(7_i64.to_be_bytes());
    Ok(String::from_utf8(
        ground.keys.open(&context, &sealed).await?.to_vec(),
    )?)
}

fn pushed(bot: i64, secret: Option<&str>, body: impl Into<Bytes>) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::post(format!("{PATH}{bot}"));
    if let Some(secret) = secret {
        request = request.header(SECRET_HEADER, secret);
    }
    Ok(request.body(Full::new(body.into()))?)
}

fn retry_after<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get("retry-after")?.to_str().ok()?.parse().ok()
}

/// An update as Telegram pushes it.
fn update(number: i64) -> String {
    says(42, 1, "hello").replacen('{', &format!(r#"{{"update_id":{number},"#), 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_is_stored_and_then_confirmed_and_polling_goes_on_where_it_ended() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let hooks = serve(webhooks(&ground)).await?;
    push_to(&ground, &bot, &hooks).await?;
    let runner = Running::start(&ground, "a")?;
    let mixture = vec![
        Share {
            kind: Shape::Message,
            of: 3,
        },
        Share {
            kind: Shape::CallbackQuery,
            of: 1,
        },
        Share {
            kind: Shape::Unknown,
            of: 1,
        },
    ];
    let load = Load {
        updates: 500,
        chats: 50,
        mixture,
        ..Load::default()
    };
    bagua_telegram_sim::load::run(&bot, load).await;
    until_acknowledged(&bot, 500).await?;
    ground.assert_all_here(&bot).await?;
    assert_eq!(bot.totals().polls, 0);
    ground.until_state(bot.id(), "running", None).await?;

    catalogue::poll(&ground.data.app, BotId(bot.id())).await?;
    eventually("a poll", || async { Ok((bot.totals().polls > 0).then_some(())) }).await?;
    bot.push(&says(42, 9, "polled"));
    until_acknowledged(&bot, 501).await?;
    runner.end().await?;
    ground.assert_all_here(&bot).await
}

#[tokio::test]
async fn who_has_not_the_secret_stores_nothing_and_learns_nothing() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7, 8]).await?;
    let app = &ground.data.app;
    catalogue::push_to(app, &ground.keys, BotId(7), "http://127.0.0.1:9/7").await?;
    let hooks = webhooks(&ground);
    let right = secret(&ground).await?;
    let long = format!("{right}0");
    for (bot, given, what) in [
        (7, Some("wrong"), "another secret"),
        (7, Some(&right[..63]), "a beginning of it"),
        (7, Some(long.as_str()), "more than it"),
        (7, Some(""), "an empty one"),
        (7, None, "none"),
        (8, Some(right.as_str()), "a bot that polls"),
        (9, Some(right.as_str()), "no bot of ours"),
    ] {
        let answer = hooks.answer(pushed(bot, given, update(1))?).await;
        assert_eq!(answer.status(), 401, "{what}");
    }
    assert_eq!(ground.count("updates").await?, 0);
    assert_eq!(ground.count("update_quarantine").await?, 0);
    assert_eq!(
        hooks.answer(pushed(7, Some(&right), update(1))?).await.status(),
        200
    );
    assert_eq!(ground.count("updates WHERE bot_id = 7").await?, 1);
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT webhook_secret FROM bots WHERE bot_id = 7")
        .fetch_one(&ground.data.owner)
        .await?;
    assert!(
        !sealed.windows(8).any(|part| part == &right.as_bytes()[..8]),
        "the secret lies sealed"
    );
    Ok(())
}

#[tokio::test]
async fn what_telegram_does_not_send_is_refused_and_what_has_no_number_is_kept() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let app = &ground.data.app;
    catalogue::push_to(app, &ground.keys, BotId(7), "http://127.0.0.1:9/7").await?;
    let (hooks, right) = (webhooks(&ground), secret(&ground).await?);
    let get = Request::get(format!("{PATH}7")).body(Full::<Bytes>::default())?;
    assert_eq!(hooks.answer(get).await.status(), 405);
    let large = pushed(7, Some(&right), vec![b' '; (1 << 20) + 1])?;
    assert_eq!(hooks.answer(large).await.status(), 413);
    assert_eq!(ground.count("updates").await?, 0);

    let odd = r#"{"message":{"text":"no number"}}"#;
    for _ in 0..2 {
        assert_eq!(hooks.answer(pushed(7, Some(&right), odd)?).await.status(), 200);
    }
    let kept = bagua_bots::quarantine::list(app, BotId(7), 10).await?;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].open(&ground.keys, BotId(7)).await?, odd.as_bytes());

    // A bot that was stopped takes nothing: Telegram keeps it.
    catalogue::want(app, BotId(7), false).await?;
    let fresh = webhooks(&ground);
    let answer = fresh.answer(pushed(7, Some(&right), update(5))?).await;
    assert_eq!(
        (answer.status().as_u16(), ground.count("updates").await?),
        (503, 0)
    );
    Ok(())
}

#[tokio::test]
async fn one_update_pushed_to_two_processes_at_once_is_stored_once() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let app = &ground.data.app;
    catalogue::push_to(app, &ground.keys, BotId(7), "http://127.0.0.1:9/7").await?;
    let (one, other, right) = (webhooks(&ground), webhooks(&ground), secret(&ground).await?);
    for number in 1..=50 {
        let (first, second) = tokio::join!(
            one.answer(pushed(7, Some(&right), update(number))?),
            other.answer(pushed(7, Some(&right), update(number))?),
        );
        assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    }
    assert_eq!(ground.count("updates").await?, 50);
    Ok(())
}

#[tokio::test]
async fn while_too_much_waits_telegram_is_told_to_come_again_and_then_it_is_taken() -> Result<()> {
    let ground = ground_with(CommitterConfig {
        bytes: 200,
        ..CommitterConfig::default()
    })
    .await?;
    ground.bots([7]).await?;
    let app = &ground.data.app;
    catalogue::push_to(app, &ground.keys, BotId(7), "http://127.0.0.1:9/7").await?;
    let (hooks, right) = (webhooks(&ground), secret(&ground).await?);
    // Nothing can be written, so the first push waits for its commit and fills the room.
    let mut lock = ground.data.owner.begin().await?;
    sqlx::query("LOCK TABLE update_ledger IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await?;
    let first = tokio::spawn({
        let (hooks, request) = (hooks.clone(), pushed(7, Some(&right), update(1))?);
        async move { hooks.answer(request).await.status() }
    });
    eventually("a statement that waits", || async {
        let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        Ok((ground.count(waits).await? > 0).then_some(()))
    })
    .await?;
    let second = hooks.answer(pushed(7, Some(&right), update(2))?).await;
    assert_eq!(second.status(), 503);
    assert!(retry_after(&second).is_some_and(|seconds| (2..=10).contains(&seconds)));
    assert!(!first.is_finished(), "nothing is confirmed before the commit");
    lock.rollback().await?;
    assert_eq!(first.await?, 200);
    assert_eq!(
        hooks.answer(pushed(7, Some(&right), update(2))?).await.status(),
        200
    );
    assert_eq!(ground.count("updates").await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_somebody_changed_at_telegram_is_set_back() -> Result<()> {
    let ground = ground().await?;
    // By the machine's clock: when an answer was an error is compared with when the webhook was set.
    let sim = Sim::start(Config::default()).await?;
    let bot = ground.bot_at(&sim).await?;
    catalogue::want_kinds(&ground.data.app, BotId(bot.id()), &["message".to_owned()]).await?;
    let hooks = serve(webhooks(&ground)).await?;
    push_to(&ground, &bot, &hooks).await?;
    let runner = Running::start(&ground, "a")?;
    bagua_telegram_sim::load::run(&bot, Load::default()).await;
    until_acknowledged(&bot, 1).await?;
    // The first push can be here before Telegram was asked what it has now.
    eventually("what Telegram says to be what is wanted", || async {
        let bots = fleet::list(&ground.data.app, Some(BotId(bot.id()))).await?;
        let seen = bots.into_iter().next().and_then(|bot| bot.seen);
        Ok(seen
            .filter(|seen| seen.url.starts_with(&hooks) && seen.update_kinds == ["message"])
            .map(drop))
    })
    .await?;

    let telegram = client(&sim, &bot)?;
    let url = format!("{hooks}{}", bot.id());
    for theirs in [
        json!({ "url": "http://127.0.0.1:9/elsewhere" }),
        // The same address with another secret: nobody can see that but by the answers.
        json!({ "url": url, "secret_token": "theirs" }),
        json!({ "url": "" }),
    ] {
        let before = bot.totals().acknowledged;
        eventually("setWebhook to be allowed again", || async {
            Ok(telegram.call("setWebhook", &theirs).await.ok())
        })
        .await?;
        bagua_telegram_sim::load::run(&bot, Load::default()).await;
        until_acknowledged(&bot, before + 1).await?;
    }
    runner.end().await?;
    ground.assert_all_here(&bot).await
}
