//! The screens: design system, pages, and the one door to the server.
//!
//! Compiled twice: with `ssr` into the server, with `hydrate` for the browser.

mod asked;
pub mod assets;
pub mod context;
mod hands;
mod hot;
pub mod i18n;
mod layout;
mod live;
mod memo;
mod pages;
mod parts;
pub mod rpc;
#[cfg(feature = "ssr")]
pub mod shell;
mod ui;

#[cfg(feature = "ssr")]
pub use shell::shell;

use context::PageInfo;
use i18n::Ui;
use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;
use live::Live;
use parts::{Page, Second, signed_in};

/// The page as both sides know it; see [`PageInfo`].
fn page_info() -> PageInfo {
    #[cfg(feature = "ssr")]
    let info = use_context::<context::AppContext>().map_or_else(PageInfo::empty, |cx| cx.page_info());
    #[cfg(not(feature = "ssr"))]
    let info = PageInfo::empty();
    info
}

/// Everything inside `<body>`.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let page = SharedValue::new(page_info).into_inner();
    let now = RwSignal::new(page.now_ms.div_euclid(1_000));
    let ui = Ui::new(page.locale, now, page.zone.clone());
    let live = Live::new();
    provide_context(ui);
    provide_context(live);
    provide_context(StoredValue::new(page.clone()));

    #[cfg(feature = "hydrate")]
    run_page(ui, live, &page);

    view! {
        <Router>
            <layout::Layout>
                <FlatRoutes fallback=|| pages::not_found::page().view()>
                    <Route path=path!("/") view=|| signed_in(pages::overview::page)/>
                    <Route path=path!("/regions") view=Second(Page::Regions)/>
                    <Route path=path!("/regions/compare") view=Second(Page::Compare)/>
                    <Route path=path!("/performance") view=Second(Page::Performance)/>
                    <Route path=path!("/business") view=Second(Page::Business)/>
                    <Route path=path!("/regions/:region") view=Second(Page::Region)/>
                    <Route path=path!("/regions/:region/:service") view=Second(Page::Component)/>
                    <Route path=path!("/alerts") view=Second(Page::Alerts)/>
                    <Route path=path!("/alerts/silences") view=Second(Page::Silences)/>
                    <Route path=path!("/alerts/selection") view=Second(Page::Selection)/>
                    <Route path=path!("/alerts/:alert") view=Second(Page::Alert)/>
                    <Route path=path!("/bots") view=Second(Page::Bots)/>
                    <Route path=path!("/bots/selection") view=Second(Page::BotSelection)/>
                    <Route path=path!("/bots/tuning") view=Second(Page::BotTuning)/>
                    <Route path=path!("/bots/:bot") view=Second(Page::Bot)/>
                    <Route path=path!("/bots/:bot/chats") view=Second(Page::Chats)/>
                    <Route path=path!("/bots/:bot/chats/:chat") view=Second(Page::Conversation)/>
                    <Route path=path!("/bots/:bot/messages") view=Second(Page::Messages)/>
                    <Route path=path!("/bots/:bot/rules") view=Second(Page::Rules)/>
                    <Route path=path!("/bots/:bot/calls") view=Second(Page::Calls)/>
                    <Route path=path!("/bots/:bot/settings") view=Second(Page::BotSettings)/>
                    <Route path=path!("/bots/:bot/updates/:update") view=Second(Page::Update)/>
                    <Route path=path!("/operations") view=Second(Page::Operations)/>
                    <Route path=path!("/operations/new") view=Second(Page::Plan)/>
                    <Route path=path!("/operations/:operation") view=Second(Page::Operation)/>
                    <Route path=path!("/approvals") view=Second(Page::Approvals)/>
                    <Route path=path!("/schedules") view=Second(Page::Schedules)/>
                    <Route path=path!("/audit") view=Second(Page::Audit)/>
                    <Route path=path!("/access") view=Second(Page::Access)/>
                    <Route path=path!("/access/tokens") view=Second(Page::Tokens)/>
                    <Route path=path!("/localization") view=Second(Page::Localization)/>
                    <Route path=path!("/search") view=Second(Page::Search)/>
                    <Route path=path!("/preferences") view=Second(Page::Preferences)/>
                    <Route path=path!("/sign-in") view=|| pages::sign_in::page().view()/>
                    <Route path=path!("/welcome") view=|| pages::welcome::page("welcome").view()/>
                    <Route path=path!("/reset") view=|| pages::welcome::page("reset").view()/>
                </FlatRoutes>
            </layout::Layout>
        </Router>
    }
}

/// The page's info from context.
pub(crate) fn info() -> StoredValue<PageInfo> {
    use_context::<StoredValue<PageInfo>>().unwrap_or_else(|| StoredValue::new(PageInfo::empty()))
}

/// Takes in the messages of the page's language, before anything is drawn. The server has those of all languages in itself.
#[cfg(feature = "hydrate")]
pub fn load_messages(messages: String) {
    #[cfg(target_arch = "wasm32")]
    bagua_model::text::load(messages);
    #[cfg(not(target_arch = "wasm32"))]
    drop(messages);
}

/// Runs `hydrate` once the part of the module is there that the page in the address is in: hydration cannot wait for it.
#[cfg(feature = "hydrate")]
pub fn when_ready(hydrate: impl FnOnce() + 'static) {
    let path = location().pathname().unwrap_or_default();
    if parts::is_first(&path) {
        return hydrate();
    }
    // Not Leptos' own: that begins with hydration.
    wasm_bindgen_futures::spawn_local(async move {
        // Where it cannot be loaded the page stays as the server drew it, with plain links and forms.
        if parts::load().await {
            hydrate();
        }
    });
}

/// What runs in the browser as long as the page lives: the clock, the live stream, the tab's icon.
#[cfg(feature = "hydrate")]
fn run_page(ui: Ui, live: Live, page: &PageInfo) {
    use std::time::Duration;
    let (start_ms, cursor, signed_in) = (page.now_ms, page.cursor.clone(), page.me.is_some());
    // An effect, so that the first picture is the server's.
    Effect::new(move |_| {
        // The server's clock goes on from what the page says: a browser with a wrong clock shows right ages.
        let begun = js_sys::Date::now();
        set_interval(
            move || {
                let now = start_ms + (js_sys::Date::now() - begun) as i64;
                ui.now.set(now.div_euclid(1_000));
            },
            Duration::from_secs(1),
        );
        if let Some(root) = document().document_element() {
            let _ = root.class_list().add_1("hydrated");
        }
        if signed_in {
            // Before the reader has found the next link.
            set_timeout(
                || {
                    leptos::task::spawn_local(async {
                        let _ = parts::load().await;
                    })
                },
                Duration::from_secs(2),
            );
            live::follow(live, ui.now, cursor.clone());
        }
    });
}
