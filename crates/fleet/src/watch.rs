//! The loop that looks at all cells.

use crate::fleet::{CellSeen, Extra, Fleet, view};
use crate::{Room, store};
use bagua_bots::{BotId, Fence, counts, observe, outlook};
use bagua_model::bots::{BotCondition, BotView};
use bagua_model::region::RegionId;
use futures::future::join_all;
use std::collections::{BTreeMap, HashMap, VecDeque};
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
/// Over which time updates are counted for a rate.
const MINUTE: Duration = Duration::from_secs(60);
/// How often it is looked how long answers took.
const ANSWERS_EVERY: Duration = Duration::from_secs(10);
/// Bots that Telegram is asked about with one look, the longest not asked first.
const ASKED: usize = 5;
/// Telegram is not asked about a bot more often.
const ASKED_EVERY: time::Duration = time::Duration::seconds(10);

/// What the loop remembers of one cell.
#[derive(Default)]
struct Memory {
    bots: HashMap<i64, Extra>,
    count_at: Option<Instant>,
    answers_at: Option<Instant>,
    /// What each bot had stored, at each look of the last minute.
    sums: VecDeque<(Instant, HashMap<i64, i64>)>,
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
        Self::rates(memory, &rows, Instant::now());
        self.count(region, memory, &rows, now).await;
        // The first look is quick, so that whoever waits for it sees the bots at once.
        if self.looked.load(Ordering::Relaxed) {
            self.answers(region, memory).await;
            self.ask(region, &rows, now).await;
        }
        let none = Extra::default();
        Ok(rows
            .into_iter()
            .map(|row| {
                let extra = memory.bots.get(&row.bot_id).unwrap_or(&none);
                view(row, region, &self.config.servers, extra, now)
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

    /// How many updates each bot stored within the last minute: its sum now less that of a minute ago.
    fn rates(memory: &mut Memory, rows: &[store::Row], at: Instant) {
        memory
            .sums
            .push_back((at, rows.iter().map(|row| (row.bot_id, row.stored)).collect()));
        // The last one that is a minute old stays.
        while memory.sums.get(1).is_some_and(|(then, _)| at - *then >= MINUTE) {
            memory.sums.pop_front();
        }
        let before = memory.sums.front().filter(|(then, _)| at - *then >= MINUTE);
        for row in rows {
            let before = before.and_then(|(_, sums)| sums.get(&row.bot_id));
            let extra = memory.bots.entry(row.bot_id).or_default();
            extra.per_minute = before.map(|before| row.stored - before);
        }
    }

    /// How long answers took.
    async fn answers(&self, region: &RegionId, memory: &mut Memory) {
        if memory.answers_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let Ok(pool) = self.cell(region) else { return };
        let begun = Instant::now();
        let answered = timeout(PATIENCE / 2, outlook::answers(pool)).await;
        // Where it cannot be read in time, it is not known.
        let p99 = answered.ok().and_then(Result::ok).unwrap_or_default();
        for (bot, extra) in &mut memory.bots {
            extra.reply_p99 = p99.get(&BotId(*bot)).copied();
        }
        let pause = (begun.elapsed() * COUNTING_SHARE).max(ANSWERS_EVERY);
        memory.answers_at = Some(Instant::now() + pause);
    }

    /// What waits at Telegram for bots that nobody owns; an owner asks by itself. A few with each look, so that a large fleet does not
    /// knock at once.
    async fn ask(&self, region: &RegionId, rows: &[store::Row], now: OffsetDateTime) {
        let mut due: Vec<&store::Row> = rows
            .iter()
            // Its token is not taken: another call would say so once more.
            .filter(|row| row.owner.is_none() && row.condition() != BotCondition::Invalid)
            .filter(|row| row.asked_at.is_none_or(|at| now - at >= ASKED_EVERY))
            .collect();
        due.sort_by_key(|row| row.asked_at);
        due.truncate(ASKED);
        let Ok(pool) = self.cell(region) else { return };
        join_all(due.into_iter().map(|row| async move {
            let client = self.client(region, row.bot_id, &row.base_url).await.ok()?;
            let seen = timeout(PATIENCE / 2, observe::ask(&client)).await.ok()?.ok()?;
            // An owner that has come meanwhile has a higher fence, and its word stays.
            observe::write(pool, BotId(row.bot_id), Fence(row.fence), &seen)
                .await
                .ok()
        }))
        .await;
    }
}
