//! `/api/v1/openapi.json` says what the API is, and the API is what it says.

use crate::support::{Ground, House, Somebody, head, text};
use axum::body::Body;
use axum::response::Response;
use bagua_model::access::Role;
use bagua_model::text::Locale;
use bagua_server::http::api::document;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use std::path::Path;

type Outcome = anyhow::Result<()>;

async fn send(
    house: &House,
    method: &str,
    path: &str,
    body: &str,
    who: Option<&Somebody>,
) -> anyhow::Result<Response> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.to_uppercase().as_bytes())?)
        .uri(path)
        .header("sec-fetch-site", "same-origin");
    if let Some(who) = who {
        request = request.header(header::COOKIE, &who.cookie);
    }
    house.send(request.body(Body::from(body.to_owned()))?).await
}

/// JSON for people who compare: what fits into a line stands in one.
fn write(value: &Value, depth: usize, out: &mut String) {
    let line = value.to_string();
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(k, v)| (format!("{}: ", json!(k)), v))
            .collect(),
        Value::Array(values) => values.iter().map(|v| (String::new(), v)).collect(),
        _ => Vec::new(),
    };
    if parts.is_empty() || depth > 1 && line.len() + 2 * depth <= 140 {
        return out.push_str(&line);
    }
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    for (index, (name, value)) in parts.iter().enumerate() {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        out.push_str(&"  ".repeat(depth + 1));
        out.push_str(name);
        write(value, depth + 1, out);
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push(close);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_the_one_that_was_reviewed() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let now = document(house.parts.console.registry(), Locale::English);
    let mut text = String::new();
    write(&now, 0, &mut text);
    let now = text + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/openapi.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &now)?;
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = reviewed
        .lines()
        .zip(now.lines())
        .position(|(old, new)| old != new)
        .map(|line| line + 1);
    assert!(
        reviewed == now,
        "docs/reference/openapi.json does not describe the API as it is now (first difference: line {differs:?}). If the \
         change is meant, run `BLESS=1 cargo test -p bagua-server openapi` and let a second person read the difference."
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_sent_to_anybody_in_their_language_and_once() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let address = "/api/v1/openapi.json";
    let english = house.get(address, None).await?;
    assert_eq!(english.status(), StatusCode::OK);
    assert_eq!(head(&english, "content-type"), "application/json");
    let tag = head(&english, "etag");
    let english: Value = serde_json::from_str(&text(english).await?)?;
    assert_eq!(english["openapi"], "3.1.0");
    let known = Request::get(address).header(header::IF_NONE_MATCH, &tag);
    let known = house.send(known.body(Body::empty())?).await?;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let chinese = Request::get(address).header(header::ACCEPT_LANGUAGE, "zh-CN");
    let chinese = house.send(chinese.body(Body::empty())?).await?;
    assert_ne!(head(&chinese, "etag"), tag);
    let chinese: Value = serde_json::from_str(&text(chinese).await?)?;
    assert_ne!(chinese["info"]["title"], english["info"]["title"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_has_a_path_with_words_in_both_languages() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let registry = house.parts.console.registry();
    for locale in Locale::ALL {
        let description = document(registry, locale);
        for info in registry.kinds() {
            let verb = if info.risk.is_some() { "submit" } else { "ask" };
            let operation = &description["paths"][format!("/api/v1/{verb}/{}", info.kind)]["post"];
            assert_eq!(operation["x-bagua-permission"], info.permission.as_str());
            let words = operation["summary"].as_str().unwrap_or_default();
            assert!(
                !words.is_empty() && !words.starts_with("api.kind."),
                "{} has no words: add api.kind.{} to crates/model/locales/{}/api.toml",
                info.kind,
                info.kind,
                locale.tag()
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_is_there_and_shut_to_whoever_is_not_signed_in() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let description = document(house.parts.console.registry(), Locale::English);
    let paths = description["paths"].as_object().cloned().unwrap_or_default();
    assert!(paths.len() > 40);
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let path = path
                .replace("{operation}", "0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10")
                .replace("{alert}", "0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10")
                .replace("{region}", "eu-west-1")
                .replace("{service}", "gateway");
            let told = send(&house, method, &path, "", None).await?.status();
            let expected = if operation["security"] == json!([]) {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            };
            assert_eq!(told, expected, "{method} {path}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_learns_nothing_of_the_input() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Vera", Role::Viewer, None).await?;
    for path in [
        "ask/audit.list",
        "ask/access.people",
        "submit/person.create",
        "submit/person.create?plan=true",
        "submit/person.create?plan=perhaps",
        "operations/0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10/approve",
    ] {
        for body in ["", "{", "[]", r#"{"colour":"red"}"#, r#"{"input":7}"#] {
            let told = send(&house, "post", &format!("/api/v1/{path}"), body, Some(&me)).await?;
            assert_eq!(told.status(), StatusCode::FORBIDDEN, "{path} {body}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_can_be_made_of_is_the_readers_mistake() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let calls = [
        ("post", "/api/v1/ask/audit.list", r#"{"actor":"a\u0000b"}"#),
        ("post", "/api/v1/ask/operations.list", r#"{"kind":"\u0000"}"#),
        ("post", "/api/v1/ask/events.recent", r#"{"kinds":["\u0000"]}"#),
        ("get", "/api/v1/operations?target=%00", ""),
        ("get", "/api/v1/audit?actor=%00", ""),
        ("post", "/api/v1/submit/session.revoke?plan=perhaps", "{}"),
        (
            "post",
            "/api/v1/submit/schedule.create",
            r#"{"input":{"name":"a\u0000","cron":"0 3 * * *","kind":"component.restart","input":{}}}"#,
        ),
        (
            "post",
            "/api/v1/submit/person.create",
            r#"{"input":{"email":"wei@example.org","role":"viewer"},"reason":"\u0000"}"#,
        ),
    ];
    for (method, path, body) in calls {
        let told = send(&house, method, path, body, Some(&me)).await?;
        assert_eq!(told.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path} {body}");
    }
    Ok(())
}
