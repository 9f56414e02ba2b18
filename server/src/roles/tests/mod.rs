//! Gateway, runner and traffic together, against a real PostgreSQL and a real Redis.

mod stack;

use crate::{listener, telemetry};
use anyhow::{Context as _, bail};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};
use stack::{Outcome, REGION, Stack};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const OK: fn(u16, &Value) -> bool = |status, body| status == 200 && body["status"] == "ok";

#[tokio::test]
async fn ping_goes_all_the_way_and_is_measured() -> Outcome {
    let stack = Stack::create().await?;
    let (runner, gateway) = (stack.start("runner"), stack.start("gateway"));
    stack.until("ap-east-1/runner", "/health", OK).await?;
    stack.until("ap-east-1/gateway", "/health", OK).await?;

    let labels = [r#"route="/v1/{*path}""#, r#"status="200""#, r#"method="GET""#];
    let before = stack
        .measured("ap-east-1/gateway", "http_requests_total", &labels)
        .await?;
    let hits = stack
        .measured("ap-east-1/runner", "cache_requests_total", &[r#"result="hit""#])
        .await?;
    let misses = stack
        .measured("ap-east-1/runner", "cache_requests_total", &[r#"result="miss""#])
        .await?;

    let (status, first) = stack.get("ap-east-1/gateway", "/v1/ping").await?;
    assert_eq!(
        (status, &first["status"], &first["region"]),
        (200, &"ok".into(), &REGION.into()),
        "{first}"
    );
    assert_eq!(first["cache"]["result"], "miss");
    let age = first["database"]["heartbeat_age_seconds"]
        .as_f64()
        .context("no heartbeat age")?;
    assert!((0.0..10.0).contains(&age), "the heartbeat is {age} s old");
    let (_, second) = stack.get("ap-east-1/gateway", "/v1/ping").await?;
    assert_eq!(second["cache"]["result"], "hit");
    assert_eq!(second["cell_created_at"], first["cell_created_at"]);
    let (status, probed) = stack.get("ap-east-1/gateway", "/probe").await?;
    assert_eq!((status, &probed["region"]), (200, &REGION.into()));

    let after = stack
        .measured("ap-east-1/gateway", "http_requests_total", &labels)
        .await?;
    assert_eq!(after - before, 2.0);
    let counted = stack
        .measured(
            "ap-east-1/gateway",
            "http_request_duration_seconds_count",
            &labels[..1],
        )
        .await?;
    assert!(counted >= 2.0);
    assert!(
        stack
            .measured(
                "ap-east-1/gateway",
                "http_request_duration_seconds_bucket",
                &[r#"le="0.001""#]
            )
            .await?
            > 0.0
    );
    // Two pings and a probe: the first missed, the others hit.
    let now_hits = stack
        .measured("ap-east-1/runner", "cache_requests_total", &[r#"result="hit""#])
        .await?;
    let now_misses = stack
        .measured("ap-east-1/runner", "cache_requests_total", &[r#"result="miss""#])
        .await?;
    assert_eq!((now_hits - hits, now_misses - misses), (2.0, 1.0));
    assert!(
        stack
            .measured("ap-east-1/runner", "database_connections_open", &[])
            .await?
            >= 1.0
    );
    assert!(
        stack
            .measured("ap-east-1/runner", "process_resident_memory_bytes", &[])
            .await?
            > 1e6
    );
    gateway.end().await?;
    runner.end().await?;
    stack.cell.drop().await
}

#[tokio::test]
async fn bytes_are_counted_and_paths_are_no_labels() -> Outcome {
    let stack = Stack::create().await?;
    let gateway = stack.start("gateway");
    stack.until("ap-east-1/gateway", "/health", OK).await?;
    let port = stack
        .settings
        .component("ap-east-1/gateway")
        .context("no gateway")?
        .port;

    let read = |text: &str, name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("0 0");
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse().ok())
            .unwrap_or(0.0)
    };
    let (received, sent) = (
        r#"network_io_bytes_total{direction="receive"}"#,
        r#"network_io_bytes_total{direction="transmit"}"#,
    );
    let before = telemetry::render().context("no recorder")?;
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    // A raw request, because clients resolve dot segments themselves.
    let request = b"GET /v1/../metrics HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    connection.write_all(request).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    let text = String::from_utf8(answer.clone())?;
    assert!(text.starts_with("HTTP/1.1 404"), "{text}");
    let after = telemetry::render().context("no recorder")?;
    assert_eq!(
        read(&after, received) - read(&before, received),
        request.len() as f64
    );
    assert_eq!(read(&after, sent) - read(&before, sent), answer.len() as f64);

    let (status, _) = stack.get("ap-east-1/gateway", "/secret/4711").await?;
    assert_eq!(status, 404);
    let rendered = telemetry::render().context("no recorder")?;
    assert!(
        rendered.contains(r#"route="unmatched",status="404""#),
        "{rendered}"
    );
    assert!(!rendered.contains("4711"));
    gateway.end().await?;
    stack.cell.drop().await
}

#[tokio::test]
async fn without_a_runner_the_gateway_answers_502() -> Outcome {
    let stack = Stack::create().await?;
    let gateway = stack.start("gateway");
    stack.until("ap-east-1/gateway", "/health", OK).await?;
    let before = stack
        .measured("ap-east-1/gateway", "http_requests_total", &[r#"status="502""#])
        .await?;
    let refused = stack
        .measured(
            "ap-east-1/gateway",
            "gateway_upstream_requests_total",
            &["refused"],
        )
        .await?;

    let (status, problem) = stack.get("ap-east-1/gateway", "/v1/ping").await?;
    assert_eq!(status, 502, "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|d| d.contains("Start ap-east-1/runner")),
        "{problem}"
    );
    let (status, _) = stack.get("ap-east-1/gateway", "/probe").await?;
    assert_eq!(status, 502);

    let after = stack
        .measured("ap-east-1/gateway", "http_requests_total", &[r#"status="502""#])
        .await?;
    assert_eq!(after - before, 2.0);
    // The probe tries twice, the forwarded request once.
    let now_refused = stack
        .measured(
            "ap-east-1/gateway",
            "gateway_upstream_requests_total",
            &["refused"],
        )
        .await?;
    assert_eq!(now_refused - refused, 3.0);

    // A probe that meets a runner which accepts and says nothing ends after its two seconds.
    let port = stack
        .settings
        .component("ap-east-1/runner")
        .context("no runner")?
        .port;
    let _mute = TcpListener::bind(("127.0.0.1", port))?;
    let started = Instant::now();
    let (status, _) = stack.get("ap-east-1/gateway", "/probe").await?;
    assert_eq!(status, 504);
    assert!(
        started.elapsed() < Duration::from_millis(2_500),
        "it took {:?}",
        started.elapsed()
    );
    gateway.end().await?;
    stack.cell.drop().await
}

#[tokio::test]
async fn a_database_that_goes_away_is_seen_and_comes_back() -> Outcome {
    let stack = Stack::create().await?;
    stack.cell.take_away().await?;
    // The runner starts although its database is away, and says so.
    let (runner, gateway) = (stack.start("runner"), stack.start("gateway"));
    let unavailable = |status: u16, body: &Value| {
        let reason = body["dependencies"]["database"]["reason"].as_str().unwrap_or("");
        status == 503 && reason.contains("not currently accepting connections")
    };
    stack.until("ap-east-1/runner", "/health", unavailable).await?;
    stack.until("ap-east-1/gateway", "/health", OK).await?;
    let before = stack
        .measured("ap-east-1/gateway", "http_requests_total", &[r#"status="503""#])
        .await?;
    let (status, problem) = stack.get("ap-east-1/gateway", "/v1/ping").await?;
    assert_eq!(status, 503, "{problem}");
    let after = stack
        .measured("ap-east-1/gateway", "http_requests_total", &[r#"status="503""#])
        .await?;
    // The runner's own answer and the gateway's, in one recorder.
    assert_eq!(after - before, 2.0);
    assert_eq!(
        stack
            .measured("ap-east-1/runner", "dependency_up", &["database"])
            .await?,
        0.0
    );

    stack.cell.give_back().await?;
    stack.until("ap-east-1/gateway", "/v1/ping", OK).await?;
    assert_eq!(
        stack
            .measured("ap-east-1/runner", "dependency_up", &["database"])
            .await?,
        1.0
    );

    // And away again in the middle of work.
    stack.cell.take_away().await?;
    let errors = stack
        .measured("ap-east-1/runner", "database_errors_total", &[])
        .await?;
    stack
        .until("ap-east-1/gateway", "/v1/ping", |status, _| status == 503)
        .await?;
    stack.until("ap-east-1/runner", "/health", unavailable).await?;
    assert!(
        stack
            .measured("ap-east-1/runner", "database_errors_total", &[])
            .await?
            > errors
    );
    stack.cell.give_back().await?;
    stack.until("ap-east-1/gateway", "/v1/ping", OK).await?;
    gateway.end().await?;
    runner.end().await?;
    stack.cell.drop().await
}

#[tokio::test]
async fn redis_away_is_slower_but_no_failure() -> Outcome {
    let mut stack = Stack::create().await?;
    let runner = stack.start("runner");
    stack.until("ap-east-1/runner", "/v1/ping", OK).await?;
    let errors = stack
        .measured("ap-east-1/runner", "cache_requests_total", &[r#"result="error""#])
        .await?;
    stack.redis.end();
    let degraded = |status: u16, body: &Value| status == 200 && body["status"] == "degraded";
    stack.until("ap-east-1/runner", "/v1/ping", degraded).await?;
    stack.until("ap-east-1/runner", "/health", degraded).await?;
    assert!(
        stack
            .measured("ap-east-1/runner", "cache_requests_total", &[r#"result="error""#])
            .await?
            > errors
    );
    assert_eq!(
        stack
            .measured("ap-east-1/runner", "dependency_up", &["redis"])
            .await?,
        0.0
    );
    stack.redis.start()?;
    stack
        .until("ap-east-1/runner", "/v1/ping", |_, body| {
            body["cache"]["result"] == "hit"
        })
        .await?;
    runner.end().await?;
    stack.cell.drop().await
}

#[tokio::test]
async fn a_database_of_another_region_is_refused() -> Outcome {
    let stack = Stack::create().await?;
    let mut connection = PgConnection::connect(&stack.cell.url()?).await?;
    connection
        .execute("INSERT INTO cell (region) VALUES ('eu-west-1')")
        .await?;
    let runner = stack.start("runner");
    let refused = |status: u16, body: &Value| {
        status == 503
            && body["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("belongs to eu-west-1"))
    };
    stack.until("ap-east-1/runner", "/v1/ping", refused).await?;
    let rows: Option<i64> = sqlx::query_scalar("SELECT count(*) FROM runner_heartbeats")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(
        rows,
        Some(0),
        "nothing may be written into another region's database"
    );
    // Nor may the application's role move a database to another region.
    assert!(
        connection
            .execute("UPDATE cell SET region = 'ap-east-1'")
            .await
            .is_err()
    );
    connection.close().await?;
    runner.end().await?;
    stack.cell.drop().await
}

#[tokio::test]
async fn traffic_counts_what_it_gets() -> Outcome {
    let stack = Stack::create().await?;
    let labels = [r#"target_region="ap-east-1""#, r#"result="refused""#];
    let traffic = stack.start("traffic");
    // No gateway yet: that is what it has to say.
    let failing = |_: u16, body: &Value| body["targets"][REGION]["failing"]["result"] == "refused";
    let body = stack.until("global/traffic", "/health", failing).await?;
    assert_eq!(body["status"], "degraded");
    assert!(
        stack
            .measured("global/traffic", "traffic_requests_total", &labels)
            .await?
            >= 1.0
    );

    let (runner, gateway) = (stack.start("runner"), stack.start("gateway"));
    stack.until("global/traffic", "/health", OK).await?;
    let success = [labels[0], r#"result="success""#];
    let (began, before) = (
        Instant::now(),
        stack
            .measured("global/traffic", "traffic_requests_total", &success)
            .await?,
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    let sent = stack
        .measured("global/traffic", "traffic_requests_total", &success)
        .await?
        - before;
    let rate = sent / began.elapsed().as_secs_f64();
    assert!((1.5..2.5).contains(&rate), "{rate} requests a second");
    traffic.end().await?;
    gateway.end().await?;
    runner.end().await?;
    stack.cell.drop().await
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_remedy() -> Outcome {
    telemetry::install()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let Err(fault) = listener::bind(address).await else {
        bail!("a taken port was opened")
    };
    let message = format!("{fault:#}");
    assert!(
        message.contains(&address.to_string()) && message.contains("ss -ltnp"),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn metrics_with_a_token_are_closed_to_others() -> Outcome {
    telemetry::install()?;
    let bound = listener::bind("127.0.0.1:0".parse()?).await?;
    let address = bound.local_addr()?;
    let stop = CancellationToken::new();
    let router = telemetry::metrics_route(Some("right".to_owned()), || ());
    let serving = tokio::spawn(listener::serve(
        bound,
        router,
        stop.clone(),
        Duration::from_secs(1),
    ));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{address}/metrics");
    assert_eq!(client.get(&url).send().await?.status(), 401);
    assert_eq!(client.get(&url).bearer_auth("wrong").send().await?.status(), 401);
    let open = client.get(&url).bearer_auth("right").send().await?;
    assert_eq!(open.status(), 200);
    assert!(open.text().await?.contains("bagua_build_info{version="));
    stop.cancel();
    serving.await??;
    Ok(())
}
