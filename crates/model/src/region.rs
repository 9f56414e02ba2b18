//! Regions and environments: where a thing is.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A deployment stage. One console looks after one environment on one machine, several in a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// One machine.
    Dev,
    /// Mirror of production.
    Staging,
    /// Highly available, everything on.
    Prod,
}

impl Environment {
    /// All stages.
    pub const ALL: [Environment; 3] = [Environment::Dev, Environment::Staging, Environment::Prod];

    /// The name in tables, labels and URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Environment::Dev => "dev",
            Environment::Staging => "staging",
            Environment::Prod => "prod",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Environment::ALL
            .into_iter()
            .find(|e| e.as_str() == s)
            .ok_or_else(|| format!("`{s}` is no environment; use dev, staging or prod"))
    }
}

/// A region's code such as `ap-east-1`, or [`RegionId::GLOBAL`] for what serves all regions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RegionId(String);

impl RegionId {
    /// The pseudo-region of components that serve all regions.
    pub const GLOBAL: &'static str = "global";

    /// Wraps a code. Codes come from configuration, labels and URLs; an unknown one simply matches nothing.
    pub fn new(code: impl Into<String>) -> RegionId {
        RegionId(code.into())
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A region of the platform as shipped. Regions are data: configuration may name others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownRegion {
    /// Code, as the cloud providers write it.
    pub code: &'static str,
    /// Message key of the city or land.
    pub name_key: &'static str,
    /// Message key of the group (Asia-Pacific, Europe, Americas).
    pub group_key: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// The six regions of P-1, in the order of every list and of the ports on one machine.
pub const KNOWN_REGIONS: [KnownRegion; 6] = [
    KnownRegion {
        code: "ap-east-1",
        name_key: "region.ap-east-1",
        group_key: "region.group.apac",
        latitude: 22.32,
        longitude: 114.17,
    },
    KnownRegion {
        code: "ap-southeast-1",
        name_key: "region.ap-southeast-1",
        group_key: "region.group.apac",
        latitude: 1.35,
        longitude: 103.82,
    },
    KnownRegion {
        code: "eu-west-1",
        name_key: "region.eu-west-1",
        group_key: "region.group.europe",
        latitude: 53.35,
        longitude: -6.26,
    },
    KnownRegion {
        code: "eu-central-1",
        name_key: "region.eu-central-1",
        group_key: "region.group.europe",
        latitude: 50.11,
        longitude: 8.68,
    },
    KnownRegion {
        code: "us-east-1",
        name_key: "region.us-east-1",
        group_key: "region.group.americas",
        latitude: 38.95,
        longitude: -77.45,
    },
    KnownRegion {
        code: "us-west-2",
        name_key: "region.us-west-2",
        group_key: "region.group.americas",
        latitude: 45.84,
        longitude: -119.7,
    },
];

/// Where something is: an environment and a region; `None` means "any" in a grant and "not bound to one" in a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Scope {
    /// The environment, or any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// The region, or any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
}

impl Scope {
    /// Everywhere.
    pub const ANY: Scope = Scope {
        environment: None,
        region: None,
    };

    /// One region of one environment.
    pub fn at(environment: Environment, region: RegionId) -> Scope {
        Scope {
            environment: Some(environment),
            region: Some(region),
        }
    }

    /// Whether a grant for `self` reaches `wanted`. A grant for one region does not reach a target that is bound to
    /// no region: what touches all regions needs a grant for all regions.
    pub fn covers(&self, wanted: &Scope) -> bool {
        (self.environment.is_none() || self.environment == wanted.environment)
            && (self.region.is_none() || self.region == wanted.region)
    }

    /// Where both hold; `None` when nowhere.
    pub fn within(&self, other: &Scope) -> Option<Scope> {
        Some(Scope {
            environment: both(self.environment, other.environment)?,
            region: both(self.region.clone(), other.region.clone())?,
        })
    }
}

/// What both name, where either may name nothing; `None` when they name two things.
fn both<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<Option<T>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => Some(one.or(other)),
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.environment, &self.region) {
            (None, None) => f.write_str("*"),
            (Some(e), None) => write!(f, "{e}/*"),
            (None, Some(r)) => write!(f, "*/{r}"),
            (Some(e), Some(r)) => write!(f, "{e}/{r}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_reaches_only_what_it_names() {
        let hong_kong = Scope::at(Environment::Dev, RegionId::new("ap-east-1"));
        let oregon = Scope::at(Environment::Dev, RegionId::new("us-west-2"));
        assert!(Scope::ANY.covers(&hong_kong));
        assert!(Scope::ANY.covers(&Scope::ANY));
        assert!(hong_kong.covers(&hong_kong));
        assert!(!hong_kong.covers(&oregon));
        assert!(
            !hong_kong.covers(&Scope::ANY),
            "one region's grant must not reach all regions"
        );
        let dev = Scope {
            environment: Some(Environment::Dev),
            region: None,
        };
        assert!(dev.covers(&hong_kong));
        assert!(!dev.covers(&Scope::at(Environment::Prod, RegionId::new("ap-east-1"))));

        let everywhere_in_oregon = Scope {
            environment: None,
            region: Some(RegionId::new("us-west-2")),
        };
        assert_eq!(dev.within(&everywhere_in_oregon), Some(oregon.clone()));
        assert_eq!(Scope::ANY.within(&hong_kong), Some(hong_kong.clone()));
        assert_eq!(hong_kong.within(&oregon), None);
    }
}
