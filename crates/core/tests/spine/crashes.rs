//! Probes through everything: killed at each point, each step failed, each undo repeated, cancelled at each point.

use crate::Bench;
use anyhow::ensure;
use bagua_core::Worker;
use bagua_core::run::{Fate, Moment, Point};
use bagua_model::operation::{OperationState, OperationView};
use bagua_testkit::harness::{Rig, expire_lease};
use bagua_testkit::people::operator;
use bagua_testkit::probe::{Behaviour, Outside, Probe};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const STEPS: [&str; 4] = ["tx-1", "effect-1", "tx-2", "effect-2"];

/// No effect twice, in neither direction, and none taken back that is not there.
async fn exactly_once(bench: &Bench, view: &OperationView) -> anyhow::Result<()> {
    let operation = view.summary.operation;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for effect in bench.effects(operation).await? {
        *seen.entry(effect).or_default() += 1;
    }
    ensure!(seen.values().all(|count| *count == 1), "the outside saw {seen:?}");
    let rows = bench.outside.rows(operation).await?;
    match view.summary.state {
        OperationState::Succeeded => {
            for step in &view.plan.steps {
                let there = if step.starts_with("tx") {
                    rows.contains(step)
                } else {
                    seen.contains_key(&format!("{step}:do"))
                };
                ensure!(there, "`{step}` is missing: rows {rows:?}, effects {seen:?}");
            }
            ensure!(
                seen.keys().all(|effect| effect.ends_with(":do")),
                "something was taken back: {seen:?}"
            );
        }
        OperationState::Failed | OperationState::Cancelled => {
            ensure!(rows.is_empty(), "rows were left behind: {rows:?}");
            for effect in seen.keys().filter_map(|effect| effect.strip_suffix(":do")) {
                ensure!(
                    seen.contains_key(&format!("{effect}:undo")),
                    "`{effect}` was not taken back: {seen:?}"
                );
            }
            for effect in seen.keys().filter_map(|effect| effect.strip_suffix(":undo")) {
                ensure!(
                    seen.contains_key(&format!("{effect}:do")),
                    "`{effect}` was taken back out of nothing"
                );
            }
        }
        other => ensure!(false, "it ended as {other}"),
    }
    Ok(())
}

fn input(probe: impl Fn() -> Probe + Sync) -> impl Fn(usize) -> Value + Sync {
    move |round| {
        let probe = Probe {
            target: format!("round-{round}"),
            ..probe()
        };
        serde_json::to_value(probe).unwrap_or_default()
    }
}

#[tokio::test]
async fn vanished_at_every_point_of_a_run() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let input = input(|| Probe::new("", &STEPS));
    let rig = Rig {
        console: &bench.console,
        actor: &wei,
        kind: "probe.run",
        input: &input,
    };
    let bench = &bench;
    let places = rig
        .vanish_everywhere(|view| async move { exactly_once(bench, &view).await })
        .await?;
    // Four moments for each step, and the end: fewer would mean that the harness looks away.
    assert_eq!(places, 4 * STEPS.len() + 1);
    Ok(())
}

#[tokio::test]
async fn vanished_at_every_point_of_an_undo_so_each_undo_is_repeated() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let input = input(|| {
        let steps: Vec<&str> = STEPS.into_iter().chain(["effect-3"]).collect();
        Probe::new("", &steps).behave("effect-3", Behaviour::FailsAfterwards)
    });
    let rig = Rig {
        console: &bench.console,
        actor: &wei,
        kind: "probe.run",
        input: &input,
    };
    let bench = &bench;
    let mut rounds = 0;
    let places = rig
        .vanish_everywhere(|view| {
            rounds += 1;
            async move {
                ensure!(
                    view.summary.state == OperationState::Failed,
                    "it ended as {}",
                    view.summary.state
                );
                // When the worker vanishes between the effect and the failure's row, the effect is acted again: a
                // kind that cannot ask the outside (`happened` says no) may double it. All others must be once.
                let view = without_the_failing_step(view);
                exactly_once_but(bench, &view, "effect-3").await
            }
        })
        .await?;
    assert!(
        rounds == places + 1 && places >= 4 * STEPS.len() + 3 * 5,
        "only {places} places"
    );
    Ok(())
}

fn without_the_failing_step(mut view: OperationView) -> OperationView {
    view.plan.steps.retain(|step| step != "effect-3");
    view
}

async fn exactly_once_but(bench: &Bench, view: &OperationView, lame: &str) -> anyhow::Result<()> {
    let effects = bench.effects(view.summary.operation).await?;
    let count = |effect: &str| effects.iter().filter(|e| *e == effect).count();
    for effect in &effects {
        ensure!(
            count(effect) == 1 || effect == &format!("{lame}:do"),
            "the outside saw {effects:?}"
        );
        let back = effect.replace(":do", ":undo");
        ensure!(
            count(&back) == 1,
            "`{effect}` was not taken back once: {effects:?}"
        );
    }
    ensure!(
        bench.outside.rows(view.summary.operation).await?.is_empty(),
        "rows were left behind"
    );
    Ok(())
}

#[tokio::test]
async fn each_step_failed_before_and_after_its_effect() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let input = input(|| Probe::new("", &STEPS));
    let rig = Rig {
        console: &bench.console,
        actor: &wei,
        kind: "probe.run",
        input: &input,
    };
    let mut round = 0;
    for step in STEPS {
        for moment in [
            Moment::BeforeStep,
            Moment::Started,
            Moment::Acted,
            Moment::Remembered,
        ] {
            round += 1;
            let view = rig.fail_at(round, step, moment).await?;
            let place = format!("failed at {moment:?} of `{step}`");
            assert_eq!(view.summary.state, OperationState::Failed, "{place}");
            exactly_once(&bench, &view).await.map_err(|e| e.context(place))?;
            rig.check_audit(&view).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn cancelled_at_each_point() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    let input = input(|| Probe::new("", &STEPS));
    let rig = Rig {
        console: &bench.console,
        actor: &wei,
        kind: "probe.run",
        input: &input,
    };
    let mut round = 0;
    for step in STEPS {
        for moment in [
            Moment::BeforeStep,
            Moment::Started,
            Moment::Acted,
            Moment::Remembered,
        ] {
            round += 1;
            let view = rig.cancel_at(round, step, moment).await?;
            let place = format!("cancelled at {moment:?} of `{step}`");
            assert_eq!(view.summary.state, OperationState::Cancelled, "{place}");
            assert!(view.failure.is_none(), "{place}: {:?}", view.failure);
            exactly_once(&bench, &view).await.map_err(|e| e.context(place))?;
            rig.check_audit(&view).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn vanished_again_and_again_it_still_ends() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &STEPS)).await?;
    let seen: Arc<Mutex<Vec<Point>>> = Arc::default();
    let known = seen.clone();
    let mut settings = bench.console.worker_settings().clone();
    // Every point kills one worker, the first time it is passed.
    settings.probe = Some(Arc::new(move |point: &Point| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known
            .iter()
            .any(|p| p.step == point.step && p.moment == point.moment)
        {
            return Fate::GoOn;
        }
        known.push(point.clone());
        Fate::Vanish
    }));
    let worker = Worker::with_settings(&bench.console, settings, "unlucky".to_owned());
    let mut rounds = 0;
    while !bench.state(operation).await?.is_final() {
        worker.run_once().await?;
        expire_lease(&bench.console, operation).await.ok();
        rounds += 1;
        ensure!(rounds < 100, "it never ends");
    }
    let view = bench.view(operation).await?;
    assert_eq!(view.summary.state, OperationState::Succeeded);
    assert!(view.attempt >= 4 * 4, "only {} attempts", view.attempt);
    exactly_once(&bench, &view).await
}

/// A worker in a thread, runtime and pool of its own that stands still, heartbeat included, when it comes to the
/// point; it goes on when told to.
struct Standing {
    go_on: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl Standing {
    async fn at(bench: &Bench, step: &'static str, moment: Moment) -> anyhow::Result<Standing> {
        let (reached, standing) = std::sync::mpsc::channel::<()>();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let (url, clock) = (bench.db.app_url.clone(), bench.clock.clone());
        let thread = std::thread::spawn(move || -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let db = sqlx::PgPool::connect(&url).await?;
                let environment = bagua_model::region::Environment::Dev;
                let mut parts = bagua_core::ConsoleParts::new("stale", db.clone(), environment, clock);
                Outside::open(db).register(&mut parts);
                parts.workers.probe = Some(Arc::new(move |point: &Point| {
                    if point.step == step && point.moment == moment {
                        reached.send(()).ok();
                        wait.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
                    }
                    Fate::GoOn
                }));
                Worker::new(&bagua_core::Console::new(parts)).run_once().await?;
                Ok(())
            })
        });
        tokio::task::spawn_blocking(move || standing.recv()).await??;
        Ok(Standing { go_on, thread })
    }

    async fn go_on(self) -> anyhow::Result<()> {
        self.go_on.send(())?;
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        joined.map_err(|_| anyhow::anyhow!("the stale worker panicked"))?
    }
}

#[tokio::test]
async fn a_stale_worker_changes_nothing() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    // The first worker stands still at each kind of write while another takes over and finishes.
    for (step, moment) in [
        ("tx-1", Moment::BeforeStep),
        ("tx-1", Moment::Started),
        ("tx-1", Moment::Remembered),
        ("effect-1", Moment::Acted),
        ("", Moment::BeforeFinish),
    ] {
        let operation = bench
            .submit(Probe::new(&format!("{step}-{moment:?}"), &STEPS))
            .await?;
        let stale = Standing::at(&bench, step, moment).await?;
        expire_lease(&bench.console, operation).await?;
        bench.work().await?;
        let before = bench.view(operation).await?;
        assert_eq!(
            (before.summary.state, before.attempt),
            (OperationState::Succeeded, 2)
        );
        stale.go_on().await?;
        let after = bench.view(operation).await?;
        assert_eq!(
            before, after,
            "the stale worker changed something at {moment:?} of `{step}`"
        );
        assert_eq!(bench.outside.rows(operation).await?, ["tx-1", "tx-2"]);
        assert_eq!(bench.effects(operation).await?, ["effect-1:do", "effect-2:do"]);
        assert_eq!(
            bench.audit(operation).await?,
            ["submit:allowed", "finish:succeeded"]
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_stale_worker_cannot_undo_what_another_has_ended() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for moment in [Moment::BeforeUndo, Moment::UndoActed] {
        let probe =
            Probe::new(&format!("{moment:?}"), &["tx-1", "effect-1"]).behave("effect-1", Behaviour::Fails);
        let operation = bench.submit(probe).await?;
        let stale = Standing::at(&bench, "tx-1", moment).await?;
        expire_lease(&bench.console, operation).await?;
        bench.work().await?;
        let before = bench.view(operation).await?;
        assert_eq!(
            (before.summary.state, before.attempt),
            (OperationState::Failed, 2)
        );
        stale.go_on().await?;
        assert_eq!(before, bench.view(operation).await?);
        assert_eq!(bench.audit(operation).await?, ["submit:allowed", "finish:failed"]);
    }
    Ok(())
}

#[tokio::test]
async fn an_open_transaction_is_not_overtaken_even_when_the_lease_has_run_out() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let operation = bench.submit(Probe::new("a", &STEPS)).await?;
    let slow = Standing::at(&bench, "tx-1", Moment::Acted).await?;
    expire_lease(&bench.console, operation).await?;
    let claimed = tokio::time::timeout(Duration::from_secs(5), Worker::new(&bench.console).run_once()).await;
    assert_eq!(claimed??, None, "claimed in the middle of a transaction");
    slow.go_on().await?;
    let view = bench.view(operation).await?;
    assert_eq!((view.summary.state, view.attempt), (OperationState::Succeeded, 1));
    assert_eq!(bench.outside.rows(operation).await?, ["tx-1", "tx-2"]);
    Ok(())
}
