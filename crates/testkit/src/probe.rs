//! `probe.run`: an operation that does what the test says, on an outside that remembers every effect.
//!
//! The outside is two tables of the test's database, reached over connections of their own: what an operation does
//! there is outside its fenced transactions, as a process or another system would be.

use async_trait::async_trait;
use bagua_core::{ConsoleParts, Handles, PlanContext, RunContext, StepFailure};
use bagua_model::access::Permission;
use bagua_model::failure::Failure;
use bagua_model::operation::{OperationId, Plan};
use bagua_model::region::{RegionId, Scope};
use bagua_model::text::Text;
use bagua_model::verbs::{Operation, Risk, Target};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a probe's step does to its operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// It works.
    #[default]
    Works,
    /// It fails for good, before it has any effect.
    Fails,
    /// It has its effect and then says that it failed.
    FailsAfterwards,
    /// It fails in passing once, after its effect, then works.
    Falters,
    /// It always fails in passing.
    FaltersForEver,
    /// It asks for a person, until the world is at 100.
    Asks,
    /// It panics.
    Panics,
    /// It waits for a cancel.
    Waits,
}

/// A step of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeStep {
    /// Its name.
    pub name: String,
    /// An effect outside, or rows within.
    pub effect: bool,
    /// What it does.
    pub behaviour: Behaviour,
    /// Its undo fails until the world is at 100.
    pub undo_fails: bool,
}

/// The operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Probe {
    /// What it acts on.
    pub target: String,
    /// Where.
    pub region: Option<String>,
    /// Its steps.
    pub steps: Vec<ProbeStep>,
    /// Whether the plan asks for a second person.
    pub approval: bool,
}

impl Probe {
    /// Steps that work; names that begin with `tx` are rows, others effects.
    pub fn new(target: &str, steps: &[&str]) -> Probe {
        let step = |name: &&str| ProbeStep {
            name: (*name).to_owned(),
            effect: !name.starts_with("tx"),
            behaviour: Behaviour::Works,
            undo_fails: false,
        };
        Probe {
            target: target.to_owned(),
            region: Some("ap-east-1".to_owned()),
            steps: steps.iter().map(step).collect(),
            approval: false,
        }
    }

    /// Gives one step a behaviour.
    #[must_use]
    pub fn behave(mut self, step: &str, behaviour: Behaviour) -> Probe {
        for s in self.steps.iter_mut().filter(|s| s.name == step) {
            s.behaviour = behaviour;
        }
        self
    }

    /// Has one step's undo fail.
    #[must_use]
    pub fn undo_fails(mut self, step: &str) -> Probe {
        for s in self.steps.iter_mut().filter(|s| s.name == step) {
            s.undo_fails = true;
        }
        self
    }

    /// Asks for a second person.
    #[must_use]
    pub fn with_approval(mut self) -> Probe {
        self.approval = true;
        self
    }

    /// Binds it to a region, or to none.
    #[must_use]
    pub fn at(mut self, region: Option<&str>) -> Probe {
        self.region = region.map(str::to_owned);
        self
    }
}

impl Operation for Probe {
    const KIND: &'static str = "probe.run";
    const PERMISSION: Permission = Permission::ComponentsOperate;
    const RISK: Risk = Risk::Moderate;
    type Outcome = i64;

    fn target(&self) -> Target {
        let scope = Scope {
            environment: None,
            region: self.region.as_ref().map(RegionId::new),
        };
        Target {
            noun: "probe".into(),
            id: self.target.clone(),
            scope,
        }
    }
}

/// A probe of the highest risk: needs a second person by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CriticalProbe(pub Probe);

impl Operation for CriticalProbe {
    const KIND: &'static str = "probe.critical";
    const PERMISSION: Permission = Permission::ComponentsOperate;
    const RISK: Risk = Risk::Critical;
    type Outcome = i64;

    fn target(&self) -> Target {
        self.0.target()
    }
}

/// The outside.
#[derive(Clone)]
pub struct Outside {
    db: PgPool,
    /// How often probes have been planned in this process.
    pub planned: Arc<AtomicUsize>,
}

/// One effect that the outside saw.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Effect {
    /// The step.
    pub step: String,
    /// `do` or `undo`.
    pub direction: String,
}

impl Outside {
    /// Makes the tables.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn create(owner: &PgPool) -> anyhow::Result<Outside> {
        sqlx::raw_sql(
            "CREATE TABLE probe_effects (id bigserial PRIMARY KEY, operation uuid NOT NULL, step text NOT NULL,
                 key uuid NOT NULL, direction text NOT NULL);
             CREATE TABLE probe_rows (operation uuid NOT NULL, step text NOT NULL, attempt integer NOT NULL,
                 PRIMARY KEY (operation, step));
             CREATE TABLE probe_world (value integer NOT NULL);
             INSERT INTO probe_world VALUES (0);
             GRANT ALL ON probe_effects, probe_rows, probe_world, probe_effects_id_seq TO bagua_app;",
        )
        .execute(owner)
        .await?;
        Ok(Outside::open(owner.clone()))
    }

    /// The tables that another process has made.
    pub fn open(db: PgPool) -> Outside {
        Outside {
            db,
            planned: Arc::default(),
        }
    }

    /// Registers the probes.
    pub fn register(&self, parts: &mut ConsoleParts) {
        let room = Arc::new(self.clone());
        parts
            .registry
            .operation::<Probe>(room.clone())
            .operation::<CriticalProbe>(room);
    }

    /// Moves the world on: plans that were made before have drifted.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_world(&self, value: i32) -> anyhow::Result<()> {
        sqlx::query("UPDATE probe_world SET value = $1")
            .bind(value)
            .execute(&self.db)
            .await?;
        Ok(())
    }

    async fn world(&self) -> Result<i32, sqlx::Error> {
        sqlx::query_scalar("SELECT value FROM probe_world")
            .fetch_one(&self.db)
            .await
    }

    /// Every effect of an operation, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn effects(&self, operation: OperationId) -> anyhow::Result<Vec<Effect>> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT step, direction FROM probe_effects WHERE operation = $1 ORDER BY id")
                .bind(operation.0)
                .fetch_all(&self.db)
                .await?;
        Ok(rows
            .into_iter()
            .map(|(step, direction)| Effect { step, direction })
            .collect())
    }

    /// The rows that an operation's transactions left, in order of name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rows(&self, operation: OperationId) -> anyhow::Result<Vec<String>> {
        let steps = sqlx::query_scalar("SELECT step FROM probe_rows WHERE operation = $1 ORDER BY step")
            .bind(operation.0)
            .fetch_all(&self.db)
            .await?;
        Ok(steps)
    }

    /// Has an effect. Does not ask whether it had it before: doubled effects must be seen.
    async fn act(&self, cx: &RunContext, step: &str, direction: &str) -> Result<(), StepFailure> {
        sqlx::query("INSERT INTO probe_effects (operation, step, key, direction) VALUES ($1, $2, $3, $4)")
            .bind(cx.operation().0)
            .bind(step)
            .bind(cx.step_key(step))
            .bind(direction)
            .execute(&self.db)
            .await?;
        Ok(())
    }

    /// Whether the outside knows the effect, by its key alone.
    async fn happened(&self, cx: &RunContext, step: &str, direction: &str) -> Result<bool, StepFailure> {
        Ok(
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM probe_effects WHERE key = $1 AND direction = $2)")
                .bind(cx.step_key(step))
                .bind(direction)
                .fetch_one(&self.db)
                .await?,
        )
    }

    async fn plan_probe(&self, probe: &Probe) -> Result<Plan, Failure> {
        self.planned.fetch_add(1, Ordering::SeqCst);
        let world = self.world().await.map_err(bagua_core::db::failure)?;
        Ok(Plan {
            summary: Text::verbatim(format!("Probe {}", probe.target)),
            changes: probe
                .steps
                .iter()
                .map(|step| Text::verbatim(&step.name))
                .collect(),
            facts: BTreeMap::from([("world".to_owned(), json!(world / 10 * 10))]),
            estimates: vec![Text::verbatim(format!("the world is at {world}"))],
            warnings: vec![],
            steps: probe.steps.iter().map(|step| step.name.clone()).collect(),
            approval: probe.approval.then(|| Text::verbatim("the test wants one")),
        })
    }

    async fn run_probe(&self, cx: &RunContext, probe: &Probe) -> Result<i64, StepFailure> {
        let mut sum = 0;
        for step in &probe.steps {
            let value: i64 = if step.effect {
                cx.effect(
                    &step.name,
                    || async {
                        let failed = step.behaviour == Behaviour::FailsAfterwards;
                        Ok((!failed && self.happened(cx, &step.name, "do").await?).then_some(1))
                    },
                    || self.effect_step(cx, step),
                )
                .await?
            } else {
                let (operation, attempt) = (cx.operation().0, cx.attempt());
                cx.transaction(&step.name, |mut db| {
                    Box::pin(async move {
                        sqlx::query("INSERT INTO probe_rows (operation, step, attempt) VALUES ($1, $2, $3)")
                            .bind(operation)
                            .bind(&step.name)
                            .bind(attempt)
                            .execute(&mut *db)
                            .await?;
                        self.behave(cx, step).await?;
                        Ok(10)
                    })
                })
                .await?
            };
            sum += value;
        }
        Ok(sum)
    }

    async fn effect_step(&self, cx: &RunContext, step: &ProbeStep) -> Result<i64, StepFailure> {
        match step.behaviour {
            Behaviour::FailsAfterwards => {
                self.act(cx, &step.name, "do").await?;
                Err(StepFailure::failed("made to fail afterwards"))
            }
            Behaviour::Falters => {
                // The first call has its effect and loses the answer; the engine must ask before the next.
                self.act(cx, &step.name, "do").await?;
                Err(StepFailure::transient("the answer was lost"))
            }
            _ => {
                self.behave(cx, step).await?;
                self.act(cx, &step.name, "do").await?;
                Ok(1)
            }
        }
    }

    async fn behave(&self, cx: &RunContext, step: &ProbeStep) -> Result<(), StepFailure> {
        match step.behaviour {
            Behaviour::Fails | Behaviour::FailsAfterwards => Err(StepFailure::failed("made to fail")),
            Behaviour::FaltersForEver => Err(StepFailure::transient("made to falter")),
            Behaviour::Asks if self.world().await? != 100 => {
                Err(StepFailure::NeedsOperator(Text::verbatim("made to ask")))
            }
            Behaviour::Panics => {
                // A panic without `panic!`'s message on every test's output.
                std::panic::resume_unwind(Box::new("made to panic"))
            }
            Behaviour::Waits => loop {
                cx.progress(0.5, Text::verbatim("waiting for a cancel")).await?;
                cx.sleep(Duration::from_secs(1)).await?;
            },
            Behaviour::Works | Behaviour::Falters | Behaviour::Asks => Ok(()),
        }
    }

    async fn undo_probe(&self, cx: &RunContext, probe: &Probe, step: &str) -> Result<(), StepFailure> {
        let Some(step) = probe.steps.iter().find(|s| s.name == step) else {
            return Err(StepFailure::failed(format!("`{step}` is no step of this probe")));
        };
        if step.undo_fails && self.world().await? != 100 {
            return Err(StepFailure::failed("made to fail its undo"));
        }
        if step.effect {
            if !self.happened(cx, &step.name, "do").await? {
                return Ok(());
            }
            return cx
                .effect(
                    "take-back",
                    || async { Ok(self.happened(cx, &step.name, "undo").await?.then_some(())) },
                    || self.act(cx, &step.name, "undo"),
                )
                .await;
        }
        let operation = cx.operation().0;
        cx.transaction("take-back", |mut db| {
            Box::pin(async move {
                sqlx::query("DELETE FROM probe_rows WHERE operation = $1 AND step = $2")
                    .bind(operation)
                    .bind(&step.name)
                    .execute(&mut *db)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}

#[async_trait]
impl Handles<Probe> for Outside {
    async fn plan(&self, _: &PlanContext, probe: &Probe) -> Result<Plan, Failure> {
        self.plan_probe(probe).await
    }

    async fn run(&self, cx: &mut RunContext, probe: &Probe) -> Result<i64, StepFailure> {
        self.run_probe(cx, probe).await
    }

    async fn undo(
        &self,
        cx: &mut RunContext,
        probe: &Probe,
        step: &str,
        _: Option<Value>,
    ) -> Result<(), StepFailure> {
        self.undo_probe(cx, probe, step).await
    }
}

#[async_trait]
impl Handles<CriticalProbe> for Outside {
    async fn plan(&self, _: &PlanContext, probe: &CriticalProbe) -> Result<Plan, Failure> {
        self.plan_probe(&probe.0).await
    }

    async fn run(&self, cx: &mut RunContext, probe: &CriticalProbe) -> Result<i64, StepFailure> {
        self.run_probe(cx, &probe.0).await
    }

    async fn undo(
        &self,
        cx: &mut RunContext,
        probe: &CriticalProbe,
        step: &str,
        _: Option<Value>,
    ) -> Result<(), StepFailure> {
        self.undo_probe(cx, &probe.0, step).await
    }
}
