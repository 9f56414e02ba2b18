use bagua_telegram_sim::{Action, Fault, LARGEST_DOWNLOAD, SendLimits};
use serde_json::{Value, json};

use crate::World;

fn fault(method: &str, action: Action) -> Fault {
    Fault {
        method: method.to_owned(),
        action,
        after: 0,
        times: Some(1),
    }
}

#[tokio::test]
async fn messages_come_change_and_go() {
    let world = World::new().await;
    let sent = world
        .call("sendMessage", json!({ "chat_id": 5, "text": "hello" }))
        .await;
    assert_eq!(
        (&sent["message_id"], &sent["chat"]["type"], &sent["text"]),
        (&json!(1), &json!("private"), &json!("hello"))
    );
    let edit = |text: &str| json!({ "chat_id": 5, "message_id": 1, "text": text });
    let edited = world.call("editMessageText", edit("bye")).await;
    assert!(edited["edit_date"].is_number());
    let (code, why) = world.refused("editMessageText", edit("bye")).await;
    assert_eq!(code, 400);
    assert!(why.contains("message is not modified"), "{why}");
    world
        .call("deleteMessage", json!({ "chat_id": 5, "message_id": 1 }))
        .await;
    assert_eq!(
        world.refused("editMessageText", edit("x")).await.1,
        "Bad Request: message to edit not found"
    );
    for (text, why) in [
        (" ".to_owned(), "Bad Request: message text is empty"),
        ("x".repeat(4097), "Bad Request: message is too long"),
    ] {
        assert_eq!(
            world
                .refused("sendMessage", json!({ "chat_id": 5, "text": text }))
                .await
                .1,
            why
        );
    }
    assert_eq!(
        world.refused("sendMessage", json!({ "text": "x" })).await.1,
        "Bad Request: chat_id is empty"
    );
    // Other ways to send, and what nobody has heard of.
    assert_eq!(
        world.call("sendSomethingNew", json!({ "chat_id": -5 })).await["chat"]["type"],
        "group"
    );
    let album = json!({ "chat_id": 5, "media": [{ "type": "photo" }, { "type": "photo" }] });
    assert_eq!(
        world.call("sendMediaGroup", album).await.as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(world.refused("fly", json!({})).await.0, 404);
    let totals = world.bot.totals();
    assert_eq!((totals.sends_done, totals.sends_refused), (5, 5));
}

#[tokio::test]
async fn chats_that_take_nothing() {
    let world = World::new().await;
    world.bot.block(5, true);
    world.bot.migrate(-7, -1_000_000_000_007);
    let to = |chat: i64| json!({ "chat_id": chat, "text": "x" });
    assert_eq!(
        world.refused("sendMessage", to(5)).await,
        (403, "Forbidden: bot was blocked by the user".to_owned())
    );
    let moved = world.ask("sendMessage", to(-7)).await;
    assert_eq!(moved["error_code"], 400);
    assert_eq!(moved["parameters"]["migrate_to_chat_id"], -1_000_000_000_007_i64);
    world.bot.block(5, false);
    world.call("sendMessage", to(5)).await;
    assert_eq!(
        world.call("sendMessage", to(-1_000_000_000_007)).await["chat"]["type"],
        "supergroup"
    );
}

#[tokio::test]
async fn too_many_messages() {
    let world = World::new().await;
    world.bot.limit_sends(Some(SendLimits::default()));
    let send = json!({ "chat_id": 5, "text": "x" });
    for _ in 0..3 {
        world.call("sendMessage", send.clone()).await;
    }
    let refused = world.ask("sendMessage", send.clone()).await;
    assert_eq!(
        (&refused["error_code"], &refused["parameters"]["retry_after"]),
        (&json!(429), &json!(1))
    );
    world.sim.clock().advance(1000);
    world.call("sendMessage", send).await;
}

#[tokio::test]
async fn callbacks_are_answered_in_time_only() {
    let world = World::new().await;
    world
        .bot
        .push(r#"{"callback_query":{"id":"77","from":{"id":5}}}"#);
    let answer = json!({ "callback_query_id": "77" });
    world.call("answerCallbackQuery", answer.clone()).await;
    world.sim.clock().advance(150_001);
    assert_eq!(world.refused("answerCallbackQuery", answer).await.0, 400);
    assert_eq!(
        world
            .refused("answerCallbackQuery", json!({ "callback_query_id": "78" }))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn files_end_at_20_mib() {
    for local in [false, true] {
        let world = World::with(local).await;
        let small = world.bot.add_file("content".into());
        let large = world.bot.add_file_of_size(LARGEST_DOWNLOAD + 1);
        let file = world.call("getFile", json!({ "file_id": small })).await;
        assert_eq!(file["file_size"], 7);
        let path = file["file_path"].as_str().expect("a path");
        let url = format!("{}/file/bot{}/{path}", world.sim.url(), world.bot.token());
        let content = world
            .http
            .get(&url)
            .send()
            .await
            .expect("an answer")
            .bytes()
            .await
            .expect("bytes");
        assert_eq!(&content[..], b"content");
        let missing = world.http.get(url + "x").send().await.expect("an answer");
        assert_eq!(missing.status(), 404);
        let large = json!({ "file_id": large });
        if local {
            world.call("getFile", large).await;
        } else {
            let refused = world.refused("getFile", large).await;
            assert_eq!(refused, (400, "Bad Request: file is too big".to_owned()));
        }
        assert_eq!(world.refused("getFile", json!({ "file_id": "?" })).await.0, 400);
    }
}

#[tokio::test]
async fn an_uploaded_photo_can_be_fetched() {
    let world = World::new().await;
    let body = "--B\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n5\r\n\
         --B\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n\r\npixels\r\n--B--\r\n";
    let request = world.http.post(world.url("sendPhoto"));
    let request = request
        .header("content-type", "multipart/form-data; boundary=B")
        .body(body);
    let answer: Value = request
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let photo = &answer["result"]["photo"][0];
    assert_eq!(photo["file_size"], 6);
    let file = world
        .call("getFile", json!({ "file_id": photo["file_id"] }))
        .await;
    assert_eq!(file["file_unique_id"], photo["file_unique_id"]);
    assert_eq!(world.refused("sendPhoto", json!({ "chat_id": 5 })).await.0, 400);
}

#[tokio::test]
async fn planned_faults() {
    let world = World::new().await;
    let send = |text: &str| json!({ "chat_id": 5, "text": text });
    let bot = &world.bot;
    bot.plan(fault(
        "sendMessage",
        Action::Refuse {
            code: 429,
            description: "Too Many Requests: retry after 9".to_owned(),
            retry_after: Some(9),
        },
    ));
    let refused = world.ask("sendMessage", send("a")).await;
    assert_eq!(refused["parameters"]["retry_after"], 9);
    bot.plan(fault("send*", Action::RefuseAfter { code: 500 }));
    assert_eq!(world.refused("sendMessage", send("b")).await.0, 500);
    for action in [Action::CutBefore, Action::CutAfter] {
        bot.plan(fault("sendMessage", action));
        let cut = world
            .http
            .post(world.url("sendMessage"))
            .json(&send("c"))
            .send()
            .await;
        assert!(cut.is_err());
    }
    bot.plan(fault("*", Action::Gateway));
    let page = world
        .http
        .post(world.url("sendMessage"))
        .json(&send("d"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(page.status(), 502);
    bot.plan(fault("sendMessage", Action::Delay { millis: 20 }));
    world.call("sendMessage", send("e")).await;
    world.call("sendMessage", send("e")).await;
    let totals = bot.totals();
    assert_eq!((totals.sends, totals.sends_refused), (7, 3));
    assert_eq!(
        (
            totals.sends_done,
            totals.sends_done_unanswered,
            totals.sends_doubled
        ),
        (4, 2, 1)
    );
    bot.plan(Fault {
        times: None,
        ..fault("getMe", Action::CutBefore)
    });
    assert!(world.http.get(world.url("getMe")).send().await.is_err());
    bot.clear_faults();
    world.call("getMe", json!({})).await;
}
