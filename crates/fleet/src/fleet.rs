//! What the last look found, and how a cell's row becomes what readers see.

use crate::config::{FleetConfig, Server};
use crate::store::Row;
use bagua_bots::counts::Counts;
use bagua_bots::outlook::Waiting;
use bagua_core::Granted;
use bagua_model::bots::{BotView, FleetView, ServerView};
use bagua_model::region::{Environment, RegionId};
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

/// What was found out beside the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    /// What the ledger says, and when it was counted.
    pub(crate) counts: Option<(Counts, OffsetDateTime)>,
    /// When it was last tried to count them.
    pub(crate) count_tried: Option<OffsetDateTime>,
    /// Updates stored within the last minute.
    pub(crate) per_minute: Option<i64>,
    /// How long 99 of 100 of the last answers took.
    pub(crate) reply_p99: Option<Duration>,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CellSeen {
    /// As they were seen last.
    pub(crate) bots: Vec<BotView>,
    /// Whether the last look had no answer.
    pub(crate) away: bool,
}

/// All cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fleet {
    pub(crate) cells: BTreeMap<RegionId, CellSeen>,
    pub(crate) has_keys: bool,
    pub(crate) servers: Vec<ServerView>,
}

impl Fleet {
    /// Before the first look: a cell that nobody has asked is not known to be there.
    pub(crate) fn unseen(config: &FleetConfig) -> Fleet {
        Fleet {
            cells: config
                .cells
                .iter()
                .map(|cell| {
                    let seen = CellSeen {
                        bots: Vec::new(),
                        away: true,
                    };
                    (cell.region.clone(), seen)
                })
                .collect(),
            has_keys: config.keys.is_some(),
            servers: config
                .servers
                .iter()
                .map(|server| ServerView {
                    name: server.name.clone(),
                    simulator: server.simulator,
                })
                .collect(),
        }
    }

    /// The part that `granted` reaches, and of that the wanted region.
    pub(crate) fn visible(
        &self,
        granted: &Granted,
        environment: Environment,
        wanted: Option<&RegionId>,
    ) -> FleetView {
        let cells = self.cells.iter().filter(|(region, _)| {
            granted.reaches(environment, Some(region)) && wanted.is_none_or(|wanted| wanted == *region)
        });
        let (mut bots, mut away) = (Vec::new(), Vec::new());
        for (region, cell) in cells {
            bots.extend(cell.bots.iter().cloned());
            if cell.away {
                away.push(region.clone());
            }
        }
        bots.sort_by(|a, b| (a.condition, &a.username, a.bot).cmp(&(b.condition, &b.username, b.bot)));
        FleetView {
            bots,
            away,
            has_keys: self.has_keys,
            servers: self.servers.clone(),
        }
    }

    /// A bot as it was last seen.
    pub(crate) fn find(&self, bot: i64) -> Option<&BotView> {
        self.cells
            .values()
            .flat_map(|cell| &cell.bots)
            .find(|view| view.bot == bot)
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A row as readers see it.
pub(crate) fn view(
    row: Row,
    region: &RegionId,
    servers: &[Server],
    extra: &Extra,
    now: OffsetDateTime,
) -> BotView {
    let server = servers
        .iter()
        .find(|server| server.base.to_string() == row.base_url);
    let (condition, desired, mode) = (row.shown(), row.desired(), row.mode());
    // What an owner before this one said last is no error of now.
    let speaks = row.state_generation == Some(row.generation);
    let push_fault = (row.shown() != row.condition()).then(|| row.seen_error.clone());
    let waiting = row.pending.map(|pending| Waiting {
        pending,
        since: row.waits_since,
    });
    let regions = row.places(region);
    let time_to_loss = waiting.and_then(|waiting| waiting.time_to_loss(now));
    BotView {
        bot: row.bot_id,
        username: row.username,
        region: region.clone(),
        regions,
        runs_in: row.runs_in.map(RegionId::new),
        simulator: server.is_some_and(|server| server.simulator),
        server: server.map_or(row.base_url, |server| server.name.clone()),
        mode,
        desired,
        condition,
        error: match push_fault {
            Some(_) => Some("push_failed".to_owned()),
            None => row.class.filter(|_| speaks),
        },
        detail: match push_fault {
            Some(said) => said,
            None => row.detail.filter(|_| speaks),
        },
        since: row.since,
        owner: row.owner,
        fence: row.fence,
        stored: extra.counts.map(|(counts, _)| counts.ledger),
        lost: extra.counts.map(|(counts, _)| counts.missing + counts.hollow),
        doubled: extra.counts.map(|(counts, _)| counts.doubled),
        counted_at: extra.counts.map(|(_, at)| at),
        last_received_at: row.last_received_at,
        lag_ms: row.lag_ms,
        per_minute: extra.per_minute,
        reply_p99_ms: extra.reply_p99.map(millis),
        throttled_s: row.throttled,
        time_to_loss_s: time_to_loss.map(|span| i64::try_from(span.as_secs()).unwrap_or(i64::MAX)),
        pending: row.pending,
        asked_at: row.asked_at,
        quarantined: row.quarantined,
        open_calls: row.open_calls,
        uncertain: row.uncertain,
        created_at: row.created_at,
    }
}
