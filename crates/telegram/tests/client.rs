//! The client against the simulator.

use std::sync::Arc;
use std::time::Duration;

use bagua_telegram::{ApiBase, Class, Client, GetUpdates, Limits, TelegramError, Token, Transport};
use bagua_telegram_sim::{Action, Bot, Config, Fault, LARGEST_DOWNLOAD, NewBot, Sim};
use serde_json::json;

struct World {
    // Whoever takes this apart must keep it: the simulator ends with it.
    sim: Sim,
    bot: Arc<Bot>,
    client: Client,
}

async fn world() -> World {
    let sim = Sim::start(Config::default()).await.expect("a free port");
    let bot = sim
        .add_bot(&NewBot {
            first_update_id: Some(1),
            ..NewBot::default()
        })
        .expect("a bot");
    let client = client(&sim.url(), &bot.token());
    World { sim, bot, client }
}

fn client(url: &str, token: &str) -> Client {
    let transport = Transport::new(Duration::from_secs(2)).expect("ciphers");
    let token = Token::parse(token).expect("a token");
    Client::new(transport, ApiBase::parse(url).expect("an address"), token)
}

fn send(text: &str) -> serde_json::Value {
    json!({ "chat_id": 5, "text": text })
}

fn once(method: &str, action: Action) -> Fault {
    Fault {
        method: method.to_owned(),
        action,
        after: 0,
        times: Some(1),
    }
}

#[tokio::test]
async fn updates_come_as_they_are_and_are_confirmed_by_the_next_poll() {
    let World {
        sim: _sim,
        bot,
        client,
    } = world().await;
    assert_eq!(client.get_me().await.expect("me").id, client.bot_id());
    let odd = r#"{ "tomorrow" :{"n":4503599627370495, "s":"\ud800"} }"#;
    bot.push(odd);
    bot.push("no JSON");
    bot.push(r#"{"message":{"text":"third"}}"#);
    let ask = GetUpdates::default();
    let found = client.get_updates(&ask).await.expect("updates");
    let ids: Vec<Option<i64>> = found.iter().map(|update| update.id).collect();
    // What is no JSON ends the list where it begins; what came before it is there.
    assert_eq!(ids, [Some(1), Some(2)]);
    assert_eq!(
        &found[0].json[..],
        odd.replacen('{', "{\"update_id\":1,", 1).as_bytes()
    );
    let rest = client
        .get_updates(&GetUpdates {
            offset: Some(3),
            timeout: 5,
            ..ask
        })
        .await
        .expect("updates");
    assert_eq!(rest.len(), 1);
    assert_eq!(bot.totals().acknowledged, 2);
    let none = client
        .get_updates(&GetUpdates {
            offset: Some(4),
            timeout: 1,
            ..ask
        })
        .await
        .expect("updates");
    assert!(none.is_empty());
}

#[tokio::test]
async fn failures_say_what_to_do_and_whether_it_happened() {
    let World {
        sim: _sim,
        bot,
        client,
    } = world().await;
    let quick = client.clone().with_limits(Limits {
        call: Duration::from_millis(300),
        ..Limits::default()
    });
    for (action, class, may_have_happened) in [
        (Action::CutBefore, Class::Transient, true),
        (Action::CutAfter, Class::Transient, true),
        (Action::Gateway, Class::Transient, true),
        (Action::RefuseAfter { code: 500 }, Class::Transient, true),
        (Action::DelayBefore { millis: 60_000 }, Class::Transient, true),
        (
            Action::Refuse {
                code: 429,
                description: "Too Many Requests: retry after 7".to_owned(),
                retry_after: Some(7),
            },
            Class::Throttled(Duration::from_secs(7)),
            false,
        ),
    ] {
        bot.plan(once("sendMessage", action.clone()));
        let error = quick.call("sendMessage", &send("x")).await.expect_err("a fault");
        assert_eq!(error.class(), class, "{action:?}: {error}");
        assert_eq!(
            error.may_have_happened(),
            may_have_happened,
            "{action:?}: {error}"
        );
        assert!(!format!("{error} {error:?}").contains(&bot.token()), "{error:?}");
    }
    bot.block(5, true);
    let error = client.call("sendMessage", &send("x")).await.expect_err("blocked");
    assert_eq!(error.class(), Class::Blocked);
    bot.migrate(-7, -1_004_503_599_627_370);
    let error = client
        .call("sendMessage", &json!({ "chat_id": -7, "text": "x" }))
        .await
        .expect_err("moved");
    assert_eq!(error.class(), Class::Migrated(-1_004_503_599_627_370));
    bot.block(5, false);
    let sent = client.call("sendMessage", &send("y")).await.expect("a message");
    assert!(sent.get().contains("\"text\":\"y\""), "{sent}");
    bot.revoke();
    let error = client
        .get_updates(&GetUpdates::default())
        .await
        .expect_err("revoked");
    assert_eq!(error.class(), Class::Unauthorized);
    assert!(error.class().ends_the_bot());
    let error = client.call("../getMe", &json!({})).await.expect_err("no method");
    assert!(matches!(error, TelegramError::Unwritable(_)));
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let client = client(&url, "7:abcdefghijklmnopqrstuvwxyzabcdef");
    let error = client.get_me().await.expect_err("nobody");
    assert!(matches!(error, TelegramError::Unreachable(_)), "{error:?}");
    assert!(!error.may_have_happened());
}

#[tokio::test]
async fn a_second_poller_is_noticed_only_while_one_waits() {
    let World {
        sim: _sim,
        bot,
        client,
    } = world().await;
    let wait = GetUpdates {
        timeout: 30,
        ..GetUpdates::default()
    };
    let other = client.clone();
    let first = tokio::spawn(async move { other.get_updates(&wait).await });
    let waits = async {
        while bot.with_log(|log| log.polls.is_empty()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waits)
        .await
        .expect("a waiting poll");
    let second = tokio::spawn({
        let client = client.clone();
        async move { client.get_updates(&wait).await }
    });
    let error = first.await.expect("no panic").expect_err("killed");
    assert_eq!(error.class(), Class::OtherPoller);
    bot.push(r#"{"message":{}}"#);
    assert_eq!(second.await.expect("no panic").expect("updates").len(), 1);
}

#[tokio::test]
async fn files() {
    let World {
        sim: _sim,
        bot,
        client,
    } = world().await;
    let content: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let id = bot.add_file(content.clone().into());
    let file = client.get_file(&id).await.expect("a file");
    assert_eq!(file.file_size, Some(300_000));
    let path = file.file_path.expect("a path");
    let mut fetched = Vec::new();
    let mut download = client.download(&path, 300_000).await.expect("a download");
    while let Some(chunk) = download.chunk().await.expect("a piece") {
        fetched.extend_from_slice(&chunk);
    }
    assert_eq!(fetched, content);
    let mut short = client.download(&path, 299_999).await.expect("a download");
    let error = loop {
        match short.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the limit did not hold"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.class(), Class::TooBig);
    let large = bot.add_file_of_size(LARGEST_DOWNLOAD + 1);
    let error = client.get_file(&large).await.expect_err("too big");
    assert_eq!(error.class(), Class::TooBig);
    let error = client
        .download("documents/none", 1)
        .await
        .map(drop)
        .expect_err("not there");
    assert_eq!(error.class(), Class::NotFound);
}
