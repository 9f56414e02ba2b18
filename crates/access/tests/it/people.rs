use crate::support::{EMAIL, PASSWORD, Room, URL, World, token_of};
use bagua_access::{FRESH, SignedIn, new_link};
use bagua_core::Actor;
use bagua_model::access::{ListPeople, ListSessions, Permission, Role};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{OperationState, Submission};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::text::keys;
use serde_json::{Value, json};
use uuid::Uuid;

async fn submit(room: &Room, actor: &Actor, kind: &str, input: Value) -> Result<(), Failure> {
    let submitted = room
        .console
        .submit_json(actor, kind, input, Submission::default())
        .await?;
    assert_eq!(submitted.state, OperationState::Succeeded);
    Ok(())
}

async fn actor(room: &Room, session: &SignedIn) -> Actor {
    room.who(session).await.unwrap().who.actor.clone()
}

async fn id_of(world: &World, email: &str) -> Uuid {
    sqlx::query_scalar("SELECT id FROM people WHERE email = $1")
        .bind(email)
        .fetch_one(world.db())
        .await
        .unwrap()
}

/// A new person with one role, who has taken up the invitation.
async fn person(
    world: &World,
    room: &Room,
    by: &Actor,
    email: &str,
    role: Role,
    scope: Scope,
) -> (Uuid, SignedIn) {
    submit(
        room,
        by,
        "person.create",
        json!({ "email": email, "role": role, "scope": scope }),
    )
    .await
    .unwrap();
    let id = id_of(world, email).await;
    let link = new_link(URL).unwrap();
    submit(
        room,
        by,
        "person.invite",
        json!({ "person": id, "token_hash": link.hash_hex() }),
    )
    .await
    .unwrap();
    let signed_in = room.accept(&link.link, "", PASSWORD).await.unwrap();
    (id, signed_in)
}

#[tokio::test]
async fn a_person_is_created_invited_granted_and_disabled_on_the_screen() {
    let world = World::new().await;
    let room = world.room().await;
    let admin = room.first_admin().await;
    let admin = actor(&room, &admin).await;
    let (li, session) = person(&world, &room, &admin, "li@example.org", Role::Viewer, Scope::ANY).await;
    let link_in_operations: i64 =
        sqlx::query_scalar("SELECT count(*) FROM operations o WHERE o::text LIKE '%welcome?token%'")
            .fetch_one(world.db())
            .await
            .unwrap();
    assert_eq!(link_in_operations, 0);

    let people = room.console.ask(&admin, ListPeople {}).await.unwrap();
    assert_eq!(
        people
            .iter()
            .map(|p| (p.email.as_str(), p.sessions))
            .collect::<Vec<_>>(),
        [("li@example.org", 1), (EMAIL, 1)]
    );

    let grant = json!({ "person": li, "role": "operator", "scope": { "region": "eu-west-1" } });
    submit(&room, &admin, "person.grant", grant.clone())
        .await
        .unwrap();
    assert_eq!(
        submit(&room, &admin, "person.grant", grant.clone())
            .await
            .unwrap_err()
            .kind,
        FailureKind::Conflict
    );
    world.advance(FRESH);
    let may = Scope::at(Environment::Dev, RegionId::new("eu-west-1"));
    assert!(
        room.who(&session)
            .await
            .unwrap()
            .who
            .me
            .may(Permission::ComponentsOperate, &may)
    );
    submit(&room, &admin, "person.revoke", grant.clone())
        .await
        .unwrap();
    assert_eq!(
        submit(&room, &admin, "person.revoke", grant)
            .await
            .unwrap_err()
            .kind,
        FailureKind::Conflict
    );
    world.advance(FRESH);
    assert!(
        !room
            .who(&session)
            .await
            .unwrap()
            .who
            .me
            .may(Permission::ComponentsOperate, &may)
    );

    submit(&room, &admin, "person.disable", json!({ "person": li }))
        .await
        .unwrap();
    world.advance(FRESH);
    assert_eq!(room.who(&session).await, None);
    let disabled = room.sign_in("li@example.org", PASSWORD).await.unwrap_err();
    assert_eq!(
        disabled.text.key,
        keys::FAILURE_SIGN_IN,
        "the same answer as for a wrong password"
    );
    submit(&room, &admin, "person.enable", json!({ "person": li }))
        .await
        .unwrap();
    assert_eq!(room.who(&session).await, None, "the session stays ended");
    room.sign_in("li@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn the_last_administrator_can_neither_be_disabled_nor_lose_the_role() {
    let world = World::new().await;
    let room = world.room().await;
    let first = room.first_admin().await;
    let admin = actor(&room, &first).await;
    let grant = |person: Uuid| json!({ "person": person, "role": "administrator", "scope": {} });
    let disable = json!({ "person": first.person });
    // Neither somebody without a password, nor one of one region, nor one of another environment takes the place.
    let invited = json!({ "email": "invited@example.org", "role": "administrator" });
    submit(&room, &admin, "person.create", invited).await.unwrap();
    let regional = Scope {
        environment: None,
        region: Some(RegionId::new("eu-west-1")),
    };
    person(
        &world,
        &room,
        &admin,
        "regional@example.org",
        Role::Administrator,
        regional,
    )
    .await;
    let elsewhere = Scope {
        environment: Some(Environment::Prod),
        region: None,
    };
    person(
        &world,
        &room,
        &admin,
        "prod@example.org",
        Role::Administrator,
        elsewhere,
    )
    .await;
    for (kind, input) in [
        ("person.revoke", grant(first.person)),
        ("person.disable", disable.clone()),
    ] {
        let failure = submit(&room, &admin, kind, input).await.unwrap_err();
        assert_eq!(failure.text.key, keys::FAILURE_LAST_ADMINISTRATOR, "{kind}");
    }
    // With a second one, one of the two can go, but not both at the same time: both have planned and may go, and wait
    // for each other.
    let (second, session) = person(
        &world,
        &room,
        &admin,
        "second@example.org",
        Role::Administrator,
        Scope::ANY,
    )
    .await;
    let other = actor(&room, &session).await;
    let mut held = world.db().begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('bagua.access.people', 0))")
        .execute(&mut *held)
        .await
        .unwrap();
    let go = |by: Actor, kind: &'static str, input: Value| {
        let console = room.console.clone();
        tokio::spawn(async move { console.submit_json(&by, kind, input, Submission::default()).await })
    };
    let (a, b) = (
        go(admin, "person.revoke", grant(second)),
        go(other, "person.disable", disable),
    );
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(
        !a.is_finished() && !b.is_finished(),
        "both wait for the lock of people"
    );
    held.rollback().await.unwrap();
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
}

#[tokio::test]
async fn only_whoever_is_trusted_with_everything_manages_people() {
    let world = World::new().await;
    let room = world.room().await;
    let admin = room.first_admin().await;
    let admin = actor(&room, &admin).await;
    let regional = Scope {
        environment: None,
        region: Some(RegionId::new("eu-west-1")),
    };
    let (_, session) = person(
        &world,
        &room,
        &admin,
        "regional@example.org",
        Role::Administrator,
        regional,
    )
    .await;
    let (viewer_id, viewer_session) = person(
        &world,
        &room,
        &admin,
        "viewer@example.org",
        Role::Viewer,
        Scope::ANY,
    )
    .await;
    for session in [&session, &viewer_session] {
        let actor = actor(&room, session).await;
        let grant = json!({ "person": session.person, "role": "administrator", "scope": {} });
        assert_eq!(
            submit(&room, &actor, "person.grant", grant)
                .await
                .unwrap_err()
                .kind,
            FailureKind::Forbidden
        );
    }
    // One region's administrator sees the people of that region.
    let regional = actor(&room, &session).await;
    let seen = room.console.ask(&regional, ListPeople {}).await.unwrap();
    assert_eq!(
        seen.iter().map(|p| p.email.as_str()).collect::<Vec<_>>(),
        ["regional@example.org"]
    );
    let viewer = actor(&room, &viewer_session).await;
    assert_eq!(
        room.console.ask(&viewer, ListPeople {}).await.unwrap_err().kind,
        FailureKind::Forbidden
    );
    // Sessions: one's own, nobody else's.
    assert_eq!(
        room.console
            .ask(&viewer, ListSessions::default())
            .await
            .unwrap()
            .len(),
        1
    );
    let others = ListSessions {
        person: admin.person(),
    };
    assert_eq!(
        room.console.ask(&viewer, others).await.unwrap_err().kind,
        FailureKind::Forbidden
    );
    assert_eq!(
        room.console
            .ask(
                &admin,
                ListSessions {
                    person: Some(viewer_id)
                }
            )
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn sessions_are_ended_by_their_owner_or_an_administrator() {
    let world = World::new().await;
    let room = world.room().await;
    let admin_session = room.first_admin().await;
    let admin = actor(&room, &admin_session).await;
    let regional = Scope {
        environment: None,
        region: Some(RegionId::new("eu-west-1")),
    };
    let (li, one) = person(&world, &room, &admin, "li@example.org", Role::Viewer, regional).await;
    let two = room.sign_in("li@example.org", PASSWORD).await.unwrap();
    let viewer = actor(&room, &one).await;
    let name = |who: &bagua_access::SessionActor| json!({ "session": who.who.session });
    // Also a person who is trusted with one region ends their own.
    let second = room.who(&two).await.unwrap();
    submit(&room, &viewer, "session.revoke", name(&second))
        .await
        .unwrap();
    world.advance(FRESH);
    assert_eq!(room.who(&two).await, None);
    let foreign = room.who(&admin_session).await.unwrap();
    let refused = submit(&room, &viewer, "session.revoke", name(&foreign))
        .await
        .unwrap_err();
    assert_eq!(
        refused.text.key,
        keys::FAILURE_SESSION_ENDED,
        "as if there were none"
    );
    let refused = submit(
        &room,
        &viewer,
        "session.revoke_all",
        json!({ "person": foreign.who.person }),
    )
    .await;
    assert_eq!(refused.unwrap_err().kind, FailureKind::Forbidden);
    submit(&room, &admin, "session.revoke_all", json!({ "person": li }))
        .await
        .unwrap();
    world.advance(FRESH);
    assert_eq!(room.who(&one).await, None);
    assert!(room.who(&admin_session).await.is_some());
}

#[tokio::test]
async fn a_token_hash_is_checked_and_used_once() {
    let world = World::new().await;
    let room = world.room().await;
    let admin = room.first_admin().await;
    let admin = actor(&room, &admin).await;
    let me = admin.person().unwrap();
    let wrong = json!({ "person": me, "token_hash": "abc" });
    assert_eq!(
        submit(&room, &admin, "person.invite", wrong)
            .await
            .unwrap_err()
            .fields[0]
            .0,
        "token_hash"
    );
    let link = new_link(URL).unwrap();
    let invite = json!({ "person": me, "token_hash": link.hash_hex() });
    submit(&room, &admin, "person.invite", invite.clone())
        .await
        .unwrap();
    assert!(
        room.access
            .invitation(token_of(&link.link))
            .await
            .unwrap()
            .is_some()
    );
    let twice = submit(&room, &admin, "person.invite", invite).await.unwrap_err();
    assert_eq!(twice.text.key, keys::FAILURE_INVALID);
}
