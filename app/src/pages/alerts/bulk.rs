//! Rows that are chosen, and what can be done with all of them at once. It is one form with GET whose ticks stand in
//! the rows: nothing of it needs script.

use super::groups::filters_of;
use crate::asked::Asked;
use crate::i18n::{Ui, machine};
use crate::ui::node::{Node, following};
use crate::ui::ticks::Ticks;
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::alerts::{AlertFeed, AlertState, AlertView, ListAlerts};
use bagua_model::text::keys;
use leptos::prelude::*;

/// The ticks of the feed's rows; their form is [`bar`].
pub fn ticks() -> Ticks {
    Ticks::new("alert", "selection")
}

fn may() -> (bool, bool) {
    crate::info().with_value(|info| {
        let may = |permission| info.me.as_ref().is_some_and(|me| me.may_anywhere(permission));
        (may(Permission::AlertsAcknowledge), may(Permission::AlertsSilence))
    })
}

/// A row's tick, for whoever may do something with it.
pub fn tick(ui: Ui, ticks: Ticks, alert: &AlertView) -> Node {
    if may() == (false, false) {
        return ().into();
    }
    let label = ui.tx(keys::UI_ALERTS_CHOOSE, &[("name", &alert.name)]);
    ticks.tick(alert.alert.to_string(), label)
}

/// What can be done with the ticked rows, and with all that the filter lets through.
pub fn bar(ui: Ui, feed: Asked<AlertFeed>, filter: Memo<ListAlerts>, ticks: Ticks) -> Node {
    let (may_acknowledge, may_silence) = may();
    if !may_acknowledge && !may_silence {
        return ().into();
    }
    let past = move || (filter.with(|f| f.state == Some(AlertState::Resolved))).then_some("");
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
        <form id=ticks.form method="get" action="/alerts/selection" class="bulk" hidden=following(past)>
            {ticks.all(ui, keys::UI_ALERTS_CHOOSE_PAGE, (keys::UI_ALERTS_CHOSEN_ONE, keys::UI_ALERTS_CHOSEN_MANY))}
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
