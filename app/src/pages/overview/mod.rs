//! The first screen: what is wrong, where, since when, who has it, what runs, what changed just before.

mod map;
mod projection;

use crate::asked::{asked, show_both};
use crate::hot::{Hot, WORST};
use crate::i18n::Ui;
use crate::layout::scope;
use crate::live::Live;
use crate::rpc::Answered;
use crate::ui::node::{Node, following};
use crate::ui::{age, empty, failed, rows, title};
use bagua_markup::html;
use bagua_model::alerts::{AlertFeed, AlertView, GetPipeline, PIPELINE_PATIENCE, Severity};
use bagua_model::operation::{ListOperations, OperationState, OperationSummary, Page, RecentEvents};
use bagua_model::regions::{GetWorld, WorldView};
use bagua_model::text::keys;
use leptos::prelude::*;
use time::OffsetDateTime;

/// How many lines of the event log are shown.
const CHANGES: u16 = 10;
/// A snapshot older than this many seconds says so.
const STALE_SECONDS: i64 = 20;

/// `/`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let scope = scope();
    let Some(hot) = Hot::get() else { return ().into() };
    let world = asked(move || (GetWorld {}, live.regions.get()));
    let active = asked(move || {
        let states = OperationState::ALL
            .iter()
            .copied()
            .filter(|s| !s.is_final())
            .collect();
        (
            ListOperations {
                states,
                region: scope.get(),
                limit: 20,
                ..ListOperations::default()
            },
            live.operations.get(),
        )
    });
    let events = asked(move || {
        let revision = live.operations.get().wrapping_add(live.alerts.get());
        (
            RecentEvents {
                region: scope.get(),
                limit: CHANGES,
                ..RecentEvents::default()
            },
            revision,
        )
    });
    let pipeline = asked(move || (GetPipeline {}, live.regions.get()));
    html! {
        {title(ui.t(keys::UI_OVERVIEW_TITLE))}
        <h1 class="hidden">{ui.t(keys::UI_OVERVIEW_TITLE)}</h1>
        <div class="overview">
            <section class="card world" aria-label=ui.t(keys::UI_MAP_LABEL)>
                {map::follow_links(world.show(ui, move |world| world_view(ui, world)))}
            </section>
            <section class="card needs">
                <h2>{ui.t(keys::UI_OVERVIEW_NEEDS)}</h2>
                {show_both(ui, hot.feed, active, move |feed, active| needs(ui, feed, active))}
                {pipeline.show(ui, move |pipeline| heard(ui, pipeline.last_seen))}
            </section>
            <section class="card running">
                <h2>{ui.t(keys::UI_OVERVIEW_RUNNING)}</h2>
                {active.show(ui, move |page| running(ui, &page.rows))}
            </section>
            <section class="card changes">
                <h2>{ui.t(keys::UI_OVERVIEW_CHANGES)}</h2>
                {events.show(ui, move |list| {
                    rows::list(list.iter().map(|e| rows::event(ui, e)), || empty(ui.t(keys::UI_OVERVIEW_NO_CHANGES), ""))
                })}
            </section>
        </div>
    }
}

/// When the alert that always fires was last heard: by the clock, so that it never looks well because nothing came.
fn heard(ui: Ui, last: Option<OffsetDateTime>) -> Node {
    Node::follows(move || {
        let now = ui.now.get();
        let (class, words) = match last.map(OffsetDateTime::unix_timestamp) {
            None => ("unknown", ui.t(keys::UI_OVERVIEW_PIPELINE_UNKNOWN).to_owned()),
            Some(at) if now - at <= PIPELINE_PATIENCE.whole_seconds() => (
                "healthy",
                ui.tx(keys::UI_OVERVIEW_PIPELINE, &[("ago", &ui.ago(at, now))]),
            ),
            Some(at) => (
                "critical",
                ui.tx(keys::UI_OVERVIEW_PIPELINE_SILENT, &[("span", &ui.span(now - at))]),
            ),
        };
        html! { <p class="pipeline"><span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{words}</span></p> }
    })
}

fn world_view(ui: Ui, world: &WorldView) -> Node {
    let at = world.at;
    html! {
        {map::map(ui, world)}
        <p class="world-foot">
            {as_of(ui, at)}
            {world.global.as_ref().map(|global| html! {
                <a href="/regions/global">{ui.region("global")} " " {crate::ui::state::health(ui, global.health)}</a>
            })}
        </p>
        <details class="behind">
            <summary>{ui.t(keys::UI_MAP_TABLE)}</summary>
            <div class="scroll" tabindex="0" role="region" aria-label=ui.t(keys::UI_MAP_TABLE)>{map::table(ui, world)}</div>
        </details>
    }
}

/// How old the picture is; an old one stands out.
fn as_of(ui: Ui, at: OffsetDateTime) -> Node {
    let class = following(move || (ui.now.get() - at.unix_timestamp() > STALE_SECONDS).then_some("stale"));
    html! { <span class=class>{ui.t(keys::UI_OVERVIEW_AS_OF)} " " {age(ui, at)}</span> }
}

/// Critical first; then operations that wait for a person; then the rest. What cannot be asked is said, not left out.
fn needs(ui: Ui, feed: Answered<&AlertFeed>, active: Answered<&Page<OperationSummary>>) -> Node {
    let waiting: Vec<_> = active
        .iter()
        .flat_map(|page| &page.rows)
        .filter(|o| {
            matches!(
                o.state,
                OperationState::NeedsOperator | OperationState::AwaitingApproval
            )
        })
        .map(|o| rows::operation(ui, o))
        .collect();
    let feed = match feed {
        Ok(feed) => feed,
        Err(error) => return html! { {failed(ui, &error)} <ul class="rows">{waiting}</ul> },
    };
    let quiet = feed.page.rows.is_empty() && waiting.is_empty();
    let total: u32 = feed.firing.iter().sum();
    let more = total.saturating_sub(u32::from(WORST));
    let (first, rest): (Vec<_>, Vec<_>) = feed
        .page
        .rows
        .iter()
        .partition(|a| a.severity == Severity::Critical);
    let alerts = |list: Vec<&AlertView>| list.into_iter().map(|a| rows::alert(ui, a)).collect::<Node>();
    if quiet {
        let words = if feed.degraded {
            keys::UI_OVERVIEW_QUIET_DEGRADED
        } else {
            keys::UI_OVERVIEW_QUIET
        };
        return empty(ui.t(words), "");
    }
    html! {
        <ul class="rows">
            {alerts(first)}
            {waiting}
            {alerts(rest)}
        </ul>
        {(more > 0 && feed.page.next.is_some()).then(|| html! { <p><a href="/alerts">{ui.tx(keys::UI_OVERVIEW_MORE, &[("n", &more)])}</a></p> })}
    }
}

fn running(ui: Ui, list: &[OperationSummary]) -> Node {
    let running = list
        .iter()
        .filter(|o| {
            matches!(
                o.state,
                OperationState::Queued | OperationState::Running | OperationState::Unwinding
            )
        })
        .map(|o| rows::operation(ui, o));
    rows::list(running, || empty(ui.t(keys::UI_OVERVIEW_NOTHING_RUNS), ""))
}
