//! API tokens against the whole console: what opens, what does not, and what is written down of it.

use crate::support::{AWAY, Ground, HOME, House, Somebody, head, text};
use axum::body::Body;
use axum::response::Response;
use bagua_access::new_token;
use bagua_core::Verb;
use bagua_model::access::{DisablePerson, Permission, Role};
use bagua_model::operation::Submission;
use bagua_model::region::{RegionId, Scope};
use bagua_model::tokens::{CreateToken, ListTokens, RevokeToken, TokenAccess, TokenState};
use bagua_testkit::eventually;
use futures::StreamExt as _;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

type Outcome = anyhow::Result<()>;

pub fn wish(access: TokenAccess) -> CreateToken {
    CreateToken {
        name: "nightly".into(),
        role: None,
        access,
        permissions: vec![],
        scope: Scope::ANY,
        days: 30,
        token_hash: String::new(),
    }
}

/// Makes a token of somebody's, as the screen does; its text and its id.
pub async fn made(house: &House, who: &Somebody, mut wish: CreateToken) -> anyhow::Result<(String, String)> {
    let new = new_token()?;
    wish.token_hash = new.hash_hex();
    let id = wish.id().to_owned();
    let console = &house.parts.console;
    console.submit(&who.actor, wish, Submission::default()).await?;
    Ok((new.token, id))
}

async fn call(
    house: &House,
    method: Method,
    path: &str,
    token: &str,
    body: &Value,
) -> anyhow::Result<Response> {
    // As another site's page would look: a token makes that no matter.
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("sec-fetch-site", "cross-site")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    house.send(request.body(Body::from(body.to_string()))?).await
}

async fn get(house: &House, path: &str, token: &str) -> anyhow::Result<Response> {
    call(house, Method::GET, path, token, &Value::Null).await
}

async fn problem(response: Response, status: StatusCode) -> anyhow::Result<Value> {
    assert_eq!(response.status(), status);
    assert_eq!(head(&response, "content-type"), "application/problem+json");
    Ok(serde_json::from_str(&text(response).await?)?)
}

fn restart(region: &str) -> Value {
    json!({ "input": { "component": format!("{region}/gateway") } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_each_role_opens_what_the_matrix_gives_that_role_and_no_more() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let ada = house.person("Ada", Role::Administrator, None).await?;
    let vera = house.person("Vera", Role::Viewer, None).await?;
    let questions: Vec<_> = house
        .parts
        .console
        .registry()
        .kinds()
        .into_iter()
        .filter(|info| info.verb == Verb::Query)
        .collect();
    for role in Role::ALL {
        let limited = CreateToken {
            role: Some(*role),
            ..wish(TokenAccess::Everything)
        };
        let (ada_token, _) = made(&house, &ada, limited.clone()).await?;
        let (vera_token, _) = made(&house, &vera, limited).await?;
        for info in &questions {
            // Without input: who may ask is told what is missing, who may not is refused first.
            let path = format!("/ask/{}", info.kind);
            for (token, may) in [
                (&ada_token, role.allows(info.permission)),
                (
                    &vera_token,
                    role.allows(info.permission) && Role::Viewer.allows(info.permission),
                ),
            ] {
                let answer = call(&house, Method::POST, &path, token, &json!({})).await?;
                let status = answer.status();
                let open = status != StatusCode::FORBIDDEN && status != StatusCode::UNAUTHORIZED;
                // An input that does not fit is told before the permission is looked at.
                if status != StatusCode::UNPROCESSABLE_ENTITY {
                    assert_eq!(open, may, "{role} at {}: {status}", info.kind);
                }
            }
        }
        let plan = "/submit/component.restart?plan=true";
        let planned = call(&house, Method::POST, plan, &ada_token, &restart(HOME)).await?;
        let may = role.allows(Permission::ComponentsOperate);
        assert_eq!(planned.status() == StatusCode::OK, may, "{role}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reads_plans_and_submits_within_its_limit() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let olaf = house.person("Olaf", Role::Operator, None).await?;
    let (reads, _) = made(&house, &olaf, wish(TokenAccess::ReadOnly)).await?;
    let here = CreateToken {
        scope: Scope {
            environment: None,
            region: Some(RegionId::new(HOME)),
        },
        ..wish(TokenAccess::Everything)
    };
    let (here, id) = made(&house, &olaf, here).await?;
    let listed = CreateToken {
        permissions: vec![Permission::AlertsRead],
        ..wish(TokenAccess::Listed)
    };
    let (listed, _) = made(&house, &olaf, listed).await?;
    let path = "/submit/component.restart";
    let plan = "/submit/component.restart?plan=true";

    assert_eq!(get(&house, "/regions", &reads).await?.status(), StatusCode::OK);
    let planned = call(&house, Method::POST, plan, &reads, &restart(HOME)).await?;
    assert_eq!(planned.status(), StatusCode::OK, "a plan changes nothing");
    let refused = call(&house, Method::POST, path, &reads, &restart(HOME)).await?;
    let refused = problem(refused, StatusCode::FORBIDDEN).await?;
    assert!(refused.to_string().contains("only reads"), "{refused}");

    let refused = get(&house, "/regions", &listed).await?;
    let refused = problem(refused, StatusCode::FORBIDDEN).await?;
    assert!(refused.to_string().contains("not made for"), "{refused}");

    let away = call(&house, Method::POST, plan, &here, &restart(AWAY)).await?;
    problem(away, StatusCode::FORBIDDEN).await?;
    let done = call(&house, Method::POST, path, &here, &restart(HOME)).await?;
    assert_eq!(done.status(), StatusCode::ACCEPTED);
    let operation: Value = serde_json::from_str(&text(done).await?)?;
    let detail: Value = sqlx::query_scalar(
        "SELECT detail FROM audit WHERE action = 'submit' AND kind = 'component.restart' AND operation = $1::uuid",
    )
    .bind(operation["operation"].as_str())
    .fetch_one(&ground.db.owner)
    .await?;
    assert_eq!(detail["through"], json!({ "token": id, "name": "nightly" }));

    // What its owner submitted elsewhere is not the token's to see.
    let elsewhere = house
        .parts
        .console
        .submit_json(
            &olaf.actor,
            "component.restart",
            restart(AWAY)["input"].clone(),
            Submission::default(),
        )
        .await?;
    let path = format!("/operations/{}", elsewhere.operation);
    problem(get(&house, &path, &here).await?, StatusCode::NOT_FOUND).await?;
    assert_eq!(get(&house, &path, &reads).await?.status(), StatusCode::OK);
    let cancel = call(&house, Method::POST, &format!("{path}/cancel"), &here, &json!({})).await?;
    assert_ne!(cancel.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_opens_nothing_and_says_what_to_do() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let console = &house.parts.console;
    let ada = house.person("Ada", Role::Administrator, None).await?;
    let vera = house.person("Vera", Role::Viewer, None).await?;
    let (revoked, id) = made(&house, &ada, wish(TokenAccess::Everything)).await?;
    assert_eq!(get(&house, "/regions", &revoked).await?.status(), StatusCode::OK);

    // One that was made through it goes with it, and is no wider.
    let child = new_token()?;
    let narrow = json!({ "input": { "name": "child", "access": "read-only", "days": 7, "token_hash": child.hash_hex() } });
    let done = call(&house, Method::POST, "/submit/token.create", &revoked, &narrow).await?;
    assert_eq!(done.status(), StatusCode::OK, "{}", text(done).await?);
    assert_eq!(
        get(&house, "/regions", &child.token).await?.status(),
        StatusCode::OK
    );

    console
        .submit(&ada.actor, RevokeToken { token: id }, Submission::default())
        .await?;
    let (expired, id) = made(&house, &ada, wish(TokenAccess::Everything)).await?;
    sqlx::query(
        "UPDATE api_tokens SET created_at = now() - interval '31 days', expires_at = now() - interval '1 second' WHERE id = $1",
    )
    .bind(&id)
    .execute(&ground.db.owner)
    .await?;
    let (disabled, _) = made(&house, &vera, wish(TokenAccess::Everything)).await?;
    assert_eq!(get(&house, "/regions", &disabled).await?.status(), StatusCode::OK);
    let person = vera.id();
    console
        .submit(&ada.actor, DisablePerson { person }, Submission::default())
        .await?;
    let unknown = new_token()?.token;
    let broken = &unknown[..unknown.len() - 1];
    for (token, words) in [
        (revoked.as_str(), "has been revoked"),
        (&child.token, "has been revoked"),
        (&expired, "has lapsed"),
        (&disabled, "has been revoked"),
        (&unknown, "does not know"),
        (broken, "a part of it is missing"),
    ] {
        let refused = get(&house, "/regions", token).await?;
        assert_eq!(
            head(&refused, "www-authenticate"),
            r#"Bearer realm="bagua", error="invalid_token""#
        );
        let refused = problem(refused, StatusCode::UNAUTHORIZED).await?;
        let detail = refused["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words), "{words}: {refused}");
    }
    // Nobody has revoked it, but its owner is disabled.
    sqlx::query("UPDATE api_tokens SET revoked_at = NULL, revoked_by = NULL WHERE person = $1")
        .bind(person)
        .execute(&ground.db.owner)
        .await?;
    let refused = problem(
        get(&house, "/regions", &disabled).await?,
        StatusCode::UNAUTHORIZED,
    )
    .await?;
    assert!(refused.to_string().contains("has been disabled"), "{refused}");

    let none = house.get("/api/v1/regions", None).await?;
    assert_eq!(head(&none, "www-authenticate"), r#"Bearer realm="bagua""#);
    // A token is for the API; a page wants a session.
    let page = Request::get("/operations").header(header::AUTHORIZATION, format!("Bearer {unknown}"));
    let page = house.send(page.body(Body::empty())?).await?;
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_makes_none_that_is_wider_or_lives_longer_and_no_one_elses_is_seen() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let ada = house.person("Ada", Role::Administrator, None).await?;
    let vera = house.person("Vera", Role::Viewer, None).await?;
    let limited = CreateToken {
        role: Some(Role::Operator),
        ..wish(TokenAccess::Everything)
    };
    let (token, id) = made(&house, &ada, limited).await?;
    let (reads, _) = made(&house, &ada, wish(TokenAccess::ReadOnly)).await?;
    let path = "/submit/token.create";
    for (input, status) in [
        (json!({ "name": "a", "access": "everything", "days": 7 }), 403),
        (
            json!({ "name": "a", "access": "everything", "role": "administrator", "days": 7 }),
            403,
        ),
        (
            json!({ "name": "a", "access": "listed", "permissions": ["people.manage"], "days": 7 }),
            403,
        ),
        (
            json!({ "name": "a", "access": "everything", "role": "viewer", "days": 90 }),
            422,
        ),
        (
            json!({ "name": "a", "access": "everything", "role": "viewer", "days": 7 }),
            200,
        ),
        (json!({ "name": " ", "access": "read-only" }), 422),
        (json!({ "name": "a", "access": "read-only", "days": 366 }), 422),
        (json!({ "name": "a", "access": "listed" }), 422),
    ] {
        let mut input = input;
        input["token_hash"] = json!(new_token()?.hash_hex());
        let answer = call(&house, Method::POST, path, &token, &json!({ "input": input })).await?;
        assert_eq!(
            answer.status().as_u16(),
            status,
            "{input}: {}",
            text(answer).await?
        );
    }
    let input = json!({ "input": { "name": "a", "token_hash": new_token()?.hash_hex(), "days": 1 } });
    let answer = call(&house, Method::POST, path, &reads, &input).await?;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);

    let console = &house.parts.console;
    assert!(console.ask(&vera.actor, ListTokens::default()).await?.is_empty());
    for query in [
        ListTokens {
            person: Some(ada.id()),
            all: false,
        },
        ListTokens {
            person: None,
            all: true,
        },
    ] {
        assert!(console.ask(&vera.actor, query.clone()).await.is_err());
        assert!(console.ask(&ada.actor, query).await?.len() >= 3);
    }
    let foreign = RevokeToken { token: id };
    let refused = console
        .submit(&vera.actor, foreign.clone(), Submission::default())
        .await;
    assert!(refused.is_err_and(|failure| failure.kind.status() == 404));
    // The owner of the machine is nobody whose token it could be.
    let owner = bagua_core::Actor::system("cli:root");
    assert!(
        console
            .submit(&owner, wish(TokenAccess::ReadOnly), Submission::default())
            .await
            .is_err()
    );
    console.submit(&owner, foreign, Submission::default()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_stored_opens_anything_and_use_is_written_once_a_minute() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let ada = house.person("Ada", Role::Administrator, None).await?;
    // By the screen's own form: what the page shows once is all there ever is.
    let form = [
        ("name", "deploy"),
        ("access", "everything"),
        ("days", "30"),
        ("role", ""),
        ("region", ""),
    ];
    let page = house.post("/access/tokens", &form, Some(&ada)).await?;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(head(&page, "cache-control"), "no-store");
    let page = text(page).await?;
    let start = page
        .find("bagua_")
        .map(|at| &page[at..at + 83])
        .unwrap_or_default()
        .to_owned();
    let secret = start
        .rsplit_once('_')
        .map(|(_, secret)| secret.to_owned())
        .unwrap_or_default();
    assert_eq!(secret.len(), 64, "{start}");
    let console = &house.parts.console;
    for _ in 0..3 {
        assert_eq!(get(&house, "/regions", &start).await?.status(), StatusCode::OK);
    }
    let used = eventually("the use is written down", || async {
        let mine = console.ask(&ada.actor, ListTokens::default()).await?;
        Ok(mine.into_iter().find(|token| token.last_used_at.is_some()))
    })
    .await?;
    assert_eq!(used.last_used_from.as_deref(), Some("127.0.0.1"));
    assert_eq!(used.state, TokenState::Active);
    assert_eq!(get(&house, "/operations", &start).await?.status(), StatusCode::OK);
    let again = console.ask(&ada.actor, ListTokens::default()).await?;
    assert_eq!(again[0].last_used_at, used.last_used_at, "written once a minute");

    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&ground.db.owner)
            .await?;
    assert!(tables.iter().any(|table| table == "operations"), "{tables:?}");
    for table in tables {
        let sql = format!("SELECT count(*) FROM {table} AS t WHERE to_jsonb(t)::text LIKE '%' || $1 || '%'");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(&secret)
            .fetch_one(&ground.db.owner)
            .await?;
        assert_eq!(found, 0, "the secret stands in {table}");
    }
    // Asked again, the page does not know it either.
    let later = text(house.get("/access/tokens", Some(&ada)).await?).await?;
    assert!(later.contains("deploy") && !later.contains(&secret));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_calls_too_often_is_told_when_to_come_back() -> Outcome {
    let mut ground = Ground::new().await?;
    ground.settings.api.burst = 3.try_into()?;
    ground.settings.api.calls_per_minute = 6.try_into()?;
    let house = ground.house()?;
    let ada = house.person("Ada", Role::Administrator, None).await?;
    let (token, _) = made(&house, &ada, wish(TokenAccess::ReadOnly)).await?;
    let (other, _) = made(&house, &ada, wish(TokenAccess::ReadOnly)).await?;
    for left in [2, 1, 0] {
        let answer = get(&house, "/regions", &token).await?;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(head(&answer, "ratelimit-policy"), "\"default\";q=3;w=30");
        assert!(head(&answer, "ratelimit").starts_with(&format!("\"default\";r={left};t=")));
    }
    let limited = get(&house, "/regions", &token).await?;
    let wait: u64 = head(&limited, "retry-after").parse()?;
    assert!((1..=10).contains(&wait), "{wait}");
    let limited = problem(limited, StatusCode::TOO_MANY_REQUESTS).await?;
    assert_eq!(limited["kind"], "rate_limited");
    // Another token, and a session, have a bucket of their own.
    assert_eq!(get(&house, "/regions", &other).await?.status(), StatusCode::OK);
    assert_eq!(
        house.get("/api/v1/regions", Some(&ada)).await?.status(),
        StatusCode::OK
    );
    // Who tries tokens is counted by where they come from.
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(
            get(&house, "/regions", &new_token()?.token)
                .await?
                .status()
                .as_u16(),
        );
    }
    assert_eq!(told, [401, 401, 401, 429]);
    Ok(())
}

/// The next event of a stream: name, id, data.
async fn next_event(
    body: &mut axum::body::BodyDataStream,
    buffer: &mut String,
) -> anyhow::Result<Option<(String, String, Value)>> {
    loop {
        while let Some((event, rest)) = buffer.split_once("\n\n") {
            let (event, rest) = (event.to_owned(), rest.to_owned());
            *buffer = rest;
            let field = |name: &str| {
                let line = event.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            if !field("data:").is_empty() {
                return Ok(Some((
                    field("event:"),
                    field("id:"),
                    serde_json::from_str(&field("data:"))?,
                )));
            }
        }
        match tokio::time::timeout(Duration::from_secs(30), body.next()).await? {
            Some(chunk) => buffer.push_str(std::str::from_utf8(&chunk?)?),
            None => return Ok(None),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_told_to_its_end_and_again_from_where_the_reader_was() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let olaf = house.person("Olaf", Role::Operator, None).await?;
    let (token, _) = made(&house, &olaf, wish(TokenAccess::Everything)).await?;
    let done = call(
        &house,
        Method::POST,
        "/submit/component.restart",
        &token,
        &restart(HOME),
    )
    .await?;
    let submitted: Value = serde_json::from_str(&text(done).await?)?;
    let path = format!(
        "/operations/{}/events",
        submitted["operation"].as_str().unwrap_or_default()
    );
    let stream = get(&house, &path, &token).await?;
    assert_eq!(head(&stream, "content-type"), "text/event-stream");
    let (mut body, mut buffer) = (stream.into_body().into_data_stream(), String::new());
    let first = next_event(&mut body, &mut buffer).await?;
    let (name, id, data) = first.unwrap_or_default();
    assert_eq!((name.as_str(), id.as_str()), ("log", "1"), "{data}");
    assert!(
        data["words"].as_str().is_some_and(|words| words.contains("Olaf")),
        "{data}"
    );
    // Only now anybody works.
    house.run();
    let mut told = Vec::new();
    while let Some(event) = next_event(&mut body, &mut buffer).await? {
        told.push(event);
    }
    let (name, id, data) = told.last().cloned().unwrap_or_default();
    assert_eq!(name, "end");
    assert_eq!(data["state"], "succeeded", "{data}");
    let lines: Vec<i64> = told
        .iter()
        .filter(|(name, ..)| name == "log")
        .filter_map(|(_, id, _)| id.parse().ok())
        .collect();
    assert!(
        lines.len() > 2 && lines.windows(2).all(|pair| pair[0] < pair[1]),
        "{lines:?}"
    );
    assert!(
        told.iter()
            .any(|(name, _, data)| name == "state" && data["state"] == "running")
    );

    let again = async |last: &str| {
        let request = Request::get(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header("last-event-id", last);
        house.send(request.body(Body::empty())?).await
    };
    let resumed = again(&lines[0].to_string()).await?;
    let (mut body, mut buffer) = (resumed.into_body().into_data_stream(), String::new());
    let (_, next, _) = next_event(&mut body, &mut buffer).await?.unwrap_or_default();
    assert_eq!(
        next,
        lines[1].to_string(),
        "goes on after the line that was heard last"
    );
    assert_eq!(again(&id).await?.status(), StatusCode::NO_CONTENT);
    let nobody = house.get(&format!("/api/v1{path}"), None).await?;
    problem(nobody, StatusCode::UNAUTHORIZED).await?;
    let unknown = get(
        &house,
        "/operations/00000000-0000-0000-0000-000000000000/events",
        &token,
    )
    .await?;
    problem(unknown, StatusCode::NOT_FOUND).await?;
    Ok(())
}
