//! Every kind × every role, in and out of scope: the access matrix is what the doors do.

use crate::inputs::{Seed, example, inputs, plant};
use crate::support::{AWAY, Ground, HOME, House};
use bagua_core::{Actor, KindInfo, Verb};
use bagua_model::access::Role;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Submission;
use bagua_testkit::eventually;
use futures::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

type Outcome = anyhow::Result<()>;

/// Kinds whose answer comes from an engine, which is away here. Whoever may ask is told so and nothing else.
const FROM_AN_ENGINE: [&str; 33] = [
    "alerts.delivery",
    "bot.add",
    "bot.configure",
    "bot.move",
    "bot.replace_token",
    "bot.restart",
    "bot.start",
    "bot.stop",
    "bots.change",
    "bots.content",
    "bots.one",
    "bots.tail",
    "bots.tune",
    "bots.update",
    "call.give_up",
    "call.resend",
    "calls.list",
    "chats.list",
    "messages.list",
    "messages.search",
    "quarantine.discard",
    "quarantine.replay",
    "rule.order",
    "rule.remove",
    "rule.write",
    "rules.list",
    "rules.try",
    "rules.versions",
    "regions.trends",
    "platform.performance",
    "platform.business",
    "silence.expire",
    "silences.list",
];

/// A submission that goes through every check and changes nothing: it is bound to a plan that was never made.
fn bound_elsewhere() -> Submission {
    Submission {
        plan_hash: Some("of-another-plan".into()),
        ..Submission::default()
    }
}

async fn running(ground: &Ground) -> anyhow::Result<House> {
    let house = ground.house()?;
    house_watches(&house).await?;
    Ok(house)
}

/// Lets the rooms look, but no worker work: what is queued stays queued.
async fn house_watches(house: &House) -> Outcome {
    tokio::spawn(std::sync::Arc::clone(&house.parts.alerts).run(house.stop.clone()));
    eventually("the alert feed", || async {
        Ok(house.parts.alerts.snapshot().filled.then_some(()))
    })
    .await
}

/// What somebody is told at each door of a kind.
async fn knock(house: &House, actor: &Actor, info: &KindInfo, input: &Value) -> Vec<Result<Value, Failure>> {
    let console = &house.parts.console;
    match info.verb {
        Verb::Query => vec![console.ask_json(actor, info.kind, input.clone()).await],
        Verb::Operation | Verb::Immediate => {
            let plan = console.plan_json(actor, info.kind, input.clone()).await;
            let submit = console
                .submit_json(actor, info.kind, input.clone(), bound_elsewhere())
                .await;
            vec![plan.map(|_| Value::Null), submit.map(|_| json!("submitted"))]
        }
    }
}

fn is_open(info: &KindInfo, told: &[Result<Value, Failure>]) -> bool {
    let away =
        |failure: &Failure| failure.kind == FailureKind::Unavailable && FROM_AN_ENGINE.contains(&info.kind);
    match told {
        [Ok(_)] if info.verb == Verb::Query => true,
        [Err(failure)] => away(failure),
        [Err(plan), Err(submit)] => away(plan) && away(submit),
        [Ok(_), Err(drifted)] => drifted.kind == FailureKind::Drifted,
        _ => false,
    }
}

fn is_refused(told: &[Result<Value, Failure>]) -> bool {
    told.iter().all(|told| {
        told.as_ref()
            .is_err_and(|failure| failure.kind == FailureKind::Forbidden)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_input_of_every_kind_fits_it_and_so_does_the_example_of_its_declaration() -> Outcome {
    let ground = Ground::new().await?;
    let house = running(&ground).await?;
    let seed = plant(&ground, &house, HOME).await?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let registry = house.parts.console.registry();
    for (kind, input) in inputs(&house, &seed, &me).await? {
        let told = registry.fits(kind, input);
        assert!(told.is_ok(), "inputs.rs, {kind}: {told:?}");
        let told = registry.fits(kind, example(&house, kind)?);
        assert!(told.is_ok(), "EXAMPLE of {kind}: {told:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_refused_exactly_what_the_matrix_does_not_give_it_and_each_refusal_is_audited() -> Outcome {
    let ground = Ground::new().await?;
    let planted = running(&ground).await?;
    let seed = plant(&ground, &planted, HOME).await?;
    // At once: most of the time goes into waiting for engines that are away.
    let wrong = try_join_all(Role::ALL.iter().map(|role| wrong_doors(&ground, &seed, *role))).await?;
    let wrong = wrong.concat();
    assert!(
        wrong.is_empty(),
        "{} doors differ from the matrix:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Knocks at every door as somebody with a role: those that are open or shut against the matrix.
async fn wrong_doors(ground: &Ground, seed: &Seed, role: Role) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    // A console of its own: one writes down only so many refusals in ten seconds.
    let house = running(ground).await?;
    let me = house.person(role.as_str(), role, None).await?;
    let inputs = inputs(&house, seed, &me).await?;
    let mut refused = Vec::new();
    for info in house.parts.console.registry().kinds() {
        let told = knock(&house, &me.actor, &info, &inputs[info.kind]).await;
        let right = if role.allows(info.permission) {
            is_open(&info, &told)
        } else {
            is_refused(&told)
        };
        if !right {
            wrong.push(format!("{role} at {} ({}): {told:?}", info.kind, info.permission));
        }
        if !role.allows(info.permission) {
            refused.extend(told.iter().map(|_| info.kind.to_owned()));
        }
    }
    let mut rows: Vec<String> = sqlx::query_scalar(
        "SELECT kind FROM audit WHERE action = 'deny' AND result = 'denied' AND environment = 'dev'
           AND person = $1 AND actor = $2 ORDER BY kind, id",
    )
    .bind(me.id())
    .bind(me.actor.label())
    .fetch_all(&ground.db.owner)
    .await?;
    rows.sort();
    refused.sort();
    assert_eq!(
        rows, refused,
        "left: what the audit log says {role} was refused; right: what they were refused"
    );
    Ok(wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_in_one_region_acts_there_and_nowhere_else() -> Outcome {
    let ground = Ground::new().await?;
    let planted = running(&ground).await?;
    let (home, away) = (
        plant(&ground, &planted, HOME).await?,
        plant(&ground, &planted, AWAY).await?,
    );
    let mut wrong = Vec::new();
    for role in [Role::Administrator, Role::Operator] {
        let house = running(&ground).await?;
        let me = house.person(&format!("{role}-in-one"), role, Some(HOME)).await?;
        let (here, there) = (
            inputs(&house, &home, &me).await?,
            inputs(&house, &away, &me).await?,
        );
        for info in house.parts.console.registry().kinds() {
            if info.verb == Verb::Query || !role.allows(info.permission) {
                continue;
            }
            // People belong to no region, and one's own sessions go with oneself.
            let of_all_regions = info.kind.starts_with("person.");
            let own = info.permission.is_own();
            let told_here = knock(&house, &me.actor, &info, &here[info.kind]).await;
            let told_there = knock(&house, &me.actor, &info, &there[info.kind]).await;
            let right_here = if of_all_regions {
                is_refused(&told_here)
            } else {
                is_open(&info, &told_here)
            };
            let right_there = if own {
                is_open(&info, &told_there)
            } else {
                is_refused(&told_there)
            };
            if !right_here || !right_there {
                wrong.push(format!(
                    "{role} at {}: in {HOME} {told_here:?}, in {AWAY} {told_there:?}",
                    info.kind
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} doors ignore the scope:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_a_reader_of_one_region_do_not_mention_another() -> Outcome {
    let ground = Ground::new().await?;
    let house = running(&ground).await?;
    let away = plant(&ground, &house, AWAY).await?;
    let everywhere = house.person("Everywhere", Role::Administrator, None).await?;
    let here = house.person("Here", Role::Administrator, Some(HOME)).await?;
    let mut shown_to_all = BTreeSet::new();
    for info in house
        .parts
        .console
        .registry()
        .kinds()
        .into_iter()
        .filter(|info| info.verb == Verb::Query)
    {
        let ask = async |who: &crate::support::Somebody| {
            let input = inputs(&house, &away, who).await?[info.kind].clone();
            anyhow::Ok(house.parts.console.ask_json(&who.actor, info.kind, input).await)
        };
        if ask(&everywhere)
            .await?
            .is_ok_and(|answer| answer.to_string().contains(AWAY))
        {
            shown_to_all.insert(info.kind);
        }
        let answer = ask(&here).await?;
        let leaked = answer
            .as_ref()
            .is_ok_and(|answer| answer.to_string().contains(AWAY));
        assert!(
            !leaked,
            "{} tells a reader of {HOME} about {AWAY}: {answer:?}",
            info.kind
        );
    }
    // Those that do mention it to a reader of everything: without them the loop above would prove nothing.
    let expected = [
        "access.people",
        "alerts.counts",
        "alerts.get",
        "alerts.groups",
        "alerts.list",
        "audit.list",
        "bots.list",
        "bots.tuning",
        "catalogues.list",
        "events.recent",
        "operations.get",
        "operations.inbox",
        "operations.list",
        "regions.compare",
        "regions.component",
        "regions.region",
        "regions.world",
        "schedules.list",
        "silences.cover",
        "silences.preview",
    ];
    assert_eq!(shown_to_all, expected.into());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_in_another_environment_opens_nothing_here() -> Outcome {
    let ground = Ground::new().await?;
    let house = running(&ground).await?;
    let seed = plant(&ground, &house, HOME).await?;
    let me = house.person("Elsewhere", Role::Administrator, None).await?;
    let mut actor = me.actor.clone();
    if let Actor::Person { grants, .. } = &mut actor {
        grants[0].scope.environment = Some(bagua_model::region::Environment::Prod);
    }
    let inputs = inputs(&house, &seed, &me).await?;
    for info in house.parts.console.registry().kinds() {
        let told = knock(&house, &actor, &info, &inputs[info.kind]).await;
        let right = if info.permission.is_own() {
            is_open(&info, &told)
        } else {
            is_refused(&told)
        };
        assert!(right, "{}: {told:?}", info.kind);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signed_in_gets_nothing_of_any_kind_over_http() -> Outcome {
    let ground = Ground::new().await?;
    let house = running(&ground).await?;
    let seed = plant(&ground, &house, HOME).await?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let operations = |ground: &Ground| {
        let db = ground.db.owner.clone();
        async move {
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM operations")
                .fetch_one(&db)
                .await
        }
    };
    let inputs = inputs(&house, &seed, &me).await?;
    let before = operations(&ground).await?;
    for info in house.parts.console.registry().kinds() {
        let input = &inputs[info.kind];
        let calls = match info.verb {
            Verb::Query => vec![("ask", json!({ "kind": info.kind, "query": input }))],
            _ => vec![
                ("plan", json!({ "kind": info.kind, "input": input })),
                (
                    "submit",
                    json!({ "kind": info.kind, "input": input, "submission": {} }),
                ),
            ],
        };
        for (door, body) in calls {
            let (status, answer) = house.rpc(door, &body, None).await?;
            assert_eq!(
                status,
                http::StatusCode::UNAUTHORIZED,
                "{door} {}: {answer}",
                info.kind
            );
            assert_eq!(
                answer["kind"], "unauthenticated",
                "{door} {}: {answer}",
                info.kind
            );
        }
        if info.verb != Verb::Query {
            let path = format!("/submit/{}", info.kind);
            let response = house.post(&path, &[("input", &input.to_string())], None).await?;
            assert_eq!(response.status(), http::StatusCode::SEE_OTHER);
            assert!(
                crate::support::head(&response, "location").starts_with("/sign-in"),
                "{}",
                info.kind
            );
        }
    }
    assert_eq!(operations(&ground).await?, before);
    Ok(())
}
