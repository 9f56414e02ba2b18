//! The two parts of the console's browser side.
//!
//! The first holds the frame, the overview and signing in: what the first look needs. All other pages are in the
//! second, which the browser loads when the first of them is wanted, and in the background once the overview stands.
//! Without the feature `split` both are one module and nothing below waits.

#[cfg(feature = "split")]
use crate::i18n::Ui;
use crate::pages;
use crate::ui::node::Node;
use leptos::prelude::*;
use leptos_router::ChooseView;
use leptos_router::components::Redirect;
use leptos_router::hooks::use_location;

/// A page of the second part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/regions`.
    Regions,
    /// `/regions/compare`.
    Compare,
    /// `/performance`.
    Performance,
    /// `/business`.
    Business,
    /// `/regions/{region}`.
    Region,
    /// `/regions/{region}/{service}`.
    Component,
    /// `/alerts`.
    Alerts,
    /// `/alerts/silences`.
    Silences,
    /// `/alerts/selection`.
    Selection,
    /// `/alerts/{alert}`.
    Alert,
    /// `/bots`.
    Bots,
    /// `/bots/selection`.
    BotSelection,
    /// `/bots/tuning`.
    BotTuning,
    /// `/bots/{bot}`.
    Bot,
    /// `/bots/{bot}/chats`.
    Chats,
    /// `/bots/{bot}/chats/{chat}`.
    Conversation,
    /// `/bots/{bot}/messages`.
    Messages,
    /// `/bots/{bot}/rules`.
    Rules,
    /// `/bots/{bot}/calls`.
    Calls,
    /// `/bots/{bot}/settings`.
    BotSettings,
    /// `/bots/{bot}/updates/{update}`.
    Update,
    /// `/operations`.
    Operations,
    /// `/operations/new`.
    Plan,
    /// `/operations/{operation}`.
    Operation,
    /// `/approvals`.
    Approvals,
    /// `/schedules`.
    Schedules,
    /// `/audit`.
    Audit,
    /// `/access`.
    Access,
    /// `/access/tokens`.
    Tokens,
    /// `/localization`.
    Localization,
    /// `/search`.
    Search,
    /// `/preferences`.
    Preferences,
}

/// Draws a page. The border between the parts: nothing else may name these pages.
fn draw(page: Page) -> Node {
    match page {
        Page::Regions => pages::regions::page(),
        Page::Compare => pages::compare::page(),
        Page::Performance => pages::platform::performance(),
        Page::Business => pages::platform::business(),
        Page::Region => pages::region::page(),
        Page::Component => pages::component::page(),
        Page::Alerts => pages::alerts::page(),
        Page::Silences => pages::silences::page(),
        Page::Selection => pages::alerts::selection::page(),
        Page::Alert => pages::alert::page(),
        Page::Bots => pages::bots::page(),
        Page::BotSelection => pages::bots::bulk::selection(),
        Page::BotTuning => pages::bots::tuning::page(),
        Page::Bot => pages::bot::page(),
        Page::Chats => pages::bot::chats::list(),
        Page::Conversation => pages::bot::chats::conversation(),
        Page::Messages => pages::bot::messages::page(),
        Page::Rules => pages::bot::rules::page(),
        Page::Calls => pages::bot::calls::page(),
        Page::BotSettings => pages::bot::settings::page(),
        Page::Update => pages::bot::update::page(),
        Page::Operations => pages::operations::page(),
        Page::Plan => pages::plan::page(),
        Page::Operation => pages::operation::page(),
        Page::Approvals => pages::approvals::page(),
        Page::Schedules => pages::schedules::page(),
        Page::Audit => pages::audit::page(),
        Page::Access => pages::access::page(),
        Page::Tokens => pages::tokens::page(),
        Page::Localization => pages::localization::page(),
        Page::Search => pages::search::page(),
        Page::Preferences => pages::preferences::page(),
    }
}

#[cfg(feature = "split")]
mod second {
    use super::{Node, Page};

    /// The second part could not be loaded.
    pub struct Unreachable;

    impl From<leptos::wasm_split::SplitLoaderError> for Unreachable {
        fn from(_: leptos::wasm_split::SplitLoaderError) -> Unreachable {
            Unreachable
        }
    }

    #[leptos::wasm_split::wasm_split(rooms, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
    pub fn draw(page: Page) -> Result<Node, Unreachable> {
        Ok(super::draw(page))
    }
}

async fn drawn(page: Page) -> Node {
    #[cfg(feature = "split")]
    let node = {
        let ui = Ui::get();
        second::draw(page).await.unwrap_or_else(|_| {
            use bagua_model::failure::{Failure, FailureKind};
            use bagua_model::text::{Text, keys};
            let failure = Failure::new(FailureKind::Unavailable, Text::new(keys::UI_ERROR_UNREACHABLE));
            crate::ui::page_failed(ui, &crate::rpc::AppError(failure))
        })
    };
    #[cfg(not(feature = "split"))]
    let node = draw(page);
    node
}

/// Loads the second part ahead of time and answers whether it is there. `false` is not an end: the page that is wanted
/// tries again and says so.
#[cfg(feature = "hydrate")]
pub async fn load() -> bool {
    #[cfg(feature = "split")]
    let there = second::load().await.is_ok();
    #[cfg(not(feature = "split"))]
    let there = true;
    there
}

/// Whether the page at this path is in the first part.
#[cfg(feature = "hydrate")]
pub fn is_first(path: &str) -> bool {
    matches!(path, "/" | "/sign-in" | "/welcome" | "/reset")
}

/// A page of the second part as a route's view.
#[derive(Clone, Copy)]
pub struct Second(pub Page);

impl ChooseView for Second {
    async fn choose(self) -> AnyView {
        match to_sign_in() {
            Some(redirect) => redirect,
            None => drawn(self.0).await.view(),
        }
    }

    async fn preload(&self) {
        #[cfg(feature = "hydrate")]
        let _ = load().await;
    }
}

/// Shows a page of the first part to who is signed in.
pub fn signed_in(page: fn() -> Node) -> AnyView {
    to_sign_in().unwrap_or_else(|| page().view())
}

/// Sends who is not signed in to sign in first, and back here afterwards.
fn to_sign_in() -> Option<AnyView> {
    if crate::info().with_value(|info| info.me.is_some()) {
        return None;
    }
    let location = use_location();
    let search = location.search.with_untracked(|s| {
        if s.is_empty() {
            String::new()
        } else {
            format!("?{s}")
        }
    });
    let here = format!("{}{search}", location.pathname.get_untracked());
    let path = if here == "/" {
        "/sign-in".to_owned()
    } else {
        format!("/sign-in?next={}", crate::ui::form::escape(&here))
    };
    Some(view! { <Redirect path/> }.into_any())
}
