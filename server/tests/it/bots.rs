//! Bots from the console's side, with real cells, a real key store and a simulator in Telegram's place.

use crate::support::{AWAY, Ground, HOME, House, Somebody, head, text};
use anyhow::Context as _;
use bagua_bots::ingest::{Committer, CommitterConfig, Ingest};
use bagua_bots::lease::Owner;
use bagua_bots::runner::{Parts, Runner, RunnerConfig};
use bagua_bots::search::Indexer;
use bagua_model::access::Role;
use bagua_model::bots::{BotChange, BotCondition, BotDetail, GetBot, ListBots, ReadBot, TailBot};
use bagua_model::failure::FailureKind;
use bagua_model::operation::{OperationState, OperationView, Submission};
use bagua_model::settings::{Cell, Keys, Secret, TelegramServer};
use bagua_telegram::Transport;
use bagua_telegram_sim::{Bot, Config, NewBot, Sim};
use bagua_testkit::{Kind, TestDatabase, database_of, eventually, operation_view, wait_until};
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Outcome = anyhow::Result<()>;

/// The half of a token that must not be found anywhere.
const SECRET: &str = "nobody-may-read-this-again-0123456789";

/// A console with two cells, a key store, and a simulator.
pub(crate) struct Land {
    pub(crate) house: House,
    pub(crate) sim: Sim,
    pub(crate) home: TestDatabase,
    pub(crate) away: TestDatabase,
    keys: TestDatabase,
    // Dropped after the house.
    ground: Ground,
}

pub(crate) async fn land() -> anyhow::Result<Land> {
    let mut ground = Ground::new().await?;
    let (home, away) = (database_of(Kind::Data).await?, database_of(Kind::Data).await?);
    let keys = database_of(Kind::Keys).await?;
    let sim = Sim::start(Config::default()).await?;
    let master_key_file = ground.folder().join("master.key");
    std::fs::write(&master_key_file, "5a".repeat(32))?;
    let cell = |region: &str, database: &TestDatabase| Cell {
        region: region.to_owned(),
        url: Secret::new(database.app_url.as_str()),
        owner_url: None,
        webhook_url: (region == HOME).then(|| "http://127.0.0.1:9".to_owned()),
    };
    ground.settings.cells = vec![cell(HOME, &home), cell(AWAY, &away)];
    ground.settings.keys = Some(Keys {
        url: Secret::new(keys.app_url.as_str()),
        owner_url: None,
        master_key_file,
    });
    ground.settings.telegram.servers = vec![TelegramServer {
        name: "sim".to_owned(),
        url: sim.url(),
        simulator: true,
    }];
    let house = ground.house()?;
    house.run();
    Ok(Land {
        house,
        sim,
        home,
        away,
        keys,
        ground,
    })
}

/// A runner of one cell, as `bagua runner` runs it, with a short lease.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn end(self) -> Outcome {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

impl Land {
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    pub(crate) fn runner(&self, pool: &PgPool, owner: &str) -> anyhow::Result<Running> {
        let keys = self.ground.settings.keys.as_ref().context("a key store")?;
        let keys = bagua_fleet::key_store(keys, "test", &mut rand::rng(), 100)?;
        let committer = Committer::start(
            pool,
            CommitterConfig::default(),
            Arc::new(OffsetDateTime::now_utc),
        );
        let parts = Parts {
            pool: pool.clone(),
            ingest: Ingest::new(Arc::clone(&keys), committer),
            keys,
            transport: Transport::new(Duration::from_secs(2))?,
        };
        let config = RunnerConfig {
            lease: Duration::from_secs(2),
            look: Duration::from_millis(100),
            poll_seconds: 1,
            observe: Duration::from_millis(500),
            ..RunnerConfig::new(Owner::new(owner, HOME))
        };
        let stop = CancellationToken::new();
        let indexer = Indexer {
            pool: pool.clone(),
            keys: Arc::clone(&parts.keys),
        };
        let (runner, until) = (Runner::new(config, parts), stop.clone());
        let task = tokio::spawn(async move {
            tokio::join!(runner.run(until.clone()), indexer.run(until));
        });
        Ok(Running { stop, task })
    }

    pub(crate) fn bot(&self, id: i64) -> anyhow::Result<Arc<Bot>> {
        self.sim.add_bot(&NewBot {
            token: Some(format!("{id}:{SECRET}")),
            username: Some(format!("b{id}_bot")),
            ..NewBot::default()
        })
    }

    /// Submits an operation and waits until it has ended, however it did.
    pub(crate) async fn ended(
        &self,
        who: &Somebody,
        kind: &str,
        input: Value,
    ) -> anyhow::Result<OperationView> {
        let console = &self.house.parts.console;
        let submitted = console
            .submit_json(&who.actor, kind, input, Submission::default())
            .await?;
        let ends = [
            OperationState::Succeeded,
            OperationState::Failed,
            OperationState::NeedsOperator,
        ];
        let view = wait_until(console, submitted.operation, &ends).await?;
        operation_view(console, view.summary.operation).await
    }

    /// The same for one that succeeds.
    pub(crate) async fn done(
        &self,
        who: &Somebody,
        kind: &str,
        input: Value,
    ) -> anyhow::Result<OperationView> {
        let view = self.ended(who, kind, input).await?;
        anyhow::ensure!(
            view.summary.state == OperationState::Succeeded,
            "{kind}: {view:?}"
        );
        Ok(view)
    }

    pub(crate) async fn add(&self, who: &Somebody, bot: &Bot, region: &str) -> anyhow::Result<OperationView> {
        let input = json!({ "region": region, "server": "sim", "token": bot.token() });
        self.done(who, "bot.add", input).await
    }

    pub(crate) async fn one(&self, who: &Somebody, bot: i64) -> anyhow::Result<BotDetail> {
        Ok(self.house.parts.console.ask(&who.actor, GetBot { bot }).await?)
    }

    pub(crate) async fn until(
        &self,
        who: &Somebody,
        bot: i64,
        condition: BotCondition,
    ) -> anyhow::Result<BotDetail> {
        eventually(&format!("bot {bot} to be {condition}"), || async {
            let detail = self.one(who, bot).await?;
            Ok((detail.bot.condition == condition).then_some(detail))
        })
        .await
    }
}

pub(crate) fn push(bot: &Bot, words: &str, times: i64) {
    let date = OffsetDateTime::now_utc().unix_timestamp();
    for number in 1..=times {
        bot.push(&format!(
            r#"{{"message":{{"message_id":{number},"from":{{"id":42,"is_bot":false,"first_name":"A"}},"chat":{{"id":42,"type":"private"}},"date":{date},"text":"{words} {number}"}}}}"#
        ));
    }
}

/// In how many rows of a database a text stands, whatever the table and column.
pub(crate) async fn rows_with(pool: &PgPool, needle: &str) -> anyhow::Result<Vec<String>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    )
    .fetch_all(pool)
    .await?;
    let mut found = Vec::new();
    for table in tables {
        let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%' || $1 || '%'");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(needle)
            .fetch_one(pool)
            .await?;
        if rows > 0 {
            found.push(table);
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_added_by_its_token_which_nobody_reads_again_and_its_messages_arrive() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Operator, None).await?;
    let bot = land.bot(800_000_001)?;
    push(&bot, "hello", 250);
    let added = land.add(&me, &bot, HOME).await?;
    assert_eq!(added.outcome, Some(json!("b800000001_bot")));

    let runner = land.runner(&land.home.app, "one")?;
    let detail = eventually("all messages", || async {
        let detail = land.one(&me, bot.id()).await?;
        Ok((detail.bot.stored == Some(250)).then_some(detail))
    })
    .await?;
    eventually("all to be confirmed", || async {
        Ok((bot.totals().acknowledged == 250).then_some(()))
    })
    .await?;
    assert_eq!(detail.bot.owner.as_deref(), Some("one"));
    assert!(detail.bot.simulator, "the page says that it is no real Telegram");
    let changes: Vec<BotChange> = detail.timeline.iter().map(|event| event.what).collect();
    assert_eq!(changes, [BotChange::Running, BotChange::Acquired]);
    // The list, from memory, says the same.
    eventually("the list to know", || async {
        let fleet = land
            .house
            .parts
            .console
            .ask(&me.actor, ListBots::default())
            .await?;
        let seen = fleet.bots.first();
        Ok(seen
            .is_some_and(|bot| {
                bot.condition == BotCondition::Running
                    && bot.stored == Some(250)
                    && bot.pending == Some(0)
                    && bot.lag_ms.is_some()
            })
            .then_some(()))
    })
    .await?;

    // The same bot again, in the other region, would take its updates away.
    let again = json!({ "region": AWAY, "server": "sim", "token": bot.token() });
    let console = &land.house.parts.console;
    let told = console.plan_json(&me.actor, "bot.add", again).await;
    assert!(told.is_err_and(|failure| failure.fields[0].0 == "token"));

    for database in [&land.ground.db, &land.home, &land.away, &land.keys] {
        assert_eq!(rows_with(&database.owner, SECRET).await?, Vec::<String>::new());
    }
    // Without this the search above would prove nothing.
    assert!(
        !rows_with(&land.ground.db.owner, "sealed:800000001:")
            .await?
            .is_empty()
    );
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_stopped_started_and_restarted_and_the_count_agrees_with_telegrams() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Operator, Some(HOME)).await?;
    let bot = land.bot(800_000_002)?;
    land.add(&me, &bot, HOME).await?;
    let runner = land.runner(&land.home.app, "one")?;
    land.until(&me, bot.id(), BotCondition::Running).await?;
    let wish = json!({ "bot": bot.id(), "region": HOME });
    let console = &land.house.parts.console;
    let told = console.plan_json(&me.actor, "bot.start", wish.clone()).await;
    assert_eq!(told.err().map(|failure| failure.kind), Some(FailureKind::Invalid));

    push(&bot, "before", 120);
    land.done(&me, "bot.stop", wish.clone()).await?;
    let stopped = land.one(&me, bot.id()).await?;
    assert_eq!(
        (stopped.bot.condition, stopped.bot.owner),
        (BotCondition::Stopped, None)
    );
    let polls = bot.totals().polls;
    push(&bot, "while it is stopped", 30);
    // What was written in the moment of the stop may wait as well: only what was received is stored.
    let waits = bot.pending();
    assert!(waits >= 30, "{waits}");
    let waits = waits.to_string();
    let plan = console.plan_json(&me.actor, "bot.start", wish.clone()).await?;
    assert!(
        plan.plan
            .estimates
            .iter()
            .any(|text| text.args.iter().any(|(_, value)| *value == waits)),
        "{:?}",
        plan.plan.estimates
    );
    assert_eq!(bot.totals().polls, polls, "a stopped bot is not polled");
    land.done(&me, "bot.start", wish.clone()).await?;
    land.done(&me, "bot.restart", wish.clone()).await?;
    let detail = eventually("everything to be stored", || async {
        let detail = land.one(&me, bot.id()).await?;
        Ok((detail.bot.stored == Some(150)).then_some(detail))
    })
    .await?;
    eventually("everything to be confirmed", || async {
        Ok((bot.totals().acknowledged == 150).then_some(()))
    })
    .await?;
    assert_eq!(bot.totals().acknowledged_unseen, 0);
    assert!(detail.timeline.len() >= 3, "{:?}", detail.timeline);

    // Each wish left who wished it, and how it ended.
    for kind in ["bot.add", "bot.stop", "bot.start", "bot.restart"] {
        let results: Vec<String> = sqlx::query_scalar("SELECT result FROM audit WHERE kind = $1 ORDER BY id")
            .bind(kind)
            .fetch_all(&land.ground.db.owner)
            .await?;
        assert_eq!(results, ["allowed", "succeeded"], "{kind}");
    }
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_said_in_words_and_a_new_one_of_the_same_bot_goes_on() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Operator, None).await?;
    let (bot, other) = (land.bot(800_000_003)?, land.bot(800_000_004)?);
    push(&bot, "old", 10);
    land.add(&me, &bot, HOME).await?;
    let runner = land.runner(&land.home.app, "one")?;
    land.until(&me, bot.id(), BotCondition::Running).await?;
    bot.revoke();
    let refused = land.until(&me, bot.id(), BotCondition::Invalid).await?;
    assert_eq!(refused.bot.error.as_deref(), Some("unauthorized"));

    let console = &land.house.parts.console;
    let with = |token: &str| json!({ "bot": bot.id(), "region": HOME, "token": token });
    for wrong in [other.token(), "no token at all".to_owned(), bot.token()] {
        let told = console
            .plan_json(&me.actor, "bot.replace_token", with(&wrong))
            .await;
        let failure = told.err().context("a wrong token is refused")?;
        assert_eq!(
            failure.fields.first().map(|(name, _)| name.as_str()),
            Some("token"),
            "{failure}"
        );
        assert!(!failure.to_string().contains(SECRET), "{failure}");
    }
    let new = format!("{}:another-{SECRET}", bot.id());
    land.sim.replace_token(&bot, &new)?;
    land.done(&me, "bot.replace_token", with(&new)).await?;
    push(&bot, "new", 5);
    eventually("old and new together", || async {
        Ok((land.one(&me, bot.id()).await?.bot.stored == Some(15)).then_some(()))
    })
    .await?;
    assert_eq!(
        rows_with(&land.ground.db.owner, SECRET).await?,
        Vec::<String>::new()
    );
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_hidden_until_somebody_who_may_reads_it_and_each_reading_is_audited() -> Outcome {
    let land = land().await?;
    let operator = land.house.person("Ada", Role::Operator, None).await?;
    let officer = land.house.person("Wei", Role::ComplianceOfficer, None).await?;
    let bot = land.bot(800_000_005)?;
    push(&bot, "my address is", 3);
    land.add(&operator, &bot, HOME).await?;
    let runner = land.runner(&land.home.app, "one")?;
    let console = &land.house.parts.console;
    let (bot, limit) = (bot.id(), 10);
    let masked = eventually("three updates", || async {
        let tail = console.ask(&operator.actor, TailBot { bot, limit }).await?;
        Ok((tail.len() == 3).then_some(tail))
    })
    .await?;
    assert!(
        masked
            .iter()
            .all(|update| update.text.is_none() && update.sender.is_none())
    );
    let told = console.ask(&operator.actor, ReadBot { bot, limit }).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Forbidden)
    );
    let read = console.ask(&officer.actor, ReadBot { bot, limit }).await?;
    let texts: Vec<_> = read.iter().filter_map(|update| update.text.as_deref()).collect();
    assert_eq!(texts, ["my address is 3", "my address is 2", "my address is 1"]);
    let readers: Vec<String> =
        sqlx::query_scalar("SELECT actor FROM audit WHERE kind = 'bots.content' AND action = 'read'")
            .fetch_all(&land.ground.db.owner)
            .await?;
    assert_eq!(readers, [officer.actor.label()]);
    // The content itself lies in no table, readable.
    assert_eq!(
        rows_with(&land.home.owner, "my address").await?,
        Vec::<String>::new()
    );
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_region_does_not_learn_of_anothers_bot() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let away = land.house.person("Far", Role::Operator, Some(AWAY)).await?;
    let bot = land.bot(800_000_006)?;
    land.add(&me, &bot, HOME).await?;
    let console = &land.house.parts.console;
    let told = console.ask(&away.actor, GetBot { bot: bot.id() }).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::NotFound)
    );
    let wish = json!({ "bot": bot.id(), "region": HOME });
    let told = console.plan_json(&away.actor, "bot.stop", wish).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Forbidden)
    );
    eventually("the list of who may see it", || async {
        let seen = console.ask(&me.actor, ListBots::default()).await?;
        Ok((seen.bots.len() == 1).then_some(()))
    })
    .await?;
    let seen = console.ask(&away.actor, ListBots::default()).await?;
    assert!(seen.bots.is_empty() && seen.away.is_empty(), "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_leads_to_the_plan_and_no_address_page_or_schedule_holds_the_token() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_007)?;
    let token = bot.token();
    let form = [("place", HOME), ("server", "sim"), ("token", token.as_str())];
    let response = land.house.post("/bots", &form, Some(&me)).await?;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let plan = head(&response, "location");
    assert!(
        plan.starts_with("/operations/new?kind=bot.add") && !plan.contains(SECRET),
        "{plan}"
    );
    let page = text(land.house.get(&plan, Some(&me)).await?).await?;
    assert!(page.contains("@b800000007_bot") && !page.contains(SECRET));

    let wrong = format!("800000008:{SECRET}");
    let form = [("place", HOME), ("server", "sim"), ("token", wrong.as_str())];
    let response = land.house.post("/bots", &form, Some(&me)).await?;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(response).await?;
    assert!(page.contains("does not take this token") && !page.contains(SECRET));

    let schedule = json!({
        "name": "every night", "cron": "0 3 * * *", "kind": "bot.add",
        "input": { "region": HOME, "server": "sim", "token": token },
    });
    let console = &land.house.parts.console;
    let told = console
        .submit_json(&me.actor, "schedule.create", schedule, Submission::default())
        .await;
    assert_eq!(told.err().map(|failure| failure.kind), Some(FailureKind::Invalid));
    assert_eq!(
        rows_with(&land.ground.db.owner, SECRET).await?,
        Vec::<String>::new()
    );
    Ok(())
}
