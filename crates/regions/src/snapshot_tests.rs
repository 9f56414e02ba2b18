//! What is remembered from one reading to the next.

use crate::config::{ComponentConfig, RegionsConfig};
use crate::prometheus::Sample;
use crate::snapshot::{Reading, StateChange, Watcher, components, figures_differ, states_differ};
use bagua_model::alerts::AlertCount;
use bagua_model::region::{Environment, RegionId};
use bagua_model::regions::{ComponentId, ComponentView, Health, WorldView};
use bagua_model::supervisor::{ComponentStatus, Desired, ProcessState};
use std::path::PathBuf;
use std::sync::Arc;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const BEGIN: OffsetDateTime = datetime!(2026-01-01 12:00:00 UTC);

fn at(seconds: i64) -> OffsetDateTime {
    BEGIN + Duration::seconds(seconds)
}

fn watcher(socket: bool) -> Watcher {
    let component = |service: &str| ComponentConfig {
        id: ComponentId::new("eu-west-1", service),
        critical: false,
        health_url: None,
    };
    Watcher::new(Arc::new(RegionsConfig {
        environment: Environment::Dev,
        prometheus_url: "http://127.0.0.1:9".into(),
        supervisor_socket: socket.then(|| PathBuf::from("/nowhere")),
        regions: vec![RegionId::new("eu-west-1")],
        components: vec![component("gateway"), component("runner")],
    }))
}

/// Samples of a scrape at `second`: services and whether they were up.
fn scraped(second: i64, services: &[(&str, bool)]) -> Vec<Sample> {
    let sample = |service: &str, key: &str, value: f64| Sample {
        labels: [
            ("region", "eu-west-1"),
            ("component", service),
            ("bagua_figure", key),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        value,
    };
    let mut samples = Vec::new();
    for (service, up) in services {
        samples.push(sample(service, "up", f64::from(u8::from(*up))));
        samples.push(sample(service, "sampled_at", at(second).unix_timestamp() as f64));
        samples.push(sample(service, "component:cpu_percent", second as f64));
    }
    samples
}

fn both_up(second: i64) -> Vec<Sample> {
    scraped(second, &[("gateway", true), ("runner", true)])
}

fn reading(second: i64, prometheus: Option<Vec<Sample>>) -> Reading {
    Reading {
        now: at(second),
        prometheus,
        supervisor: None,
        alerts: Some(vec![]),
    }
}

fn process(service: &str, state: ProcessState, generation: u64, since: i64) -> ComponentStatus {
    ComponentStatus {
        component: format!("eu-west-1/{service}"),
        region: "eu-west-1".into(),
        service: service.into(),
        state,
        desired: if state == ProcessState::Stopped {
            Desired::Stopped
        } else {
            Desired::Running
        },
        pid: (state == ProcessState::Running).then_some(7),
        since: at(since),
        restarts: 0,
        crashes: 0,
        last_exit: None,
        next_start: None,
        port: 1,
        generation,
        critical: false,
        cpu_seconds: None,
        memory_bytes: None,
    }
}

fn gateway(world: &WorldView) -> Option<&ComponentView> {
    components(world).find(|c| c.id.service == "gateway")
}

fn health(world: &WorldView) -> Option<Health> {
    gateway(world).map(|c| c.health)
}

#[test]
fn since_is_when_the_state_changed_and_stays_while_it_does_not() {
    let mut watcher = watcher(false);
    for second in 0..3 {
        watcher.observe(reading(second, Some(both_up(second))));
    }
    let down = |second| Some(scraped(second, &[("gateway", false), ("runner", true)]));
    watcher.observe(reading(3, down(3)));
    let world = watcher.observe(reading(8, down(8)));
    assert_eq!(
        gateway(&world).map(|c| (c.health, c.since)),
        Some((Health::Critical, Some(at(8))))
    );
    let world = watcher.observe(reading(9, down(8)));
    assert_eq!(gateway(&world).and_then(|c| c.since), Some(at(8)));
    let region = &world.regions[0];
    assert_eq!(
        (region.health, region.since),
        (Health::Critical, Some(at(8))),
        "the region's own since follows"
    );
    assert_eq!(region.components[0].id.service, "gateway", "worst first");
    assert_eq!(
        region.figures.cpu_percent,
        Some(8.0),
        "a region's figures are those of its gateway"
    );
}

#[test]
fn the_same_failed_scrape_seen_twice_counts_once() {
    let mut watcher = watcher(false);
    for second in 1..5 {
        let world = watcher.observe(reading(
            second,
            Some(scraped(1, &[("gateway", false), ("runner", true)])),
        ));
        assert_eq!(health(&world), Some(Health::Warning));
    }
}

#[test]
fn a_new_process_does_not_inherit_the_failures_of_the_one_before() {
    let mut watcher = watcher(true);
    let look = |watcher: &mut Watcher, second, up, generation| {
        watcher.observe(Reading {
            supervisor: Some(vec![process("gateway", ProcessState::Running, generation, 0)]),
            ..reading(
                second,
                Some(scraped(second, &[("gateway", up), ("runner", true)])),
            )
        })
    };
    look(&mut watcher, 1, false, 1);
    assert_eq!(health(&look(&mut watcher, 2, false, 1)), Some(Health::Critical));
    assert_ne!(
        health(&look(&mut watcher, 3, false, 2)),
        Some(Health::Critical),
        "one failure of the new process"
    );
    assert_eq!(health(&look(&mut watcher, 8, true, 2)), Some(Health::Healthy));
}

#[test]
fn a_console_that_has_just_started_takes_over_since_and_reports_no_change() {
    let mut watcher = watcher(false);
    let id = ComponentId::new("eu-west-1", "gateway");
    let down = scraped(60, &[("gateway", false), ("runner", true)]);
    watcher.adopt(&[StateChange {
        component: id,
        health: Health::Critical,
        why: None,
        since: at(-600),
    }]);
    let world = watcher.observe(Reading {
        alerts: None,
        ..reading(60, None)
    });
    assert_eq!(
        health(&world),
        Some(Health::Unknown),
        "nothing is known yet, and nothing is claimed"
    );
    assert!(watcher.states(&world).is_empty(), "and nothing is recorded");
    let world = watcher.observe(reading(61, Some(down)));
    assert_eq!(
        gateway(&world).map(|c| (c.health, c.since)),
        Some((Health::Critical, Some(at(-600))))
    );
    assert_eq!(watcher.states(&world).len(), 2);
}

#[test]
fn an_engine_that_never_answers_does_not_hold_up_the_record_for_ever() {
    let mut watcher = watcher(false);
    watcher.observe(reading(0, None));
    let world = watcher.observe(reading(16, None));
    assert!(
        watcher.states(&world).is_empty(),
        "Prometheus may just have begun as well"
    );
    let world = watcher.observe(reading(31, None));
    assert_eq!(health(&world), Some(Health::Unknown));
    assert_eq!(watcher.states(&world).len(), 2);
}

#[test]
fn a_component_stopped_on_purpose_shows_as_stopped_and_its_region_as_a_warning() {
    let mut watcher = watcher(true);
    let world = watcher.observe(Reading {
        supervisor: Some(vec![
            process("gateway", ProcessState::Running, 1, 0),
            process("runner", ProcessState::Stopped, 1, 0),
        ]),
        ..reading(1, Some(scraped(1, &[("gateway", true), ("runner", false)])))
    });
    let runner = components(&world)
        .find(|c| c.id.service == "runner")
        .map(|c| c.health);
    assert_eq!(
        (runner, world.regions[0].health),
        (Some(Health::Stopped), Health::Warning)
    );
}

#[test]
fn an_alert_colours_its_component_or_when_it_names_none_its_region() {
    let mut watcher = watcher(false);
    let count = |service: Option<&str>, critical, warning| AlertCount {
        region: Some(RegionId::new("eu-west-1")),
        service: service.map(str::to_owned),
        critical,
        warning,
    };
    let mut look = |second, alerts| {
        watcher.observe(Reading {
            alerts,
            ..reading(second, Some(both_up(second)))
        })
    };
    let world = look(1, Some(vec![count(Some("gateway"), 0, 1)]));
    assert_eq!(
        (health(&world), world.regions[0].health),
        (Some(Health::Warning), Health::Warning)
    );
    let world = look(2, Some(vec![count(None, 1, 0)]));
    assert_eq!(
        (health(&world), world.regions[0].health),
        (Some(Health::Healthy), Health::Critical)
    );
    let world = look(3, None);
    assert_eq!(
        world.regions[0].health,
        Health::Critical,
        "an alert does not end because nobody counts"
    );
    let world = look(4, Some(vec![]));
    assert_eq!(world.regions[0].health, Health::Healthy);
}

#[test]
fn an_old_answer_of_the_supervisor_stops_counting() {
    let mut watcher = watcher(true);
    let stopped = vec![process("runner", ProcessState::Stopped, 1, 0)];
    let up = |second| Some(scraped(second, &[("gateway", true), ("runner", false)]));
    watcher.observe(Reading {
        supervisor: Some(stopped),
        ..reading(1, up(1))
    });
    let runner = |world: &WorldView| {
        components(world)
            .find(|c| c.id.service == "runner")
            .map(|c| c.health)
    };
    assert_eq!(
        runner(&watcher.observe(reading(10, up(10)))),
        Some(Health::Stopped)
    );
    assert_eq!(
        runner(&watcher.observe(reading(20, up(20)))),
        Some(Health::Critical)
    );
}

#[test]
fn screens_are_woken_by_what_they_show() {
    let mut watcher = watcher(false);
    let one = watcher.observe(reading(1, Some(both_up(1))));
    let mut later = one.clone();
    later.at += Duration::seconds(1);
    assert!(
        !states_differ(&one, &later) && !figures_differ(&one, &later),
        "time alone is no news"
    );
    let two = watcher.observe(reading(2, Some(both_up(2))));
    assert!(figures_differ(&one, &two) && !states_differ(&one, &two));
    let three = watcher.observe(reading(
        3,
        Some(scraped(3, &[("gateway", false), ("runner", true)])),
    ));
    assert!(states_differ(&two, &three));
}
