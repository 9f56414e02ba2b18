//! Schedules: cron expressions that submit operations.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::form::{action, plan_href, refused};
use crate::ui::node::Node;
use crate::ui::submit::{SubmitForm, button};
use crate::ui::{age, empty, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::operation::{DeleteSchedule, ListSchedules, PauseSchedule, ScheduleView};
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/schedules`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let list = asked(move || {
        (
            ListSchedules {},
            live.schedules.get().wrapping_add(live.operations.get()),
        )
    });
    html! {
        {title(ui.t(keys::UI_NAV_SCHEDULES))}
        <div class="page-head"><h1>{ui.t(keys::UI_NAV_SCHEDULES)}</h1></div>
        {list.page(ui, move |list| {
            if list.is_empty() {
                return empty(ui.t(keys::UI_SCHEDULES_NONE), ui.t(keys::UI_SCHEDULES_NONE_NEXT));
            }
            table(ui, list)
        })}
    }
}

fn table(ui: Ui, list: &[ScheduleView]) -> Node {
    let rows = list.iter().map(|s| row(ui, s)).collect::<Node>();
    html! {
        <div class="scroll card" tabindex="0" role="region" aria-label=ui.t(keys::UI_NAV_SCHEDULES)>
            <table>
                <thead>
                    <tr>
                        <th scope="col">{ui.t(keys::UI_COLUMN_NAME)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_STATE)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_CRON)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_KIND)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_COLUMN_NEXT)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_LAST)}</th>
                        <th scope="col">{ui.t(keys::UI_ACTIONS)}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(ui: Ui, s: &ScheduleView) -> Node {
    let refusal = crate::info().with_value(|info| refused(ui, info, Permission::SchedulesManage, None));
    let pause = PauseSchedule {
        name: s.name.clone(),
        paused: !s.paused,
    };
    let pause_label = ui.t(if s.paused {
        keys::UI_SCHEDULES_RESUME
    } else {
        keys::UI_SCHEDULES_PAUSE
    });
    let delete = plan_href(&DeleteSchedule { name: s.name.clone() }, "/schedules");
    let (class, word) = if s.paused {
        ("stopped", keys::UI_SCHEDULES_PAUSED)
    } else {
        ("healthy", keys::UI_SCHEDULES_ACTIVE)
    };
    html! {
        <tr>
            <th scope="row">{s.name.clone()}</th>
            <td><span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.t(word)}</span></td>
            <td><code>{s.cron.clone()}</code> " UTC"</td>
            <td><code>{s.kind.clone()}</code></td>
            <td class="num">{s.next_at.map(|at| age(ui, at))}</td>
            <td class="wrap">
                {s.last_operation.map(|id| html! { <a href=format!("/operations/{id}")>{ui.t(keys::UI_OPERATIONS_OPEN_IT)}</a> " " })}
                {s.last_failure.as_ref().map(|f| html! { <span class="state critical"><i class="mark critical" aria-hidden="true"></i>{ui.text(f)}</span> })}
            </td>
            <td class="row-actions">
                {match &refusal {
                    Some(reason) => action(pause_label, String::new(), "small", Some(reason.clone())),
                    None => button(ui, SubmitForm::quick(&pause, "/schedules"), pause_label, "small"),
                }}
                {action(ui.t(keys::UI_SCHEDULES_DELETE), delete, "small danger", refusal)}
            </td>
        </tr>
    }
}
