//! People: who they are, what they may do where, when they were last here; and the reader's own sessions.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::form::{action, plan_href, refused};
use crate::ui::node::Node;
use crate::ui::submit::{SubmitForm, button};
use crate::ui::table::table;
use crate::ui::{age, empty, title};
use bagua_markup::html;
use bagua_model::access::{
    DisablePerson, EnablePerson, ListPeople, ListSessions, Permission, PersonView, RevokeSession,
    SessionView, scope_argument,
};
use bagua_model::text::{Text, keys};
use leptos::prelude::*;

/// `/access`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let people = asked(move || (ListPeople {}, live.access.get()));
    let sessions = asked(move || (ListSessions::default(), live.access.get()));
    html! {
        {title(ui.t(keys::UI_ROOM_ACCESS))}
        <div class="page-head">
            <h1>{ui.t(keys::UI_ROOM_ACCESS)}</h1>
            <a class="button" href="/access/tokens">{ui.t(keys::UI_TOKENS_TITLE)}</a>
        </div>
        <section class="card">
            <h2>{ui.t(keys::UI_ACCESS_PEOPLE)}</h2>
            {people.show(ui, move |list| people_table(ui, list))}
        </section>
        <section class="card">
            <h2>{ui.t(keys::UI_ACCESS_SESSIONS)}</h2>
            {sessions.show(ui, move |list| {
                if list.is_empty() { empty(ui.t(keys::UI_LIST_NOTHING), "") } else { session_table(ui, list) }
            })}
        </section>
    }
}

fn people_table(ui: Ui, list: &[PersonView]) -> Node {
    let rows = list.iter().map(|p| row(ui, p)).collect::<Node>();
    table(
        ui,
        ui.t(keys::UI_ACCESS_PEOPLE),
        &[
            (keys::UI_COLUMN_NAME, false),
            (keys::UI_FIELD_EMAIL, false),
            (keys::UI_COLUMN_STATE, false),
            (keys::UI_COLUMN_ROLES, false),
            (keys::UI_COLUMN_LAST_SIGN_IN, true),
            (keys::UI_COLUMN_SESSIONS, true),
            (keys::UI_ACTIONS, false),
        ],
        rows,
    )
}

fn row(ui: Ui, p: &PersonView) -> Node {
    let grants = p
        .grants
        .iter()
        .map(|g| {
            let scope = ui.text(&Text::verbatim(scope_argument(&g.scope)));
            html! { <li>{ui.key(&format!("role.{}", g.role))} <span class="muted">" · " {scope}</span></li> }
        })
        .collect::<Node>();
    let now = ui.now.get_untracked();
    let (class, word) = if p.disabled_at.is_some() {
        ("stopped", keys::UI_ACCESS_DISABLED)
    } else if p.locked_until.is_some_and(|at| at.unix_timestamp() > now) {
        ("warning", keys::UI_ACCESS_LOCKED)
    } else if !p.has_password {
        ("unknown", keys::UI_ACCESS_INVITED)
    } else {
        ("healthy", keys::UI_ACCESS_ACTIVE)
    };
    let refusal = crate::info().with_value(|info| refused(ui, info, Permission::PeopleManage, None));
    let toggle = match p.disabled_at {
        Some(_) => action(
            ui.t(keys::UI_ACCESS_ENABLE),
            plan_href(&EnablePerson { person: p.person }, "/access"),
            "small",
            refusal,
        ),
        None => action(
            ui.t(keys::UI_ACCESS_DISABLE),
            plan_href(&DisablePerson { person: p.person }, "/access"),
            "small danger",
            refusal,
        ),
    };
    html! {
        <tr>
            <th scope="row">{p.name.clone()}</th>
            <td>{p.email.clone()}</td>
            <td><span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.t(word)}</span></td>
            <td><ul class="grants">{grants}</ul></td>
            <td class="num">{match p.last_sign_in_at {
                Some(at) => age(ui, at),
                None => ui.t(keys::UI_ACCESS_NEVER).into(),
            }}</td>
            <td class="num">{p.sessions}</td>
            <td class="row-actions">{toggle}</td>
        </tr>
    }
}

fn session_table(ui: Ui, list: &[SessionView]) -> Node {
    let rows = list
        .iter()
        .map(|s| {
            let end = SubmitForm::quick(&RevokeSession { session: s.session }, "/access");
            html! {
                <tr>
                    <th scope="row" class="wrap">{s.user_agent.clone()}</th>
                    <td class="num">{s.address.clone()}</td>
                    <td class="num">{age(ui, s.created_at)}</td>
                    <td class="num">{age(ui, s.last_seen_at)}</td>
                    <td class="num">{age(ui, s.expires_at)}</td>
                    <td class="row-actions">{button(ui, end, ui.t(keys::UI_ACCESS_END_SESSION), "small")}</td>
                </tr>
            }
        })
        .collect::<Node>();
    table(
        ui,
        ui.t(keys::UI_ACCESS_SESSIONS),
        &[
            (keys::UI_COLUMN_BROWSER, false),
            (keys::UI_COLUMN_ADDRESS, true),
            (keys::UI_COLUMN_SIGNED_IN, true),
            (keys::UI_COLUMN_LAST_SEEN, true),
            (keys::UI_COLUMN_EXPIRES, true),
            (keys::UI_ACTIONS, false),
        ],
        rows,
    )
}
