//! All queries and operations of the console, by kind.

use crate::actor::Actor;
use crate::console::Console;
use crate::run::{RunContext, StepFailure};
use crate::verbs::{Answers, Applies, Handles, PlanContext};
use async_trait::async_trait;
use bagua_model::access::Permission;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::{Operation, Query, Risk, Target};
use futures::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgConnection;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a kind is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Asked.
    Query,
    /// Submitted; a worker carries it out in steps.
    Operation,
    /// Submitted; applied within the submission's transaction.
    Immediate,
}

/// What the registry says about a kind: for the permission snapshot, the coverage tests and the command line's help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// The stable name.
    pub kind: &'static str,
    /// How it is carried out.
    pub verb: Verb,
    /// The right that it needs.
    pub permission: Permission,
    /// How much can go wrong; `None` for a query.
    pub risk: Option<Risk>,
    /// Whether the answer holds personal data, so that the read is audited.
    pub personal_data: bool,
}

/// What a kind takes and answers, for the description of the API.
#[derive(Clone, Copy)]
pub struct Shape {
    /// An input as somebody may send it, in JSON.
    pub example: &'static str,
    /// The schema of the input.
    pub input: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of the answer, or of what is known when the operation has succeeded.
    pub output: fn(&mut SchemaGenerator) -> Schema,
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The registry, filled once at start.
#[derive(Default)]
pub struct Registry {
    queries: BTreeMap<&'static str, QueryEntry>,
    operations: BTreeMap<&'static str, OperationEntry>,
}

type AskJson = for<'a> fn(&'a Console, &'a Actor, Value) -> BoxFuture<'a, Result<Value, Failure>>;

pub(crate) struct QueryEntry {
    info: KindInfo,
    shape: Shape,
    /// An `Arc<dyn Answers<Q>>`: the typed way in takes it out again and pays for no JSON.
    handler: Box<dyn Any + Send + Sync>,
    pub(crate) ask_json: AskJson,
    fits: fn(Value) -> Result<(), Failure>,
}

pub(crate) struct OperationEntry {
    pub(crate) info: KindInfo,
    shape: Shape,
    /// Seconds.
    pub(crate) cooling_off: u32,
    /// Whether an input may carry a secret.
    pub(crate) secret: bool,
    pub(crate) handler: Box<dyn ErasedOperation>,
}

impl Registry {
    /// Registers a query with the room that answers it.
    ///
    /// # Panics
    /// When the kind is registered already: a fault in the wiring that must not start.
    pub fn query<Q: Query>(&mut self, handler: Arc<impl Answers<Q>>) -> &mut Self {
        let info = KindInfo {
            kind: Q::KIND,
            verb: Verb::Query,
            permission: Q::PERMISSION,
            risk: None,
            personal_data: Q::PERSONAL_DATA,
        };
        self.refuse_double(Q::KIND);
        let handler: Arc<dyn Answers<Q>> = handler;
        let entry = QueryEntry {
            info,
            shape: Shape {
                example: Q::EXAMPLE,
                input: schema_of::<Q>,
                output: schema_of::<Q::Answer>,
            },
            handler: Box::new(handler),
            ask_json: ask_json_as::<Q>,
            fits: |input| parse::<Q>(Q::KIND, input).map(|_| ()),
        };
        self.queries.insert(Q::KIND, entry);
        self
    }

    /// Registers an operation with the room that carries it out in steps.
    ///
    /// # Panics
    /// When the kind is registered already.
    pub fn operation<O: Operation>(&mut self, handler: Arc<impl Handles<O>>) -> &mut Self {
        let handler: Arc<dyn Handles<O>> = handler;
        self.insert_operation::<O>(Verb::Operation, Box::new(Durable(handler)))
    }

    /// Registers an operation with the room that applies it inside the submission's transaction.
    ///
    /// # Panics
    /// When the kind is registered already.
    pub fn immediate<O: Operation>(&mut self, handler: Arc<impl Applies<O>>) -> &mut Self {
        let handler: Arc<dyn Applies<O>> = handler;
        self.insert_operation::<O>(Verb::Immediate, Box::new(Immediate(handler)))
    }

    /// Every kind, by name.
    pub fn kinds(&self) -> Vec<KindInfo> {
        let mut all: Vec<_> = self
            .queries
            .values()
            .map(|e| e.info)
            .chain(self.operations.values().map(|e| e.info))
            .collect();
        all.sort_by_key(|info| info.kind);
        all
    }

    /// One kind.
    pub fn info(&self, kind: &str) -> Option<KindInfo> {
        self.queries
            .get(kind)
            .map(|e| e.info)
            .or_else(|| self.operations.get(kind).map(|e| e.info))
    }

    /// What a kind takes and answers.
    pub fn shape(&self, kind: &str) -> Option<Shape> {
        self.queries
            .get(kind)
            .map(|e| e.shape)
            .or_else(|| self.operations.get(kind).map(|e| e.shape))
    }

    /// Whether an input fits its kind, without asking or submitting it.
    ///
    /// # Errors
    /// `Invalid` when the input does not fit the kind, `NotFound` for an unknown kind.
    pub fn fits(&self, kind: &str, input: Value) -> Result<(), Failure> {
        match self.queries.get(kind) {
            Some(entry) => (entry.fits)(input),
            None => self.operation_entry(kind)?.handler.prepare(input).map(|_| ()),
        }
    }

    pub(crate) fn answers<Q: Query>(&self) -> Result<&Arc<dyn Answers<Q>>, Failure> {
        self.queries
            .get(Q::KIND)
            .and_then(|entry| entry.handler.downcast_ref())
            .ok_or_else(|| unknown_kind(Q::KIND))
    }

    pub(crate) fn query_entry(&self, kind: &str) -> Result<&QueryEntry, Failure> {
        self.queries.get(kind).ok_or_else(|| unknown_kind(kind))
    }

    pub(crate) fn operation_entry(&self, kind: &str) -> Result<&OperationEntry, Failure> {
        self.operations.get(kind).ok_or_else(|| unknown_kind(kind))
    }

    /// The operation kinds that this binary can carry out.
    pub(crate) fn operation_kinds(&self) -> Vec<String> {
        self.operations.keys().map(|kind| (*kind).to_owned()).collect()
    }

    fn insert_operation<O: Operation>(&mut self, verb: Verb, handler: Box<dyn ErasedOperation>) -> &mut Self {
        self.refuse_double(O::KIND);
        let info = KindInfo {
            kind: O::KIND,
            verb,
            permission: O::PERMISSION,
            risk: Some(O::RISK),
            personal_data: false,
        };
        self.operations.insert(
            O::KIND,
            OperationEntry {
                info,
                shape: Shape {
                    example: O::EXAMPLE,
                    input: schema_of::<O>,
                    output: schema_of::<O::Outcome>,
                },
                cooling_off: O::COOLING_OFF,
                secret: O::SECRET,
                handler,
            },
        );
        self
    }

    fn refuse_double(&self, kind: &str) {
        assert!(
            self.info(kind).is_none(),
            "the kind `{kind}` is registered twice; each kind has one room that answers for it"
        );
    }
}

pub(crate) fn unknown_kind(kind: &str) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        Text::new(keys::FAILURE_UNKNOWN_KIND).with("kind", kind),
    )
}

/// Whether a text in it holds U+0000, which PostgreSQL keeps in no text: no name, note or filter that a person types has
/// one, and the database's own refusal would look like a fault of ours.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Reads JSON from outside into a query or operation; the sentence names the field that does not fit.
pub(crate) fn parse<T: DeserializeOwned>(kind: &str, input: Value) -> Result<T, Failure> {
    if has_nul(&input) {
        return Err(Failure::new(
            FailureKind::Invalid,
            Text::new(keys::FAILURE_NUL).with("kind", kind),
        ));
    }
    serde_json::from_value(input).map_err(|error| {
        let text = Text::new(keys::FAILURE_BAD_INPUT)
            .with("kind", kind)
            .with("detail", error);
        Failure::new(FailureKind::Invalid, text)
    })
}

fn ask_json_as<'a, Q: Query>(
    console: &'a Console,
    actor: &'a Actor,
    input: Value,
) -> BoxFuture<'a, Result<Value, Failure>> {
    Box::pin(async move {
        console.knock(actor, Q::KIND).await?;
        let query: Q = parse(Q::KIND, input)?;
        let answer = console.ask(actor, query).await?;
        serde_json::to_value(answer).map_err(|error| crate::db::unreadable("an answer", error))
    })
}

/// What submission, plan and worker need of an operation, whatever its type.
pub(crate) struct Prepared {
    /// The input, read and written again: defaults filled in, one spelling for the hash.
    pub(crate) input: Value,
    pub(crate) concurrency_key: Option<String>,
}

/// An operation whose type has been erased; `input` has been through [`ErasedOperation::prepare`].
#[async_trait]
pub(crate) trait ErasedOperation: Send + Sync {
    fn prepare(&self, input: Value) -> Result<Prepared, Failure>;
    async fn locate(&self, cx: &PlanContext, input: &Value) -> Result<Target, Failure>;
    /// The input without its secrets; called for kinds that may carry one.
    async fn conceal(&self, cx: &PlanContext, input: Value) -> Result<Value, Failure>;
    async fn plan(&self, cx: &PlanContext, input: &Value) -> Result<Plan, Failure>;
    /// Applies an immediate operation; never called for others.
    async fn apply(&self, cx: &PlanContext, db: &mut PgConnection, input: &Value) -> Result<Value, Failure>;
    /// Runs a durable operation; never called for others.
    async fn run(&self, cx: &mut RunContext, input: &Value) -> Result<Value, StepFailure>;
    async fn undo(
        &self,
        cx: &mut RunContext,
        input: &Value,
        step: &str,
        memo: Option<Value>,
    ) -> Result<(), StepFailure>;
}

fn prepare<O: Operation>(input: Value) -> Result<Prepared, Failure> {
    let operation: O = parse(O::KIND, input)?;
    Ok(Prepared {
        concurrency_key: operation.concurrency_key(),
        input: serde_json::to_value(operation).map_err(|e| crate::db::unreadable("an input", e))?,
    })
}

fn outcome<T: serde::Serialize>(outcome: T) -> Result<Value, Failure> {
    serde_json::to_value(outcome).map_err(|error| crate::db::unreadable("an outcome", error))
}

struct Durable<O: Operation>(Arc<dyn Handles<O>>);

#[async_trait]
impl<O: Operation> ErasedOperation for Durable<O> {
    fn prepare(&self, input: Value) -> Result<Prepared, Failure> {
        prepare::<O>(input)
    }

    async fn locate(&self, cx: &PlanContext, input: &Value) -> Result<Target, Failure> {
        self.0.locate(cx, &parse(O::KIND, input.clone())?).await
    }

    async fn conceal(&self, cx: &PlanContext, input: Value) -> Result<Value, Failure> {
        let concealed = self.0.conceal(cx, parse(O::KIND, input)?).await?;
        serde_json::to_value(concealed).map_err(|e| crate::db::unreadable("an input", e))
    }

    async fn plan(&self, cx: &PlanContext, input: &Value) -> Result<Plan, Failure> {
        self.0.plan(cx, &parse(O::KIND, input.clone())?).await
    }

    async fn apply(&self, _: &PlanContext, _: &mut PgConnection, _: &Value) -> Result<Value, Failure> {
        tracing::error!(kind = O::KIND, "a durable operation was to be applied at once");
        Err(Failure::internal())
    }

    async fn run(&self, cx: &mut RunContext, input: &Value) -> Result<Value, StepFailure> {
        let done = self.0.run(cx, &parse(O::KIND, input.clone())?).await?;
        Ok(outcome(done)?)
    }

    async fn undo(
        &self,
        cx: &mut RunContext,
        input: &Value,
        step: &str,
        memo: Option<Value>,
    ) -> Result<(), StepFailure> {
        self.0.undo(cx, &parse(O::KIND, input.clone())?, step, memo).await
    }
}

struct Immediate<O: Operation>(Arc<dyn Applies<O>>);

#[async_trait]
impl<O: Operation> ErasedOperation for Immediate<O> {
    fn prepare(&self, input: Value) -> Result<Prepared, Failure> {
        prepare::<O>(input)
    }

    async fn locate(&self, cx: &PlanContext, input: &Value) -> Result<Target, Failure> {
        self.0.locate(cx, &parse(O::KIND, input.clone())?).await
    }

    async fn conceal(&self, _: &PlanContext, _: Value) -> Result<Value, Failure> {
        tracing::error!(kind = O::KIND, "an immediate operation cannot conceal a secret");
        Err(Failure::internal())
    }

    async fn plan(&self, cx: &PlanContext, input: &Value) -> Result<Plan, Failure> {
        self.0.plan(cx, &parse(O::KIND, input.clone())?).await
    }

    async fn apply(&self, cx: &PlanContext, db: &mut PgConnection, input: &Value) -> Result<Value, Failure> {
        outcome(self.0.apply(cx, db, &parse(O::KIND, input.clone())?).await?)
    }

    async fn run(&self, _: &mut RunContext, _: &Value) -> Result<Value, StepFailure> {
        tracing::error!(kind = O::KIND, "an immediate operation was to be run in steps");
        Err(Failure::internal().into())
    }

    async fn undo(
        &self,
        _: &mut RunContext,
        _: &Value,
        _: &str,
        _: Option<Value>,
    ) -> Result<(), StepFailure> {
        Ok(())
    }
}
