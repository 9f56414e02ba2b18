//! A cell, a key store and bots in it.

use anyhow::{Result, ensure};
use bagua_bots::ingest::{Batch, Committer, CommitterConfig, Ingest, Message, Update, Way};
use bagua_bots::lease::Owner;
use bagua_bots::rules::{self, Action, Matches, Rule};
use bagua_bots::runner::{Parts, Runner, RunnerConfig};
use bagua_bots::{BotId, catalogue};
use bagua_keys::{KeyStore, MasterKey};
use bagua_telegram::{ApiBase, Token, Transport};
use bagua_telegram_sim::{Bot, Config, End, NewBot, Sim, SimClock};
use bagua_testkit::{Kind, TestDatabase, database_of, eventually};
use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use time::macros::datetime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Ground {
    pub data: TestDatabase,
    pub keys: Arc<KeyStore>,
    pub ingest: Ingest,
    // Dropped last: the key store works on it.
    pub keys_db: TestDatabase,
}

/// Of every key store of these tests.
pub const MASTER: [u8; 32] = [1; 32];

/// When messages of these tests are written, in seconds of the epoch.
pub const NOW: i64 = 1_795_000_000;

/// A simulator at which it is [`NOW`], so that no message is too old to be kept.
pub async fn sim() -> Result<Sim> {
    let clock = SimClock::standing_at(NOW * 1_000);
    Sim::start(Config {
        clock,
        ..Config::default()
    })
    .await
}

pub async fn ground() -> Result<Ground> {
    ground_with(CommitterConfig::default()).await
}

pub async fn ground_with(config: CommitterConfig) -> Result<Ground> {
    let data = database_of(Kind::Data).await?;
    let keys_db = database_of(Kind::Keys).await?;
    let mut random = StdRng::seed_from_u64(1);
    let keys = KeyStore::new(keys_db.app.clone(), MasterKey::new(&MASTER), &mut random, 1_000);
    let now = Arc::new(|| datetime!(2026-11-22 20:00:00 UTC));
    let ingest = Ingest::new(keys.clone(), Committer::start(&data.app, config, now));
    Ok(Ground {
        data,
        keys,
        ingest,
        keys_db,
    })
}

/// A process of the database's own region; of another one when its name begins with that: `there/a`.
pub fn here(name: &str) -> Owner {
    let region = name.split_once('/').map_or("here", |(region, _)| region);
    Owner {
        own: region == "here",
        turn: Duration::from_millis(300),
        ..Owner::new(name, region)
    }
}

/// A runner in this process.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(ground: &Ground, owner: &str) -> Result<Running> {
        Running::start_as(ground, crate::process::quick(owner))
    }

    pub fn start_as(ground: &Ground, config: RunnerConfig) -> Result<Running> {
        let stop = CancellationToken::new();
        let runner = Runner::new(config, ground.parts()?);
        let task = tokio::spawn(runner.run(stop.clone()));
        Ok(Running { stop, task })
    }

    pub async fn end(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

impl Ground {
    /// A rule of a bot, behind those that it has.
    pub async fn rule(&self, bot: i64, matches: Matches, actions: Vec<Action>) -> Result<Rule> {
        let position = i32::try_from(self.count(&format!("bot_rules WHERE bot_id = {bot}")).await?)?;
        let rule = Rule {
            id: 0,
            version: 0,
            position,
            title: "a rule".to_owned(),
            enabled: true,
            stops: false,
            matches,
            actions,
        };
        Ok(rules::save(&self.data.app, BotId(bot), &rule).await?)
    }

    /// Waits until as many calls of a bot are in a state.
    pub async fn until_calls(&self, bot: i64, state: &str, calls: i64) -> Result<()> {
        eventually(&format!("{calls} calls of bot {bot} to be {state}"), || async {
            let there = self
                .count(&format!("outbox WHERE bot_id = {bot} AND state = '{state}'"))
                .await?;
            Ok((there == calls).then_some(()))
        })
        .await
    }

    /// Bots that should run, and that nobody owns yet.
    pub async fn bots(&self, ids: impl IntoIterator<Item = i64>) -> Result<()> {
        for id in ids {
            sqlx::query(
                "WITH bot AS (
                     INSERT INTO bots (bot_id, username, token, base_url, mode, desired)
                     VALUES ($1, 'bot_' || $1, 'x', 'http://127.0.0.1:1', 'polling', 'running') RETURNING bot_id
                 ), lease AS (INSERT INTO bot_leases (bot_id) SELECT bot_id FROM bot)
                 INSERT INTO bot_cursors (bot_id) SELECT bot_id FROM bot",
            )
            .bind(id)
            .execute(&self.data.app)
            .await?;
        }
        Ok(())
    }

    /// A bot at the simulator that this cell should run.
    pub async fn bot_at(&self, sim: &Sim) -> Result<Arc<Bot>> {
        let bot = sim.add_bot(&NewBot::default())?;
        let token = Token::parse(&bot.token())?;
        let base = ApiBase::parse(&sim.url())?;
        catalogue::add(&self.data.app, &self.keys, &token, &base, "sim_bot", &[]).await?;
        Ok(bot)
    }

    /// What a runner needs.
    pub fn parts(&self) -> Result<Parts> {
        Ok(Parts {
            pool: self.data.app.clone(),
            keys: self.keys.clone(),
            ingest: self.ingest.clone(),
            transport: Transport::new(Duration::from_secs(2))?,
        })
    }

    /// A bot's state and the class of its last error, as the console would show them.
    pub async fn state(&self, bot: i64) -> Result<Option<(String, Option<String>)>> {
        Ok(
            sqlx::query_as("SELECT state, class FROM bot_states WHERE bot_id = $1")
                .bind(bot)
                .fetch_optional(&self.data.owner)
                .await?,
        )
    }

    /// Waits until a bot's state is so.
    pub async fn until_state(&self, bot: i64, state: &str, class: Option<&str>) -> Result<()> {
        eventually(&format!("bot {bot} to be {state} {class:?}"), || async {
            let found = self.state(bot).await?;
            Ok(found
                .is_some_and(|(s, c)| s == state && c.as_deref() == class)
                .then_some(()))
        })
        .await
    }

    /// Waits until as many updates of a bot are stored.
    pub async fn until_stored(&self, bot: i64, updates: i64) -> Result<()> {
        eventually(&format!("{updates} updates of bot {bot}"), || async {
            let there = self.count(&format!("updates WHERE bot_id = {bot}")).await?;
            Ok((there >= updates).then_some(()))
        })
        .await
    }

    /// Compares what the simulator was told with what is stored: nothing lost, nothing doubled, nothing confirmed that
    /// is not here.
    pub async fn assert_all_here(&self, bot: &Bot) -> Result<()> {
        let stored: Vec<i64> =
            sqlx::query_scalar("SELECT update_id FROM updates WHERE bot_id = $1 ORDER BY update_id")
                .bind(bot.id())
                .fetch_all(&self.data.owner)
                .await?;
        let distinct: BTreeSet<i64> = stored.iter().copied().collect();
        ensure!(
            distinct.len() == stored.len(),
            "{} updates are stored twice",
            stored.len() - distinct.len()
        );
        let (confirmed, pushed) = bot.with_log(|log| {
            let confirmed: BTreeSet<i64> = log
                .updates
                .iter()
                .filter(|update| update.end.is_some_and(End::is_acknowledged))
                .map(|update| update.id)
                .collect();
            (confirmed, log.updates.len())
        });
        let lost: Vec<&i64> = confirmed.difference(&distinct).collect();
        ensure!(
            lost.is_empty(),
            "{} updates were confirmed and are not stored: {lost:?}",
            lost.len()
        );
        let totals = bot.totals();
        ensure!(
            totals.acknowledged_unseen == 0 && totals.overflow == 0 && totals.expired == 0,
            "{totals:?}"
        );
        ensure!(
            stored.len() == pushed,
            "{} of {pushed} updates are stored",
            stored.len()
        );
        Ok(())
    }

    pub async fn count(&self, table: &str) -> Result<i64> {
        let sql = format!("SELECT count(*) FROM {table}");
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&self.data.owner)
            .await?)
    }

    pub async fn cursor(&self, bot: i64) -> Result<i64> {
        Ok(
            sqlx::query_scalar("SELECT next_offset FROM bot_cursors WHERE bot_id = $1")
                .bind(bot)
                .fetch_one(&self.data.owner)
                .await?,
        )
    }
}

/// A reply with a template.
pub fn reply(template: &str) -> Action {
    Action::Reply {
        template: template.to_owned(),
        quote: false,
    }
}

/// An update as Telegram would send it, but for its number: a text of a person to the bot.
pub fn says(sender: i64, message: usize, words: &str) -> String {
    format!(
        r#"{{"message":{{"message_id":{message},"from":{{"id":{sender},"is_bot":false}},"chat":{{"id":{sender},"type":"private"}},"date":{NOW},"text":"{words}"}}}}"#
    )
}

/// A text message in a chat of its sender.
pub fn text(update_id: i64, sender: i64, words: &str) -> Update {
    Update {
        update_id,
        kind: "message".to_owned(),
        chat: Some(sender),
        sender: Some(sender),
        message: Some(Message {
            id: update_id,
            date: datetime!(2026-11-22 19:59:00 UTC),
            edit_date: 0,
            media: None,
            text: Some(words.to_owned()),
        }),
        raw: Bytes::from(format!(
            r#"{{"update_id":{update_id},"message":{{"text":"{words}"}}}}"#
        )),
    }
}

pub fn texts(ids: impl IntoIterator<Item = i64>) -> Vec<Update> {
    ids.into_iter()
        .map(|id| text(id, 500 + id % 7, "hello"))
        .collect()
}

pub fn pushed(bot: i64, updates: Vec<Update>) -> Batch {
    Batch {
        bot: BotId(bot),
        way: Way::Pushed,
        updates,
    }
}
