use serde_json::{Value, json};

use crate::{World, until};

async fn post(world: &World, path: &str, body: &Value) -> (u16, Value) {
    let answer = world
        .http
        .post(format!("{}/sim/{path}", world.sim.url()))
        .json(body)
        .send()
        .await;
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a text");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn get(world: &World, path: &str) -> Value {
    let answer = world
        .http
        .get(format!("{}/sim/{path}", world.sim.url()))
        .send()
        .await;
    answer.expect("an answer").json().await.expect("JSON")
}

#[tokio::test]
async fn everything_can_be_done_over_http() {
    let world = World::new().await;
    let (status, made) = post(
        &world,
        "bots",
        &json!({ "token": "42:from-outside", "first_update_id": 9 }),
    )
    .await;
    assert_eq!((status, &made["id"]), (200, &json!(42)));
    assert_eq!(post(&world, "bots", &json!({ "id": 42 })).await.0, 400);
    assert_eq!(post(&world, "bots/43/revoke", &json!({})).await.0, 404);
    assert_eq!(get(&world, "bots").await.as_array().map(Vec::len), Some(2));

    let update = json!({ "message": { "chat": { "id": 5 }, "date": 1_764_072_000, "text": "x" } });
    assert_eq!(
        post(&world, "bots/42/updates", &update).await.1,
        json!({ "update_id": 9 })
    );
    let load =
        json!({ "updates": 20, "chats": 2, "per_second": 5000.0, "mixture": [{ "kind": "photo", "of": 1 }] });
    assert_eq!(post(&world, "bots/42/load", &load).await.0, 200);
    let bot = format!("{}/bot42:from-outside", world.sim.url());
    let mut total = 0;
    while total < 21 {
        total = get(&world, "bots/42").await["totals"]["pushed"]
            .as_i64()
            .expect("a count");
    }
    let poll = format!("{bot}/getUpdates?offset=12");
    let found: Value = world
        .http
        .get(poll)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(found["result"].as_array().map(Vec::len), Some(18));
    let log = get(&world, "bots/42/updates?from=2&limit=2").await;
    assert_eq!(log[0]["end"], json!({ "by": "offset", "offset": 12 }));
    assert_eq!((&log[1]["end"], &log[1]["id"]), (&Value::Null, &json!(12)));
    assert_eq!(get(&world, "bots/42/polls").await[0]["delivered"], 18);

    let fault = json!({ "method": "send*", "action": { "do": "cut_after" }, "times": 1 });
    assert_eq!(post(&world, "bots/42/faults", &fault).await.0, 200);
    let send = format!("{bot}/sendMessage?chat_id=5&text=hello");
    assert!(world.http.get(&send).send().await.is_err());
    let sends = get(&world, "bots/42/sends").await;
    assert_eq!(
        (&sends[0]["done"], &sends[0]["answered_at"]),
        (&json!(true), &Value::Null)
    );

    post(&world, "bots/42/block", &json!({ "chat_id": 5, "blocked": true })).await;
    assert_eq!(
        world.http.get(&send).send().await.expect("an answer").status(),
        403
    );
    post(
        &world,
        "bots/42/block",
        &json!({ "chat_id": 5, "blocked": false }),
    )
    .await;
    post(
        &world,
        "bots/42/limits",
        &json!({ "chat_per_second": 1, "chat_burst": 1 }),
    )
    .await;
    assert_eq!(
        world.http.get(&send).send().await.expect("an answer").status(),
        200
    );
    assert_eq!(
        world.http.get(&send).send().await.expect("an answer").status(),
        429
    );
    post(&world, "bots/42/limits", &Value::Null).await;
    post(&world, "bots/42/migrate", &json!({ "from": 5, "to": 6 })).await;
    assert_eq!(
        world.http.get(&send).send().await.expect("an answer").status(),
        400
    );
    assert_eq!(post(&world, "bots/42/ids", &json!({ "next": 1 })).await.0, 409);
    let (_, file) = post(&world, "bots/42/files?size=30000000", &json!({})).await;
    let file = format!(
        "{bot}/getFile?file_id={}",
        file["file_id"].as_str().expect("an id")
    );
    assert_eq!(
        world.http.get(file).send().await.expect("an answer").status(),
        400
    );

    let before = get(&world, "clock").await["now"].as_i64().expect("a time");
    post(&world, "clock", &json!({ "millis": 24 * 3_600_000 + 1000 })).await;
    assert_eq!(get(&world, "clock").await["now"], before + 24 * 3_600_000 + 1000);
    assert_eq!(get(&world, "bots/42").await["totals"]["expired"], 18);
    assert_eq!(post(&world, "bots/42/ids", &json!({ "next": 1 })).await.0, 200);

    post(&world, "bots/42/token", &json!({ "token": "42:second" })).await;
    assert_eq!(
        world
            .http
            .get(format!("{bot}/getMe"))
            .send()
            .await
            .expect("an answer")
            .status(),
        401
    );
    post(&world, "bots/42/revoke", &json!({})).await;
    let second = format!("{}/bot42:second/getMe", world.sim.url());
    assert_eq!(
        world.http.get(second).send().await.expect("an answer").status(),
        401
    );
}

#[tokio::test]
async fn a_load_waits_for_a_slow_bot() {
    let world = World::new().await;
    let load = json!({ "updates": 3000, "chats": 2, "wait_above": 600 });
    post(&world, &format!("bots/{}/load", world.bot.id()), &load).await;
    let mut offset = 0;
    while world.bot.totals().acknowledged < 3000 {
        until("updates wait", || {
            world.bot.pending() > 0 || world.bot.totals().acknowledged == 3000
        })
        .await;
        assert!(world.bot.pending() <= 1100);
        let found = world.poll(offset, json!({})).await;
        offset = found.last().map_or(offset, |last| last + 1);
        if found.is_empty() {
            break;
        }
    }
    world.poll(offset, json!({})).await;
    let totals = world.bot.totals();
    assert_eq!(
        (totals.acknowledged, totals.overflow, totals.redelivered),
        (3000, 0, 0)
    );
}
