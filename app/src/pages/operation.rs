//! One operation: its steps as they happen, its log, its result, and what the reader can decide.

use super::operations::target;
use super::param;
use crate::asked::asked;
use crate::i18n::{Ui, machine, utc};
use crate::live::Live;
use crate::ui::node::Node;
use crate::ui::submit::{SubmitForm, button, with_note};
use crate::ui::{age, empty, figures, moment, rows, since, state, title};
use bagua_markup::html;
use bagua_model::operation::{
    ApproveOperation, CancelOperation, GetOperation, OperationId, OperationState, OperationView,
    RejectOperation, RetryDecision, RetryOperation, StepState, StepView,
};
use bagua_model::text::keys;
use leptos::prelude::*;
use uuid::Uuid;

/// `/operations/:operation`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let id = param("operation");
    let view = asked(move || {
        // What is no id is no operation's id either: the answer says that there is no such operation.
        let operation = id.get().parse().unwrap_or(OperationId(Uuid::nil()));
        (GetOperation { operation }, live.operations.get())
    });
    view.page(ui, move |view| whole(ui, view))
}

fn whole(ui: Ui, o: &OperationView) -> Node {
    let s = &o.summary;
    let words = ui.text(&s.summary);
    let running = !s.state.is_final();
    html! {
        {title(words.clone())}
        <div class="page-head">
            <div>
                <h1>{words}</h1>
                <p class="page-state" role="status">
                    {state::operation(ui, s.state)} " "
                    {match (s.started_at, s.finished_at) {
                        (_, Some(at)) => age(ui, at),
                        (Some(at), None) => since(ui, at),
                        (None, None) => since(ui, s.submitted_at),
                    }}
                    {running.then(|| html! { " " {rows::progress(ui, s)} })}
                </p>
                {o.failure.as_ref().map(|f| html! { <p class="notice critical" role="alert"><i class="mark critical" aria-hidden="true"></i>{ui.text(f)}</p> })}
                {(o.cancel_requested && running).then(|| html! { <p class="notice warning"><i class="mark warning" aria-hidden="true"></i>{ui.t(keys::UI_OPERATION_CANCEL_REQUESTED)}</p> })}
                {o.break_glass.then(|| html! { <p class="notice critical"><i class="mark critical" aria-hidden="true"></i>{ui.t(keys::UI_OPERATION_BREAK_GLASS)}</p> })}
            </div>
            <div class="actions" role="group" aria-label=ui.t(keys::UI_ACTIONS)>{decisions(ui, o)}</div>
        </div>
        <div class="columns">
            <section class="card">
                <h2>{ui.t(keys::UI_OPERATION_STEPS)}</h2>
                {steps(ui, o)}
                {outcome(ui, o)}
            </section>
            <section class="card">
                <h2>{ui.t(keys::UI_OPERATION_FACTS)}</h2>
                {facts(ui, o)}
            </section>
            <section class="card">
                <h2>{ui.t(keys::UI_OPERATION_PLAN)}</h2>
                {super::plan::plan_lines(ui, &o.plan)}
                {o.new_plan.as_ref().map(|plan| html! {
                    <h3>{ui.t(keys::UI_OPERATION_NEW_PLAN)}</h3>
                    {super::plan::plan_lines(ui, plan)}
                })}
            </section>
            <section class="card">
                <h2>{ui.t(keys::UI_OPERATION_LOG)}</h2>
                {log(ui, o)}
            </section>
        </div>
    }
}

/// What the reader may decide now.
fn decisions(ui: Ui, o: &OperationView) -> Node {
    let id = o.summary.operation;
    let back = format!("/operations/{id}");
    let approve = o.may_approve.then(|| {
        let operation = ApproveOperation {
            operation: id,
            hash: o.plan_hash.clone(),
        };
        button(
            ui,
            SubmitForm::quick(&operation, &back),
            ui.t(keys::UI_OPERATION_APPROVE),
            "primary",
        )
    });
    let reject = o.may_approve.then(|| {
        let operation = RejectOperation {
            operation: id,
            reason: String::new(),
        };
        let form = SubmitForm {
            typed: &["reason"],
            ..SubmitForm::quick(&operation, &back)
        };
        with_note(
            ui,
            form,
            ui.t(keys::UI_OPERATION_REJECT),
            "reason",
            ui.t(keys::UI_OPERATION_REJECT_WHY),
            true,
        )
    });
    let decide = |decision, label, class| {
        let operation = RetryOperation {
            operation: id,
            decision,
            hash: o.new_plan_hash.clone(),
        };
        button(ui, SubmitForm::quick(&operation, &back), ui.t(label), class)
    };
    let retry = o.may_retry.then(|| {
        let label = if o.new_plan.is_some() { keys::UI_OPERATION_CONFIRM_NEW } else { keys::UI_OPERATION_RETRY };
        html! { {decide(RetryDecision::Retry, label, "primary")} {decide(RetryDecision::GiveUp, keys::UI_OPERATION_GIVE_UP, "danger")} }
    });
    let cancel = (o.may_cancel && !o.cancel_requested).then(|| {
        let operation = CancelOperation {
            operation: id,
            reason: None,
        };
        button(
            ui,
            SubmitForm::quick(&operation, &back),
            ui.t(keys::UI_OPERATION_CANCEL),
            "danger",
        )
    });
    html! { {approve} {reject} {retry} {cancel} }
}

fn same_step(planned: &str, name: &str) -> bool {
    planned.strip_prefix("step.").unwrap_or(planned) == name
}

/// The plan's steps with what has become of them; steps that the plan did not name stand where they happened.
fn steps(ui: Ui, o: &OperationView) -> Node {
    let mut lines: Vec<Node> = Vec::new();
    let mut left: Vec<&StepView> = o.steps.iter().collect();
    for planned in &o.plan.steps {
        match left.iter().position(|s| same_step(planned, &s.name)) {
            Some(at) => {
                lines.extend(left.drain(..=at).map(|s| step(ui, &s.name, Some(s))));
            }
            None => lines.push(step(ui, planned, None)),
        }
    }
    lines.extend(left.into_iter().map(|s| step(ui, &s.name, Some(s))));
    if lines.is_empty() {
        return empty(ui.t(keys::UI_OPERATION_NO_STEPS), "");
    }
    html! { <ol class="steps">{lines}</ol> }
}

fn step(ui: Ui, name: &str, done: Option<&StepView>) -> Node {
    let class = match done.map(|s| s.state) {
        None => "step waiting",
        Some(StepState::Started) => "step now",
        Some(StepState::Done) => "step done",
        Some(StepState::Failed | StepState::UndoFailed) => "step failed",
        Some(StepState::Undone) => "step undone",
    };
    let time = done.map(|s| match s.finished_at {
        Some(until) => figures::seconds((until - s.started_at).as_seconds_f64()).into(),
        None => since(ui, s.started_at),
    });
    let attempt = done.map(|s| s.attempt).filter(|n| *n > 1);
    let failure = done.and_then(|s| s.failure.as_ref()).map(|f| ui.text(f));
    html! {
        <li class=class>
            <span class="step-name">{rows::step_words(ui, name)}</span>
            {state::step(ui, done.map(|s| s.state))}
            <span class="num">{time}</span>
            {attempt.map(|n| html! { <span class="tag">{ui.tx(keys::UI_OPERATION_ATTEMPT, &[("n", &n)])}</span> })}
            {failure.map(|f| html! { <p class="step-failure">{f}</p> })}
        </li>
    }
}

fn outcome(ui: Ui, o: &OperationView) -> Node {
    let Some(value) = o.outcome.as_ref().filter(|v| !v.is_null()) else {
        return ().into();
    };
    let body = match value.as_object() {
        Some(fields) => {
            let facts = fields
                .iter()
                .map(|(name, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    html! { <div><dt><code>{name.clone()}</code></dt><dd class="num">{text}</dd></div> }
                })
                .collect::<Node>();
            html! { <dl class="facts">{facts}</dl> }
        }
        None => html! { <p><code>{value.to_string()}</code></p> },
    };
    html! { <h3>{ui.t(keys::UI_OPERATION_RESULT)}</h3> {body} }
}

fn facts(ui: Ui, o: &OperationView) -> Node {
    let s = &o.summary;
    let fact = |name, value: Node| html! { <div><dt>{ui.t(name)}</dt><dd>{value}</dd></div> };
    html! {
        <dl class="facts">
            {fact(keys::UI_COLUMN_TARGET, target(&s.target.noun, &s.target.id))}
            {fact(keys::UI_COLUMN_KIND, html! { <code>{s.kind.clone()}</code> })}
            {fact(keys::UI_COLUMN_BY, s.submitted_by.clone().into())}
            {fact(keys::UI_COLUMN_SUBMITTED, moment(ui, s.submitted_at))}
            {s.started_at.map(|at| fact(keys::UI_OPERATION_STARTED, moment(ui, at)))}
            {s.finished_at.map(|at| fact(keys::UI_OPERATION_FINISHED, moment(ui, at)))}
            {o.reason.clone().map(|r| fact(keys::UI_OPERATION_REASON, r.into()))}
            {o.decided_by.clone().map(|by| fact(keys::UI_OPERATION_DECIDED_BY, by.into()))}
            {o.approval_expires_at
                .filter(|_| s.state == OperationState::AwaitingApproval)
                .map(|at| fact(keys::UI_OPERATION_APPROVAL_EXPIRES, age(ui, at)))}
            {(o.attempt > 1).then(|| fact(keys::UI_OPERATION_ATTEMPTS, o.attempt.to_string().into()))}
            {fact(keys::UI_OPERATION_ID, html! { <code>{s.operation.to_string()}</code> })}
        </dl>
        <p><a href=format!("/audit?operation={}", s.operation)>{ui.t(keys::UI_OPERATION_AUDIT)}</a></p>
    }
}

fn log(ui: Ui, o: &OperationView) -> Node {
    let lines = o
        .events
        .iter()
        .rev()
        .map(|e| {
            let percent = e.progress.map(|p| format!(" {:.0} %", p * 100.0));
            html! {
                <li class="row event">
                    <time class="num row-age" datetime=machine(e.at) title=format!("{} · {}", ui.local(e.at), utc(e.at))>{ui.clock(e.at)}</time>
                    <span class="row-main">{ui.text(&e.text)} {percent}</span>
                </li>
            }
        })
        .collect::<Node>();
    // It scrolls when it is long, so a keyboard must reach it.
    html! { <ul class="rows log" tabindex="0" aria-label=ui.t(keys::UI_OPERATION_LOG)>{lines}</ul> }
}
