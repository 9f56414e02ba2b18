//! The alert feed: live, filtered by the address, and it never jumps under the reader's hand.

mod bulk;
mod filters;
mod groups;
pub mod selection;

use self::filters::{filters, narrowed, wanted};
use crate::asked::{Asked, asked};
use crate::i18n::Ui;
use crate::live::Live;
use crate::memo::memo;
use crate::ui::filter::next_page;
use crate::ui::form::{action, plan_href, refused};
use crate::ui::node::{Node, following};
use crate::ui::submit::{SubmitForm, with_note_and};
use crate::ui::ticks::{Chosen, Ticks};
use crate::ui::{age, empty, moment, rows, since, state, title, views};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::alerts::{AcknowledgeAlert, AlertFeed, AlertState, AlertView, Cause, GroupBy, ListAlerts};
use bagua_model::regions::RestartComponent;
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// `/alerts`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let location = use_location();
    let params = location.query;
    let filter = memo(move || params.with(|q| wanted(|name| q.get(name).unwrap_or_default())));
    let by = super::query("group");
    let open = super::query("open");
    let feed = asked(move || (filter.get(), live.alerts.get()));
    let search = location.search;
    let filters = Node::follows(move || {
        let narrowed = params.with(|q| narrowed(&|name: &str| q.get(name).unwrap_or_default()));
        filters(ui, &narrowed, by.get().parse().ok())
    });
    let grouped = memo(move || by.get().parse::<GroupBy>().is_ok());
    let closed = move || (grouped.get() && open.get().is_empty()).then_some("");
    let ticks = bulk::ticks();
    let (above, below) = groups::around(ui, params, by, open);
    html! {
        {title(ui.t(keys::UI_ROOM_ALERTS))}
        <div class="page-head"><h1>{ui.t(keys::UI_ROOM_ALERTS)}</h1><div class="actions"><a class="button" href="/alerts/silences">{ui.t(keys::UI_SILENCES_TITLE)}</a></div></div>
        {filters}
        {views::bar(ui, live)}
        {feed.show(ui, move |feed| summary(ui, feed))}
        {bulk::bar(ui, feed, filter, ticks)}
        {above}
        <div hidden=following(closed)>
            {list(ui, feed, filter, ticks)}
            {feed.show_or(
                ui,
                move |feed| next_page(ui, "/alerts", &search.get_untracked(), feed.page.next.clone()),
                |_, _| ().into(),
            )}
        </div>
        {below}
    }
}

/// How many fire, and whether the rows may be incomplete.
fn summary(ui: Ui, feed: &AlertFeed) -> Node {
    let [critical, warning, info] = feed.firing;
    html! {
        <p class="summary">
            {super::regions::alert_counts(ui, critical, warning)}
            {(info > 0).then(|| format!(" {}", ui.count(keys::UI_ALERTS_INFO_ONE, keys::UI_ALERTS_INFO_MANY, info)))}
        </p>
        {feed.degraded.then(|| html! {
            <p class="notice unknown" role="status"><i class="mark unknown" aria-hidden="true"></i>{ui.t(keys::UI_ALERTS_DEGRADED)}</p>
        })}
    }
}

/// What makes a row another row to the reader: its place in the list stays with the id.
fn fingerprint(alert: &AlertView, causes: &[Cause]) -> u64 {
    let mut hasher = DefaultHasher::new();
    alert.alert.hash(&mut hasher);
    alert.state.hash(&mut hasher);
    alert.suppressed_by.hash(&mut hasher);
    causes.iter().map(Cause::id).for_each(|id| id.hash(&mut hasher));
    alert.severity.hash(&mut hasher);
    alert.summary.hash(&mut hasher);
    alert
        .acknowledged
        .as_ref()
        .map(|a| {
            (
                &a.by,
                &a.note,
                a.at.unix_timestamp(),
                a.until.map(|u| u.unix_timestamp()),
            )
        })
        .hash(&mut hasher);
    alert.lapsed_at.map(|at| at.unix_timestamp()).hash(&mut hasher);
    hasher.finish()
}

/// The rows. While pointer or focus is inside, rows keep their places: what ends stays, marked, and what is new waits.
fn list(ui: Ui, feed: Asked<AlertFeed>, filter: Memo<ListAlerts>, ticks: Ticks) -> Node {
    // What came last, for event handlers; and what is kept while the reader is inside.
    let latest = RwSignal::new(Vec::<AlertView>::new());
    let held = RwSignal::new(None::<Vec<AlertView>>);
    // Rows that appear after the first picture slide in and are marked for a while.
    let begun = StoredValue::new(false);
    Effect::new(move |_| {
        if let Some(Ok(feed)) = feed.now() {
            latest.set(feed.page.rows);
            begun.set_value(true);
        }
    });
    // Another filter is another list.
    Effect::new(move |before: Option<()>| {
        filter.track();
        if before.is_some() {
            held.set(None);
            begun.set_value(false);
            ticks.chosen.set(Chosen::default());
        }
    });
    let read = move || {
        feed.now()
            .and_then(Result::ok)
            .map(|feed| (feed.page.rows, feed.causes))
            .unwrap_or_default()
    };
    // Each row with what holds it back.
    let shown = move || {
        let (rows, causes) = read();
        let rows = match held.get() {
            None => rows,
            Some(kept) => {
                let now = |old: AlertView| match rows.iter().find(|new| new.alert == old.alert) {
                    Some(new) => new.clone(),
                    None => AlertView {
                        state: AlertState::Resolved,
                        ..old
                    },
                };
                kept.into_iter().map(now).collect()
            }
        };
        let of = |a: &AlertView| {
            let holds = |cause: &&Cause| a.suppressed_by.iter().any(|id| id == cause.id());
            causes.iter().filter(holds).cloned().collect()
        };
        rows.into_iter()
            .map(|a| (of(&a), a))
            .collect::<Vec<(Vec<Cause>, AlertView)>>()
    };
    let waiting = move || {
        let is_new = |kept: &Vec<AlertView>, new: &AlertView| kept.iter().all(|old| old.alert != new.alert);
        held.with(|held| match held {
            Some(kept) => latest.with(|latest| latest.iter().filter(|new| is_new(kept, new)).count()),
            None => 0,
        })
    };
    let hold = move || {
        if held.with_untracked(Option::is_none) {
            held.set(Some(latest.get_untracked()));
        }
    };
    // Pointer and focus each hold the list; it moves again when neither is inside.
    let inside = StoredValue::new((false, false));
    let enter = move |pointer: bool| {
        inside.update_value(|(p, f)| if pointer { *p = true } else { *f = true });
        hold();
    };
    let leave = move |pointer: bool| {
        inside.update_value(|(p, f)| if pointer { *p = false } else { *f = false });
        // Focus that moves on inside leaves first and comes back at once.
        let later = move || {
            if inside.try_get_value() == Some((false, false)) {
                held.set(None);
            }
        };
        set_timeout(later, Duration::from_millis(50));
    };
    let none = move || {
        let empty = matches!(feed.now(), Some(Ok(feed)) if feed.page.rows.is_empty())
            && held.with(|held| held.as_ref().is_none_or(Vec::is_empty));
        Node::from(empty.then(|| nothing(ui, &filter.get())))
    };
    let rows = view! {
        <Transition fallback=move || crate::ui::waiting(ui)>
            <ul class="rows feed-rows">
                <For
                    each=shown
                    key=|(causes, a)| (a.alert, fingerprint(a, causes))
                    children=move |(causes, a)| {
                        row(ui, &a, &causes, begun.get_value(), ticks)
                    }
                />
            </ul>
            {Node::follows(none).view()}
        </Transition>
    };
    html! {
        <div
            class="feed"
            on:pointerenter=move |_| enter(true)
            on:pointerleave=move |_| leave(true)
            on:focusin=move |_| enter(false)
            on:focusout=move |_| leave(false)
            on:click=move |event| ticks.picked(&event)
        >
            <p class="fresh-count" aria-live="polite">
                <button
                    type="button"
                    class="button small"
                    hidden=following(move || (waiting() == 0).then_some(""))
                    on:click=move |_| held.set(Some(latest.get_untracked()))
                >
                    {Node::live(move || ui.tx(keys::UI_ALERTS_NEW, &[("n", &waiting())]))}
                </button>
            </p>
            {rows.into_any()}
        </div>
    }
}

fn nothing(ui: Ui, filter: &ListAlerts) -> Node {
    let unfiltered = *filter
        == ListAlerts {
            state: filter.state,
            limit: filter.limit,
            ..ListAlerts::default()
        };
    if unfiltered && filter.state != Some(AlertState::Resolved) {
        empty(ui.t(keys::UI_ALERTS_QUIET), ui.t(keys::UI_ALERTS_QUIET_NEXT))
    } else {
        empty(ui.t(keys::UI_LIST_NOTHING), ui.t(keys::UI_LIST_NOTHING_NEXT))
    }
}

/// One alert with what can be done about it.
fn row(ui: Ui, alert: &AlertView, causes: &[Cause], fresh: bool, ticks: Ticks) -> Node {
    let ended = alert.state == AlertState::Resolved;
    let class = format!("row alert {}", state::severity_class(alert.severity));
    let note = alert.acknowledged.as_ref().map(|a| (a.note.clone(), a.at));
    let until = alert.acknowledged.as_ref().and_then(|a| a.until);
    html! {
        <li class=class class:fresh=fresh class:ended=ended>
            <span class="row-pick">
                {(!ended).then(|| bulk::tick(ui, ticks, alert))}
                {state::severity(ui, alert.severity)}
            </span>
            <span class="row-main">
                <a href=format!("/alerts/{}", alert.alert)>{alert.name.clone()}</a>
                <span class="row-sub">{alert.summary.clone()}</span>
                {causes.iter().map(|c| cause(ui, c)).collect::<Node>()}
            </span>
            <span class="row-place">{rows::place(ui, alert)}</span>
            <span class="row-owner">
                {rows::owner_words(ui, alert.acknowledged.as_ref().map(|a| a.by.clone()))}
                {note.map(|(note, at)| html! { <span class="row-sub">{note} " " {age(ui, at)}</span> })}
                {until.map(|at| html! { <span class="row-sub">{ui.t(keys::UI_ALERTS_UNTIL)} " " {moment(ui, at)}</span> })}
                {alert.lapsed_at.map(|at| html! { <span class="tag">{ui.t(keys::UI_ALERTS_LAPSED)} " " {age(ui, at)}</span> })}
            </span>
            <span class="row-age num">
                {match alert.ended_at {
                    Some(at) => html! { {ui.t(keys::UI_ALERTS_ENDED)} " " {age(ui, at)} },
                    None if ended => ui.t(keys::UI_ALERTS_ENDED).into(),
                    None => since(ui, alert.started_at),
                }}
                {alert.suppressed.then(|| html! { <a class="tag" href=format!("/alerts/{}#held", alert.alert)>{ui.t(keys::UI_ALERTS_SUPPRESSED)}</a> })}
            </span>
            <span class="row-actions">{(!ended).then(|| actions(ui, alert, "/alerts"))}</span>
        </li>
    }
}

/// Why nobody is told of it, in one line.
fn cause(ui: Ui, cause: &Cause) -> Node {
    let words = match cause {
        Cause::Silence {
            owner,
            comment,
            ends_at,
            ..
        } => html! {
            {ui.tx(keys::UI_ALERTS_SILENCED_BY, &[("owner", &rows::name_of(owner)), ("comment", comment)])} " "
            {ui.t(keys::UI_ALERTS_UNTIL)} " " {moment(ui, *ends_at)}
        },
        Cause::Alert { alert, name, .. } => html! {
            {ui.t(keys::UI_ALERTS_INHIBITED_BY)} " " <a href=format!("/alerts/{alert}")>{name.clone()}</a>
        },
    };
    html! { <span class="row-sub cause">{words}</span> }
}

/// For how long an acknowledgement holds, in minutes.
fn lasting(ui: Ui) -> Node {
    html! { <label class="field"><span>{ui.t(keys::UI_ALERTS_LASTS)}</span>{minutes(ui)}</label> }
}

fn minutes(ui: Ui) -> Node {
    html! {
        <select name="minutes">
            <option value="">{ui.t(keys::UI_ALERTS_LASTS_TO_THE_END)}</option>
            <option value="30">{ui.tx(keys::UI_ALERTS_LASTS_MINUTES, &[("n", &30)])}</option>
            <option value="120">{ui.tx(keys::UI_ALERTS_LASTS_HOURS, &[("n", &2)])}</option>
            <option value="480">{ui.tx(keys::UI_ALERTS_LASTS_HOURS, &[("n", &8)])}</option>
        </select>
    }
}

/// Acknowledge, silence, and restart the component.
pub fn actions(ui: Ui, alert: &AlertView, back: &str) -> Node {
    let (may_not_acknowledge, may_not_restart, may_not_silence) = crate::info().with_value(|info| {
        (
            refused(ui, info, Permission::AlertsAcknowledge, alert.region.as_ref()),
            refused(ui, info, Permission::ComponentsOperate, alert.region.as_ref()),
            refused(ui, info, Permission::AlertsSilence, alert.region.as_ref()),
        )
    });
    let acknowledge = match may_not_acknowledge {
        Some(reason) => action(
            ui.t(keys::UI_ALERTS_ACKNOWLEDGE),
            String::new(),
            "small",
            Some(reason),
        ),
        None => {
            let operation = AcknowledgeAlert {
                alert: alert.alert,
                region: alert.region.clone(),
                note: String::new(),
                minutes: None,
            };
            let form = SubmitForm {
                typed: &["note", "minutes"],
                ..SubmitForm::quick(&operation, back)
            };
            let label = if alert.acknowledged.is_some() {
                keys::UI_ALERTS_TAKE_OVER
            } else {
                keys::UI_ALERTS_ACKNOWLEDGE
            };
            let note = ("note", ui.t(keys::UI_ALERTS_NOTE), false);
            with_note_and(ui, form, ui.t(label), note, lasting(ui))
        }
    };
    let restart = alert
        .component
        .as_deref()
        .and_then(|c| c.parse().ok())
        .map(|component| {
            let href = plan_href(
                &RestartComponent { component },
                &format!("/alerts/{}", alert.alert),
            );
            action(ui.t(keys::UI_ALERTS_RESTART), href, "small", may_not_restart)
        });
    let silence = action(
        ui.t(keys::UI_ALERTS_SILENCE),
        super::silences::href(alert),
        "small",
        may_not_silence,
    );
    html! { {acknowledge} {silence} {restart} }
}
