use crate::support::{EMAIL, PASSWORD, URL, World, token_of};
use bagua_core::Actor;
use bagua_model::access::{Grant, Purpose, Role};
use bagua_model::failure::FailureKind;
use bagua_model::region::Scope;
use bagua_model::text::keys;
use time::Duration;

fn owner() -> Actor {
    Actor::system("cli:root")
}

fn viewer() -> Grant {
    Grant {
        role: Role::Viewer,
        scope: Scope::ANY,
    }
}

#[tokio::test]
async fn the_first_administrators_link_works_once_and_none_follows() {
    let world = World::new().await;
    let room = world.room().await;
    let old = room.access.first_admin_link(URL).await.unwrap().unwrap();
    let link = room.access.first_admin_link(URL).await.unwrap().unwrap();
    assert!(link.starts_with("http://localhost:3000/welcome?token="));
    assert_eq!(
        room.access.invitation(token_of(&old)).await.unwrap(),
        None,
        "a new link takes the old one's place"
    );
    assert_eq!(
        room.accept(&old, EMAIL, PASSWORD).await.unwrap_err().text.key,
        keys::FAILURE_INVITATION
    );
    let shown = room.access.invitation(token_of(&link)).await.unwrap().unwrap();
    assert_eq!((shown.purpose, shown.email.as_str()), (Purpose::FirstAdmin, ""));

    let refused = room.accept(&link, "no address", "short").await.unwrap_err();
    let fields: Vec<&str> = refused.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        fields,
        ["email", "password"],
        "every field error at once, and the link stays open"
    );

    let signed_in = room.accept(&link, " Wei@Example.org", PASSWORD).await.unwrap();
    let who = room.who(&signed_in).await.unwrap().who;
    assert_eq!(who.me.email, EMAIL);
    assert_eq!(
        who.me.grants,
        [Grant {
            role: Role::Administrator,
            scope: Scope::ANY
        }]
    );
    assert_eq!(
        room.accept(&link, "eve@example.org", PASSWORD)
            .await
            .unwrap_err()
            .kind,
        FailureKind::NotFound
    );
    assert_eq!(room.access.first_admin_link(URL).await.unwrap(), None);
    let token: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM invitations i WHERE i::text LIKE '%' || $1 || '%')
              + (SELECT count(*) FROM audit a WHERE a::text LIKE '%' || $1 || '%')",
    )
    .bind(token_of(&link))
    .fetch_one(world.db())
    .await
    .unwrap();
    assert_eq!(token, 0, "the token itself is kept nowhere");
}

#[tokio::test]
async fn of_two_who_take_a_link_up_at_the_same_time_one_does() {
    let world = World::new().await;
    let (one, two) = (world.room().await, world.room().await);
    let link = one.access.first_admin_link(URL).await.unwrap().unwrap();
    let (a, b) = tokio::join!(
        one.accept(&link, EMAIL, PASSWORD),
        two.accept(&link, "eve@example.org", PASSWORD)
    );
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    let people: i64 = sqlx::query_scalar("SELECT count(*) FROM people")
        .fetch_one(world.db())
        .await
        .unwrap();
    assert_eq!(people, 1);
}

#[tokio::test]
async fn a_link_lapses_after_a_day() {
    let world = World::new().await;
    let room = world.room().await;
    let link = room.access.first_admin_link(URL).await.unwrap().unwrap();
    world.advance(Duration::hours(24));
    assert_eq!(room.access.invitation(token_of(&link)).await.unwrap(), None);
    assert_eq!(
        room.accept(&link, EMAIL, PASSWORD).await.unwrap_err().kind,
        FailureKind::NotFound
    );
}

#[tokio::test]
async fn a_person_made_at_the_machine_sets_a_password_by_link() {
    let world = World::new().await;
    let room = world.room().await;
    room.first_admin().await;
    let link = room
        .access
        .admin_create(&owner(), URL, "li@example.org", None, viewer())
        .await
        .unwrap();
    assert_eq!(
        room.sign_in("li@example.org", PASSWORD).await.unwrap_err().kind,
        FailureKind::Unauthenticated
    );
    let again = room
        .access
        .admin_create(&owner(), URL, "LI@example.org", None, viewer())
        .await
        .unwrap_err();
    assert_eq!(again.fields[0].0, "email");
    let shown = room.access.invitation(token_of(&link)).await.unwrap().unwrap();
    assert_eq!(
        (shown.purpose, shown.email.as_str()),
        (Purpose::Welcome, "li@example.org")
    );
    let signed_in = room.accept(&link, "ignored@example.org", PASSWORD).await.unwrap();
    assert_eq!(room.who(&signed_in).await.unwrap().who.me.email, "li@example.org");
}

#[tokio::test]
async fn a_reset_ends_other_sessions_and_lifts_the_lock() {
    let world = World::new().await;
    let room = world.room().await;
    let before = room.first_admin().await;
    for _ in 0..5 {
        room.sign_in(EMAIL, "wrong").await.unwrap_err();
    }
    assert_eq!(
        room.sign_in(EMAIL, PASSWORD).await.unwrap_err().kind,
        FailureKind::RateLimited
    );
    let link = room.access.admin_reset(&owner(), URL, EMAIL).await.unwrap();
    assert!(
        room.who(&before).await.is_some(),
        "asking for a link changes nothing yet"
    );
    let new = "granite willow seven seas";
    room.accept(&link, "", new).await.unwrap();
    assert_eq!(room.who(&before).await, None);
    room.sign_in(EMAIL, new).await.unwrap();
    assert_eq!(
        room.sign_in(EMAIL, PASSWORD).await.unwrap_err().kind,
        FailureKind::Unauthenticated
    );
    assert_eq!(
        room.access
            .admin_reset(&owner(), URL, "nobody@example.org")
            .await
            .unwrap_err()
            .kind,
        FailureKind::NotFound
    );
}
