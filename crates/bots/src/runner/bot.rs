//! One bot under one lease.

use super::clerk::Clerk;
use super::store::{self, Note, Settings};
use super::{Parts, RunnerConfig};
use crate::BotId;
use crate::ingest::Missed;
use crate::lease::Lease;
use crate::outbox::store::Due;
use crate::texts::Texts;
use bagua_telegram::{ApiBase, Client, Limits, Token};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a send may take. Shorter than the time in which a process must have ended; one that takes longer is uncertain.
const SEND_LIMIT: Duration = Duration::from_secs(6);

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

impl End {
    /// Of several ends the heaviest counts.
    fn weight(self) -> u8 {
        match self {
            End::Stopped => 0,
            End::Invalid => 1,
            End::Panicked => 2,
            End::Lost => 3,
        }
    }
}

/// What a bot's task works with.
pub(super) struct Bot {
    pub(super) id: BotId,
    pub(super) parts: Parts,
    pub(super) config: Arc<RunnerConfig>,
    pub(super) settings: Settings,
    pub(super) lease: watch::Receiver<Lease>,
    /// Ends all parts of the task in an orderly way; the first part that ends cancels it for the others.
    pub(super) stop: CancellationToken,
    pub(super) wake: Arc<Wake>,
    pub(super) clerk: Clerk,
    /// What rules answer with.
    pub(super) texts: watch::Receiver<Arc<Texts>>,
}

/// Says that there is something to do, to whoever waits.
#[derive(Debug, Default)]
pub(super) struct Wake {
    /// Updates in the database whose rules have not run. Those that were committed in this process come by themselves.
    pub(super) work: Arc<Missed>,
    /// Calls in the outbox.
    pub(super) send: Notify,
    /// Those of them that rules have just put in: they need not be read.
    pub(super) calls: Mutex<Vec<Due>>,
}

impl Bot {
    pub(super) async fn run(&self) -> End {
        // Boxed, each of them: a future in a future lies there twice, and there are thousands of bots.
        let client = match Box::pin(self.client()).await {
            Ok(client) => client,
            Err(End::Invalid) => return End::Invalid,
            Err(end) => return end,
        };
        let sending = client.clone().with_limits(Limits {
            call: SEND_LIMIT,
            ..Limits::default()
        });
        // All parts end at their next safe point once one has ended: what was received is committed, what was begun to be
        // sent is sent or known to be uncertain.
        let ends = tokio::join!(
            self.part(Box::pin(self.receive(&client))),
            self.part(Box::pin(self.work())),
            self.part(Box::pin(self.send(&sending))),
        );
        [ends.0, ends.1, ends.2]
            .into_iter()
            .max_by_key(|end| end.weight())
            .unwrap_or(End::Stopped)
    }

    async fn part(&self, work: impl Future<Output = End>) -> End {
        let end = work.await;
        self.stop.cancel();
        end
    }

    async fn receive(&self, client: &Client) -> End {
        if self.settings.webhook.is_some() {
            return self.tend_webhook(client).await;
        }
        self.poll(client).await
    }

    /// Whether this process may act for the bot at this moment, by its own clock.
    pub(super) fn is_owner(&self) -> bool {
        Instant::now() < self.lease.borrow().until
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
