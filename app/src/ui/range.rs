//! The time range of charts, held by the address: `?minutes=180`, or `?from=…&until=…` as RFC 3339.

use super::form::escape;
use crate::i18n::{Ui, machine};
use crate::memo::memo;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::text::{Text, keys};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// The ranges that are one click away, minutes.
const PRESETS: [(u32, &str); 6] = [
    (30, keys::UI_RANGE_30_MINUTES),
    (180, keys::UI_RANGE_3_HOURS),
    (720, keys::UI_RANGE_12_HOURS),
    (1_440, keys::UI_RANGE_24_HOURS),
    (10_080, keys::UI_RANGE_7_DAYS),
    (43_200, keys::UI_RANGE_30_DAYS),
];

/// What the address asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// How far back from now; counts without a fixed range.
    pub minutes: u32,
    /// Start of a fixed range.
    #[serde(with = "time::serde::rfc3339::option")]
    pub from: Option<OffsetDateTime>,
    /// End of a fixed range.
    #[serde(with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
    /// What stands in the address and is no time.
    pub wrong: Option<Text>,
}

impl Range {
    fn read(get: impl Fn(&str) -> String) -> Range {
        let wanted = get("minutes").parse::<u32>().unwrap_or_default();
        let minutes = PRESETS
            .iter()
            .map(|p| p.0)
            .find(|m| *m == wanted)
            .unwrap_or(PRESETS[0].0);
        let mut wrong = None;
        let mut time = |name| {
            let typed = get(name);
            let typed = typed.trim();
            if typed.is_empty() {
                return None;
            }
            // In a query a plus is a space; an offset such as +08:00 has come through it.
            let read = OffsetDateTime::parse(&typed.replace(' ', "+"), &Rfc3339);
            if read.is_err() {
                let typed = typed.chars().take(40).collect::<String>();
                wrong = Some(Text::new(keys::UI_RANGE_WRONG).with("typed", typed));
            }
            read.ok()
        };
        let (from, until) = (time("from"), time("until"));
        if wrong.is_some() {
            return Range {
                minutes,
                from: None,
                until: None,
                wrong,
            };
        }
        Range {
            minutes,
            from,
            until,
            wrong,
        }
    }

    /// Whether charts of this range change by themselves so fast that they are drawn anew with every news. Those of
    /// days and those of the past are not.
    pub fn moves(&self) -> bool {
        self.from.is_none() && self.until.is_none() && self.minutes <= 180
    }

    /// Start and end, whole minutes.
    fn ends(&self, now: i64) -> (OffsetDateTime, OffsetDateTime) {
        if let (Some(from), Some(until)) = (self.from, self.until) {
            return (from, until);
        }
        let now = OffsetDateTime::from_unix_timestamp(now / 60 * 60).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        (now - Duration::minutes(i64::from(self.minutes)), now)
    }

    /// The range before this one.
    fn back(&self, now: i64) -> String {
        let (from, until) = self.ends(now);
        fixed(from - (until - from), from)
    }

    /// The range after this one; none when this one ends now. The last step leads to the range that moves with time.
    fn forward(&self, now: i64) -> Option<String> {
        let (from, until) = self.ends(now);
        if until.unix_timestamp() > now - 60 {
            return None;
        }
        let next = until + (until - from);
        let length = (until - from).whole_minutes();
        let preset = PRESETS.iter().find(|p| i64::from(p.0) == length);
        Some(match preset {
            Some((minutes, _)) if next.unix_timestamp() > now - 60 => format!("?minutes={minutes}"),
            _ => fixed(until, next),
        })
    }
}

fn fixed(from: OffsetDateTime, until: OffsetDateTime) -> String {
    format!(
        "?from={}&until={}",
        escape(&machine(from)),
        escape(&machine(until))
    )
}

/// The range in the address.
pub fn range() -> Memo<Range> {
    let query = use_query_map();
    memo(move || query.with(|q| Range::read(|name| q.get(name).unwrap_or_default())))
}

/// Choosing a range: presets, a step back and forward, and two times of one's own.
pub fn bar(ui: Ui, range: Memo<Range>) -> Node {
    Node::follows(move || drawn(ui, &range.get()))
}

fn drawn(ui: Ui, range: &Range) -> Node {
    let now = ui.now.get_untracked();
    let rolling = range.from.is_none() && range.until.is_none();
    let presets = PRESETS.map(|(minutes, words)| {
        let current = (rolling && range.minutes == minutes).then_some("true");
        html! { <a href=format!("?minutes={minutes}") aria-current=current>{ui.t(words)}</a> }
    });
    let forward = match range.forward(now) {
        Some(href) => {
            html! { <a href=href title=ui.t(keys::UI_RANGE_FORWARD) aria-label=ui.t(keys::UI_RANGE_FORWARD)>"→"</a> }
        }
        None => {
            html! { <span class="muted" title=ui.t(keys::UI_RANGE_AT_PRESENT) aria-hidden="true">"→"</span> }
        }
    };
    let (from, until) = range.ends(now);
    let own = (!rolling).then_some("true");
    let wrong = range.wrong.as_ref().map(|text| {
        html! { <p class="field-error" role="alert">{ui.text(text)} " " {ui.t(keys::UI_RANGE_WRONG_SHOWN)}</p> }
    });
    html! {
        <div class="range">
            <nav class="ranges" aria-label=ui.t(keys::UI_RANGE)>
                <a href=range.back(now) title=ui.t(keys::UI_RANGE_BACK) aria-label=ui.t(keys::UI_RANGE_BACK)>"←"</a>
                {forward}
                {presets.into_iter().collect::<Node>()}
            </nav>
            <details class="range-own" open=own.is_some()>
                <summary>{ui.t(keys::UI_RANGE_OWN)}</summary>
                <form method="get" class="range-form">
                    <label>{ui.t(keys::UI_RANGE_FROM)} " " <input name="from" value=machine(from) maxlength="40" required/></label>
                    <label>{ui.t(keys::UI_RANGE_UNTIL)} " " <input name="until" value=machine(until) maxlength="40" required/></label>
                    <button type="submit">{ui.t(keys::UI_RANGE_SHOW)}</button>
                </form>
            </details>
            {wrong}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn read(query: &[(&str, &str)]) -> Range {
        Range::read(|name| {
            let found = query.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned()).unwrap_or_default()
        })
    }

    const NOW: i64 = datetime!(2026-11-25 12:00:30 UTC).unix_timestamp();

    #[test]
    fn stepping_back_and_forward_comes_back_to_the_present() {
        let now = read(&[("minutes", "180")]);
        assert_eq!(now.forward(NOW), None);
        assert_eq!(
            now.back(NOW),
            "?from=2026-11-25T06:00:00Z&until=2026-11-25T09:00:00Z"
        );
        let before = read(&[
            ("from", "2026-11-25T06:00:00Z"),
            ("until", "2026-11-25T09:00:00Z"),
        ]);
        // What ends within the present minute ends now.
        assert_eq!(before.forward(NOW), Some("?minutes=180".to_owned()));
        assert_eq!(
            before.forward(NOW + 60),
            Some("?from=2026-11-25T09:00:00Z&until=2026-11-25T12:00:00Z".to_owned())
        );
    }

    #[test]
    fn what_is_no_time_is_said_and_not_guessed() {
        let range = read(&[("from", "yesterday"), ("until", "2026-11-25T09:00:00Z")]);
        assert!(range.wrong.is_some());
        assert_eq!((range.from, range.until, range.minutes), (None, None, 30));
        let offset = read(&[
            ("from", "2026-11-25T16:00:00 08:00"),
            ("until", "2026-11-25T09:00:00Z"),
        ]);
        assert_eq!(offset.from, Some(datetime!(2026-11-25 16:00 +8)));
        assert!(!offset.moves() && range.moves());
        assert_eq!(read(&[("minutes", "7")]).minutes, 30);
    }
}
