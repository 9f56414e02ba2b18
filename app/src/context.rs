//! What a page is given before it asks anything: who reads it, in which language, and the form that came back.

use bagua_model::access::{InvitationView, Me};
use bagua_model::failure::Failure;
use bagua_model::region::{Environment, RegionId};
use bagua_model::text::Locale;
use bagua_model::zone::Zone;
use serde::{Deserialize, Serialize};

/// Dark, light, or what the reader's system says. Kept in the cookie `bagua_theme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// What the system says.
    #[default]
    Auto,
    /// Paper.
    Light,
    /// Ink.
    Dark,
}

impl Theme {
    /// All, in the order of the switch.
    pub const ALL: [Theme; 3] = [Theme::Auto, Theme::Light, Theme::Dark];

    /// The value in cookie, form and `<html data-theme>`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// Reads the cookie; anything unknown is `Auto`.
    pub fn from_name(name: &str) -> Theme {
        Theme::ALL
            .into_iter()
            .find(|t| t.as_str() == name)
            .unwrap_or_default()
    }
}

/// A form that was posted without success, for the one reply that shows it again. Never holds a password. The reply to a
/// form that made an API token shows the secret with it; that one is never kept in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// Which form: the path it was posted to, without the first slash (`sign-in`, `submit/component.restart`).
    pub form: String,
    /// What was typed: field name and text.
    #[serde(default)]
    pub values: Vec<(String, String)>,
    /// Why it came back.
    #[serde(default)]
    pub failure: Option<Failure>,
}

impl Flash {
    /// What was typed into a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// What browser and server both know of the page. The server fills it from cookies, session and settings, and it
/// travels inside the page, so that both sides draw the same first picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageInfo {
    /// Who reads; nobody is signed in when absent.
    pub me: Option<Me>,
    /// The environment that this console looks after.
    pub environment: Environment,
    /// The regions in the order of configuration, for the scope switch.
    pub regions: Vec<RegionId>,
    /// The reader's language.
    pub locale: Locale,
    /// The reader's theme.
    pub theme: Theme,
    /// The reader's time zone.
    pub zone: Zone,
    /// The server's clock when the page was made, Unix milliseconds.
    pub now_ms: i64,
    /// The live stream's position that the page reflects; the stream is followed from there.
    pub cursor: Option<String>,
    /// Published path of the map's land.
    pub world_svg: String,
    /// Published path of the favicon.
    pub icon: String,
    /// Published path of the favicon while something critical fires.
    pub icon_critical: String,
    /// The form that came back, if any.
    pub flash: Option<Flash>,
    /// What the one-time link of `/welcome` and `/reset` is for.
    pub invitation: Option<Invitation>,
}

/// The answer about a one-time link: what it is for, or why it cannot be used. The server provides it as a context of
/// its own on `/welcome` and `/reset`, where nobody is signed in who could ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invitation(pub Result<InvitationView, Failure>);

impl PageInfo {
    /// What stands in while routes are listed, before any request.
    pub fn empty() -> PageInfo {
        PageInfo {
            me: None,
            environment: Environment::Dev,
            regions: Vec::new(),
            locale: Locale::English,
            theme: Theme::Auto,
            zone: Zone::default(),
            now_ms: 0,
            cursor: None,
            world_svg: String::new(),
            icon: String::new(),
            icon_critical: String::new(),
            flash: None,
            invitation: None,
        }
    }
}

#[cfg(feature = "ssr")]
pub use server::AppContext;

#[cfg(feature = "ssr")]
mod server {
    use super::*;
    use crate::assets::SiteAssets;
    use bagua_core::Console;
    use bagua_core::actor::Actor;
    use std::sync::Arc;
    use time::OffsetDateTime;

    /// What the server provides as context for every page and server function.
    #[derive(Clone)]
    pub struct AppContext {
        /// The console: ask and submit.
        pub console: Arc<Console>,
        /// Who acts; `None` when nobody is signed in.
        pub actor: Option<Actor>,
        /// The same person as pages know them.
        pub me: Option<Me>,
        /// The environment that this console looks after.
        pub environment: Environment,
        /// The regions in the order of configuration.
        pub regions: Arc<[RegionId]>,
        /// From the cookie `bagua_locale`, else from `Accept-Language`.
        pub locale: Locale,
        /// From the cookie `bagua_theme`.
        pub theme: Theme,
        /// The reader's time zone.
        pub zone: Zone,
        /// What the build published.
        pub site: Arc<SiteAssets>,
        /// The live stream's position, read before the page asks anything.
        pub cursor: Option<String>,
        /// The form that came back, taken for this one reply.
        pub flash: Option<Flash>,
        /// The request's id, as it stands in the log.
        pub request: Option<String>,
        /// Now.
        pub now: OffsetDateTime,
    }

    impl AppContext {
        /// The part that travels inside the page.
        pub fn page_info(&self) -> PageInfo {
            PageInfo {
                me: self.me.clone(),
                environment: self.environment,
                regions: self.regions.to_vec(),
                locale: self.locale,
                theme: self.theme,
                zone: self.zone.clone(),
                now_ms: i64::try_from(self.now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
                cursor: self.cursor.clone(),
                world_svg: self.site.asset("world.svg"),
                icon: self.site.asset("icon.svg"),
                icon_critical: self.site.asset("icon-critical.svg"),
                flash: self.flash.clone(),
                invitation: leptos::prelude::use_context::<Invitation>(),
            }
        }
    }
}
