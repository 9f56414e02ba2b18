//! Form pieces. Every form is a plain POST that works without script.

use crate::context::{Flash, PageInfo};
use crate::i18n::Ui;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::region::{RegionId, Scope};
use bagua_model::text::{Text, keys};

/// A labelled input. What was typed before a refusal stands in it again, with the reason below.
pub struct Field {
    /// Name in the form.
    pub name: &'static str,
    /// Label, in the reader's language.
    pub label: &'static str,
    /// `text`, `email`, `password`.
    pub kind: &'static str,
    /// The browser's hint, such as `current-password`.
    pub autocomplete: &'static str,
    /// A line of help below.
    pub help: Option<&'static str>,
}

impl Field {
    /// Draws it.
    pub fn view(self, ui: Ui, flash: Option<&Flash>) -> Node {
        let typed = flash
            .and_then(|f| f.value(self.name))
            .unwrap_or_default()
            .to_owned();
        let error = flash
            .and_then(|f| f.failure.as_ref())
            .and_then(|f| f.fields.iter().find(|(name, _)| name == self.name))
            .map(|(_, text)| ui.text(text));
        let id = format!("field-{}", self.name);
        let note = format!("{id}-note");
        let described = (error.is_some() || self.help.is_some()).then(|| note.clone());
        html! {
            <div class="field">
                <label for=id.clone()>{self.label}</label>
                <input
                    id=id
                    name=self.name
                    r#type=self.kind
                    value=typed
                    autocomplete=self.autocomplete
                    required
                    aria-invalid=error.is_some().then_some("true")
                    aria-describedby=described
                />
                {match (error, self.help) {
                    (Some(error), _) => html! { <p class="field-error" id=note>{error}</p> },
                    (None, Some(help)) => html! { <p class="field-help" id=note>{help}</p> },
                    (None, None) => ().into(),
                }}
            </div>
        }
    }
}

/// The reason on top of a form that came back.
pub fn refusal(ui: Ui, flash: Option<&Flash>) -> Node {
    match flash.and_then(|f| f.failure.as_ref()) {
        Some(failure) => crate::ui::failed(ui, &crate::rpc::AppError(failure.clone())),
        None => ().into(),
    }
}

/// The flash, when it belongs to this form.
pub fn flash_of(page: &PageInfo, form: &str) -> Option<Flash> {
    page.flash.clone().filter(|f| f.form == form)
}

/// Why the reader may not do something in a region, or `None` when they may. The server decides; this only explains.
pub fn refused(ui: Ui, page: &PageInfo, permission: Permission, region: Option<&RegionId>) -> Option<String> {
    let scope = Scope {
        environment: Some(page.environment),
        region: region.cloned(),
    };
    let may = page.me.as_ref().is_some_and(|me| me.may(permission, &scope));
    (!may).then(|| {
        ui.text(
            &Text::new(keys::FAILURE_FORBIDDEN)
                .with("permission", format!("@permission.{permission}"))
                .with("scope", scope),
        )
    })
}

/// A link that looks like a button, or the same disabled with its reason.
pub fn action(label: &'static str, href: String, class: &'static str, reason: Option<String>) -> Node {
    match reason {
        None => html! { <a class=format!("button {class}") href=href>{label}</a> },
        // A button and not a link, so that a keyboard reaches it and a screen reader reads the reason.
        Some(reason) => html! {
            <button type="button" class=format!("button {class}") aria-disabled="true" title=reason.clone()>
                {label}
                <span class="hidden">{format!(": {reason}")}</span>
            </button>
        },
    }
}

/// The address of the plan page of an operation.
pub fn plan_href<O: bagua_model::verbs::Operation>(operation: &O, back: &str) -> String {
    let input = serde_json::to_string(operation).unwrap_or_default();
    format!(
        "/operations/new?kind={}&input={}&back={}",
        O::KIND,
        escape(&input),
        escape(back)
    )
}

/// Percent-encodes a query value.
pub fn escape(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b',' | b':' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::regions::{ComponentId, RestartComponent};

    #[test]
    fn a_plan_address_carries_its_input_safely() {
        let restart = RestartComponent {
            component: ComponentId::new("ap-east-1", "gateway"),
        };
        assert_eq!(
            plan_href(&restart, "/alerts?text=a b&region=x"),
            "/operations/new?kind=component.restart&input=%7B%22component%22:%22ap-east-1/gateway%22%7D&back=/alerts%3Ftext%3Da%20b%26region%3Dx"
        );
    }
}
