//! Which alerts a filter lets through.

use bagua_model::alerts::{AlertView, ListAlerts};
use bagua_model::region::RegionId;
use bagua_model::text::{Locale, MESSAGES, message};

/// A filter, prepared for thousands of rows.
pub(crate) struct Filter<'a> {
    query: &'a ListAlerts,
    /// In small letters.
    text: Option<String>,
    /// Regions whose name, in either language, holds the text.
    regions: Vec<&'static str>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(query: &'a ListAlerts) -> Filter<'a> {
        let text = words(query).map(str::to_lowercase);
        Filter {
            regions: text.as_deref().map(regions_called).unwrap_or_default(),
            query,
            text,
        }
    }

    pub(crate) fn lets_through(&self, view: &AlertView) -> bool {
        let query = self.query;
        (query.severities.is_empty() || query.severities.contains(&view.severity))
            && is(query.region.as_ref(), view.region.as_ref())
            && is(query.component.as_ref(), view.component.as_ref())
            && is(query.name.as_ref(), Some(&view.name))
            && query
                .acknowledged
                .is_none_or(|a| view.acknowledged.is_some() == a)
            && self.text.as_deref().is_none_or(|text| self.says(view, text))
    }

    fn says(&self, view: &AlertView, text: &str) -> bool {
        let holds = |words: &str| holds(words, text);
        holds(&view.name)
            || holds(&view.summary)
            || view.component.as_deref().is_some_and(holds)
            || view
                .region
                .as_ref()
                .map(RegionId::as_str)
                .is_some_and(|r| holds(r) || self.regions.contains(&r))
    }
}

/// Whether the words hold the text, which is in small letters. Most texts are ASCII, and are looked for in thousands of
/// rows: for those nothing is copied.
fn holds(words: &str, text: &str) -> bool {
    if text.is_ascii() {
        let wanted = text.as_bytes();
        return wanted.is_empty()
            || words
                .as_bytes()
                .windows(wanted.len())
                .any(|part| part.eq_ignore_ascii_case(wanted));
    }
    words.to_lowercase().contains(text)
}

fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
    wanted.is_none_or(|w| found == Some(w))
}

/// The words that are looked for, when there are any.
pub(crate) fn words(query: &ListAlerts) -> Option<&str> {
    query.text.as_deref().map(str::trim).filter(|t| !t.is_empty())
}

/// Codes of the regions whose name holds this text (in small letters): people look for Frankfurt, or for 法兰克福, and
/// alerts carry `eu-central-1`.
pub(crate) fn regions_called(text: &str) -> Vec<&'static str> {
    let codes = MESSAGES.iter().filter_map(|(key, _, _)| {
        let code = key.strip_prefix("region.")?;
        (!code.contains('.')).then_some((*key, code))
    });
    codes
        .filter(|(key, _)| {
            Locale::ALL
                .iter()
                .any(|l| message(*l, key).to_lowercase().contains(text))
        })
        .map(|(_, code)| code)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_either_case_are_found_in_any_script() {
        assert!(holds("Gateway of Überlingen", "gateway"));
        assert!(holds("Gateway of Überlingen", "überl"));
        assert!(holds("网关变慢 GW", "gw") && holds("网关变慢", "变慢"));
        assert!(!holds("Gate", "gateway"));
    }

    #[test]
    fn regions_are_found_by_their_names_in_both_languages() {
        assert_eq!(regions_called("frankf"), ["eu-central-1"]);
        assert_eq!(regions_called("法兰克福"), ["eu-central-1"]);
        assert!(regions_called("nowhere at all").is_empty());
    }
}
