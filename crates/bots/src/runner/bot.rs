//! One bot under one lease.

use super::store::{self, Note, Settings};
use super::{Parts, RunnerConfig};
use crate::BotId;
use crate::lease::Lease;
use bagua_telegram::{ApiBase, Client, Token};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How a bot's task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to, and everything that it had received is committed.
    Stopped,
    /// Another process owns the bot. Nothing may be done for it any more.
    Lost,
    /// No call will succeed until a person does something; the bot's state says what.
    Invalid,
    /// Our fault.
    Panicked,
}

/// What a bot's task works with.
pub(super) struct Bot {
    pub(super) id: BotId,
    pub(super) parts: Parts,
    pub(super) config: RunnerConfig,
    pub(super) settings: Settings,
    pub(super) lease: watch::Receiver<Lease>,
    pub(super) stop: CancellationToken,
}

impl Bot {
    pub(super) async fn run(self) -> End {
        let client = match self.client().await {
            Ok(client) => client,
            Err(End::Invalid) => return End::Invalid,
            Err(end) => return end,
        };
        self.poll(&client).await
    }

    /// Opens the token. A key store that is away is waited for: the lease goes on.
    async fn client(&self) -> Result<Client, End> {
        let mut pause = self.config.pause;
        loop {
            let context = crate::catalogue::token_context(self.id);
            let why = match self.parts.keys.open(&context, &self.settings.token).await {
                Ok(plain) => match (self.token(&plain), ApiBase::parse(&self.settings.base_url)) {
                    (Some(token), Ok(base)) => {
                        return Ok(Client::new(self.parts.transport.clone(), base, token));
                    }
                    (None, _) => {
                        return Err(self
                            .invalid("token", "what is stored is no token of this bot")
                            .await);
                    }
                    (_, Err(error)) => return Err(self.invalid("base_url", &error.to_string()).await),
                },
                Err(bagua_keys::KeyError::Store(error)) => error.to_string(),
                Err(error) => return Err(self.invalid("token", &error.to_string()).await),
            };
            self.tell(&Note::new("retrying", Some("key_store"), Some(why)))
                .await;
            if self.rest(pause).await {
                return Err(End::Stopped);
            }
            pause = (pause * 2).min(super::poll::LONGEST_PAUSE);
        }
    }

    fn token(&self, plain: &[u8]) -> Option<Token> {
        let token = Token::parse(std::str::from_utf8(plain).ok()?).ok()?;
        (token.bot_id() == self.id.0).then_some(token)
    }

    pub(super) async fn invalid(&self, class: &str, why: &str) -> End {
        self.tell(&Note::new("invalid", Some(class), Some(why.to_owned())))
            .await;
        End::Invalid
    }

    /// Writes down what is to be seen of this bot.
    pub(super) async fn tell(&self, note: &Note) {
        let fence = self.lease.borrow().fence;
        let told = store::note(&self.parts.pool, self.id, fence, self.settings.generation, note).await;
        if let Err(error) = told {
            super::away("state", &error);
        }
    }

    /// Waits; `true` when the task has to end meanwhile.
    pub(super) async fn rest(&self, pause: std::time::Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(pause) => false,
        }
    }
}
