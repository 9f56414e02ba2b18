//! What a person likes: the time zone of their screens, and lists that they come back to.

use crate::access::Permission;
use crate::region::Scope;
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// The longest name of a view, characters.
pub const VIEW_NAME_LIMIT: usize = 60;
/// The longest address of a view, bytes.
pub const VIEW_ADDRESS_LIMIT: usize = 2_000;
/// So many views may a person have.
pub const VIEWS_LIMIT: i64 = 50;

/// A person's own preferences, and what can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreferencesView {
    /// The time zone of the screens, by its name in the IANA database.
    pub zone: String,
    /// All zones, by name.
    pub zones: Vec<String>,
}

/// `preferences.get`: one's own preferences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetPreferences {}

impl Query for GetPreferences {
    const KIND: &'static str = "preferences.get";
    const PERMISSION: Permission = Permission::PreferencesOwn;
    type Answer = PreferencesView;
}

/// `preferences.zone`: all times on one's own screens from now on in this zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChooseZone {
    /// Name in the IANA database, `Europe/Berlin`.
    pub zone: String,
}

impl Operation for ChooseZone {
    const KIND: &'static str = "preferences.zone";
    const EXAMPLE: &'static str = r#"{"zone":"Europe/Berlin"}"#;
    const PERMISSION: Permission = Permission::PreferencesOwn;
    const RISK: Risk = Risk::Trivial;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        own("preferences", "zone".to_owned())
    }

    /// The target is everybody's own.
    fn concurrency_key(&self) -> Option<String> {
        None
    }
}

fn own(noun: &str, id: String) -> Target {
    Target {
        noun: noun.to_owned(),
        id,
        scope: Scope::ANY,
    }
}

/// A saved view: a page with its filters, under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SavedView {
    /// Id.
    pub view: Uuid,
    /// The name that its owner gave it.
    pub name: String,
    /// Path and query of a page of this console.
    pub address: String,
    /// When it was saved last.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub saved_at: OffsetDateTime,
}

impl SavedView {
    /// The page that it shows, without the query.
    pub fn page(&self) -> &str {
        self.address.split('?').next().unwrap_or_default()
    }
}

/// `views.list`: one's own saved views, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListViews {}

impl Query for ListViews {
    const KIND: &'static str = "views.list";
    const PERMISSION: Permission = Permission::PreferencesOwn;
    type Answer = Vec<SavedView>;
}

/// `view.save`: saves a page with its filters under a name. One's own view of that name is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SaveView {
    /// Its name, up to 60 characters.
    pub name: String,
    /// Path and query of a page of this console, `/alerts?severity=critical`.
    pub address: String,
}

impl Operation for SaveView {
    const KIND: &'static str = "view.save";
    const EXAMPLE: &'static str = r#"{"name":"critical ones","address":"/alerts?severity=critical"}"#;
    const PERMISSION: Permission = Permission::PreferencesOwn;
    const RISK: Risk = Risk::Trivial;
    /// Its id.
    type Outcome = Uuid;

    fn target(&self) -> Target {
        own("view", self.name.trim().to_owned())
    }

    /// Two people may save views of the same name at the same time.
    fn concurrency_key(&self) -> Option<String> {
        None
    }
}

/// `view.rename`: gives one's own view another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RenameView {
    /// Which.
    pub view: Uuid,
    /// The new name, up to 60 characters.
    pub name: String,
}

impl Operation for RenameView {
    const KIND: &'static str = "view.rename";
    const EXAMPLE: &'static str = r#"{"view":"0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10","name":"ours"}"#;
    const PERMISSION: Permission = Permission::PreferencesOwn;
    const RISK: Risk = Risk::Trivial;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        own("view", self.view.to_string())
    }
}

/// `view.delete`: takes one's own view away. The page that it led to stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteView {
    /// Which.
    pub view: Uuid,
}

impl Operation for DeleteView {
    const KIND: &'static str = "view.delete";
    const EXAMPLE: &'static str = r#"{"view":"0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10"}"#;
    const PERMISSION: Permission = Permission::PreferencesOwn;
    const RISK: Risk = Risk::Trivial;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        own("view", self.view.to_string())
    }
}
