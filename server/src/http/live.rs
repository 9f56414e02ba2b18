//! `GET /live`: the one stream of a page. Messages only say that a topic has news; the page asks again.

use super::AppState;
use super::identity::Identity;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use bagua_access::STALE;
use bagua_core::live::RESET;
use bagua_core::{Actor, LiveEvent};
use bagua_model::access::Permission;
use bagua_model::notices::LiveMessage;
use bagua_model::region::{Environment, RegionId};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// How often an open stream asks whether its session still stands and what it may hear.
const RECHECK: Duration = Duration::from_secs(5);
/// A comment this often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Messages that are looked at together.
const AT_ONCE: usize = 500;

/// A page's first connection has no `Last-Event-ID`; it says here which state it was rendered from.
#[derive(Deserialize)]
pub struct From {
    after: Option<String>,
}

/// The right that a topic asks for.
fn permission(topic: &str) -> Option<Permission> {
    Some(match topic {
        "alerts" => Permission::AlertsRead,
        "operations" => Permission::OperationsRead,
        "regions" | "notices" => Permission::RegionsRead,
        "bots" => Permission::BotsView,
        "access" => Permission::PeopleRead,
        "schedules" => Permission::SchedulesRead,
        _ => return None,
    })
}

/// Whether the reader may hear a message. What they may not read they must not hear of either.
fn may_hear(actor: &Actor, environment: Environment, message: &LiveMessage) -> bool {
    if message.topic == RESET {
        return true;
    }
    let Some(permission) = permission(&message.topic) else {
        return false;
    };
    let granted = actor.granted(permission);
    match &message.region {
        // Their own operations may be bound to no region; the message holds no content.
        None => !granted.is_empty(),
        Some(region) => granted.reaches(environment, Some(&RegionId::new(region.as_str()))),
    }
}

/// The stream, for a signed-in reader, until the session or the process ends.
pub async fn stream(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Response {
    let (Some(actor), Some(token)) = (identity.actor(), identity.token) else {
        // 204 tells an EventSource to stop trying.
        return StatusCode::NO_CONTENT.into_response();
    };
    let last = headers
        .get("last-event-id")
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned)
        .or(from.after);
    let messages = state.console.live.subscribe(last.as_deref()).await;
    metrics::counter!("live_streams_opened_total").increment(1);
    // Whoever is identified was looked up just now.
    let as_of = identity.as_of.unwrap_or_else(|| state.console.clock.now());
    Sse::new(heard(state, actor, token, as_of, messages))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

struct Listening {
    state: AppState,
    actor: Actor,
    token: String,
    /// When PostgreSQL was last asked about the session.
    as_of: OffsetDateTime,
    recheck: tokio::time::Interval,
    open: OpenStream,
}

/// Counts open streams while it lives.
struct OpenStream;

impl OpenStream {
    fn new() -> OpenStream {
        metrics::gauge!("live_streams_open").increment(1.0);
        OpenStream
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!("live_streams_open").decrement(1.0);
    }
}

fn heard(
    state: AppState,
    actor: Actor,
    token: String,
    as_of: OffsetDateTime,
    messages: futures::stream::BoxStream<'static, Arc<LiveEvent>>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut recheck = tokio::time::interval(RECHECK);
    recheck.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The reader knows at once that the stream stands, and how soon to come back when it breaks.
    let hello = futures::stream::iter([Ok(Event::default().retry(Duration::from_secs(1)).comment("live"))]);
    let listening = Listening {
        state,
        actor,
        token,
        as_of,
        recheck,
        open: OpenStream::new(),
    };
    // What comes in a burst is told once: thousands of alerts are one piece of news to a page.
    let messages = messages
        .ready_chunks(AT_ONCE)
        .flat_map(|burst| futures::stream::iter(gathered(burst)));
    let messages = Box::pin(messages);
    hello.chain(futures::stream::unfold((listening, messages), |(mut listening, mut messages)| async move {
        let _counted = &listening.open;
        loop {
            let stop = listening.state.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return None,
                _ = listening.recheck.tick() => {
                    match listening.state.access.sessions().actor_of(&listening.token).await {
                        Ok(Some(session)) => {
                            listening.actor = session.who.actor.clone();
                            listening.as_of = session.as_of;
                        }
                        Ok(None) => return None,
                        // Sessions cannot be read right now: what was known stands for as long as it does for pages.
                        Err(_) if outlived(listening.as_of, listening.state.console.clock.now()) => return None,
                        Err(_) => {}
                    }
                }
                event = messages.next() => {
                    let event = event?;
                    if may_hear(&listening.actor, listening.state.environment, &event.message)
                        && let Ok(sse) = Event::default().id(event.cursor.clone()).json_data(&event.message)
                    {
                        return Some((Ok(sse), (listening, messages)));
                    }
                }
            }
        }
    }))
}

/// A burst without what it says again: of the messages about alerts of one region the last stands for all, and its
/// cursor too.
fn gathered(burst: Vec<Arc<LiveEvent>>) -> Vec<Arc<LiveEvent>> {
    let mut told = HashSet::new();
    let mut kept: Vec<_> = burst
        .into_iter()
        .rev()
        .filter(|e| e.message.topic != "alerts" || told.insert(e.message.region.clone()))
        .collect();
    kept.reverse();
    kept
}

/// Whether a session that cannot be looked up is too old to go on with: it may have been revoked long since.
fn outlived(as_of: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - as_of >= STALE
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::access::{Grant, Role};
    use bagua_model::region::Scope;
    use uuid::Uuid;

    fn viewer(region: Option<&str>) -> Actor {
        let scope = Scope {
            environment: None,
            region: region.map(RegionId::new),
        };
        let grants = vec![Grant {
            role: Role::Viewer,
            scope,
        }];
        Actor::Person {
            id: Uuid::nil(),
            name: "Wei".into(),
            email: "wei@example.org".into(),
            grants,
            through: None,
        }
    }

    fn message(topic: &str, region: Option<&str>) -> LiveMessage {
        LiveMessage {
            topic: topic.into(),
            subject: None,
            region: region.map(str::to_owned),
        }
    }

    #[test]
    fn a_stream_whose_session_nobody_can_look_up_ends_after_a_quarter_of_an_hour() {
        let as_of = OffsetDateTime::UNIX_EPOCH;
        assert!(!outlived(as_of, as_of + Duration::from_secs(14 * 60 + 59)));
        assert!(outlived(as_of, as_of + Duration::from_secs(15 * 60)));
    }

    #[test]
    fn a_storm_of_alerts_is_told_once_for_each_region_in_order() {
        let told = |topic: &str, region: Option<&str>, cursor: usize| {
            Arc::new(LiveEvent {
                cursor: cursor.to_string(),
                message: message(topic, region),
            })
        };
        let mut burst: Vec<_> = (0..9)
            .map(|n| told("alerts", Some(["a", "b"][n % 2]), n))
            .collect();
        burst.insert(4, told("operations", Some("a"), 100));
        burst.insert(5, told("operations", Some("a"), 101));
        let cursors: Vec<_> = gathered(burst).iter().map(|e| e.cursor.clone()).collect();
        assert_eq!(cursors, ["100", "101", "7", "8"]);
    }

    #[test]
    fn a_reader_hears_only_of_what_they_may_read() {
        let hears = |actor: &Actor, m: LiveMessage| may_hear(actor, Environment::Dev, &m);
        let (everywhere, dublin) = (viewer(None), viewer(Some("eu-west-1")));
        assert!(hears(&everywhere, message("alerts", Some("us-west-2"))));
        assert!(hears(&dublin, message("alerts", Some("eu-west-1"))));
        assert!(!hears(&dublin, message("alerts", Some("us-west-2"))));
        assert!(
            !hears(&everywhere, message("access", None)),
            "viewers do not read people"
        );
        assert!(
            !hears(&everywhere, message("something-new", None)),
            "an unknown topic is nobody's"
        );
        assert!(hears(&dublin, message(RESET, None)));
    }
}
