//! Silences: Alertmanager holds back the alerts that their matchers match, until they end.

use crate::access::{Permission, named};
use crate::alerts::AlertView;
use crate::operation::OperationId;
use crate::region::{RegionId, Scope};
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt::Write as _;
use time::OffsetDateTime;
use uuid::Uuid;

named! {
    /// How a label is compared.
    MatchOp {
        /// Is the value.
        Equal = "=",
        /// Is not the value.
        NotEqual = "!=",
        /// The whole label matches the expression.
        Matches = "=~",
        /// The whole label does not match the expression.
        MatchesNot = "!~",
    }
}

/// Matchers of one silence.
pub const MOST_MATCHERS: usize = 20;
/// Characters of a matcher's value.
pub const LONGEST_VALUE: usize = 1000;
/// Characters of a silence's reason.
pub const LONGEST_COMMENT: usize = 500;
/// Minutes for which a silence may stand: 30 days.
pub const LONGEST_SILENCE: u32 = 30 * 24 * 60;
/// Silences that one operation may end.
pub const MOST_SILENCES: usize = 100;

/// One condition on a label. An alert without the label has it empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// Name of the label.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$")))]
    pub label: String,
    /// How it is compared.
    pub op: MatchOp,
    /// With what.
    #[cfg_attr(feature = "schema", schemars(length(max = LONGEST_VALUE)))]
    pub value: String,
}

impl Matcher {
    /// The label is the value.
    pub fn equal(label: impl Into<String>, value: impl Into<String>) -> Matcher {
        Matcher {
            label: label.into(),
            op: MatchOp::Equal,
            value: value.into(),
        }
    }
}

/// Matchers as people write them: `alertname="GatewayDown", region=~"eu-.*"`.
pub fn write_matchers(matchers: &[Matcher]) -> String {
    let mut out = String::new();
    for matcher in matchers {
        if !out.is_empty() {
            out.push_str(", ");
        }
        let value = matcher.value.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = write!(out, "{}{}\"{value}\"", matcher.label, matcher.op);
    }
    out
}

/// Reads [`write_matchers`]; braces around all and quotes around plain values may be left out.
///
/// # Errors
/// The rest of the text from where it is not understood.
pub fn read_matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let text = text.trim();
    let mut rest = text
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .unwrap_or(text)
        .trim();
    let mut matchers = Vec::new();
    while !rest.is_empty() {
        let (matcher, after) = read_one(rest).ok_or_else(|| rest.to_owned())?;
        matchers.push(matcher);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(after.to_owned()),
        };
    }
    Ok(matchers)
}

fn read_one(text: &str) -> Option<(Matcher, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let (label, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let op = [
        MatchOp::Matches,
        MatchOp::MatchesNot,
        MatchOp::NotEqual,
        MatchOp::Equal,
    ]
    .into_iter()
    .find(|op| rest.starts_with(op.as_str()))?;
    let rest = rest[op.as_str().len()..].trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => read_quoted(quoted)?,
        None => {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].trim_end().to_owned(), &rest[end..])
        }
    };
    let label = label.to_owned();
    (!label.is_empty() && !label.starts_with(|c: char| c.is_ascii_digit()))
        .then_some((Matcher { label, op, value }, rest))
}

fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// The one region that the matchers are limited to.
pub fn region_of(matchers: &[Matcher]) -> Option<RegionId> {
    matchers
        .iter()
        .find(|m| m.label == "region" && m.op == MatchOp::Equal && !m.value.is_empty())
        .map(|m| RegionId::new(&m.value))
}

/// Minutes as a number, or as the text that a form sends; an empty text is none.
pub(crate) fn minutes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Minutes {
        Number(u32),
        Text(String),
    }
    match Option::<Minutes>::deserialize(from)? {
        None => Ok(None),
        Some(Minutes::Number(n)) => Ok(Some(n)),
        Some(Minutes::Text(text)) if text.trim().is_empty() => Ok(None),
        Some(Minutes::Text(text)) => text.trim().parse().map(Some).map_err(serde::de::Error::custom),
    }
}

named! {
    /// Where a silence is in its life.
    SilenceState {
        /// It holds what it matches.
        Active = "active",
        /// It has not begun.
        Pending = "pending",
        /// It has ended; Alertmanager forgets it after some days.
        Expired = "expired",
    }
}

/// A silence as Alertmanager has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilenceView {
    /// Alertmanager's id.
    pub silence: String,
    /// State.
    pub state: SilenceState,
    /// What it matches: alerts to which all of these apply.
    pub matchers: Vec<Matcher>,
    /// Who made it.
    pub owner: String,
    /// Why.
    pub comment: String,
    /// From when.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub starts_at: OffsetDateTime,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub ends_at: OffsetDateTime,
    /// The operation that made it; `None` when it was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// How many firing alerts in the reader's scope it holds.
    pub holds: u32,
}

/// `silences.list`: those that bear on the reader's regions, active first, then the next to end; ended ones last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ListSilences {
    /// Only this state; without it, all that have not ended.
    pub state: Option<SilenceState>,
}

impl Query for ListSilences {
    const KIND: &'static str = "silences.list";
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = Vec<SilenceView>;
}

/// `silences.preview`: which firing alerts these matchers match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PreviewSilence {
    /// The matchers.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MOST_MATCHERS)))]
    pub matchers: Vec<Matcher>,
}

/// What a silence would hold now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilencePreview {
    /// How many firing alerts.
    pub count: u32,
    /// The first of them, in the order of the feed.
    pub rows: Vec<AlertView>,
}

impl Query for PreviewSilence {
    const KIND: &'static str = "silences.preview";
    const EXAMPLE: &'static str = r#"{"matchers":[{"label":"region","op":"=","value":"ap-east-1"}]}"#;
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = SilencePreview;
}

/// `silences.cover`: matchers that hold all of these alerts, as narrow as matchers can say it. They may match others too:
/// look at the preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CoverAlerts {
    /// Firing alerts, at most 200.
    pub alerts: Vec<Uuid>,
}

impl Query for CoverAlerts {
    const KIND: &'static str = "silences.cover";
    const EXAMPLE: &'static str = r#"{"alerts":["0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10"]}"#;
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = Vec<Matcher>;
}

/// `silence.create`: holds back what the matchers match. Who may not do so everywhere limits it to a region by
/// `region="…"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(!try_from, deny_unknown_fields))]
#[serde(try_from = "Written")]
pub struct CreateSilence {
    /// What it matches.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MOST_MATCHERS)))]
    pub matchers: Vec<Matcher>,
    /// How many minutes from now on; at most 30 days.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = LONGEST_SILENCE)))]
    pub minutes: Option<u32>,
    /// Or until when.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub ends_at: Option<OffsetDateTime>,
    /// Why: shown wherever an alert is held by it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = LONGEST_COMMENT)))]
    pub comment: String,
}

/// [`CreateSilence`] as it is written. A form sends the end as its clock shows it and, apart, how far that clock is
/// from UTC (`offset`, such as `+08:00`); its exact end, where one is given, goes before its preset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    matchers: Vec<Matcher>,
    #[serde(default, deserialize_with = "minutes")]
    minutes: Option<u32>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default)]
    offset: Option<String>,
    #[serde(default)]
    comment: String,
}

impl TryFrom<Written> for CreateSilence {
    type Error = time::error::Parse;

    fn try_from(written: Written) -> Result<CreateSilence, time::error::Parse> {
        use time::format_description::well_known::Rfc3339;
        let end = written.ends_at.filter(|end| !end.trim().is_empty());
        let ends_at = match (end, &written.offset) {
            (None, _) => None,
            (Some(end), None) => Some(OffsetDateTime::parse(&end, &Rfc3339)?),
            // `2026-11-25T18:00`, with seconds or without.
            (Some(end), Some(offset)) => {
                let seconds = if end.matches(':').count() < 2 { ":00" } else { "" };
                Some(OffsetDateTime::parse(
                    &format!("{end}{seconds}{offset}"),
                    &Rfc3339,
                )?)
            }
        };
        let exact = written.offset.is_some() && ends_at.is_some();
        Ok(CreateSilence {
            matchers: written.matchers,
            minutes: written.minutes.filter(|_| !exact),
            ends_at,
            comment: written.comment,
        })
    }
}

/// What is known once a silence stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilenceOutcome {
    /// Alertmanager's id.
    pub silence: String,
}

impl Operation for CreateSilence {
    const KIND: &'static str = "silence.create";
    const EXAMPLE: &'static str = r#"{"matchers":[{"label":"region","op":"=","value":"ap-east-1"}],"minutes":30,"comment":"works at the gate"}"#;
    const PERMISSION: Permission = Permission::AlertsSilence;
    const RISK: Risk = Risk::Moderate;
    type Outcome = SilenceOutcome;

    fn target(&self) -> Target {
        Target {
            noun: "silence".into(),
            id: write_matchers(&self.matchers),
            scope: Scope {
                environment: None,
                region: region_of(&self.matchers),
            },
        }
    }
}

/// `silence.expire`: ends silences now. What they held is told again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExpireSilences {
    /// Alertmanager's ids, at most 100, each once.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MOST_SILENCES), extend("uniqueItems" = true)))]
    pub silences: Vec<String>,
    /// The region that all of them are limited to, so that the permission can be checked for it; the handler refuses
    /// a wrong one. Without it the permission is needed everywhere.
    #[serde(default)]
    pub region: Option<RegionId>,
}

impl Operation for ExpireSilences {
    const KIND: &'static str = "silence.expire";
    const EXAMPLE: &'static str =
        r#"{"silences":["5c1f0f0e-2b1c-4c55-9d53-0c3a6f0c2d11"],"region":"ap-east-1"}"#;
    const PERMISSION: Permission = Permission::AlertsSilence;
    const RISK: Risk = Risk::Moderate;
    type Outcome = ();

    fn target(&self) -> Target {
        Target {
            noun: "silence".into(),
            id: self.silences.join(","),
            scope: Scope {
                environment: None,
                region: self.region.clone(),
            },
        }
    }
}

/// Why Alertmanager tells nobody of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// A silence.
    Silence(SilenceView),
    /// Another alert that fires and says it all.
    Alert {
        /// Its fingerprint.
        fingerprint: String,
        /// Its episode, when the reader may see it and it still fires.
        alert: Option<Uuid>,
        /// Its name, likewise.
        name: Option<String>,
    },
    /// A silence that Alertmanager no longer lists.
    Gone {
        /// Its id.
        silence: String,
    },
}

/// `alerts.held_by`: by which silences and alerts an alert is held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AlertHeldBy {
    /// Which episode.
    pub alert: Uuid,
}

impl Query for AlertHeldBy {
    const KIND: &'static str = "alerts.held_by";
    const EXAMPLE: &'static str = r#"{"alert":"0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10"}"#;
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = Vec<HeldBy>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_as_they_are_written() {
        let all = vec![
            Matcher::equal("alertname", "Gateway \"Down\" \\ now, or later"),
            Matcher {
                label: "region".into(),
                op: MatchOp::MatchesNot,
                value: "eu-.*|us-.*".into(),
            },
        ];
        assert_eq!(read_matchers(&write_matchers(&all)), Ok(all));
    }

    #[test]
    fn plain_values_need_no_quotes_and_what_is_not_understood_is_named() {
        assert_eq!(
            read_matchers("{ alertname = A b , x!=\"\" }"),
            Ok(vec![
                Matcher::equal("alertname", "A b"),
                Matcher {
                    label: "x".into(),
                    op: MatchOp::NotEqual,
                    value: String::new()
                }
            ])
        );
        assert_eq!(read_matchers("a=1, b>2"), Err("b>2".into()));
        assert_eq!(read_matchers("a=\"1"), Err("a=\"1".into()));
        assert_eq!(read_matchers("a=\"1\" b=\"2\""), Err("b=\"2\"".into()));
        assert_eq!(read_matchers("区=1"), Err("区=1".into()));
        assert_eq!(read_matchers(" "), Ok(vec![]));
    }

    #[test]
    fn only_an_equality_limits_a_silence_to_a_region() {
        let of = |text: &str| region_of(&read_matchers(text).unwrap_or_default());
        assert_eq!(of("region=eu-west-1"), Some(RegionId::new("eu-west-1")));
        assert_eq!(of("region=~eu-west-1"), None);
        assert_eq!(of("region!=eu-west-1, region=\"\""), None);
    }

    #[test]
    fn a_form_sends_minutes_as_text() {
        let read = |minutes: &str| {
            serde_json::from_str::<CreateSilence>(&format!(r#"{{"matchers":[],"minutes":{minutes}}}"#))
                .map(|c| c.minutes)
                .ok()
        };
        assert_eq!(read("30"), Some(Some(30)));
        assert_eq!(read("\"120\""), Some(Some(120)));
        assert_eq!(read("\"\""), Some(None));
        assert_eq!(read("\"soon\""), None);
    }

    #[test]
    fn a_form_says_the_end_as_its_clock_shows_it() {
        let read = |more: &str| {
            serde_json::from_str::<CreateSilence>(&format!(r#"{{"matchers":[],"comment":"x"{more}}}"#))
                .map(|s| (s.minutes, s.ends_at.map(OffsetDateTime::unix_timestamp)))
        };
        let end = time::macros::datetime!(2026-11-25 10:00 UTC).unix_timestamp();
        let form = r#","minutes":"120","ends_at":"2026-11-25T18:00","offset":"+08:00""#;
        assert_eq!(read(form).ok(), Some((None, Some(end))));
        let preset = r#","minutes":"120","ends_at":"","offset":"+08:00""#;
        assert_eq!(read(preset).ok(), Some((Some(120), None)));
        assert_eq!(
            read(r#","ends_at":"2026-11-25T10:00:00Z""#).ok(),
            Some((None, Some(end)))
        );
        // Both, elsewhere than in a form, are left to the room to refuse.
        let both = r#","minutes":5,"ends_at":"2026-11-25T10:00:00Z""#;
        assert_eq!(read(both).ok(), Some((Some(5), Some(end))));
        assert!(
            read(r#","ends_at":"2026-11-25T18:00""#).is_err(),
            "nobody knows which clock"
        );
        assert!(read(r#","until":"x""#).is_err());
    }
}
