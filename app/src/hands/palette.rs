//! The palette: places and actions by a few letters. It only leads somewhere: an action opens its plan.

use super::PALETTE;
use crate::i18n::Ui;
use crate::ui::form::{escape, plan_href};
use crate::ui::node::{Node, following};
use bagua_markup::html;
use bagua_model::access::{Me, Permission};
use bagua_model::preferences::SavedView;
use bagua_model::region::Scope;
use bagua_model::regions::{
    ComponentView, Health, RestartComponent, StartComponent, StopComponent, WorldView,
};
use bagua_model::text::keys;
use leptos::ev::Event;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

/// So many are shown; more letters narrow them.
const MOST: usize = 12;

/// A place or an action.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    words: String,
    hint: String,
    href: String,
}

/// What does not depend on the state of the world.
fn places(ui: Ui, me: &Me, regions: &[String]) -> Vec<Item> {
    let place = |name: &'static str, href: &str| Item {
        words: ui.t(name).to_owned(),
        hint: String::new(),
        href: href.to_owned(),
    };
    let needs = |permission, item: Item| me.may_anywhere(permission).then_some(item);
    let mut all: Vec<Item> = [
        Some(place(keys::UI_OVERVIEW_TITLE, "/")),
        Some(place(keys::UI_ROOM_REGIONS, "/regions")),
        Some(place(keys::UI_ROOM_ALERTS, "/alerts")),
        needs(Permission::BotsView, place(keys::UI_ROOM_BOTS, "/bots")),
        needs(
            Permission::BotsManage,
            place(keys::UI_PALETTE_ADD_BOT, "/bots#add"),
        ),
        Some(place(keys::UI_NAV_OPERATIONS, "/operations")),
        needs(
            Permission::OperationsApprove,
            place(keys::UI_NAV_APPROVALS, "/approvals"),
        ),
        needs(
            Permission::SchedulesRead,
            place(keys::UI_NAV_SCHEDULES, "/schedules"),
        ),
        needs(Permission::AuditRead, place(keys::UI_NAV_AUDIT, "/audit")),
        needs(
            Permission::LocalizationRead,
            place(keys::UI_LOCALIZATION_TITLE, "/localization"),
        ),
        Some(place(keys::UI_ROOM_ACCESS, "/access")),
        Some(place(keys::UI_PREFERENCES_TITLE, "/preferences")),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.extend(regions.iter().map(|code| Item {
        words: ui.region(code),
        hint: code.clone(),
        href: format!("/regions/{code}"),
    }));
    all
}

/// A view that the reader has saved.
fn saved(ui: Ui, view: &SavedView) -> Item {
    Item {
        words: view.name.clone(),
        hint: ui.t(keys::UI_VIEWS_HINT).to_owned(),
        href: view.address.clone(),
    }
}

/// Every component, and what the reader may do with it.
fn components(ui: Ui, me: &Me, world: &WorldView) -> Vec<Item> {
    let mut all = Vec::new();
    for component in world
        .regions
        .iter()
        .chain(&world.global)
        .flat_map(|region| &region.components)
    {
        let id = component.id.to_string();
        let name = format!(
            "{} · {}",
            ui.region(component.id.region.as_str()),
            component.id.service
        );
        all.push(Item {
            words: name.clone(),
            hint: id.clone(),
            href: format!("/regions/{id}"),
        });
        all.extend(actions(ui, me, component, &name));
    }
    all
}

fn actions(ui: Ui, me: &Me, view: &ComponentView, name: &str) -> Vec<Item> {
    let scope = Scope {
        environment: None,
        region: Some(view.id.region.clone()),
    };
    if view.process.is_none() || !me.may(Permission::ComponentsOperate, &scope) {
        return Vec::new();
    }
    let component = view.id.clone();
    let back = format!("/regions/{component}");
    let item = |verb: &'static str, href: String| Item {
        words: ui.tx(verb, &[("what", &name)]),
        hint: component.to_string(),
        href,
    };
    if view.health == Health::Stopped {
        let start = StartComponent {
            component: component.clone(),
        };
        return vec![item(keys::UI_PALETTE_START, plan_href(&start, &back))];
    }
    let restart = RestartComponent {
        component: component.clone(),
    };
    let stop = StopComponent {
        component: component.clone(),
    };
    vec![
        item(keys::UI_PALETTE_RESTART, plan_href(&restart, &back)),
        item(keys::UI_PALETTE_STOP, plan_href(&stop, &back)),
    ]
}

/// Those in which each of the words stands; those that begin with it first.
fn found(all: &[Item], typed: &str) -> Vec<Item> {
    let typed = typed.trim().to_lowercase();
    let parts: Vec<&str> = typed.split_whitespace().collect();
    let mut hits: Vec<(bool, &Item)> = all
        .iter()
        .filter_map(|item| {
            let text = format!("{} {}", item.words.to_lowercase(), item.hint);
            parts
                .iter()
                .all(|part| text.contains(part))
                .then(|| (!text.starts_with(&typed), item))
        })
        .collect();
    hits.sort_by_key(|(later, _)| *later);
    hits.into_iter()
        .take(MOST)
        .map(|(_, item)| item.clone())
        .collect()
}

/// What is shown for what was typed: matches, and at the end the search over everything.
fn shown(ui: Ui, all: &[Item], typed: &str) -> Vec<Item> {
    let mut items = found(all, typed);
    if !typed.trim().is_empty() {
        items.push(Item {
            words: ui.tx(keys::UI_PALETTE_SEARCH, &[("text", &typed.trim())]),
            hint: String::new(),
            href: format!("/search?q={}", escape(typed.trim())),
        });
    }
    items
}

/// The dialog, closed.
pub fn dialog(ui: Ui) -> Node {
    let (me, regions) = crate::info().with_value(|info| {
        let regions: Vec<String> = info.regions.iter().map(|r| r.as_str().to_owned()).collect();
        (info.me.clone(), regions)
    });
    let Some(me) = me else { return ().into() };
    let typed = RwSignal::new(String::new());
    let at = RwSignal::new(0_usize);
    let is_open = RwSignal::new(false);
    let world = RwSignal::new(None::<WorldView>);
    let views = RwSignal::new(Vec::<SavedView>::new());
    let items = Memo::new(move |_| {
        if !is_open.get() {
            return Vec::new();
        }
        let mut all = places(ui, &me, &regions);
        views.with(|views| all.extend(views.iter().map(|view| saved(ui, view))));
        world.with(|world| {
            if let Some(world) = world {
                all.extend(components(ui, &me, world));
            }
        });
        typed.with(|typed| shown(ui, &all, typed))
    });
    let navigate = use_navigate();
    let go = move |at: usize| {
        if let Some(item) = items.with_untracked(|items| items.get(at).cloned()) {
            close();
            navigate(&item.href, NavigateOptions::default());
        }
    };
    let go_on_click = go.clone();
    let clicked = move |event: Event| {
        if let Some(at) = clicked_on(&event) {
            go_on_click(at);
        }
    };
    let keyed = move |event: Event| {
        let last = items.with_untracked(Vec::len).saturating_sub(1);
        match pressed(&event).as_str() {
            "ArrowDown" => at.update(|at| *at = if *at >= last { 0 } else { *at + 1 }),
            "ArrowUp" => at.update(|at| *at = if *at == 0 { last } else { *at - 1 }),
            "Enter" => go(at.get_untracked()),
            _ => return,
        }
        event.prevent_default();
    };
    let list = Node::follows(move || {
        let here = at.get();
        items.with(|items| {
            items
                .iter()
                .enumerate()
                .map(|(n, item)| option(n, n == here, item))
                .collect()
        })
    });
    html! {
        <dialog
            id=PALETTE
            class="palette"
            aria-label=ui.t(keys::UI_PALETTE_TITLE)
            on:opened=move |_| {
                empty_field();
                typed.set(String::new());
                at.set(0);
                is_open.set(true);
                look(world, views);
            }
            on:close=move |_| is_open.set(false)
        >
            <input
                type="text"
                class="palette-field"
                role="combobox"
                autocomplete="off"
                spellcheck="false"
                aria-expanded="true"
                aria-controls="palette-list"
                aria-activedescendant=following(move || is_open.get().then(|| format!("palette-{}", at.get())))
                aria-label=ui.t(keys::UI_PALETTE_TITLE)
                placeholder=ui.t(keys::UI_PALETTE_PLACEHOLDER)
                on:input=move |event| {
                    typed.set(value(&event));
                    at.set(0);
                }
                on:keydown=keyed
            />
            <ul id="palette-list" role="listbox" aria-label=ui.t(keys::UI_PALETTE_TITLE) on:click=clicked>{list}</ul>
        </dialog>
    }
}

fn option(n: usize, here: bool, item: &Item) -> Node {
    html! {
        <li id=format!("palette-{n}") role="option" aria-selected=here.to_string() data-at=n.to_string()>
            <span>{item.words.clone()}</span>
            <span class="muted">{item.hint.clone()}</span>
        </li>
    }
}

/// Asks for the world, for the components' names, and for saved views. Where they cannot be had the places stand alone.
fn look(world: RwSignal<Option<WorldView>>, views: RwSignal<Vec<SavedView>>) {
    #[cfg(feature = "hydrate")]
    leptos::task::spawn_local(async move {
        use bagua_model::preferences::ListViews;
        use bagua_model::regions::GetWorld;
        if let Ok(answer) = crate::rpc::ask_payload(ListViews {}).await
            && let Ok(mine) = answer.read(Vec::<SavedView>::clone)
        {
            views.try_set(mine);
        }
        if let Ok(answer) = crate::rpc::ask_payload(GetWorld {}).await
            && let Ok(now) = answer.read(WorldView::clone)
        {
            world.try_set(Some(now));
        }
    });
    #[cfg(not(feature = "hydrate"))]
    let _ = (world, views);
}

fn close() {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;
        if let Some(dialog) = document()
            .get_element_by_id(PALETTE)
            .and_then(|e| e.dyn_into::<web_sys::HtmlDialogElement>().ok())
        {
            dialog.close();
        }
    }
}

/// What was typed the last time stands in the field until here; attributes do not change it.
fn empty_field() {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;
        if let Ok(Some(field)) = document().query_selector(".palette-field")
            && let Some(field) = field.dyn_ref::<web_sys::HtmlInputElement>()
        {
            field.set_value("");
        }
    }
}

/// Which line was clicked.
fn clicked_on(event: &Event) -> Option<usize> {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;
        let line = event.target()?.dyn_into::<web_sys::Element>().ok()?;
        line.closest("[data-at]")
            .ok()??
            .get_attribute("data-at")?
            .parse()
            .ok()
    }
    #[cfg(not(feature = "hydrate"))]
    {
        let _ = event;
        None
    }
}

/// The name of the key; none while an input method composes.
fn pressed(event: &Event) -> String {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;
        if let Some(key) = event
            .dyn_ref::<web_sys::KeyboardEvent>()
            .filter(|key| !key.is_composing())
        {
            return key.key();
        }
    }
    let _ = event;
    String::new()
}

/// What stands in the field.
fn value(event: &Event) -> String {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;
        if let Some(field) = event
            .target()
            .and_then(|t| t.dyn_into::<web_sys::HtmlInputElement>().ok())
        {
            return field.value();
        }
    }
    let _ = event;
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(words: &str, hint: &str) -> Item {
        Item {
            words: words.to_owned(),
            hint: hint.to_owned(),
            href: String::new(),
        }
    }

    #[test]
    fn each_word_narrows_and_what_begins_with_it_comes_first() {
        let all = [
            item("Restart Hong Kong · gateway", "ap-east-1/gateway"),
            item("Hong Kong", "ap-east-1"),
            item("Hong Kong · gateway", "ap-east-1/gateway"),
            item("Frankfurt · gateway", "eu-central-1/gateway"),
        ];
        let words = |typed| {
            found(&all, typed)
                .into_iter()
                .map(|i| i.words)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            words("HONG"),
            ["Hong Kong", "Hong Kong · gateway", "Restart Hong Kong · gateway"]
        );
        assert_eq!(words("gateway frank"), ["Frankfurt · gateway"]);
        assert_eq!(words("eu-central"), ["Frankfurt · gateway"]);
        assert!(words("nowhere").is_empty());
        assert_eq!(words("").len(), 4);
    }
}
