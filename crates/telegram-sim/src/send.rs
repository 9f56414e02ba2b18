//! Methods that somebody sees the effect of: sending, changing, deleting, answering.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::{Answer, Refused};
use crate::bot::{Bot, State};
use crate::files::keep_upload;
use crate::log::SendRecord;
use crate::params::Params;

/// Longest text of a message and of a caption, in characters.
const LONGEST_TEXT: usize = 4096;
const LONGEST_CAPTION: usize = 1024;
/// What the log keeps of a text.
const KEPT_TEXT: usize = 256;

/// Beginnings of the names of methods that change something.
const CHANGES: [&str; 38] = [
    "send", "forward", "copy", "edit", "delete", "answer", "set", "pin", "unpin", "ban", "unban", "restrict",
    "promote", "approve", "decline", "create", "revoke", "export", "leave", "stop", "close", "reopen",
    "hide", "unhide", "upload", "add", "replace", "save", "gift", "verify", "remove", "read", "convert",
    "upgrade", "transfer", "post", "repost", "refund",
];

/// Whether a method changes something.
pub(crate) fn is_change(method: &str) -> bool {
    let method = method.to_ascii_lowercase();
    CHANGES.iter().any(|start| method.starts_with(start))
}

/// Whether a method makes a new message, which limits and blocks are about.
fn makes_message(method: &str) -> bool {
    ["send", "forward", "copy"]
        .iter()
        .any(|start| method.starts_with(start))
        && method != "sendchataction"
}

/// Carries a call out and logs it. `answered` is false when its answer will not reach the bot.
pub(crate) fn carry_out(bot: &Bot, method: &str, params: &Params, answered: bool) -> Answer {
    let now = bot.clock.now();
    let mut state = bot.state();
    let mut answer =
        execute(bot, &mut state, &method.to_ascii_lowercase(), params).unwrap_or_else(Answer::Refused);
    let message_id = match &mut answer {
        Answer::Ok(result) => result["message_id"]
            .as_i64()
            .or_else(|| result[0]["message_id"].as_i64()),
        _ => None,
    };
    record(&mut state, method, params, now, &answer, message_id, answered);
    answer
}

/// Logs a call that a planned fault kept from being carried out.
pub(crate) fn not_carried_out(bot: &Bot, method: &str, params: &Params, status: u16, answered: bool) {
    let now = bot.clock.now();
    let answer = Refused::new(status, "a planned fault").into();
    record(&mut bot.state(), method, params, now, &answer, None, answered);
}

fn record(
    state: &mut State,
    method: &str,
    params: &Params,
    now: i64,
    answer: &Answer,
    message_id: Option<i64>,
    answered: bool,
) {
    let text = [
        "text",
        "caption",
        "callback_query_id",
        "inline_query_id",
        "pre_checkout_query_id",
    ]
    .iter()
    .find_map(|name| params.get(name));
    let seq = state.log.sends.len();
    state.log.sends.push(SendRecord {
        seq,
        method: method.to_owned(),
        chat_id: params.number("chat_id"),
        text: text.map(|text| text.chars().take(KEPT_TEXT).collect()),
        received_at: now,
        answered_at: answered.then_some(now),
        done: answer.status() == 200,
        status: answer.status(),
        message_id,
    });
}

fn execute(bot: &Bot, state: &mut State, method: &str, params: &Params) -> Result<Answer, Refused> {
    match method {
        "answercallbackquery" => return answer_query(bot, state, params.get("callback_query_id")),
        "answerinlinequery" => return answer_query(bot, state, params.get("inline_query_id")),
        "answerprecheckoutquery" => return answer_query(bot, state, params.get("pre_checkout_query_id")),
        "answershippingquery" => return answer_query(bot, state, params.get("shipping_query_id")),
        _ => {}
    }
    let Some(chat) = params.get("chat_id") else {
        if makes_message(method) {
            return Err(Refused::bad("chat_id is empty"));
        }
        // Buttons below inline results, profiles, commands and the like: accepted.
        return Ok(Answer::yes());
    };
    let chat: i64 = chat.trim().parse().map_err(|_| Refused::bad("chat not found"))?;
    if chat == 0 {
        return Err(Refused::bad("chat not found"));
    }
    if let Some(to) = state.migrated.get(&chat) {
        return Err(Refused {
            migrate_to_chat_id: Some(*to),
            ..Refused::bad("group chat was upgraded to a supergroup chat")
        });
    }
    if state.blocked.contains(&chat) {
        return Err(Refused::new(
            403,
            if chat > 0 {
                "Forbidden: bot was blocked by the user"
            } else {
                "Forbidden: bot was kicked from the group chat"
            },
        ));
    }
    if makes_message(method) {
        return send(bot, state, method, chat, params);
    }
    let message = params.number("message_id");
    match method {
        "editmessagetext" | "editmessagecaption" | "editmessagemedia" | "editmessagereplymarkup" => {
            edit(bot, state, chat, message, method, params)
        }
        "deletemessage" => {
            let there = state
                .chats
                .get_mut(&chat)
                .zip(message)
                .and_then(|(chat, id)| chat.messages.remove(&id));
            there
                .map(|_| Answer::yes())
                .ok_or_else(|| Refused::bad("message to delete not found"))
        }
        // Those that are not there are passed over.
        "deletemessages" => {
            let ids: Vec<i64> = params
                .get("message_ids")
                .and_then(|ids| serde_json::from_str(ids).ok())
                .unwrap_or_default();
            if let Some(chat) = state.chats.get_mut(&chat) {
                chat.messages.retain(|id, _| !ids.contains(id));
            }
            Ok(Answer::yes())
        }
        _ => Ok(Answer::yes()),
    }
}

fn send(bot: &Bot, state: &mut State, method: &str, chat: i64, params: &Params) -> Result<Answer, Refused> {
    let text = params
        .get("text")
        .or_else(|| params.get("caption"))
        .unwrap_or_default();
    let length = text.chars().count();
    match method {
        "sendmessage" if text.trim().is_empty() => return Err(Refused::bad("message text is empty")),
        "sendmessage" if length > LONGEST_TEXT => return Err(Refused::bad("message is too long")),
        "sendmessage" => {}
        _ if length > LONGEST_CAPTION => return Err(Refused::bad("message caption is too long")),
        _ => {}
    }
    let album: Option<Vec<Value>> = params
        .get("media")
        .and_then(|media| serde_json::from_str(media).ok());
    let count = match &album {
        Some(parts) if method == "sendmediagroup" => parts.len(),
        None if method == "sendmediagroup" => return Err(Refused::bad("media must be non-empty")),
        _ => 1,
    };
    if method == "sendphoto" && params.get("photo").is_none() && params.files().is_empty() {
        return Err(Refused::bad("there is no photo in the request"));
    }
    if let Some(limits) = state.limits {
        let now = bot.clock.now();
        for _ in 0..count {
            state
                .buckets
                .take(&limits, chat, now)
                .map_err(Refused::too_many)?;
        }
    }
    let mut messages: Vec<Value> = Vec::with_capacity(count);
    for _ in 0..count {
        let photo = match method {
            "sendphoto" => Some(photo(bot, state, params)),
            _ => None,
        };
        let place = state.chats.entry(chat).or_default();
        place.last_message_id += 1;
        let id = place.last_message_id;
        place.messages.insert(id, said(params));
        let mut message = message(bot, chat, id, params);
        if let Some(photo) = photo {
            message["photo"] = photo;
        }
        messages.push(message);
    }
    Ok(match method {
        "copymessage" => Answer::Ok(json!({ "message_id": messages[0]["message_id"] })),
        "sendmediagroup" => Answer::Ok(messages.into()),
        "copymessages" | "forwardmessages" => {
            Answer::Ok(json!([{ "message_id": messages[0]["message_id"] }]))
        }
        _ => Answer::Ok(messages.swap_remove(0)),
    })
}

fn photo(bot: &Bot, state: &mut State, params: &Params) -> Value {
    let content: Option<Bytes> = params.files().values().next().cloned();
    match (params.get("photo"), content) {
        // A file_id is sent again.
        (Some(file), None) => json!([{
            "file_id": file, "file_unique_id": format!("u{file}"), "width": 1, "height": 1,
        }]),
        (_, content) => {
            let (id, file) = keep_upload(bot, state, "photos", content.unwrap_or_default());
            json!([{
                "file_id": id, "file_unique_id": file.unique, "file_size": file.size, "width": 1, "height": 1,
            }])
        }
    }
}

fn edit(
    bot: &Bot,
    state: &mut State,
    chat: i64,
    message_id: Option<i64>,
    method: &str,
    params: &Params,
) -> Result<Answer, Refused> {
    let place = state.chats.get_mut(&chat).zip(message_id);
    let Some((before, id)) = place.and_then(|(chat, id)| chat.messages.get_mut(&id).map(|said| (said, id)))
    else {
        return Err(Refused::bad("message to edit not found"));
    };
    if method == "editmessagetext" && params.get("text").unwrap_or_default().trim().is_empty() {
        return Err(Refused::bad("message text is empty"));
    }
    let after = said(params);
    if *before == after {
        return Err(Refused::bad(
            "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
        ));
    }
    *before = after;
    let mut message = message(bot, chat, id, params);
    message["edit_date"] = bot.clock.seconds().into();
    Ok(Answer::Ok(message))
}

/// What a message says, to tell whether a change changes it.
fn said(params: &Params) -> String {
    let parts = ["text", "caption", "media", "reply_markup"];
    parts
        .map(|name| params.get(name).unwrap_or_default())
        .join("\u{0}")
}

fn message(bot: &Bot, chat: i64, id: i64, params: &Params) -> Value {
    let mut message = json!({
        "message_id": id,
        "from": { "id": bot.id, "is_bot": true, "first_name": bot.username, "username": bot.username },
        "chat": chat_object(chat),
        "date": bot.clock.seconds(),
    });
    for name in ["text", "caption"] {
        if let Some(text) = params.get(name) {
            message[name] = text.into();
        }
    }
    if let Some(thread) = params.number("message_thread_id") {
        message["message_thread_id"] = thread.into();
    }
    message
}

/// A chat as it stands in messages.
pub(crate) fn chat_object(id: i64) -> Value {
    if id > 0 {
        json!({ "id": id, "type": "private", "first_name": format!("Person {id}") })
    } else if id < -1_000_000_000_000 {
        json!({ "id": id, "type": "supergroup", "title": format!("Group {id}") })
    } else {
        json!({ "id": id, "type": "group", "title": format!("Group {id}") })
    }
}

fn answer_query(bot: &Bot, state: &mut State, id: Option<&str>) -> Result<Answer, Refused> {
    let until = id.and_then(|id| state.queries.get(id)).copied();
    // May be answered twice; what counts is the time.
    match until {
        Some(until) if bot.clock.now() <= until => Ok(Answer::yes()),
        _ => Err(Refused::bad(
            "query is too old and response timeout expired or query ID is invalid",
        )),
    }
}
