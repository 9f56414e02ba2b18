//! What waits for the reader's approval.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::node::Node;
use crate::ui::{age, empty, title};
use bagua_markup::html;
use bagua_model::operation::{ApprovalInbox, OperationView};
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/approvals`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let inbox = asked(move || (ApprovalInbox {}, live.operations.get()));
    html! {
        {title(ui.t(keys::UI_NAV_APPROVALS))}
        <div class="page-head"><h1>{ui.t(keys::UI_NAV_APPROVALS)}</h1></div>
        {inbox.page(ui, move |list| {
            if list.is_empty() {
                return empty(ui.t(keys::UI_APPROVALS_NONE), ui.t(keys::UI_APPROVALS_NONE_NEXT));
            }
            html! { <div class="columns">{list.iter().map(|o| card(ui, o)).collect::<Node>()}</div> }
        })}
    }
}

/// What would happen, who asks for it, and the way to the page where it is decided, plan in view.
fn card(ui: Ui, o: &OperationView) -> Node {
    let s = &o.summary;
    let href = format!("/operations/{}", s.operation);
    html! {
        <section class="card">
            <h2><a href=href.clone()>{ui.text(&s.summary)}</a></h2>
            <p class="muted">{s.submitted_by.clone()} " · " {age(ui, s.submitted_at)}</p>
            {o.reason.clone().map(|r| html! { <blockquote>{r}</blockquote> })}
            {o.approval_expires_at.map(|at| html! { <p>{ui.t(keys::UI_OPERATION_APPROVAL_EXPIRES)} " " {age(ui, at)}</p> })}
            {super::plan::plan_lines(ui, &o.plan)}
            <p><a class="button primary" href=href>{ui.t(keys::UI_APPROVALS_DECIDE)}</a></p>
        </section>
    }
}
