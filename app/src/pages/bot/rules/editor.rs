//! The form that a rule is written in.

use crate::context::Flash;
use crate::i18n::Ui;
use crate::ui::form::refusal;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::bots::rules::{RuleForm, RuleView, RulesView};
use bagua_model::text::keys;

/// What can be chosen as an action, with its words.
const ACTS: [(&str, &str); 11] = [
    ("", keys::UI_RULES_ACT_NONE),
    ("reply", keys::UI_RULES_ACT_REPLY),
    ("quote", keys::UI_RULES_ACT_QUOTE),
    ("say", keys::UI_RULES_ACT_SAY),
    ("say_quote", keys::UI_RULES_ACT_SAY_QUOTE),
    ("tag", keys::UI_RULES_ACT_TAG),
    ("forward", keys::UI_RULES_ACT_FORWARD),
    ("relay", keys::UI_RULES_ACT_RELAY),
    ("deliver", keys::UI_RULES_ACT_DELIVER),
    ("answer", keys::UI_RULES_ACT_ANSWER),
    ("drop", keys::UI_RULES_ACT_DROP),
];

/// What stands in the form: what came back refused, what is being tried, the chosen rule, or nothing.
fn standing(changed: Option<&RuleView>, typed: Option<RuleForm>, flash: Option<&Flash>) -> Option<RuleForm> {
    if let Some(flash) = flash {
        return Some(RuleForm::read(|name| {
            flash.value(name).unwrap_or_default().to_owned()
        }));
    }
    match (typed, changed) {
        (Some(typed), _) => Some(typed),
        (None, Some(rule)) => RuleForm::of(&rule.says),
        (None, None) => Some(RuleForm::default()),
    }
}

/// What is wrong with a field of a form that came back.
fn wrong(ui: Ui, flash: Option<&Flash>, name: &str) -> Node {
    let failure = flash.and_then(|flash| flash.failure.as_ref());
    let fault = failure.and_then(|failure| failure.fields.iter().find(|(field, _)| field == name));
    fault
        .map(|(_, text)| html! { <p class="field-error">{ui.text(text)}</p> })
        .into()
}

/// The form of a new rule, or of `changed`.
pub fn editor(
    ui: Ui,
    bot: i64,
    view: &RulesView,
    changed: Option<&RuleView>,
    typed: Option<RuleForm>,
    flash: Option<&Flash>,
) -> Node {
    let heading = match changed {
        Some(rule) => ui.tx(keys::UI_RULES_CHANGE, &[("title", &rule.says.title)]),
        None => ui.t(keys::UI_RULES_NEW).to_owned(),
    };
    let Some(form) = standing(changed, typed, flash) else {
        return html! {
            <section class="card">
                <h2>{heading}</h2>
                <p class="notice info">{ui.t(keys::UI_RULES_TOO_LARGE)}</p>
            </section>
        };
    };
    let text = |name: &'static str,
                words: &'static str,
                value: &str,
                longest: &'static str,
                hint: &'static str| {
        html! {
            <label class="field">
                <span>{ui.t(words)}</span>
                <input type="text" name=name value=value.to_owned() maxlength=longest autocomplete="off" spellcheck="false" placeholder=hint/>
                {wrong(ui, flash, name)}
            </label>
        }
    };
    let check = |name: &'static str, words: &'static str, on: bool| {
        html! {
            <label class="check">
                <input type="checkbox" name=name value="yes" checked=on/>
                <span>{ui.t(words)}</span>
            </label>
        }
    };
    let number = changed.map(|rule| {
        html! {
            <input type="hidden" name="rule" value=rule.rule.to_string()/>
            <input type="hidden" name="version" value=rule.version.to_string()/>
        }
    });
    html! {
        <section class="card" id="edit">
            <h2>{heading}</h2>
            {refusal(ui, flash)}
            <form method="post" action=format!("/bots/{bot}/rules") class="rule-form">
                <input type="hidden" name="place" value=view.region.as_str().to_owned()/>
                {number}
                {text("title", keys::UI_RULES_TITLE, &form.title, "120", "")}
                <fieldset>
                    <legend>{ui.t(keys::UI_RULES_WHEN)}</legend>
                    <p class="field-help">{ui.t(keys::UI_RULES_WHEN_HELP)}</p>
                    <div class="fields">
                        {text("contains", keys::UI_RULES_CONTAINS, &form.contains, "1000", "")}
                        {text("pattern", keys::UI_RULES_PATTERN, &form.pattern, "1000", r"order (\d+)")}
                        {text("kinds", keys::UI_RULES_KINDS, &form.kinds, "400", "message, callback_query")}
                        {text("chats", keys::UI_RULES_CHATS, &form.chats, "400", "-1001234567890")}
                        {text("senders", keys::UI_RULES_SENDERS, &form.senders, "400", "")}
                        {text("languages", keys::UI_RULES_LANGUAGES, &form.languages, "200", "zh, en")}
                        {text("media", keys::UI_RULES_MEDIA, &form.media, "200", "photo, voice")}
                        {text("from", keys::UI_RULES_FROM, &form.from, "5", "22:00")}
                        {text("until", keys::UI_RULES_UNTIL, &form.until, "5", "06:00")}
                    </div>
                </fieldset>
                <fieldset>
                    <legend>{ui.t(keys::UI_RULES_DO)}</legend>
                    <p class="field-help">{ui.tx(keys::UI_RULES_DO_HELP, &[("place", &"{…}")])}</p>
                    {actions(ui, &form, flash)}
                    {check("stops", keys::UI_RULES_FIELD_STOPS, form.stops == "yes")}
                    {check("off", keys::UI_RULES_FIELD_OFF, form.off == "yes")}
                </fieldset>
                <div class="actions">
                    <button class="button" formmethod="get" formaction=format!("/bots/{bot}/rules#trial") name="try" value="1">{ui.t(keys::UI_RULES_TRY)}</button>
                    <button class="button primary">{ui.t(keys::UI_RULES_SAVE)}</button>
                </div>
            </form>
        </section>
    }
}

fn actions(ui: Ui, form: &RuleForm, flash: Option<&Flash>) -> Node {
    let places = form.actions().into_iter().enumerate();
    places
        .map(|(n, (name, chosen, place, value))| {
            let options = ACTS
                .into_iter()
                .map(|(act, words)| html! { <option value=act selected=act == chosen>{ui.t(words)}</option> })
                .collect::<Node>();
            let number = n + 1;
            html! {
                <div class="fields">
                    <label class="field">
                        <span>{ui.tx(keys::UI_RULES_ACTION, &[("n", &number)])}</span>
                        <select name=name>{options}</select>
                        {wrong(ui, flash, name)}
                    </label>
                    <label class="field wide">
                        <span>{ui.tx(keys::UI_RULES_VALUE, &[("n", &number)])}</span>
                        <input type="text" name=place value=value.to_owned() maxlength="4096" autocomplete="off"/>
                        {wrong(ui, flash, place)}
                    </label>
                </div>
            }
        })
        .collect::<Node>()
}
