//! Tokens on their way in, and calls in a bot's name.

use crate::Room;
use crate::config::Server;
use crate::store;
use bagua_bots::BotId;
use bagua_bots::catalogue::token_context;
use bagua_bots::observe::{self, Info};
use bagua_keys::{KeyError, KeyStore, Subject, SubjectKind};
use bagua_model::bots::{SEALED_PREFIX, TokenInput};
use bagua_model::failure::Failure;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_telegram::{ApiBase, Class, Client, Limits, Me, TelegramError, Token};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::time::Duration;

/// How long a Bot API server may take when somebody waits for the answer.
const CALL: Duration = Duration::from_secs(8);

/// What a concealed token is bound to: its bot, and the server that it was typed for. So nobody who finds one in an
/// operation's input can have it sent anywhere else.
fn input_context(bot: i64, base: &ApiBase) -> Vec<u8> {
    format!("token of {bot} for {base}").into_bytes()
}

fn no_token() -> Failure {
    Failure::field("token", Text::new(keys::BOT_TOKEN_MALFORMED))
}

fn keys_away(error: &KeyError) -> Failure {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the key store gave no usable answer"
    );
    Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE))
}

impl Room {
    pub(crate) fn keys(&self) -> Result<&KeyStore, Failure> {
        let keys = self.config.keys.as_deref();
        keys.ok_or_else(|| Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE)))
    }

    /// A server by its name.
    pub(crate) fn server(&self, name: &str) -> Result<&Server, Failure> {
        let server = self.config.servers.iter().find(|server| server.name == name);
        server.ok_or_else(|| Failure::field("server", Text::new(keys::BOT_NO_SERVER).with("server", name)))
    }

    /// Seals what was typed; what is sealed already stays.
    pub(crate) async fn conceal_token(
        &self,
        typed: &TokenInput,
        base: &ApiBase,
    ) -> Result<TokenInput, Failure> {
        if typed.sealed().is_some() {
            return Ok(typed.clone());
        }
        let token = Token::parse(typed.expose()).map_err(|_| no_token())?;
        let bot = token.bot_id();
        let subject = Subject {
            kind: SubjectKind::Bot,
            id: bot,
        };
        let keys = self.keys()?;
        let key = keys
            .current_one(subject)
            .await
            .map_err(|error| keys_away(&error))?;
        let sealed = key
            .seal(
                &mut keys.random(),
                &input_context(bot, base),
                token.expose().as_bytes(),
            )
            .map_err(|error| keys_away(&error.into()))?;
        let sealed = BASE64_URL_SAFE_NO_PAD.encode(sealed);
        Ok(TokenInput::new(format!("{SEALED_PREFIX}{bot}:{sealed}")))
    }

    /// The token that is concealed in an input.
    pub(crate) async fn open_input(&self, input: &TokenInput, base: &ApiBase) -> Result<Token, Failure> {
        let sealed = input.sealed().ok_or_else(no_token)?;
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).map_err(|_| no_token())?;
        let context = input_context(input.bot(), base);
        match self.keys()?.open(&context, &sealed).await {
            Ok(plain) => read(&plain).ok_or_else(no_token),
            Err(error @ KeyError::Store(_)) => Err(keys_away(&error)),
            // Of another console, for another server, or not whole.
            Err(_) => Err(no_token()),
        }
    }

    /// The client of a bot that is written down.
    pub(crate) async fn client(&self, region: &RegionId, bot: i64, base: &str) -> Result<Client, Failure> {
        let sealed = store::sealed_token(self.cell(region)?, bot).await;
        let sealed = sealed
            .map_err(|error| crate::away(region, &error))?
            .ok_or_else(|| Failure::not_found(bot))?;
        let plain = self
            .keys()?
            .open(&token_context(BotId(bot)), &sealed)
            .await
            .map_err(|error| keys_away(&error))?;
        let base = ApiBase::parse(base).map_err(|_| Failure::internal())?;
        Ok(self.client_of(base, read(&plain).ok_or_else(Failure::internal)?))
    }

    pub(crate) fn client_of(&self, base: ApiBase, token: Token) -> Client {
        Client::new(self.transport.clone(), base, token).with_limits(Limits {
            call: CALL,
            ..Limits::default()
        })
    }
}

fn read(plain: &[u8]) -> Option<Token> {
    Token::parse(std::str::from_utf8(plain).ok()?).ok()
}

/// Whose token it is, as the server says.
pub(crate) async fn get_me(client: &Client) -> Result<Me, Failure> {
    let me = client.get_me().await.map_err(|error| refused(&error))?;
    if me.id != client.bot_id() {
        return Err(Failure::field("token", Text::new(keys::BOT_TOKEN_OTHER)));
    }
    Ok(me)
}

/// Asks what is set and what waits.
pub(crate) async fn info(client: &Client) -> Result<Info, Failure> {
    observe::ask(client).await.map_err(|error| refused(&error))
}

/// A call without success, in words for whoever typed the token.
fn refused(error: &TelegramError) -> Failure {
    match error.class() {
        Class::Unauthorized | Class::NotFound => Failure::field("token", Text::new(keys::BOT_TOKEN_REFUSED)),
        Class::LoggedOut => Failure::field("token", Text::new(keys::BOT_ERROR_LOGGED_OUT)),
        _ => {
            tracing::warn!(%error, "a Bot API server gave no usable answer");
            Failure::unavailable(format!("@{}", keys::NOUN_BOT_SERVER))
        }
    }
}
