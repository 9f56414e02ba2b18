//! The rail: eight rooms under their trigrams, and what runs across them.

use crate::hot::Hot;
use crate::i18n::Ui;
use crate::ui::node::{Node, following};
use crate::ui::trigram::{self, Trigram};
use bagua_markup::html;
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// A room: its trigram, name, and address; a room without an address is still to come.
struct Room(Trigram, &'static str, Option<&'static str>);

const ROOMS: [Room; 8] = [
    Room(trigram::HEAVEN, keys::UI_ROOM_REGIONS, Some("/regions")),
    Room(trigram::FIRE, keys::UI_ROOM_ALERTS, Some("/alerts")),
    Room(trigram::THUNDER, keys::UI_ROOM_INCIDENTS, None),
    Room(trigram::WIND, keys::UI_ROOM_DEPLOYMENTS, None),
    Room(trigram::EARTH, keys::UI_ROOM_BACKUPS, None),
    Room(trigram::LAKE, keys::UI_ROOM_BOTS, Some("/bots")),
    Room(trigram::WATER, keys::UI_ROOM_COMPLIANCE, None),
    Room(trigram::MOUNTAIN, keys::UI_ROOM_ACCESS, Some("/access")),
];

/// What runs across the rooms: name, address, and the lines of its icon. Trigrams belong to the rooms alone.
const ACROSS: [(&str, &str, &str); 5] = [
    (keys::UI_NAV_OPERATIONS, "/operations", "M5 3.5l9 5.5-9 5.5z"),
    (keys::UI_NAV_APPROVALS, "/approvals", "M3 9.5l4 4 8-9"),
    (
        keys::UI_NAV_SCHEDULES,
        "/schedules",
        "M9 2a7 7 0 1 0 .01 0zM9 5v4l3 2",
    ),
    (
        keys::UI_NAV_AUDIT,
        "/audit",
        "M4 2h10v14h-10zM6.5 6h5M6.5 9h5M6.5 12h3",
    ),
    (
        keys::UI_LOCALIZATION_TITLE,
        "/localization",
        "M2 3h14v10h-8l-3 3v-3h-3zM5 6.5h8M5 9.5h5",
    ),
];

/// The address with the region scope, which goes along from room to room.
fn scoped(path: &str, scope: Option<&RegionId>) -> String {
    match scope {
        Some(region) => format!("{path}?region={region}"),
        None => path.to_owned(),
    }
}

/// The rail.
pub fn rail(ui: Ui, hot: Hot, scope: Memo<Option<RegionId>>) -> Node {
    let path = use_location().pathname;
    let current = move |room: &'static str| {
        following(move || {
            let here = path.get();
            // The platform's figures belong to the room of the regions, though their addresses are short.
            let inside = here == room
                || (room == "/regions" && matches!(here.as_str(), "/performance" | "/business"))
                || (room != "/" && here.starts_with(room) && here[room.len()..].starts_with('/'));
            inside.then_some("page")
        })
    };
    let rooms = ROOMS.into_iter().map(|Room(bars, name, address)| match address {
        Some(address) => html! {
            <li>
                <a href=following(move || Some(scoped(address, scope.get().as_ref()))) aria-current=current(address)>
                    {trigram::bars(bars)}
                    <span class="rail-name">{ui.t(name)}</span>
                    {(address == "/alerts").then(|| firing(ui, hot))}
                </a>
            </li>
        },
        None => html! {
            <li>
                <span class="later" title=ui.t(keys::UI_ROOM_LATER)>
                    {trigram::bars(bars)}
                    <span class="rail-name">{ui.t(name)}</span>
                    <span class="hidden">{format!(" ({})", ui.t(keys::UI_ROOM_LATER))}</span>
                </span>
            </li>
        },
    });
    let across = ACROSS.into_iter().map(|(name, address, icon)| {
        html! {
            <li>
                <a href=following(move || Some(scoped(address, scope.get().as_ref()))) aria-current=current(address)>
                    <svg class="trigram" viewBox="0 0 18 18" width="18" height="18" aria-hidden="true" focusable="false">
                        <path d=icon fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"/>
                    </svg>
                    <span class="rail-name">{ui.t(name)}</span>
                </a>
            </li>
        }
    });
    html! {
        <nav class="rail" aria-label=ui.t(keys::UI_NAV_ROOMS)>
            <a class="brand" href=following(move || Some(scoped("/", scope.get().as_ref()))) aria-current=current("/")>
                {trigram::mark()}
                <span class="rail-name">{ui.t(keys::APP_NAME)}</span>
            </a>
            <ul class="rooms">{rooms.collect::<Node>()}</ul>
            <ul class="across">{across.collect::<Node>()}</ul>
        </nav>
    }
}

/// How many alerts fire, beside the room's name: critical and warning.
fn firing(ui: Ui, hot: Hot) -> Node {
    hot.feed.show_or(
        ui,
        move |feed| {
            #[cfg(feature = "ssr")]
            hot.critical.set(feed.firing[0]);
            let part = |n: u32, class: &'static str, one, many| {
                (n > 0).then(|| {
                    html! {
                        <span class=format!("count {class}") title=ui.count(one, many, n)>
                            <i class=format!("mark {class}") aria-hidden="true"></i>
                            <span aria-hidden="true">{n}</span>
                            <span class="hidden">{format!(" {}", ui.count(one, many, n))}</span>
                        </span>
                    }
                })
            };
            html! {
                {part(feed.firing[0], "critical", keys::UI_ALERTS_CRITICAL_ONE, keys::UI_ALERTS_CRITICAL_MANY)}
                {part(feed.firing[1], "warning", keys::UI_ALERTS_WARNING_ONE, keys::UI_ALERTS_WARNING_MANY)}
            }
        },
        // The page itself says what cannot be asked.
        |_, _| ().into(),
    )
}
