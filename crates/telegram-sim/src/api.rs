//! The Bot API's own address: `/bot<token>/<method>` and `/file/bot<token>/<path>`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::json;

use crate::answer::{Answer, Refused};
use crate::bot::Bot;
use crate::faults::{self, Action};
use crate::params::Params;
use crate::server::Cut;
use crate::sim::Inner;
use crate::{files, manage, poll, send};

/// Everything that is not `/sim/…`.
pub(crate) async fn handle(State(sim): State<Arc<Inner>>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if let Some(rest) = path.strip_prefix("/file/bot") {
        let rest = rest
            .split_once('/')
            .map(|(token, path)| (token, path.strip_prefix("test/").unwrap_or(path)));
        return match rest.map(|(token, path)| (find(&sim, token), path)) {
            Some((Ok(bot), path)) => files::content(&bot, path, sim.config.local),
            Some((Err(refused), _)) => answer(refused.into()),
            None => answer(not_found()),
        };
    }
    let Some((token, method)) = path.strip_prefix("/bot").and_then(|rest| rest.split_once('/')) else {
        return answer(not_found());
    };
    let method = method.strip_prefix("test/").unwrap_or(method);
    let bot = match find(&sim, token) {
        Ok(bot) => bot,
        Err(refused) => return answer(refused.into()),
    };
    let params = match Params::read(request).await {
        Ok(params) => params,
        Err(refused) => return answer(refused.into()),
    };
    with_faults(&sim, &bot, method, &params).await
}

fn not_found() -> Answer {
    Refused::new(404, "Not Found").into()
}

/// The bot of a token: 404 for what is no token, 401 for one that is not, or no longer, good.
fn find(sim: &Inner, token: &str) -> Result<Arc<Bot>, Refused> {
    let is_token = token
        .split_once(':')
        .is_some_and(|(id, secret)| id.parse::<u64>().is_ok() && !secret.is_empty());
    if !is_token {
        return Err(Refused::new(404, "Not Found"));
    }
    let bot = sim.bot(token).ok_or_else(|| Refused::new(401, "Unauthorized"))?;
    bot.check_life(bot.clock.now())?;
    Ok(bot)
}

async fn with_faults(sim: &Inner, bot: &Arc<Bot>, method: &str, params: &Params) -> Response<Body> {
    let fault = faults::take(&mut bot.state().faults, method);
    let is_change = send::is_change(method) && !is_own(method);
    let failed = |status, answered| {
        if is_change {
            send::not_carried_out(bot, method, params, status, answered);
        }
    };
    match fault {
        None => answer(dispatch(sim, bot, method, params, true).await),
        Some(Action::Refuse {
            code,
            description,
            retry_after,
        }) => {
            failed(code, true);
            let description = match description.as_str() {
                "" => "Internal Server Error".to_owned(),
                _ => description,
            };
            answer(
                Refused {
                    retry_after,
                    ..Refused::new(code, description)
                }
                .into(),
            )
        }
        Some(Action::RefuseAfter { code }) => {
            dispatch(sim, bot, method, params, false).await;
            answer(Refused::new(code, "Internal Server Error").into())
        }
        Some(Action::Gateway) => {
            failed(502, true);
            (StatusCode::BAD_GATEWAY, "<html><h1>502 Bad Gateway</h1></html>").into_response()
        }
        Some(Action::CutBefore) => {
            failed(0, false);
            Cut::response()
        }
        Some(Action::CutAfter) => {
            dispatch(sim, bot, method, params, false).await;
            Cut::response()
        }
        Some(Action::Delay { millis }) => {
            let done = dispatch(sim, bot, method, params, true).await;
            tokio::time::sleep(Duration::from_millis(millis)).await;
            answer(done)
        }
        Some(Action::DelayBefore { millis }) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            answer(dispatch(sim, bot, method, params, true).await)
        }
    }
}

/// Methods about the bot itself, which are no sends.
fn is_own(method: &str) -> bool {
    matches!(
        method.to_ascii_lowercase().as_str(),
        "setwebhook" | "deletewebhook" | "close" | "logout"
    )
}

async fn dispatch(sim: &Inner, bot: &Arc<Bot>, method: &str, params: &Params, answered: bool) -> Answer {
    match method.to_ascii_lowercase().as_str() {
        "getupdates" => poll::get_updates(bot, params).await,
        "getme" => manage::get_me(bot),
        "setwebhook" => manage::set_webhook(bot, params, sim.config.local).unwrap_or_else(Answer::Refused),
        "deletewebhook" => manage::delete_webhook(bot, params),
        "getwebhookinfo" => manage::webhook_info(bot),
        "logout" => manage::log_out(bot),
        "close" => manage::close(bot),
        "getfile" => files::get_file(bot, params, sim.config.local),
        "getchat" => match params.number("chat_id") {
            Some(chat) => Answer::Ok(send::chat_object(chat)),
            None => Refused::bad("chat not found").into(),
        },
        "getmycommands" => Answer::Ok(json!([])),
        other if other.starts_with("get") => {
            Refused::bad(&format!("the simulator does not answer {method}")).into()
        }
        other if send::is_change(other) => send::carry_out(bot, method, params, answered),
        _ => Refused::new(404, "Not Found: method not found").into(),
    }
}

fn answer(answer: Answer) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = match &answer {
        Answer::Refused(refused) => refused.retry_after,
        _ => None,
    };
    let mut response = Response::new(Body::from(answer.into_body()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
