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
use bagua_model::bots::{BotDetail, FleetView, GetBot, ListBots, ReadBot, TAIL_MOST, TailBot, UpdateView};
use bagua_model::failure::Failure;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_telegram::RawUpdate;
use sqlx::PgPool;
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
            pending: seen.and_then(|view| view.pending.zip(view.asked_at)),
            lag: seen.map(|view| (0, view.lag_ms)),
        };
        let next_offset = row.next_offset;
        Ok(BotDetail {
            bot: view(row, &region, &self.config.servers, &extra),
            timeline,
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
            shown.push(view);
        }
        Ok(shown)
    }
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
