//! The simulator as a whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result, bail};
use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::bot::{Bot, NewBot};
use crate::clock::SimClock;
use crate::{api, control, server};

/// How the simulator behaves.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where it listens; a loopback address. Port 0 takes a free one.
    pub address: Option<SocketAddr>,
    /// Whether it is a local Bot API server: no limit on downloads, more connections to a webhook.
    pub local: bool,
    /// What time it is.
    pub clock: SimClock,
    /// Routes of whoever runs it, beside Telegram's: a health check, metrics.
    pub beside: Router,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    bots: RwLock<Bots>,
}

#[derive(Default)]
struct Bots {
    by_token: HashMap<String, Arc<Bot>>,
    all: Vec<Arc<Bot>>,
}

/// A running simulator. It ends when this is dropped.
pub struct Sim {
    inner: Arc<Inner>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Sim {
    /// Starts on a free port of the loopback, unless `config` says where.
    ///
    /// # Errors
    /// When the address is taken, or is none of this machine alone.
    pub async fn start(config: Config) -> Result<Self> {
        let address = config
            .address
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = server::listen(address)
            .await
            .with_context(|| format!("the simulator cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            config,
            bots: RwLock::default(),
        });
        let router = Router::new()
            .nest("/sim", control::router())
            .fallback(api::handle)
            .with_state(inner.clone())
            .merge(inner.config.beside.clone());
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, router, stop.clone()));
        Ok(Self { inner, address, stop })
    }

    /// The address to give a client as its Bot API server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &SimClock {
        &self.inner.config.clock
    }

    /// Makes a bot.
    ///
    /// # Errors
    /// When there is one with this id or token.
    pub fn add_bot(&self, new: &NewBot) -> Result<Arc<Bot>> {
        self.inner.add_bot(new)
    }

    /// Gives a bot a new token, as BotFather does; the old one is unauthorized from then on.
    ///
    /// # Errors
    /// When the token is another bot's.
    pub fn replace_token(&self, bot: &Arc<Bot>, token: &str) -> Result<()> {
        self.inner.replace_token(bot, token)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
        for bot in self.inner.all() {
            bot.state().webhook = None;
        }
    }
}

impl Inner {
    pub(crate) fn bot(&self, token: &str) -> Option<Arc<Bot>> {
        let bots = self.bots.read().unwrap_or_else(PoisonError::into_inner);
        bots.by_token.get(token).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Bot>> {
        self.bots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .all
            .clone()
    }

    pub(crate) fn add_bot(&self, new: &NewBot) -> Result<Arc<Bot>> {
        let mut bots = self.bots.write().unwrap_or_else(PoisonError::into_inner);
        let id = match (&new.id, &new.token) {
            (Some(id), _) => *id,
            (None, Some(token)) => {
                let id = token.split(':').next().unwrap_or_default().parse();
                id.ok()
                    .context("a token begins with the bot's number and a colon")?
            }
            (None, None) => bots.all.iter().map(|bot| bot.id + 1).max().unwrap_or(700_000_001),
        };
        let token = new.token.clone().unwrap_or_else(|| format!("{id}:SIM{id:_>32}"));
        if !token.starts_with(&format!("{id}:")) {
            bail!("the token does not begin with the bot's id {id}");
        }
        if bots.by_token.contains_key(&token) || bots.all.iter().any(|bot| bot.id == id) {
            bail!("there is a bot {id} already");
        }
        let bot = Bot::new(id, token.clone(), new, self.config.clock.clone());
        bots.by_token.insert(token, bot.clone());
        bots.all.push(bot.clone());
        Ok(bot)
    }

    pub(crate) fn replace_token(&self, bot: &Arc<Bot>, token: &str) -> Result<()> {
        let mut bots = self.bots.write().unwrap_or_else(PoisonError::into_inner);
        if !token.starts_with(&format!("{}:", bot.id)) || bots.by_token.contains_key(token) {
            bail!(
                "the token is taken, or does not begin with the bot's id {}",
                bot.id
            );
        }
        bots.by_token.remove(&bot.token());
        bots.by_token.insert(token.to_owned(), bot.clone());
        bot.set_token(token.to_owned());
        Ok(())
    }
}
