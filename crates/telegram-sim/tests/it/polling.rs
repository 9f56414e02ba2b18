use std::time::{Duration, Instant};

use bagua_telegram_sim::{End, MOST_UPDATES};
use serde_json::json;

use crate::{NOON, World, until};

#[tokio::test]
async fn receiving_is_no_acknowledgement() {
    let world = World::new().await;
    for text in ["a", "b", "c"] {
        world.push(5, text);
    }
    assert_eq!(world.poll(0, json!({ "limit": 2 })).await, [1000, 1001]);
    assert_eq!(world.poll(1000, json!({})).await, [1000, 1001, 1002]);
    assert_eq!(world.bot.totals().acknowledged, 0);
    assert_eq!(world.bot.totals().redelivered, 2);
    assert_eq!(world.poll(1002, json!({})).await, [1002]);
    let totals = world.bot.totals();
    assert_eq!((totals.acknowledged, totals.pending, totals.delivered), (2, 1, 3));
    world.bot.with_log(|log| {
        assert_eq!(log.updates[0].end, Some(End::Offset { offset: 1002 }));
        assert_eq!(log.updates[2].end, None);
        assert_eq!(log.polls.len(), 3);
        assert_eq!((log.polls[2].offset, log.polls[2].confirmed), (1002, 2));
    });
    // Forms and the query do as well as JSON, and methods may be written in any case.
    let url = format!("{}?offset=1002", world.url("GETUPDATES"));
    let answer: serde_json::Value = world
        .http
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("limit=5&timeout=0")
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(answer["result"][0]["message"]["text"], "c");
}

#[tokio::test]
async fn the_same_offset_in_haste_gets_one_update() {
    let world = World::new().await;
    for _ in 0..4 {
        world.push(5, "x");
    }
    assert_eq!(world.poll(1000, json!({})).await.len(), 4);
    assert_eq!(world.poll(1000, json!({})).await.len(), 1);
    assert_eq!(world.poll(1001, json!({})).await.len(), 3);
}

#[tokio::test]
async fn a_long_poll_wakes_on_arrival_and_ends_in_time() {
    let world = World::new().await;
    let poll = world.poll(0, json!({ "timeout": 30 }));
    let push = async {
        until("the poll waits", || {
            world.bot.with_log(|log| !log.polls.is_empty())
        })
        .await;
        world.push(5, "a");
        world.push(5, "b");
    };
    let (found, ()) = tokio::join!(poll, push);
    assert_eq!(found.first(), Some(&1000));
    let begun = Instant::now();
    assert_eq!(world.poll(1002, json!({ "timeout": 1 })).await, [0_i64; 0]);
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(990) && took < Duration::from_secs(3),
        "{took:?}"
    );
}

#[tokio::test]
async fn only_a_waiting_poll_is_killed_by_another() {
    let world = World::new().await;
    world.push(5, "a");
    // Updates wait: both get them, and nobody hears of the other.
    let (one, two) = tokio::join!(
        world.poll(999, json!({})),
        world.poll(1000, json!({ "timeout": 9 }))
    );
    assert_eq!((one, two), (vec![1000], vec![1000]));
    assert_eq!(world.bot.totals().conflicts, 0);

    let first = world.refused("getUpdates", json!({ "offset": 1001, "timeout": 20 }));
    let second = async {
        until("the poll waits", || {
            world.bot.with_log(|log| log.polls.len() == 3)
        })
        .await;
        world.poll(1001, json!({ "timeout": 20 })).await
    };
    let end = async {
        until("a conflict", || world.bot.totals().conflicts == 1).await;
        world.push(5, "b");
    };
    let ((code, why), found, ()) = tokio::join!(first, second, end);
    assert_eq!(code, 409);
    assert!(why.contains("terminated by other getUpdates request"), "{why}");
    assert_eq!(found, [1001]);
}

#[tokio::test]
async fn a_poller_that_left_kills_nobody() {
    let world = World::new().await;
    let gone = tokio::time::timeout(
        Duration::from_millis(200),
        world.poll(0, json!({ "timeout": 20 })),
    );
    assert!(gone.await.is_err());
    let begun = Instant::now();
    let poll = world.poll(0, json!({ "timeout": 1 }));
    assert!(poll.await.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn offsets_from_the_end_and_from_another_time() {
    let world = World::new().await;
    for _ in 0..5 {
        world.push(5, "x");
    }
    assert_eq!(world.poll(2_000_000_000, json!({})).await.len(), 5);
    assert_eq!(world.poll(-2, json!({})).await, [1003, 1004]);
    assert_eq!(world.bot.totals().dropped, 3);
    assert!(!world.bot.restart_ids_at(7));
    assert!(world.poll(1005, json!({})).await.is_empty());
    assert!(world.bot.restart_ids_at(7));
    assert_eq!(world.push(5, "again"), Some(7));
    // The offset of before is far ahead now: it confirms nothing.
    assert_eq!(world.poll(1006, json!({})).await, [7]);
    assert_eq!(world.bot.totals().acknowledged, 2);
}

#[tokio::test]
async fn kinds_that_were_not_asked_for_do_not_come() {
    let world = World::new().await;
    let member = r#"{"chat_member":{"chat":{"id":5},"from":{"id":5},"date":1}}"#;
    let poll = r#"{"poll":{"id":"1"}}"#;
    assert_eq!(world.bot.push(member), None);
    assert!(world.bot.push(poll).is_some());
    world.poll(0, json!({ "allowed_updates": ["chat_member"] })).await;
    assert!(world.bot.push(member).is_some());
    assert_eq!(world.bot.push(poll), None);
    // Left out, the setting stays; empty, it is the default again.
    assert_eq!(world.poll(1, json!({})).await.len(), 2);
    assert!(world.bot.push(member).is_some());
    world.poll(2, json!({ "allowed_updates": [] })).await;
    assert_eq!(world.bot.push(member), None);
    assert_eq!(world.bot.totals().not_wanted, 3);
}

#[tokio::test]
async fn each_kind_is_kept_for_its_time() {
    let world = World::new().await;
    world.push(5, "message");
    world.bot.push(r#"{"callback_query":{"id":"1","from":{"id":5}}}"#);
    world.bot.push(r#"{"inline_query":{"id":"2","from":{"id":5}}}"#);
    let clock = world.sim.clock();
    clock.advance(30_001);
    assert_eq!(world.poll(0, json!({})).await, [1000, 1001]);
    clock.advance(120_000);
    assert_eq!(world.poll(1, json!({})).await, [1000]);
    clock.advance(24 * 3_600_000);
    assert_eq!(world.bot.pending(), 0);
    assert_eq!(world.bot.totals().expired, 3);
    // A message that was old when it came is kept from its own date.
    world
        .bot
        .push(&format!(r#"{{"message":{{"date":{}}}}}"#, NOON / 1000));
    assert_eq!(world.bot.pending(), 0);
}

#[tokio::test]
async fn what_a_full_queue_loses_is_counted() {
    let world = World::new().await;
    let load = bagua_telegram_sim::Load {
        updates: MOST_UPDATES as u64 + 7,
        chats: 3,
        wait_above: None,
        ..Default::default()
    };
    bagua_telegram_sim::load::run(&world.bot, load).await;
    let totals = world.bot.totals();
    assert_eq!((totals.pending, totals.overflow), (MOST_UPDATES, 7));
}

#[tokio::test]
async fn any_bytes_come_as_they_are() {
    let world = World::new().await;
    world
        .bot
        .push(r#"{ "kind_of_tomorrow" : {"id":4503599627370495,"x":1e400,"y":"\ud800"}  }"#);
    world.bot.push("no JSON at all");
    let text = world
        .http
        .post(world.url("getUpdates"))
        .send()
        .await
        .expect("an answer");
    let text = text.text().await.expect("a text");
    assert_eq!(
        text,
        r#"{"ok":true,"result":[{"update_id":1000, "kind_of_tomorrow" : {"id":4503599627370495,"x":1e400,"y":"\ud800"}  },{"update_id":1001,no JSON at all]}"#
    );
}
