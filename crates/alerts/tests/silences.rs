//! Silences in a real Alertmanager: through kills, by scope, with what they hold; and acknowledgements that run out.

mod common;

use bagua_core::run::{Fate, Moment, Point, Probe};
use bagua_core::{Actor, Worker};
use bagua_model::access::Role;
use bagua_model::alerts::{AlertView, GetPipeline};
use bagua_model::failure::FailureKind;
use bagua_model::operation::{GetOperation, OperationId, OperationState, OperationView, Submission};
use bagua_model::silences::{
    AlertHeldBy, HeldBy, ListSilences, PreviewSilence, SilenceState, SilenceView, read_matchers,
};
use common::db::TestDb;
use common::engines::{Engine, free_port};
use common::{Bench, alert, person, push, quick, story, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

fn nobody() -> anyhow::Result<String> {
    Ok(format!("http://127.0.0.1:{}", free_port()?))
}

/// What a test needs, on a real Alertmanager that has told of three alerts.
struct Stage {
    bench: Bench,
    db: TestDb,
    _alertmanager: Engine,
    _folder: tempfile::TempDir,
}

async fn stage(probe: Option<Probe>) -> anyhow::Result<Stage> {
    let (folder, db) = (tempfile::tempdir()?, TestDb::new().await?);
    let alertmanager = Engine::alertmanager(folder.path(), &nobody()?).await?;
    let start = common::now() - time::Duration::minutes(5);
    push(
        &alertmanager.url,
        &[
            alert("A", "eu-west-1", start, None)?,
            alert("B", "eu-west-1", start, None)?,
            alert("C", "us-east-1", start, None)?,
        ],
    )
    .await?;
    let bench = Bench::start_probed(db.pool.clone(), &alertmanager.url, &nobody()?, quick(), probe)?;
    bench.until_firing(&["A", "B", "C"]).await?;
    Ok(Stage {
        bench,
        db,
        _alertmanager: alertmanager,
        _folder: folder,
    })
}

fn wish(matchers: &str) -> anyhow::Result<Value> {
    let matchers = read_matchers(matchers).map_err(anyhow::Error::msg)?;
    Ok(json!({ "matchers": matchers, "minutes": 30, "comment": "works at the gate" }))
}

impl Stage {
    async fn submit(&self, actor: &Actor, kind: &str, input: Value) -> Result<OperationId, FailureKind> {
        let submitted = self
            .bench
            .console
            .submit_json(actor, kind, input, Submission::default())
            .await;
        submitted.map(|s| s.operation).map_err(|f| f.kind)
    }

    /// Until it has ended; the bench's own workers carry it out, and new ones do when those were killed.
    async fn ended(&self, operation: OperationId) -> anyhow::Result<OperationView> {
        let view = Mutex::new(None);
        until("the operation has ended", || async {
            Worker::new(&self.bench.console).run_once().await?;
            let now = self
                .bench
                .console
                .ask(&Actor::system("test"), GetOperation { operation })
                .await?;
            let ended = now.summary.state.is_final();
            *view.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            Ok(ended)
        })
        .await?;
        let view = view.into_inner().unwrap_or_else(PoisonError::into_inner);
        view.ok_or_else(|| anyhow::anyhow!("nothing was asked"))
    }

    async fn silences(&self, actor: &Actor, state: SilenceState) -> anyhow::Result<Vec<SilenceView>> {
        let state = Some(state);
        Ok(self.bench.console.ask(actor, ListSilences { state }).await?)
    }

    async fn find(&self, name: &str) -> anyhow::Result<AlertView> {
        let found = self.bench.firing().await?.into_iter().find(|v| v.name == name);
        found.ok_or_else(|| anyhow::anyhow!("{name} does not fire"))
    }
}

/// Kills the worker once at each of these points.
fn kills(points: &[(&str, Moment)]) -> Probe {
    let points = points.iter().map(|(step, moment)| ((*step).to_owned(), *moment));
    let left: Mutex<BTreeSet<(String, Moment)>> = Mutex::new(points.collect());
    Arc::new(move |point: &Point| {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        match left.remove(&(point.step.clone(), point.moment)) {
            true => Fate::Vanish,
            false => Fate::GoOn,
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_made_once_through_three_kills_holds_and_ends() -> anyhow::Result<()> {
    let probe = kills(&[
        ("create-silence", Moment::Started),
        // It stands, and nobody has written that down.
        ("create-silence", Moment::Acted),
        ("record-silence", Moment::Acted),
    ]);
    let stage = stage(Some(probe)).await?;
    let wei = person("Wei", Role::Operator, Some("eu-west-1"));
    let input = wish("alertname=~\"A|C\", region=eu-west-1")?;
    let plan = stage
        .bench
        .console
        .plan_json(&wei, "silence.create", input.clone())
        .await?;
    let n = ("n".to_owned(), "1".to_owned());
    assert!(plan.plan.estimates[0].args.contains(&n), "{:?}", plan.plan);

    let operation = stage
        .submit(&wei, "silence.create", input)
        .await
        .map_err(|k| anyhow::anyhow!("{k:?}"))?;
    let view = stage.ended(operation).await?;
    assert_eq!(view.summary.state, OperationState::Succeeded, "{view:?}");
    assert_eq!(view.attempt, 4, "three kills, so the fourth worker ends it");
    until("A is held", || async { Ok(stage.find("A").await?.suppressed) }).await?;
    assert!(!stage.find("B").await?.suppressed && !stage.find("C").await?.suppressed);
    let standing = stage.silences(&wei, SilenceState::Active).await?;
    let [silence] = standing.as_slice() else {
        anyhow::bail!("one silence is expected: {standing:?}");
    };
    assert_eq!(
        (silence.operation, silence.holds, silence.comment.as_str()),
        (Some(operation), 1, "works at the gate")
    );
    assert!(silence.owner.starts_with("Wei"), "{}", silence.owner);
    let alert = stage.find("A").await?.alert;
    let held_by = stage.bench.console.ask(&wei, AlertHeldBy { alert }).await?;
    assert_eq!(held_by, [HeldBy::Silence(silence.clone())]);

    // Whoever looks after another region neither sees nor ends it.
    let max = person("Max", Role::Operator, Some("us-east-1"));
    assert_eq!(stage.silences(&max, SilenceState::Active).await?, []);
    let ids = [silence.silence.as_str()];
    let end = json!({ "silences": ids, "region": "eu-west-1" });
    let lie = json!({ "silences": ids, "region": "us-east-1" });
    for (input, expected) in [
        (end.clone(), FailureKind::Forbidden),
        (json!({ "silences": ids }), FailureKind::Forbidden),
        (lie, FailureKind::NotFound),
    ] {
        let refused = stage.submit(&max, "silence.expire", input).await;
        assert_eq!(refused.err(), Some(expected));
    }
    let operation = stage
        .submit(&wei, "silence.expire", end.clone())
        .await
        .map_err(|k| anyhow::anyhow!("{k:?}"))?;
    let view = stage.ended(operation).await?;
    assert_eq!(view.summary.state, OperationState::Succeeded, "{view:?}");
    until("A is told again", || async {
        Ok(!stage.find("A").await?.suppressed)
    })
    .await?;
    assert_eq!(stage.silences(&wei, SilenceState::Active).await?, []);
    let again = stage.submit(&wei, "silence.expire", end).await;
    assert_eq!(again.err(), Some(FailureKind::Conflict));
    let told = story(&stage.db.pool).await?;
    let of = |kind: &str| told.iter().filter(|k| *k == kind).count();
    assert_eq!((of("silence.created"), of("silence.expired")), (1, 1), "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_silences_more_than_they_look_after() -> anyhow::Result<()> {
    let stage = stage(None).await?;
    let wei = person("Wei", Role::Operator, Some("eu-west-1"));
    for (actor, matchers, expected) in [
        (&wei, "alertname=A", FailureKind::Forbidden),
        (&wei, "alertname=A, region=us-east-1", FailureKind::Forbidden),
        (&wei, "alertname=A, region=~eu-west-1", FailureKind::Forbidden),
        (
            &person("Vi", Role::Viewer, None),
            "alertname=A",
            FailureKind::Forbidden,
        ),
        (
            &person("Ana", Role::Operator, None),
            "alertname=~.*",
            FailureKind::Invalid,
        ),
    ] {
        let refused = stage.submit(actor, "silence.create", wish(matchers)?).await;
        assert_eq!(refused.err(), Some(expected), "{matchers}");
    }
    for (field, value) in [("comment", json!(" ")), ("minutes", json!(60 * 24 * 31))] {
        let mut input = wish("region=eu-west-1")?;
        input[field] = value;
        let refused = stage.submit(&wei, "silence.create", input).await;
        assert_eq!(refused.err(), Some(FailureKind::Invalid), "{field}");
    }
    let matchers = read_matchers("alertname=~.+").map_err(anyhow::Error::msg)?;
    let preview = stage.bench.console.ask(&wei, PreviewSilence { matchers }).await?;
    assert_eq!(preview.count, 2, "only what Wei may see");
    // Nothing always fires here, and that is not taken for health.
    let pipeline = stage.bench.console.ask(&wei, GetPipeline {}).await?;
    assert_eq!(pipeline.last_seen, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_runs_out_once_and_the_alert_stands_on_top_again() -> anyhow::Result<()> {
    let stage = stage(None).await?;
    let wei = person("Wei", Role::Operator, None);
    let last = stage
        .bench
        .firing()
        .await?
        .pop()
        .map(|v| v.name)
        .unwrap_or_default();
    let alert = stage.find(&last).await?.alert;
    let take = json!({ "alert": alert, "minutes": "30" });
    let forever = json!({ "alert": alert, "minutes": 0 });
    let refused = stage.submit(&wei, "alert.acknowledge", forever).await;
    assert_eq!(refused.err(), Some(FailureKind::Invalid));
    stage
        .submit(&wei, "alert.acknowledge", take)
        .await
        .map_err(|k| anyhow::anyhow!("{k:?}"))?;
    until("Wei has it for half an hour", || async {
        let acknowledged = stage.find(&last).await?.acknowledged;
        Ok(acknowledged.is_some_and(|a| a.until == Some(a.at + time::Duration::minutes(30))))
    })
    .await?;
    // Half an hour passes.
    sqlx::query("UPDATE alerts SET acknowledged_until = now() WHERE id = $1")
        .bind(alert)
        .execute(&stage.db.pool)
        .await?;
    until("nobody has it, and it stands on top", || async {
        let rows = stage.bench.firing().await?;
        Ok(rows
            .first()
            .is_some_and(|v| v.alert == alert && v.acknowledged.is_none() && v.lapsed_at.is_some()))
    })
    .await?;
    stage.bench.until_read_thrice().await?;
    let told = story(&stage.db.pool).await?;
    let lapsed = told.iter().filter(|k| *k == "alert.acknowledgement-lapsed");
    assert_eq!(lapsed.count(), 1, "{told:?}");
    Ok(())
}
