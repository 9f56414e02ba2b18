use crate::support::{Room, World};
use bagua_access::{FRESH, SignedIn};
use bagua_core::Actor;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Submission;
use bagua_model::preferences::{GetPreferences, ListViews, SavedView, VIEWS_LIMIT};
use bagua_model::zone::{DEFAULT_ZONE, Zone};
use serde_json::{Value, json};

async fn submit(room: &Room, actor: &Actor, kind: &str, input: Value) -> Result<(), Failure> {
    let submission = Submission::default();
    room.console
        .submit_json(actor, kind, input, submission)
        .await
        .map(|_| ())
}

async fn ada(room: &Room) -> (SignedIn, Actor) {
    let session = room.first_admin().await;
    let actor = room.who(&session).await.unwrap().who.actor.clone();
    (session, actor)
}

async fn views(room: &Room, actor: &Actor) -> Vec<SavedView> {
    room.console.ask(actor, ListViews {}).await.unwrap()
}

fn field(failure: &Failure) -> &str {
    failure.fields.first().map_or("", |(name, _)| name.as_str())
}

#[tokio::test]
async fn a_chosen_zone_is_there_with_the_next_page_and_an_unknown_one_is_refused() {
    let world = World::new().await;
    let room = world.room().await;
    let (session, ada) = ada(&room).await;
    assert_eq!(room.who(&session).await.unwrap().who.zone, Zone::default());
    let own = room.console.ask(&ada, GetPreferences {}).await.unwrap();
    assert_eq!(own.zone, DEFAULT_ZONE);
    submit(
        &room,
        &ada,
        "preferences.zone",
        json!({ "zone": "europe/berlin" }),
    )
    .await
    .unwrap();
    world.advance(FRESH);
    let zone = room.who(&session).await.unwrap().who.zone.clone();
    assert_eq!(zone.name, "Europe/Berlin");
    assert_eq!(zone.offset(1_784_000_000), 7_200, "July 2026");
    let own = room.console.ask(&ada, GetPreferences {}).await.unwrap();
    assert!(own.zone == "Europe/Berlin" && own.zones.contains(&own.zone));
    let refused = submit(&room, &ada, "preferences.zone", json!({ "zone": "Middle/Earth" })).await;
    assert_eq!(field(&refused.unwrap_err()), "zone");
    let nobody = Actor::system("cli:test");
    let refused = submit(&room, &nobody, "preferences.zone", json!({ "zone": "UTC" })).await;
    assert_eq!(refused.unwrap_err().kind, FailureKind::Conflict);
}

#[tokio::test]
async fn views_are_saved_replaced_renamed_and_deleted_and_belong_to_one_person() {
    let world = World::new().await;
    let room = world.room().await;
    let (_, ada) = ada(&room).await;
    let save = |name: &str, address: &str| json!({ "name": name, "address": address });
    submit(
        &room,
        &ada,
        "view.save",
        save(" Night ", "/alerts?severity=critical"),
    )
    .await
    .unwrap();
    submit(&room, &ada, "view.save", save("Day", "/audit"))
        .await
        .unwrap();
    submit(&room, &ada, "view.save", save("Night", "/alerts?state=resolved"))
        .await
        .unwrap();
    let mine = views(&room, &ada).await;
    let told: Vec<_> = mine
        .iter()
        .map(|v| (v.name.as_str(), v.address.as_str()))
        .collect();
    assert_eq!(told, [("Day", "/audit"), ("Night", "/alerts?state=resolved")]);

    let (day, night) = (mine[0].view, mine[1].view);
    let taken = submit(
        &room,
        &ada,
        "view.rename",
        json!({ "view": day, "name": "Night" }),
    )
    .await;
    assert_eq!(field(&taken.unwrap_err()), "name");
    submit(
        &room,
        &ada,
        "view.rename",
        json!({ "view": day, "name": "Shift" }),
    )
    .await
    .unwrap();
    let elsewhere = submit(&room, &ada, "view.save", save("Evil", "//evil.example")).await;
    assert_eq!(field(&elsewhere.unwrap_err()), "address");

    // Somebody else learns nothing of them and changes none of them.
    submit(
        &room,
        &ada,
        "person.create",
        json!({ "email": "bob@example.org", "role": "administrator" }),
    )
    .await
    .unwrap();
    let people = room
        .console
        .ask(&ada, bagua_model::access::ListPeople {})
        .await
        .unwrap();
    let bob = people.into_iter().find(|p| p.email == "bob@example.org").unwrap();
    let bob = Actor::Person {
        id: bob.person,
        name: bob.name,
        email: bob.email,
        grants: bob.grants,
        through: None,
    };
    assert!(views(&room, &bob).await.is_empty());
    for (kind, input) in [
        ("view.delete", json!({ "view": night })),
        ("view.rename", json!({ "view": night, "name": "Mine" })),
    ] {
        let refused = submit(&room, &bob, kind, input).await;
        assert_eq!(refused.unwrap_err().kind, FailureKind::NotFound, "{kind}");
    }
    submit(&room, &ada, "view.delete", json!({ "view": night }))
        .await
        .unwrap();
    let left: Vec<_> = views(&room, &ada).await.into_iter().map(|v| v.name).collect();
    assert_eq!(left, ["Shift"]);
}

#[tokio::test]
async fn there_is_a_most_of_views_and_an_old_name_can_still_be_saved() {
    let world = World::new().await;
    let room = world.room().await;
    let (_, ada) = ada(&room).await;
    let save = |n: i64| json!({ "name": format!("view {n}"), "address": "/alerts" });
    for n in 0..VIEWS_LIMIT {
        submit(&room, &ada, "view.save", save(n)).await.unwrap();
    }
    let refused = submit(&room, &ada, "view.save", save(VIEWS_LIMIT)).await;
    assert_eq!(refused.unwrap_err().kind, FailureKind::Conflict);
    submit(&room, &ada, "view.save", save(0)).await.unwrap();
}
