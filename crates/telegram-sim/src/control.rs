//! `/sim/…`: what a test or a demo does at Telegram's side.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bot::{Bot, NewBot};
use crate::faults::Fault;
use crate::limits::SendLimits;
use crate::load::{self, Load};
use crate::sim::Inner;

type Sim = State<Arc<Inner>>;
type Answer = Result<Json<Value>, Failure>;

/// A refusal of the control API: its status and a sentence.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

pub(crate) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/bots", get(list).post(add))
        .route("/bots/{id}", get(one))
        .route("/bots/{id}/updates", get(updates).post(push))
        .route("/bots/{id}/load", post(load))
        .route("/bots/{id}/sends", get(sends))
        .route("/bots/{id}/polls", get(polls))
        .route("/bots/{id}/faults", post(plan).delete(clear_faults))
        .route("/bots/{id}/revoke", post(revoke))
        .route("/bots/{id}/token", post(token))
        .route("/bots/{id}/block", post(block))
        .route("/bots/{id}/migrate", post(migrate))
        .route("/bots/{id}/limits", post(limits))
        .route("/bots/{id}/ids", post(ids))
        .route("/bots/{id}/files", post(file))
        .route("/clock", get(clock).post(advance))
}

fn bot(sim: &Inner, id: i64) -> Result<Arc<Bot>, Failure> {
    let found = sim.all().into_iter().find(|bot| bot.id() == id);
    found.ok_or_else(|| Failure(StatusCode::NOT_FOUND, format!("there is no bot {id}")))
}

fn describe(bot: &Bot) -> Value {
    json!({
        "id": bot.id, "username": bot.username, "token": bot.token(), "pending": bot.pending(),
        "totals": bot.totals(),
    })
}

async fn list(State(sim): Sim) -> Answer {
    Ok(Json(sim.all().iter().map(|bot| describe(bot)).collect()))
}

async fn add(State(sim): Sim, Json(new): Json<NewBot>) -> Answer {
    Ok(Json(describe(&*sim.add_bot(&new)?)))
}

async fn one(State(sim): Sim, Path(id): Path<i64>) -> Answer {
    Ok(Json(describe(&*bot(&sim, id)?)))
}

/// A part of a log.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    from: usize,
    limit: Option<usize>,
}

impl Part {
    fn of<'a, T>(&self, rows: &'a [T]) -> &'a [T] {
        let from = self.from.min(rows.len());
        let to = from.saturating_add(self.limit.unwrap_or(1000)).min(rows.len());
        &rows[from..to]
    }
}

async fn updates(State(sim): Sim, Path(id): Path<i64>, Query(part): Query<Part>) -> Answer {
    Ok(Json(bot(&sim, id)?.with_log(|log| json!(part.of(&log.updates)))))
}

async fn sends(State(sim): Sim, Path(id): Path<i64>, Query(part): Query<Part>) -> Answer {
    Ok(Json(bot(&sim, id)?.with_log(|log| json!(part.of(&log.sends)))))
}

async fn polls(State(sim): Sim, Path(id): Path<i64>, Query(part): Query<Part>) -> Answer {
    Ok(Json(bot(&sim, id)?.with_log(|log| json!(part.of(&log.polls)))))
}

/// The body is one update without `update_id`; its bytes are kept as they are.
async fn push(State(sim): Sim, Path(id): Path<i64>, body: String) -> Answer {
    Ok(Json(json!({ "update_id": bot(&sim, id)?.push(&body) })))
}

async fn load(State(sim): Sim, Path(id): Path<i64>, Json(load): Json<Load>) -> Answer {
    let bot = bot(&sim, id)?;
    let updates = load.updates;
    tokio::spawn(async move { load::run(&bot, load).await });
    Ok(Json(json!({ "begun": updates })))
}

async fn plan(State(sim): Sim, Path(id): Path<i64>, Json(fault): Json<Fault>) -> Answer {
    bot(&sim, id)?.plan(fault);
    Ok(Json(json!({})))
}

async fn clear_faults(State(sim): Sim, Path(id): Path<i64>) -> Answer {
    bot(&sim, id)?.clear_faults();
    Ok(Json(json!({})))
}

async fn revoke(State(sim): Sim, Path(id): Path<i64>) -> Answer {
    bot(&sim, id)?.revoke();
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct NewToken {
    token: String,
}

async fn token(State(sim): Sim, Path(id): Path<i64>, Json(new): Json<NewToken>) -> Answer {
    let bot = bot(&sim, id)?;
    sim.replace_token(&bot, &new.token)?;
    Ok(Json(describe(&bot)))
}

#[derive(Deserialize)]
struct Block {
    chat_id: i64,
    blocked: bool,
}

async fn block(State(sim): Sim, Path(id): Path<i64>, Json(block): Json<Block>) -> Answer {
    bot(&sim, id)?.block(block.chat_id, block.blocked);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Migrate {
    from: i64,
    to: i64,
}

async fn migrate(State(sim): Sim, Path(id): Path<i64>, Json(migrate): Json<Migrate>) -> Answer {
    bot(&sim, id)?.migrate(migrate.from, migrate.to);
    Ok(Json(json!({})))
}

async fn limits(State(sim): Sim, Path(id): Path<i64>, Json(limits): Json<Option<SendLimits>>) -> Answer {
    bot(&sim, id)?.limit_sends(limits);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Ids {
    next: i64,
}

async fn ids(State(sim): Sim, Path(id): Path<i64>, Json(ids): Json<Ids>) -> Answer {
    if bot(&sim, id)?.restart_ids_at(ids.next) {
        return Ok(Json(json!({})));
    }
    Err(Failure(
        StatusCode::CONFLICT,
        "updates wait; ids are set anew only while none does".to_owned(),
    ))
}

#[derive(Deserialize)]
struct Size {
    size: Option<u64>,
}

/// The body is the file; with `?size=` it is one of that size without content.
async fn file(State(sim): Sim, Path(id): Path<i64>, Query(size): Query<Size>, body: Bytes) -> Answer {
    let bot = bot(&sim, id)?;
    let file = match size.size {
        Some(size) => bot.add_file_of_size(size),
        None => bot.add_file(body),
    };
    Ok(Json(json!({ "file_id": file })))
}

async fn clock(State(sim): Sim) -> Json<Value> {
    Json(json!({ "now": sim.config.clock.now() }))
}

#[derive(Deserialize)]
struct Advance {
    millis: i64,
}

async fn advance(State(sim): Sim, Json(advance): Json<Advance>) -> Json<Value> {
    sim.config.clock.advance(advance.millis);
    Json(json!({ "now": sim.config.clock.now() }))
}
