use bagua_telegram_sim::{Config, NewBot, Sim};
use serde_json::json;

use crate::World;

#[tokio::test]
async fn tokens() {
    let world = World::new().await;
    let me = world.call("getMe", json!({})).await;
    assert_eq!((&me["id"], &me["is_bot"]), (&json!(world.bot.id()), &json!(true)));
    for (token, status) in [("nonsense", 404), ("12:", 404), ("12:abc", 401)] {
        let url = format!("{}/bot{token}/getMe", world.sim.url());
        let answer = world.http.get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{token}");
    }
    let old = world.url("getMe");
    let id = world.bot.id();
    assert!(world.sim.replace_token(&world.bot, "1:x").is_err());
    world
        .sim
        .replace_token(&world.bot, &format!("{id}:new"))
        .expect("a new token");
    assert_eq!(world.http.get(old).send().await.expect("an answer").status(), 401);
    assert_eq!(world.call("getMe", json!({})).await["id"], id);
    world.bot.revoke();
    assert_eq!(
        world.refused("getUpdates", json!({})).await,
        (401, "Unauthorized".to_owned())
    );
}

#[tokio::test]
async fn logging_out_clears_the_queue_and_closes_the_door() {
    let world = World::new().await;
    world.push(5, "x");
    world.call("logOut", json!({})).await;
    assert_eq!(
        world.refused("getMe", json!({})).await,
        (400, "Logged out".to_owned())
    );
    assert_eq!(world.bot.totals().dropped, 1);
    world.sim.clock().advance(10 * 60 * 1000);
    world.call("getMe", json!({})).await;
}

#[tokio::test]
async fn closing_is_refused_at_first() {
    let world = World::new().await;
    let refused = world.ask("close", json!({})).await;
    assert_eq!(
        (&refused["error_code"], &refused["parameters"]["retry_after"]),
        (&json!(429), &json!(600))
    );
    world.sim.clock().advance(10 * 60 * 1000);
    world.push(5, "stays");
    world.call("close", json!({})).await;
    assert_eq!(world.refused("getMe", json!({})).await.0, 500);
    world.sim.clock().advance(1000);
    assert_eq!(world.poll(0, json!({})).await, [1000]);
}

#[tokio::test]
async fn bots_do_not_share_tokens_and_strangers_do_not_listen() {
    let world = World::new().await;
    let same = NewBot {
        token: Some(world.bot.token()),
        ..NewBot::default()
    };
    assert!(world.sim.add_bot(&same).is_err());
    assert!(world.sim.add_bot(&NewBot::default()).is_ok());
    let open = Config {
        address: Some(([0, 0, 0, 0], 0).into()),
        ..Config::default()
    };
    assert!(Sim::start(open).await.is_err());
}
