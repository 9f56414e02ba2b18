//! One representative input for every kind: its declaration's example, or here one about what is there to be acted on.

use crate::support::{Ground, House, Somebody, WEBHOOK_TOKEN, notification};
use anyhow::Context as _;
use bagua_access::new_token;
use bagua_core::{Actor, Console};
use bagua_model::access::{CreatePerson, DisablePerson, ListPeople, ListSessions, Role};
use bagua_model::alerts::{AcknowledgeAlert, ListAlerts, Severity};
use bagua_model::localization::{REFERENCE, ReadCatalogue, WriteMessage};
use bagua_model::operation::{CreateSchedule, OperationId, Submission};
use bagua_model::preferences::{ListViews, SaveView};
use bagua_model::region::{RegionId, Scope};
use bagua_model::regions::{RestartComponent, StopComponent};
use bagua_model::supervisor::{Action, ControlRequest};
use bagua_model::tokens::{CreateToken, ListTokens, TokenAccess, TokenState};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What there is in one region, to be asked for and acted on.
pub struct Seed {
    pub region: &'static str,
    pub alert: Uuid,
    /// Somebody has this one.
    pub acknowledged: Uuid,
    pub schedule: String,
    /// Waits for a second person.
    pub waiting: OperationId,
    /// Nothing has been decided about it; queued until workers run.
    pub queued: OperationId,
    /// A person with one role, and one who has been disabled.
    pub person: Uuid,
    pub disabled: Uuid,
}

fn component(region: &str, service: &str) -> String {
    format!("{region}/{service}")
}

/// Puts something of everything into a region. No worker needs to run for it.
pub async fn plant(ground: &Ground, house: &House, region: &'static str) -> anyhow::Result<Seed> {
    let (console, seeder) = (&house.parts.console, Actor::system("cli:seed"));
    let authorization = format!("Bearer {WEBHOOK_TOKEN}");
    let mut alerts = Vec::new();
    for name in ["GatewayDown", "GatewaySlow"] {
        let body = notification(name, region);
        house
            .parts
            .alerts
            .webhook(body.as_bytes(), Some(&authorization))
            .await?;
        let alert: Uuid = sqlx::query_scalar("SELECT id FROM alerts WHERE region = $1 AND name = $2")
            .bind(region)
            .bind(name)
            .fetch_one(&ground.db.owner)
            .await?;
        alerts.push(alert);
    }
    let (alert, acknowledged) = (alerts[0], alerts[1]);
    let take = AcknowledgeAlert {
        alert: acknowledged,
        region: Some(RegionId::new(region)),
        note: String::new(),
        minutes: None,
    };
    console.submit(&seeder, take, Submission::default()).await?;

    // Behind the console's back, so that there is something to start.
    let wish = ControlRequest {
        request: Uuid::new_v4(),
        expect_generation: None,
        no_wait: false,
    };
    let stopped = ground
        .supervisor
        .control(&component(region, "runner"), Action::Stop, &wish)
        .await;
    anyhow::ensure!(stopped.is_ok(), "the runner did not stop: {stopped:?}");

    let schedule = CreateSchedule {
        name: format!("nightly {region}"),
        cron: "0 3 * * *".into(),
        kind: "component.restart".into(),
        input: json!({ "component": component(region, "gateway") }),
    };
    let name = schedule.name.clone();
    console.submit(&seeder, schedule, Submission::default()).await?;
    let id = |service: &str| component(region, service).parse().map_err(anyhow::Error::msg);
    let stop = StopComponent {
        component: id("prometheus")?,
    };
    let waiting = console
        .submit(&seeder, stop, Submission::default())
        .await?
        .operation;
    let restart = RestartComponent {
        component: id("gateway")?,
    };
    let queued = console
        .submit(&seeder, restart, Submission::default())
        .await?
        .operation;

    let mut people = Vec::new();
    for name in ["kept", "gone"] {
        let email = format!("{name}.{region}@example.org");
        let scope = Scope {
            environment: None,
            region: Some(RegionId::new(region)),
        };
        let create = CreatePerson {
            email: email.clone(),
            name: String::new(),
            role: Role::Viewer,
            scope,
        };
        console.submit(&seeder, create, Submission::default()).await?;
        let all = console.ask(&seeder, ListPeople {}).await?;
        people.push(
            all.into_iter()
                .find(|p| p.email == email)
                .context("a person was created")?
                .person,
        );
    }
    let (person, disabled) = (people[0], people[1]);
    console
        .submit(&seeder, DisablePerson { person: disabled }, Submission::default())
        .await?;
    texts(console, &seeder, region).await?;
    Ok(Seed {
        region,
        alert,
        acknowledged,
        schedule: name,
        waiting,
        queued,
        person,
        disabled,
    })
}

/// English texts for every region, and one of this region's own.
async fn texts(console: &Console, seeder: &Actor, region: &str) -> anyhow::Result<()> {
    let read = ReadCatalogue {
        language: REFERENCE.into(),
        region: None,
        wanting: false,
    };
    let write = |key: &str, region: Option<&str>| WriteMessage {
        language: REFERENCE.into(),
        region: region.map(RegionId::new),
        key: key.into(),
        text: "Your order {number} is here.".into(),
        version: 0,
    };
    if console.ask(seeder, read).await?.is_empty() {
        for key in ["order.here", "order.there"] {
            console
                .submit(seeder, write(key, None), Submission::default())
                .await?;
        }
    }
    console
        .submit(seeder, write("order.there", Some(region)), Submission::default())
        .await?;
    Ok(())
}

/// The id of a token of one's own, made when there is none.
async fn token_of(house: &House, me: &Somebody) -> anyhow::Result<String> {
    let console = &house.parts.console;
    let mine = console.ask(&me.actor, ListTokens::default()).await?;
    if let Some(token) = mine.into_iter().find(|token| token.state == TokenState::Active) {
        return Ok(token.token);
    }
    let create = CreateToken {
        name: "watch".into(),
        role: None,
        access: TokenAccess::ReadOnly,
        permissions: vec![],
        scope: Scope::ANY,
        days: 1,
        token_hash: new_token()?.hash_hex(),
    };
    let id = create.id().to_owned();
    console.submit(&me.actor, create, Submission::default()).await?;
    Ok(id)
}

/// Every kind with its input: about the seed's region, and about oneself where a kind is about oneself.
pub async fn inputs(
    house: &House,
    seed: &Seed,
    me: &Somebody,
) -> anyhow::Result<BTreeMap<&'static str, Value>> {
    let mine = house
        .parts
        .console
        .ask(&me.actor, ListSessions::default())
        .await?;
    let token = token_of(house, me).await?;
    let session = mine.first().context("whoever asks has a session")?.session;
    let mine = SaveView {
        name: "mine".into(),
        address: "/alerts?severity=critical".into(),
    };
    let console = &house.parts.console;
    let mut views = console.ask(&me.actor, ListViews {}).await?;
    // Once: what each call did would crowd the lists that are asked for.
    if views.is_empty() {
        for name in ["mine", "to be deleted"] {
            let name = name.to_owned();
            let save = SaveView { name, ..mine.clone() };
            console.submit(&me.actor, save, Submission::default()).await?;
        }
        views = console.ask(&me.actor, ListViews {}).await?;
    }
    let view = |name: &str| {
        let view = views.iter().find(|view| view.name == name);
        view.map(|view| view.view).context("whoever asks has two views")
    };
    let (renamed, deleted) = (view("mine")?, view("to be deleted")?);
    let region = seed.region;
    let gateway = json!({ "component": component(region, "gateway") });
    let role = json!({ "person": seed.person, "role": "viewer", "scope": { "region": region } });
    let all = ListAlerts {
        severities: vec![Severity::Critical],
        ..ListAlerts::default()
    };
    let about_the_seed = [
        // Without the filters that their examples show.
        ("audit.list", json!({})),
        ("operations.list", json!({})),
        (
            "alert.acknowledge",
            json!({ "alert": seed.alert, "region": region, "note": "mine" }),
        ),
        (
            "alerts.acknowledge",
            json!({ "alerts": [seed.alert], "region": region, "note": "ours", "minutes": 30 }),
        ),
        ("alerts.groups", json!({ "by": "region" })),
        ("alerts.delivery", json!({ "alert": seed.alert })),
        (
            "alert.unacknowledge",
            json!({ "alert": seed.acknowledged, "region": region }),
        ),
        ("alerts.get", json!({ "alert": seed.alert })),
        ("alerts.held_by", json!({ "alert": seed.alert })),
        ("silences.cover", json!({ "alerts": [seed.alert] })),
        (
            "silences.preview",
            json!({ "matchers": [{ "label": "region", "op": "=", "value": region }] }),
        ),
        (
            "silence.create",
            json!({
                "matchers": [{ "label": "region", "op": "=", "value": region }],
                "minutes": 30, "comment": "works at the gate",
            }),
        ),
        // Nobody has made it.
        (
            "silence.expire",
            json!({ "silences": [seed.alert], "region": region }),
        ),
        ("alerts.history", json!({ "alert": seed.alert })),
        ("alerts.list", serde_json::to_value(all)?),
        // The cells are away, so there need be no such bot.
        (
            "bot.add",
            json!({ "region": region, "server": "telegram", "token": format!("700000001:{}", "x".repeat(35)) }),
        ),
        ("bot.start", json!({ "bot": 700_000_001, "region": region })),
        (
            "bots.change",
            json!({ "action": "stop", "bots": [700_000_001], "region": region }),
        ),
        (
            "bot.configure",
            json!({ "bot": 700_000_001, "region": region, "mode": "polling" }),
        ),
        (
            "bot.move",
            json!({ "bot": 700_000_001, "region": region, "home": region }),
        ),
        (
            "bots.tune",
            json!({ "region": region, "tuning": { "calls": 17 } }),
        ),
        (
            "quarantine.replay",
            json!({ "bot": 700_000_001, "region": region, "rows": [1] }),
        ),
        (
            "quarantine.discard",
            json!({ "bot": 700_000_001, "region": region, "rows": [1] }),
        ),
        (
            "bots.update",
            json!({ "bot": 700_000_001, "update": 1, "received_at": "2026-11-26T08:00:00Z" }),
        ),
        ("messages.list", json!({ "bot": 700_000_001, "chat": -100 })),
        ("bot.stop", json!({ "bot": 700_000_001, "region": region })),
        ("bot.restart", json!({ "bot": 700_000_001, "region": region })),
        (
            "bot.replace_token",
            json!({ "bot": 700_000_001, "region": region, "token": format!("700000001:{}", "x".repeat(35)) }),
        ),
        (
            "call.resend",
            json!({ "bot": 700_000_001, "region": region, "calls": [1] }),
        ),
        (
            "call.give_up",
            json!({ "bot": 700_000_001, "region": region, "calls": [1] }),
        ),
        (
            "rule.write",
            json!({
                "bot": 700_000_001, "region": region,
                "says": { "title": "Greets", "enabled": true, "actions": [{ "do": "tag", "tag": "seen" }] },
            }),
        ),
        (
            "rule.remove",
            json!({ "bot": 700_000_001, "region": region, "rule": 1, "version": 1 }),
        ),
        (
            "rule.order",
            json!({ "bot": 700_000_001, "region": region, "rules": [2, 1] }),
        ),
        (
            "catalogue.write",
            json!({ "language": "en", "region": region, "key": "order.here", "text": "{number} is here." }),
        ),
        (
            "catalogue.remove",
            json!({ "language": "en", "region": region, "key": "order.there" }),
        ),
        (
            "catalogues.message",
            json!({ "language": "zh-CN", "region": region, "key": "order.here", "values": { "number": "7" } }),
        ),
        ("catalogues.read", json!({ "language": "en", "region": region })),
        ("component.restart", gateway.clone()),
        (
            "component.start",
            json!({ "component": component(region, "runner") }),
        ),
        ("component.stop", gateway.clone()),
        (
            "operation.approve",
            json!({ "operation": seed.waiting, "hash": "of-another-plan" }),
        ),
        ("operation.cancel", json!({ "operation": seed.waiting })),
        (
            "operation.reject",
            json!({ "operation": seed.waiting, "reason": "not tonight" }),
        ),
        (
            "operation.retry",
            json!({ "operation": seed.queued, "decision": "give_up" }),
        ),
        ("operations.get", json!({ "operation": seed.waiting })),
        (
            "person.create",
            json!({ "email": "new@example.org", "role": "viewer" }),
        ),
        ("person.disable", json!({ "person": seed.person })),
        ("person.enable", json!({ "person": seed.disabled })),
        (
            "person.grant",
            json!({ "person": seed.person, "role": "auditor", "scope": {} }),
        ),
        (
            "person.invite",
            json!({ "person": seed.person, "token_hash": "ab".repeat(32) }),
        ),
        ("person.revoke", role),
        ("preferences.zone", json!({ "zone": "Europe/Berlin" })),
        ("regions.component", gateway.clone()),
        ("regions.region", json!({ "region": region })),
        ("regions.trends", gateway),
        (
            "schedule.create",
            json!({
                "name": format!("hourly {region}"), "cron": "7 * * * *", "kind": "component.restart",
                "input": { "component": component(region, "gateway") },
            }),
        ),
        ("schedule.delete", json!({ "name": seed.schedule })),
        ("schedule.pause", json!({ "name": seed.schedule, "paused": true })),
        ("session.revoke", json!({ "session": session })),
        ("session.revoke_all", json!({ "person": me.id() })),
        ("token.revoke", json!({ "token": token })),
        ("view.delete", json!({ "view": deleted })),
        ("view.rename", json!({ "view": renamed, "name": "ours" })),
        ("view.save", serde_json::to_value(mine)?),
    ];
    // The others' examples name nothing that has to be there.
    let kinds = house.parts.console.registry().kinds();
    let mut all: BTreeMap<_, _> = kinds
        .iter()
        .map(|info| anyhow::Ok((info.kind, example(house, info.kind)?)))
        .collect::<Result<_, _>>()?;
    all.extend(about_the_seed);
    Ok(all)
}

/// The input that the declaration of a kind shows.
pub fn example(house: &House, kind: &str) -> anyhow::Result<Value> {
    let shape = house.parts.console.registry().shape(kind);
    Ok(serde_json::from_str(shape.context("a registered kind")?.example)?)
}
