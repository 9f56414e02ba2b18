//! Calls of one bot.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::envelope::{self, RawUpdate};
use crate::error::Refusal;
use crate::http::{Transport, causes};
use crate::{ApiBase, TelegramError, Token};

/// Telegram cuts a batch of updates at 4 MiB; no other answer is near that. Beyond it, it is not Telegram.
const LARGEST_ANSWER: usize = 16 << 20;

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the beginning of a call to the end of its answer.
    pub call: Duration,
    /// What is added to the time that a long poll may wait. Telegram holds a poll for 50 s at most.
    pub beyond_poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            beyond_poll: Duration::from_secs(10),
        }
    }
}

/// One bot at one server; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    base: ApiBase,
    token: Token,
    limits: Limits,
}

/// What `getUpdates` is asked.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct GetUpdates<'a> {
    /// Everything below is confirmed, and gone at Telegram for ever. Only a number whose updates are committed may
    /// stand here; nothing means to confirm nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u8>,
    /// Seconds to wait for an update; Telegram waits for 50 at most.
    pub timeout: u16,
    /// Kinds to receive from now on. Left out, Telegram keeps what was set last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_updates: Option<&'a [&'a str]>,
}

/// The answer of `getMe`, as far as it is needed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Me {
    /// The bot's user id.
    pub id: i64,
    /// Shown name.
    #[serde(default)]
    pub first_name: String,
    /// Name without the @.
    #[serde(default)]
    pub username: Option<String>,
    /// Whether it may be added to groups.
    #[serde(default)]
    pub can_join_groups: bool,
    /// Whether it receives what is not meant for it in groups.
    #[serde(default)]
    pub can_read_all_group_messages: bool,
}

/// The answer of `getFile`. The path works for an hour.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct FileInfo {
    /// The bot's own name for the file.
    pub file_id: String,
    /// The file's name among all bots, for ever; nothing can be fetched by it.
    pub file_unique_id: String,
    /// May exceed 31 bits.
    #[serde(default)]
    pub file_size: Option<u64>,
    /// Where it can be fetched.
    #[serde(default)]
    pub file_path: Option<String>,
}

impl Client {
    /// A bot with the usual limits.
    #[must_use]
    pub fn new(transport: Transport, base: ApiBase, token: Token) -> Self {
        Self {
            transport,
            base,
            token,
            limits: Limits::default(),
        }
    }

    /// The same bot with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The bot's user id.
    #[must_use]
    pub fn bot_id(&self) -> i64 {
        self.token.bot_id()
    }

    /// The server that it talks to.
    #[must_use]
    pub fn base(&self) -> &ApiBase {
        &self.base
    }

    /// Calls any method, also one that this crate has never heard of.
    ///
    /// # Errors
    /// See [`TelegramError`]; [`TelegramError::may_have_happened`] tells whether it may have been carried out.
    pub async fn call(
        &self,
        method: &str,
        parameters: &impl Serialize,
    ) -> Result<Box<RawValue>, TelegramError> {
        let (status, body) = self.exchange(method, parameters, self.limits.call).await?;
        raw_value(status, &envelope::result(status, &body)?)
    }

    /// Calls a method and reads its result.
    ///
    /// # Errors
    /// As [`Client::call`]; [`TelegramError::Unintelligible`] when the result is something else.
    pub async fn call_as<Answer: for<'a> Deserialize<'a>>(
        &self,
        method: &str,
        parameters: &impl Serialize,
    ) -> Result<Answer, TelegramError> {
        let result = self.call(method, parameters).await?;
        serde_json::from_str(result.get()).map_err(|error| TelegramError::Unintelligible {
            status: 200,
            excerpt: format!("the result of {method} is not understood: {error}"),
        })
    }

    /// Waits for updates. Receiving them confirms nothing: Telegram sends them again until a poll with a higher offset.
    ///
    /// # Errors
    /// As [`Client::call`]. Not for what is odd within an update.
    pub async fn get_updates(&self, ask: &GetUpdates<'_>) -> Result<Vec<RawUpdate>, TelegramError> {
        let wait = Duration::from_secs(u64::from(ask.timeout.min(50)));
        let limit = self.limits.call.max(wait + self.limits.beyond_poll);
        let (status, body) = self.exchange("getUpdates", ask, limit).await?;
        envelope::updates(status, &body)
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn get_me(&self) -> Result<Me, TelegramError> {
        self.call_as("getMe", &serde_json::Map::new()).await
    }

    /// Where a file can be fetched.
    ///
    /// # Errors
    /// As [`Client::call`]; in the cloud a file above 20 MiB is refused for ever ([`crate::Class::TooBig`]).
    pub async fn get_file(&self, file_id: &str) -> Result<FileInfo, TelegramError> {
        self.call_as("getFile", &serde_json::json!({ "file_id": file_id }))
            .await
    }

    /// Begins to fetch a file's content, `limit` bytes at most.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn download(&self, file_path: &str, limit: u64) -> Result<Download, TelegramError> {
        let uri = self.base.file(&self.token, file_path);
        let uri = uri.ok_or_else(|| TelegramError::Unwritable("the file's path is no path".to_owned()))?;
        let answer = timed(self.limits.call, self.transport.get(uri)).await?;
        let status = answer.status();
        if !status.is_success() {
            let body = timed(self.limits.call, collect(answer.into_body())).await?;
            let refusal = Refusal::read(status.as_u16(), &body).unwrap_or_else(|| Refusal {
                code: status.as_u16().into(),
                description: "the file was not given".to_owned(),
                retry_after: None,
                migrate_to_chat_id: None,
            });
            return Err(refusal.into());
        }
        Ok(Download {
            body: answer.into_body(),
            left: limit,
            limit,
            pause: self.limits.call,
        })
    }

    async fn exchange(
        &self,
        method: &str,
        parameters: &impl Serialize,
        limit: Duration,
    ) -> Result<(u16, Bytes), TelegramError> {
        let json =
            serde_json::to_vec(parameters).map_err(|error| TelegramError::Unwritable(error.to_string()))?;
        let letters = method.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let uri = self
            .base
            .method(&self.token, method)
            .filter(|_| letters && !method.is_empty());
        let uri =
            uri.ok_or_else(|| TelegramError::Unwritable("a method's name has letters only".to_owned()))?;
        timed(limit, async {
            let answer = self.transport.post(uri, json).await?;
            let status = answer.status().as_u16();
            Ok((status, collect(answer.into_body()).await?))
        })
        .await
    }
}

async fn timed<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, TelegramError>>,
) -> Result<T, TelegramError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(TelegramError::TimedOut(limit)))
}

fn raw_value(status: u16, result: &Bytes) -> Result<Box<RawValue>, TelegramError> {
    serde_json::from_slice::<&RawValue>(result)
        .map(ToOwned::to_owned)
        .map_err(|error| TelegramError::Unintelligible {
            status,
            excerpt: format!("the result is no JSON: {error}"),
        })
}

/// Reads a whole answer; one that comes in a single piece is not copied.
async fn collect(mut body: Incoming) -> Result<Bytes, TelegramError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| TelegramError::Interrupted(causes(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if all.len() + first.len() + data.len() > LARGEST_ANSWER {
            return Err(TelegramError::Interrupted(format!(
                "an answer of more than {LARGEST_ANSWER} bytes"
            )));
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    body: Incoming,
    left: u64,
    limit: u64,
    pause: Duration,
}

impl Download {
    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// When the connection ends or is silent too long, and when the file is larger than agreed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, TelegramError> {
        loop {
            let next = tokio::time::timeout(self.pause, self.body.frame()).await;
            let Some(frame) = next.map_err(|_| TelegramError::TimedOut(self.pause))? else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| TelegramError::Interrupted(causes(&error)))?;
            let Ok(data) = frame.into_data() else { continue };
            let size = data.len() as u64;
            self.left = self
                .left
                .checked_sub(size)
                .ok_or(TelegramError::FileTooBig { limit: self.limit })?;
            return Ok(Some(data));
        }
    }
}
