//! Forms that submit an operation: a plain POST to `/submit/{kind}`, done without leaving the page where script runs.

use crate::i18n::Ui;
use crate::rpc::{AppError, submit_json};
use crate::ui::node::{Node, following};
use bagua_markup::html;
use bagua_model::operation::Submission;
use bagua_model::text::keys;
use leptos::ev::Event;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use serde_json::Value;

/// What happens after a submission that went through.
#[derive(Clone, Debug)]
pub enum Then {
    /// Nothing: the live stream brings the news to the page.
    Stay,
    /// The operation's page.
    Follow(Underway),
}

/// Whether what a page shows has been submitted from it. The submission is news too, and comes back on the live stream
/// before its answer: a page that asked again by then would show that the target is busy with its own operation.
#[derive(Clone, Debug, Default)]
pub struct Underway(ArcRwSignal<bool>);

impl Underway {
    /// `revision`, as it was when the submission was made for as long as that is under way.
    pub fn hold(&self, revision: impl Fn() -> u32 + Send + Sync + 'static) -> Memo<u32> {
        let submitted = self.0.clone();
        Memo::new(move |before: Option<&u32>| match (before, submitted.get()) {
            (Some(before), true) => *before,
            _ => revision(),
        })
    }
}

/// A submission form.
pub struct SubmitForm {
    /// Kind of the operation.
    pub kind: String,
    /// Its input, without what the reader types.
    pub input: Value,
    /// Names of the form's fields that go into the input.
    pub typed: &'static [&'static str],
    /// The hash of the plan that is shown.
    pub hash: Option<String>,
    /// The token that makes a form posted twice one operation.
    pub token: Option<uuid::Uuid>,
    /// Where to go back to without script.
    pub back: String,
    /// What then.
    pub then: Then,
}

impl SubmitForm {
    /// A form for an operation that needs no plan page.
    pub fn quick<O: bagua_model::verbs::Operation>(operation: &O, back: &str) -> SubmitForm {
        SubmitForm {
            kind: O::KIND.to_owned(),
            input: serde_json::to_value(operation).unwrap_or_default(),
            typed: &[],
            hash: None,
            token: None,
            back: back.to_owned(),
            then: Then::Stay,
        }
    }

    /// Draws the form around `body`, which holds fields and button.
    pub fn view(self, ui: Ui, body: Node) -> Node {
        let failure = ArcRwSignal::new(None::<AppError>);
        let pending = ArcRwSignal::new(false);
        let navigate = use_navigate();
        let action = format!("/submit/{}", self.kind);
        let (input, hash) = (self.input.to_string(), self.hash.clone());
        let (token, back) = (self.token.map(|t| t.to_string()), self.back.clone());
        let shown = failure.clone();
        let busy = pending.clone();
        let submit = move |event: Event| {
            event.prevent_default();
            if pending.get_untracked() {
                return;
            }
            let Some(form) = FormFields::of(&event) else {
                return;
            };
            let mut input = self.input.clone();
            if let Value::Object(fields) = &mut input {
                for name in self.typed {
                    if let Some(text) = form.text(name) {
                        fields.insert((*name).to_owned(), Value::String(text));
                    }
                }
            }
            let submission = Submission {
                plan_hash: self.hash.clone(),
                reason: form.text("reason").filter(|r| !r.trim().is_empty()),
                break_glass: form.checked("break_glass"),
                token: self.token,
            };
            pending.set(true);
            failure.set(None);
            let (kind, then) = (self.kind.clone(), self.then.clone());
            if let Then::Follow(Underway(submitted)) = &then {
                submitted.set(true);
            }
            let (pending, failure, navigate) = (pending.clone(), failure.clone(), navigate.clone());
            leptos::task::spawn_local(async move {
                match submit_json(kind, input, submission).await {
                    Ok(submitted) => {
                        form.done();
                        if matches!(then, Then::Follow(_)) {
                            navigate(
                                &format!("/operations/{}", submitted.operation),
                                NavigateOptions::default(),
                            );
                        }
                    }
                    Err(error) => {
                        if let Then::Follow(Underway(submitted)) = &then {
                            submitted.set(false);
                        }
                        failure.set(Some(error));
                    }
                }
                pending.set(false);
            });
        };
        let fields = html! {
            <input type="hidden" name="input" value=input/>
            {hash.map(|hash| html! { <input type="hidden" name="hash" value=hash/> })}
            {token.map(|token| html! { <input type="hidden" name="token" value=token/> })}
            <input type="hidden" name="back" value=back/>
            {body}
        };
        html! {
            <form
                method="post"
                action=action
                class="submit"
                on:submit=submit
                aria-busy=following(move || busy.get().then_some("true"))
            >
                {fields}
                {Node::follows(move || shown.get().map(|error| crate::ui::failed(ui, &error)).into())}
            </form>
        }
    }
}

/// A form with one button.
pub fn button(ui: Ui, form: SubmitForm, label: &'static str, class: &'static str) -> Node {
    form.view(
        ui,
        html! { <button class=format!("button {class}")>{label}</button> },
    )
}

/// A form with a note and a button, folded away until it is wanted.
pub fn with_note(
    ui: Ui,
    form: SubmitForm,
    label: &'static str,
    name: &'static str,
    hint: &'static str,
    required: bool,
) -> Node {
    with_note_and(ui, form, label, (name, hint, required), ().into())
}

/// [`with_note`] (its name, hint and whether it is required), with further fields below the note.
pub fn with_note_and(
    ui: Ui,
    form: SubmitForm,
    label: &'static str,
    (name, hint, required): (&'static str, &'static str, bool),
    more: Node,
) -> Node {
    let body = html! {
        <label class="field">
            <span>{hint}</span>
            <textarea name=name rows="2" maxlength="2000" required=required></textarea>
        </label>
        {more}
        <button class="button">{label}</button>
    };
    let form = form.view(ui, body);
    html! { <details class="inline-form"><summary class="button">{label}</summary><div class="inline-body">{form}</div></details> }
}

/// The button that confirms a plan, named for what it does.
pub fn confirm_label(ui: Ui, kind: &str) -> &'static str {
    ui.t(match kind {
        "component.restart" | "bot.restart" => keys::UI_ACTION_RESTART,
        "component.stop" | "bot.stop" => keys::UI_ACTION_STOP,
        "alerts.acknowledge" => keys::UI_ALERTS_ACKNOWLEDGE,
        "silence.expire" => keys::UI_SILENCES_EXPIRE,
        "component.start" | "bot.start" => keys::UI_ACTION_START,
        "bot.add" => keys::UI_BOTS_ADD,
        "call.resend" => keys::UI_CALLS_RESEND,
        "call.give_up" => keys::UI_CALLS_GIVE_UP,
        "rule.write" => keys::UI_RULES_LIVE,
        "rule.remove" => keys::UI_RULES_REMOVE,
        "bot.replace_token" => keys::UI_BOTS_REPLACE,
        _ => keys::UI_PLAN_CONFIRM,
    })
}

/// What stands in a form at the moment of its submission.
struct FormFields {
    #[cfg(feature = "hydrate")]
    form: web_sys::HtmlFormElement,
    #[cfg(feature = "hydrate")]
    data: web_sys::FormData,
}

#[cfg(feature = "hydrate")]
impl FormFields {
    fn of(event: &Event) -> Option<FormFields> {
        use wasm_bindgen::JsCast;
        let form = event.target()?.dyn_into::<web_sys::HtmlFormElement>().ok()?;
        let data = web_sys::FormData::new_with_form(&form).ok()?;
        Some(FormFields { form, data })
    }

    fn text(&self, name: &str) -> Option<String> {
        self.data.get(name).as_string()
    }

    fn checked(&self, name: &str) -> bool {
        self.data.has(name)
    }

    /// Empties the form and folds it away.
    fn done(&self) {
        self.form.reset();
        if let Ok(Some(details)) = self.form.closest("details.inline-form") {
            let _ = details.remove_attribute("open");
        }
    }
}

/// On the server nothing is ever submitted through an event.
#[cfg(not(feature = "hydrate"))]
impl FormFields {
    fn of(_: &Event) -> Option<FormFields> {
        None
    }
    fn text(&self, _: &str) -> Option<String> {
        None
    }
    fn checked(&self, _: &str) -> bool {
        false
    }
    fn done(&self) {}
}
