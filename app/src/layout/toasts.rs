//! Short messages in a corner: what became of the reader's own operations. They take no focus and cover no control.
//!
//! There are three places and never more messages than that. A message stays in its place until it goes, so that a
//! screen reader reads each of them once. What went wrong stays until it is dismissed.

use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::node::Node;
use crate::ui::state;
use bagua_markup::html;
#[cfg(any(feature = "hydrate", test))]
use bagua_model::operation::OperationSummary;
use bagua_model::operation::{OperationId, OperationState};
use bagua_model::text::keys;
use leptos::prelude::*;
#[cfg(any(feature = "hydrate", test))]
use std::collections::HashMap;

/// How many there are at a time.
const PLACES: usize = 3;
/// How long a message stays, seconds; not counted while a pointer or the focus rests on the messages.
#[cfg(feature = "hydrate")]
const STAYS: u32 = 7;

/// A message.
#[derive(Clone, Debug, PartialEq)]
struct Toast {
    operation: OperationId,
    state: OperationState,
    words: String,
    /// Seconds; none: it stays.
    left: Option<u32>,
}

/// What is known of the reader's operations, and what is said about them.
#[cfg(any(feature = "hydrate", test))]
#[derive(Debug, Default)]
struct Told {
    known: HashMap<OperationId, OperationState>,
    /// Whether a first answer has come: what it holds is no news.
    begun: bool,
}

#[cfg(any(feature = "hydrate", test))]
impl Told {
    /// The operations of which there is something to say: new ones, and those that have ended since the last look.
    fn news(&mut self, mine: Vec<OperationSummary>) -> Vec<OperationSummary> {
        let first = !std::mem::replace(&mut self.begun, true);
        let mut news = Vec::new();
        // Oldest first, in the order in which they happened.
        for one in mine.into_iter().rev() {
            let before = self.known.insert(one.operation, one.state);
            let worth = match before {
                None => true,
                Some(before) => before != one.state && speaks(one.state),
            };
            if worth && !first {
                news.push(one);
            }
        }
        news
    }
}

/// States that are worth a message by themselves; steps on the way are shown by the operation's page.
#[cfg(any(feature = "hydrate", test))]
fn speaks(state: OperationState) -> bool {
    state.is_final()
        || matches!(
            state,
            OperationState::NeedsOperator | OperationState::AwaitingApproval
        )
}

fn stays(state: OperationState) -> bool {
    matches!(state, OperationState::Failed | OperationState::NeedsOperator)
}

/// Where a message goes: the place of the same operation, else a free one, else the oldest that may go.
#[cfg(any(feature = "hydrate", test))]
fn place(now: &[Option<Toast>], toast: &Toast) -> usize {
    let same = |t: &Option<Toast>| t.as_ref().is_some_and(|t| t.operation == toast.operation);
    now.iter()
        .position(same)
        .or_else(|| now.iter().position(Option::is_none))
        .or_else(|| {
            let left = |at: &usize| now[*at].as_ref().and_then(|t| t.left).unwrap_or(u32::MAX);
            (0..now.len()).min_by_key(left)
        })
        .unwrap_or_default()
}

/// The corner.
pub fn corner(ui: Ui, live: Live) -> Node {
    let places: [RwSignal<Option<Toast>>; PLACES] = std::array::from_fn(|_| RwSignal::new(None));
    let held = RwSignal::new(false);
    watch(ui, live, places, held);
    let shown = places.map(|place| {
        html! { <div class="toast-place">{Node::follows(move || place.get().map(|toast| one(ui, toast, place)).into())}</div> }
    });
    html! {
        <section
            class="toasts"
            role="status"
            aria-live="polite"
            aria-label=ui.t(keys::UI_TOAST_REGION)
            on:pointerenter=move |_| held.set(true)
            on:pointerleave=move |_| held.set(false)
            on:focusin=move |_| held.set(true)
            on:focusout=move |_| held.set(false)
        >
            {shown.into_iter().collect::<Node>()}
        </section>
    }
}

fn one(ui: Ui, toast: Toast, place: RwSignal<Option<Toast>>) -> Node {
    let class = if stays(toast.state) {
        "toast critical"
    } else {
        "toast"
    };
    html! {
        <div class=class>
            <p>
                {state::operation(ui, toast.state)}
                " "
                <a href=format!("/operations/{}", toast.operation)>{toast.words}</a>
            </p>
            <button
                type="button"
                class="toast-close"
                aria-label=ui.t(keys::UI_TOAST_DISMISS)
                title=ui.t(keys::UI_TOAST_DISMISS)
                on:click=move |_| place.set(None)
            >"×"</button>
        </div>
    }
}

/// Asks for the reader's operations whenever there is news about operations, and lets messages go with the clock.
#[cfg(feature = "hydrate")]
fn watch(ui: Ui, live: Live, places: [RwSignal<Option<Toast>>; PLACES], held: RwSignal<bool>) {
    use bagua_model::operation::{ListOperations, Page};

    let Some(me) = crate::info().with_value(|info| info.me.clone()) else {
        return;
    };
    // As the operation log names its submitters.
    let label = if me.name == me.email || me.name.is_empty() {
        me.email
    } else {
        format!("{} <{}>", me.name, me.email)
    };
    let told = StoredValue::new(Told::default());
    Effect::new(move |_| {
        live.operations.get();
        let label = label.clone();
        leptos::task::spawn_local(async move {
            let asked = crate::rpc::ask_payload(ListOperations {
                limit: 20,
                ..ListOperations::default()
            });
            let Ok(answer) = asked.await else { return };
            let mine = answer.read(|page: &Page<OperationSummary>| {
                let mine = page.rows.iter().filter(|o| o.submitted_by == label);
                mine.cloned().collect::<Vec<_>>()
            });
            let Ok(mine) = mine else { return };
            let Some(news) = told.try_update_value(|told| told.news(mine)) else {
                return;
            };
            for one in news {
                let toast = Toast {
                    operation: one.operation,
                    state: one.state,
                    words: ui.text(&one.summary),
                    left: (!stays(one.state)).then_some(STAYS),
                };
                let now = places.map(|place| place.get_untracked());
                places[self::place(&now, &toast)].set(Some(toast));
            }
        });
    });
    Effect::new(move |_| {
        ui.now.get();
        if held.get_untracked() {
            return;
        }
        for place in places {
            match place.with_untracked(|toast| toast.as_ref().and_then(|toast| toast.left)) {
                Some(0) => place.set(None),
                // Counted without drawing it anew.
                Some(left) => place.update_untracked(|toast| {
                    if let Some(toast) = toast {
                        toast.left = Some(left - 1);
                    }
                }),
                None => {}
            }
        }
    });
}

#[cfg(not(feature = "hydrate"))]
fn watch(_: Ui, _: Live, _: [RwSignal<Option<Toast>>; PLACES], _: RwSignal<bool>) {
    // Without script nothing happens by itself; the page says what was done.
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::region::Scope;
    use bagua_model::text::Text;
    use bagua_model::verbs::Target;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn operation(n: u128, state: OperationState) -> OperationSummary {
        OperationSummary {
            operation: OperationId(Uuid::from_u128(n)),
            kind: "component.restart".into(),
            summary: Text::verbatim("Restart"),
            state,
            target: Target {
                noun: "component".into(),
                id: "a/b".into(),
                scope: Scope::ANY,
            },
            submitted_by: "Ada".into(),
            submitted_at: OffsetDateTime::UNIX_EPOCH,
            started_at: None,
            finished_at: None,
            current_step: None,
            steps_done: 0,
            steps_total: 0,
        }
    }

    fn said(told: &mut Told, now: &[(u128, OperationState)]) -> Vec<(u128, OperationState)> {
        let news = told.news(now.iter().map(|(n, s)| operation(*n, *s)).collect());
        news.iter().map(|o| (o.operation.0.as_u128(), o.state)).collect()
    }

    #[test]
    fn what_stood_there_is_no_news_and_each_turn_is_told_once() {
        use OperationState::{Failed, Queued, Running, Succeeded};
        let mut told = Told::default();
        assert_eq!(said(&mut told, &[(1, Running), (9, Succeeded)]), []);
        assert_eq!(said(&mut told, &[(2, Queued), (1, Running)]), [(2, Queued)]);
        assert_eq!(said(&mut told, &[(2, Running), (1, Succeeded)]), [(1, Succeeded)]);
        assert_eq!(said(&mut told, &[(2, Failed), (1, Succeeded)]), [(2, Failed)]);
        assert_eq!(said(&mut told, &[(2, Failed), (1, Succeeded)]), []);
    }

    #[test]
    fn there_are_never_more_than_the_places_and_faults_stay_longest() {
        let toast = |n: u128, left| Toast {
            operation: OperationId(Uuid::from_u128(n)),
            state: OperationState::Succeeded,
            words: String::new(),
            left,
        };
        let full = [
            Some(toast(1, None)),
            Some(toast(2, Some(5))),
            Some(toast(3, Some(2))),
        ];
        assert_eq!(place(&full, &toast(4, Some(7))), 2, "the one that would go next");
        assert_eq!(place(&full, &toast(2, Some(7))), 1, "the same operation's own");
        assert_eq!(place(&[Some(toast(1, None)), None, None], &toast(4, Some(7))), 1);
    }
}
