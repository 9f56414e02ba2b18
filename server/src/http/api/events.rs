//! `GET /operations/{operation}/events`: what becomes of an operation, told until it has ended.
//!
//! Rows are the truth here as everywhere: a message of the live stream only says that there is news, and then the
//! operation is asked for with the permission checks of any other call. So a message that is lost costs five seconds, and
//! nobody hears of what they may not see.

use super::bearer::Carried;
use super::{Answer, actor};
use crate::http::AppState;
use crate::http::identity::Identity;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use bagua_core::{Actor, LiveEvent};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{GetOperation, OperationId, OperationView};
use bagua_model::text::Locale;
use futures::stream::{BoxStream, Stream, StreamExt as _};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How often an open stream asks by itself, and whether its token or session still stands.
const RECHECK: Duration = Duration::from_secs(5);
/// A comment this often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The id of the last event ends with this: whoever comes back with it has heard everything.
const ENDED: &str = ".end";

/// The stream. With `Last-Event-ID` it goes on after that line of the log.
pub async fn stream(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    carried: Option<Extension<Carried>>,
    Path(operation): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let actor = actor(&identity)?;
    let operation: OperationId = operation.parse().map_err(|_| Failure::not_found(&operation))?;
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    // Before the first question, so that nothing can happen between the two.
    let messages = state.console.live.subscribe(None).await;
    let view = state.console.ask(&actor, GetOperation { operation }).await?;
    if view.summary.state.is_final() && last.is_some_and(|last| last.ends_with(ENDED)) {
        // Tells an EventSource to stop coming back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut telling = Telling {
        actor,
        identity,
        carried: carried.map(|Extension(carried)| carried),
        operation,
        told: last
            .and_then(|last| last.trim_end_matches(ENDED).parse().ok())
            .unwrap_or(0),
        state_told: Value::Null,
        waiting: VecDeque::new(),
        ended: false,
        state,
    };
    telling.tell(&view);
    Ok(answer(telling.told_with(messages)))
}

fn answer(stream: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

struct Telling {
    state: AppState,
    actor: Actor,
    identity: Identity,
    carried: Option<Carried>,
    operation: OperationId,
    /// The last line of the log that was told.
    told: i64,
    state_told: Value,
    waiting: VecDeque<Event>,
    ended: bool,
}

impl Telling {
    fn told_with(
        self,
        messages: BoxStream<'static, Arc<LiveEvent>>,
    ) -> impl Stream<Item = Result<Event, Infallible>> {
        let mut recheck = tokio::time::interval(RECHECK);
        recheck.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        recheck.reset();
        let hello = Event::default()
            .retry(Duration::from_secs(1))
            .comment("operation");
        let hello = futures::stream::iter([Ok(hello)]);
        hello.chain(futures::stream::unfold(
            (self, messages, recheck),
            |(mut telling, mut messages, mut recheck)| async move {
                let stop = telling.state.stop.clone();
                let subject = format!("operation:{}", telling.operation);
                loop {
                    if let Some(event) = telling.waiting.pop_front() {
                        return Some((Ok(event), (telling, messages, recheck)));
                    }
                    if telling.ended {
                        return None;
                    }
                    tokio::select! {
                        () = stop.cancelled() => return None,
                        _ = recheck.tick() => telling.recheck().await,
                        message = messages.next() => {
                            if message?.message.subject.as_ref() != Some(&subject) {
                                continue;
                            }
                        }
                    }
                    telling.look().await;
                }
            },
        ))
    }

    /// Whether the token or session still stands, and what it may now.
    async fn recheck(&mut self) {
        let access = &self.state.access;
        let actor = match (&self.carried, &self.identity.token) {
            (Some(carried), _) => match access.bearer(carried.token.expose(), &carried.visitor).await {
                Ok(who) => Some(who.actor.clone()),
                Err(failure) if failure.kind == FailureKind::Unauthenticated => None,
                // Nobody can say right now: the next question is refused anyway while the database is away.
                Err(_) => return,
            },
            (None, Some(token)) => match access.sessions().actor_of(token).await {
                Ok(session) => session.map(|session| session.who.actor.clone()),
                Err(_) => return,
            },
            (None, None) => None,
        };
        match actor {
            Some(actor) => self.actor = actor,
            None => self.ended = true,
        }
    }

    async fn look(&mut self) {
        if self.ended {
            return;
        }
        let question = GetOperation {
            operation: self.operation,
        };
        match self.state.console.ask(&self.actor, question).await {
            Ok(view) => self.tell(&view),
            Err(failure) if failure.kind == FailureKind::Unavailable => {}
            Err(_) => self.ended = true,
        }
    }

    /// What is new since the last look.
    fn tell(&mut self, view: &OperationView) {
        let locale = self.identity.locale;
        for line in view.events.iter().filter(|line| line.seq > self.told) {
            let mut data = json!(line);
            data["words"] = json!(line.text.render(locale));
            self.waiting
                .push_back(event("log", Some(line.seq.to_string()), &data));
        }
        self.told = view
            .events
            .last()
            .map_or(self.told, |line| line.seq.max(self.told));
        let state = state(view, locale);
        if state != self.state_told {
            self.waiting.push_back(event("state", None, &state));
            self.state_told = state;
        }
        if view.summary.state.is_final() {
            let failure = view.failure.as_ref().map(|text| text.render(locale));
            let data = json!({ "state": view.summary.state, "outcome": view.outcome, "failure": failure });
            let id = format!("{}{ENDED}", self.told);
            self.waiting.push_back(event("end", Some(id), &data));
            self.ended = true;
        }
    }
}

/// Where the operation stands.
fn state(view: &OperationView, locale: Locale) -> Value {
    let summary = &view.summary;
    json!({
        "operation": summary.operation,
        "state": summary.state,
        "current_step": summary.current_step,
        "steps_done": summary.steps_done,
        "steps_total": summary.steps_total,
        "steps": view.steps,
        "attempt": view.attempt,
        "cancel_requested": view.cancel_requested,
        "failure": view.failure.as_ref().map(|text| text.render(locale)),
    })
}

fn event(name: &str, id: Option<String>, data: &Value) -> Event {
    let event = Event::default().event(name).data(data.to_string());
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}
