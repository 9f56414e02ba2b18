//! The room Bots of the console: the fleet and what can be done with it. See the README.
//!
//! The bots themselves run in `bagua runner` (`crates/bots`); this room reads what they wrote down and writes down what is
//! wanted of them.

mod calls;
mod chats;
mod config;
mod fleet;
mod operations;
mod quarantine;
mod queries;
mod rules;
mod store;
mod tokens;
mod tuning;
mod watch;

pub use config::{Cell, ConfigError, FleetConfig, Server, key_store};

use arc_swap::ArcSwap;
use bagua_bots::texts::{self, Entry};
use bagua_bots::{BotId, webhook};
use bagua_core::{Clock, ConsoleHandle, ConsoleParts, LiveHub, Registry};
use bagua_model::bots::bulk::ChangeBots;
use bagua_model::bots::calls::{DiscardQuarantine, GiveUpCalls, ListCalls, ReplayQuarantine, ResendCalls};
use bagua_model::bots::chats::{ListChats, ListMessages, SearchMessages};
use bagua_model::bots::rules::{ListRuleVersions, ListRules, OrderRules, RemoveRule, TryRule, WriteRule};
use bagua_model::bots::tuning::{GetTuning, MoveBot, TuneBots};
use bagua_model::bots::{
    AddBot, ConfigureBot, GetBot, GetUpdate, ListBots, ReadBot, ReplaceToken, RestartBot, StartBot, StopBot,
    TailBot,
};
use bagua_model::failure::Failure;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_telegram::{TelegramError, Transport};
use fleet::Fleet;
use sqlx::PgPool;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long a connection to a Bot API server may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Why the room cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No client for Bot API servers.
    #[error("the client for Bot API servers cannot be made")]
    Transport(#[from] TelegramError),
}

/// The room.
pub struct Room {
    config: FleetConfig,
    transport: Transport,
    /// The newest look at all cells; the list is answered from it.
    fleet: ArcSwap<Fleet>,
    /// Whether all cells have been asked once, with or without an answer.
    looked: AtomicBool,
    live: LiveHub,
    clock: Clock,
    console: ConsoleHandle,
}

impl Room {
    /// The room, without any bot until [`Room::run`] has looked.
    ///
    /// # Errors
    /// [`FleetError`]. Nothing is connected yet.
    pub fn new(config: FleetConfig, parts: &ConsoleParts) -> Result<Arc<Room>, FleetError> {
        Ok(Arc::new(Room {
            transport: Transport::new(CONNECT)?,
            fleet: ArcSwap::from_pointee(Fleet::unseen(&config)),
            looked: AtomicBool::new(false),
            live: parts.live.clone(),
            clock: parts.clock.clone(),
            console: parts.handle.clone(),
            config,
        }))
    }

    /// The data database of a region.
    fn cell(&self, region: &RegionId) -> Result<&PgPool, Failure> {
        let cell = self.config.cells.iter().find(|cell| cell.region == *region);
        cell.map(|cell| &cell.pool)
            .ok_or_else(|| Failure::field("region", Text::new(keys::BOT_NO_CELL).with("region", region)))
    }
}

impl Room {
    /// Brings the texts that rules of a region's bots answer with into its data database. Returns whether they are others than before.
    ///
    /// # Errors
    /// When the cell is away: it goes on with those that it has.
    pub async fn deliver(&self, region: &RegionId, texts: &[Entry]) -> Result<bool, sqlx::Error> {
        let cell = self.config.cells.iter().find(|cell| cell.region == *region);
        match cell {
            Some(cell) => texts::deliver(&cell.pool, texts).await,
            None => Ok(false),
        }
    }

    /// Where Telegram reaches a bot of a region; nothing where the settings name no address.
    fn push_url(&self, region: &RegionId, bot: i64) -> Option<String> {
        let cell = self.config.cells.iter().find(|cell| cell.region == *region)?;
        Some(webhook::url(cell.webhook_url.as_deref()?, BotId(bot)))
    }
}

/// A cell that does not answer, for whoever asked it.
fn away(region: &RegionId, error: &sqlx::Error) -> Failure {
    tracing::warn!(%region, error = error as &dyn std::error::Error, "the data database does not answer");
    Failure::unavailable(format!("@{}", keys::NOUN_CELL))
}

/// Registers what the room answers and carries out.
pub fn register(registry: &mut Registry, room: Arc<Room>) {
    registry
        .query::<ListBots>(Arc::clone(&room))
        .query::<GetBot>(Arc::clone(&room))
        .query::<TailBot>(Arc::clone(&room))
        .query::<ReadBot>(Arc::clone(&room))
        .query::<ListCalls>(Arc::clone(&room))
        .operation::<ResendCalls>(Arc::clone(&room))
        .operation::<GiveUpCalls>(Arc::clone(&room))
        .operation::<ReplayQuarantine>(Arc::clone(&room))
        .operation::<DiscardQuarantine>(Arc::clone(&room))
        .query::<GetUpdate>(Arc::clone(&room))
        .query::<ListChats>(Arc::clone(&room))
        .query::<ListMessages>(Arc::clone(&room))
        .query::<SearchMessages>(Arc::clone(&room))
        .query::<ListRules>(Arc::clone(&room))
        .query::<ListRuleVersions>(Arc::clone(&room))
        .query::<TryRule>(Arc::clone(&room))
        .operation::<WriteRule>(Arc::clone(&room))
        .operation::<RemoveRule>(Arc::clone(&room))
        .operation::<OrderRules>(Arc::clone(&room))
        .operation::<AddBot>(Arc::clone(&room))
        .operation::<ChangeBots>(Arc::clone(&room))
        .operation::<StartBot>(Arc::clone(&room))
        .operation::<StopBot>(Arc::clone(&room))
        .operation::<RestartBot>(Arc::clone(&room))
        .operation::<ConfigureBot>(Arc::clone(&room))
        .operation::<MoveBot>(Arc::clone(&room))
        .query::<GetTuning>(Arc::clone(&room))
        .operation::<TuneBots>(Arc::clone(&room))
        .operation::<ReplaceToken>(room);
}
