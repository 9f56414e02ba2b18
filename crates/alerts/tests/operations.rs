//! Who may see and acknowledge what, and how the lists page.

mod common;

use bagua_alerts::Timing;
use bagua_core::Actor;
use bagua_model::access::Role;
use bagua_model::alerts::{AlertHistory, AlertState, CountAlerts, GetAlert, ListAlerts};
use bagua_model::failure::FailureKind;
use bagua_model::operation::Submission;
use common::db::TestDb;
use common::engines::{Engine, free_port};
use common::{Bench, bearer, notification, person, quick, story, until};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

fn nobody() -> anyhow::Result<String> {
    Ok(format!("http://127.0.0.1:{}", free_port()?))
}

async fn fires(bench: &Bench, name: &str, region: &str) -> anyhow::Result<Uuid> {
    let start = common::now() - Duration::minutes(5);
    bench
        .room
        .webhook(&notification(name, region, start, None)?, Some(&bearer()))
        .await?;
    let row = bench.firing().await?.into_iter().find(|v| v.name == name);
    Ok(row.map(|v| v.alert).unwrap_or_default())
}

async fn submit(bench: &Bench, actor: &Actor, kind: &str, input: Value) -> Result<(), FailureKind> {
    bench
        .console
        .submit_json(actor, kind, input, Submission::default())
        .await
        .map(drop)
        .map_err(|f| f.kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_acknowledges_and_everybody_sees_who() -> anyhow::Result<()> {
    let db = TestDb::new().await?;
    let bench = Bench::start(db.pool.clone(), &nobody()?, &nobody()?, Timing::default())?;
    let alert = fires(&bench, "A", "eu-west-1").await?;
    let wish = |note: &str| json!({ "alert": alert, "region": "eu-west-1", "note": note });
    let (wei, ana) = (
        person("Wei", Role::Operator, Some("eu-west-1")),
        person("Ana", Role::Operator, None),
    );
    let elsewhere = person("Max", Role::Operator, Some("us-east-1"));
    let viewer = person("Vi", Role::Viewer, None);

    for denied in [&elsewhere, &viewer] {
        let refused = submit(&bench, denied, "alert.acknowledge", wish("")).await;
        assert_eq!(refused, Err(FailureKind::Forbidden), "{}", denied.label());
    }
    let lie = json!({ "alert": alert, "region": "us-east-1" });
    assert_eq!(
        submit(&bench, &elsewhere, "alert.acknowledge", lie).await,
        Err(FailureKind::NotFound)
    );
    assert_eq!(
        submit(&bench, &ana, "alert.acknowledge", wish(&"字".repeat(2001))).await,
        Err(FailureKind::Invalid)
    );
    assert_eq!(
        submit(&bench, &ana, "alert.unacknowledge", json!({ "alert": alert })).await,
        Err(FailureKind::Conflict)
    );

    submit(&bench, &wei, "alert.acknowledge", wish(&"字".repeat(2000)))
        .await
        .map_err(|k| anyhow::anyhow!("{k:?}"))?;
    let holder = async || {
        Ok::<_, anyhow::Error>(
            bench
                .firing()
                .await?
                .first()
                .and_then(|v| v.acknowledged.clone())
                .map(|a| a.by),
        )
    };
    until("the feed shows Wei", || async {
        Ok(holder().await?.as_deref() == Some("Wei"))
    })
    .await?;
    let plan = bench
        .console
        .plan_json(&ana, "alert.acknowledge", wish(""))
        .await?;
    assert!(
        plan.plan.changes[0]
            .args
            .contains(&("previous".into(), "Wei".into())),
        "{:?}",
        plan.plan
    );
    submit(&bench, &ana, "alert.acknowledge", wish("I take it"))
        .await
        .map_err(|k| anyhow::anyhow!("{k:?}"))?;
    until("the feed shows Ana", || async {
        Ok(holder().await?.as_deref() == Some("Ana"))
    })
    .await?;
    let stale = Submission {
        plan_hash: Some(plan.hash),
        ..Submission::default()
    };
    let late = bench
        .console
        .submit_json(&wei, "alert.acknowledge", wish(""), stale)
        .await;
    assert_eq!(late.map_err(|f| f.kind).err(), Some(FailureKind::Drifted));
    let taken = ListAlerts {
        acknowledged: Some(true),
        ..ListAlerts::default()
    };
    assert_eq!(bench.list(taken).await?.page.rows.len(), 1);
    submit(&bench, &wei, "alert.unacknowledge", json!({ "alert": alert }))
        .await
        .map_err(|k| anyhow::anyhow!("{k:?}"))?;
    until("the feed shows nobody", || async {
        Ok(holder().await?.is_none())
    })
    .await?;

    let told = story(&db.pool).await?;
    assert_eq!(
        told,
        [
            "alert.firing",
            "alert.acknowledged",
            "alert.acknowledged",
            "alert.unacknowledged"
        ]
    );
    let submitted: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit WHERE kind IN ('alert.acknowledge', 'alert.unacknowledge') AND action = 'submit'",
    )
    .fetch_one(&db.pool)
    .await?;
    assert_eq!(submitted, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_region_sees_nothing_of_another() -> anyhow::Result<()> {
    let db = TestDb::new().await?;
    let bench = Bench::start(db.pool.clone(), &nobody()?, &nobody()?, Timing::default())?;
    let here = fires(&bench, "A", "eu-west-1").await?;
    let there = fires(&bench, "B", "us-east-1").await?;
    let reader = person("Vi", Role::Viewer, Some("eu-west-1"));
    let feed = bench.console.ask(&reader, ListAlerts::default()).await?;
    assert_eq!(feed.page.rows.iter().map(|v| v.alert).collect::<Vec<_>>(), [here]);
    assert_eq!(feed.firing, [1, 0, 0]);
    assert_eq!(
        bench.console.ask(&reader, GetAlert { alert: here }).await?.name,
        "A"
    );
    let hidden = bench
        .console
        .ask(&reader, GetAlert { alert: there })
        .await
        .expect_err("it is another region's");
    let missing = bench
        .console
        .ask(
            &reader,
            GetAlert {
                alert: Uuid::now_v7(),
            },
        )
        .await
        .expect_err("it does not exist");
    assert_eq!(hidden, missing);
    let counts = bench.console.ask(&reader, CountAlerts {}).await?;
    assert_eq!(
        counts.iter().map(|c| (c.critical, c.warning)).collect::<Vec<_>>(),
        [(1, 0)]
    );
    assert_eq!(
        bench
            .console
            .ask(&Actor::system("test"), CountAlerts {})
            .await?
            .len(),
        2
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_paged_and_cannot_be_acknowledged() -> anyhow::Result<()> {
    let (folder, db) = (tempfile::tempdir()?, TestDb::new().await?);
    let page = common::wire::metrics_page(Arc::new(AtomicBool::new(false))).await?;
    let prometheus = Engine::prometheus(folder.path(), &page, "http://127.0.0.1:9").await?;
    let bench = Bench::start(db.pool.clone(), &nobody()?, &prometheus.url, quick())?;
    let now = common::now();
    let post = async |n: i64, end: OffsetDateTime| {
        let name = format!("Rule_{n}");
        let body = notification(
            &name,
            if n % 2 == 0 { "eu-west-1" } else { "us-east-1" },
            now - Duration::hours(2),
            Some(end),
        )?;
        Ok::<_, anyhow::Error>(bench.room.webhook(&body, Some(&bearer())).await?.changes)
    };
    // Ends in pairs at the same moment: the id decides between them.
    until("Prometheus is believed", || async {
        Ok(post(0, now - Duration::minutes(1)).await? == 1)
    })
    .await?;
    for n in 1..7 {
        assert_eq!(post(n, now - Duration::minutes(1 + n / 2)).await?, 1);
    }
    let mut query = ListAlerts {
        state: Some(AlertState::Resolved),
        limit: 2,
        ..ListAlerts::default()
    };
    let mut seen = Vec::new();
    loop {
        let feed = bench.list(query.clone()).await?;
        seen.extend(feed.page.rows);
        // What ends meanwhile stands before the first page and moves nothing.
        post(100 + seen.len() as i64, now).await?;
        let Some(next) = feed.page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(seen.len(), 7);
    assert_eq!(seen.iter().map(|v| v.alert).collect::<HashSet<_>>().len(), 7);
    assert!(seen.windows(2).all(|w| w[0].ended_at >= w[1].ended_at));
    let west = ListAlerts {
        region: Some(bagua_model::region::RegionId::new("eu-west-1")),
        after: None,
        limit: 0,
        ..query.clone()
    };
    assert!(
        bench
            .list(west.clone())
            .await?
            .page
            .rows
            .iter()
            .all(|v| v.component.as_deref() == Some("eu-west-1/gateway"))
    );
    let literal = ListAlerts {
        text: Some("rule_3".into()),
        region: None,
        ..west.clone()
    };
    assert_eq!(bench.list(literal).await?.page.rows.len(), 1);
    let literal = ListAlerts {
        text: Some("%".into()),
        region: None,
        ..west
    };
    assert!(
        bench.list(literal).await?.page.rows.is_empty(),
        "wildcards are taken literally"
    );
    let wrong = ListAlerts {
        after: Some("1.2".into()),
        ..query
    };
    assert!(bench.list(wrong).await.is_err());

    let history = AlertHistory {
        alert: seen[0].alert,
        component: true,
    };
    let history = bench
        .console
        .ask(&person("Vi", Role::Viewer, Some("eu-west-1")), history)
        .await;
    let everyone = bench
        .console
        .ask(
            &Actor::system("test"),
            AlertHistory {
                alert: seen[0].alert,
                component: true,
            },
        )
        .await?;
    assert!(
        everyone
            .iter()
            .all(|v| v.component == seen[0].component && v.alert != seen[0].alert)
    );
    assert!(!everyone.is_empty());
    assert_eq!(
        history.is_ok(),
        seen[0].region.as_ref().is_some_and(|r| r.as_str() == "eu-west-1")
    );

    let wish = json!({ "alert": seen[0].alert });
    let wei = person("Wei", Role::Operator, None);
    assert_eq!(
        submit(&bench, &wei, "alert.acknowledge", wish).await,
        Err(FailureKind::Conflict)
    );
    Ok(())
}
