//! Notifications as they may come: doubled, late, out of order, forged. Alertmanager itself does not run here, so its
//! list never repairs anything; PostgreSQL and Prometheus are real.

mod common;

use bagua_alerts::{Timing, WebhookError};
use common::db::TestDb;
use common::engines::{Engine, free_port};
use common::{Bench, bearer, notification, quick, rows, story, until};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use time::Duration;

async fn prometheus(folder: &std::path::Path) -> anyhow::Result<Engine> {
    let page = common::wire::metrics_page(Arc::new(AtomicBool::new(false))).await?;
    Engine::prometheus(folder, &page, "http://127.0.0.1:9").await
}

fn nobody() -> anyhow::Result<String> {
    Ok(format!("http://127.0.0.1:{}", free_port()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_late_and_disordered_notifications_change_nothing_wrong() -> anyhow::Result<()> {
    let (folder, db) = (tempfile::tempdir()?, TestDb::new().await?);
    let prometheus = prometheus(folder.path()).await?;
    let bench = Bench::start(db.pool.clone(), &nobody()?, &prometheus.url, quick())?;
    bench.until_filled().await?;
    let post = async |name: &str, start, end| {
        let body = notification(name, "eu-west-1", start, end)?;
        Ok::<_, anyhow::Error>(bench.room.webhook(&body, Some(&bearer())).await?)
    };
    let now = common::now();
    let (t0, t1, t2) = (
        now - Duration::minutes(9),
        now - Duration::minutes(6),
        now - Duration::minutes(3),
    );

    assert_eq!(post("A", t0, None).await?.changes, 1);
    assert_eq!(post("A", t0, None).await?.changes, 0, "doubled");
    assert_eq!(
        bench.firing().await?.len(),
        1,
        "in memory as soon as the webhook is answered"
    );

    // Prometheus may still be settling: until it is believed, the end stays open.
    until("the end is believed", || async {
        Ok(post("A", t0, Some(t1)).await?.changes == 1)
    })
    .await?;
    assert_eq!(post("A", t0, Some(t1)).await?.changes, 0, "doubled end");
    let late = post("A", t0, None).await?;
    assert_eq!((late.changes, late.doubtful), (0, 1), "late firing after the end");
    assert!(bench.firing().await?.is_empty());

    assert_eq!(post("A", t2, None).await?.changes, 1, "the next episode");
    assert_eq!(post("A", t0, Some(t1)).await?.changes, 0, "late end of the first");
    assert_eq!(post("A", t0, None).await?.changes, 0, "late start of the first");
    let firing = bench.firing().await?;
    assert_eq!(firing.len(), 1);
    assert!(
        (firing[0].started_at - t2).abs() < Duration::milliseconds(1),
        "the start did not move"
    );

    assert_eq!(
        post("B", t0, Some(t1)).await?.changes,
        1,
        "an end whose start was missed is history"
    );
    assert_eq!(post("B", t0, Some(t1)).await?.changes, 0);
    assert_eq!(rows(&db.pool).await?, 3);
    assert_eq!(
        story(&db.pool).await?,
        ["alert.firing", "alert.resolved", "alert.firing", "alert.resolved"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_not_believed_while_prometheus_is_away() -> anyhow::Result<()> {
    let db = TestDb::new().await?;
    let bench = Bench::start(db.pool.clone(), &nobody()?, &nobody()?, Timing::default())?;
    let start = common::now() - Duration::minutes(5);
    let fires = notification("A", "eu-west-1", start, None)?;
    bench.room.webhook(&fires, Some(&bearer())).await?;
    let ends = notification("A", "eu-west-1", start, Some(start + Duration::minutes(4)))?;
    let intake = bench.room.webhook(&ends, Some(&bearer())).await?;
    assert_eq!((intake.changes, intake.doubtful), (0, 1));
    assert_eq!(bench.firing().await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_malformed_or_too_long_is_refused_and_stores_nothing() -> anyhow::Result<()> {
    let db = TestDb::new().await?;
    let bench = Bench::start(db.pool.clone(), &nobody()?, &nobody()?, Timing::default())?;
    let body = notification("A", "eu-west-1", common::now(), None)?;
    let wrong = bearer().replace('f', "e");
    for header in [
        None,
        Some(""),
        Some("Bearer "),
        Some("Bearer"),
        Some(wrong.as_str()),
        Some(common::engines::TOKEN),
    ] {
        let error = bench
            .room
            .webhook(&body, header)
            .await
            .expect_err("it carries no valid token");
        assert_eq!(error.status(), 401, "{header:?}");
    }
    let long = vec![b' '; bagua_alerts::LONGEST_BODY + 1];
    let error = bench
        .room
        .webhook(&long, Some(&bearer()))
        .await
        .expect_err("it is too long");
    assert!(matches!(error, WebhookError::TooLarge));
    let error = bench
        .room
        .webhook(b"{\"version\":\"4\"}", Some(&bearer()))
        .await
        .expect_err("it has no alerts");
    assert_eq!(error.status(), 400);
    assert_eq!(rows(&db.pool).await?, 0);
    assert_eq!(
        bench
            .room
            .webhook(&body, Some(&bearer().replace("Bearer", "bearer")))
            .await?
            .changes,
        1
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_kept_out_of_the_feed_and_its_time_is_kept() -> anyhow::Result<()> {
    let db = TestDb::new().await?;
    let bench = Bench::start(db.pool.clone(), &nobody()?, &nobody()?, Timing::default())?;
    assert_eq!(bench.room.watchdog_last_seen(), None);
    let now = common::now();
    let body = notification(bagua_alerts::observation::WATCHDOG, "global", now, None)?;
    assert_eq!(bench.room.webhook(&body, Some(&bearer())).await?.changes, 0);
    assert!(
        bench
            .room
            .watchdog_last_seen()
            .is_some_and(|seen| (seen - now).abs() < Duration::seconds(5))
    );
    assert_eq!(rows(&db.pool).await?, 0);
    Ok(())
}
