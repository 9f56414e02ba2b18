//! Forms without JavaScript: what comes back, what never does, and what a session without a database may do.

use crate::support::{Ground, PASSWORD, head, set_cookie, text};
use bagua_model::access::{ListPeople, Role};
use bagua_model::settings::Secret;
use http::StatusCode;
use serde_json::json;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

type Outcome = anyhow::Result<()>;

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_keeps_what_was_typed_but_never_the_password() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    house.person("Ada", Role::Viewer, None).await?;
    let secret = "not my password <at all>";
    let fields = [
        ("email", "ada@example.org"),
        ("password", secret),
        ("next", "/alerts"),
    ];
    let response = house.post("/sign-in", &fields, None).await?;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(set_cookie(&response, "bagua_session").is_none());
    let html = text(response).await?;
    assert!(
        html.contains("ada@example.org") && html.contains("/alerts"),
        "what was typed is gone"
    );
    assert!(
        !html.contains("not my password"),
        "the password stands in the page"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_welcome_keeps_the_name_but_never_the_password() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let link = house
        .parts
        .access
        .first_admin_link("http://localhost:3000")
        .await?
        .unwrap();
    let token = link.split_once("token=").unwrap().1;
    let short = "short-pw";
    let fields = [
        ("token", token),
        ("name", "Ada Lovelace"),
        ("email", "ada@example.org"),
        ("password", short),
    ];
    let response = house.post("/welcome", &fields, None).await?;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let html = text(response).await?;
    assert!(html.contains("Ada Lovelace") && html.contains("ada@example.org"));
    assert!(!html.contains(short), "the password stands in the page");
    // The link is still open, and works once.
    let fields = [
        ("token", token),
        ("name", "Ada Lovelace"),
        ("email", "ada@example.org"),
        ("password", PASSWORD),
    ];
    let response = house.post("/welcome", &fields, None).await?;
    assert_eq!(
        (response.status(), head(&response, "location")),
        (StatusCode::SEE_OTHER, "/".into())
    );
    assert!(set_cookie(&response, "bagua_session").is_some_and(|cookie| cookie.contains("HttpOnly")));
    assert_eq!(
        house.post("/welcome", &fields, None).await?.status(),
        StatusCode::NOT_FOUND
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_operation_comes_back_with_what_was_typed_and_once_only() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let input = json!({ "email": "wei@example.org", "role": "viewer" }).to_string();
    let fields = [
        ("input", input.as_str()),
        ("hash", "of-another-plan"),
        ("reason", "because of </textarea><b id=\"injected\">"),
        ("back", "/access"),
    ];
    let response = house.post("/submit/person.create", &fields, Some(&me)).await?;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let back = head(&response, "location");
    assert!(
        back.starts_with("/operations/new?kind=person.create") && back.ends_with("&again=1"),
        "{back}"
    );
    let html = text(house.get(&back, Some(&me)).await?).await?;
    assert!(
        html.contains("because of &lt;/textarea&gt;&lt;b id="),
        "the typed reason is gone, or stands there as markup"
    );
    let html = text(house.get(&back, Some(&me)).await?).await?;
    assert!(!html.contains("because of"), "it was for one reply");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_submits_once_however_often_it_is_posted() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let token = uuid::Uuid::now_v7().to_string();
    let input = json!({ "email": "wei@example.org", "role": "viewer" }).to_string();
    let fields = [("input", input.as_str()), ("token", token.as_str())];
    let first = house.post("/submit/person.create", &fields, Some(&me)).await?;
    let second = house.post("/submit/person.create", &fields, Some(&me)).await?;
    assert!(
        head(&first, "location").starts_with("/operations/"),
        "{}",
        head(&first, "location")
    );
    assert_eq!(head(&first, "location"), head(&second, "location"));
    let people = house.parts.console.ask(&me.actor, ListPeople {}).await?;
    assert_eq!(
        people
            .iter()
            .filter(|person| person.email == "wei@example.org")
            .count(),
        1
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_signed_in_any_more_comes_back_to_the_page_of_the_form() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let response = house
        .post(
            "/submit/person.create",
            &[("input", "{}"), ("back", "/access")],
            None,
        )
        .await?;
    assert_eq!(head(&response, "location"), "/sign-in?next=%2Faccess");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_and_the_cookie() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Viewer, None).await?;
    let response = house.post("/sign-out", &[], Some(&me)).await?;
    assert_eq!(head(&response, "location"), "/sign-in");
    assert!(set_cookie(&response, "bagua_session").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(
        house.get("/alerts", Some(&me)).await?.status(),
        StatusCode::SEE_OTHER,
        "the old cookie still opens pages"
    );
    Ok(())
}

/// A way to PostgreSQL that can be cut: nobody listens there any more, and what was connected is gone.
async fn severable(to: (String, u16)) -> anyhow::Result<(u16, CancellationToken)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (port, cut) = (listener.local_addr()?.port(), CancellationToken::new());
    let stop = cut.clone();
    tokio::spawn(async move {
        loop {
            let mut near = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => match accepted { Ok((stream, _)) => stream, Err(_) => return },
            };
            let (to, stop) = (to.clone(), stop.clone());
            tokio::spawn(async move {
                if let Ok(mut far) = TcpStream::connect(to).await {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                    }
                }
            });
        }
    });
    Ok((port, cut))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_can_say_whether_a_session_stands_it_reads_and_changes_nothing() -> Outcome {
    let mut ground = Ground::new().await?;
    let server = ground.db.owner.connect_options();
    let (port, cut) = severable((server.get_host().to_owned(), server.get_port())).await?;
    let direct = format!("@{}:{}/", server.get_host(), server.get_port());
    let url = ground.db.app_url.replace(&direct, &format!("@127.0.0.1:{port}/"));
    assert_ne!(url, ground.db.app_url);
    ground.settings.control.url = Secret::new(url);
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    assert_eq!(house.get("/alerts", Some(&me)).await?.status(), StatusCode::OK);
    cut.cancel();
    // As long as a session is believed without being asked about.
    tokio::time::sleep(bagua_access::FRESH.unsigned_abs() + Duration::from_millis(200)).await;

    let page = house.get("/alerts", Some(&me)).await?;
    assert_eq!(
        page.status(),
        StatusCode::OK,
        "pages go on from the copy of the session"
    );
    let body = json!({ "kind": "person.create", "input": { "email": "wei@example.org", "role": "viewer" }, "submission": {} });
    let (status, answer) = house.rpc("submit", &body, Some(&me)).await?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["text"]["key"], "failure.session-stale");
    let input = body["input"].to_string();
    let response = house
        .post(
            "/submit/person.create",
            &[("input", &input), ("reason", "typed")],
            Some(&me),
        )
        .await?;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let html = text(response).await?;
    assert!(
        html.contains("Nothing was changed"),
        "the page does not say what became of it: {html}"
    );
    // Whoever has no copy here is told so, and is not taken for somebody who is not signed in.
    let response = ground.house()?.get("/alerts", Some(&me)).await?;
    assert_eq!(
        (response.status(), head(&response, "retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, "5".into())
    );
    Ok(())
}
