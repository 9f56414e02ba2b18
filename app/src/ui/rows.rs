//! Rows that several pages share: an alert, an operation, an event.

use super::{age, since, state};
use crate::i18n::Ui;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::alerts::AlertView;
use bagua_model::operation::{EventView, OperationSummary};
use bagua_model::text::keys;

/// `ap-east-1/gateway` as the address of its page.
pub fn component_href(id: &str) -> String {
    format!("/regions/{id}")
}

/// An alert in one line: how bad, what, where, since when, who has it.
pub fn alert(ui: Ui, alert: &AlertView) -> Node {
    let place = place(ui, alert);
    let owner = alert.acknowledged.as_ref().map(|a| a.by.clone());
    html! {
        <li class=format!("row alert {}", state::severity_class(alert.severity))>
            {state::severity(ui, alert.severity)}
            <span class="row-main">
                <a href=format!("/alerts/{}", alert.alert)>{alert.name.clone()}</a>
                <span class="row-sub">{alert.summary.clone()}</span>
            </span>
            <span class="row-place">{place}</span>
            <span class="row-owner">{owner_words(ui, owner)}</span>
            <span class="row-age num">{since(ui, alert.started_at)}</span>
        </li>
    }
}

/// Where an alert is: `Hong Kong · gateway`, the code on hover.
pub fn place(ui: Ui, alert: &AlertView) -> Node {
    let region = alert.region.as_ref().map(|r| ui.region(r.as_str()));
    let component = alert.component.clone().map(|id| {
        let service = id
            .split_once('/')
            .map_or(id.as_str(), |(_, service)| service)
            .to_owned();
        html! { <a href=component_href(&id) title=id>{service}</a> }
    });
    let joint = (region.is_some() && component.is_some()).then_some(" · ");
    html! { {region} {joint} {component} }
}

/// Who has it, or that nobody has.
pub fn owner_words(ui: Ui, owner: Option<String>) -> Node {
    match owner {
        Some(name) => html! { <span class="owner">{name}</span> },
        None => html! { <span class="owner none">{ui.t(keys::UI_ALERTS_NOBODY)}</span> },
    }
}

/// The words of a step.
pub fn step_words(ui: Ui, step: &str) -> String {
    let key = if step.starts_with("step.") {
        step.to_owned()
    } else {
        format!("step.{step}")
    };
    // Steps that there are as many of as are needed end with their number.
    let numbered = key
        .rsplit_once('-')
        .filter(|(_, number)| number.bytes().all(|b| b.is_ascii_digit()));
    let words = match numbered {
        Some((key, number)) => ui.tx(key, &[("n", &number)]),
        None => ui.key(&key),
    };
    if words == key || words.starts_with("step.") {
        step.strip_prefix("step.").unwrap_or(step).to_owned()
    } else {
        words
    }
}

/// How far an operation is, as a bar with numbers beside.
pub fn progress(ui: Ui, operation: &OperationSummary) -> Node {
    let (done, total) = (operation.steps_done, operation.steps_total.max(1));
    let words = ui.tx(
        keys::UI_OPERATIONS_STEP_OF,
        &[("done", &done), ("total", &operation.steps_total)],
    );
    html! {
        <progress max=total.to_string() value=done.to_string() aria-label=words.clone()></progress>
        <span class="num">{words}</span>
    }
}

/// A person's name without the address that the audit log keeps beside it.
pub fn name_of(actor: &str) -> String {
    actor.split_once(" <").map_or(actor, |(name, _)| name).to_owned()
}

/// An operation in one line, with its progress while it runs.
pub fn operation(ui: Ui, operation: &OperationSummary) -> Node {
    let now = operation.current_step.as_deref().map(|step| step_words(ui, step));
    let running = !operation.state.is_final();
    html! {
        <li class="row operation">
            {state::operation(ui, operation.state)}
            <span class="row-main">
                <a href=format!("/operations/{}", operation.operation)>{ui.text(&operation.summary)}</a>
                <span class="row-sub">{running.then_some(now).flatten()}</span>
            </span>
            <span class="row-progress">{running.then(|| progress(ui, operation))}</span>
            <span class="row-owner">{name_of(&operation.submitted_by)}</span>
            <span class="row-age num">{age(ui, operation.submitted_at)}</span>
        </li>
    }
}

/// Where an event's subject has its page.
fn subject_href(subject: &str) -> Option<String> {
    let (noun, id) = subject.split_once(':')?;
    match noun {
        "component" => Some(component_href(id)),
        "region" => Some(format!("/regions/{id}")),
        "bot" => Some(format!("/bots/{id}")),
        "alert" => Some(format!("/alerts/{id}")),
        "operation" => Some(format!("/operations/{id}")),
        _ => None,
    }
}

/// A line of the event log.
pub fn event(ui: Ui, event: &EventView) -> Node {
    let href = event
        .operation
        .map(|id| format!("/operations/{id}"))
        .or_else(|| subject_href(&event.subject));
    let words = ui.text(&event.text);
    let place = event.region.as_ref().map(|r| ui.region(r.as_str()));
    html! {
        <li class="row event">
            <span class="row-age num">{age(ui, event.at)}</span>
            <span class="row-main">
                {match href {
                    Some(href) => html! { <a href=href>{words}</a> },
                    None => html! { <span>{words}</span> },
                }}
            </span>
            <span class="row-place">{place}</span>
        </li>
    }
}

/// The rows, or what stands there when there are none.
pub fn list(rows: impl Iterator<Item = Node>, none: impl FnOnce() -> Node) -> Node {
    let rows: Vec<Node> = rows.collect();
    if rows.is_empty() {
        none()
    } else {
        html! { <ul class="rows">{rows}</ul> }
    }
}
