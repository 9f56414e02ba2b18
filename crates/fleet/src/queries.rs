//! `bots.list` from memory, the others from the cell.

use crate::fleet::{Extra, view};
use crate::watch::COUNTING_TIME;
use crate::{Room, away, store};
use async_trait::async_trait;
use bagua_bots::ingest::context;
use bagua_bots::runner::{Read, read};
use bagua_bots::{BotId, counts};
use bagua_core::{Answers, AskContext};
use bagua_keys::KeyError;
use bagua_model::bots::{
    BotDetail, BotMode, BotSettings, FleetView, GetBot, GetUpdate, ListBots, ReadBot, SeenSettings,
    TAIL_MOST, TailBot, UpdateDetail, UpdateView,
};
use bagua_model::failure::Failure;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_telegram::{Kind, RawUpdate};
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::timeout;

impl Room {
    /// The cell of a bot that the asker may see. Every cell that they reach is asked: a bot that was added a moment ago is
    /// found, and one whose cell is away is not said to be missing.
    pub(crate) async fn find(&self, cx: &AskContext, bot: i64) -> Result<(RegionId, store::Row), Failure> {
        let reached = self
            .config
            .cells
            .iter()
            .filter(|cell| cx.granted.reaches(cx.environment, Some(&cell.region)));
        // The one where it was seen first.
        let seen = self.fleet.load().find(bot).map(|view| view.region.clone());
        let mut cells: Vec<_> = reached.collect();
        cells.sort_by_key(|cell| Some(&cell.region) != seen.as_ref());
        let mut unanswered = None;
        for cell in cells {
            match store::bot(&cell.pool, bot).await {
                Ok(Some(row)) => return Ok((cell.region.clone(), row)),
                Ok(None) => {}
                Err(error) => unanswered = Some(away(&cell.region, &error)),
            }
        }
        Err(unanswered.unwrap_or_else(|| Failure::not_found(bot)))
    }

    /// How a bot is set, here and at Telegram.
    fn settings(&self, region: &RegionId, row: &store::Row) -> BotSettings {
        let pushed = row.mode() == BotMode::Webhook;
        BotSettings {
            update_kinds: row.update_kinds.clone(),
            // Another region is pushed to where it is, as its owner tells Telegram.
            webhook_url: match row.runs_in.as_deref().filter(|place| *place != region.as_str()) {
                Some(place) => self.push_url(&RegionId::new(place), row.bot_id),
                None => row.webhook_url.clone(),
            }
            .filter(|_| pushed),
            push_url: self.push_url(region, row.bot_id),
            kinds: Kind::KNOWN.iter().map(|kind| kind.name().to_owned()).collect(),
            generation: row.generation,
            seen: row.asked_at.map(|at| SeenSettings {
                at,
                webhook_url: row.seen_url.clone().filter(|url| !url.is_empty()),
                update_kinds: row.seen_kinds.clone().unwrap_or_default(),
                last_error_at: row.seen_error_at,
                last_error: row.seen_error.clone(),
            }),
        }
    }

    async fn newest(&self, cx: &AskContext, bot: i64, limit: u32) -> Result<Vec<store::Update>, Failure> {
        if !(1..=TAIL_MOST).contains(&limit) {
            let text = Text::new(keys::BOT_TAIL_LIMIT).with("most", TAIL_MOST);
            return Err(Failure::field("limit", text));
        }
        let (region, _) = self.find(cx, bot).await?;
        store::tail(self.cell(&region)?, bot, i64::from(limit))
            .await
            .map_err(|error| away(&region, &error))
    }

    /// An update's own bytes; nothing when its key was destroyed.
    pub(crate) async fn open(&self, bot: i64, update: &store::Update) -> Result<Option<Vec<u8>>, Failure> {
        let at = context(b'u', BotId(bot), update.update_id);
        match self.keys()?.open(&at, &update.raw).await {
            Ok(plain) => Ok(Some(plain.to_vec())),
            Err(KeyError::Destroyed) => Ok(None),
            Err(error) => {
                tracing::warn!(
                    bot,
                    error = &error as &dyn std::error::Error,
                    "an update cannot be opened"
                );
                Err(Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE)))
            }
        }
    }
}

#[async_trait]
impl Answers<ListBots> for Room {
    async fn answer(&self, cx: &AskContext, query: ListBots) -> Result<FleetView, Failure> {
        // At the command line no loop has looked before.
        self.look_first().await;
        let fleet = self.fleet.load();
        Ok(fleet.visible(&cx.granted, cx.environment, query.region.as_ref()))
    }
}

#[async_trait]
impl Answers<GetBot> for Room {
    async fn answer(&self, cx: &AskContext, query: GetBot) -> Result<BotDetail, Failure> {
        let (region, row) = self.find(cx, query.bot).await?;
        let pool: &PgPool = self.cell(&region)?;
        // A ledger that takes long to count keeps the page from nothing else: it is shown as not counted.
        let counting = timeout(COUNTING_TIME, counts::counts(pool, BotId(query.bot)));
        let (timeline, counts) = tokio::join!(store::timeline(pool, query.bot), counting);
        let timeline = timeline.map_err(|error| away(&region, &error))?;
        let counts = counts.ok().transpose().map_err(|error| away(&region, &error))?;
        let seen = self.fleet.load();
        let seen = seen.find(query.bot);
        let extra = Extra {
            counts: counts.map(|counts| (counts, cx.now)),
            count_tried: None,
            per_minute: seen.and_then(|view| view.per_minute),
            reply_p99: seen
                .and_then(|view| view.reply_p99_ms)
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis),
        };
        let next_offset = row.next_offset;
        let settings = self.settings(&region, &row);
        Ok(BotDetail {
            bot: view(row, &region, &self.config.servers, &extra, cx.now),
            timeline,
            settings,
            next_offset,
        })
    }
}

#[async_trait]
impl Answers<TailBot> for Room {
    async fn answer(&self, cx: &AskContext, query: TailBot) -> Result<Vec<UpdateView>, Failure> {
        let updates = self.newest(cx, query.bot, query.limit).await?;
        Ok(updates.into_iter().map(masked).collect())
    }
}

#[async_trait]
impl Answers<ReadBot> for Room {
    async fn answer(&self, cx: &AskContext, query: ReadBot) -> Result<Vec<UpdateView>, Failure> {
        let mut shown = Vec::new();
        for update in self.newest(cx, query.bot, query.limit).await? {
            let raw = self.open(query.bot, &update).await?;
            shown.push(unmasked(update, raw));
        }
        Ok(shown)
    }
}

#[async_trait]
impl Answers<GetUpdate> for Room {
    async fn answer(&self, cx: &AskContext, query: GetUpdate) -> Result<UpdateDetail, Failure> {
        let (region, row) = self.find(cx, query.bot).await?;
        let pool = self.cell(&region)?;
        let (update, marks) = tokio::try_join!(
            store::update(pool, query.bot, query.update, query.received_at),
            store::marks(pool, query.bot, query.update)
        )
        .map_err(|error| away(&region, &error))?;
        let update = update.ok_or_else(|| Failure::not_found(query.update))?;
        let raw = self.open(query.bot, &update).await?;
        Ok(UpdateDetail {
            username: row.username,
            update: unmasked(update, raw.clone()),
            // Telegram sends UTF-8; whatever else came is shown as far as it can be.
            raw: raw.map(|raw| String::from_utf8_lossy(&raw).into_owned()),
            marks,
        })
    }
}

/// Who wrote what, as far as its key is there.
fn unmasked(update: store::Update, raw: Option<Vec<u8>>) -> UpdateView {
    let mut view = masked(update);
    let read = raw.map(|raw| read(RawUpdate::new(raw.into())));
    if let Some(Read::Update(update)) = read {
        view.chat = update.chat;
        view.sender = update.sender;
        if let Some(message) = update.message {
            view.media = message.media;
            view.text = message.text;
        }
    }
    view
}

fn masked(update: store::Update) -> UpdateView {
    UpdateView {
        update: update.update_id,
        received_at: update.received_at,
        kind: update.kind,
        media: None,
        chat: None,
        sender: None,
        text: None,
    }
}
