//! Permissions, denials, personal data, and the audit log that nobody changes.

use crate::Bench;
use bagua_core::{Actor, Answers, AskContext, Console, Verb};
use bagua_model::access::{Permission, Role};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{
    ApproveOperation, CancelOperation, CreateSchedule, DeleteSchedule, GetOperation, ListAudit,
    ListOperations, PauseSchedule, RejectOperation, RetryDecision, RetryOperation, Submission,
};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::verbs::Query;
use bagua_testkit::people::{administrator, operator, operator_in, person, system, viewer};
use bagua_testkit::probe::{Behaviour, Probe};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

#[tokio::test]
async fn who_holds_the_permission_nowhere_is_refused_and_it_is_written_down() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let vi = viewer("Vi");
    let refused = bench.console.ask(&vi, ListAudit::default()).await;
    assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Forbidden));
    let refused = bench
        .console
        .submit(&vi, Probe::new("a", &["tx-1"]), Submission::default())
        .await;
    let refused = refused.err().ok_or_else(|| anyhow::anyhow!("allowed"))?;
    assert_eq!(refused.kind, FailureKind::Forbidden);
    assert!(
        refused.text.to_string().contains("components.operate")
            || refused.text.args.iter().any(|(n, _)| n == "permission")
    );
    let plan = bench
        .console
        .plan_json(
            &vi,
            "probe.run",
            serde_json::to_value(Probe::new("a", &["tx-1"]))?,
        )
        .await;
    assert_eq!(plan.err().map(|f| f.kind), Some(FailureKind::Forbidden));
    assert_eq!(
        bench.outside.planned.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "it planned for a stranger"
    );
    let denials = bench
        .console
        .ask(
            &system(),
            ListAudit {
                action: Some("deny".into()),
                ..Default::default()
            },
        )
        .await?;
    let kinds: Vec<_> = denials
        .rows
        .iter()
        .rev()
        .map(|row| (row.kind.clone().unwrap_or_default(), row.result.clone()))
        .collect();
    let denied = |kind: &str| (kind.to_owned(), "denied".to_owned());
    assert_eq!(
        kinds,
        [denied("audit.list"), denied("probe.run"), denied("probe.run")]
    );
    assert!(denials.rows.iter().all(|row| row.person == vi.person()));
    Ok(())
}

#[tokio::test]
async fn a_grant_for_another_environment_opens_nothing_here() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let prod = Scope {
        environment: Some(Environment::Prod),
        region: None,
    };
    let actor = person("Pro", Role::Administrator, prod);
    assert_eq!(
        bench
            .console
            .ask(&actor, ListOperations::default())
            .await
            .err()
            .map(|f| f.kind),
        Some(FailureKind::Forbidden)
    );
    let refused = bench
        .console
        .submit(&actor, Probe::new("a", &["tx-1"]), Submission::default())
        .await;
    assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Forbidden));
    Ok(())
}

#[tokio::test]
async fn unknown_kinds_and_bad_input_are_said_plainly() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let ask = bench.console.ask_json(&wei, "no.such", json!({})).await;
    assert_eq!(ask.err().map(|f| f.kind), Some(FailureKind::NotFound));
    let submit = bench
        .console
        .submit_json(&wei, "no.such", json!({}), Submission::default())
        .await;
    assert_eq!(submit.err().map(|f| f.kind), Some(FailureKind::NotFound));
    let bad = bench
        .console
        .ask_json(&wei, "operations.list", json!({ "stats": [] }))
        .await;
    assert!(
        bad.err()
            .is_some_and(|f| f.kind == FailureKind::Invalid && f.text.to_string().contains("stats"))
    );
    let page = bench
        .console
        .ask_json(&wei, "operations.list", json!({ "limit": 5 }))
        .await?;
    assert_eq!(page, json!({ "rows": [], "next": null }));
    let cut = bench
        .console
        .ask_json(&wei, "operations.list", json!({ "after": "x" }))
        .await;
    assert_eq!(cut.err().map(|f| f.kind), Some(FailureKind::Invalid));
    Ok(())
}

#[tokio::test]
async fn lists_hold_what_the_grant_reaches_and_ones_own() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let dublin = operator_in("Aoife", "eu-west-1");
    let asia = bench.submit(Probe::new("a", &["tx-1"])).await?;
    let nowhere = bench.submit(Probe::new("n", &["tx-1"]).at(None)).await?;
    let mine = bench
        .submit(Probe::new("m", &["tx-1"]).at(Some("eu-west-1")))
        .await?;
    let seen = |actor: Actor| {
        let console = bench.console.clone();
        async move {
            let page = console.ask(&actor, ListOperations::default()).await?;
            anyhow::Ok(page.rows.iter().map(|row| row.operation).collect::<BTreeSet<_>>())
        }
    };
    assert_eq!(seen(dublin.clone()).await?, BTreeSet::from([mine]));
    assert_eq!(
        seen(operator("Lin")).await?,
        BTreeSet::from([asia, nowhere, mine])
    );
    // Wei submitted all three; with a grant in Dublin alone, Wei still sees them.
    let wei = person(
        "Wei",
        Role::Viewer,
        Scope {
            environment: None,
            region: Some(RegionId::new("eu-west-1")),
        },
    );
    assert_eq!(seen(wei.clone()).await?, BTreeSet::from([asia, nowhere, mine]));
    for (actor, operation, visible) in [
        (&dublin, asia, false),
        (&dublin, nowhere, false),
        (&dublin, mine, true),
        (&wei, nowhere, true),
    ] {
        let got = bench.console.ask(actor, GetOperation { operation }).await;
        match visible {
            true => assert!(got.is_ok()),
            false => assert_eq!(got.err().map(|f| f.kind), Some(FailureKind::NotFound)),
        }
    }
    // The same from memory.
    let stop = tokio_util::sync::CancellationToken::new();
    let live = tokio::spawn({
        let (live, stop) = (bench.console.live.clone(), stop.clone());
        async move { live.run(stop).await }
    });
    bagua_testkit::eventually("the hub", || async {
        Ok(bench.console.live.is_ready().then_some(()))
    })
    .await?;
    let active = ListOperations {
        states: bagua_model::operation::OperationState::ALL
            .iter()
            .copied()
            .filter(|s| !s.is_final())
            .collect(),
        ..Default::default()
    };
    for actor in [&dublin, &wei] {
        let page = bench.console.ask(actor, active.clone()).await?;
        let rows: BTreeSet<_> = page.rows.iter().map(|row| row.operation).collect();
        assert_eq!(rows, seen(actor.clone()).await?);
    }
    stop.cancel();
    live.await?;
    // The audit log is not one's own.
    let auditor = person(
        "Aud",
        Role::Auditor,
        Scope {
            environment: None,
            region: Some(RegionId::new("eu-west-1")),
        },
    );
    let audit = bench.console.ask(&auditor, ListAudit::default()).await?;
    assert!(
        audit
            .rows
            .iter()
            .all(|row| row.region.as_ref().is_some_and(|r| r.as_str() == "eu-west-1"))
    );
    assert_eq!(audit.rows.len(), 1);
    Ok(())
}

#[tokio::test]
async fn nobody_changes_the_audit_log() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    bench.run(Probe::new("a", &["tx-1"])).await?;
    for sql in [
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE false",
        "TRUNCATE audit",
        "UPDATE operation_events SET name = 'x'",
        "DELETE FROM operation_events",
    ] {
        for pool in [&bench.db.owner, &bench.db.app] {
            let refused = sqlx::query(sql).execute(pool).await;
            let code = refused.err().and_then(|e| {
                e.as_database_error()
                    .and_then(|e| e.code().map(|c| c.into_owned()))
            });
            assert_eq!(code.as_deref(), Some("42501"), "{sql}");
        }
    }
    Ok(())
}

/// A query whose answer is about people.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
struct Dossier {
    person: String,
}

impl Query for Dossier {
    const KIND: &'static str = "dossier.get";
    const PERMISSION: Permission = Permission::PeopleRead;
    const PERSONAL_DATA: bool = true;
    type Answer = String;
}

struct Dossiers;

#[async_trait::async_trait]
impl Answers<Dossier> for Dossiers {
    async fn answer(&self, _: &AskContext, query: Dossier) -> Result<String, Failure> {
        Ok(format!("all about {}", query.person))
    }
}

#[tokio::test]
async fn reading_personal_data_is_written_down_or_does_not_happen() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let mut parts = bagua_testkit::parts("dossiers", &bench.db, &bench.clock);
    parts.registry.query::<Dossier>(Arc::new(Dossiers));
    let console = Console::new(parts);
    let root = administrator("Root");
    let dossier = || Dossier {
        person: "p-7".to_owned(),
    };
    assert_eq!(console.ask(&root, dossier()).await?, "all about p-7");
    let reads = console
        .ask(
            &root,
            ListAudit {
                action: Some("read".into()),
                ..Default::default()
            },
        )
        .await?;
    assert_eq!(reads.rows.len(), 1);
    assert_eq!(reads.rows[0].detail["query"]["person"], json!("p-7"));
    sqlx::query("REVOKE INSERT ON audit FROM bagua_app")
        .execute(&bench.db.owner)
        .await?;
    assert!(
        console.ask(&root, dossier()).await.is_err(),
        "shown without a record"
    );
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "registered twice")]
async fn a_kind_registered_twice_does_not_start() {
    let db = sqlx::PgPool::connect_lazy("postgres://nobody@127.0.0.1:1/none").expect("a valid URL");
    let mut parts = bagua_core::ConsoleParts::new("x", db, Environment::Dev, bagua_testkit::clock());
    parts
        .registry
        .query::<Dossier>(Arc::new(Dossiers))
        .query::<Dossier>(Arc::new(Dossiers));
}

/// Every operation kind of the spine leaves the record of its submission, and its end.
#[tokio::test]
async fn every_kind_leaves_its_audit_rows() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (wei, lin) = (operator("Wei"), operator("Lin"));
    let submit = Submission::default;
    let console = &bench.console;
    let probe = |target: &str| Probe::new(target, &["effect-1"]);
    let cancelled = bench.submit(probe("c")).await?;
    console
        .submit(
            &wei,
            CancelOperation {
                operation: cancelled,
                reason: None,
            },
            submit(),
        )
        .await?;
    let approved = console
        .submit(&wei, bagua_testkit::probe::CriticalProbe(probe("a")), submit())
        .await?
        .operation;
    let hash = bench.view(approved).await?.plan_hash;
    console
        .submit(
            &lin,
            ApproveOperation {
                operation: approved,
                hash,
            },
            submit(),
        )
        .await?;
    let rejected = bench.submit(probe("r").with_approval()).await?;
    console
        .submit(
            &lin,
            RejectOperation {
                operation: rejected,
                reason: "no".into(),
            },
            submit(),
        )
        .await?;
    let asking = bench
        .run(probe("q").behave("effect-1", Behaviour::Asks))
        .await?
        .summary
        .operation;
    let give_up = RetryOperation {
        operation: asking,
        decision: RetryDecision::GiveUp,
        hash: None,
    };
    console.submit(&wei, give_up, submit()).await?;
    bench.work().await?;
    let name = "nightly".to_owned();
    let create = CreateSchedule {
        name: name.clone(),
        cron: "0 2 * * *".into(),
        kind: "probe.run".into(),
        input: serde_json::to_value(probe("s"))?,
    };
    console.submit(&wei, create, submit()).await?;
    console
        .submit(
            &wei,
            PauseSchedule {
                name: name.clone(),
                paused: true,
            },
            submit(),
        )
        .await?;
    console.submit(&wei, DeleteSchedule { name }, submit()).await?;

    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT kind, action, result FROM audit WHERE operation IS NOT NULL")
            .fetch_all(&bench.db.owner)
            .await?;
    for info in console.registry().kinds() {
        let ended = |result: &str| matches!(result, "succeeded" | "failed" | "cancelled");
        let of = |action: &str| {
            rows.iter()
                .filter(|(kind, a, _)| kind == info.kind && a == action)
                .map(|(_, _, r)| r.as_str())
                .collect::<Vec<_>>()
        };
        match info.verb {
            Verb::Query => assert!(of("submit").is_empty()),
            Verb::Immediate => assert!(
                of("submit").iter().any(|r| ended(r)),
                "{} leaves no record",
                info.kind
            ),
            Verb::Operation => {
                assert!(
                    of("submit").contains(&"allowed"),
                    "{} leaves no record of its submission",
                    info.kind
                );
                assert!(
                    of("finish").iter().any(|r| ended(r)),
                    "{} leaves no record of its end",
                    info.kind
                );
            }
        }
    }
    // And no operation at all is without.
    let silent: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM operations o WHERE NOT EXISTS (SELECT FROM audit a WHERE a.operation = o.id AND a.action = 'submit')
            OR (finished_at IS NOT NULL AND NOT EXISTS (SELECT FROM audit a WHERE a.operation = o.id AND a.result = o.state))",
    )
    .fetch_one(&bench.db.owner)
    .await?;
    assert_eq!(silent, 0);
    Ok(())
}
