//! Who may do what: roles, permissions, the matrix that joins them, and the views of people and sessions.

use crate::region::Scope;
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name in tables, JSON and message keys.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result { f.write_str(self.as_str()) }
        }

        impl ::std::str::FromStr for $name {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, String> {
                $name::ALL.iter().copied().find(|v| v.as_str() == s).ok_or_else(|| {
                    let known: Vec<_> = $name::ALL.iter().map(|v| v.as_str()).collect();
                    format!("`{s}` is not one of {}", known.join(", "))
                })
            }
        }
    };
}
pub(crate) use named;

named! {
    /// What a person is trusted with. Bound to a [`Scope`] by a [`Grant`].
    Role {
        /// Everything, people and roles included.
        Administrator = "administrator",
        /// Runs the platform: components, alerts, deployments, backups, bots.
        Operator = "operator",
        /// Prepares and carries out people's data requests.
        ComplianceOfficer = "compliance-officer",
        /// The second person for compliance work.
        ComplianceApprover = "compliance-approver",
        /// Reads everything, the audit log included; changes nothing.
        Auditor = "auditor",
        /// Reads the state of the platform.
        Viewer = "viewer",
    }
}

named! {
    /// A right that a query or operation asks for.
    Permission {
        /// See the map, regions, components and their metrics.
        RegionsRead = "regions.read",
        /// Start, stop and restart components.
        ComponentsOperate = "components.operate",
        /// See the alert feed.
        AlertsRead = "alerts.read",
        /// Acknowledge alerts.
        AlertsAcknowledge = "alerts.acknowledge",
        /// Silence alerts in Alertmanager and end silences.
        AlertsSilence = "alerts.silence",
        /// See the bots, their state and their figures; no content.
        BotsView = "bots.view",
        /// Add bots, start, stop and restart them, replace their tokens.
        BotsManage = "bots.manage",
        /// Read what bots receive; each reading is audited.
        BotsContent = "bots.content",
        /// See operations, their steps and results, and the event log.
        OperationsRead = "operations.read",
        /// Cancel operations that others submitted.
        OperationsCancel = "operations.cancel",
        /// Approve or reject operations that wait for a second person.
        OperationsApprove = "operations.approve",
        /// Go on without the second person, with a reason, loudly.
        OperationsBreakGlass = "operations.break-glass",
        /// See schedules.
        SchedulesRead = "schedules.read",
        /// Create, change, pause and delete schedules.
        SchedulesManage = "schedules.manage",
        /// Read the audit log.
        AuditRead = "audit.read",
        /// See people, their roles and sessions.
        PeopleRead = "people.read",
        /// Create people, grant and revoke roles, end sessions.
        PeopleManage = "people.manage",
        /// Read the catalogues of texts for bots and letters.
        LocalizationRead = "localization.read",
        /// Write and remove their texts.
        LocalizationManage = "localization.manage",
        /// See and end one's own sessions.
        SessionsOwn = "sessions.own",
        /// See, make and revoke one's own API tokens.
        TokensOwn = "tokens.own",
        /// Choose one's own time zone, and keep one's own views.
        PreferencesOwn = "preferences.own",
    }
}

impl Permission {
    /// Whether the right is about oneself, and so is bound to no environment or region: a person who is trusted with
    /// one region has one set of sessions, not a set for each region.
    pub const fn is_own(self) -> bool {
        matches!(
            self,
            Permission::SessionsOwn | Permission::TokensOwn | Permission::PreferencesOwn
        )
    }
}

impl Role {
    /// Whether the role carries the permission: the one access matrix of the console. Its text snapshot is
    /// `docs/access-matrix.md`, reviewed with every change.
    pub const fn allows(self, permission: Permission) -> bool {
        use Permission as P;
        if permission.is_own() {
            return true;
        }
        match self {
            Role::Administrator => true,
            Role::Operator => matches!(
                permission,
                P::RegionsRead
                    | P::ComponentsOperate
                    | P::AlertsRead
                    | P::AlertsAcknowledge
                    | P::AlertsSilence
                    | P::BotsView
                    | P::BotsManage
                    | P::OperationsRead
                    | P::OperationsCancel
                    | P::OperationsApprove
                    | P::SchedulesRead
                    | P::SchedulesManage
                    | P::LocalizationRead
                    | P::LocalizationManage
            ),
            Role::ComplianceOfficer | Role::ComplianceApprover => matches!(
                permission,
                P::RegionsRead
                    | P::AlertsRead
                    | P::BotsView
                    | P::BotsContent
                    | P::OperationsRead
                    | P::AuditRead
                    | P::SchedulesRead
                    | P::LocalizationRead
            ),
            Role::Auditor => matches!(
                permission,
                P::RegionsRead
                    | P::AlertsRead
                    | P::BotsView
                    | P::OperationsRead
                    | P::AuditRead
                    | P::SchedulesRead
                    | P::PeopleRead
                    | P::LocalizationRead
            ),
            Role::Viewer => matches!(
                permission,
                P::RegionsRead | P::AlertsRead | P::BotsView | P::OperationsRead | P::LocalizationRead
            ),
        }
    }
}

/// A role in a scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Where it holds.
    #[serde(default)]
    pub scope: Scope,
}

/// The signed-in person as every page knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Me {
    /// The person's id.
    pub person: Uuid,
    /// Shown name.
    pub name: String,
    /// E-mail address, the sign-in name.
    pub email: String,
    /// Roles and scopes.
    pub grants: Vec<Grant>,
}

impl Me {
    /// Whether any grant carries `permission` for `scope`; screens use it to disable with a reason, the server decides.
    pub fn may(&self, permission: Permission, scope: &Scope) -> bool {
        self.grants
            .iter()
            .any(|g| g.role.allows(permission) && (permission.is_own() || g.scope.covers(scope)))
    }

    /// Whether any grant carries `permission` anywhere.
    pub fn may_anywhere(&self, permission: Permission) -> bool {
        self.grants.iter().any(|g| g.role.allows(permission))
    }
}

/// A person in the list of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PersonView {
    /// Id.
    pub person: Uuid,
    /// Shown name.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// Roles and scopes.
    pub grants: Vec<Grant>,
    /// When the person was created.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub created_at: OffsetDateTime,
    /// The last successful sign-in.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub last_sign_in_at: Option<OffsetDateTime>,
    /// Locked out until then, after too many failed sign-ins.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub locked_until: Option<OffsetDateTime>,
    /// Open sessions.
    pub sessions: i64,
    /// When the person was disabled; a disabled person cannot sign in.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub disabled_at: Option<OffsetDateTime>,
    /// Whether the person has set a password; until then only an invitation opens the account.
    #[serde(default)]
    pub has_password: bool,
}

/// `access.people`: everyone with an account, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListPeople {}

impl Query for ListPeople {
    const KIND: &'static str = "access.people";
    const PERMISSION: Permission = Permission::PeopleRead;
    type Answer = Vec<PersonView>;
}

/// A session in a list. Its `session` id is a name, not the cookie: it opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionView {
    /// Id.
    pub session: Uuid,
    /// Whose.
    pub person: Uuid,
    /// When the person signed in.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub created_at: OffsetDateTime,
    /// Last use, to within a few minutes.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub last_seen_at: OffsetDateTime,
    /// When it ends even if it is used.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires_at: OffsetDateTime,
    /// The browser's own words, shortened.
    pub user_agent: String,
    /// Network address at sign-in.
    pub address: String,
}

/// `access.sessions`: open sessions, last used first. One's own, or with `people.read` those of another person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ListSessions {
    /// Whose; one's own when absent.
    pub person: Option<Uuid>,
}

impl Query for ListSessions {
    const KIND: &'static str = "access.sessions";
    const PERMISSION: Permission = Permission::SessionsOwn;
    type Answer = Vec<SessionView>;
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Nobody can administer this console yet: whoever holds the link becomes its first administrator.
    FirstAdmin,
    /// A new person sets name and password.
    Welcome,
    /// A known person sets a new password.
    Reset,
}

/// An open one-time link, as the page behind it shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InvitationView {
    /// What it is for; the page asks for an e-mail address only for the first administrator.
    pub purpose: Purpose,
    /// The person's e-mail address; empty for the first administrator.
    pub email: String,
    /// The person's name so far; empty for the first administrator.
    pub name: String,
    /// When it lapses.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires_at: OffsetDateTime,
}

/// People belong to the console, not to a region: managing them needs the right everywhere.
fn person_target(person: Uuid) -> Target {
    Target {
        noun: "person".into(),
        id: person.to_string(),
        scope: Scope::ANY,
    }
}

/// Characters of an e-mail address.
pub const LONGEST_EMAIL: usize = 254;
/// Characters of a person's shown name.
pub const LONGEST_PERSON: usize = 120;

/// `person.create`: a new person with one role. They cannot sign in before [`InvitePerson`] has given them a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreatePerson {
    /// E-mail address, the sign-in name; capitals do not matter.
    #[cfg_attr(feature = "schema", schemars(length(min = 3, max = LONGEST_EMAIL)))]
    pub email: String,
    /// Shown name; the e-mail address when empty.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = LONGEST_PERSON)))]
    pub name: String,
    /// First role.
    pub role: Role,
    /// Where the role holds.
    #[serde(default)]
    pub scope: Scope,
}

impl Operation for CreatePerson {
    const KIND: &'static str = "person.create";
    const EXAMPLE: &'static str =
        r#"{"email":"wei@example.org","name":"王伟","role":"viewer","scope":{"region":"ap-east-1"}}"#;
    const PERMISSION: Permission = Permission::PeopleManage;
    const RISK: Risk = Risk::Moderate;
    /// The new person's id.
    type Outcome = Uuid;

    fn target(&self) -> Target {
        Target {
            noun: "person".into(),
            id: self.email.trim().to_ascii_lowercase(),
            scope: Scope::ANY,
        }
    }
}

/// `person.invite`: opens a one-time link with which a person sets a password, their first or a new one.
///
/// The link itself is made by the submitter, who keeps it: the operation carries only the SHA-256 of its token, so that
/// nobody who reads operations or the audit log can use it. The person's earlier link lapses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InvitePerson {
    /// Whom.
    pub person: Uuid,
    /// SHA-256 of the token's text (at least 32 random bytes in base64), in hex.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[0-9A-Fa-f]{64}$")))]
    pub token_hash: String,
}

impl Operation for InvitePerson {
    const KIND: &'static str = "person.invite";
    const EXAMPLE: &'static str = r#"{"person":"0190f5f0-1c02-7d11-8a3e-5f1b2c3d4e5f","token_hash":"abababababababababababababababababababababababababababababababab"}"#;
    const PERMISSION: Permission = Permission::PeopleManage;
    const RISK: Risk = Risk::Moderate;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        person_target(self.person)
    }
}

/// `person.grant`: gives a role in a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantRole {
    /// To whom.
    pub person: Uuid,
    /// The role.
    pub role: Role,
    /// Where it holds.
    #[serde(default)]
    pub scope: Scope,
}

impl Operation for GrantRole {
    const KIND: &'static str = "person.grant";
    const EXAMPLE: &'static str =
        r#"{"person":"0190f5f0-1c02-7d11-8a3e-5f1b2c3d4e5f","role":"auditor","scope":{}}"#;
    const PERMISSION: Permission = Permission::PeopleManage;
    const RISK: Risk = Risk::Moderate;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        person_target(self.person)
    }
}

/// `person.revoke`: takes a role in a scope away. The last administrator keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeRole {
    /// From whom.
    pub person: Uuid,
    /// The role.
    pub role: Role,
    /// Where it held.
    #[serde(default)]
    pub scope: Scope,
}

impl Operation for RevokeRole {
    const KIND: &'static str = "person.revoke";
    const EXAMPLE: &'static str =
        r#"{"person":"0190f5f0-1c02-7d11-8a3e-5f1b2c3d4e5f","role":"auditor","scope":{}}"#;
    const PERMISSION: Permission = Permission::PeopleManage;
    const RISK: Risk = Risk::Moderate;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        person_target(self.person)
    }
}

/// `person.disable`: the person cannot sign in any more and every session ends. The last administrator stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DisablePerson {
    /// Whom.
    pub person: Uuid,
}

impl Operation for DisablePerson {
    const KIND: &'static str = "person.disable";
    const EXAMPLE: &'static str = r#"{"person":"0190f5f0-1c02-7d11-8a3e-5f1b2c3d4e5f"}"#;
    const PERMISSION: Permission = Permission::PeopleManage;
    const RISK: Risk = Risk::Moderate;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        person_target(self.person)
    }
}

/// `person.enable`: a disabled person can sign in again, with the roles of before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnablePerson {
    /// Whom.
    pub person: Uuid,
}

impl Operation for EnablePerson {
    const KIND: &'static str = "person.enable";
    const EXAMPLE: &'static str = r#"{"person":"0190f5f0-1c02-7d11-8a3e-5f1b2c3d4e5f"}"#;
    const PERMISSION: Permission = Permission::PeopleManage;
    const RISK: Risk = Risk::Moderate;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        person_target(self.person)
    }
}

/// `session.revoke`: ends one session, one's own, or with `people.manage` another person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeSession {
    /// Which.
    pub session: Uuid,
}

impl Operation for RevokeSession {
    const KIND: &'static str = "session.revoke";
    const EXAMPLE: &'static str = r#"{"session":"0190f5f2-4411-7b0e-a9c8-1d2e3f4a5b6c"}"#;
    const PERMISSION: Permission = Permission::SessionsOwn;
    const RISK: Risk = Risk::Trivial;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        Target {
            noun: "session".into(),
            id: self.session.to_string(),
            scope: Scope::ANY,
        }
    }
}

/// `session.revoke_all`: ends every session of a person, one's own, or with `people.manage` another person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeAllSessions {
    /// Whose.
    pub person: Uuid,
}

impl Operation for RevokeAllSessions {
    const KIND: &'static str = "session.revoke_all";
    const EXAMPLE: &'static str = r#"{"person":"0190f5f0-1c02-7d11-8a3e-5f1b2c3d4e5f"}"#;
    const PERMISSION: Permission = Permission::SessionsOwn;
    const RISK: Risk = Risk::Moderate;
    /// How many ended.
    type Outcome = u64;

    fn target(&self) -> Target {
        person_target(self.person)
    }
}

/// The words of a grant for lists and sentences: the role's message key, prefixed so that a [`Text`] translates it.
pub fn role_argument(role: Role) -> String {
    format!("@role.{role}")
}

/// The words of a permission, prefixed so that a [`Text`] translates them.
pub fn permission_argument(permission: Permission) -> String {
    format!("@permission.{permission}")
}

/// The words of a scope: codes where it names them, a translated noun for everywhere.
pub fn scope_argument(scope: &Scope) -> String {
    if *scope == Scope::ANY {
        "@scope.any".to_owned()
    } else {
        scope.to_string()
    }
}
