//! Methods about the bot itself: who it is, its webhook, logging out, closing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Refused};
use crate::bot::{Bot, Life, State, WaitEnd};
use crate::params::Params;
use crate::webhook::{Target, Webhook, push};

/// The cloud lets a bot that logged out back in after so long; `close` is refused for so long after a start.
const TEN_MINUTES: i64 = 10 * 60 * 1000;
/// How long the server says that it restarts, after `close`.
const RESTART: i64 = 1000;

pub(crate) fn get_me(bot: &Bot) -> Answer {
    Answer::Ok(json!({
        "id": bot.id, "is_bot": true, "first_name": bot.username, "username": bot.username,
        "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": true,
    }))
}

pub(crate) fn set_webhook(bot: &Arc<Bot>, params: &Params, local: bool) -> Result<Answer, Refused> {
    let url = params.get("url").unwrap_or_default();
    let mut state = bot.state();
    if url.is_empty() {
        return Ok(delete(bot, &mut state, params));
    }
    let now = Instant::now();
    if state.next_set_webhook.is_some_and(|next| now < next) {
        return Err(Refused::too_many(1));
    }
    state.next_set_webhook = Some(now + Duration::from_secs(1));
    let secret = params.get("secret_token").filter(|secret| !secret.is_empty());
    if let Some(secret) = secret {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if secret.len() > 256 {
            return Err(Refused::bad("secret token is too long"));
        }
        if !secret.chars().all(allowed) {
            return Err(Refused::bad("secret token contains unallowed characters"));
        }
    }
    let uri: http::Uri = url
        .parse()
        .map_err(|_| Refused::bad("invalid webhook URL specified"))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() {
        // A local Bot API server takes http, and so does this one; it has no certificates to check https with.
        return Err(Refused::bad(
            "bad webhook: the simulator pushes to http addresses",
        ));
    }
    let most = if local { 100_000 } else { 100 };
    let connections = params
        .number("max_connections")
        .unwrap_or(if local { 100 } else { 40 })
        .clamp(1, most);
    let connections = usize::try_from(connections).unwrap_or(40);
    let ip_address = params
        .get("ip_address")
        .filter(|ip| !ip.is_empty())
        .map(str::to_owned);
    let drop_pending = params.flag("drop_pending_updates");
    state.allowed.update(params.get("allowed_updates"));
    let same = state.webhook.as_ref().is_some_and(|old| {
        old.url == url
            && old.max_connections == connections
            && old.secret.as_deref() == secret
            && old.ip_address == ip_address
    });
    if same && !drop_pending {
        return Ok(Answer::yes());
    }
    if drop_pending {
        state.drop_pending(bot.clock.now());
    }
    state.end_wait(WaitEnd::WebhookSet);
    let stop = CancellationToken::new();
    let target = Target {
        uri,
        secret: secret.map(str::to_owned),
        connections,
        stop: stop.clone(),
    };
    // The old one ends when it is dropped here.
    state.webhook = Some(Webhook {
        url: url.to_owned(),
        secret: target.secret.clone(),
        max_connections: connections,
        ip_address,
        last_error: None,
        gone_since: None,
        stop,
    });
    drop(state);
    tokio::spawn(push(bot.clone(), target));
    Ok(Answer::yes())
}

pub(crate) fn delete_webhook(bot: &Bot, params: &Params) -> Answer {
    delete(bot, &mut bot.state(), params)
}

fn delete(bot: &Bot, state: &mut State, params: &Params) -> Answer {
    if params.flag("drop_pending_updates") {
        state.drop_pending(bot.clock.now());
    }
    state.webhook = None;
    Answer::yes()
}

pub(crate) fn webhook_info(bot: &Bot) -> Answer {
    let mut state = bot.state();
    state.expire(bot.clock.now());
    let mut info = json!({
        "url": "", "has_custom_certificate": false, "pending_update_count": state.queue.len(),
    });
    if let Some(webhook) = &state.webhook {
        info["url"] = webhook.url.as_str().into();
        info["max_connections"] = webhook.max_connections.into();
        info["ip_address"] = webhook.ip_address.as_deref().unwrap_or("127.0.0.1").into();
        if let Some((at, error)) = &webhook.last_error {
            info["last_error_date"] = (at / 1000).into();
            info["last_error_message"] = error.as_str().into();
        }
    }
    if let Some(kinds) = &state.allowed.0 {
        info["allowed_updates"] = kinds.as_slice().into();
    }
    Answer::Ok(info)
}

pub(crate) fn log_out(bot: &Bot) -> Answer {
    let now = bot.clock.now();
    let mut state = bot.state();
    // Whatever waits is gone: a bot must be drained first.
    state.drop_pending(now);
    state.webhook = None;
    state.end_wait(WaitEnd::Arrived);
    state.life = Life::LoggedOut {
        until: now + TEN_MINUTES,
    };
    Answer::yes()
}

pub(crate) fn close(bot: &Bot) -> Answer {
    let now = bot.clock.now();
    let mut state = bot.state();
    let left = state.started_at + TEN_MINUTES - now;
    if left > 0 {
        return Refused::too_many(left.unsigned_abs().div_ceil(1000)).into();
    }
    state.end_wait(WaitEnd::Arrived);
    state.life = Life::Closing { until: now + RESTART };
    Answer::yes()
}
