//! `/localization`: the texts of bots and letters, by language and region: what is missing, what is wrong, and the form
//! that mends it.

use super::{query, some};
use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::form::{action, escape, plan_href, refused};
use crate::ui::get_form::get_form;
use crate::ui::node::Node;
use crate::ui::submit::{SubmitForm, Then};
use crate::ui::table::table;
use crate::ui::{age, empty, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::localization::{
    CatalogueView, KEY_LIMIT, ListCatalogues, MessageView, REFERENCE, ReadCatalogue, RemoveMessage,
    TEXT_LIMIT, WriteMessage,
};
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use bagua_model::verbs::Operation as _;
use leptos::prelude::*;

const PATH: &str = "/localization";

/// Which catalogue the address names.
#[derive(Clone)]
struct Place {
    language: String,
    region: Option<RegionId>,
}

impl Place {
    fn is_reference(&self) -> bool {
        self.language == REFERENCE && self.region.is_none()
    }

    fn href(&self) -> String {
        let place = self
            .region
            .as_ref()
            .map(|r| format!("&place={r}"))
            .unwrap_or_default();
        format!("{PATH}?language={}{place}", escape(&self.language))
    }

    fn name(&self, ui: Ui) -> String {
        match &self.region {
            Some(region) => format!("{} · {}", self.language, ui.region(region.as_str())),
            None => self.language.clone(),
        }
    }
}

/// `/localization`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let (language, place, wanting) = (query("language"), query("place"), query("wanting"));
    let here = move || Place {
        language: some(language.get()).unwrap_or_else(|| REFERENCE.to_owned()),
        region: some(place.get()).map(RegionId::new),
    };
    let list = asked(move || (ListCatalogues {}, live.operations.get()));
    let messages = asked(move || {
        let place = here();
        let query = ReadCatalogue {
            language: place.language,
            region: place.region,
            wanting: wanting.get() == "yes",
        };
        (query, live.operations.get())
    });
    let choose = Node::follows(move || choose(ui, &here(), wanting.get() == "yes"));
    let heading = Node::follows(move || here().name(ui).into());
    html! {
        {title(ui.t(keys::UI_LOCALIZATION_TITLE))}
        <div class="page-head"><h1>{ui.t(keys::UI_LOCALIZATION_TITLE)}</h1></div>
        <p class="muted">{ui.t(keys::UI_LOCALIZATION_ABOUT)}</p>
        <section class="card">
            <h2>{ui.t(keys::UI_LOCALIZATION_CATALOGUES)}</h2>
            {list.show(ui, move |list| {
                if list.is_empty() { empty(ui.t(keys::UI_LOCALIZATION_NONE), ui.t(keys::UI_LOCALIZATION_NONE_HELP)) } else { catalogues(ui, list) }
            })}
        </section>
        <section class="card">
            <h2>{heading}</h2>
            {choose}
            {messages.show(ui, move |list| texts(ui, &untrack(here), list))}
        </section>
    }
}

/// Language, region, and whether only what is wanting.
fn choose(ui: Ui, here: &Place, wanting: bool) -> Node {
    let regions = crate::info().with_value(|info| info.regions.clone());
    let chosen = here
        .region
        .as_ref()
        .map(|r| r.as_str().to_owned())
        .unwrap_or_default();
    let regions = regions
        .iter()
        .map(|r| html! { <option value=r.to_string() selected=r.as_str() == chosen>{ui.region(r.as_str())}</option> })
        .collect::<Node>();
    let body = html! {
        <label class="field">
            <span>{ui.t(keys::UI_LOCALIZATION_LANGUAGE)}</span>
            <input type="text" name="language" value=here.language.clone() required maxlength="20" autocomplete="off" spellcheck="false" placeholder="zh-CN"/>
        </label>
        <label class="field">
            <span>{ui.t(keys::UI_COLUMN_REGION)}</span>
            <select name="place"><option value="">{ui.t(keys::UI_TOKENS_EVERYWHERE)}</option>{regions}</select>
        </label>
        <label class="check">
            <input type="checkbox" name="wanting" value="yes" checked=wanting/>
            <span>{ui.t(keys::UI_LOCALIZATION_WANTING)}</span>
        </label>
        <button class="button small">{ui.t(keys::UI_LOCALIZATION_SHOW)}</button>
    };
    get_form("filters", || PATH.to_owned(), body)
}

fn catalogues(ui: Ui, list: &[CatalogueView]) -> Node {
    let rows = list
        .iter()
        .map(|view| {
            let place = Place {
                language: view.language.clone(),
                region: view.region.clone(),
            };
            let (class, words) = match (view.missing, view.faulty) {
                (0, 0) => ("healthy", keys::UI_LOCALIZATION_COMPLETE),
                (_, 0) => ("warning", keys::UI_LOCALIZATION_INCOMPLETE),
                _ => ("critical", keys::UI_LOCALIZATION_FAULTY),
            };
            html! {
                <tr>
                    <th scope="row"><a href=place.href()>{view.language.clone()}</a></th>
                    <td>{match &view.region {
                        Some(region) => ui.region(region.as_str()),
                        None => ui.t(keys::UI_TOKENS_EVERYWHERE).to_owned(),
                    }}</td>
                    <td><span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.t(words)}</span></td>
                    <td class="num">{view.messages}</td>
                    <td class="num">{view.missing}</td>
                    <td class="num">{view.faulty}</td>
                    <td class="num">{age(ui, view.changed_at)}</td>
                </tr>
            }
        })
        .collect::<Node>();
    table(
        ui,
        ui.t(keys::UI_LOCALIZATION_CATALOGUES),
        &[
            (keys::UI_LOCALIZATION_LANGUAGE, false),
            (keys::UI_COLUMN_REGION, false),
            (keys::UI_COLUMN_STATE, false),
            (keys::UI_LOCALIZATION_TEXTS, true),
            (keys::UI_LOCALIZATION_MISSING, true),
            (keys::UI_LOCALIZATION_WRONG, true),
            (keys::UI_LOCALIZATION_CHANGED, true),
        ],
        rows,
    )
}

/// Who may not write sees the texts without their forms.
fn refusal(ui: Ui, here: &Place) -> Option<String> {
    crate::info().with_value(|info| refused(ui, info, Permission::LocalizationManage, here.region.as_ref()))
}

fn texts(ui: Ui, here: &Place, list: &[MessageView]) -> Node {
    let refusal = refusal(ui, here);
    let new = (here.is_reference() && refusal.is_none()).then(|| written(ui, here, None));
    if list.is_empty() {
        return html! { {new} {empty(ui.t(keys::UI_LOCALIZATION_NOTHING), "")} };
    }
    let english = !here.is_reference();
    let rows = list
        .iter()
        .map(|message| row(ui, here, message, refusal.clone()))
        .collect::<Node>();
    html! {
        {new}
        <div class="scroll" tabindex="0" role="region" aria-label=here.name(ui)>
            <table class="texts">
                <thead>
                    <tr>
                        <th scope="col">{ui.t(keys::UI_LOCALIZATION_KEY)}</th>
                        {english.then(|| html! { <th scope="col">{ui.t(keys::UI_LOCALIZATION_ENGLISH)}</th> })}
                        <th scope="col">{ui.t(keys::UI_LOCALIZATION_TEXT)}</th>
                        <th scope="col">{ui.t(keys::UI_ACTIONS)}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(ui: Ui, here: &Place, message: &MessageView, refusal: Option<String>) -> Node {
    let text = match (&message.text, &message.instead) {
        (Some(text), _) => html! { <span lang=here.language.clone()>{text.clone()}</span> },
        (None, Some((language, text))) => html! {
            <span class="muted" lang=language.clone()>{text.clone()}</span>
            <span class="row-sub">{ui.tx(keys::UI_LOCALIZATION_INSTEAD, &[("language", language)])}</span>
        },
        (None, None) => "–".into(),
    };
    let faults = message
        .faults
        .iter()
        .map(|fault| {
            html! { <div class="state warning"><i class="mark warning" aria-hidden="true"></i>{ui.text(fault)}</div> }
        })
        .collect::<Node>();
    let remove = RemoveMessage {
        language: here.language.clone(),
        region: here.region.clone(),
        key: message.key.clone(),
    };
    let actions = match refusal {
        Some(reason) => action(
            ui.t(keys::UI_LOCALIZATION_WRITE),
            String::new(),
            "small",
            Some(reason),
        ),
        None => html! {
            {written(ui, here, Some(message))}
            {message.text.is_some().then(|| action(ui.t(keys::UI_LOCALIZATION_REMOVE), plan_href(&remove, &here.href()), "small danger", None))}
        },
    };
    html! {
        <tr>
            <th scope="row"><code>{message.key.clone()}</code></th>
            {(!here.is_reference()).then(|| html! { <td class="wrap" lang=REFERENCE>{message.reference.clone().unwrap_or_default()}</td> })}
            <td class="wrap">{text}{faults}</td>
            <td class="row-actions">{actions}</td>
        </tr>
    }
}

/// The form for a text: of a message that is there, or a new one.
fn written(ui: Ui, here: &Place, message: Option<&MessageView>) -> Node {
    let operation = WriteMessage {
        language: here.language.clone(),
        region: here.region.clone(),
        key: message.map(|m| m.key.clone()).unwrap_or_default(),
        text: String::new(),
        version: message.map_or(0, |m| m.version),
    };
    let form = SubmitForm {
        kind: WriteMessage::KIND.to_owned(),
        typed: if message.is_some() {
            &["text"]
        } else {
            &["key", "text"]
        },
        then: Then::Stay,
        ..SubmitForm::quick(&operation, &here.href())
    };
    let now = message.and_then(|m| m.text.clone()).unwrap_or_default();
    let key = message.is_none().then(|| html! {
        <label class="field">
            <span>{ui.t(keys::UI_LOCALIZATION_KEY)}</span>
            <input type="text" name="key" required maxlength=KEY_LIMIT.to_string() autocomplete="off" spellcheck="false" placeholder="order.shipped"/>
        </label>
    });
    let words = match message {
        Some(_) => ui.t(keys::UI_LOCALIZATION_WRITE),
        None => ui.t(keys::UI_LOCALIZATION_NEW),
    };
    let body = html! {
        {key}
        <label class="field">
            <span>{ui.t(keys::UI_LOCALIZATION_TEXT)}</span>
            <textarea name="text" rows="4" required maxlength=TEXT_LIMIT.to_string() lang=here.language.clone()>{now}</textarea>
        </label>
        <p class="field-help">{ui.t(keys::UI_LOCALIZATION_HELP)}</p>
        <button class="button primary">{ui.t(keys::UI_LOCALIZATION_SAVE)}</button>
    };
    html! {
        <details class="inline-form">
            <summary class="button small">{words}</summary>
            <div class="inline-body">{form.view(ui, body)}</div>
        </details>
    }
}
