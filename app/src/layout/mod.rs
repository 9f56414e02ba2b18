//! What stands around every page: the rail of rooms, the header, the notices.

mod header;
mod rail;
mod toasts;

pub use header::preferences;

use crate::hot::Hot;
use crate::i18n::Ui;
use crate::live::Live;
use crate::memo::memo;
use crate::ui::node::Node;
use crate::ui::since;
use bagua_markup::html;
use bagua_model::notices::{Notice, Source};
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use time::OffsetDateTime;

/// The region scope in the address (`?region=…`), which applies to every room.
pub fn scope() -> Memo<Option<RegionId>> {
    let query = use_query_map();
    memo(move || {
        query
            .with(|q| q.get("region"))
            .filter(|r| !r.is_empty())
            .map(RegionId::new)
    })
}

/// The frame. Who is not signed in sees the page alone.
#[component]
pub fn Layout(children: Children) -> impl IntoView {
    let ui = Ui::get();
    let signed_in = crate::info().with_value(|info| info.me.is_some());
    if !signed_in {
        let page = html! {
            {view! { <Title formatter=move |page: String| tab_title(ui, &page, 0)/> }.into_any()}
            <div class="plain">
                {header::plain(ui)}
                <main id="main" tabindex="-1">{children().into_any()}</main>
            </div>
        };
        return page.list();
    }

    let live = Live::get();
    let scope = scope();
    let hot = Hot::new(live, scope);
    provide_context(hot);
    // The title is written when the page is put together, outside of every owner: a signal in the arena is not always
    // to be had there.
    let critical = ArcRwSignal::from(hot.critical);
    #[cfg(feature = "hydrate")]
    {
        watch_critical(hot);
        crate::hands::listen();
    }

    let page = html! {
        {view! { <Title formatter=move |page: String| tab_title(ui, &page, critical.get())/> }.into_any()}
        <a class="skip" href="#main">{ui.t(keys::UI_SKIP)}</a>
        <div class="frame">
            {rail::rail(ui, hot, scope)}
            {header::header(ui, live, scope)}
            <main id="main" tabindex="-1">
                {printed(ui)}
                {notices(ui, hot)}
                {children().into_any()}
            </main>
        </div>
        {toasts::corner(ui, live)}
        {crate::hands::dialogs(ui)}
    };
    page.list()
}

/// On paper: when it was printed, and by whom. The time stands still as soon as the page does.
fn printed(ui: Ui) -> Node {
    let person = crate::info().with_value(|info| info.me.as_ref().map(|me| me.name.clone()));
    let zone = ui.zone_name();
    let words = move || {
        let at = OffsetDateTime::from_unix_timestamp(ui.now.get() / 60 * 60);
        let at = at.map(|at| ui.local(at)).unwrap_or_default();
        ui.tx(
            keys::UI_PRINT_BY,
            &[
                ("time", &at),
                ("zone", &zone),
                ("person", &person.as_deref().unwrap_or_default()),
            ],
        )
    };
    html! { <p class="printed">{ui.t(keys::APP_NAME)} " · " {Node::live(words)}</p> }
}

/// `◆ 2 · Alerts · Bagua`: what is critical stands first, where a narrow tab still shows it.
fn tab_title(ui: Ui, page: &str, critical: u32) -> String {
    let name = ui.t(keys::APP_NAME);
    let rest = if page.is_empty() {
        name.to_owned()
    } else {
        format!("{page} · {name}")
    };
    if critical > 0 {
        format!("◆ {critical} · {rest}")
    } else {
        rest
    }
}

/// Keeps the tab's count and icon.
#[cfg(feature = "hydrate")]
fn watch_critical(hot: Hot) {
    use wasm_bindgen::JsCast;
    let (icon, icon_critical) = crate::info().with_value(|i| (i.icon.clone(), i.icon_critical.clone()));
    Effect::new(move |before: Option<u32>| {
        let now = match hot.feed.now() {
            Some(Ok(feed)) => feed.firing[0],
            _ => return before.unwrap_or_default(),
        };
        if before != Some(now) {
            hot.critical.set(now);
            if let Some(link) = document()
                .get_element_by_id("icon")
                .and_then(|e| e.dyn_into::<web_sys::HtmlLinkElement>().ok())
            {
                link.set_href(if now > 0 { &icon_critical } else { &icon });
            }
        }
        now
    });
}

fn source_name(ui: Ui, source: Source) -> &'static str {
    ui.t(match source {
        Source::Database => keys::UI_SOURCE_DATABASE,
        Source::Redis => keys::UI_SOURCE_REDIS,
        Source::Prometheus => keys::UI_SOURCE_PROMETHEUS,
        Source::Alertmanager => keys::UI_SOURCE_ALERTMANAGER,
        Source::Supervisor => keys::UI_SOURCE_SUPERVISOR,
    })
}

/// What it means for the reader that a source is away.
fn source_effect(ui: Ui, source: Source) -> &'static str {
    ui.t(match source {
        Source::Database => keys::UI_SOURCE_DATABASE_EFFECT,
        Source::Redis => keys::UI_SOURCE_REDIS_EFFECT,
        Source::Prometheus => keys::UI_SOURCE_PROMETHEUS_EFFECT,
        Source::Alertmanager => keys::UI_SOURCE_ALERTMANAGER_EFFECT,
        Source::Supervisor => keys::UI_SOURCE_SUPERVISOR_EFFECT,
    })
}

fn notice(ui: Ui, notice: &Notice) -> Node {
    let source = notice.source;
    html! {
        <li>
            <i class="mark unknown" aria-hidden="true"></i>
            <b>{ui.tx(keys::UI_NOTICE_NO_DATA, &[("source", &source_name(ui, source))])}</b>
            " "
            {since(ui, notice.since)}
            " "
            <span>{source_effect(ui, source)}</span>
        </li>
    }
}

/// The bar at the top of every page: which of our own sources are away, since when, and what that means.
fn notices(ui: Ui, hot: Hot) -> Node {
    let list = hot.notices.show(ui, move |list| {
        if list.is_empty() {
            return ().into();
        }
        let items = list.iter().map(|n| notice(ui, n)).collect::<Node>();
        html! { <ul class="notice unknown">{items}</ul> }
    });
    html! { <div class="notices" role="status">{list}</div> }
}
