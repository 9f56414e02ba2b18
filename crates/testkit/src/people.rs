//! Actors for tests.

use bagua_core::Actor;
use bagua_model::access::{Grant, Role};
use bagua_model::region::{RegionId, Scope};
use uuid::Uuid;

/// A person with one role in one scope. The same name is the same person.
pub fn person(name: &str, role: Role, scope: Scope) -> Actor {
    let mut bytes = [0; 16];
    for (at, byte) in name.bytes().enumerate() {
        bytes[at % 16] ^= byte.wrapping_add(u8::try_from(at % 251).unwrap_or_default());
    }
    Actor::Person {
        id: Uuid::from_bytes(bytes),
        name: name.to_owned(),
        email: format!("{}@example.org", name.to_lowercase()),
        grants: vec![Grant { role, scope }],
        through: None,
    }
}

/// An administrator everywhere.
pub fn administrator(name: &str) -> Actor {
    person(name, Role::Administrator, Scope::ANY)
}

/// An operator everywhere.
pub fn operator(name: &str) -> Actor {
    person(name, Role::Operator, Scope::ANY)
}

/// An operator in one region.
pub fn operator_in(name: &str, region: &str) -> Actor {
    person(
        name,
        Role::Operator,
        Scope {
            environment: None,
            region: Some(RegionId::new(region)),
        },
    )
}

/// A viewer everywhere.
pub fn viewer(name: &str) -> Actor {
    person(name, Role::Viewer, Scope::ANY)
}

/// The console itself.
pub fn system() -> Actor {
    Actor::system("test")
}
