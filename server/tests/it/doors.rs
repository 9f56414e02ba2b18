//! The doors for machines, and how much anybody may send, how slowly.

use crate::support::{AWAY, Ground, METRICS_TOKEN, PASSWORD, WEBHOOK_TOKEN, head, notification, text};
use axum::body::Body;
use bagua_model::access::Role;
use bagua_server::{listener, telemetry};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

type Outcome = anyhow::Result<()>;

fn hook(token: &str, body: impl Into<Body>) -> anyhow::Result<Request<Body>> {
    let request =
        Request::post("/hooks/alertmanager").header(header::AUTHORIZATION, format!("Bearer {token}"));
    Ok(request
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanager_is_believed_with_its_token_and_answered_after_the_commit() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let body = notification("GatewayDown", AWAY);
    let alerts = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM alerts")
            .fetch_one(&ground.db.owner)
            .await
    };
    for token in ["", "another-token-of-24-chars", METRICS_TOKEN] {
        assert_eq!(
            house.send(hook(token, body.clone())?).await?.status(),
            StatusCode::UNAUTHORIZED,
            "{token}"
        );
    }
    let bare = Request::post("/hooks/alertmanager").body(Body::from(body.clone()))?;
    assert_eq!(house.send(bare).await?.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(alerts().await?, 0);
    assert_eq!(
        house.send(hook(WEBHOOK_TOKEN, body)?).await?.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(alerts().await?, 1, "answered before it was kept");
    let malformed = house.send(hook(WEBHOOK_TOKEN, "{")?).await?;
    assert!(malformed.status().is_client_error(), "{}", malformed.status());
    let large = house
        .send(hook(WEBHOOK_TOKEN, vec![b' '; 5 * 1024 * 1024])?)
        .await?;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        text(large).await?.contains("max_alerts"),
        "the sentence names the remedy"
    );
    // Who says before that it is too long is not listened to.
    let announced = Request::post("/hooks/alertmanager")
        .header(header::AUTHORIZATION, format!("Bearer {WEBHOOK_TOKEN}"))
        .header(header::CONTENT_LENGTH, 5 * 1024 * 1024)
        .body(Body::from_stream(futures::stream::pending::<
            Result<Bytes, Infallible>,
        >()))?;
    assert_eq!(
        house.send(announced).await?.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_read_with_their_token() -> Outcome {
    telemetry::install()?;
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    assert_eq!(
        house.get("/metrics", None).await?.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        house.get("/metrics", Some(&me)).await?.status(),
        StatusCode::UNAUTHORIZED,
        "a session is no token"
    );
    for token in ["", WEBHOOK_TOKEN] {
        let request = Request::get("/metrics").header(header::AUTHORIZATION, format!("Bearer {token}"));
        assert_eq!(
            house.send(request.body(Body::empty())?).await?.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    let request = Request::get("/metrics").header(header::AUTHORIZATION, format!("Bearer {METRICS_TOKEN}"));
    let page = text(house.send(request.body(Body::empty())?).await?).await?;
    assert!(
        page.contains("bagua_build_info") && page.contains("process_cpu_seconds_total"),
        "{page}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_says_whether_it_lives_and_what_it_lacks() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    assert_eq!(house.get("/healthz", None).await?.status(), StatusCode::OK);
    let ready = house.get("/readyz", None).await?;
    assert_eq!(ready.status(), StatusCode::OK);
    assert!(text(ready).await?.contains("\"ready\":true"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_may_send_more_than_a_form_holds() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let long = "x".repeat(300 * 1024);
    for path in [
        "/sign-in",
        "/welcome",
        "/reset",
        "/preferences",
        "/submit/person.create",
    ] {
        let response = house
            .post(
                path,
                &[("email", &long), ("back", &long), ("input", &long)],
                Some(&me),
            )
            .await?;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    let body = serde_json::json!({ "kind": "access.people", "query": { "x": long } });
    let (status, _) = house.rpc("ask", &body, Some(&me)).await?;
    assert!(
        !status.is_success(),
        "a server function read {} bytes",
        body.to_string().len()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_cut_off() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let trickle = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"a")), ()))
    });
    let request = Request::post("/sign-in")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from_stream(trickle))?;
    let began = Instant::now();
    let response = tokio::time::timeout(Duration::from_secs(45), house.send(request)).await??;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert!(
        began.elapsed() > Duration::from_secs(5),
        "a slow network is no attack"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_no_request_does_not_keep_its_connection() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let bound = listener::bind("127.0.0.1:0".parse()?).await?;
    let address = bound.local_addr()?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener::serve(
        bound,
        house.router.clone(),
        stop.clone(),
        Duration::from_secs(1),
    ));
    let mut half = TcpStream::connect(address).await?;
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost:3000\r\nX-")
        .await?;
    let mut silent = TcpStream::connect(address).await?;
    let mut heard = Vec::new();
    let ended = async {
        half.read_to_end(&mut heard).await?;
        silent.read_to_end(&mut heard).await
    };
    tokio::time::timeout(Duration::from_secs(45), ended).await??;
    // A well-behaved one is answered, and its connection is good for the next request.
    let mut good = TcpStream::connect(address).await?;
    for _ in 0..2 {
        good.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost:3000\r\n\r\n")
            .await?;
        let mut answer = [0; 4096];
        let read = good.read(&mut answer).await?;
        assert!(
            answer[..read].starts_with(b"HTTP/1.1 200 OK"),
            "{}",
            String::from_utf8_lossy(&answer[..read])
        );
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), serving).await???;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_answers_have_the_strictest_policy() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let response = house.get("/healthz", None).await?;
    assert!(head(&response, "content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(head(&response, "x-content-type-options"), "nosniff");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_is_trusted_the_clients_address_counts_and_behind_any_other_the_proxys() -> Outcome
{
    let mut ground = Ground::new().await?;
    for (trusted, expected) in [
        (vec![], "127.0.0.1"),
        (vec!["127.0.0.0/8".to_owned()], "192.0.2.7"),
    ] {
        ground.settings.listen.trusted_proxies = trusted;
        let house = ground.house()?;
        let name = format!("Behind{}", expected.replace('.', ""));
        house.person(&name, Role::Viewer, None).await?;
        let email = format!("{}@example.org", name.to_lowercase());
        let form = [("email", email.as_str()), ("password", PASSWORD)];
        let request = Request::post("/sign-in")
            .header("sec-fetch-site", "same-origin")
            .header("x-forwarded-for", "198.51.100.1, 192.0.2.7")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let told = house
            .send(request.body(Body::from(serde_urlencoded::to_string(form)?))?)
            .await?;
        assert_eq!(told.status(), StatusCode::SEE_OTHER);
        let address: String = sqlx::query_scalar(
            "SELECT detail->>'address' FROM audit WHERE action = 'sign-in' AND actor LIKE '%' || $1 || '%' ORDER BY id DESC",
        )
        .bind(&email)
        .fetch_one(&ground.db.owner)
        .await?;
        assert_eq!(address, expected);
    }
    Ok(())
}
