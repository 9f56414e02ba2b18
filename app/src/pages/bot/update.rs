//! `/bots/{bot}/updates/{update}`: one update as Telegram sent it. Opening it is a reading, which is audited.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::pages::{param, query};
use crate::ui::node::Node;
use crate::ui::{empty, moment, title};
use bagua_markup::html;
use bagua_model::bots::{GetUpdate, UpdateDetail, UpdateView};
use bagua_model::text::keys;
use leptos::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where an update is shown, of which a list has told when it was stored.
pub fn href(bot: &str, update: &UpdateView) -> String {
    let at = update.received_at.format(&Rfc3339).unwrap_or_default();
    format!(
        "/bots/{bot}/updates/{}?at={}",
        update.update,
        crate::ui::form::escape(&at)
    )
}

/// `/bots/:bot/updates/:update`.
pub fn page() -> Node {
    let ui = Ui::get();
    let (id, update, at) = (param("bot"), param("update"), query("at"));
    // Asked once, not with every news: each asking is one line of the audit log.
    let detail = asked(move || {
        let query = GetUpdate {
            bot: id.get().parse().unwrap_or(0),
            update: update.get().parse().unwrap_or(0),
            received_at: OffsetDateTime::parse(&at.get(), &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        };
        (query, 0)
    });
    detail.page(ui, move |detail| whole(ui, detail))
}

/// Laid out for reading; as it is where it cannot be.
fn pretty(raw: &str) -> String {
    serde_json::from_str::<serde_json::Value>(raw)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| raw.to_owned())
}

fn whole(ui: Ui, detail: &UpdateDetail) -> Node {
    let update = &detail.update;
    let heading = format!(
        "@{} · {}",
        detail.username,
        ui.tx(keys::UI_UPDATE_TITLE, &[("update", &update.update)])
    );
    let marks = if detail.marks.is_empty() {
        ui.t(keys::UI_UPDATE_NO_MARKS).to_owned()
    } else {
        detail.marks.join(", ")
    };
    html! {
        {title(heading.clone())}
        <div class="page-head">
            <div>
                <h1>{heading}</h1>
                <p class="page-state"><code>{update.kind.clone()}</code> " " {moment(ui, update.received_at)}</p>
                <p class="field-help">{ui.t(keys::UI_UPDATE_READ)}</p>
            </div>
        </div>
        <section class="card">
            <h2>{ui.t(keys::UI_UPDATE_RAW)}</h2>
            {match &detail.raw {
                Some(raw) => html! { <pre class="raw" tabindex="0" role="region" aria-label=ui.t(keys::UI_UPDATE_RAW)>{pretty(raw)}</pre> },
                None => empty(ui.t(keys::UI_UPDATE_DESTROYED), ""),
            }}
        </section>
        <section class="card">
            <h2>{ui.t(keys::UI_UPDATE_MARKS)}</h2>
            <p>{marks}</p>
        </section>
    }
}
