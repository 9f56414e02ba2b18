//! What is written down for several bots at once.

use super::store::{Claim, Settled, State, claim, list, settle};
use crate::{BotId, Fence};
use anyhow::Result;
use bagua_testkit::{Kind, TestDatabase, database_of};

/// A cell with bots 1 and 2, owned with fence 5, and a waiting call of each.
async fn cell() -> Result<(TestDatabase, [i64; 2])> {
    let data = database_of(Kind::Data).await?;
    let mut calls = [0; 2];
    for (bot, call) in [1_i64, 2].into_iter().zip(&mut calls) {
        sqlx::query(
            "WITH bot AS (
                 INSERT INTO bots (bot_id, username, token, base_url, mode, desired)
                 VALUES ($1, 'bot', 'x', 'http://127.0.0.1:1', 'polling', 'running') RETURNING bot_id
             ) INSERT INTO bot_leases (bot_id, owner, fence, expires_at) SELECT bot_id, 'me', 5, 'infinity' FROM bot",
        )
        .bind(bot)
        .execute(&data.owner)
        .await?;
        *call = waiting(&data, bot, "first").await?;
    }
    Ok((data, calls))
}

async fn waiting(data: &TestDatabase, bot: i64, effect: &str) -> Result<i64> {
    let insert =
        "INSERT INTO outbox (bot_id, effect, chat_id, method, payload) VALUES ($1, $2, 7, 'sendMessage', 'x')
                  RETURNING outbox_id";
    Ok(sqlx::query_scalar(insert)
        .bind(bot)
        .bind(effect)
        .fetch_one(&data.owner)
        .await?)
}

fn claimed(bot: i64, fence: i64, call: i64) -> Claim {
    Claim {
        bot: BotId(bot),
        fence: Fence(fence),
        calls: vec![call],
    }
}

#[tokio::test]
async fn of_several_claims_only_those_under_the_lease_mark_anything() -> Result<()> {
    let (data, [first, second]) = cell().await?;
    let stale = waiting(&data, 1, "stale").await?;
    // An owner before this one, beside the present one, in one transaction.
    let claims = [claimed(1, 4, stale), claimed(1, 5, first), claimed(2, 5, second)];
    let marked = claim(&data.app, &claims).await?;
    assert_eq!(marked, [None, Some(vec![first]), Some(vec![second])]);
    let waits = list(&data.app, BotId(1), Some(State::Pending), 10).await?;
    assert_eq!(waits.iter().map(|call| call.id).collect::<Vec<_>>(), [stale]);
    // What is marked is not marked again.
    assert_eq!(claim(&data.app, &claims[1..2]).await?, [Some(Vec::new())]);
    Ok(())
}

#[tokio::test]
async fn a_text_that_postgresql_cannot_store_keeps_no_other_call_from_being_written_down() -> Result<()> {
    let (data, [first, second]) = cell().await?;
    claim(&data.app, &[claimed(1, 5, first), claimed(2, 5, second)]).await?;
    let odd = Settled {
        detail: Some("a\0b".to_owned()),
        ..Settled::new(State::Failed)
    };
    let settled = [
        (first, Fence(5), odd),
        (second, Fence(5), Settled::new(State::Sent)),
    ];
    settle(&data.app, &settled).await?;
    let failed = list(&data.app, BotId(1), Some(State::Failed), 10).await?;
    assert_eq!(failed[0].detail.as_deref(), Some("ab"));
    assert_eq!(list(&data.app, BotId(2), Some(State::Sent), 10).await?.len(), 1);
    Ok(())
}
