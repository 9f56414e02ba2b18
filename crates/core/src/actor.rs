//! Who asks or submits, and what that reaches.

use bagua_model::access::{Grant, Permission};
use bagua_model::region::{Environment, RegionId, Scope};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who acts. Carried through every ask and submit and written into every audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A signed-in person.
    Person {
        /// Id in the table of people.
        id: Uuid,
        /// Shown name.
        name: String,
        /// E-mail address.
        email: String,
        /// Roles and scopes as they are now.
        grants: Vec<Grant>,
    },
    /// The console itself or its owner at the machine's own command line (`cli:root`), with every permission.
    System {
        /// Which part.
        name: String,
    },
    /// A schedule, with every permission that its creator's operation kind asked for when it was created.
    Schedule {
        /// The schedule's name.
        name: String,
    },
}

impl Actor {
    /// The part of the console that acts.
    pub fn system(name: impl Into<String>) -> Actor {
        Actor::System { name: name.into() }
    }

    /// The name for lists and the audit log.
    pub fn label(&self) -> String {
        match self {
            Actor::Person { name, email, .. } if name == email || name.is_empty() => email.clone(),
            Actor::Person { name, email, .. } => format!("{name} <{email}>"),
            Actor::System { name } => name.clone(),
            Actor::Schedule { name } => format!("schedule: {name}"),
        }
    }

    /// The person's id, if it is a person.
    pub fn person(&self) -> Option<Uuid> {
        match self {
            Actor::Person { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// Some scope in which the actor holds `permission`.
    pub(crate) fn any_scope(&self, permission: Permission) -> Option<Scope> {
        self.granted(permission).scopes.into_iter().next()
    }

    /// The scopes in which the actor holds `permission`; empty when nowhere.
    pub fn granted(&self, permission: Permission) -> Granted {
        match self {
            // A right about oneself is bound to no place: one's sessions are not divided by region.
            Actor::Person { .. } if permission.is_own() => Granted {
                scopes: vec![Scope::ANY],
            },
            Actor::Person { grants, .. } => Granted {
                scopes: grants
                    .iter()
                    .filter(|g| g.role.allows(permission))
                    .map(|g| g.scope.clone())
                    .collect(),
            },
            Actor::System { .. } | Actor::Schedule { .. } => Granted {
                scopes: vec![Scope::ANY],
            },
        }
    }
}

/// The scopes that were granted for one permission. Goes into the WHERE clause of every list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    scopes: Vec<Scope>,
}

impl Granted {
    /// Whether nothing was granted.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Whether one scope is reached.
    pub fn covers(&self, scope: &Scope) -> bool {
        self.scopes.iter().any(|s| s.covers(scope))
    }

    /// The region codes that are reached in `environment`: `None` means every region, and what is bound to no region.
    /// For SQL: `($1::text[] IS NULL OR region = ANY($1))`.
    pub fn regions(&self, environment: Environment) -> Option<Vec<String>> {
        let here: Vec<_> = self
            .scopes
            .iter()
            .filter(|s| s.environment.is_none_or(|e| e == environment))
            .collect();
        if here.iter().any(|s| s.region.is_none()) {
            return None;
        }
        Some(
            here.iter()
                .filter_map(|s| s.region.as_ref().map(|r| r.as_str().to_owned()))
                .collect(),
        )
    }

    /// Whether every region is reached in `environment`, and what is bound to none.
    pub fn everywhere(&self, environment: Environment) -> bool {
        self.reaches(environment, None)
    }

    /// Whether a region is reached in `environment`.
    pub fn reaches(&self, environment: Environment, region: Option<&RegionId>) -> bool {
        self.covers(&Scope {
            environment: Some(environment),
            region: region.cloned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::access::Role;

    fn person(grants: Vec<Grant>) -> Actor {
        Actor::Person {
            id: Uuid::nil(),
            name: "Wei".into(),
            email: "wei@example.org".into(),
            grants,
        }
    }

    #[test]
    fn a_grant_in_one_region_filters_lists_to_that_region() {
        let actor = person(vec![Grant {
            role: Role::Viewer,
            scope: Scope {
                environment: None,
                region: Some(RegionId::new("eu-west-1")),
            },
        }]);
        let granted = actor.granted(Permission::RegionsRead);
        assert_eq!(
            granted.regions(Environment::Dev),
            Some(vec!["eu-west-1".to_owned()])
        );
        assert!(!granted.reaches(Environment::Dev, None));
        assert!(actor.granted(Permission::ComponentsOperate).is_empty());
    }

    #[test]
    fn a_grant_in_another_environment_reaches_nothing_here() {
        let actor = person(vec![Grant {
            role: Role::Administrator,
            scope: Scope {
                environment: Some(Environment::Prod),
                region: None,
            },
        }]);
        assert_eq!(
            actor.granted(Permission::RegionsRead).regions(Environment::Dev),
            Some(vec![])
        );
    }
}
