//! Start, stop and restart through the engine, with faults: kills, lost replies, 500s, silence.

mod support;

use bagua_core::run::{Fate, Moment, Point, Probe};
use bagua_core::{Actor, Console, ConsoleParts, Worker};
use bagua_model::failure::FailureKind;
use bagua_model::operation::{GetOperation, OperationId, OperationState, OperationView, Submission};
use bagua_model::region::{Environment, RegionId};
use bagua_model::regions::ComponentId;
use bagua_model::supervisor::{Action, ProcessState};
use bagua_model::text::keys;
use bagua_regions::{ComponentConfig, RegionsConfig, Room, register};
use bagua_testkit::harness::Rig;
use bagua_testkit::{TestDatabase, clock, database};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use support::{Fault, Supervisor};

type Outcome = anyhow::Result<()>;

const GATEWAY: &str = "eu-west-1/gateway";
/// How many components the crash harness has, one for each of its rounds.
const ROUNDS: usize = 32;

struct Bench {
    console: Arc<Console>,
    supervisor: Supervisor,
    _folder: tempfile::TempDir,
    _db: TestDatabase,
}

impl Bench {
    async fn new() -> anyhow::Result<Bench> {
        Bench::with_probe(None).await
    }

    async fn with_probe(probe: Option<Probe>) -> anyhow::Result<Bench> {
        let folder = tempfile::tempdir()?;
        let db = database().await?;
        let many: Vec<String> = (0..ROUNDS).map(|n| format!("eu-west-1/service-{n}")).collect();
        let mut ids = vec![GATEWAY, "global/alertmanager", "global/postgres"];
        ids.extend(many.iter().map(String::as_str));
        let supervisor = Supervisor::start(folder.path(), &ids)?;
        // A standing clock, so that no outcome depends on how quick the test was.
        let mut parts = ConsoleParts::new("test", db.app.clone(), Environment::Dev, clock());
        parts.workers.lease = Duration::from_millis(600);
        parts.workers.retry.first_pause = Duration::from_millis(20);
        parts.workers.probe = probe;
        let component = |id: &str, critical| -> anyhow::Result<ComponentConfig> {
            let id: ComponentId = id.parse().map_err(anyhow::Error::msg)?;
            Ok(ComponentConfig {
                id,
                critical,
                health_url: None,
            })
        };
        let mut components = vec![
            component(GATEWAY, false)?,
            component("global/alertmanager", true)?,
            component("global/postgres", true)?,
            component("global/elsewhere", false)?,
        ];
        for id in &many {
            components.push(component(id, false)?);
        }
        let config = RegionsConfig {
            environment: Environment::Dev,
            prometheus_url: "http://127.0.0.1:9".into(),
            supervisor_socket: Some(supervisor.socket()),
            regions: vec![RegionId::new("eu-west-1")],
            components,
        };
        let room = Room::new(config, &parts)?;
        register(&mut parts.registry, room);
        Ok(Bench {
            console: Console::new(parts),
            supervisor,
            _folder: folder,
            _db: db,
        })
    }

    async fn submit(&self, kind: &str, component: &str) -> anyhow::Result<OperationId> {
        let input = json!({ "component": component });
        let submission = Submission::default();
        Ok(self
            .console
            .submit_json(&system(), kind, input, submission)
            .await?
            .operation)
    }

    /// Works, as ever new workers after each kill, until the operation has ended or waits for a person.
    async fn work(&self, operation: OperationId) -> anyhow::Result<OperationView> {
        let begun = Instant::now();
        loop {
            Worker::new(&self.console).run_once().await?;
            let view = self.console.ask(&system(), GetOperation { operation }).await?;
            if view.summary.state.is_final() || view.summary.state == OperationState::NeedsOperator {
                return Ok(view);
            }
            anyhow::ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "{operation} never ended: {view:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The key of the field error with which a plan is refused.
    async fn refused(&self, kind: &str, component: &str) -> anyhow::Result<String> {
        let input = json!({ "component": component });
        match self.console.plan_json(&system(), kind, input).await {
            Ok(plan) => anyhow::bail!("{kind} of {component} was planned: {plan:?}"),
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::Invalid, "{failure}");
                let (field, text) = failure
                    .fields
                    .into_iter()
                    .next()
                    .ok_or_else(|| anyhow::anyhow!("no field"))?;
                assert_eq!(field, "component");
                Ok(text.key)
            }
        }
    }
}

fn system() -> Actor {
    Actor::system("test")
}

/// Kills the worker once at each of these points.
fn kills(points: &[(&str, Moment)]) -> Probe {
    let left: Mutex<BTreeSet<(String, Moment)>> = Mutex::new(
        points
            .iter()
            .map(|(step, moment)| ((*step).to_owned(), *moment))
            .collect(),
    );
    Arc::new(move |point: &Point| {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.remove(&(point.step.clone(), point.moment)) {
            Fate::Vanish
        } else {
            Fate::GoOn
        }
    })
}

#[tokio::test]
async fn a_restart_happens_once_through_three_kills() -> Outcome {
    let probe = kills(&[
        ("signal", Moment::Started),
        // The wish has been carried out, and nobody has written that down.
        ("signal", Moment::Acted),
        ("wait-ready", Moment::Acted),
    ]);
    let bench = Bench::with_probe(Some(probe)).await?;
    let operation = bench.submit("component.restart", GATEWAY).await?;
    let view = bench.work(operation).await?;
    assert_eq!(view.summary.state, OperationState::Succeeded, "{view:?}");
    assert_eq!(view.attempt, 4, "three kills, so the fourth worker ends it");
    assert_eq!(
        bench.supervisor.effects(),
        [(GATEWAY.to_owned(), Action::Restart)]
    );
    let outcome = view.outcome.unwrap_or_default();
    assert_eq!(
        (&outcome["state"], &outcome["pid"]),
        (&json!("running"), &json!(1002))
    );
    Ok(())
}

#[tokio::test]
async fn every_kind_happens_once_whatever_becomes_of_the_reply() -> Outcome {
    for fault in [Fault::ReplyLost, Fault::Error500, Fault::Late] {
        let bench = Bench::new().await?;
        for (kind, action) in [
            ("component.restart", Action::Restart),
            ("component.stop", Action::Stop),
            ("component.start", Action::Start),
        ] {
            let before = bench.supervisor.effects().len();
            bench.supervisor.fault(fault);
            let operation = bench.submit(kind, GATEWAY).await?;
            let view = bench.work(operation).await?;
            assert_eq!(
                view.summary.state,
                OperationState::Succeeded,
                "{kind} with {fault:?}: {view:?}"
            );
            assert_eq!(
                bench.supervisor.effects()[before..],
                [(GATEWAY.to_owned(), action)],
                "{kind} with {fault:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stop_that_is_cancelled_after_the_signal_is_undone() -> Outcome {
    // The first worker dies right after the effect; before the second comes, somebody cancels.
    let bench = Bench::with_probe(Some(kills(&[("signal", Moment::Acted)]))).await?;
    let operation = bench.submit("component.stop", GATEWAY).await?;
    Worker::new(&bench.console).run_once().await?;
    assert_eq!(bench.supervisor.effects(), [(GATEWAY.to_owned(), Action::Stop)]);
    let cancel = json!({ "operation": operation });
    bench
        .console
        .submit_json(&system(), "operation.cancel", cancel, Submission::default())
        .await?;
    let view = bench.work(operation).await?;
    assert_eq!(view.summary.state, OperationState::Cancelled, "{view:?}");
    let both = [Action::Stop, Action::Start].map(|action| (GATEWAY.to_owned(), action));
    assert_eq!(bench.supervisor.effects(), both);
    Ok(())
}

#[tokio::test]
async fn a_failed_start_leaves_the_component_stopped_as_it_was() -> Outcome {
    for fault in [Fault::Fails, Fault::NeverReady] {
        let bench = Bench::new().await?;
        bench.supervisor.change(GATEWAY, |status| {
            status.state = ProcessState::Stopped;
            status.pid = None;
        });
        bench.supervisor.fault(fault);
        let operation = bench.submit("component.start", GATEWAY).await?;
        let view = bench.work(operation).await?;
        assert_eq!(view.summary.state, OperationState::Failed, "{view:?}");
        let both = [Action::Start, Action::Stop].map(|action| (GATEWAY.to_owned(), action));
        assert_eq!(bench.supervisor.effects(), both, "{fault:?}");
        let why = view.failure.ok_or_else(|| anyhow::anyhow!("no reason"))?;
        assert!(
            [keys::COMPONENT_SUPERVISOR_FAILED, keys::COMPONENT_CRASHES].contains(&why.key.as_str()),
            "{why}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_component_that_was_restarted_meanwhile_asks_again() -> Outcome {
    let bench = Bench::new().await?;
    let operation = bench.submit("component.restart", GATEWAY).await?;
    bench.supervisor.change(GATEWAY, |status| {
        status.generation += 1;
        status.pid = Some(4_711);
    });
    let view = bench.work(operation).await?;
    assert_eq!(view.summary.state, OperationState::NeedsOperator);
    assert!(
        bench.supervisor.effects().is_empty(),
        "nothing was done to the new process"
    );
    Ok(())
}

#[tokio::test]
async fn a_component_that_keeps_crashing_can_be_restarted() -> Outcome {
    let bench = Bench::new().await?;
    let crash = |status: &mut bagua_model::supervisor::ComponentStatus| {
        status.state = ProcessState::CrashLooping;
        status.generation += 1;
        status.crashes += 1;
        status.pid = None;
    };
    bench.supervisor.change(GATEWAY, crash);
    let operation = bench.submit("component.restart", GATEWAY).await?;
    bench.supervisor.change(GATEWAY, crash);
    let view = bench.work(operation).await?;
    assert_eq!(
        view.summary.state,
        OperationState::Succeeded,
        "one crash more is no drift: {view:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_field_error() -> Outcome {
    let bench = Bench::new().await?;
    assert_eq!(
        bench.refused("component.start", GATEWAY).await?,
        keys::COMPONENT_ALREADY_RUNNING
    );
    assert_eq!(
        bench.refused("component.restart", "eu-west-1/nothing").await?,
        keys::COMPONENT_UNKNOWN
    );
    assert_eq!(
        bench.refused("component.restart", "global/elsewhere").await?,
        keys::COMPONENT_UNSUPERVISED
    );
    assert_eq!(
        bench.refused("component.stop", "global/postgres").await?,
        keys::COMPONENT_NEEDED_BY_CONSOLE
    );
    bench
        .supervisor
        .change(GATEWAY, |status| status.state = ProcessState::BackingOff);
    assert_eq!(
        bench.refused("component.start", GATEWAY).await?,
        keys::COMPONENT_STARTED_AGAIN_AND_AGAIN
    );
    bench
        .supervisor
        .change(GATEWAY, |status| status.state = ProcessState::Stopped);
    assert_eq!(
        bench.refused("component.stop", GATEWAY).await?,
        keys::COMPONENT_ALREADY_STOPPED
    );
    assert_eq!(
        bench.refused("component.restart", GATEWAY).await?,
        keys::COMPONENT_STOPPED_START_IT
    );
    Ok(())
}

#[tokio::test]
async fn stopping_what_the_alerts_need_wants_a_second_person() -> Outcome {
    let bench = Bench::new().await?;
    let input = json!({ "component": "global/alertmanager" });
    let stop = bench
        .console
        .plan_json(&system(), "component.stop", input.clone())
        .await?;
    assert!(stop.plan.approval.is_some());
    let restart = bench
        .console
        .plan_json(&system(), "component.restart", input)
        .await?;
    assert!(restart.plan.approval.is_none());
    let operation = bench.submit("component.stop", "global/alertmanager").await?;
    Worker::new(&bench.console).run_once().await?;
    let view = bench.console.ask(&system(), GetOperation { operation }).await?;
    assert_eq!(view.summary.state, OperationState::AwaitingApproval);
    assert!(bench.supervisor.effects().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_second_time_the_plan_says_how_long_the_first_took() -> Outcome {
    let bench = Bench::new().await?;
    let input = json!({ "component": GATEWAY });
    let estimate = async |bench: &Bench| -> anyhow::Result<String> {
        let view = bench
            .console
            .plan_json(&system(), "component.restart", input.clone())
            .await?;
        Ok(view
            .plan
            .estimates
            .first()
            .map(|text| text.key.clone())
            .unwrap_or_default())
    };
    assert_eq!(estimate(&bench).await?, keys::PLAN_COMPONENT_TOOK_UNKNOWN);
    let operation = bench.submit("component.restart", GATEWAY).await?;
    bench.work(operation).await?;
    assert_eq!(estimate(&bench).await?, keys::PLAN_COMPONENT_TOOK);
    Ok(())
}

#[tokio::test]
async fn a_kill_at_any_point_of_any_kind_neither_loses_nor_doubles_the_effect() -> Outcome {
    for kind in ["component.restart", "component.stop", "component.start"] {
        let bench = Bench::new().await?;
        if kind == "component.start" {
            for n in 0..ROUNDS {
                bench
                    .supervisor
                    .change(&format!("eu-west-1/service-{n}"), |status| {
                        status.state = ProcessState::Stopped;
                        status.pid = None;
                    });
            }
        }
        let actor = system();
        let input = |round: usize| json!({ "component": format!("eu-west-1/service-{round}") });
        let rig = Rig {
            console: &bench.console,
            actor: &actor,
            kind,
            input: &input,
        };
        let mut ended = 0;
        let places = rig
            .vanish_everywhere(|view| {
                ended += 1;
                let effects = bench.supervisor.effects();
                async move {
                    anyhow::ensure!(view.summary.state == OperationState::Succeeded, "{view:?}");
                    anyhow::ensure!(
                        effects.len() == ended,
                        "{} effects after {ended} operations",
                        effects.len()
                    );
                    Ok(())
                }
            })
            .await
            .map_err(|error| error.context(kind))?;
        assert!(places >= 8, "{kind} passed {places} points only");
    }
    Ok(())
}
