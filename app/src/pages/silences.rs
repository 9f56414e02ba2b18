//! Silences: what Alertmanager holds back, by whose word and until when; a new one with what it would hold.

use super::query;
use crate::asked::{Payload, asked, asked_by};
use crate::i18n::Ui;
use crate::live::Live;
use crate::memo::memo;
use crate::rpc::{Answered, AppError, ask_payload};
use crate::ui::form::{action, escape, plan_href, refused};
use crate::ui::get_form::get_form;
use crate::ui::node::{Node, following};
use crate::ui::rows::name_of;
use crate::ui::submit::{SubmitForm, Then, Underway};
use crate::ui::{empty, failed, moment, rows, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::alerts::AlertView;
use bagua_model::failure::Failure;
use bagua_model::silences::{
    CoverAlerts, CreateSilence, ExpireSilences, ListSilences, Matcher, PreviewSilence, SilencePreview,
    SilenceState, SilenceView, read_matchers, region_of, write_matchers,
};
use bagua_model::text::{Text, keys};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const PATH: &str = "/alerts/silences";

/// The address of the form, filled in for an alert: its rule, its place.
pub fn href(alert: &AlertView) -> String {
    let matchers: Vec<Matcher> = ["alertname", "region", "component"]
        .iter()
        .filter_map(|label| Some(Matcher::equal(*label, alert.labels.get(*label)?)))
        .collect();
    format!("{PATH}?match={}", escape(&write_matchers(&matchers)))
}

/// `/alerts/silences`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let (wanted, state) = (query("match"), query("state"));
    let list = asked(move || {
        let state = state.get().parse::<SilenceState>().ok();
        (ListSilences { state }, live.alerts.get())
    });
    let params = use_query_map();
    let chosen = memo(move || params.with(|q| q.get_all("alert")).unwrap_or_default().join(" "));
    let preview = asked_by::<Preview>(
        move || {
            let (text, chosen) = (wanted.get(), chosen.get());
            let asked = if text.is_empty() && !chosen.is_empty() {
                format!("{CHOSEN}{chosen}")
            } else {
                text
            };
            (asked, live.alerts.get())
        },
        |_, text| Box::pin(preview(text)),
    );
    let form = Node::follows(move || {
        let body = html! {
            <label class="field">
                <span>{ui.t(keys::UI_SILENCES_MATCH)}</span>
                <input type="text" name="match" value=wanted.get() maxlength="2000" autocomplete="off" spellcheck="false" placeholder="alertname=\"GatewayDown\", region=\"eu-west-1\""/>
            </label>
            <button class="button small">{ui.t(keys::UI_SILENCES_PREVIEW)}</button>
        };
        get_form("silence-match", || PATH.to_owned(), body)
    });
    let other = Node::follows(move || {
        if state.get() == SilenceState::Expired.as_str() {
            html! { <a href=PATH>{ui.t(keys::UI_SILENCES_STANDING)}</a> }
        } else {
            html! { <a href=format!("{PATH}?state=expired")>{ui.t(keys::UI_SILENCES_ENDED)}</a> }
        }
    });
    html! {
        {title(ui.t(keys::UI_SILENCES_TITLE))}
        <div class="page-head"><h1>{ui.t(keys::UI_SILENCES_TITLE)}</h1></div>
        <section class="card">
            <h2>{ui.t(keys::UI_SILENCES_NEW)}</h2>
            {form}
            {preview.show(ui, move |preview| would_hold(ui, preview))}
        </section>
        <section class="card">
            <h2>{ui.t(keys::UI_SILENCES_LIST)}</h2>
            <p>{other}</p>
            {ending(ui, state)}
            {list.show(ui, move |list| rows::list(list.iter().map(|s| listed(ui, s)), || {
                empty(ui.t(keys::UI_SILENCES_NONE), "")
            }))}
        </section>
    }
}

/// What the matchers in the address match; nothing when there are none.
#[derive(Clone, Serialize, Deserialize)]
struct Preview {
    /// As they stand in the address: what is submitted is what was looked at.
    text: String,
    /// Whether they were made for chosen alerts.
    made: bool,
    answer: Option<Answered<Payload>>,
}

/// Before the ids of chosen alerts, where matchers are to be made for them.
const CHOSEN: &str = "chosen: ";

async fn preview(text: String) -> Answered<Payload> {
    let Some(chosen) = text.strip_prefix(CHOSEN) else {
        return written(text, false).await;
    };
    let alerts = chosen.split(' ').filter_map(|id| id.parse().ok()).collect();
    match covered(alerts)
        .await
        .and_then(|made| made.read(|m: &Vec<Matcher>| write_matchers(m)))
    {
        Ok(text) => written(text, true).await,
        Err(error) => Ok(Payload::typed(Preview {
            text: String::new(),
            made: true,
            answer: Some(Err(error)),
        })),
    }
}

async fn covered(alerts: Vec<Uuid>) -> Answered<Payload> {
    ask_payload(CoverAlerts { alerts }).await
}

async fn written(text: String, made: bool) -> Answered<Payload> {
    let answer = match read_matchers(&text) {
        Ok(matchers) if matchers.is_empty() => None,
        Ok(matchers) => Some(ask_payload(PreviewSilence { matchers }).await),
        Err(rest) => {
            let words = Text::new(keys::UI_SILENCES_UNREADABLE).with("rest", rest);
            Some(Err(AppError(Failure::field("matchers", words))))
        }
    };
    Ok(Payload::typed(Preview { text, made, answer }))
}

fn would_hold(ui: Ui, preview: &Preview) -> Node {
    let (text, preview_made) = (&preview.text, preview.made);
    let Some(answer) = &preview.answer else {
        return html! { <p class="field-help">{ui.t(keys::UI_SILENCES_HELP)}</p> };
    };
    let draw = |preview: &SilencePreview| {
        let matchers = read_matchers(text).unwrap_or_default();
        let rest = preview.count as usize - preview.rows.len().min(preview.count as usize);
        html! {
            {preview_made.then(|| html! { <p><a href=format!("{PATH}?match={}", escape(text))><code>{text.clone()}</code></a></p> })}
            <p role="status">{ui.count(keys::UI_SILENCES_HOLDS_ONE, keys::UI_SILENCES_HOLDS_MANY, preview.count)}</p>
            <ul class="rows">{preview.rows.iter().map(|a| rows::alert(ui, a)).collect::<Node>()}</ul>
            {(rest > 0).then(|| html! { <p>{ui.tx(keys::UI_SILENCES_MORE, &[("n", &rest)])}</p> })}
            {create(ui, matchers)}
        }
    };
    answer
        .clone()
        .and_then(|answer| answer.read(draw))
        .unwrap_or_else(|error| failed(ui, &error))
}

fn create(ui: Ui, matchers: Vec<Matcher>) -> Node {
    let region = region_of(&matchers);
    let refusal = crate::info().with_value(|i| refused(ui, i, Permission::AlertsSilence, region.as_ref()));
    if let Some(reason) = refusal {
        return action(ui.t(keys::UI_SILENCES_CREATE), String::new(), "", Some(reason));
    }
    let operation = CreateSilence {
        matchers,
        minutes: None,
        ends_at: None,
        comment: String::new(),
    };
    let form = SubmitForm {
        typed: &["minutes", "ends_at", "offset", "comment"],
        then: Then::Follow(Underway::default()),
        ..SubmitForm::quick(&operation, PATH)
    };
    let body = html! {
        <label class="field">
            <span>{ui.t(keys::UI_ALERTS_LASTS)}</span>
            <select name="minutes">
                <option value="30">{ui.tx(keys::UI_ALERTS_LASTS_MINUTES, &[("n", &30)])}</option>
                <option value="120" selected>{ui.tx(keys::UI_ALERTS_LASTS_HOURS, &[("n", &2)])}</option>
                <option value="480">{ui.tx(keys::UI_ALERTS_LASTS_HOURS, &[("n", &8)])}</option>
                <option value="1440">{ui.tx(keys::UI_ALERTS_LASTS_HOURS, &[("n", &24)])}</option>
            </select>
        </label>
        <label class="field">
            <span>{ui.tx(keys::UI_SILENCES_UNTIL, &[("zone", &ui.distance())])}</span>
            <input type="datetime-local" name="ends_at"/>
        </label>
        <input type="hidden" name="offset" value=ui.offset()/>
        <label class="field">
            <span>{ui.t(keys::UI_SILENCES_COMMENT)}</span>
            <textarea name="comment" rows="2" maxlength="500" required></textarea>
        </label>
        <button class="button">{ui.t(keys::UI_SILENCES_CREATE)}</button>
    };
    form.view(ui, body)
}

/// The form of the ticks in the rows.
const ENDING: &str = "ending";

/// Ends the ticked silences, once their plan has been looked at.
fn ending(ui: Ui, state: Memo<String>) -> Node {
    if !may_anywhere() {
        return ().into();
    }
    let past = move || (state.get() == SilenceState::Expired.as_str()).then_some("");
    html! {
        <form id=ENDING method="get" action="/alerts/selection" class="bulk" hidden=following(past)>
            <button class="button small">{ui.t(keys::UI_SILENCES_EXPIRE_CHOSEN)}</button>
        </form>
    }
}

fn may_anywhere() -> bool {
    crate::info().with_value(|i| {
        i.me.as_ref()
            .is_some_and(|me| me.may_anywhere(Permission::AlertsSilence))
    })
}

fn tick(ui: Ui, silence: &SilenceView) -> Node {
    let label = ui.tx(
        keys::UI_SILENCES_CHOOSE,
        &[("matchers", &write_matchers(&silence.matchers))],
    );
    html! { <input type="checkbox" name="silence" form=ENDING value=silence.silence.clone() aria-label=label/> " " }
}

/// A silence in the list, which can be ticked.
fn listed(ui: Ui, silence: &SilenceView) -> Node {
    let open = silence.state != SilenceState::Expired && may_anywhere();
    drawn(ui, silence, open.then(|| tick(ui, silence)))
}

/// A silence: what it matches, why, by whom, until when.
pub fn row(ui: Ui, silence: &SilenceView) -> Node {
    drawn(ui, silence, None)
}

fn drawn(ui: Ui, silence: &SilenceView, tick: Option<Node>) -> Node {
    let open = silence.state != SilenceState::Expired;
    let region = region_of(&silence.matchers);
    let refusal = crate::info().with_value(|i| refused(ui, i, Permission::AlertsSilence, region.as_ref()));
    let expire = ExpireSilences {
        silences: vec![silence.silence.clone()],
        region: region.clone(),
    };
    html! {
        <li class="row silence">
            <span class="row-main">
                {tick}
                <code>{write_matchers(&silence.matchers)}</code>
                <span class="row-sub">{silence.comment.clone()}</span>
            </span>
            <span class="row-owner">
                {match silence.operation {
                    Some(id) => html! { <a href=format!("/operations/{id}")>{name_of(&silence.owner)}</a> },
                    None => name_of(&silence.owner).into(),
                }}
                <span class="row-sub">{ui.count(keys::UI_SILENCES_HOLDS_ONE, keys::UI_SILENCES_HOLDS_MANY, silence.holds)}</span>
            </span>
            <span class="row-age num">
                {ui.key(&format!("silence.state.{}", silence.state))} " "
                {ui.t(keys::UI_ALERTS_UNTIL)} " " {moment(ui, silence.ends_at)}
            </span>
            <span class="row-actions">
                {open.then(|| action(ui.t(keys::UI_SILENCES_EXPIRE), plan_href(&expire, PATH), "small", refusal))}
            </span>
        </li>
    }
}
