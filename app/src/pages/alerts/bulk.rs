//! Rows that are chosen, and what can be done with all of them at once. It is one form with GET whose ticks stand in
//! the rows: nothing of it needs script.

use super::groups::filters_of;
use crate::asked::Asked;
use crate::i18n::{Ui, machine};
use crate::ui::node::{Node, following};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::alerts::{AlertFeed, AlertState, AlertView, ListAlerts};
use bagua_model::text::keys;
use leptos::ev::Event;
use leptos::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The form's id: ticks name it, for they stand outside of it.
const FORM: &str = "selection";

/// What is ticked, and where a range would begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    alerts: BTreeSet<Uuid>,
    last: Option<Uuid>,
}

impl Chosen {
    /// Whether an alert is ticked.
    pub fn contains(&self, alert: Uuid) -> bool {
        self.alerts.contains(&alert)
    }
}

fn may() -> (bool, bool) {
    crate::info().with_value(|info| {
        let may = |permission| info.me.as_ref().is_some_and(|me| me.may_anywhere(permission));
        (may(Permission::AlertsAcknowledge), may(Permission::AlertsSilence))
    })
}

/// A row's tick, for whoever may do something with it.
pub fn tick(ui: Ui, alert: &AlertView, chosen: bool) -> Node {
    if may() == (false, false) {
        return ().into();
    }
    let label = ui.tx(keys::UI_ALERTS_CHOOSE, &[("name", &alert.name)]);
    html! {
        <input
            type="checkbox"
            name="alert"
            form=FORM
            value=alert.alert.to_string()
            aria-label=label
            checked=chosen
        />
    }
}

/// What can be done with the ticked rows, and with all that the filter lets through.
pub fn bar(ui: Ui, feed: Asked<AlertFeed>, filter: Memo<ListAlerts>, chosen: RwSignal<Chosen>) -> Node {
    let (may_acknowledge, may_silence) = may();
    if !may_acknowledge && !may_silence {
        return ().into();
    }
    let scripted = RwSignal::new(false);
    Effect::new(move |_| scripted.set(true));
    let past = move || (filter.with(|f| f.state == Some(AlertState::Resolved))).then_some("");
    let count = move || {
        let n = u32::try_from(chosen.with(|c| c.alerts.len())).unwrap_or(u32::MAX);
        ui.count(keys::UI_ALERTS_CHOSEN_ONE, keys::UI_ALERTS_CHOSEN_MANY, n)
    };
    let all = feed.show_or(
        ui,
        move |feed| {
            if may_acknowledge {
                matching(ui, &filter.get_untracked(), feed)
            } else {
                ().into()
            }
        },
        |_, _| ().into(),
    );
    html! {
        <form id=FORM method="get" action="/alerts/selection" class="bulk" hidden=following(past)>
            <span class="bulk-count" hidden=following(move || (!scripted.get()).then_some(""))>
                <label class="check">
                    <input type="checkbox" aria-label=ui.t(keys::UI_ALERTS_CHOOSE_PAGE) on:click=move |event| all_of_page(&event, chosen)/>
                    <span role="status">{Node::live(count)}</span>
                </label>
            </span>
            {may_acknowledge.then(|| html! {
                <label class="chip"><span>{ui.t(keys::UI_ALERTS_LASTS)}</span>{super::minutes(ui)}</label>
                <label class="chip"><span>{ui.t(keys::UI_ALERTS_NOTE_SHORT)}</span><input name="note" maxlength="2000" autocomplete="off"/></label>
                <button class="button small">{ui.t(keys::UI_ALERTS_ACKNOWLEDGE_CHOSEN)}</button>
            })}
            {may_silence.then(|| html! {
                <button class="button small" formaction="/alerts/silences">{ui.t(keys::UI_ALERTS_SILENCE_CHOSEN)}</button>
            })}
            {all}
        </form>
    }
}

/// The filter goes along, and when it was looked at: what comes later is not acknowledged unseen.
fn matching(ui: Ui, filter: &ListAlerts, feed: &AlertFeed) -> Node {
    let Some(n) = feed.matching.filter(|n| *n > 1) else {
        return ().into();
    };
    let hidden: Node = filters_of(filter)
        .into_iter()
        .chain([("seen", machine(feed.as_of + time::Duration::SECOND))])
        .map(|(name, value)| html! { <input type="hidden" name=name value=value/> })
        .collect();
    html! {
        {hidden}
        <button class="button small" name="all" value="yes">{ui.tx(keys::UI_ALERTS_ACKNOWLEDGE_ALL, &[("n", &n)])}</button>
    }
}

/// A tick was set or taken. With the shift key it goes for all rows from the one before.
#[cfg(feature = "hydrate")]
pub fn picked(event: &Event, chosen: RwSignal<Chosen>) {
    use wasm_bindgen::JsCast as _;
    let Some(tick) = event
        .target()
        .and_then(|t| t.dyn_into::<web_sys::HtmlInputElement>().ok())
        .filter(|t| t.name() == "alert")
    else {
        return;
    };
    let ticks = ticks();
    let place = |id: &str| ticks.iter().position(|t| t.value() == id);
    let shift = js_sys::Reflect::get(event.as_ref(), &"shiftKey".into()).is_ok_and(|held| held.is_truthy());
    let last = chosen.with_untracked(|c| c.last).map(|id| id.to_string());
    if let (true, Some(from), Some(to)) = (shift, last.and_then(|id| place(&id)), place(&tick.value())) {
        for between in &ticks[from.min(to)..=from.max(to)] {
            between.set_checked(tick.checked());
        }
    }
    let last = tick.value().parse().ok();
    chosen.set(Chosen {
        alerts: ticked(&ticks),
        last,
    });
}

/// On the server nothing is ticked.
#[cfg(not(feature = "hydrate"))]
pub fn picked(_: &Event, _: RwSignal<Chosen>) {}

/// All rows of the page, or none.
#[cfg(feature = "hydrate")]
fn all_of_page(event: &Event, chosen: RwSignal<Chosen>) {
    use wasm_bindgen::JsCast as _;
    let Some(all) = event
        .target()
        .and_then(|t| t.dyn_into::<web_sys::HtmlInputElement>().ok())
    else {
        return;
    };
    let ticks = ticks();
    for tick in &ticks {
        tick.set_checked(all.checked());
    }
    chosen.set(Chosen {
        alerts: ticked(&ticks),
        last: None,
    });
}

#[cfg(not(feature = "hydrate"))]
fn all_of_page(_: &Event, _: RwSignal<Chosen>) {}

#[cfg(feature = "hydrate")]
fn ticks() -> Vec<web_sys::HtmlInputElement> {
    use wasm_bindgen::JsCast as _;
    let Ok(found) = document().query_selector_all(".feed-rows input[name=alert]") else {
        return Vec::new();
    };
    (0..found.length())
        .filter_map(|at| found.get(at)?.dyn_into().ok())
        .collect()
}

#[cfg(feature = "hydrate")]
fn ticked(ticks: &[web_sys::HtmlInputElement]) -> BTreeSet<Uuid> {
    let checked = ticks.iter().filter(|t| t.checked());
    checked.filter_map(|t| t.value().parse().ok()).collect()
}
