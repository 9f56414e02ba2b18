//! `/bots/{bot}/updates/{update}`: one update as Telegram sent it. Opening it is a reading, which is audited.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::pages::{param, query};
use crate::ui::node::Node;
use crate::ui::{empty, moment, title};
use bagua_markup::html;
use bagua_model::bots::{GetUpdate, UpdateDetail};
use bagua_model::text::keys;
use leptos::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where an update is shown, of which a list has told when it was stored.
pub fn href(bot: &str, update: i64, received_at: OffsetDateTime) -> String {
    let at = received_at.format(&Rfc3339).unwrap_or_default();
    format!("/bots/{bot}/updates/{update}?at={}", crate::ui::form::escape(&at))
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

/// The JSON with line breaks for reading. Nothing is read into values: order, numbers and escapes stay as they came.
fn laid_out(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for c in raw.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                let kept = out.trim_end().len();
                out.truncate(kept);
                if !out.ends_with(['{', '[']) {
                    line(&mut out, depth);
                }
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
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
                Some(raw) => html! { <pre class="raw" tabindex="0" role="region" aria-label=ui.t(keys::UI_UPDATE_RAW)>{laid_out(raw)}</pre> },
                None => empty(ui.t(keys::UI_UPDATE_DESTROYED), ""),
            }}
        </section>
        <section class="card">
            <h2>{ui.t(keys::UI_UPDATE_MARKS)}</h2>
            <p>{marks}</p>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_out_keeps_its_order_its_numbers_and_its_strings() {
        let raw = r#"{"z":1.50,"a":{"s":"x: {\"y\"}, \\","e":[],"n":[1,2]}}"#;
        let expected = concat!(
            "{\n  \"z\": 1.50,\n  \"a\": {\n    \"s\": \"x: {\\\"y\\\"}, \\\\\",\n",
            "    \"e\": [],\n    \"n\": [\n      1,\n      2\n    ]\n  }\n}"
        );
        assert_eq!(laid_out(raw), expected);
        assert_eq!(laid_out("no json"), "nojson");
    }
}
