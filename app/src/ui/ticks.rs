//! Rows that are chosen by ticks: checkboxes of one name that stand in the rows and belong to a form elsewhere on the page. Nothing of it
//! needs script; script counts them, ticks ranges with the shift key, and keeps what was ticked when rows are drawn anew.

use crate::i18n::Ui;
use crate::ui::node::{Node, following};
use bagua_markup::html;
use leptos::ev::Event;
use leptos::prelude::*;
use std::collections::BTreeSet;

/// What is ticked, and where a range would begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    ids: BTreeSet<String>,
    last: Option<String>,
}

impl Chosen {
    /// Whether a row is ticked.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

/// The ticks of one list.
#[derive(Clone, Copy)]
pub struct Ticks {
    /// Name of the fields.
    pub name: &'static str,
    /// Id of the form that they belong to.
    pub form: &'static str,
    /// What is ticked.
    pub chosen: RwSignal<Chosen>,
}

impl Ticks {
    /// Nothing is ticked.
    pub fn new(name: &'static str, form: &'static str) -> Ticks {
        let chosen = RwSignal::new(Chosen::default());
        Ticks { name, form, chosen }
    }

    /// A row's tick.
    pub fn tick(self, id: String, label: String) -> Node {
        let checked = self.chosen.with_untracked(|chosen| chosen.contains(&id));
        html! { <input type="checkbox" name=self.name form=self.form value=id aria-label=label checked=checked/> }
    }

    /// The tick of all rows, with how many are ticked beside; nothing without script.
    pub fn all(self, ui: Ui, label: &'static str, (one, many): (&'static str, &'static str)) -> Node {
        let scripted = RwSignal::new(false);
        Effect::new(move |_| scripted.set(true));
        let count = move || {
            let n = u32::try_from(self.chosen.with(|chosen| chosen.ids.len())).unwrap_or(u32::MAX);
            ui.count(one, many, n)
        };
        html! {
            <span class="bulk-count" hidden=following(move || (!scripted.get()).then_some(""))>
                <label class="check">
                    <input type="checkbox" aria-label=ui.t(label) on:click=move |event| self.all_of_page(&event)/>
                    <span role="status">{Node::live(count)}</span>
                </label>
            </span>
        }
    }
}

#[cfg(feature = "hydrate")]
impl Ticks {
    /// A tick was set or taken somewhere within the rows. With the shift key it goes for all rows from the one before.
    pub fn picked(self, event: &Event) {
        let Some(tick) = clicked(event).filter(|tick| tick.name() == self.name) else {
            return;
        };
        let ticks = self.fields();
        let place = |id: &str| ticks.iter().position(|tick| tick.value() == id);
        let shift =
            js_sys::Reflect::get(event.as_ref(), &"shiftKey".into()).is_ok_and(|held| held.is_truthy());
        let last = self.chosen.with_untracked(|chosen| chosen.last.clone());
        if let (true, Some(from), Some(to)) = (shift, last.and_then(|id| place(&id)), place(&tick.value())) {
            for between in &ticks[from.min(to)..=from.max(to)] {
                between.set_checked(tick.checked());
            }
        }
        self.chosen.set(Chosen {
            ids: ticked(&ticks),
            last: Some(tick.value()),
        });
    }

    /// All rows of the page, or none.
    fn all_of_page(self, event: &Event) {
        let Some(all) = clicked(event) else { return };
        let ticks = self.fields();
        for tick in &ticks {
            tick.set_checked(all.checked());
        }
        self.chosen.set(Chosen {
            ids: ticked(&ticks),
            last: None,
        });
    }

    fn fields(self) -> Vec<web_sys::HtmlInputElement> {
        use wasm_bindgen::JsCast as _;
        let selector = format!("input[type=checkbox][form={}][name={}]", self.form, self.name);
        let Ok(found) = document().query_selector_all(&selector) else {
            return Vec::new();
        };
        (0..found.length())
            .filter_map(|at| found.get(at)?.dyn_into().ok())
            .collect()
    }
}

#[cfg(feature = "hydrate")]
fn clicked(event: &Event) -> Option<web_sys::HtmlInputElement> {
    use wasm_bindgen::JsCast as _;
    event.target()?.dyn_into().ok()
}

#[cfg(feature = "hydrate")]
fn ticked(ticks: &[web_sys::HtmlInputElement]) -> BTreeSet<String> {
    let checked = ticks.iter().filter(|tick| tick.checked());
    checked.map(|tick| tick.value()).collect()
}

/// On the server nothing is ticked.
#[cfg(not(feature = "hydrate"))]
impl Ticks {
    /// Nobody clicks there.
    pub fn picked(self, _: &Event) {}

    fn all_of_page(self, _: &Event) {}
}
