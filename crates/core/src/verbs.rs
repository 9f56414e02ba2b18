//! What a room implements to answer a query or to carry out an operation.

use crate::actor::{Actor, Granted};
use crate::run::{RunContext, StepFailure};
use async_trait::async_trait;
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::Environment;
use bagua_model::verbs::{Operation, Query, Target};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// What a query's handler is given. Permission and scope have been checked; the handler puts `granted` into its
/// WHERE clause.
#[derive(Clone, Debug)]
pub struct AskContext {
    /// Who asks.
    pub actor: Actor,
    /// The scopes granted for the query's permission.
    pub granted: Granted,
    /// The environment that this console looks after.
    pub environment: Environment,
    /// Now.
    pub now: OffsetDateTime,
}

/// What `plan` is given. It may read the world and must change nothing.
#[derive(Clone, Debug)]
pub struct PlanContext {
    /// Who would submit.
    pub actor: Actor,
    /// The environment that this console looks after.
    pub environment: Environment,
    /// The control database (application role).
    pub db: PgPool,
    /// Now.
    pub now: OffsetDateTime,
}

/// A room answers a query.
#[async_trait]
pub trait Answers<Q: Query>: Send + Sync + 'static {
    /// The answer, holding only what `cx.granted` reaches.
    async fn answer(&self, cx: &AskContext, query: Q) -> Result<Q::Answer, Failure>;
}

/// A room carries out an operation in named, memoised steps, by a worker that may be killed at any point.
#[async_trait]
pub trait Handles<O: Operation>: Send + Sync + 'static {
    /// What it acts on, when the input alone does not say where that is: reads the row and fills in the scope. The
    /// permission is checked for the scope that this returns, before the plan is made.
    async fn locate(&self, cx: &PlanContext, operation: &O) -> Result<Target, Failure> {
        let _ = cx;
        Ok(operation.target())
    }

    /// Puts what may be written down in the place of a secret in the input: called once, after the permission was checked
    /// and before the input is planned, hashed, compared or stored. Only for kinds with [`Operation::SECRET`].
    async fn conceal(&self, cx: &PlanContext, operation: O) -> Result<O, Failure> {
        let _ = cx;
        Ok(operation)
    }

    /// Reads the world and says what would change. Refuses with field errors when the input is wrong.
    async fn plan(&self, cx: &PlanContext, operation: &O) -> Result<Plan, Failure>;

    /// Runs from the top after every resume: remembered steps return their memo at once.
    async fn run(&self, cx: &mut RunContext, operation: &O) -> Result<O::Outcome, StepFailure>;

    /// Undoes one step that is done or may be done. `memo` is what the step returned, `None` when it began and its
    /// end is not known. Must bear being repeated. The default has nothing to undo.
    async fn undo(
        &self,
        cx: &mut RunContext,
        operation: &O,
        step: &str,
        memo: Option<Value>,
    ) -> Result<(), StepFailure> {
        let _ = (cx, operation, step, memo);
        Ok(())
    }
}

/// A room carries out an operation that is only rows in the control database: it is applied inside the transaction
/// that writes the operation and audit rows, so it has succeeded when the submission returns (an acknowledgement, an
/// approval, a cancel).
#[async_trait]
pub trait Applies<O: Operation>: Send + Sync + 'static {
    /// What it acts on, when the input alone does not say where that is: reads the row and fills in the scope. The
    /// permission is checked for the scope that this returns, before the plan is made.
    async fn locate(&self, cx: &PlanContext, operation: &O) -> Result<Target, Failure> {
        let _ = cx;
        Ok(operation.target())
    }

    /// Reads and says what would change.
    async fn plan(&self, cx: &PlanContext, operation: &O) -> Result<Plan, Failure>;

    /// Changes rows on `db`, a connection inside the submission's transaction. Locks what it decides upon: the plan
    /// may be out of date. An operation that needs a second person is applied by a worker, after the approval.
    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &O,
    ) -> Result<O::Outcome, Failure>;
}
