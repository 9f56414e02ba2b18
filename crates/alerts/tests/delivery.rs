//! Who is told: the routing tree as `amtool` walks it, and what is said of real alerts.

mod common;

use anyhow::Context;
use bagua_alerts::routing::Routing;
use bagua_core::Actor;
use bagua_model::alerts::{DeliveryView, GetDelivery};
use bagua_model::text::keys;
use common::db::TestDb;
use common::engines::{Engine, TOKEN, free_port, http};
use common::wire::Hook;
use common::{Bench, alert, push, quick, until};
use std::collections::BTreeMap;
use std::process::Command;
use time::Duration;
use time::format_description::well_known::Rfc3339;

const RECEIVERS: &str =
    "receivers: [{name: default}, {name: a}, {name: b}, {name: c}, {name: d}, {name: e}]\n";

const TREES: [&str; 4] = [
    // Nothing but a root.
    "route: {receiver: default}\n",
    // First match, continue, and children below both.
    "route:
  receiver: default
  group_by: [alertname]
  routes:
  - {receiver: a, matchers: ['severity=\"critical\"', 'region=~\"eu-.*\"'], continue: true}
  - receiver: b
    match: {severity: critical}
    routes:
    - {receiver: c, match_re: {component: 'gate.*|runner'}, continue: true}
    - {receiver: d, matchers: ['region!=\"us-east-1\"']}
  - {receiver: e, matchers: ['severity=~\"critical|warning\"']}
",
    // A route without a receiver has it from above; negation; an absent label is empty.
    "route:
  receiver: default
  routes:
  - matchers: ['component!~\"gateway|runner\"', 'region=\"\"']
    routes:
    - {receiver: a, matchers: ['severity!=\"info\"']}
  - {receiver: b, matchers: ['region=~\".+\"'], continue: true}
  - {receiver: c, continue: true, routes: [{receiver: d, match: {component: gateway}}]}
",
    // Continue on a route whose child takes the alert.
    "route:
  receiver: default
  routes:
  - receiver: a
    continue: true
    routes:
    - {receiver: b, match: {severity: critical}}
    - {receiver: c, match: {region: eu-west-1}}
  - {receiver: d, match: {component: runner}}
",
];

fn label_sets() -> Vec<BTreeMap<String, String>> {
    let mut sets = Vec::new();
    for severity in ["critical", "warning", "info"] {
        for region in ["", "eu-west-1", "us-east-1"] {
            for component in ["", "gateway", "runner", "postgres"] {
                let pairs = [
                    ("severity", severity),
                    ("region", region),
                    ("component", component),
                ];
                let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
                sets.push(set.map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
            }
        }
    }
    sets
}

#[test]
fn routes_are_walked_as_amtool_walks_them() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for tree in TREES {
        let text = format!("{tree}{RECEIVERS}");
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, &text)?;
        let routing = Routing::read(&text)?;
        for labels in label_sets() {
            let mut amtool = Command::new("amtool");
            amtool
                .args(["config", "routes", "test"])
                .arg(format!("--config.file={}", file.display()));
            amtool.args(labels.iter().map(|(name, value)| format!("{name}={value}")));
            let said = amtool
                .output()
                .context("amtool comes with the package prometheus-alertmanager")?;
            anyhow::ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            let theirs = String::from_utf8(said.stdout)?;
            let ours: Vec<_> = routing
                .legs(&labels)
                .into_iter()
                .map(|leg| leg.receiver)
                .collect();
            assert_eq!(ours.join(","), theirs.trim(), "{tree}{labels:?}");
        }
    }
    Ok(())
}

async fn delivery(bench: &Bench) -> anyhow::Result<DeliveryView> {
    let alert = bench.firing().await?.first().map(|v| v.alert).unwrap_or_default();
    Ok(bench
        .console
        .ask(&Actor::system("test"), GetDelivery { alert })
        .await?)
}

fn nobody() -> anyhow::Result<String> {
    Ok(format!("http://127.0.0.1:{}", free_port()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_notification_is_found_again_by_its_group_and_a_silence_comes_first() -> anyhow::Result<()> {
    let (folder, db, hook) = (tempfile::tempdir()?, TestDb::new().await?, Hook::default());
    let url = hook.listen().await?;
    let config = format!(
        "route:
  receiver: nobody
  routes:
  - {{receiver: console, matchers: ['alertname=~\"To.+\"', 'region!=\"\"'], group_by: [alertname, region], group_wait: 50ms, group_interval: 200ms}}
receivers:
- name: nobody
- name: console
  webhook_configs:
  - {{url: '{url}', http_config: {{authorization: {{type: Bearer, credentials: {TOKEN}}}}}}}
"
    );
    let alertmanager = Engine::alertmanager_with(folder.path(), &config).await?;
    let bench = Bench::start(db.pool.clone(), &alertmanager.url, &nobody()?, quick())?;
    hook.goes_to(&bench.room);
    let now = common::now();
    push(&alertmanager.url, &[alert("Told", "eu-west-1", now, None)?]).await?;
    bench.until_firing(&["Told"]).await?;
    // The key that is put together here is the key that Alertmanager wrote into its notification.
    until("the notification is found by its group", || async {
        Ok(delivery(&bench).await?.told)
    })
    .await?;
    let told = delivery(&bench).await?;
    assert_eq!(told.verdict.key, keys::DELIVERY_TOLD);
    assert_eq!(told.legs.len(), 1);
    assert_eq!(
        told.legs[0].key,
        r#"{}/{alertname=~"To.+",region!=""}:{alertname="Told", region="eu-west-1"}"#
    );
    assert_eq!(told.legs[0].integrations[0].kind, "webhook");

    // Another console, which was told nothing and has just begun, answers the same.
    let other = Bench::start(db.pool.clone(), &alertmanager.url, &nobody()?, quick())?;
    other.until_firing(&["Told"]).await?;
    let there = delivery(&other).await?;
    assert_eq!(there.legs[0].received, told.legs[0].received);
    assert!(there.told && there.since <= now, "{there:?}");
    drop(other);

    let silence = serde_json::json!({
        "matchers": [{ "name": "alertname", "value": "Told", "isRegex": false, "isEqual": true }],
        "startsAt": now.format(&Rfc3339)?, "endsAt": (now + Duration::hours(1)).format(&Rfc3339)?,
        "createdBy": "Wei <wei@example.org>", "comment": "works at the gate",
    });
    http()?
        .post(format!("{}/api/v2/silences", alertmanager.url))
        .json(&silence)
        .send()
        .await?
        .error_for_status()?;
    until("the silence is what is said", || async {
        let view = delivery(&bench).await?;
        Ok(!view.told && view.verdict.key == keys::DELIVERY_SILENCED)
    })
    .await?;
    let held = delivery(&bench).await?.verdict.to_string();
    assert!(
        held.contains("Wei silenced it until") && held.contains("works at the gate"),
        "{held}"
    );
    // The feed says it too.
    until("the feed says what holds it", || async {
        let feed = bench.list(bagua_model::alerts::ListAlerts::default()).await?;
        Ok(feed.causes.len() == 1)
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_to_nobody_is_named() -> anyhow::Result<()> {
    let (folder, db) = (tempfile::tempdir()?, TestDb::new().await?);
    let config = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
    let alertmanager = Engine::alertmanager_with(folder.path(), config).await?;
    let bench = Bench::start(db.pool.clone(), &alertmanager.url, &nobody()?, quick())?;
    push(
        &alertmanager.url,
        &[alert("Lonely", "eu-west-1", common::now(), None)?],
    )
    .await?;
    bench.until_firing(&["Lonely"]).await?;
    let view = delivery(&bench).await?;
    assert_eq!(
        (view.told, view.verdict.key.as_str()),
        (false, keys::DELIVERY_NO_RECEIVER)
    );
    assert!(view.legs[0].integrations.is_empty());
    Ok(())
}
