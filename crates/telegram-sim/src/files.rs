//! Files that a bot can fetch.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::json;

use crate::answer::{Answer, Refused};
use crate::bot::{Bot, SimFile, State};
use crate::params::Params;

/// The largest file that the cloud gives.
pub const LARGEST_DOWNLOAD: u64 = 20 << 20;

/// Keeps a file for the bot; its `file_id` is returned.
pub(crate) fn keep_upload<'a>(
    bot: &Bot,
    state: &'a mut State,
    folder: &str,
    content: Bytes,
) -> (String, &'a SimFile) {
    let size = content.len() as u64;
    keep(bot, state, folder, size, Some(content))
}

fn keep<'a>(
    bot: &Bot,
    state: &'a mut State,
    folder: &str,
    size: u64,
    content: Option<Bytes>,
) -> (String, &'a SimFile) {
    let number = state.files.len();
    // Of a bot its own; the unique id is the same for all bots.
    let id = format!("F{}-{number}", bot.id);
    let file = SimFile {
        path: format!("{folder}/file_{number}"),
        unique: format!("U{number}-{size}"),
        size,
        content,
    };
    let kept = state.files.entry(id.clone()).or_insert(file);
    (id, kept)
}

impl Bot {
    /// A file that the bot can fetch. Its `file_id` is returned.
    pub fn add_file(&self, content: Bytes) -> String {
        keep_upload(self, &mut self.state(), "documents", content).0
    }

    /// A file of which only the size is known: zeros, or too large to be fetched.
    pub fn add_file_of_size(&self, size: u64) -> String {
        keep(self, &mut self.state(), "documents", size, None).0
    }
}

pub(crate) fn get_file(bot: &Bot, params: &Params, local: bool) -> Answer {
    let state = bot.state();
    let id = params.get("file_id").unwrap_or_default();
    let Some(file) = state.files.get(id) else {
        return Refused::bad("invalid file_id").into();
    };
    if file.size > LARGEST_DOWNLOAD && !local {
        return Refused::bad("file is too big").into();
    }
    Answer::Ok(json!({
        "file_id": id, "file_unique_id": file.unique, "file_size": file.size, "file_path": file.path,
    }))
}

pub(crate) fn content(bot: &Bot, path: &str, local: bool) -> Response<axum::body::Body> {
    let state = bot.state();
    let found = state.files.values().find(|file| file.path == path);
    let content = found
        .filter(|file| file.size <= LARGEST_DOWNLOAD || local)
        .map(|file| {
            file.content
                .clone()
                .unwrap_or_else(|| vec![0; usize::try_from(file.size).unwrap_or_default()].into())
        });
    let (status, kind, body) = match content {
        Some(content) => (StatusCode::OK, "application/octet-stream", content),
        None => (
            StatusCode::NOT_FOUND,
            "application/json",
            Answer::from(Refused::new(404, "Not Found: file not found")).into_body(),
        ),
    };
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    answer
}
