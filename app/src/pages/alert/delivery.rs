//! Who is told of an alert, or the first reason why nobody is.

use crate::asked::Payload;
use crate::i18n::Ui;
use crate::rpc::Answered;
use crate::ui::node::Node;
use crate::ui::{failed, moment};
use bagua_markup::html;
use bagua_model::alerts::{DeliveryLeg, DeliveryView, Integration};
use bagua_model::text::keys;
use time::OffsetDateTime;

/// The card.
pub fn card(ui: Ui, delivery: &Answered<Payload>) -> Node {
    let body = delivery
        .clone()
        .and_then(|view| view.read(|view: &DeliveryView| draw(ui, view)))
        .unwrap_or_else(|error| failed(ui, &error));
    html! { <section class="card" id="delivery"><h2>{ui.t(keys::UI_DELIVERY_TITLE)}</h2>{body}</section> }
}

fn draw(ui: Ui, view: &DeliveryView) -> Node {
    let legs = view.legs.iter().map(|l| leg(ui, l, view.since)).collect::<Node>();
    html! { <p class="why">{ui.text(&view.verdict)}</p> {legs} }
}

fn leg(ui: Ui, leg: &DeliveryLeg, since: OffsetDateTime) -> Node {
    let group = leg
        .group
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let group = match group.is_empty() {
        true => ui.t(keys::UI_DELIVERY_ONE_GROUP).into(),
        false => html! { <code>{group}</code> },
    };
    let by = match leg.integrations.is_empty() {
        true => ui.t(keys::UI_DELIVERY_NOBODY).into(),
        false => leg
            .integrations
            .iter()
            .map(|i| integration(ui, i))
            .collect::<Node>(),
    };
    let received = match leg.received {
        Some(at) => moment(ui, at),
        None => html! { {ui.tx(keys::UI_DELIVERY_NEVER, &[("since", &ui.local(since))])} },
    };
    html! {
        <dl class="facts">
            <div><dt>{ui.t(keys::UI_DELIVERY_RECEIVER)}</dt><dd>{leg.receiver.clone()}</dd></div>
            <div><dt>{ui.t(keys::UI_DELIVERY_BY)}</dt><dd>{by}</dd></div>
            <div><dt>{ui.t(keys::UI_DELIVERY_GROUP)}</dt><dd>{group}</dd></div>
            <div><dt>{ui.t(keys::UI_DELIVERY_WAIT)}</dt><dd class="num">{leg.wait.clone()}</dd></div>
            <div><dt>{ui.t(keys::UI_DELIVERY_REPEAT)}</dt><dd class="num">{leg.repeat.clone()}</dd></div>
            {(!leg.timed.is_empty()).then(|| html! {
                <div><dt>{ui.t(keys::UI_DELIVERY_TIMED)}</dt><dd>{leg.timed.join(", ")}</dd></div>
            })}
            <div><dt>{ui.t(keys::UI_DELIVERY_RECEIVED)}</dt><dd>{received}</dd></div>
        </dl>
    }
}

fn integration(ui: Ui, of: &Integration) -> Node {
    let count = of
        .tried
        .zip(of.failed)
        .map(|(tried, failed)| ui.tx(keys::UI_DELIVERY_COUNT, &[("tried", &tried), ("failed", &failed)]));
    html! { <span>{of.kind.clone()}</span> {count.map(|count| html! { <span class="row-sub">{count}</span> })} }
}
