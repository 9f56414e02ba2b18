//! What is live: one event stream for the whole page, one revision for each topic.
//!
//! A message only says that a topic has news; resources are keyed on the topic's revision and ask again. Bursts are
//! gathered, so that what hangs on a topic is asked at most four times a second.

use leptos::prelude::*;

/// The state of the stream, for the dot in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "hydrate"),
    expect(dead_code, reason = "the stream is followed in the browser only")
)]
pub enum Link {
    /// Not yet opened (no script, or nobody signed in).
    Idle,
    /// Open.
    Live,
    /// Lost; the browser tries again. Unix seconds.
    LostSince(i64),
}

/// Revisions by topic.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// Alerts came, went, were acknowledged.
    pub alerts: RwSignal<u32>,
    /// Operations moved; the event log grew.
    pub operations: RwSignal<u32>,
    /// Health or figures changed.
    pub regions: RwSignal<u32>,
    /// A source went away or came back.
    pub notices: RwSignal<u32>,
    /// People, roles, sessions.
    pub access: RwSignal<u32>,
    /// Schedules.
    pub schedules: RwSignal<u32>,
    /// The stream's own state.
    pub link: RwSignal<Link>,
}

impl Live {
    /// All at rest.
    pub fn new() -> Live {
        Live {
            alerts: RwSignal::new(0),
            operations: RwSignal::new(0),
            regions: RwSignal::new(0),
            notices: RwSignal::new(0),
            access: RwSignal::new(0),
            schedules: RwSignal::new(0),
            link: RwSignal::new(Link::Idle),
        }
    }

    /// The page's one store.
    pub fn get() -> Live {
        use_context::<Live>().unwrap_or_default()
    }

    /// Moves the revision of a topic, or of all when the topic says so or is unknown.
    #[cfg_attr(
        not(feature = "hydrate"),
        expect(dead_code, reason = "the stream is followed in the browser only")
    )]
    fn bump(&self, topic: &str) {
        let move_on = |signal: RwSignal<u32>| signal.update(|n| *n = n.wrapping_add(1));
        match topic {
            "alerts" => move_on(self.alerts),
            "operations" => move_on(self.operations),
            "regions" => move_on(self.regions),
            "notices" => move_on(self.notices),
            "access" => move_on(self.access),
            "schedules" => move_on(self.schedules),
            _ => [
                self.alerts,
                self.operations,
                self.regions,
                self.notices,
                self.access,
                self.schedules,
            ]
            .into_iter()
            .for_each(move_on),
        }
    }
}

impl Default for Live {
    fn default() -> Live {
        Live::new()
    }
}

#[cfg(feature = "hydrate")]
pub use browser::follow;

#[cfg(feature = "hydrate")]
mod browser {
    use super::{Link, Live};
    use crate::ui::form::escape;
    use bagua_model::notices::LiveMessage;
    use leptos::prelude::*;
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};
    use std::rc::Rc;
    use std::time::Duration;
    use wasm_bindgen::JsCast;
    use wasm_bindgen::closure::Closure;
    use web_sys::{EventSource, MessageEvent};

    /// What hangs on a topic is asked at most once in this many milliseconds; news that comes alone is passed on after
    /// [`SOON_MS`]. Each topic by itself: one change is news on several topics, not all in the same moment, and the later
    /// ones would wait for nothing.
    const APART_MS: f64 = 250.0;
    /// Messages of one change arrive together: long enough to gather them, too short to be seen.
    const SOON_MS: f64 = 15.0;
    /// The browser gives up on an HTTP error; we try again after this long, then after twice as long, and so on.
    const REOPEN_FIRST: Duration = Duration::from_secs(2);
    const REOPEN_MOST: Duration = Duration::from_secs(60);

    struct Stream {
        live: Live,
        now: RwSignal<i64>,
        news: RefCell<BTreeSet<String>>,
        lost: RefCell<bool>,
        asked_ms: RefCell<BTreeMap<String, f64>>,
        reopen: RefCell<Duration>,
    }

    /// Opens the stream behind `cursor` and follows it as long as the page lives.
    pub fn follow(live: Live, now: RwSignal<i64>, cursor: Option<String>) {
        let stream = Rc::new(Stream {
            live,
            now,
            news: RefCell::default(),
            lost: RefCell::new(cursor.is_none()),
            asked_ms: RefCell::default(),
            reopen: RefCell::new(REOPEN_FIRST),
        });
        open(&stream, cursor);
    }

    fn open(stream: &Rc<Stream>, cursor: Option<String>) {
        let url = cursor.map_or_else(|| "/live".to_owned(), |at| format!("/live?after={}", escape(&at)));
        let Ok(source) = EventSource::new(&url) else {
            return;
        };

        let opened = stream.clone();
        let on_open = Closure::<dyn FnMut()>::new(move || {
            let before = opened.live.link.get_untracked();
            opened.live.link.set(Link::Live);
            opened.reopen.replace(REOPEN_FIRST);
            // What happened while nobody listened is not known: ask for everything on the screen once. With a position
            // the stream repeats what is kept; figures and notices are not kept.
            if opened.lost.replace(false) {
                note(&opened, "reset".to_owned());
            } else if matches!(before, Link::LostSince(_)) {
                note(&opened, "regions".to_owned());
                note(&opened, "notices".to_owned());
            }
        });
        source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        on_open.forget();

        let heard = stream.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let Some(data) = event.data().as_string() else {
                return;
            };
            if let Ok(message) = serde_json::from_str::<LiveMessage>(&data) {
                note(&heard, message.topic);
            }
        });
        source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        on_message.forget();

        let failed = stream.clone();
        let at = source.clone();
        let on_error = Closure::<dyn FnMut()>::new(move || {
            if !matches!(failed.live.link.get_untracked(), Link::LostSince(_)) {
                failed.live.link.set(Link::LostSince(failed.now.get_untracked()));
            }
            if at.ready_state() == EventSource::CLOSED {
                // The position is lost with the old source.
                failed.lost.replace(true);
                let again = failed.clone();
                at.set_onerror(None);
                let wait = *failed.reopen.borrow();
                failed.reopen.replace((wait * 2).min(REOPEN_MOST));
                set_timeout(move || open(&again, None), wait);
            }
        });
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        on_error.forget();
    }

    fn note(stream: &Rc<Stream>, topic: String) {
        if !stream.news.borrow_mut().insert(topic.clone()) {
            return;
        }
        let before = stream.asked_ms.borrow().get(&topic).copied().unwrap_or_default();
        let wait = (before + APART_MS - js_sys::Date::now()).clamp(SOON_MS, APART_MS);
        let stream = stream.clone();
        set_timeout(
            move || {
                stream.news.borrow_mut().remove(&topic);
                stream.live.bump(&topic);
                stream.asked_ms.borrow_mut().insert(topic, js_sys::Date::now());
            },
            Duration::from_millis(wait as u64),
        );
    }
}
