//! The audit log: who did, read or was refused what. Filters stand in the address.

use super::some;
use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::memo::memo;
use crate::ui::filter::{Choice, Word, next_page, sentence};
use crate::ui::node::Node;
use crate::ui::{empty, moment, title, views};
use bagua_markup::html;
use bagua_model::operation::{AuditView, ListAudit};
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime};

/// A day of the reader's calendar (`2026-11-22`) or an exact time as the beginning of a range, `days` later.
fn day(ui: Ui, text: &str, days: i64) -> Option<OffsetDateTime> {
    if let Ok(exact) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(exact);
    }
    let mut parts = text.split('-');
    let year = parts.next()?.parse().ok()?;
    let month = parts.next()?.parse::<u8>().ok()?.try_into().ok()?;
    let date = Date::from_calendar_date(year, month, parts.next()?.parse().ok()?).ok()?;
    // Days are not all of one length: the day is counted, and then it begins.
    Some(ui.midnight(date.checked_add(Duration::days(days))?))
}

fn wanted(ui: Ui, get: impl Fn(&str) -> String) -> ListAudit {
    ListAudit {
        actor: some(get("actor")),
        action: some(get("action")),
        kind: some(get("kind")),
        region: some(get("region")).map(RegionId::new),
        result: some(get("result")),
        operation: get("operation").parse().ok(),
        from: day(ui, &get("from"), 0),
        until: day(ui, &get("until"), 1),
        after: some(get("after")),
        limit: 0,
    }
}

/// `/audit`.
pub fn page() -> Node {
    let (ui, live) = (Ui::get(), Live::get());
    let location = use_location();
    let (params, search) = (location.query, location.search);
    let filter = memo(move || params.with(|q| wanted(ui, |name| q.get(name).unwrap_or_default())));
    let dates = memo(move || {
        params.with(|q| {
            (
                q.get("from").unwrap_or_default(),
                q.get("until").unwrap_or_default(),
            )
        })
    });
    // Not live: a log that moves under the reader cannot be read.
    let list = asked(move || (filter.get(), 0));
    let filters = Node::follows(move || filters(ui, &filter.get(), dates.get()));
    html! {
        {title(ui.t(keys::UI_NAV_AUDIT))}
        <div class="page-head"><h1>{ui.t(keys::UI_NAV_AUDIT)}</h1></div>
        {filters}
        {views::bar(ui, live)}
        {list.show(ui, move |page| {
            if page.rows.is_empty() {
                return empty(ui.t(keys::UI_LIST_NOTHING), ui.t(keys::UI_LIST_NOTHING_NEXT));
            }
            html! {
                {table(ui, page.rows.iter().map(|r| row(ui, r)).collect())}
                {next_page(ui, "/audit", &search.get_untracked(), page.next.clone())}
            }
        })}
    }
}

fn filters(ui: Ui, now: &ListAudit, (from, until): (String, String)) -> Node {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let actions = [
        "submit",
        "approve",
        "reject",
        "cancel",
        "finish",
        "deny",
        "read",
        "sign-in",
        "sign-in-failed",
        "lock-out",
        "sign-out",
    ];
    let options = |any, list: &[&str]| {
        std::iter::once((String::new(), ui.t(any).to_owned()))
            .chain(list.iter().map(|a| ((*a).to_owned(), audit_word(ui, a))))
            .collect::<Vec<_>>()
    };
    let choices = vec![
        Choice {
            name: "action",
            before: ui.t(keys::UI_AUDIT_FILTER_ACTION),
            now: text(&now.action),
            options: options(keys::UI_AUDIT_ANY_ACTION, &actions),
        },
        Choice {
            name: "result",
            before: ui.t(keys::UI_AUDIT_FILTER_RESULT),
            now: text(&now.result),
            options: options(
                keys::UI_AUDIT_ANY_RESULT,
                &["allowed", "denied", "succeeded", "failed", "cancelled"],
            ),
        },
        Choice::region(ui, now.region.as_ref()),
    ];
    let words = vec![
        Word {
            name: "actor",
            before: ui.t(keys::UI_AUDIT_FILTER_ACTOR),
            now: text(&now.actor),
            kind: "search",
        },
        Word {
            name: "kind",
            before: ui.t(keys::UI_FILTER_KIND),
            now: text(&now.kind),
            kind: "search",
        },
        Word {
            name: "operation",
            before: ui.t(keys::UI_AUDIT_FILTER_OPERATION),
            now: now.operation.map(|o| o.to_string()).unwrap_or_default(),
            kind: "search",
        },
        Word {
            name: "from",
            before: ui.t(keys::UI_AUDIT_FILTER_FROM),
            now: from,
            kind: "date",
        },
        Word {
            name: "until",
            before: ui.t(keys::UI_AUDIT_FILTER_UNTIL),
            now: until,
            kind: "date",
        },
    ];
    sentence(ui, "/audit", choices, words)
}

/// The word of an action or result; a new one that has no word yet stands as it is.
fn audit_word(ui: Ui, name: &str) -> String {
    let key = format!("ui.audit.{name}");
    let word = ui.key(&key);
    if word == key { name.to_owned() } else { word }
}

fn table(ui: Ui, rows: Node) -> Node {
    html! {
        <div class="scroll card" tabindex="0" role="region" aria-label=ui.t(keys::UI_NAV_AUDIT)>
            <table>
                <thead>
                    <tr>
                        <th scope="col">{ui.t(keys::UI_COLUMN_WHEN)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_BY)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_ACTION)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_RESULT)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_KIND)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_TARGET)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_REGION)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_DETAIL)}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(ui: Ui, r: &AuditView) -> Node {
    let class = match r.result.as_str() {
        "denied" | "failed" => "critical",
        "succeeded" | "allowed" => "healthy",
        _ => "info",
    };
    let detail = match &r.detail {
        serde_json::Value::Null => None,
        serde_json::Value::Object(fields) if fields.is_empty() => None,
        other => serde_json::to_string_pretty(other).ok(),
    };
    let target = r.target.clone().map(|t| {
        let (noun, id) = t.split_once(':').unwrap_or(("", t.as_str()));
        super::operations::target(noun, id)
    });
    html! {
        <tr>
            <td>{moment(ui, r.at)}</td>
            <td>{r.actor.clone()}</td>
            <td>{audit_word(ui, &r.action)}</td>
            <td><span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{audit_word(ui, &r.result)}</span></td>
            <td>{r.kind.clone().map(|k| html! { <code>{k}</code> })}</td>
            <td>{target}</td>
            <td>{r.region.as_ref().map(|region| ui.region(region.as_str()))}</td>
            <td>
                {r.operation.map(|id| html! { <a href=format!("/operations/{id}")>{ui.t(keys::UI_AUDIT_OPERATION)}</a> })}
                {detail.map(|d| html! { <details><summary>{ui.t(keys::UI_COLUMN_DETAIL)}</summary><pre>{d}</pre></details> })}
            </td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::text::Locale;
    use bagua_model::zone::Zone;
    use time::macros::datetime;

    #[test]
    fn days_are_the_operators_days() {
        Owner::new().with(|| {
            let ui = Ui::new(Locale::English, RwSignal::new(0), Zone::default());
            assert_eq!(day(ui, "2026-11-22", 0), Some(datetime!(2026-11-21 16:00 UTC)));
            assert_eq!(day(ui, "2026-11-22", 1), Some(datetime!(2026-11-22 16:00 UTC)));
            assert_eq!(
                day(ui, "2026-11-22T10:00:00Z", 1),
                Some(datetime!(2026-11-22 10:00 UTC))
            );
            assert_eq!(day(ui, "yesterday", 0), None);
        });
    }
}
