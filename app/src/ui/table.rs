//! Tables that a narrow screen scrolls sideways and a keyboard reaches.

use crate::i18n::Ui;
use crate::ui::node::Node;
use bagua_markup::html;

/// A column: its name, and whether it holds numbers or times, which stand at the right.
pub type Column = (&'static str, bool);

/// A table of `rows`. `label` names it for who cannot see it.
pub fn table(ui: Ui, label: impl Into<String>, columns: &[Column], rows: Node) -> Node {
    let heads = columns
        .iter()
        .map(|(name, number)| html! { <th scope="col" class=number.then_some("num")>{ui.t(name)}</th> })
        .collect::<Node>();
    html! {
        <div class="scroll" tabindex="0" role="region" aria-label=label.into()>
            <table>
                <thead><tr>{heads}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
