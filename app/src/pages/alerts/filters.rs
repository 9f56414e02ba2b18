//! What the feed shows: the address says it, and a form with GET writes the address.

use crate::i18n::Ui;
use crate::pages::some;
use crate::ui::filter::{Choice, Word, sentence};
use crate::ui::node::Node;
use bagua_model::alerts::{AlertState, GroupBy, ListAlerts, Severity};
use bagua_model::region::RegionId;
use bagua_model::text::keys;

/// Rows of a page: with what can be done to each, they are most of its weight.
pub const ROWS: u16 = 25;

/// What the address asks for. An open group narrows what is asked to what is in it; while all are closed one row is
/// enough.
pub fn wanted(get: impl Fn(&str) -> String) -> ListAlerts {
    let (by, open) = (get("group").parse::<GroupBy>().ok(), some(get("open")));
    let mut list = narrowed(&get);
    match (by, open) {
        (Some(GroupBy::Rule), Some(open)) => list.name = Some(open),
        (Some(GroupBy::Region), Some(open)) => list.region = Some(RegionId::new(open)),
        (Some(GroupBy::Severity), Some(open)) => list.severities = open.parse().into_iter().collect(),
        (Some(_), None) => list.limit = 1,
        (None, _) => {}
    }
    list
}

/// What the filters of the address ask for.
pub fn narrowed(get: &impl Fn(&str) -> String) -> ListAlerts {
    ListAlerts {
        state: get("state").parse::<AlertState>().ok(),
        severities: get("severity")
            .split(',')
            .filter_map(|s| s.parse::<Severity>().ok())
            .collect(),
        region: some(get("region")).map(RegionId::new),
        component: some(get("component")),
        name: some(get("rule")),
        acknowledged: match get("held").as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        text: some(get("text")),
        after: some(get("after")),
        limit: ROWS,
    }
}

/// The filters as a sentence.
pub fn filters(ui: Ui, now: &ListAlerts, by: Option<GroupBy>) -> Node {
    let option = |value: &str, key| (value.to_owned(), ui.t(key).to_owned());
    let severities = severities(now);
    let choices = vec![
        Choice {
            name: "state",
            before: ui.t(keys::UI_ALERTS_FILTER_STATE),
            now: now
                .state
                .map(|s| s.as_str().to_owned())
                .filter(|s| s != "firing")
                .unwrap_or_default(),
            options: vec![
                option("", keys::UI_ALERTS_FIRING),
                option("resolved", keys::UI_ALERTS_RESOLVED),
            ],
        },
        Choice {
            name: "severity",
            before: ui.t(keys::UI_ALERTS_FILTER_SEVERITY),
            now: severities,
            options: vec![
                option("", keys::UI_ALERTS_ANY_SEVERITY),
                option("critical", keys::UI_SEVERITY_CRITICAL),
                option("critical,warning", keys::UI_ALERTS_CRITICAL_OR_WARNING),
                option("warning", keys::UI_SEVERITY_WARNING),
                option("info", keys::UI_SEVERITY_INFO),
            ],
        },
        Choice::region(ui, now.region.as_ref()),
        Choice {
            name: "held",
            before: ui.t(keys::UI_ALERTS_FILTER_HELD),
            now: held(now).to_owned(),
            options: vec![
                option("", keys::UI_ALERTS_HELD_ANY),
                option("no", keys::UI_ALERTS_HELD_NO),
                option("yes", keys::UI_ALERTS_HELD_YES),
            ],
        },
        Choice {
            name: "group",
            before: ui.t(keys::UI_ALERTS_GROUP),
            now: by.map(|by| by.as_str().to_owned()).unwrap_or_default(),
            options: vec![
                option("", keys::UI_ALERTS_GROUP_NONE),
                option("rule", keys::UI_ALERTS_GROUP_RULE),
                option("region", keys::UI_ALERTS_GROUP_REGION),
                option("severity", keys::UI_ALERTS_GROUP_SEVERITY),
            ],
        },
    ];
    let word = |name, before, now: &Option<String>| Word {
        name,
        before: ui.t(before),
        now: now.clone().unwrap_or_default(),
        kind: "search",
    };
    let mut words = vec![
        word("component", keys::UI_FILTER_COMPONENT, &now.component),
        word("text", keys::UI_FILTER_TEXT, &now.text),
    ];
    if now.name.is_some() {
        words.insert(0, word("rule", keys::UI_ALERTS_FILTER_RULE, &now.name));
    }
    sentence(ui, "/alerts", choices, words)
}

/// The severities as the address says them.
pub fn severities(list: &ListAlerts) -> String {
    let words: Vec<_> = list.severities.iter().map(|s| s.as_str()).collect();
    words.join(",")
}

/// Whether somebody has them, as the address says it.
pub fn held(list: &ListAlerts) -> &'static str {
    match list.acknowledged {
        None => "",
        Some(true) => "yes",
        Some(false) => "no",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_filter() {
        let address = |name: &str| match name {
            "severity" => "critical,warning,nonsense".to_owned(),
            "region" => "eu-west-1".to_owned(),
            "held" => "no".to_owned(),
            "text" => "  ".to_owned(),
            _ => String::new(),
        };
        let list = wanted(address);
        assert_eq!(list.severities, [Severity::Critical, Severity::Warning]);
        assert_eq!(list.region, Some(RegionId::new("eu-west-1")));
        assert_eq!(list.acknowledged, Some(false));
        assert_eq!((list.text, list.state), (None, None));
    }

    #[test]
    fn an_open_group_is_asked_for_and_closed_ones_cost_one_row() {
        let address = |open: &'static str| {
            wanted(move |name: &str| match name {
                "group" => "rule".to_owned(),
                "open" => open.to_owned(),
                _ => String::new(),
            })
        };
        assert_eq!(address("GatewayDown").name.as_deref(), Some("GatewayDown"));
        assert_eq!(address("").limit, 1);
    }
}
