//! The loop that looks at all cells.

use crate::fleet::{CellSeen, Extra, Fleet, view};
use crate::{Room, store, tokens};
use bagua_bots::runner::{Read, read};
use bagua_bots::{BotId, counts};
use bagua_model::bots::{BotCondition, BotView};
use bagua_model::region::RegionId;
use bagua_telegram::RawUpdate;
use futures::future::join_all;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// How often the cells are read.
const LOOK: Duration = Duration::from_secs(2);
/// How long a cell may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Counting a ledger may take this share of the time: a large one is counted less often.
const COUNTING_SHARE: u32 = 20;
/// How long one look counts; a bot whose rows take longer is not counted.
pub(crate) const COUNTING_TIME: Duration = Duration::from_secs(1);
/// Bots whose last message is opened with one look, to see how late it was.
const LAGS: usize = 50;
/// Bots that Telegram is asked about with one look, the longest not asked first.
const ASKED: usize = 5;
/// Telegram is not asked about a bot more often.
const ASKED_EVERY: time::Duration = time::Duration::seconds(10);

/// What the loop remembers of one cell.
#[derive(Default)]
struct Memory {
    bots: HashMap<i64, Extra>,
    count_at: Option<Instant>,
}

impl Room {
    /// Looks until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut memory: BTreeMap<RegionId, Memory> = BTreeMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.look(&mut memory) => {}
            }
        }
    }

    /// Looks once, unless that has been done.
    pub(crate) async fn look_first(&self) {
        if !self.looked.load(Ordering::Relaxed) {
            self.look(&mut BTreeMap::new()).await;
        }
    }

    async fn look(&self, memory: &mut BTreeMap<RegionId, Memory>) {
        let before = self.fleet.load_full();
        let mut looks = Vec::new();
        for cell in &self.config.cells {
            let mut mine = memory.remove(&cell.region).unwrap_or_default();
            let before = before.cells.get(&cell.region).cloned().unwrap_or_default();
            looks.push(async move {
                let seen = match timeout(PATIENCE, self.look_at(&cell.region, &mut mine)).await {
                    Ok(Ok(bots)) => CellSeen { bots, away: false },
                    // As they were: what is not known to have changed is shown with its region named as away.
                    _ => CellSeen { away: true, ..before },
                };
                (cell.region.clone(), mine, seen)
            });
        }
        let mut cells = BTreeMap::new();
        for (region, mine, seen) in join_all(looks).await {
            memory.insert(region.clone(), mine);
            cells.insert(region, seen);
        }
        let now = Fleet {
            cells,
            ..(*before).clone()
        };
        let changed: Vec<RegionId> = now
            .cells
            .iter()
            .filter(|(region, cell)| before.cells.get(*region) != Some(*cell))
            .map(|(region, _)| region.clone())
            .collect();
        self.fleet.store(Arc::new(now));
        self.looked.store(true, Ordering::Relaxed);
        for region in changed {
            self.live.publish_volatile("bots", Some(region.as_str()));
        }
    }

    async fn look_at(&self, region: &RegionId, memory: &mut Memory) -> Result<Vec<BotView>, ()> {
        let pool = self.cell(region).map_err(|_| ())?;
        let rows = store::bots(pool, None).await.map_err(|error| {
            tracing::debug!(%region, error = &error as &dyn std::error::Error, "the cell does not answer");
        })?;
        memory
            .bots
            .retain(|bot, _| rows.iter().any(|row| row.bot_id == *bot));
        let now = self.clock.now();
        self.count(region, memory, &rows, now).await;
        // The first look is quick, so that whoever waits for it sees the bots at once.
        if self.looked.load(Ordering::Relaxed) {
            self.lags(region, memory, &rows).await;
            self.ask(region, memory, &rows, now).await;
        }
        let none = Extra::default();
        Ok(rows
            .into_iter()
            .map(|row| {
                let extra = memory.bots.get(&row.bot_id).unwrap_or(&none);
                view(row, region, &self.config.servers, extra)
            })
            .collect())
    }

    /// Counts what was lost and doubled, those first that were not counted for longest, as far as the time goes.
    async fn count(&self, region: &RegionId, memory: &mut Memory, rows: &[store::Row], now: OffsetDateTime) {
        if rows.is_empty() || memory.count_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let Ok(pool) = self.cell(region) else { return };
        let begun = Instant::now();
        let mut bots: Vec<i64> = rows.iter().map(|row| row.bot_id).collect();
        bots.sort_by_key(|bot| memory.bots.get(bot).and_then(|extra| extra.count_tried));
        for bot in bots {
            let counted = timeout(COUNTING_TIME, counts::counts(pool, BotId(bot))).await;
            let extra = memory.bots.entry(bot).or_default();
            extra.count_tried = Some(now);
            // One that takes too long keeps its old figures with their age, and is not counted before its turn comes again.
            if let Ok(Ok(counts)) = counted {
                extra.counts = Some((counts, now));
            }
            if begun.elapsed() > COUNTING_TIME {
                break;
            }
        }
        memory.count_at = Some(Instant::now() + begun.elapsed() * COUNTING_SHARE);
    }

    /// How late each bot's last message was stored; only of those that have a new one.
    async fn lags(&self, region: &RegionId, memory: &mut Memory, rows: &[store::Row]) {
        let Ok(pool) = self.cell(region) else { return };
        let news = rows.iter().filter_map(|row| Some((row.bot_id, row.last_update?)));
        let news: Vec<(i64, i64)> = news
            .filter(|(bot, update)| {
                let known = memory.bots.get(bot).and_then(|extra| extra.lag);
                known.is_none_or(|(of, _)| of != *update)
            })
            .take(LAGS)
            .collect();
        for (bot, update) in news {
            let Ok(Some(stored)) = store::update(pool, bot, update).await else {
                continue;
            };
            let Ok(Some(raw)) = self.open(bot, &stored).await else {
                continue;
            };
            let extra = memory.bots.entry(bot).or_default();
            let written = match read(RawUpdate::new(raw.into())) {
                Read::Update(update) => update.message.filter(|message| message.edit_date == 0),
                Read::WithoutNumber(_) => None,
            };
            // What is no message has no date of its own: the last one that had stays.
            let lag = written.map(|message| {
                let lag: time::Duration = stored.received_at - message.date;
                lag.whole_milliseconds()
            });
            let lag = lag.map(|lag| i64::try_from(lag).unwrap_or(i64::MAX).max(0));
            extra.lag = Some((update, lag.or(extra.lag.and_then(|(_, before)| before))));
        }
    }

    /// What waits at Telegram: a few bots with each look, so that a large fleet does not knock at once.
    async fn ask(&self, region: &RegionId, memory: &mut Memory, rows: &[store::Row], now: OffsetDateTime) {
        let asked_at = |bot: i64| {
            memory
                .bots
                .get(&bot)
                .and_then(|extra| extra.pending)
                .map(|(_, at)| at)
        };
        let mut due: Vec<&store::Row> = rows
            .iter()
            // Its token is not taken: another call would say so once more.
            .filter(|row| row.condition() != BotCondition::Invalid)
            .filter(|row| asked_at(row.bot_id).is_none_or(|at| now - at >= ASKED_EVERY))
            .collect();
        due.sort_by_key(|row| asked_at(row.bot_id));
        due.truncate(ASKED);
        let asked = join_all(due.into_iter().map(|row| async move {
            let client = self.client(region, row.bot_id, &row.base_url).await.ok()?;
            let waiting = timeout(PATIENCE / 2, tokens::waiting(&client)).await.ok()?.ok()?;
            Some((row.bot_id, waiting.pending))
        }));
        for (bot, pending) in asked.await.into_iter().flatten() {
            memory.bots.entry(bot).or_default().pending = Some((pending, now));
        }
    }
}
