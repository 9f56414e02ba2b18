//! `/api/v1`: answers, refusals as problems, and that it is no way around the console.

use crate::support::{AWAY, Ground, HOME, House, Somebody, head, text};
use axum::body::Body;
use axum::response::Response;
use bagua_model::access::Role;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

async fn post(
    house: &House,
    path: &str,
    body: &str,
    who: Option<&Somebody>,
    headers: &[(&str, &str)],
) -> anyhow::Result<Response> {
    let mut request = Request::post(format!("/api/v1{path}")).header("sec-fetch-site", "same-origin");
    if let Some(who) = who {
        request = request.header(header::COOKIE, &who.cookie);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(Body::from(body.to_owned()))?).await
}

async fn json_of(response: Response) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&text(response).await?)?)
}

/// The problem, after what must hold for every one.
async fn problem(response: Response, status: StatusCode) -> anyhow::Result<Value> {
    assert_eq!(response.status(), status);
    assert_eq!(head(&response, "content-type"), "application/problem+json");
    let id = head(&response, "x-request-id");
    let body = json_of(response).await?;
    assert_eq!(body["status"], status.as_u16(), "{body}");
    assert_eq!(body["request"], id.as_str(), "{body}");
    assert!(body["title"].is_string() && body["type"].is_string(), "{body}");
    Ok(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_submitted_can_be_followed_and_cancelled() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let wish = json!({ "input": { "component": format!("{HOME}/gateway") } });
    let path = "/submit/component.restart";

    let planned = post(
        &house,
        &format!("{path}?plan=true"),
        &wish.to_string(),
        Some(&me),
        &[],
    )
    .await?;
    assert_eq!(planned.status(), StatusCode::OK);
    let hash = json_of(planned).await?["hash"].clone();

    let mut stale = wish.clone();
    stale["plan_hash"] = json!("of another plan");
    let refused = post(&house, path, &stale.to_string(), Some(&me), &[]).await?;
    assert_eq!(problem(refused, StatusCode::CONFLICT).await?["kind"], "drifted");

    let mut confirmed = wish;
    confirmed["plan_hash"] = hash;
    let key = [("idempotency-key", "5d0b6cb0-5a0f-4d7e-9d54-d0a3b39a10ab")];
    let first = post(&house, path, &confirmed.to_string(), Some(&me), &key).await?;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let location = head(&first, "location");
    let again = post(&house, path, &confirmed.to_string(), Some(&me), &key).await?;
    assert_eq!(head(&again, "location"), location, "one key, one operation");

    // Another one is told who holds the target.
    let busy = post(&house, path, &confirmed.to_string(), Some(&me), &[]).await?;
    let busy = problem(busy, StatusCode::CONFLICT).await?;
    let holder = busy["operation"].as_str().unwrap_or_default();
    assert!(location.ends_with(holder) && !holder.is_empty(), "{busy}");

    let seen = json_of(house.get(&location, Some(&me)).await?).await?;
    assert!(seen.to_string().contains("\"queued\""), "{seen}");
    let cancel = format!("{}/cancel", location.trim_start_matches("/api/v1"));
    let cancelled = post(&house, &cancel, "", Some(&me), &[]).await?;
    assert_eq!(cancelled.status(), StatusCode::OK);
    let seen = json_of(house.get(&location, Some(&me)).await?).await?;
    assert!(seen.to_string().contains("\"cancelled\""), "{seen}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_and_scope_are_those_of_the_console() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let viewer = house.person("Vera", Role::Viewer, Some(HOME)).await?;
    let operator = house.person("Olaf", Role::Operator, Some(HOME)).await?;
    let there = json!({ "input": { "component": format!("{AWAY}/gateway") } }).to_string();
    let here = json!({ "input": { "component": format!("{HOME}/gateway") } }).to_string();
    for (who, wish) in [(&viewer, &here), (&operator, &there)] {
        for plan in ["", "?plan=true"] {
            let path = format!("/submit/component.restart{plan}");
            let refused = post(&house, &path, wish, Some(who), &[]).await?;
            let refused = problem(refused, StatusCode::FORBIDDEN).await?;
            assert_eq!(refused["kind"], "forbidden");
        }
    }
    let refused = house.get("/api/v1/audit", Some(&viewer)).await?;
    problem(refused, StatusCode::FORBIDDEN).await?;
    for path in ["/api/v1/regions", "/api/v1/operations", "/api/v1/audit"] {
        problem(house.get(path, None).await?, StatusCode::UNAUTHORIZED).await?;
    }
    let forged = Request::post("/api/v1/submit/component.restart")
        .header(header::COOKIE, &operator.cookie)
        .header("sec-fetch-site", "cross-site");
    let forged = house.send(forged.body(Body::from(here))?).await?;
    problem(forged, StatusCode::FORBIDDEN).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_refused_is_a_problem_in_the_readers_language() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let chinese = [("accept-language", "zh-CN")];
    let unknown = post(&house, "/ask/no.such", "{}", Some(&me), &chinese).await?;
    let unknown = problem(unknown, StatusCode::NOT_FOUND).await?;
    assert!(
        unknown["detail"].as_str().is_some_and(|d| !d.is_ascii()),
        "{unknown}"
    );
    let broken = post(&house, "/ask/regions.world", "{", Some(&me), &[]).await?;
    problem(broken, StatusCode::UNPROCESSABLE_ENTITY).await?;
    let key = [("idempotency-key", "no uuid")];
    let broken = post(&house, "/submit/component.restart", "", Some(&me), &key).await?;
    problem(broken, StatusCode::UNPROCESSABLE_ENTITY).await?;
    let large = " ".repeat(300 * 1024);
    let large = post(&house, "/ask/regions.world", &large, Some(&me), &[]).await?;
    problem(large, StatusCode::PAYLOAD_TOO_LARGE).await?;
    let wrong = house.get("/api/v1/ask/regions.world", Some(&me)).await?;
    assert_eq!(head(&wrong, "allow"), "POST");
    problem(wrong, StatusCode::METHOD_NOT_ALLOWED).await?;
    for path in ["/api/v1", "/api/v1/", "/api/v1/nothing/here"] {
        problem(house.get(path, Some(&me)).await?, StatusCode::NOT_FOUND).await?;
    }
    for path in [
        "/alerts?colour=red",
        "/alerts?limit=many",
        "/operations?states=odd",
    ] {
        let odd = house.get(&format!("/api/v1{path}"), Some(&me)).await?;
        problem(odd, StatusCode::UNPROCESSABLE_ENTITY).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_pages_and_answers_have_tags() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    for service in ["gateway", "prometheus"] {
        let wish = json!({ "input": { "component": format!("{HOME}/{service}") } }).to_string();
        let done = post(&house, "/submit/component.restart", &wish, Some(&me), &[]).await?;
        assert_eq!(done.status(), StatusCode::ACCEPTED);
    }
    let path = "/api/v1/operations?kind=component.restart&states=queued&limit=1";
    let first = house.get(path, Some(&me)).await?;
    let (link, tag) = (head(&first, "link"), head(&first, "etag"));
    let first = json_of(first).await?;
    let next = link
        .strip_prefix('<')
        .and_then(|link| link.strip_suffix(">; rel=\"next\""))
        .unwrap_or_default();
    let second = house.get(next, Some(&me)).await?;
    assert_eq!(second.status(), StatusCode::OK, "{link}");
    let second = json_of(second).await?;
    assert_ne!(first["rows"], second["rows"]);
    assert_eq!(second["rows"].as_array().map(Vec::len), Some(1));

    let known = Request::get(path)
        .header(header::COOKIE, &me.cookie)
        .header(header::IF_NONE_MATCH, &tag);
    let known = house.send(known.body(Body::empty())?).await?;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(text(known).await?, "");
    Ok(())
}
