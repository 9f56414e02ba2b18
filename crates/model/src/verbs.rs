//! The two verbs: a [`Query`] is asked, an [`Operation`] is submitted. There is no third way in.

use crate::access::Permission;
use crate::region::Scope;
use crate::schema::Described;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A typed question with a typed answer.
pub trait Query: Clone + Serialize + DeserializeOwned + Described + Send + Sync + 'static {
    /// The stable name, `<room>.<noun>`.
    const KIND: &'static str;
    /// The right that the asker needs.
    const PERMISSION: Permission;
    /// Whether the answer holds people's personal data, so that the read itself is audited.
    const PERSONAL_DATA: bool = false;
    /// An input as somebody may send it, in JSON: for the reference and for tests.
    const EXAMPLE: &'static str = "{}";
    /// The answer.
    type Answer: Serialize + DeserializeOwned + Described + Send + 'static;

    /// The one scope that the question is about, or `None` when it spans scopes: then the asker needs the right
    /// somewhere, and the answer holds only what the granted scopes reach.
    fn scope(&self) -> Option<Scope> {
        None
    }
}

/// How much can go wrong; friction on the screen grows with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// No plan page: an acknowledgement, a note.
    Trivial,
    /// A plan and a click: a restart.
    Moderate,
    /// The target's name is typed: a fail-over.
    High,
    /// A second person approves: an erasure.
    Critical,
}

/// What an operation acts on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Target {
    /// The field's noun: `component`, `alert`, `person`.
    pub noun: String,
    /// The thing's id, as it stands in its URL.
    pub id: String,
    /// Where it is.
    pub scope: Scope,
}

/// A typed wish to change something.
pub trait Operation: Clone + Serialize + DeserializeOwned + Described + Send + Sync + 'static {
    /// The stable name, `<noun>.<verb>`.
    const KIND: &'static str;
    /// The right that the submitter needs in the target's scope.
    const PERMISSION: Permission;
    /// How much can go wrong. A plan may ask for a second person below `Critical` too.
    const RISK: Risk;
    /// Cooling-off in seconds: so long after its submission it does not start, even when it is approved. An approval
    /// lives that long plus 72 hours.
    const COOLING_OFF: u32 = 0;
    /// Whether an input may carry a secret. Its room then conceals the input before anything is made of it, and no
    /// schedule may hold one: a schedule keeps the input as it was typed.
    const SECRET: bool = false;
    /// An input as somebody may send it, in JSON: for the reference and for tests.
    const EXAMPLE: &'static str = "{}";
    /// What is known when it has succeeded.
    type Outcome: Serialize + DeserializeOwned + Described + Send + 'static;

    /// What it acts on.
    fn target(&self) -> Target;

    /// Two operations with the same key never run at the same time; `None` lets any number run.
    fn concurrency_key(&self) -> Option<String> {
        let target = self.target();
        Some(format!("{}:{}", target.noun, target.id))
    }
}
