//! The whole way with real engines: Prometheus, Alertmanager, HTTP, PostgreSQL.

mod common;

use common::db::TestDb;
use common::engines::{Engine, free_port, http};
use common::wire::{Cable, Hook, metrics_page};
use common::{Bench, alert, push, quick, rows, story, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use time::{Duration, OffsetDateTime};

/// A Prometheus that knows no alert by the names that the tests use, and so contradicts none of their ends.
async fn quiet_prometheus(folder: &std::path::Path) -> anyhow::Result<Engine> {
    let page = metrics_page(Arc::new(AtomicBool::new(false))).await?;
    Engine::prometheus(folder, &page, "http://127.0.0.1:9").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_becomes_a_row_and_a_lost_one_is_made_good() -> anyhow::Result<()> {
    let (folder, db, hook) = (tempfile::tempdir()?, TestDb::new().await?, Hook::default());
    let alertmanager = Engine::alertmanager(folder.path(), &hook.listen().await?).await?;
    let prometheus = quiet_prometheus(folder.path()).await?;
    let bench = Bench::start(db.pool.clone(), &alertmanager.url, &prometheus.url, quick())?;
    hook.goes_to(&bench.room);
    let start = common::now() - Duration::seconds(30);

    push(&alertmanager.url, &[alert("Told", "eu-west-1", start, None)?]).await?;
    bench.until_firing(&["Told"]).await?;
    hook.loses.store(true, Ordering::SeqCst);
    push(&alertmanager.url, &[alert("Lost", "us-east-1", start, None)?]).await?;
    bench.until_firing(&["Told", "Lost"]).await?;

    // Both ends are lost as well.
    let end = common::now();
    push(
        &alertmanager.url,
        &[alert("Told", "eu-west-1", start, Some(end))?],
    )
    .await?;
    bench.until_firing(&["Lost"]).await?;
    push(
        &alertmanager.url,
        &[alert("Lost", "us-east-1", start, Some(end))?],
    )
    .await?;
    bench.until_firing(&[]).await?;
    until("Alertmanager has posted four times", || async {
        Ok(hook.posted.lock().expect("no test panics while holding it").len() >= 4)
    })
    .await?;

    // What was lost comes after all, twice.
    hook.loses.store(false, Ordering::SeqCst);
    let posted = hook
        .posted
        .lock()
        .expect("no test panics while holding it")
        .clone();
    for body in posted.iter().chain(&posted) {
        bench.room.webhook(body, Some(&common::bearer())).await?;
    }
    assert!(bench.firing().await?.is_empty());
    assert_eq!(rows(&db.pool).await?, 2);
    assert_eq!(
        story(&db.pool).await?,
        ["alert.firing", "alert.firing", "alert.resolved", "alert.resolved"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_shows_and_goes() -> anyhow::Result<()> {
    let (folder, db, hook) = (tempfile::tempdir()?, TestDb::new().await?, Hook::default());
    let alertmanager = Engine::alertmanager(folder.path(), &hook.listen().await?).await?;
    let prometheus = quiet_prometheus(folder.path()).await?;
    let bench = Bench::start(db.pool.clone(), &alertmanager.url, &prometheus.url, quick())?;
    hook.goes_to(&bench.room);
    let now = common::now();
    push(&alertmanager.url, &[alert("Loud", "eu-west-1", now, None)?]).await?;
    bench.until_firing(&["Loud"]).await?;
    assert_eq!(bench.room.severity_by_component().len(), 1);

    let rfc = |at: OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339);
    let silence = serde_json::json!({
        "matchers": [{ "name": "alertname", "value": "Loud", "isRegex": false, "isEqual": true }],
        "startsAt": rfc(now)?, "endsAt": rfc(now + Duration::hours(1))?, "createdBy": "test", "comment": "test",
    });
    let made: serde_json::Value = http()?
        .post(format!("{}/api/v2/silences", alertmanager.url))
        .json(&silence)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let id = made["silenceID"].as_str().unwrap_or_default();
    until("the row is suppressed", || async {
        Ok(bench
            .firing()
            .await?
            .first()
            .is_some_and(|v| v.suppressed && v.suppressed_by == [id]))
    })
    .await?;
    assert!(
        bench.room.severity_by_component().is_empty(),
        "a suppressed alert colours nothing"
    );
    http()?
        .delete(format!("{}/api/v2/silence/{id}", alertmanager.url))
        .send()
        .await?
        .error_for_status()?;
    until("the row is loud again", || async {
        Ok(bench
            .firing()
            .await?
            .first()
            .is_some_and(|v| !v.suppressed && v.suppressed_by.is_empty()))
    })
    .await?;
    assert_eq!(
        story(&db.pool).await?,
        ["alert.firing", "alert.suppressed", "alert.released"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_rule_to_row_and_back_through_the_death_of_every_engine() -> anyhow::Result<()> {
    let (folder, db, hook) = (tempfile::tempdir()?, TestDb::new().await?, Hook::default());
    let broken = Arc::new(AtomicBool::new(true));
    let mut alertmanager = Engine::alertmanager(folder.path(), &hook.listen().await?).await?;
    let page = metrics_page(Arc::clone(&broken)).await?;
    let mut prometheus = Engine::prometheus(folder.path(), &page, &alertmanager.url).await?;
    let bench = Bench::start(db.pool.clone(), &alertmanager.url, &prometheus.url, quick())?;
    hook.goes_to(&bench.room);
    bench.until_firing(&["Broken"]).await?;
    let first = bench.firing().await?.remove(0);
    assert_eq!(first.component.as_deref(), Some("eu-west-1/gateway"));

    // Alertmanager dies and comes back with an empty memory. Its list is empty until Prometheus repeats the alert.
    alertmanager.kill()?;
    until("Alertmanager is missed", || async {
        Ok(bench
            .console
            .sources
            .is_away(bagua_model::notices::Source::Alertmanager))
    })
    .await?;
    assert_eq!(bench.firing().await?.len(), 1, "the feed stands as last known");
    alertmanager.start_again().await?;
    bench.until_read_thrice().await?;
    assert_eq!(
        bench.firing().await?,
        vec![first.clone()],
        "an empty list after a start ends nothing"
    );
    let client = bagua_alerts::alertmanager::Alertmanager::new(&alertmanager.url)?;
    until("Prometheus has repeated the alert", || async {
        Ok(!client.alerts().await?.is_empty())
    })
    .await?;
    assert_eq!(
        bench.firing().await?,
        vec![first.clone()],
        "nothing lost, nothing doubled"
    );

    // Prometheus dies. Alertmanager takes the alert for ended after some seconds, which is absence, not health.
    prometheus.kill()?;
    until("Alertmanager has given the alert up", || async {
        Ok(client.alerts().await?.is_empty())
    })
    .await?;
    let told = hook.posted.lock().expect("no test panics while holding it").len();
    until("Alertmanager has told so", || async {
        let posted = hook.posted.lock().expect("no test panics while holding it");
        Ok(posted
            .iter()
            .skip(told.saturating_sub(1))
            .any(|b| String::from_utf8_lossy(b).contains("resolved")))
    })
    .await?;
    bench.until_read_thrice().await?;
    assert_eq!(bench.firing().await?, vec![first.clone()]);

    // It comes back, and the same alert starts anew: still the same episode, since its first start.
    prometheus.start_again().await?;
    until("Prometheus fires it again", || async {
        Ok(!client.alerts().await?.is_empty())
    })
    .await?;
    assert_eq!(
        bench
            .firing()
            .await?
            .iter()
            .map(|v| (v.alert, v.started_at))
            .collect::<Vec<_>>(),
        [(first.alert, first.started_at)]
    );

    // The console itself is replaced; then the fault is mended.
    drop(bench);
    let bench = Bench::start(db.pool.clone(), &alertmanager.url, &prometheus.url, quick())?;
    hook.goes_to(&bench.room);
    bench.until_firing(&["Broken"]).await?;
    assert_eq!(bench.firing().await?[0].alert, first.alert);
    broken.store(false, Ordering::SeqCst);
    bench.until_firing(&[]).await?;
    assert_eq!(rows(&db.pool).await?, 1);
    assert_eq!(story(&db.pool).await?, ["alert.firing", "alert.resolved"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consoles_double_nothing_and_both_show_it() -> anyhow::Result<()> {
    let (folder, db, hook) = (tempfile::tempdir()?, TestDb::new().await?, Hook::default());
    let alertmanager = Engine::alertmanager(folder.path(), &hook.listen().await?).await?;
    let prometheus = quiet_prometheus(folder.path()).await?;
    let one = Bench::start(db.pool.clone(), &alertmanager.url, &prometheus.url, quick())?;
    let two = Bench::start(db.pool.clone(), &alertmanager.url, &prometheus.url, quick())?;
    hook.goes_to(&one.room);
    let start = common::now();
    for name in ["A", "B", "C"] {
        push(&alertmanager.url, &[alert(name, "eu-west-1", start, None)?]).await?;
    }
    one.until_firing(&["A", "B", "C"]).await?;
    two.until_firing(&["A", "B", "C"]).await?;
    // The one that held the lease goes; the other goes on repairing.
    drop(one);
    hook.loses.store(true, Ordering::SeqCst);
    push(&alertmanager.url, &[alert("D", "eu-west-1", start, None)?]).await?;
    two.until_firing(&["A", "B", "C", "D"]).await?;
    assert_eq!(rows(&db.pool).await?, 4);
    assert_eq!(story(&db.pool).await?.len(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_the_feed_follows_alertmanager() -> anyhow::Result<()> {
    let (folder, db, hook) = (tempfile::tempdir()?, TestDb::new().await?, Hook::default());
    let alertmanager = Engine::alertmanager(folder.path(), &hook.listen().await?).await?;
    let prometheus = quiet_prometheus(folder.path()).await?;
    let options = db.pool.connect_options();
    let mut cable = Cable::lay(options.get_host(), options.get_port()).await?;
    let through = (*options).clone().host("127.0.0.1").port(cable.port);
    let pool = bagua_core::db::pool(through, 5);
    let bench = Bench::start(pool, &alertmanager.url, &prometheus.url, quick())?;
    hook.goes_to(&bench.room);
    let start = common::now();
    push(&alertmanager.url, &[alert("Before", "eu-west-1", start, None)?]).await?;
    bench.until_firing(&["Before"]).await?;
    let before = bench.firing().await?.remove(0);
    let wish = serde_json::json!({ "alert": before.alert, "region": "eu-west-1", "note": "mine" });
    let wei = common::person("Wei", bagua_model::access::Role::Operator, None);
    bench
        .console
        .submit_json(&wei, "alert.acknowledge", wish.clone(), Default::default())
        .await?;
    until("the acknowledgement shows", || async {
        Ok(bench.firing().await?[0].acknowledged.is_some())
    })
    .await?;

    cable.cut();
    until("the feed says that it is degraded", || async {
        Ok(bench.list(Default::default()).await?.degraded)
    })
    .await?;
    push(&alertmanager.url, &[alert("During", "us-east-1", start, None)?]).await?;
    bench.until_firing(&["Before", "During"]).await?;
    let rows_then = bench.firing().await?;
    let during = rows_then.iter().find(|v| v.name == "During").map(|v| v.alert);
    assert!(rows_then.iter().any(|v| {
        v.acknowledged
            .as_ref()
            .is_some_and(|a| a.by == "Wei" && a.note == "mine")
    }));
    let body = common::notification("X", "eu-west-1", start, None)?;
    let error = bench
        .room
        .webhook(&body, Some(&common::bearer()))
        .await
        .expect_err("it cannot be stored");
    assert_eq!(error.status(), 503, "so that Alertmanager tries again");
    assert!(
        bench.ended().await.is_err(),
        "what has ended is in the database only"
    );
    assert!(
        bench
            .console
            .submit_json(&wei, "alert.acknowledge", wish, Default::default())
            .await
            .is_err()
    );
    assert_eq!(rows(&db.pool).await?, 1);

    cable.mend().await?;
    until("the feed comes from the database again", || async {
        Ok(!bench.list(Default::default()).await?.degraded && rows(&db.pool).await? == 2)
    })
    .await?;
    bench.until_firing(&["Before", "During"]).await?;
    let after = bench.firing().await?;
    assert_eq!(
        after.iter().find(|v| v.name == "During").map(|v| v.alert),
        during,
        "links go on working"
    );
    assert!(after.iter().any(|v| v.acknowledged.is_some()));
    assert_eq!(
        story(&db.pool).await?,
        ["alert.firing", "alert.acknowledged", "alert.firing"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_reading_the_feed_is_not_empty_but_unknown() -> anyhow::Result<()> {
    let nobody = format!("http://127.0.0.1:{}", free_port()?);
    let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(free_port()?);
    let bench = Bench::start(bagua_core::db::pool(options, 2), &nobody, &nobody, quick())?;
    until("Alertmanager is missed", || async {
        Ok(bench
            .console
            .sources
            .is_away(bagua_model::notices::Source::Alertmanager))
    })
    .await?;
    assert!(bench.list(Default::default()).await.is_err());
    Ok(())
}
