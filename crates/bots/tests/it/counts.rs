//! The figures "lost" and "doubled", and whether they tell of a loss and of a duplicate that were planted.

use crate::ground::{Ground, Running, ground, says, sim};
use anyhow::Result;
use bagua_bots::BotId;
use bagua_bots::counts::{Counts, counts};
use bagua_bots::ingest::{Batch, Way};
use bagua_bots::runner::{Read, read};
use bagua_telegram::{ApiBase, Client, GetUpdates, RawUpdate, Token, Transport};
use bagua_telegram_sim::Bot;
use bagua_testkit::eventually;
use bytes::Bytes;
use std::time::Duration;

async fn of(ground: &Ground, bot: &Bot) -> Result<Counts> {
    Ok(counts(&ground.data.app, BotId(bot.id())).await?)
}

async fn until_confirmed(bot: &Bot, updates: usize) -> Result<()> {
    eventually(&format!("{updates} confirmed updates"), || async {
        Ok((bot.totals().acknowledged == updates).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_planted_loss_and_a_planted_duplicate_are_told_as_one_and_one() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let runner = Running::start(&ground, "a")?;
    for number in 0..20 {
        bot.push(&says(42, number, "before"));
    }
    until_confirmed(&bot, 20).await?;
    runner.end().await?;
    let whole = of(&ground, &bot).await?;
    let expected = Counts {
        received: 20,
        stored: 20,
        ledger: 20,
        ..Counts::default()
    };
    assert_eq!((whole, whole.lost(20)), (expected, 0));

    // Somebody else with the token confirms an update that never was here.
    let stolen = bot.push(&says(42, 30, "stolen")).unwrap_or_default();
    let thief = Client::new(
        Transport::new(Duration::from_secs(2))?,
        ApiBase::parse(&sim.url())?,
        Token::parse(&bot.token())?,
    );
    for offset in [stolen, stolen + 1] {
        let ask = GetUpdates {
            offset: Some(offset),
            ..GetUpdates::default()
        };
        thief.get_updates(&ask).await?;
    }
    let runner = Running::start(&ground, "b")?;
    let last = bot.push(&says(42, 31, "after")).unwrap_or_default();
    until_confirmed(&bot, 22).await?;
    runner.end().await?;
    let confirmed = i64::try_from(bot.totals().acknowledged)?;
    let lossy = of(&ground, &bot).await?;
    assert_eq!(
        (lossy.lost(confirmed), lossy.missing, lossy.doubled),
        (1, 1, 0),
        "{lossy:?}"
    );

    // A ledger that forgot a line lets an update in a second time.
    sqlx::query("DELETE FROM update_ledger WHERE update_id = $1")
        .bind(last)
        .execute(&ground.data.owner)
        .await?;
    let raw = says(42, 31, "after").replacen('{', &format!(r#"{{"update_id":{last},"#), 1);
    let Read::Update(again) = read(RawUpdate::new(Bytes::from(raw))) else {
        anyhow::bail!("it has a number");
    };
    let batch = Batch {
        bot: BotId(bot.id()),
        way: Way::Pushed,
        updates: vec![*again],
    };
    ground.ingest.ingest(batch).await?;
    let both = of(&ground, &bot).await?;
    assert_eq!(
        (both.lost(confirmed), both.missing, both.doubled, both.hollow),
        (1, 1, 1, 0),
        "{both:?}"
    );
    Ok(())
}

#[tokio::test]
async fn repeats_are_received_and_not_stored_and_a_new_beginning_of_the_numbers_is_no_hole() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let batch = |ids: &[i64]| crate::ground::pushed(7, crate::ground::texts(ids.iter().copied()));
    ground.ingest.ingest(batch(&[1, 2, 2, 3])).await?;
    ground.ingest.ingest(batch(&[3, 4, 900_000_000])).await?;
    let found = counts(&ground.data.app, BotId(7)).await?;
    assert_eq!((found.received, found.stored, found.repeats()), (7, 5, 2));
    assert_eq!((found.missing, found.doubled, found.hollow), (0, 0, 0));
    Ok(())
}
