//! Answers from the snapshot; only trends ask Prometheus.

use crate::Room;
use crate::trends::Span;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext, Granted};
use bagua_model::failure::Failure;
use bagua_model::region::{Environment, RegionId};
use bagua_model::regions::{
    ComponentId, ComponentView, GetComponent, GetRegion, GetTrends, GetWorld, RegionView, TrendsView,
    WorldView,
};

/// Whether a region is reached. What is global wants a grant for all regions.
fn reaches(granted: &Granted, environment: Environment, region: &RegionId) -> bool {
    let global = region.as_str() == RegionId::GLOBAL;
    granted.reaches(environment, (!global).then_some(region))
}

/// The part of the world that `granted` reaches.
pub(crate) fn visible(world: &WorldView, granted: &Granted) -> WorldView {
    if granted.everywhere(world.environment) {
        return world.clone();
    }
    WorldView {
        environment: world.environment,
        at: world.at,
        regions: world
            .regions
            .iter()
            .filter(|r| reaches(granted, world.environment, &r.region))
            .cloned()
            .collect(),
        global: None,
    }
}

fn find_region<'w>(
    world: &'w WorldView,
    granted: &Granted,
    region: &RegionId,
) -> Result<&'w RegionView, Failure> {
    world
        .regions
        .iter()
        .chain(&world.global)
        .find(|r| r.region == *region)
        // Said the same way whether it is not there or may not be seen.
        .filter(|r| reaches(granted, world.environment, &r.region))
        .ok_or_else(|| Failure::not_found(region))
}

fn find_component<'w>(
    world: &'w WorldView,
    granted: &Granted,
    id: &ComponentId,
) -> Result<&'w ComponentView, Failure> {
    find_region(world, granted, &id.region)
        .ok()
        .and_then(|region| region.components.iter().find(|c| c.id == *id))
        .ok_or_else(|| Failure::not_found(id))
}

#[async_trait]
impl Answers<GetWorld> for Room {
    async fn answer(&self, cx: &AskContext, _: GetWorld) -> Result<WorldView, Failure> {
        Ok(visible(&self.world.load(), &cx.granted))
    }
}

#[async_trait]
impl Answers<GetRegion> for Room {
    async fn answer(&self, cx: &AskContext, query: GetRegion) -> Result<RegionView, Failure> {
        find_region(&self.world.load(), &cx.granted, &query.region).cloned()
    }
}

#[async_trait]
impl Answers<GetComponent> for Room {
    async fn answer(&self, cx: &AskContext, query: GetComponent) -> Result<ComponentView, Failure> {
        find_component(&self.world.load(), &cx.granted, &query.component).cloned()
    }
}

#[async_trait]
impl Answers<GetTrends> for Room {
    async fn answer(&self, cx: &AskContext, query: GetTrends) -> Result<TrendsView, Failure> {
        find_component(&self.world.load(), &cx.granted, &query.component)?;
        let span = Span::read(query.minutes, query.from, query.until, cx.now)?;
        let trends = self.trends.get(&query.component, span, cx.now).await;
        trends.map(|t| (*t).clone()).map_err(|error| {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                component = %query.component,
                "no trends from Prometheus"
            );
            Failure::unavailable("Prometheus")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ComponentConfig, RegionsConfig};
    use crate::snapshot::{Reading, Watcher};
    use bagua_core::Actor;
    use bagua_model::access::{Grant, Permission, Role};
    use bagua_model::region::Scope;
    use std::sync::Arc;

    fn world() -> WorldView {
        let component = |id: (&str, &str)| ComponentConfig {
            id: ComponentId::new(id.0, id.1),
            critical: false,
            health_url: None,
        };
        let config = RegionsConfig {
            environment: Environment::Dev,
            prometheus_url: "http://127.0.0.1:9".into(),
            supervisor_socket: None,
            regions: vec![RegionId::new("eu-west-1"), RegionId::new("us-west-2")],
            components: [
                ("eu-west-1", "gateway"),
                ("us-west-2", "gateway"),
                ("global", "postgres"),
            ]
            .map(component)
            .to_vec(),
        };
        let now = time::OffsetDateTime::UNIX_EPOCH;
        Watcher::new(Arc::new(config)).observe(Reading {
            now,
            prometheus: None,
            supervisor: None,
            alerts: None,
        })
    }

    fn granted(scope: Scope) -> Granted {
        Actor::Person {
            id: uuid::Uuid::nil(),
            name: "Wei".into(),
            email: "wei@example.org".into(),
            grants: vec![Grant {
                role: Role::Viewer,
                scope,
            }],
            through: None,
        }
        .granted(Permission::RegionsRead)
    }

    #[test]
    fn a_grant_for_one_region_shows_that_region_and_nothing_global() {
        let world = world();
        let one = granted(Scope {
            environment: None,
            region: Some(RegionId::new("eu-west-1")),
        });
        let seen = visible(&world, &one);
        assert_eq!(
            seen.regions.iter().map(|r| r.region.as_str()).collect::<Vec<_>>(),
            ["eu-west-1"]
        );
        assert!(seen.global.is_none());
        for hidden in ["us-west-2/gateway", "global/postgres"] {
            let (region, service) = hidden.split_once('/').unwrap_or_default();
            assert!(
                find_component(&world, &one, &ComponentId::new(region, service)).is_err(),
                "{hidden}"
            );
        }
        assert!(find_component(&world, &one, &ComponentId::new("eu-west-1", "gateway")).is_ok());
    }

    #[test]
    fn a_grant_for_all_regions_shows_everything_and_another_environments_nothing() {
        let world = world();
        assert_eq!(visible(&world, &granted(Scope::ANY)), world);
        let elsewhere = granted(Scope {
            environment: Some(Environment::Prod),
            region: None,
        });
        let seen = visible(&world, &elsewhere);
        assert!(seen.regions.is_empty() && seen.global.is_none());
    }
}
