//! All operations, newest first.

use super::some;
use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::memo::memo;
use crate::ui::filter::{Choice, Word, next_page, sentence};
use crate::ui::node::Node;
use crate::ui::state::{self, operation_word};
use crate::ui::{age, empty, rows, title, views};
use bagua_markup::html;
use bagua_model::operation::{ListOperations, OperationState, OperationSummary};
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

fn wanted(get: impl Fn(&str) -> String) -> ListOperations {
    let states = match get("state").as_str() {
        "open" => OperationState::ALL
            .iter()
            .copied()
            .filter(|s| !s.is_final())
            .collect(),
        one => one.parse().into_iter().collect(),
    };
    ListOperations {
        states,
        kind: some(get("kind")),
        region: some(get("region")).map(RegionId::new),
        target: some(get("target")),
        text: some(get("text")),
        after: some(get("after")),
        limit: 0,
    }
}

/// `/operations`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let location = use_location();
    let (params, search) = (location.query, location.search);
    let filter = memo(move || params.with(|q| wanted(|name| q.get(name).unwrap_or_default())));
    let state = super::query("state");
    let list = asked(move || (filter.get(), live.operations.get()));
    let filters = Node::follows(move || filters(ui, &filter.get(), state.get()));
    html! {
        {title(ui.t(keys::UI_NAV_OPERATIONS))}
        <div class="page-head"><h1>{ui.t(keys::UI_NAV_OPERATIONS)}</h1></div>
        {filters}
        {views::bar(ui, live)}
        {list.show(ui, move |page| {
            if page.rows.is_empty() {
                return empty(ui.t(keys::UI_LIST_NOTHING), ui.t(keys::UI_OPERATIONS_NONE_NEXT));
            }
            html! {
                {table(ui, page.rows.iter().map(|o| row(ui, o)).collect())}
                {next_page(ui, "/operations", &search.get_untracked(), page.next.clone())}
            }
        })}
    }
}

fn filters(ui: Ui, now: &ListOperations, state: String) -> Node {
    let states = [
        ("", ui.t(keys::UI_OPERATIONS_ANY_STATE)),
        ("open", ui.t(keys::UI_OPERATIONS_OPEN)),
    ]
    .into_iter()
    .map(|(value, words)| (value.to_owned(), words.to_owned()))
    .chain(
        OperationState::ALL
            .iter()
            .map(|s| (s.as_str().to_owned(), operation_word(ui, *s).to_owned())),
    )
    .collect();
    let choices = vec![
        Choice {
            name: "state",
            before: ui.t(keys::UI_OPERATIONS_FILTER_STATE),
            now: state,
            options: states,
        },
        Choice::region(ui, now.region.as_ref()),
    ];
    let words = vec![
        Word {
            name: "kind",
            before: ui.t(keys::UI_FILTER_KIND),
            now: now.kind.clone().unwrap_or_default(),
            kind: "search",
        },
        Word {
            name: "target",
            before: ui.t(keys::UI_FILTER_TARGET),
            now: now.target.clone().unwrap_or_default(),
            kind: "search",
        },
        Word {
            name: "text",
            before: ui.t(keys::UI_FILTER_TEXT),
            now: now.text.clone().unwrap_or_default(),
            kind: "search",
        },
    ];
    sentence(ui, "/operations", choices, words)
}

fn table(ui: Ui, body: Node) -> Node {
    html! {
        <div class="scroll card" tabindex="0" role="region" aria-label=ui.t(keys::UI_NAV_OPERATIONS)>
            <table>
                <thead>
                    <tr>
                        <th scope="col">{ui.t(keys::UI_COLUMN_STATE)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_WHAT)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_TARGET)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_PROGRESS)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_BY)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_COLUMN_SUBMITTED)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_COLUMN_TOOK)}</th>
                    </tr>
                </thead>
                <tbody>{body}</tbody>
            </table>
        </div>
    }
}

fn row(ui: Ui, o: &OperationSummary) -> Node {
    let took = o
        .started_at
        .zip(o.finished_at)
        .map(|(from, until)| (until - from).whole_milliseconds());
    let step = o
        .current_step
        .as_deref()
        .filter(|_| !o.state.is_final())
        .map(|s| rows::step_words(ui, s));
    html! {
        <tr>
            <td>{state::operation(ui, o.state)}</td>
            <th scope="row" class="wrap"><a href=format!("/operations/{}", o.operation)>{ui.text(&o.summary)}</a></th>
            <td>{target(&o.target.noun, &o.target.id)}</td>
            <td>{if o.state.is_final() { ().into() } else { rows::progress(ui, o) }} " " {step}</td>
            <td>{rows::name_of(&o.submitted_by)}</td>
            <td class="num">{age(ui, o.submitted_at)}</td>
            <td class="num">{took.map(|ms| crate::ui::figures::seconds(ms as f64 / 1_000.0))}</td>
        </tr>
    }
}

/// What an operation acts on, as a link where it has a page.
pub fn target(noun: &str, id: &str) -> Node {
    let words = id.to_owned();
    match noun {
        "component" => html! { <a href=rows::component_href(id)>{words}</a> },
        "alert" => html! { <a href=format!("/alerts/{id}")>{noun.to_owned()}</a> },
        "bot" => html! { <a href=format!("/bots/{id}")>{words}</a> },
        "operation" => html! { <a href=format!("/operations/{id}")>{noun.to_owned()}</a> },
        _ => html! { <span>{noun.to_owned()} " " {crate::ui::short_id(words)}</span> },
    }
}
