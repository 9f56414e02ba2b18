//! Questions of a page: asked on the server before the page is sent, asked again in the browser when there is news.
//!
//! The browser keeps every answer as the JSON text that came, and reads it where it is drawn. So there is one kind of
//! resource and one kind of suspended view for the whole console, instead of one for each query: that is most of the
//! difference between a first load that fits its budget and one that does not.

use crate::i18n::Ui;
use crate::rpc::{Answered, AppError};
use crate::ui::node::Node;
use crate::ui::{failed, page_failed, waiting};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Query;
use leptos::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::any::Any;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

/// An answer whose type the resource does not know.
#[derive(Clone)]
pub enum Payload {
    /// As it came over the wire.
    Raw(Arc<RawValue>),
    /// As the console answered inside this process.
    Typed(Arc<dyn Typed>),
}

/// A typed answer that can be written down.
pub trait Typed: Any + Send + Sync {
    /// As JSON.
    fn raw(&self) -> serde_json::Result<Box<RawValue>>;

    /// The answer itself.
    fn value(&self) -> &dyn Any;
}

impl<T: Serialize + Any + Send + Sync> Typed for T {
    fn raw(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(self)
    }

    fn value(&self) -> &dyn Any {
        self
    }
}

impl Payload {
    /// An answer from inside this process.
    pub fn typed<T: Serialize + Send + Sync + 'static>(value: T) -> Payload {
        Payload::Typed(Arc::new(value))
    }

    /// An answer from over the wire.
    #[cfg(not(feature = "ssr"))]
    pub fn raw(text: Box<RawValue>) -> Payload {
        Payload::Raw(text.into())
    }

    /// Reads the answer.
    pub fn read<T: DeserializeOwned + 'static, R>(&self, read: impl FnOnce(&T) -> R) -> Answered<R> {
        match self {
            Payload::Typed(typed) => typed
                .value()
                .downcast_ref::<T>()
                .map(read)
                .ok_or_else(|| AppError(Failure::internal())),
            Payload::Raw(raw) => serde_json::from_str(raw.get())
                .map(|value| read(&value))
                .map_err(|_| other_version()),
        }
    }
}

/// The page and the server are not of one build.
fn other_version() -> AppError {
    AppError(Failure::new(
        FailureKind::Internal,
        Text::new(keys::UI_ERROR_OTHER_VERSION),
    ))
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Payload::Raw(raw) => raw.serialize(serializer),
            Payload::Typed(typed) => typed
                .raw()
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        Ok(Payload::Raw(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}

/// A question under way.
pub type Asking = Pin<Box<dyn Future<Output = Answered<Payload>> + Send>>;

/// What a resource is keyed on: another query or another revision asks again.
#[derive(Clone)]
struct Question {
    kind: &'static str,
    query: String,
    revision: u32,
    ask: fn(&'static str, String) -> Asking,
}

impl PartialEq for Question {
    fn eq(&self, other: &Question) -> bool {
        (self.kind, &self.query, self.revision) == (other.kind, &other.query, other.revision)
    }
}

fn resource(source: Box<dyn Fn() -> Question + Send + Sync>) -> Resource<Answered<Payload>> {
    Resource::new_blocking(source, |question| (question.ask)(question.kind, question.query))
}

/// A question of type `T` that the page has asked.
pub struct Asked<T> {
    resource: Resource<Answered<Payload>>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Clone for Asked<T> {
    fn clone(&self) -> Asked<T> {
        *self
    }
}

impl<T> Copy for Asked<T> {}

/// Asks the query that `source` answers, and again whenever that or its revision changes.
pub fn asked<Q>(source: impl Fn() -> (Q, u32) + Send + Sync + 'static) -> Asked<Q::Answer>
where
    Q: Query,
    Q::Answer: Sync,
{
    #[cfg(feature = "ssr")]
    let ask = ask_here::<Q>;
    #[cfg(not(feature = "ssr"))]
    let ask = ask_there;
    let resource = resource(Box::new(move || {
        let (query, revision) = source();
        Question {
            kind: Q::KIND,
            query: serde_json::to_string(&query).unwrap_or_default(),
            revision,
            ask,
        }
    }));
    Asked {
        resource,
        answer: PhantomData,
    }
}

/// Asks something that one query does not answer: `ask` is given the key, and puts together what it answers.
pub fn asked_by<T>(
    source: impl Fn() -> (String, u32) + Send + Sync + 'static,
    ask: fn(&'static str, String) -> Asking,
) -> Asked<T> {
    let resource = resource(Box::new(move || {
        let (query, revision) = source();
        Question {
            kind: "",
            query,
            revision,
            ask,
        }
    }));
    Asked {
        resource,
        answer: PhantomData,
    }
}

#[cfg(feature = "ssr")]
fn ask_here<Q: Query>(_: &'static str, query: String) -> Asking
where
    Q::Answer: Sync,
{
    match serde_json::from_str::<Q>(&query) {
        Ok(query) => Box::pin(crate::rpc::ask_payload(query)),
        Err(_) => Box::pin(async { Err(AppError(Failure::internal())) }),
    }
}

#[cfg(not(feature = "ssr"))]
fn ask_there(kind: &'static str, query: String) -> Asking {
    Box::pin(async move { crate::rpc::ask_raw(kind, query).await })
}

impl<T: DeserializeOwned + Send + Sync + 'static> Asked<T> {
    /// Draws the answer, or the failure in its place.
    pub fn show(self, ui: Ui, draw: impl Fn(&T) -> Node + Send + Sync + 'static) -> Node {
        self.show_or(ui, draw, failed)
    }

    /// Draws a whole page with the answer; a failure becomes the page, with the HTTP status that goes with it.
    pub fn page(self, ui: Ui, draw: impl Fn(&T) -> Node + Send + Sync + 'static) -> Node {
        self.show_or(ui, draw, page_failed)
    }

    /// Draws the answer, or what `fail` makes of the failure.
    pub fn show_or(
        self,
        ui: Ui,
        draw: impl Fn(&T) -> Node + Send + Sync + 'static,
        fail: fn(Ui, &AppError) -> Node,
    ) -> Node {
        let draw = move |answers: &[Answered<Payload>]| match answers {
            [Ok(payload)] => payload.read(&draw).unwrap_or_else(|error| fail(ui, &error)),
            [Err(error)] => fail(ui, error),
            _ => ().into(),
        };
        draw_when_known(ui, vec![self.resource], Arc::new(draw))
    }

    /// The answer now, for lists that are drawn row by row. Read it inside a `Transition` only.
    pub fn now(self) -> Option<Answered<T>>
    where
        T: Clone,
    {
        self.resource
            .get()
            .map(|answer| answer.and_then(|payload| payload.read(T::clone)))
    }
}

/// Draws two answers together; each may have failed.
pub fn show_both<A, B>(
    ui: Ui,
    a: Asked<A>,
    b: Asked<B>,
    draw: impl Fn(Answered<&A>, Answered<&B>) -> Node + Send + Sync + 'static,
) -> Node
where
    A: DeserializeOwned + Send + Sync + 'static,
    B: DeserializeOwned + Send + Sync + 'static,
{
    let draw = move |answers: &[Answered<Payload>]| {
        let [a, b] = answers else { return ().into() };
        let with_b = |a: Answered<&A>| match b {
            Ok(payload) => payload
                .read(|b| draw(a.clone(), Ok(b)))
                .unwrap_or_else(|error| draw(a, Err(error))),
            Err(error) => draw(a, Err(error.clone())),
        };
        match a {
            Ok(payload) => payload
                .read(|a| with_b(Ok(a)))
                .unwrap_or_else(|error| with_b(Err(error))),
            Err(error) => with_b(Err(error.clone())),
        }
    };
    draw_when_known(ui, vec![a.resource, b.resource], Arc::new(draw))
}

type Draw = Arc<dyn Fn(&[Answered<Payload>]) -> Node + Send + Sync>;

/// While the first answers are on their way the page says so; later the old picture stands until the new one is there.
fn draw_when_known(ui: Ui, asked: Vec<Resource<Answered<Payload>>>, draw: Draw) -> Node {
    view! {
        <Transition fallback=move || waiting(ui).view()>
            {move || {
                let (asked, draw) = (asked.clone(), draw.clone());
                Suspend::new(async move {
                    let mut answers = Vec::with_capacity(asked.len());
                    for one in asked {
                        answers.push(one.await);
                    }
                    draw(&answers).list()
                })
            }}
        </Transition>
    }
    .into_any()
    .into()
}
