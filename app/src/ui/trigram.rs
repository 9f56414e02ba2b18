//! The eight trigrams as small bars, one for each room.

use crate::ui::node::Node;
use bagua_markup::html;

/// A trigram: three lines from top to bottom, `true` is whole, `false` is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigram(pub [bool; 3]);

/// ☰ heaven: Regions.
pub const HEAVEN: Trigram = Trigram([true, true, true]);
/// ☲ fire: Alerts.
pub const FIRE: Trigram = Trigram([true, false, true]);
/// ☳ thunder: Incidents.
pub const THUNDER: Trigram = Trigram([false, false, true]);
/// ☴ wind: Deployments.
pub const WIND: Trigram = Trigram([true, true, false]);
/// ☷ earth: Backups.
pub const EARTH: Trigram = Trigram([false, false, false]);
/// ☱ speech: Bots.
pub const LAKE: Trigram = Trigram([false, true, true]);
/// ☵ water, the law: Compliance.
pub const WATER: Trigram = Trigram([false, true, false]);
/// ☶ the mountain, the gate: Access.
pub const MOUNTAIN: Trigram = Trigram([true, false, false]);

/// The bars, 18 × 18 units, drawn in the colour of the text around.
pub fn bars(trigram: Trigram) -> Node {
    let mut d = String::with_capacity(60);
    for (whole, y) in trigram.0.into_iter().zip([4, 9, 14]) {
        let line = if whole {
            format!("M1 {y}h16")
        } else {
            format!("M1 {y}h6.5m3 0h6.5")
        };
        d.push_str(&line);
    }
    html! {
        <svg class="trigram" viewBox="0 0 18 18" width="18" height="18" aria-hidden="true" focusable="false">
            <path d=d fill="none" stroke="currentColor" stroke-width="2.5"/>
        </svg>
    }
}

/// The product's mark: the octagon of trigrams around an empty centre.
pub fn mark() -> Node {
    // Later heaven's order, clockwise from the south at the top.
    let around = [FIRE, EARTH, LAKE, HEAVEN, WATER, MOUNTAIN, THUNDER, WIND];
    let arms = around
        .into_iter()
        .enumerate()
        .map(|(i, trigram)| {
            let mut d = String::with_capacity(60);
            // Lines count from the centre outwards, so the bottom line is the innermost.
            for (whole, y) in trigram.0.into_iter().zip([-15.0, -12.2, -9.4]) {
                let line = if whole {
                    format!("M-3.4 {y}h6.8")
                } else {
                    format!("M-3.4 {y}h2.7m1.4 0h2.7")
                };
                d.push_str(&line);
            }
            html! { <path d=d transform=format!("rotate({})", i * 45)/> }
        })
        .collect::<Node>();
    html! {
        <svg class="product-mark" viewBox="-17 -17 34 34" width="34" height="34" aria-hidden="true" focusable="false">
            <g fill="none" stroke="currentColor" stroke-width="1.7">{arms}</g>
        </svg>
    }
}
