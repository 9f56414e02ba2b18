//! The header: where the reader is, the region scope, the clock, the stream, the person, language and theme.

use crate::context::{PageInfo, Theme};
use crate::i18n::Ui;
use crate::live::{Link, Live};
use crate::ui::get_form::get_form;
use crate::ui::node::{Node, following};
use bagua_markup::html;
use bagua_model::region::RegionId;
use bagua_model::text::{Locale, keys};
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// The crumbs of a path: name and address, the last without one.
fn crumbs(ui: Ui, path: &str) -> Vec<(String, Option<String>)> {
    let mut parts = path.split('/').filter(|p| !p.is_empty());
    let Some(room) = parts.next() else {
        return vec![(ui.t(keys::UI_OVERVIEW_TITLE).to_owned(), None)];
    };
    let name = match room {
        "regions" => keys::UI_ROOM_REGIONS,
        "performance" => keys::UI_TAB_PERFORMANCE,
        "business" => keys::UI_TAB_BUSINESS,
        "alerts" => keys::UI_ROOM_ALERTS,
        "bots" => keys::UI_ROOM_BOTS,
        "access" => keys::UI_ROOM_ACCESS,
        "operations" => keys::UI_NAV_OPERATIONS,
        "approvals" => keys::UI_NAV_APPROVALS,
        "schedules" => keys::UI_NAV_SCHEDULES,
        "audit" => keys::UI_NAV_AUDIT,
        "localization" => keys::UI_LOCALIZATION_TITLE,
        "search" => keys::UI_SEARCH_TITLE,
        "preferences" => keys::UI_PREFERENCES_TITLE,
        _ => return Vec::new(),
    };
    let mut out = vec![(ui.t(name).to_owned(), Some(format!("/{room}")))];
    if matches!(room, "performance" | "business") {
        out.insert(
            0,
            (
                ui.t(keys::UI_ROOM_REGIONS).to_owned(),
                Some("/regions".to_owned()),
            ),
        );
    }
    let mut address = format!("/{room}");
    for part in parts {
        address = format!("{address}/{part}");
        // An update's page hangs below its bot's; there is none of all updates.
        if (room, part) == ("bots", "updates") {
            continue;
        }
        let words = match (room, out.len()) {
            ("regions", 1) if part == "compare" => ui.t(keys::UI_TAB_COMPARE).to_owned(),
            ("regions", 1) => ui.region(part),
            ("operations", 1) if part == "new" => ui.t(keys::UI_PLAN_TITLE).to_owned(),
            ("bots", 2) if part == "calls" => ui.t(keys::UI_BOTS_TAB_CALLS).to_owned(),
            ("bots", 2) if part == "chats" => ui.t(keys::UI_BOTS_TAB_CHATS).to_owned(),
            ("bots", 2) if part == "messages" => ui.t(keys::UI_CHATS_FIND).to_owned(),
            ("bots", 2) if part == "settings" => ui.t(keys::UI_BOTS_TAB_SETTINGS).to_owned(),
            ("bots", 2) if part == "rules" => ui.t(keys::UI_BOTS_TAB_RULES).to_owned(),
            ("bots", 1) if part == "selection" => ui.t(keys::UI_PLAN_TITLE).to_owned(),
            ("bots", 1) if part == "tuning" => ui.t(keys::UI_BOTS_TUNING).to_owned(),
            ("access", 1) if part == "tokens" => ui.t(keys::UI_TOKENS_TITLE).to_owned(),
            ("alerts", 1) if part == "selection" => ui.t(keys::UI_PLAN_TITLE).to_owned(),
            ("alerts", 1) if part == "silences" => ui.t(keys::UI_SILENCES_TITLE).to_owned(),
            _ if part.len() > 20 => format!(
                "{}…{}",
                part.get(..6).unwrap_or(part),
                part.get(part.len() - 6..).unwrap_or_default()
            ),
            _ => part.to_owned(),
        };
        out.push((words, Some(address.clone())));
    }
    if let Some(last) = out.last_mut() {
        last.1 = None;
    }
    out
}

/// The header of a signed-in page.
pub fn header(ui: Ui, live: Live, scope: Memo<Option<RegionId>>) -> Node {
    let path = use_location().pathname;
    let trail = Node::follows(move || {
        crumbs(ui, &path.get())
            .into_iter()
            .map(|(words, address)| match address {
                Some(address) => html! { <li><a href=address>{words}</a></li> },
                None => html! { <li><span aria-current="location">{words}</span></li> },
            })
            .collect()
    });
    html! {
        <header class="top">
            <nav class="crumbs" aria-label=ui.t(keys::UI_NAV_WHERE)><ol>{trail}</ol></nav>
            {search(ui)}
            {scope_switch(ui, scope)}
            {link(ui, live)}
            {clock(ui)}
            {person(ui)}
        </header>
    }
}

/// The header where nobody is signed in: the product, and language and theme.
pub fn plain(ui: Ui) -> Node {
    html! {
        <header class="plain-top">
            <span class="brand">{crate::ui::trigram::mark()}<span>{ui.t(keys::APP_NAME)}</span></span>
            <div class="prefs">{preferences(ui)}</div>
        </header>
    }
}

/// Search over everything; on a narrow screen a link to its page.
fn search(ui: Ui) -> Node {
    let label = ui.t(keys::UI_SEARCH_LABEL);
    let field = html! {
        <label>
            <span class="hidden">{label}</span>
            <input
                id=crate::hands::SEARCH
                type="search"
                name="q"
                autocomplete="off"
                placeholder=label
                title=ui.t(keys::UI_SEARCH_KEYS)
            />
        </label>
    };
    html! {
        <search class="search">
            {get_form("search-form", || "/search".to_owned(), field)}
            <a class="search-link" href="/search" title=label>
                <svg viewBox="0 0 18 18" width="18" height="18" aria-hidden="true" focusable="false">
                    <path d="M8 2.5a5.5 5.5 0 1 0 .01 0zM12 12l4 4" fill="none" stroke="currentColor" stroke-width="1.6"/>
                </svg>
                <span class="hidden">{label}</span>
            </a>
        </search>
    }
}

/// Environment and region scope. A form with GET: the scope is part of the address.
fn scope_switch(ui: Ui, scope: Memo<Option<RegionId>>) -> Node {
    let (environment, regions) = crate::info().with_value(|i| (i.environment, i.regions.clone()));
    let location = use_location();
    let path = location.pathname;
    // Pages that are about one thing have no use for a scope; changing it there leads to the overview of that scope.
    let target = move || {
        let path = path.get();
        match path.as_str() {
            "/" | "/alerts" | "/operations" | "/audit" | "/regions" => path,
            _ => "/".to_owned(),
        }
    };
    let query = location.query;
    let fields = Node::follows(move || {
        let now = scope.get();
        let others = query.with(|q| {
            q.clone()
                .into_iter()
                .filter(|(name, _)| name != "region" && name != "after")
                .map(|(name, value)| Kept {
                    name: name.to_string(),
                    value: value.to_string(),
                })
                .collect::<Vec<_>>()
        });
        let others = others.into_iter().map(Kept::view).collect::<Node>();
        let options = regions.iter().map(|region| {
            let code = region.as_str();
            html! { <option value=code.to_owned() selected=now.as_ref() == Some(region)>{ui.region(code)}</option> }
        });
        html! {
            <label>
                <span class="hidden">{ui.t(keys::UI_SCOPE_REGION)}</span>
                <select name="region">
                    <option value="" selected=now.is_none()>{ui.t(keys::UI_SCOPE_ALL)}</option>
                    {options.collect::<Node>()}
                </select>
            </label>
            {others}
        }
    });
    let apply = html! { <button class="button small without-script">{ui.t(keys::UI_FILTER_APPLY)}</button> };
    html! {
        <div class="scope">
            <span class="environment" title=ui.t(keys::UI_SCOPE_ENVIRONMENT)>{environment.as_str()}</span>
            {get_form("scope-form", target, html! { {fields} {apply} })}
        </div>
    }
}

/// What else stands in the address and has to stay there.
struct Kept {
    name: String,
    value: String,
}

impl Kept {
    fn view(self) -> Node {
        html! { <input type="hidden" name=self.name value=self.value/> }
    }
}

/// The stream's dot: live, or since when it is lost.
fn link(ui: Ui, live: Live) -> Node {
    let words = move || match live.link.get() {
        Link::Idle => String::new(),
        Link::Live => ui.t(keys::UI_LIVE).to_owned(),
        Link::LostSince(at) => ui.tx(keys::UI_LIVE_LOST, &[("time", &ui.minute(at))]),
    };
    let class = following(move || {
        Some(match live.link.get() {
            Link::Idle => "link idle",
            Link::Live => "link live",
            Link::LostSince(_) => "link lost",
        })
    });
    html! { <span class=class role="status"><i class="dot" aria-hidden="true"></i><span>{Node::live(words)}</span></span> }
}

/// The operators' zone and UTC beside it, to the minute.
fn clock(ui: Ui) -> Node {
    let minute = Memo::new(move |_| ui.now.get().div_euclid(60));
    html! {
        <span class="clock num" title=ui.tx(keys::UI_CLOCK_ZONE, &[("zone", &ui.zone_name()), ("distance", &ui.distance())])>
            <b>{Node::live(move || ui.minute(minute.get() * 60))}</b>
            <span>{Node::live(move || {
                let m = minute.get();
                format!("{:02}:{:02} UTC", m.div_euclid(60).rem_euclid(24), m.rem_euclid(60))
            })}</span>
        </span>
    }
}

/// Who is signed in, and what belongs to them.
fn person(ui: Ui) -> Node {
    let Some(me) = crate::info().with_value(|i| i.me.clone()) else {
        return ().into();
    };
    let grants = me
        .grants
        .iter()
        .map(|grant| {
            let scope = ui.text(&bagua_model::text::Text::verbatim(
                bagua_model::access::scope_argument(&grant.scope),
            ));
            html! { <li>{ui.key(&format!("role.{}", grant.role))} " · " {scope}</li> }
        })
        .collect::<Node>();
    html! {
        <details class="menu">
            <summary>{me.name.clone()}</summary>
            <div class="menu-body">
                <p class="muted">{me.email.clone()}</p>
                <ul class="grants">{grants}</ul>
                <div class="prefs">{preferences(ui)}</div>
                <a href="/preferences">{ui.t(keys::UI_PREFERENCES_TITLE)}</a>
                <form method="post" action="/sign-out"><button class="button">{ui.t(keys::UI_SIGN_OUT)}</button></form>
            </div>
        </details>
    }
}

/// Language and theme: plain forms, the page comes back in the new one.
pub fn preferences(ui: Ui) -> Node {
    let location = use_location();
    let back = move || {
        let search = location.search.get();
        Some(if search.is_empty() {
            location.pathname.get()
        } else {
            format!("{}?{search}", location.pathname.get())
        })
    };
    let theme = crate::info().with_value(|i: &PageInfo| i.theme);
    let locales = Locale::ALL.map(|locale| {
        html! {
            <button name="locale" value=locale.tag() lang=locale.tag() aria-pressed=(locale == ui.locale).to_string()>
                {locale.name()}
            </button>
        }
    });
    let themes = Theme::ALL.map(|one| {
        let name = match one {
            Theme::Auto => keys::UI_THEME_AUTO,
            Theme::Light => keys::UI_THEME_LIGHT,
            Theme::Dark => keys::UI_THEME_DARK,
        };
        html! { <button name="theme" value=one.as_str() aria-pressed=(one == theme).to_string()>{ui.t(name)}</button> }
    });
    html! {
        <form method="post" action="/preferences" class="switch" aria-label=ui.t(keys::UI_LANGUAGE)>
            <input type="hidden" name="back" value=following(back)/>
            {locales.into_iter().collect::<Node>()}
        </form>
        <form method="post" action="/preferences" class="switch" aria-label=ui.t(keys::UI_THEME)>
            <input type="hidden" name="back" value=following(back)/>
            {themes.into_iter().collect::<Node>()}
        </form>
    }
}
