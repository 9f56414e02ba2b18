//! Filters that read as a sentence. They are a form with GET: the address holds them.

use crate::i18n::Ui;
use crate::ui::get_form::get_form;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use leptos::prelude::WithValue as _;

/// One choice in the sentence.
pub struct Choice {
    /// Name in the address.
    pub name: &'static str,
    /// The words before it.
    pub before: &'static str,
    /// What is chosen now; empty for the first option.
    pub now: String,
    /// Value and words; the first one's value is empty and means "any".
    pub options: Vec<(String, String)>,
}

impl Choice {
    fn view(self) -> Node {
        let Choice {
            name,
            before,
            now,
            options,
        } = self;
        let chosen = !now.is_empty();
        let options = options
            .into_iter()
            .map(|(value, words)| {
                let selected = value == now;
                html! { <option value=value selected=selected>{words}</option> }
            })
            .collect::<Node>();
        html! {
            <label class="chip" class:chosen=chosen>
                <span>{before}</span>
                <select name=name>{options}</select>
            </label>
        }
    }
}

/// A word that is looked for.
pub struct Word {
    /// Name in the address.
    pub name: &'static str,
    /// The words before it.
    pub before: &'static str,
    /// What stands in it now.
    pub now: String,
    /// `search`, or `date` for a day.
    pub kind: &'static str,
}

impl Word {
    fn view(self) -> Node {
        let chosen = !self.now.is_empty();
        html! {
            <label class="chip" class:chosen=chosen>
                <span>{self.before}</span>
                <input type=self.kind name=self.name value=self.now maxlength="200"/>
            </label>
        }
    }
}

impl Choice {
    /// Which region, `now` being the one of the address; the first option means all.
    pub fn region(ui: Ui, now: Option<&RegionId>) -> Choice {
        let regions = crate::info().with_value(|i| i.regions.clone());
        let options = std::iter::once((String::new(), ui.t(keys::UI_SCOPE_ALL).to_owned()))
            .chain(
                regions
                    .into_iter()
                    .map(|r| (r.as_str().to_owned(), ui.region(r.as_str()))),
            )
            .chain(std::iter::once(("global".to_owned(), ui.region("global"))))
            .collect();
        Choice {
            name: "region",
            before: ui.t(keys::UI_FILTER_IN),
            now: now.map(|region| region.as_str().to_owned()).unwrap_or_default(),
            options,
        }
    }
}

/// The sentence. `clear` is the address without filters, shown when one is set.
pub fn sentence(ui: Ui, action: &'static str, choices: Vec<Choice>, words: Vec<Word>) -> Node {
    let filtered = choices.iter().any(|c| !c.now.is_empty()) || words.iter().any(|w| !w.now.is_empty());
    let choices = choices.into_iter().map(Choice::view).collect::<Node>();
    let words = words.into_iter().map(Word::view).collect::<Node>();
    let body = html! {
        {choices}
        {words}
        <button class="button small">{ui.t(keys::UI_FILTER_APPLY)}</button>
        {filtered.then(|| html! { <a class="clear" href=action>{ui.t(keys::UI_FILTER_CLEAR)}</a> })}
    };
    get_form("filters", move || action.to_owned(), body)
}

/// The link to the next page of a list, keeping the filters of `query` (without its first `?`).
pub fn next_page(ui: Ui, path: &str, query: &str, next: Option<String>) -> Node {
    let Some(next) = next else { return ().into() };
    let kept = query
        .split('&')
        .filter(|part| !part.is_empty() && !part.starts_with("after="))
        .collect::<Vec<_>>()
        .join("&");
    let joint = if kept.is_empty() { "" } else { "&" };
    let href = format!("{path}?{kept}{joint}after={}", super::form::escape(&next));
    html! { <p class="more"><a class="button" rel="next" href=href>{ui.t(keys::UI_LIST_OLDER)}</a></p> }
}
