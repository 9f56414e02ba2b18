use crate::support::{EMAIL, PASSWORD, World, settle};
use bagua_access::{FRESH, IDLE, SessionsAway};
use bagua_model::notices::Source;
use serde_json::json;
use time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_revoked_session_is_gone_everywhere_within_two_seconds() {
    let world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    let session = one.first_admin().await;
    assert!(one.who(&session).await.is_some());
    assert!(two.who(&session).await.is_some());
    one.access.sign_out(&session.cookie_token).await.unwrap();
    assert_eq!(one.who(&session).await, None, "at once where it was ended");
    world.advance(FRESH);
    assert_eq!(two.who(&session).await, None);
}

#[tokio::test]
async fn a_copy_in_redis_does_not_lengthen_the_two_seconds() {
    let world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    let session = one.first_admin().await;
    one.who(&session).await.unwrap();
    settle().await;
    world.advance(Duration::milliseconds(900));
    // The second console takes the first one's copy: its age goes on counting.
    let taken = two.who(&session).await.unwrap();
    assert!(
        world.clock.now() - taken.as_of >= Duration::milliseconds(900),
        "the copy came from Redis"
    );
    // Ended behind everybody's back: no message, no deleted copy.
    sqlx::query("UPDATE sessions SET revoked_at = $1")
        .bind(world.clock.now())
        .execute(world.db())
        .await
        .unwrap();
    world.advance(FRESH - Duration::milliseconds(900));
    assert_eq!(two.who(&session).await, None);
}

#[tokio::test]
async fn nothing_is_asked_while_the_copy_in_this_process_is_fresh() {
    let mut world = World::new().await;
    let mut room = world.room().await;
    let session = room.first_admin().await;
    let first = room.who(&session).await.unwrap();
    room.gate.shut().await;
    world.redis.kill();
    let again = room.who(&session).await.unwrap();
    assert_eq!(again, first);
    assert!(!again.stale);
}

#[tokio::test]
async fn sessions_go_on_without_redis_and_the_notice_shows() {
    let mut world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    let session = one.first_admin().await;
    one.who(&session).await.unwrap();
    settle().await;
    assert!(!one.sources.is_away(Source::Redis));
    world.redis.kill();
    world.advance(FRESH);
    for room in [&one, &two] {
        let who = room.who(&session).await.unwrap();
        assert!(!who.stale);
        settle().await;
        assert!(room.sources.is_away(Source::Redis));
    }
    one.sign_in(EMAIL, PASSWORD).await.unwrap();
    world.redis.start_again().await;
    for _ in 0..40 {
        // The pause after a fault is a second of real time.
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        world.advance(FRESH);
        one.who(&session).await.unwrap();
        if !one.sources.is_away(Source::Redis) {
            return;
        }
    }
    panic!("Redis is back and was not found again");
}

#[tokio::test]
async fn without_postgresql_the_last_known_session_is_read_only_for_a_quarter_of_an_hour() {
    let mut world = World::new().await;
    let (mut one, mut two) = (world.room().await, world.room().await);
    let session = one.first_admin().await;
    one.who(&session).await.unwrap();
    settle().await;
    one.gate.shut().await;
    two.gate.shut().await;
    world.advance(Duration::minutes(10));
    let known = one.who(&session).await.unwrap();
    assert!(known.stale);
    assert_eq!(known.who.me.email, EMAIL);
    // The second console has never seen the session; Redis has.
    assert!(two.who(&session).await.unwrap().stale);
    // With Redis gone too, what this process remembers is left.
    world.redis.kill();
    world.advance(Duration::minutes(4));
    assert!(one.who(&session).await.unwrap().stale);
    world.advance(Duration::minutes(1));
    let token = &session.cookie_token;
    assert_eq!(
        one.access.sessions().actor_of(token).await,
        Err(SessionsAway),
        "not the same as signed out"
    );
    one.gate.open().await;
    settle().await;
    world.advance(Duration::seconds(3));
    assert!(!one.who(&session).await.unwrap().stale);
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_served_stale() {
    let world = World::new().await;
    let mut room = world.room().await;
    let session = room.first_admin().await;
    // Used every eleven hours, it lives to its absolute end.
    for _ in 0..15 {
        world.advance(Duration::hours(11));
        assert!(room.who(&session).await.is_some());
        settle().await;
    }
    world.advance(Duration::hours(2) + Duration::minutes(58));
    room.who(&session).await.unwrap();
    settle().await;
    room.gate.shut().await;
    world.advance(Duration::minutes(1));
    assert!(room.who(&session).await.unwrap().stale);
    world.advance(Duration::minutes(1));
    assert_eq!(room.who(&session).await, None);
}

#[tokio::test]
async fn an_idle_session_ends_also_on_a_console_that_remembers_it() {
    let world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    let session = one.first_admin().await;
    one.who(&session).await.unwrap();
    world.advance(IDLE);
    assert_eq!(one.who(&session).await, None);
    assert_eq!(two.who(&session).await, None);
}

#[tokio::test]
async fn made_up_cookies_are_nobody() {
    let world = World::new().await;
    let room = world.room().await;
    for token in [
        "",
        "x",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "'; DROP TABLE sessions; --",
        &"A".repeat(10_000),
    ] {
        assert_eq!(room.access.sessions().actor_of(token).await, Ok(None), "{token}");
    }
}

#[tokio::test]
async fn a_copy_that_somebody_else_wrote_into_redis_is_not_believed() {
    let world = World::new().await;
    let (one, mut two) = (world.room().await, world.room().await);
    let session = one.first_admin().await;
    one.who(&session).await.unwrap();
    settle().await;
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("bagua:session:*")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(keys.len(), 1);
    let copy: String = redis::cmd("GET")
        .arg(&keys[0])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(
        copy.contains(EMAIL)
            && !copy.contains(&session.cookie_token)
            && !keys[0].contains(&session.cookie_token)
    );
    let forged = copy.replace(EMAIL, "eve@example.org");
    let _: () = redis::cmd("SET")
        .arg(&keys[0])
        .arg(forged)
        .query_async(&mut connection)
        .await
        .unwrap();
    two.gate.shut().await;
    assert_eq!(
        two.access.sessions().actor_of(&session.cookie_token).await,
        Err(SessionsAway)
    );
}

#[tokio::test]
async fn a_flash_is_shown_once_and_by_any_console() {
    let world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    let session = one.first_admin().await;
    let typed = json!({ "form": "note", "text": "同事正在处理" });
    assert!(
        one.access
            .sessions()
            .set_flash(&session.cookie_token, &typed)
            .await
    );
    assert_eq!(
        two.access.sessions().take_flash(&session.cookie_token).await,
        Some(typed.clone())
    );
    assert_eq!(
        one.access.sessions().take_flash(&session.cookie_token).await,
        None
    );
    let large = json!("x".repeat(bagua_access::FLASH_LIMIT));
    assert!(
        !one.access
            .sessions()
            .set_flash(&session.cookie_token, &large)
            .await
    );
    one.access.sign_out(&session.cookie_token).await.unwrap();
    assert!(
        !one.access
            .sessions()
            .set_flash(&session.cookie_token, &typed)
            .await
    );
    assert!(
        !one.access
            .sessions()
            .set_flash("AAAAAAAAAAAAAAAAAAAAAA", &typed)
            .await
    );
}

#[tokio::test]
async fn the_live_stream_ends_a_session_elsewhere_without_waiting_for_its_age() {
    let world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    let session = one.first_admin().await;
    let stop = CancellationToken::new();
    let (live, stopped) = (two.console.live.clone(), stop.clone());
    let reading = tokio::spawn(async move { live.run(stopped).await });
    assert!(two.who(&session).await.is_some());
    settle().await;
    one.access.sign_out(&session.cookie_token).await.unwrap();
    // The clock stands still: by age alone the copy would be good for ever.
    for _ in 0..60 {
        if two.who(&session).await.is_none() {
            stop.cancel();
            return reading.await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the second console did not hear of the sign-out");
}

#[tokio::test]
async fn what_has_been_over_for_a_day_is_cleared_away() {
    let world = World::new().await;
    let room = world.room().await;
    room.first_admin().await;
    room.sign_in("nobody@example.org", "wrong").await.unwrap_err();
    world.advance(bagua_access::ABSOLUTE + Duration::days(1) + Duration::seconds(1));
    let kept = room.sign_in(EMAIL, PASSWORD).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(room.access.clone().run(stop.clone()));
    let count = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM sign_in_counters),
                        (SELECT count(*) FROM invitations)";
    for _ in 0..60 {
        let left: (i64, i64, i64) = sqlx::query_as(count).fetch_one(world.db()).await.unwrap();
        if left == (1, 0, 0) {
            assert!(room.who(&kept).await.is_some());
            stop.cancel();
            return running.await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("ended rows were not cleared away");
}
