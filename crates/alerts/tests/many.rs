//! Many alerts: thousands from a real Alertmanager, counted by group, acknowledged in one operation.

mod common;

use bagua_alerts::Timing;
use bagua_core::Actor;
use bagua_model::access::Role;
use bagua_model::alerts::{AcknowledgedMany, GroupAlerts, GroupBy, ListAlerts};
use bagua_model::failure::FailureKind;
use bagua_model::operation::{GetOperation, Submission};
use bagua_model::silences::{CoverAlerts, write_matchers};
use common::db::TestDb;
use common::engines::{Engine, free_port};
use common::{Bench, alert, bearer, notification, person, push, quick, story, until};
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

fn nobody() -> anyhow::Result<String> {
    Ok(format!("http://127.0.0.1:{}", free_port()?))
}

/// More than one transaction takes.
const MANY: usize = 2_500;

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_fills_the_feed_and_quiet_readings_write_nothing() -> anyhow::Result<()> {
    let (folder, db) = (tempfile::tempdir()?, TestDb::new().await?);
    // Nobody listens where Alertmanager posts: the list alone must tell it.
    let alertmanager = Engine::alertmanager(folder.path(), &nobody()?).await?;
    let bench = Bench::start(db.pool.clone(), &alertmanager.url, &nobody()?, quick())?;
    bench.until_filled().await?;
    let start = common::now() - Duration::minutes(1);
    let storm: anyhow::Result<Vec<Value>> = (0..MANY)
        .map(|n| {
            let mut one = alert(
                &format!("Storm{}", n % 5),
                ["eu-west-1", "us-east-1"][n % 2],
                start,
                None,
            )?;
            one["labels"]["instance"] = json!(format!("i-{n}"));
            one["endsAt"] = json!("2099-01-01T00:00:00Z");
            Ok(one)
        })
        .collect();
    let storm = storm?;
    push(&alertmanager.url, &storm).await?;
    until("all are in the feed", || async {
        Ok(bench.list(ListAlerts::default()).await?.matching == u32::try_from(MANY).ok())
    })
    .await?;
    assert_eq!(story(&db.pool).await?.len(), MANY);

    // Repeated by Prometheus as it does every minute, nothing is written and memory stays as it is.
    bench.until_read_thrice().await?;
    let (before, written) = (bench.room.snapshot(), written(&db).await?);
    push(&alertmanager.url, &storm).await?;
    bench.until_read_thrice().await?;
    assert_eq!(bench.room.snapshot().revision(), before.revision());
    assert_eq!(self::written(&db).await?, written);

    // One more is one row more, and the others are the rows that they were.
    let mut other = alert("Other", "eu-west-1", start, None)?;
    other["endsAt"] = json!("2099-01-01T00:00:00Z");
    push(&alertmanager.url, &[other]).await?;
    until("one more fires", || async {
        Ok(bench.room.snapshot().rows().len() == MANY + 1)
    })
    .await?;
    let after = bench.room.snapshot();
    let same = before.rows().iter().filter(|row| {
        after
            .rows()
            .binary_search_by_key(&bagua_alerts::snapshot::place(&row.view), |e| {
                bagua_alerts::snapshot::place(&e.view)
            })
            .is_ok_and(|at| std::sync::Arc::ptr_eq(&after.rows()[at], row))
    });
    assert_eq!(same.count(), MANY);
    assert_eq!(story(&db.pool).await?.len(), MANY + 1);

    let groups = GroupAlerts {
        by: GroupBy::Rule,
        filter: ListAlerts {
            // Ireland, by its name.
            text: Some("irel".into()),
            ..ListAlerts::default()
        },
    };
    let groups = bench.console.ask(&Actor::system("test"), groups).await?;
    assert_eq!((groups.groups.len(), groups.left_out), (6, 0));
    assert_eq!(groups.matching as usize, MANY / 2 + 1);
    assert_eq!(groups.groups[0].firing, [250, 0, 0]);
    assert_eq!(groups.groups[5].key.as_deref(), Some("Other"));
    Ok(())
}

/// Row versions that the database has written to `alerts`, and the log's lines.
async fn written(db: &TestDb) -> anyhow::Result<(Option<String>, i64)> {
    let youngest = sqlx::query_scalar("SELECT max(xmin::text::bigint)::text FROM alerts").fetch_one(&db.pool);
    let lines = sqlx::query_scalar("SELECT count(*) FROM events WHERE topic = 'alerts'").fetch_one(&db.pool);
    Ok((youngest.await?, lines.await?))
}

/// With `ends` it has ended in the database, and memory has not heard of it.
async fn fires(bench: &Bench, name: &str, region: &str, ends: bool) -> anyhow::Result<Uuid> {
    let start = common::now() - Duration::minutes(5);
    bench
        .room
        .webhook(&notification(name, region, start, None)?, Some(&bearer()))
        .await?;
    let row = bench.firing().await?.into_iter().find(|v| v.name == name);
    let id = row.map(|v| v.alert).unwrap_or_default();
    if ends {
        sqlx::query("UPDATE alerts SET state = 'resolved', ended_at = now() WHERE id = $1")
            .bind(id)
            .execute(&bench.console.db)
            .await?;
    }
    Ok(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_acknowledged_in_one_operation_and_what_ended_is_skipped() -> anyhow::Result<()> {
    let db = TestDb::new().await?;
    let bench = Bench::start(db.pool.clone(), &nobody()?, &nobody()?, Timing::default())?;
    let (a, b) = (
        fires(&bench, "A", "eu-west-1", false).await?,
        fires(&bench, "B", "eu-west-1", false).await?,
    );
    let elsewhere = fires(&bench, "C", "us-east-1", false).await?;
    let ended = fires(&bench, "D", "eu-west-1", true).await?;
    let submit = async |actor: &Actor, input: Value| {
        let console = &bench.console;
        let kind = "alerts.acknowledge";
        let submitted = console
            .submit_json(actor, kind, input, Submission::default())
            .await;
        match submitted {
            Err(failure) => Err(failure.kind),
            Ok(submitted) => {
                let ask = GetOperation {
                    operation: submitted.operation,
                };
                let done = console
                    .ask(&Actor::system("test"), ask)
                    .await
                    .map_err(|f| f.kind)?;
                serde_json::from_value::<AcknowledgedMany>(done.outcome.unwrap_or_default())
                    .map_err(|_| FailureKind::Internal)
            }
        }
    };
    let (wei, ana) = (
        person("Wei", Role::Operator, Some("eu-west-1")),
        person("Ana", Role::Operator, None),
    );

    // Out of reach, too many at once, both, neither, and an alert that is not there.
    for (input, kind) in [
        (json!({ "alerts": [a, elsewhere] }), FailureKind::Forbidden),
        (json!({ "alerts": [elsewhere] }), FailureKind::Forbidden),
        (
            json!({ "alerts": [a, elsewhere], "region": "eu-west-1" }),
            FailureKind::NotFound,
        ),
        (
            json!({ "alerts": [Uuid::now_v7()], "region": "eu-west-1" }),
            FailureKind::NotFound,
        ),
        (
            json!({ "alerts": [] , "region": "eu-west-1" }),
            FailureKind::Invalid,
        ),
        (
            json!({ "alerts": [a], "matching": {}, "region": "eu-west-1" }),
            FailureKind::Invalid,
        ),
        (json!({ "alerts": [a], "minutes": 0 }), FailureKind::Invalid),
        (
            json!({ "alerts": vec![Uuid::now_v7(); 1].into_iter().chain((0..5_000).map(|_| Uuid::now_v7())).collect::<Vec<_>>(), "region": "eu-west-1" }),
            FailureKind::Invalid,
        ),
    ] {
        assert_eq!(
            submit(&wei, input.clone()).await,
            Err(kind),
            "{}",
            input.to_string().chars().take(200).collect::<String>()
        );
    }

    let plan = json!({ "alerts": [a, b], "note": "ours", "minutes": 30 });
    let plan = bench.console.plan_json(&wei, "alerts.acknowledge", plan).await?;
    assert_eq!(plan.plan.summary.args, [("n".to_owned(), "2".to_owned())]);

    let done = submit(
        &wei,
        json!({ "alerts": [a, b, ended], "note": "ours", "minutes": 30 }),
    )
    .await;
    // Memory may not have heard of the end yet: it is skipped all the same.
    assert_eq!(
        done,
        Ok(AcknowledgedMany {
            acknowledged: 2,
            ended: 1
        })
    );
    until("the feed shows Wei twice", || async {
        let rows = bench.firing().await?;
        Ok(rows
            .iter()
            .filter(|v| {
                v.acknowledged
                    .as_ref()
                    .is_some_and(|a| a.by == "Wei" && a.until.is_some())
            })
            .count()
            == 2)
    })
    .await?;
    let lines = story(&db.pool).await?;
    assert_eq!(
        lines.iter().filter(|kind| *kind == "alerts.acknowledged").count(),
        1
    );
    assert!(
        !lines.iter().any(|kind| kind == "alert.acknowledged"),
        "one line tells it: {lines:?}"
    );

    // All that match, in the regions that one looks after; what came after the look is left alone.
    let looked = common::now();
    until("the clock has moved on", || async {
        Ok(common::now() > looked + Duration::milliseconds(2))
    })
    .await?;
    let late = fires(&bench, "Late", "eu-west-1", false).await?;
    let rfc = looked.format(&time::format_description::well_known::Rfc3339)?;
    let done = submit(
        &wei,
        json!({ "matching": { "acknowledged": false }, "received_before": rfc }),
    )
    .await;
    assert_eq!(
        done,
        Err(FailureKind::Conflict),
        "only {late} is nobody's in eu-west-1"
    );
    let done = submit(
        &ana,
        json!({ "matching": {}, "note": "all", "received_before": rfc }),
    )
    .await;
    assert_eq!(
        done.map(|done| done.acknowledged),
        Ok(3),
        "what has ended is not among what fires"
    );
    let audited: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit WHERE kind = 'alerts.acknowledge' AND action = 'submit'",
    )
    .fetch_one(&db.pool)
    .await?;
    assert_eq!(audited, 2);

    let cover = bench
        .console
        .ask(&wei, CoverAlerts { alerts: vec![a, b] })
        .await?;
    assert_eq!(
        write_matchers(&cover),
        r#"alertname=~"A|B", region="eu-west-1", component="gateway""#
    );
    let hidden = bench
        .console
        .ask(
            &wei,
            CoverAlerts {
                alerts: vec![elsewhere],
            },
        )
        .await;
    assert_eq!(hidden.map_err(|f| f.kind).err(), Some(FailureKind::NotFound));
    Ok(())
}
