//! API tokens: what a program that acts for a person carries, and what it is limited to.
//!
//! A token looks like `bagua_<id>_<secret>`: the id is 12 hexadecimal digits, the secret 64. The id is the beginning of
//! the secret's SHA-256, so it names the token in lists, lets a scanner recognise one that leaked into a repository,
//! and tells a mistyped token from a real one without asking anybody.

use crate::access::{Permission, Role, named};
use crate::region::Scope;
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// What every token begins with.
pub const TOKEN_PREFIX: &str = "bagua_";
/// Digits of a token's id.
pub const TOKEN_ID_LENGTH: usize = 12;
/// A token lives this many days when nothing else is said.
pub const TOKEN_DAYS: u32 = 90;
/// No token lives longer.
pub const TOKEN_DAYS_MOST: u32 = 365;

named! {
    /// How much of what its owner may do a token may do.
    TokenAccess {
        /// Everything that its owner may, but for breaking the glass.
        Everything = "everything",
        /// Ask and plan; submit nothing.
        ReadOnly = "read-only",
        /// Only what needs one of the listed permissions.
        Listed = "listed",
    }
}

impl Default for TokenAccess {
    /// The narrow one: who wants more says so.
    fn default() -> TokenAccess {
        TokenAccess::ReadOnly
    }
}

/// What a token is limited to. It gives nothing: what a token may do is what its owner may do at the moment of the call,
/// and of that only what this allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TokenLimit {
    /// At most what this role carries.
    pub role: Option<Role>,
    /// How much.
    pub access: TokenAccess,
    /// The permissions of [`TokenAccess::Listed`].
    pub permissions: Vec<Permission>,
    /// At most here.
    pub scope: Scope,
}

impl TokenLimit {
    /// Whether the permission can be used at all through the token. Breaking the glass never can: that is for a person
    /// in front of a screen who reads what they do.
    pub fn allows(&self, permission: Permission) -> bool {
        permission != Permission::OperationsBreakGlass
            && self.role.is_none_or(|role| role.allows(permission))
            && (self.access != TokenAccess::Listed || self.permissions.contains(&permission))
    }

    /// Whether the token may submit operations.
    pub fn may_submit(&self) -> bool {
        self.access != TokenAccess::ReadOnly
    }

    /// Whether everything that `other` lets through is let through here too.
    pub fn covers(&self, other: &TokenLimit) -> bool {
        let submits = self.may_submit() || !other.may_submit();
        submits
            && self.scope.covers(&other.scope)
            && Permission::ALL
                .iter()
                .all(|permission| !other.allows(*permission) || self.allows(*permission))
    }
}

named! {
    /// Where a token is in its life.
    TokenState {
        /// It opens what it is limited to.
        Active = "active",
        /// Its time is over.
        Expired = "expired",
        /// Somebody ended it.
        Revoked = "revoked",
    }
}

/// A token in a list. Nothing here opens anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenView {
    /// Id, the part between `bagua_` and the secret.
    pub token: String,
    /// What its owner calls it.
    pub name: String,
    /// Whose.
    pub person: Uuid,
    /// The owner's shown name.
    pub owner: String,
    /// What it is limited to.
    pub limit: TokenLimit,
    /// Where it is in its life.
    pub state: TokenState,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub created_at: OffsetDateTime,
    /// The token through which it was made, if it was.
    pub created_through: Option<String>,
    /// When it lapses.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires_at: OffsetDateTime,
    /// Last use, to within a minute.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub last_used_at: Option<OffsetDateTime>,
    /// The network address of the last use.
    pub last_used_from: Option<String>,
    /// When it was revoked.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub revoked_at: Option<OffsetDateTime>,
    /// By whom.
    pub revoked_by: Option<String>,
}

/// `tokens.list`: newest first, those that ended more than 30 days ago left out. One's own, or with `people.read` those
/// of another person or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ListTokens {
    /// Whose; one's own when absent.
    pub person: Option<Uuid>,
    /// Everybody's.
    pub all: bool,
}

impl Query for ListTokens {
    const KIND: &'static str = "tokens.list";
    const PERMISSION: Permission = Permission::TokensOwn;
    type Answer = Vec<TokenView>;
}

fn token_target(token: &str) -> Target {
    Target {
        noun: "token".into(),
        id: token.into(),
        scope: Scope::ANY,
    }
}

/// `token.create`: a token of one's own.
///
/// The secret is made by the submitter, who keeps it: the operation carries only its SHA-256, so that neither
/// operations nor the audit log nor any log file ever hold what opens something. A plan needs no hash yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it is for, in the owner's words.
    pub name: String,
    /// At most what this role carries; as the owner when absent.
    #[serde(default)]
    pub role: Option<Role>,
    /// How much.
    #[serde(default)]
    pub access: TokenAccess,
    /// The permissions of [`TokenAccess::Listed`].
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// At most here.
    #[serde(default)]
    pub scope: Scope,
    /// How many days it lives.
    #[serde(default = "usual_days")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = TOKEN_DAYS_MOST)))]
    pub days: u32,
    /// SHA-256 of the secret's text (the 64 hexadecimal digits after the id), in hex.
    #[serde(default)]
    pub token_hash: String,
}

const fn usual_days() -> u32 {
    TOKEN_DAYS
}

impl CreateToken {
    /// The token's id, as its hash gives it.
    pub fn id(&self) -> &str {
        self.token_hash.get(..TOKEN_ID_LENGTH).unwrap_or_default()
    }

    /// What it is limited to.
    pub fn limit(&self) -> TokenLimit {
        TokenLimit {
            role: self.role,
            access: self.access,
            permissions: self.permissions.clone(),
            scope: self.scope.clone(),
        }
    }
}

impl Operation for CreateToken {
    const KIND: &'static str = "token.create";
    const EXAMPLE: &'static str = r#"{"name":"nightly report","access":"read-only","days":90,"token_hash":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}"#;
    const PERMISSION: Permission = Permission::TokensOwn;
    const RISK: Risk = Risk::Moderate;
    /// The token's id.
    type Outcome = String;

    fn target(&self) -> Target {
        token_target(self.id())
    }

    /// Two tokens have nothing to do with each other.
    fn concurrency_key(&self) -> Option<String> {
        None
    }
}

/// `token.revoke`: ends a token and every token that was made through it; one's own, or with `people.manage` another
/// person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    /// Its id.
    pub token: String,
}

impl Operation for RevokeToken {
    const KIND: &'static str = "token.revoke";
    const EXAMPLE: &'static str = r#"{"token":"cdcdcdcdcdcd"}"#;
    const PERMISSION: Permission = Permission::TokensOwn;
    const RISK: Risk = Risk::Moderate;
    /// How many ended.
    type Outcome = u64;

    fn target(&self) -> Target {
        token_target(&self.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::RegionId;

    fn limit(access: TokenAccess) -> TokenLimit {
        TokenLimit {
            access,
            ..TokenLimit::default()
        }
    }

    #[test]
    fn no_token_breaks_the_glass() {
        let everything = limit(TokenAccess::Everything);
        for permission in Permission::ALL {
            let may = everything.allows(*permission);
            assert_eq!(
                may,
                *permission != Permission::OperationsBreakGlass,
                "{permission}"
            );
        }
    }

    #[test]
    fn a_limit_covers_only_what_is_as_narrow() {
        let everything = limit(TokenAccess::Everything);
        let reads = limit(TokenAccess::ReadOnly);
        let operator = TokenLimit {
            role: Some(Role::Operator),
            ..everything.clone()
        };
        let viewer = TokenLimit {
            role: Some(Role::Viewer),
            ..everything.clone()
        };
        let listed = TokenLimit {
            permissions: vec![Permission::AlertsRead, Permission::TokensOwn],
            ..limit(TokenAccess::Listed)
        };
        let dublin = TokenLimit {
            scope: Scope {
                environment: None,
                region: Some(RegionId::new("eu-west-1")),
            },
            ..everything.clone()
        };
        for narrow in [&everything, &reads, &operator, &viewer, &listed, &dublin] {
            assert!(everything.covers(narrow));
            assert!(narrow.covers(narrow));
        }
        assert!(!reads.covers(&everything), "reading is not submitting");
        assert!(operator.covers(&viewer) && !viewer.covers(&operator));
        assert!(!listed.covers(&viewer) && viewer.covers(&listed));
        assert!(!dublin.covers(&viewer), "one region is not all");
        assert!(!dublin.covers(&everything));
    }
}
