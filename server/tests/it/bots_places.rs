//! Where bots run and how their processes work, changed from the console, with the processes as `bagua runner` has them.

use crate::bots::{Land, land, push};
use crate::support::{AWAY, HOME, Somebody, text};
use bagua_bots::presence;
use bagua_model::access::Role;
use bagua_model::bots::tuning::{GetTuning, RegionTuning};
use bagua_model::bots::{BotCondition, ListBots};
use bagua_model::failure::{Failure, FailureKind};
use bagua_server::roles::bots::Bots;
use bagua_testkit::eventually;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Outcome = anyhow::Result<()>;

struct Process {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Process {
    /// A region's runner, as far as its bots go.
    async fn start(land: &Land, region: &str) -> anyhow::Result<Process> {
        let bots = Bots::new(&land.ground().settings, region, Arc::default())?;
        let bots = bots.ok_or_else(|| anyhow::anyhow!("the settings name no key store"))?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(bots.settled().run(stop.clone()));
        let named = format!("a runner of {region} to have reached the home's data");
        eventually(&named, || async {
            let there = presence::list(&land.home.app).await?;
            Ok(there.iter().any(|one| one.region == region).then_some(()))
        })
        .await?;
        Ok(Process { stop, task })
    }

    async fn end(self) -> Outcome {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

/// What the runner's heartbeat writes: whose database it is.
async fn named_cells(land: &Land) -> Outcome {
    for (database, region) in [(&land.home, HOME), (&land.away, AWAY)] {
        sqlx::query("INSERT INTO cell (region) VALUES ($1)")
            .bind(region)
            .execute(&database.owner)
            .await?;
    }
    Ok(())
}

fn field(told: Result<impl std::fmt::Debug, Failure>) -> String {
    let failure = told.expect_err("it is refused");
    failure
        .fields
        .first()
        .map(|(name, _)| name.clone())
        .unwrap_or_default()
}

async fn tuning(land: &Land, who: &Somebody, region: &str) -> anyhow::Result<RegionTuning> {
    let all = land
        .house
        .parts
        .console
        .ask(&who.actor, GetTuning::default())
        .await?;
    all.into_iter()
        .find(|one| one.region.as_str() == region)
        .ok_or_else(|| anyhow::anyhow!("the region is not in the answer"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_moved_to_another_region_and_its_messages_stay_in_its_own() -> Outcome {
    let land = land().await?;
    named_cells(&land).await?;
    let me = land.house.person("Ada", Role::Operator, None).await?;
    let near = land.house.person("Bo", Role::Operator, Some(HOME)).await?;
    let bot = land.bot(800_000_071)?;
    land.add(&me, &bot, HOME).await?;
    let home = Process::start(&land, HOME).await?;
    land.until(&me, bot.id(), BotCondition::Running).await?;
    let console = &land.house.parts.console;
    let to = |home: &str, standby: &[&str]| json!({ "bot": bot.id(), "region": HOME, "home": home, "standby": standby });
    let plan = |input: Value| async { console.plan_json(&me.actor, "bot.move", input).await };
    assert_eq!(field(plan(to(HOME, &[])).await), "bot", "it runs there already");
    assert_eq!(field(plan(to("nowhere", &[])).await), "home");
    assert_eq!(field(plan(to(HOME, &["nowhere"])).await), "standby");
    assert_eq!(field(plan(to(HOME, &[HOME])).await), "standby");
    // Nobody there has reached the data: the bot would have nobody. It may stand by, and the plan says so.
    assert_eq!(field(plan(to(AWAY, &[])).await), "home");
    let absent = plan(to(HOME, &[AWAY])).await?.plan;
    assert!(
        absent
            .warnings
            .iter()
            .any(|text| text.key == "plan.bot.standby-absent"),
        "{absent:?}"
    );
    // Whoever may act in one region decides nothing about another.
    let told = console.plan_json(&near.actor, "bot.move", to(AWAY, &[])).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Forbidden)
    );

    let away = Process::start(&land, AWAY).await?;
    push(&bot, "before", 50);
    let planned = plan(to(AWAY, &[HOME])).await?.plan;
    assert_eq!(planned.summary.key, "plan.bot.move", "{planned:?}");
    assert!(
        planned
            .warnings
            .iter()
            .any(|text| text.key == "plan.bot.data-stays"),
        "{planned:?}"
    );
    land.done(&me, "bot.move", to(AWAY, &[HOME])).await?;
    push(&bot, "after", 50);
    let detail = eventually("all to be stored", || async {
        let detail = land.one(&me, bot.id()).await?;
        Ok((detail.bot.stored == Some(100)).then_some(detail))
    })
    .await?;
    let places: Vec<&str> = detail.bot.regions.iter().map(|region| region.as_str()).collect();
    assert_eq!((detail.bot.region.as_str(), places), (HOME, vec![AWAY, HOME]));
    assert_eq!(
        detail.bot.runs_in.as_ref().map(|region| region.as_str()),
        Some(AWAY)
    );
    assert!(detail.bot.owner.is_some_and(|owner| owner.starts_with(AWAY)));
    let page = text(
        land.house
            .get(&format!("/bots/{}/settings", bot.id()), Some(&me))
            .await?,
    )
    .await?;
    assert!(page.contains("It runs in"), "{page}");
    // The runner there ends in an orderly way, and who stands by has it a moment later.
    away.end().await?;
    eventually("the bot to run at home", || async {
        let detail = land.one(&me, bot.id()).await?;
        let home = detail.bot.runs_in.is_some_and(|region| region.as_str() == HOME);
        Ok((home && detail.bot.condition == BotCondition::Running).then_some(()))
    })
    .await?;
    eventually("the list to know", || async {
        let fleet = console.ask(&me.actor, ListBots::default()).await?;
        let bot = fleet.bots.first();
        Ok(bot
            .is_some_and(|bot| bot.lost == Some(0) && bot.doubled == Some(0) && bot.stored == Some(100))
            .then_some(()))
    })
    .await?;
    let totals = bot.totals();
    assert_eq!((totals.acknowledged, totals.acknowledged_unseen), (100, 0));
    home.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processes_of_a_region_work_as_they_are_tuned_and_say_so() -> Outcome {
    let land = land().await?;
    named_cells(&land).await?;
    let me = land.house.person("Ada", Role::Operator, None).await?;
    let bot = land.bot(800_000_072)?;
    land.add(&me, &bot, HOME).await?;
    let console = &land.house.parts.console;
    let tune = |tuning: Value| json!({ "region": HOME, "tuning": tuning });
    let plan = |input: Value| async { console.plan_json(&me.actor, "bots.tune", input).await };
    assert_eq!(field(plan(tune(json!({}))).await), "tuning", "nothing changes");
    assert_eq!(field(plan(tune(json!({ "writers": 0 }))).await), "writers");
    assert_eq!(field(plan(tune(json!({ "writers": 16 }))).await), "connections");
    // Without a process it is written down all the same.
    let nobody = plan(tune(json!({ "calls": 3 }))).await?.plan;
    assert!(
        nobody
            .warnings
            .iter()
            .any(|text| text.key == "plan.bots.tune-nobody"),
        "{nobody:?}"
    );

    let process = Process::start(&land, HOME).await?;
    land.until(&me, bot.id(), BotCondition::Running).await?;
    push(&bot, "before", 20);
    let set = tune(json!({ "connections": 12, "writers": 2, "group": 50, "keys": 5000 }));
    let done = land.done(&me, "bots.tune", set.clone()).await?;
    assert_eq!(done.outcome, Some(json!({ "version": 1, "runners": 1 })));
    push(&bot, "after", 20);
    eventually("all to be stored and confirmed", || async {
        let stored = land.one(&me, bot.id()).await?.bot.stored;
        Ok((stored == Some(40) && bot.totals().acknowledged == 40).then_some(()))
    })
    .await?;
    let seen = eventually("the process to say what it measured", || async {
        let seen = tuning(&land, &me, HOME).await?;
        let figures = seen.runners.first().map(|runner| &runner.figures);
        Ok(figures
            .is_some_and(|figures| figures.bots == 1 && figures.keys.hits > 0 && figures.commits > 0)
            .then_some(seen))
    })
    .await?;
    assert_eq!(
        (seen.version, seen.tuning.connections, seen.tuning.calls),
        (1, 12, 16)
    );
    assert_eq!(seen.runners[0].figures.tuning, 1);
    assert!(seen.runners[0].figures.open <= 12);
    assert_eq!(field(plan(set).await), "tuning", "it is set like that");
    // A second change is one more version; the page shows both, and what was typed wrong stays.
    let done = land.done(&me, "bots.tune", tune(json!({ "calls": 4 }))).await?;
    assert_eq!(done.outcome.unwrap_or_default()["version"], 2);
    let form = [("place", HOME), ("calls", "4"), ("writers", "many")];
    let told = land.house.post("/bots/tuning", &form, Some(&me)).await?;
    assert_eq!(told.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(told).await?;
    assert!(page.contains(r#"value="many""#), "{page}");
    process.end().await?;
    let left = tuning(&land, &me, HOME).await?;
    assert_eq!((left.runners.len(), left.version), (0, 2));
    Ok(())
}
