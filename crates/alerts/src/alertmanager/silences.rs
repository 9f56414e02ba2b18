//! Silences on the wire.

use bagua_model::silences::{MatchOp, Matcher, SilenceState};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiMatcher {
    name: String,
    value: String,
    #[serde(rename = "isRegex")]
    is_regex: bool,
    /// Left out by old Alertmanagers, which know no negation.
    #[serde(rename = "isEqual", default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl From<&Matcher> for ApiMatcher {
    fn from(matcher: &Matcher) -> ApiMatcher {
        ApiMatcher {
            name: matcher.label.clone(),
            value: matcher.value.clone(),
            is_regex: matches!(matcher.op, MatchOp::Matches | MatchOp::MatchesNot),
            is_equal: matches!(matcher.op, MatchOp::Equal | MatchOp::Matches),
        }
    }
}

impl From<ApiMatcher> for Matcher {
    fn from(api: ApiMatcher) -> Matcher {
        Matcher {
            label: api.name,
            op: match (api.is_regex, api.is_equal) {
                (false, true) => MatchOp::Equal,
                (false, false) => MatchOp::NotEqual,
                (true, true) => MatchOp::Matches,
                (true, false) => MatchOp::MatchesNot,
            },
            value: api.value,
        }
    }
}

/// A silence of `GET /api/v2/silences`.
#[derive(Clone, Debug, Deserialize)]
pub struct ApiSilence {
    /// Its id.
    pub id: String,
    status: ApiStatus,
    /// What it matches.
    pub matchers: Vec<ApiMatcher>,
    /// Who made it.
    #[serde(rename = "createdBy", default)]
    pub created_by: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
    /// From when.
    #[serde(rename = "startsAt", with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    /// Until when.
    #[serde(rename = "endsAt", with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
}

#[derive(Clone, Debug, Deserialize)]
struct ApiStatus {
    state: SilenceState,
}

impl ApiSilence {
    /// State.
    pub fn state(&self) -> SilenceState {
        self.status.state
    }

    /// What it matches, in our words.
    pub fn matchers(&self) -> Vec<Matcher> {
        self.matchers.iter().cloned().map(Matcher::from).collect()
    }
}

/// A silence as `POST /api/v2/silences` takes it.
#[derive(Clone, Debug, Serialize)]
pub struct NewSilence {
    /// What it matches.
    pub matchers: Vec<ApiMatcher>,
    /// From when.
    #[serde(rename = "startsAt", with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    /// Until when.
    #[serde(rename = "endsAt", with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
    /// Who makes it.
    #[serde(rename = "createdBy")]
    pub created_by: String,
    /// Why.
    pub comment: String,
}
