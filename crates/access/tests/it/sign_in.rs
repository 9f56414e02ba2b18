use crate::support::{EMAIL, PASSWORD, World, settle, visitor};
use bagua_access::Visitor;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::{Locale, keys};
use std::time::Instant;
use time::Duration;

async fn audited(world: &World, action: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM audit WHERE action = $1")
        .bind(action)
        .fetch_one(world.db())
        .await
        .unwrap()
}

#[tokio::test]
async fn five_failures_lock_on_every_console_until_the_time_that_the_answer_says() {
    let world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    one.first_admin().await;
    for n in 1..=5 {
        let room = if n % 2 == 0 { &one } else { &two };
        let failure = room.sign_in(EMAIL, "not the password").await.unwrap_err();
        let expected = if n < 5 {
            FailureKind::Unauthenticated
        } else {
            FailureKind::RateLimited
        };
        assert_eq!(failure.kind, expected, "failure {n}");
    }
    for room in [&one, &two] {
        let failure = room.sign_in(" WEI@example.org ", PASSWORD).await.unwrap_err();
        assert_eq!(failure.text.key, keys::FAILURE_SIGN_IN_LOCKED);
        for locale in Locale::ALL {
            assert!(
                failure.text.render(locale).contains("21:15 UTC"),
                "{}",
                failure.text.render(locale)
            );
        }
    }
    assert_eq!(audited(&world, "lock-out").await, 1);
    // A console that has just started knows it too.
    let three = world.room().await;
    world.advance(Duration::minutes(15) - Duration::seconds(1));
    assert_eq!(
        three.sign_in(EMAIL, PASSWORD).await.unwrap_err().kind,
        FailureKind::RateLimited
    );
    world.advance(Duration::seconds(1));
    three.sign_in(EMAIL, PASSWORD).await.unwrap();
    assert_eq!(
        three.sign_in(EMAIL, "wrong once more").await.unwrap_err().kind,
        FailureKind::Unauthenticated
    );
}

#[tokio::test]
async fn old_failures_stop_counting() {
    let world = World::new().await;
    let room = world.room().await;
    room.first_admin().await;
    for _ in 0..9 {
        assert_eq!(
            room.sign_in(EMAIL, "wrong").await.unwrap_err().kind,
            FailureKind::Unauthenticated
        );
        world.advance(Duration::minutes(4));
    }
    room.sign_in(EMAIL, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn an_unknown_address_gets_the_same_answers_in_about_the_same_time() {
    let world = World::new().await;
    let room = world.room().await;
    room.first_admin().await;
    let mut answers: Vec<Vec<Failure>> = Vec::new();
    let mut times = Vec::new();
    for email in [EMAIL, "nobody@example.org"] {
        let (mut said, mut took) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let start = Instant::now();
            said.push(room.sign_in(email, "not the password").await.unwrap_err());
            took.push(start.elapsed());
        }
        took.truncate(5);
        took.sort();
        answers.push(said);
        times.push(took[2]);
    }
    assert_eq!(answers[0], answers[1]);
    // Without the hash of nobody this is below a tenth.
    assert!(times[1] * 3 > times[0], "{times:?}");
}

#[tokio::test]
async fn many_guesses_at_the_same_time_are_not_all_checked() {
    let world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    one.first_admin().await;
    let mut guesses = tokio::task::JoinSet::new();
    for n in 0..24 {
        let access = if n % 2 == 0 {
            one.access.clone()
        } else {
            two.access.clone()
        };
        guesses.spawn(async move { access.sign_in(EMAIL, "not the password", &visitor(), None).await });
    }
    let answers = guesses.join_all().await;
    let checked = answers
        .iter()
        .filter(|a| a.as_ref().is_err_and(|f| f.kind == FailureKind::Unauthenticated))
        .count();
    assert_eq!(
        checked, 4,
        "four wrong, the fifth locks, the others are not checked"
    );
    assert!(answers.iter().all(Result::is_err));
}

#[tokio::test]
async fn one_network_address_cannot_try_every_e_mail_address() {
    let world = World::new().await;
    let room = world.room().await;
    room.first_admin().await;
    let mut last = None;
    for n in 0..41 {
        last = Some(
            room.sign_in(&format!("person{n}@example.org"), "wrong")
                .await
                .unwrap_err(),
        );
    }
    assert_eq!(last.unwrap().text.key, keys::FAILURE_SIGN_IN_LOCKED_ADDRESS);
    let elsewhere = Visitor {
        address: "198.51.100.9".into(),
        ..visitor()
    };
    room.access
        .sign_in(EMAIL, PASSWORD, &elsewhere, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_typed_into_the_wrong_field_is_not_kept() {
    let world = World::new().await;
    let room = world.room().await;
    room.sign_in("my secret password", "wei@example.org")
        .await
        .unwrap_err();
    let kept: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM audit WHERE audit::text LIKE '%my secret password%')
              + (SELECT count(*) FROM sign_in_counters WHERE subject LIKE '%my secret password%')",
    )
    .fetch_one(world.db())
    .await
    .unwrap();
    assert_eq!(kept, 0);
    assert_eq!(audited(&world, "sign-in-failed").await, 1);
}

#[tokio::test]
async fn a_sign_in_begins_a_new_session_and_ends_the_one_before() {
    let world = World::new().await;
    let room = world.room().await;
    let first = room.first_admin().await;
    let second = room
        .access
        .sign_in(EMAIL, PASSWORD, &visitor(), Some(&first.cookie_token))
        .await
        .unwrap();
    assert_ne!(first.cookie_token, second.cookie_token);
    assert_eq!(room.who(&first).await, None);
    assert_eq!(room.who(&second).await.unwrap().who.me.email, EMAIL);
    room.access.sign_out(&second.cookie_token).await.unwrap();
    room.access.sign_out(&second.cookie_token).await.unwrap();
    assert_eq!(room.who(&second).await, None);
    assert_eq!(
        (
            audited(&world, "sign-in").await,
            audited(&world, "sign-out").await
        ),
        (2, 1)
    );
    let token: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sessions s WHERE s::text LIKE '%' || $1 || '%'")
            .bind(&second.cookie_token)
            .fetch_one(world.db())
            .await
            .unwrap();
    assert_eq!(token, 0, "the token itself is kept nowhere");
}

#[tokio::test]
async fn nothing_is_counted_while_postgresql_is_away() {
    let world = World::new().await;
    let mut room = world.room().await;
    room.first_admin().await;
    room.gate.shut().await;
    let failure = room.sign_in(EMAIL, PASSWORD).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    room.gate.open().await;
    settle().await;
    room.sign_in(EMAIL, PASSWORD).await.unwrap();
}
