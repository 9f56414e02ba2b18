//! Who asks or submits, and what that reaches.

use bagua_model::access::{Grant, Permission};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::tokens::TokenLimit;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
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
        /// The API token that acts for them, if it is not they themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<Box<Through>>,
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

/// An API token that acts for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Through {
    /// The token's id; opens nothing.
    pub token: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is limited to.
    pub limit: TokenLimit,
    /// When it lapses.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
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

    /// The API token that acts for the person, if one does.
    pub fn through(&self) -> Option<&Through> {
        match self {
            Actor::Person { through, .. } => through.as_deref(),
            _ => None,
        }
    }

    /// Whose things count as one's own: what they submitted may be seen and stopped wherever it is. A token that is
    /// limited to a place has nothing of its own outside.
    pub fn own(&self) -> Option<Uuid> {
        let limited = self
            .through()
            .is_some_and(|through| through.limit.scope != Scope::ANY);
        self.person().filter(|_| !limited)
    }

    /// Some scope in which the actor holds `permission`.
    pub(crate) fn any_scope(&self, permission: Permission) -> Option<Scope> {
        self.granted(permission).scopes.into_iter().next()
    }

    /// The scopes in which the actor holds `permission`; empty when nowhere. Through a token: where the person holds it
    /// now, and of that only what the token is limited to.
    pub fn granted(&self, permission: Permission) -> Granted {
        let held = self.held(permission);
        match self.through() {
            None => held,
            Some(through) if !through.limit.allows(permission) => Granted { scopes: Vec::new() },
            Some(_) if permission.is_own() => held,
            Some(through) => Granted {
                scopes: held
                    .scopes
                    .iter()
                    .filter_map(|scope| scope.within(&through.limit.scope))
                    .collect(),
            },
        }
    }

    fn held(&self, permission: Permission) -> Granted {
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
    use bagua_model::tokens::TokenAccess;

    fn person(grants: Vec<Grant>) -> Actor {
        Actor::Person {
            id: Uuid::nil(),
            name: "Wei".into(),
            email: "wei@example.org".into(),
            grants,
            through: None,
        }
    }

    fn in_region(role: Role, region: Option<&str>) -> Grant {
        Grant {
            role,
            scope: Scope {
                environment: None,
                region: region.map(RegionId::new),
            },
        }
    }

    fn through(actor: Actor, limit: TokenLimit) -> Actor {
        match actor {
            Actor::Person {
                id,
                name,
                email,
                grants,
                ..
            } => Actor::Person {
                id,
                name,
                email,
                grants,
                through: Some(Box::new(Through {
                    token: "0123456789ab".into(),
                    name: "nightly".into(),
                    limit,
                    expires_at: OffsetDateTime::UNIX_EPOCH,
                })),
            },
            other => other,
        }
    }

    #[test]
    fn a_token_reaches_what_its_owner_reaches_and_its_limit_allows() {
        let operator = person(vec![in_region(Role::Operator, None)]);
        let limit = TokenLimit {
            role: Some(Role::Viewer),
            access: TokenAccess::Everything,
            permissions: vec![],
            scope: in_region(Role::Viewer, Some("eu-west-1")).scope,
        };
        let token = through(operator, limit);
        assert!(token.granted(Permission::ComponentsOperate).is_empty());
        let reads = token.granted(Permission::RegionsRead);
        assert_eq!(
            reads.regions(Environment::Dev),
            Some(vec!["eu-west-1".to_owned()])
        );
        assert!(!reads.reaches(Environment::Dev, None));

        // A wide limit gives nothing that the owner does not have.
        let viewer = person(vec![in_region(Role::Viewer, Some("us-west-2"))]);
        let wide = TokenLimit {
            role: Some(Role::Administrator),
            access: TokenAccess::Everything,
            ..TokenLimit::default()
        };
        let token = through(viewer.clone(), wide.clone());
        assert!(token.granted(Permission::PeopleManage).is_empty());
        assert_eq!(
            token.granted(Permission::AlertsRead),
            viewer.granted(Permission::AlertsRead)
        );
        // Neither meets the other.
        let elsewhere = TokenLimit {
            scope: in_region(Role::Viewer, Some("eu-west-1")).scope,
            ..wide
        };
        assert!(
            through(viewer, elsewhere)
                .granted(Permission::AlertsRead)
                .is_empty()
        );
    }

    #[test]
    fn an_actor_written_down_before_there_were_tokens_is_still_read() {
        let old = r#"{"person":{"id":"00000000-0000-0000-0000-000000000000","name":"Wei","email":"wei@example.org","grants":[]}}"#;
        let actor: Actor = serde_json::from_str(old).unwrap_or_else(|_| Actor::system("unread"));
        assert_eq!(actor, person(vec![]));
        assert_eq!(serde_json::to_string(&actor).unwrap_or_default(), old);
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
