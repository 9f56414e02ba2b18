//! The world: six discs in a frame of eight bars, sized by traffic, coloured by state, with shape and word.

use super::projection::{HEIGHT, WIDTH, project};
use crate::i18n::Ui;
use crate::ui::figures;
use crate::ui::node::Node;
use crate::ui::state::{health, health_class, health_word};
use bagua_markup::html;
use bagua_model::regions::{Health, Metric, RegionView, WorldView};
use bagua_model::text::keys;
use leptos::ev::Event;
use leptos::prelude::WithValue as _;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

/// Eight bars around a circle of radius 10: the sides of an octagon with their corners open.
const FRAME: &str = "M-3.3-10.6h6.6M5.2-9.8l4.6 4.6M10.6-3.3v6.6M9.8 5.2l-4.6 4.6M3.3 10.6h-6.6M-5.2 9.8l-4.6-4.6M-10.6 3.3v-6.6M-9.8-5.2l4.6-4.6";

/// The frame's radius at size 1.
const RADIUS: f64 = 11.5;

/// A region on the map.
struct Spot<'a> {
    region: &'a RegionView,
    x: f64,
    y: f64,
    /// Size by traffic, 1 to 2.
    size: f64,
    /// The label stands at the left, where the right is taken.
    left: bool,
}

fn spots(world: &WorldView) -> Vec<Spot<'_>> {
    let traffic = |r: &RegionView| r.figures.requests_per_second.unwrap_or_default().max(0.0);
    let most = world.regions.iter().map(traffic).fold(0.0, f64::max);
    let mut spots: Vec<_> = world
        .regions
        .iter()
        .filter_map(|region| {
            let (x, y) = project(region.longitude?, region.latitude?);
            let share = if most > 0.0 {
                (traffic(region) / most).sqrt()
            } else {
                0.0
            };
            Some(Spot {
                region,
                x,
                y,
                size: 1.15 + 0.75 * share,
                left: false,
            })
        })
        .collect();
    part(&mut spots);
    let places: Vec<_> = spots.iter().map(|s| (s.x, s.y)).collect();
    for spot in &mut spots {
        let crowded = places
            .iter()
            .any(|(x, y)| (20.0..110.0).contains(&(x - spot.x)) && (y - spot.y).abs() < 30.0);
        spot.left = crowded || spot.x > WIDTH - 130.0;
    }
    spots
}

/// Moves neighbours apart until their frames no longer touch: a disc a few units off is still in its country.
fn part(spots: &mut [Spot<'_>]) {
    for i in 1..spots.len() {
        let (before, rest) = spots.split_at_mut(i);
        let Some(one) = rest.first_mut() else { continue };
        for other in before {
            let (dx, dy) = (one.x - other.x, one.y - other.y);
            let apart = dx.hypot(dy).max(0.1);
            let lack = RADIUS * (one.size + other.size) + 4.0 - apart;
            if lack > 0.0 {
                let (sx, sy) = (dx / apart * lack / 2.0, dy / apart * lack / 2.0);
                one.x += sx;
                one.y += sy;
                other.x -= sx;
                other.y -= sy;
            }
        }
    }
}

/// The shape in the disc: the state without its colour.
fn shape(health: Health) -> &'static str {
    match health {
        Health::Healthy => "M0-3.5a3.5 3.5 0 1 0 .01 0z",
        Health::Stopped => "M-3-3h6v6h-6z",
        Health::Unknown => "M-3 0h1.5m1 0h1m1 0h1.5",
        Health::Warning => "M0-4.2l4.4 7.4h-8.8z",
        Health::Critical => "M0-5l5 5-5 5-5-5z",
    }
}

fn spot(ui: Ui, spot: &Spot<'_>) -> Node {
    let region = spot.region;
    let class = health_class(region.health);
    let name = ui.region(region.region.as_str());
    let word = health_word(ui, region.health);
    let rate = figures::or_none(Metric::Requests, region.figures.requests_per_second);
    // The link's name, and what hovering shows; the table below says the same.
    let mut hint = format!("{name}: {word}, {rate}");
    for component in &region.components {
        hint.push_str(&format!(
            "\n{}: {}",
            component.id.service,
            health_word(ui, component.health)
        ));
    }
    let (label_x, anchor) = if spot.left {
        (-13.0 * spot.size - 4.0, "end")
    } else {
        (13.0 * spot.size + 4.0, "start")
    };
    let second = if region.health == Health::Healthy {
        rate
    } else {
        word.to_owned()
    };
    html! {
        <g class=format!("spot {class}") transform=format!("translate({:.1} {:.1})", spot.x, spot.y)>
            <a href=format!("/regions/{}", region.region)>
                <title>{hint}</title>
                <g transform=format!("scale({:.2})", spot.size)>
                    <path class="spot-frame" d=FRAME/>
                    <circle class="spot-disc" r="7.6"/>
                    <path class="spot-shape" d=shape(region.health)/>
                </g>
                <text x=format!("{label_x:.0}") y="1" text-anchor=anchor>{name}</text>
                <text class="spot-word" x=format!("{label_x:.0}") y="17" text-anchor=anchor>
                    {second}
                </text>
            </a>
        </g>
    }
}

/// The map as a picture with links.
pub fn map(ui: Ui, world: &WorldView) -> Node {
    let land = crate::info().with_value(|info| format!("{}#land", info.world_svg));
    let spots = spots(world).iter().map(|s| spot(ui, s)).collect::<Node>();
    html! {
        <svg class="map" viewBox=format!("0 0 {WIDTH} {HEIGHT}") role="group" aria-label=ui.t(keys::UI_MAP_LABEL)>
            <use class="land" href=land/>
            {spots}
        </svg>
    }
}

/// The same as a table, for who does not see the map.
pub fn table(ui: Ui, world: &WorldView) -> Node {
    let rows = world
        .regions
        .iter()
        .chain(world.global.iter())
        .map(|region| {
            let off = region
                .components
                .iter()
                .filter(|c| c.health != Health::Healthy)
                .map(|c| format!("{} ({})", c.id.service, health_word(ui, c.health)))
                .collect::<Vec<_>>()
                .join(", ");
            let f = &region.figures;
            html! {
                <tr>
                    <th scope="row"><a href=format!("/regions/{}", region.region)>{ui.region(region.region.as_str())}</a></th>
                    <td>{health(ui, region.health)}</td>
                    <td class="num">{figures::or_none(Metric::Requests, f.requests_per_second)}</td>
                    <td class="num">{figures::or_none(Metric::Errors, f.error_ratio)}</td>
                    <td class="num">{figures::or_none(Metric::Latency, f.p95_seconds)}</td>
                    <td>{off}</td>
                </tr>
            }
        })
        .collect::<Node>();
    html! {
        <table class="dense">
            <thead>
                <tr>
                    <th scope="col">{ui.t(keys::UI_COLUMN_REGION)}</th>
                    <th scope="col">{ui.t(keys::UI_COLUMN_STATE)}</th>
                    <th scope="col" class="num">{ui.t(keys::UI_METRIC_REQUESTS)}</th>
                    <th scope="col" class="num">{ui.t(keys::UI_METRIC_ERRORS)}</th>
                    <th scope="col" class="num">"p95"</th>
                    <th scope="col">{ui.t(keys::UI_COLUMN_NOT_HEALTHY)}</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

/// Lets the map's links change the page without loading it anew: the router itself follows HTML links only.
pub fn follow_links(map: Node) -> Node {
    let navigate = use_navigate();
    let follow = move |event: Event| {
        if let Some(address) = link_of(&event) {
            event.prevent_default();
            navigate(&address, NavigateOptions::default());
        }
    };
    html! { <div class="world-body" on:click=follow>{map}</div> }
}

/// The address of the SVG link that was clicked; `None` when the reader wants it in another tab.
#[cfg(feature = "hydrate")]
fn link_of(event: &Event) -> Option<String> {
    use wasm_bindgen::JsCast;
    let mouse = event.dyn_ref::<web_sys::MouseEvent>()?;
    if mouse.button() != 0 || mouse.ctrl_key() || mouse.meta_key() || mouse.shift_key() || mouse.alt_key() {
        return None;
    }
    let element = event.target()?.dyn_into::<web_sys::Element>().ok()?;
    element.closest("svg a[href]").ok()??.get_attribute("href")
}

/// On the server nobody clicks.
#[cfg(not(feature = "hydrate"))]
fn link_of(_: &Event) -> Option<String> {
    None
}
