//! Plan first: what would happen, before anybody commits to it.

use super::query;
use crate::asked::{Payload, asked_by};
use crate::i18n::Ui;
use crate::live::Live;
use crate::rpc::{Answered, AppError};
use crate::ui::form::flash_of;
use crate::ui::node::Node;
use crate::ui::submit::{SubmitForm, Then, Underway, confirm_label};
use crate::ui::{failed, rows, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{Plan, PlanView};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Risk;
use leptos::prelude::*;
use uuid::Uuid;

/// A token that makes the same form posted twice the same submission.
pub fn token() -> Option<Uuid> {
    #[cfg(feature = "ssr")]
    return Some(Uuid::new_v4());
    #[cfg(all(feature = "hydrate", not(feature = "ssr")))]
    {
        // Not `randomUUID`: that is missing on plain HTTP.
        let mut bytes = [0u8; 16];
        let crypto = window().crypto().ok()?;
        crypto.get_random_values_with_u8_array(&mut bytes).ok()?;
        Some(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
    #[cfg(not(any(feature = "ssr", feature = "hydrate")))]
    None
}

/// `kind` and `input` of the address, joined for the question's key.
pub(super) async fn planned(wish: String) -> Answered<Payload> {
    let (kind, input) = wish.split_once(' ').unwrap_or((&wish, ""));
    let input = serde_json::from_str(input).map_err(|_| {
        AppError(Failure::new(
            FailureKind::Invalid,
            Text::new(keys::UI_PLAN_BAD_ADDRESS),
        ))
    })?;
    crate::rpc::plan(kind, input).await
}

/// `/operations/new?kind=…&input=…&back=…`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let (kind, input, back) = (query("kind"), query("input"), query("back"));
    // A new plan only when the address changes or an operation moved: the target may have become free or busy.
    let underway = Underway::default();
    let revision = underway.hold(move || live.operations.get());
    let plan = asked_by::<PlanView>(
        move || (format!("{} {}", kind.get(), input.get()), revision.get()),
        |_, wish| Box::pin(planned(wish)),
    );
    plan.page(ui, move |view| {
        whole(ui, view, token(), back.get_untracked(), underway.clone())
    })
}

fn list(class: &'static str, mark: Option<&'static str>, lines: Vec<String>) -> Node {
    let lines = lines
        .into_iter()
        .map(|line| html! { <li>{mark.map(|m| html! { <i class=format!("mark {m}") aria-hidden="true"></i> })}{line}</li> })
        .collect::<Node>();
    html! { <ul class=class>{lines}</ul> }
}

/// Changes, estimates, warnings and steps of a plan.
pub fn plan_lines(ui: Ui, plan: &Plan) -> Node {
    let texts = |list: &[Text]| list.iter().map(|t| ui.text(t)).collect::<Vec<_>>();
    let steps = plan
        .steps
        .iter()
        .map(|s| html! { <li>{rows::step_words(ui, s)}</li> })
        .collect::<Node>();
    html! {
        {(!plan.warnings.is_empty()).then(|| list("plan-warnings notice warning", Some("warning"), texts(&plan.warnings)))}
        {(!plan.changes.is_empty()).then(|| html! { <h3>{ui.t(keys::UI_PLAN_CHANGES)}</h3> {list("plan-list", None, texts(&plan.changes))} })}
        {(!plan.estimates.is_empty()).then(|| html! { <h3>{ui.t(keys::UI_PLAN_ESTIMATES)}</h3> {list("plan-list", None, texts(&plan.estimates))} })}
        {(!plan.steps.is_empty()).then(|| html! { <h3>{ui.t(keys::UI_OPERATION_STEPS)}</h3> <ol class="plan-list">{steps}</ol> })}
    }
}

pub(super) fn whole(ui: Ui, view: &PlanView, token: Option<Uuid>, back: String, underway: Underway) -> Node {
    let summary = ui.text(&view.plan.summary);
    let back = if back.starts_with('/') && !back.starts_with("//") {
        back
    } else {
        "/".to_owned()
    };
    html! {
        {title(summary.clone())}
        <div class="page-head">
            <div>
                <p class="muted">{ui.t(keys::UI_PLAN_TITLE)}</p>
                <h1>{summary}</h1>
            </div>
        </div>
        <div class="columns plan">
            <section class="card">
                <h2 class="hidden">{ui.t(keys::UI_PLAN_TITLE)}</h2>
                {plan_lines(ui, &view.plan)}
            </section>
            <section class="card">
                <h2 class="hidden">{ui.t(keys::UI_PLAN_CONFIRM)}</h2>
                {confirm(ui, view, token, back, underway)}
            </section>
        </div>
    }
}

/// Friction grows with what can go wrong: a click, the target's name typed, a second person.
fn confirm(ui: Ui, view: &PlanView, token: Option<Uuid>, back: String, underway: Underway) -> Node {
    let flash = crate::info().with_value(|info| flash_of(info, &format!("submit/{}", view.kind)));
    let came_back = flash
        .as_ref()
        .and_then(|f| f.failure.clone())
        .map(|f| failed(ui, &AppError(f)));
    let leave = html! { <a class="button" href=back.clone()>{ui.t(keys::UI_PLAN_LEAVE)}</a> };
    if let Some(refused) = &view.refused {
        return html! {
            <p class="notice warning" role="alert"><i class="mark warning" aria-hidden="true"></i>{ui.text(refused)}</p>
            <p>{leave}</p>
        };
    }
    if let Some(id) = view.busy {
        return html! {
            {came_back}
            <p class="notice warning" role="alert">
                <i class="mark warning" aria-hidden="true"></i>
                {ui.t(keys::FAILURE_BUSY)} " "
                <a href=format!("/operations/{id}")>{ui.t(keys::UI_OPERATIONS_OPEN_IT)}</a>
            </p>
            <p>{leave}</p>
        };
    }
    let typed = |name| {
        flash
            .as_ref()
            .and_then(|f| f.value(name))
            .unwrap_or_default()
            .to_owned()
    };
    let name_typed = matches!(view.risk, Risk::High | Risk::Critical).then(|| {
        let target = view.target.id.clone();
        html! {
            <label class="field">
                <span>{ui.tx(keys::UI_PLAN_TYPE_NAME, &[("name", &target)])}</span>
                <input name="confirm" required autocomplete="off" pattern=pattern_of(&target) value=typed("confirm")/>
            </label>
        }
    });
    let may_break = crate::info().with_value(|i| {
        i.me.as_ref()
            .is_some_and(|me| me.may_anywhere(Permission::OperationsBreakGlass))
    });
    let approval = view.plan.approval.as_ref().map(|why| {
        html! {
            <p class="notice info"><i class="mark info" aria-hidden="true"></i>{ui.text(why)}</p>
            {may_break.then(|| html! {
                <label class="check">
                    <input type="checkbox" name="break_glass" value="true"/>
                    <span>{ui.t(keys::UI_PLAN_BREAK_GLASS)}</span>
                </label>
            })}
        }
    });
    let destructive =
        view.kind.ends_with(".stop") || view.kind.ends_with(".delete") || view.risk >= Risk::High;
    let class = if destructive {
        "button danger"
    } else {
        "button primary"
    };
    let label = if view.plan.approval.is_some() {
        ui.t(keys::UI_PLAN_ASK_APPROVAL)
    } else {
        confirm_label(ui, &view.kind)
    };
    let body = html! {
        {came_back}
        {approval}
        {name_typed}
        <label class="field">
            <span>{ui.t(keys::UI_PLAN_REASON)}</span>
            <textarea name="reason" rows="2" maxlength="2000">{typed("reason")}</textarea>
        </label>
        <div class="actions">
            <button class=class>{label}</button>
            {leave}
        </div>
    };
    SubmitForm {
        kind: view.kind.clone(),
        input: view.input.clone(),
        typed: &[],
        hash: Some(view.hash.clone()),
        token,
        back,
        then: Then::Follow(underway),
    }
    .view(ui, body)
}

/// A pattern that matches exactly this text.
fn pattern_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if "\\^$.*+?()[]{}|/-".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
