//! Rules that run behind the commit.

use crate::ground::{NOW, Running, ground, pushed, reply, says, sim};
use crate::process::quick;
use anyhow::Result;
use bagua_bots::BotId;
use bagua_bots::rules::{self, Action, Matches, RuleStoreError};
use bagua_bots::runner::{Read, RunnerConfig, read};
use bagua_bots::texts::{self, Entry};
use bagua_telegram::RawUpdate;
use bagua_testkit::eventually;
use std::time::Duration;

#[tokio::test]
async fn every_text_is_answered_once_and_in_order() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    ground
        .rule(bot.id(), Matches::default(), vec![reply("re: {text}")])
        .await?;
    let runner = Running::start(&ground, "a")?;
    for number in 0..24 {
        bot.push(&says(
            500 + number % 8,
            usize::try_from(number)?,
            &format!("text {number}"),
        ));
    }
    ground.until_calls(bot.id(), "sent", 24).await?;
    runner.end().await?;
    let totals = bot.totals();
    assert_eq!((totals.sends_done, totals.sends_doubled), (24, 0), "{totals:?}");
    for chat in 500..508 {
        let numbers: Vec<i64> = bot.with_log(|log| {
            let mine = log.sends.iter().filter(|send| send.chat_id == Some(chat));
            mine.filter_map(|send| send.text.as_ref()?.strip_prefix("re: text ")?.parse().ok())
                .collect()
        });
        assert_eq!(
            numbers,
            [chat - 500, chat - 492, chat - 484],
            "chat {chat} in order"
        );
    }
    let with_message = "outbox WHERE message_id IS NOT NULL AND rule_version = 1 AND attempts = 1";
    assert_eq!(ground.count(with_message).await?, 24);
    assert_eq!(ground.count("update_work").await?, 0);
    let plain = "outbox WHERE position('text'::bytea IN payload) > 0";
    assert_eq!(ground.count(plain).await?, 0, "what is said lies sealed");
    Ok(())
}

#[tokio::test]
async fn what_is_committed_here_is_answered_by_the_rules_of_that_moment_though_nobody_looks() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let rule = ground
        .rule(bot.id(), Matches::default(), vec![reply("first: {text}")])
        .await?;
    // After its first look it looks no more, so whatever happens was handed over.
    let hour = Duration::from_secs(3_600);
    let runner = Running::start_as(
        &ground,
        RunnerConfig {
            look: hour,
            lease: hour * 2,
            ..quick("a")
        },
    )?;
    bot.push(&says(42, 1, "polled"));
    ground.until_calls(bot.id(), "sent", 1).await?;
    // As a push of Telegram comes in, through the same process.
    let pushed_update = says(43, 2, "pushed").replacen('{', r#"{"update_id":900,"#, 1);
    let Read::Update(update) = read(RawUpdate::new(pushed_update.into())) else {
        anyhow::bail!("it has a number");
    };
    ground
        .ingest
        .ingest(pushed(bot.id(), vec![*update.clone()]))
        .await?;
    ground.until_calls(bot.id(), "sent", 2).await?;

    let mut changed = rule.clone();
    changed.actions = vec![reply("second: {text}")];
    let changed = rules::save(&ground.data.app, BotId(bot.id()), &changed).await?;
    bot.push(&says(42, 3, "changed"));
    ground.until_calls(bot.id(), "sent", 3).await?;
    rules::remove(&ground.data.app, BotId(bot.id()), changed.id, changed.version).await?;
    bot.push(&says(42, 4, "removed"));
    ground.until_stored(bot.id(), 4).await?;
    // The same once more does nothing, whichever way it comes.
    ground.ingest.ingest(pushed(bot.id(), vec![*update])).await?;
    runner.end().await?;
    let said = bot.with_log(|log| {
        log.sends
            .iter()
            .filter_map(|send| send.text.clone())
            .collect::<Vec<_>>()
    });
    assert_eq!(said, ["first: polled", "first: pushed", "second: changed"]);
    assert_eq!(ground.count("update_work").await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_comes_again_beside_something_new_is_not_learnt_from_once_more() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    ground
        .rule(bot.id(), Matches::default(), vec![Action::Drop])
        .await?;
    let runner = Running::start(&ground, "a")?;
    let update = |id: i64, rest: &str| {
        let raw = format!(r#"{{"update_id":{id},{rest}}}"#);
        match read(RawUpdate::new(raw.into())) {
            Read::Update(update) => Ok(*update),
            Read::WithoutNumber(_) => anyhow::bail!("it has a number"),
        }
    };
    let member = |id: i64, status: &str| {
        let rest = format!(
            r#""my_chat_member":{{"chat":{{"id":-55,"type":"group"}},"from":{{"id":42,"is_bot":false}},"date":{NOW},"new_chat_member":{{"status":"{status}"}}}}"#
        );
        update(id, &rest)
    };
    ground
        .ingest
        .ingest(pushed(bot.id(), vec![member(900, "kicked")?]))
        .await?;
    let blocked = |chats: i64| {
        let ground = &ground;
        eventually("the chat to be blocked or not", move || async move {
            Ok((ground.count("chat_blocks").await? == chats).then_some(()))
        })
    };
    blocked(1).await?;
    ground
        .ingest
        .ingest(pushed(bot.id(), vec![member(901, "member")?]))
        .await?;
    blocked(0).await?;
    let new = update(902, r#""poll":{"id":"1"}"#)?;
    ground
        .ingest
        .ingest(pushed(bot.id(), vec![member(900, "kicked")?, new]))
        .await?;
    eventually("all work to be done", || async {
        let done = "update_marks WHERE update_id = 902";
        Ok((ground.count(done).await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(ground.count("chat_blocks").await?, 0);
    runner.end().await
}

#[tokio::test]
async fn a_text_of_the_catalogues_is_said_in_the_senders_language_and_a_new_one_from_then_on() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let entry = |language: &str, key: &str, text: &str| Entry {
        language: language.to_owned(),
        key: key.to_owned(),
        text: text.to_owned(),
    };
    let mut entries = vec![
        entry("en", "order.late", "Order {1} is late."),
        entry("zh-CN", "order.late", "订单 {1} 晚到。"),
    ];
    assert!(texts::deliver(&ground.data.app, &entries).await?);
    assert!(
        !texts::deliver(&ground.data.app, &entries).await?,
        "the same once more changes nothing"
    );
    let says = |key: &str| Action::Say {
        key: key.to_owned(),
        quote: false,
    };
    let matches = Matches {
        pattern: Some("order ([0-9]+)".to_owned()),
        ..Matches::default()
    };
    ground
        .rule(bot.id(), matches, vec![says("order.late"), says("order.gone")])
        .await?;
    let runner = Running::start(&ground, "a")?;
    let asks = |language: &str, number: usize| {
        says_in(
            language,
            40 + i64::try_from(number).unwrap_or(0),
            number,
            &format!("order {number}"),
        )
    };
    bot.push(&asks("zh-hans", 1));
    bot.push(&asks("fr", 2));
    ground.until_calls(bot.id(), "sent", 2).await?;
    entries.push(entry("fr", "order.late", "La commande {1} tarde."));
    assert!(texts::deliver(&ground.data.app, &entries).await?);
    let french = || async {
        let sent = ground.count("outbox WHERE state = 'sent'").await?;
        bot.push(&asks("fr", usize::try_from(sent)? + 1));
        ground.until_calls(bot.id(), "sent", sent + 1).await?;
        let said = bot.with_log(|log| log.sends.last().and_then(|send| send.text.clone()));
        Ok(said
            .is_some_and(|text| text.starts_with("La commande"))
            .then_some(()))
    };
    eventually("the new text", french).await?;
    runner.end().await?;
    let said = bot.with_log(|log| {
        log.sends
            .iter()
            .filter_map(|send| send.text.clone())
            .collect::<Vec<_>>()
    });
    let first = &said[..2];
    assert!(
        first.contains(&"订单 1 晚到。".to_owned()) && first.contains(&"Order 2 is late.".to_owned()),
        "{said:?}"
    );
    // What is not there is not said, and that can be seen.
    let unsaid = ground
        .count("update_marks WHERE mark = 'unsaid' AND step = 1")
        .await?;
    assert_eq!(unsaid, i64::try_from(said.len())?);
    Ok(())
}

/// As [`says`], of somebody whose program speaks a language.
fn says_in(language: &str, sender: i64, message: usize, words: &str) -> String {
    says(sender, message, words).replacen(
        r#""is_bot":false"#,
        &format!(r#""is_bot":false,"language_code":"{language}""#),
        1,
    )
}

#[tokio::test]
async fn updates_without_a_rule_leave_no_work_and_a_new_rule_takes_effect_with_the_next() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let runner = Running::start(&ground, "a")?;
    bot.push(&says(42, 1, "before"));
    ground.until_stored(bot.id(), 1).await?;
    assert_eq!(ground.count("update_work").await?, 0);
    let tag = Action::Tag {
        tag: "seen".to_owned(),
    };
    let rule = ground
        .rule(bot.id(), Matches::default(), vec![tag, Action::Drop])
        .await?;
    bot.push(&says(42, 2, "after"));
    eventually("two marks", || async {
        Ok((ground.count("update_marks").await? == 2).then_some(()))
    })
    .await?;
    let marks: Vec<(i64, i16, i32, String, Option<String>)> =
        sqlx::query_as("SELECT rule_id, step, rule_version, mark, tag FROM update_marks ORDER BY step")
            .fetch_all(&ground.data.owner)
            .await?;
    let expected = [
        (rule.id, 0, 1, "tag".to_owned(), Some("seen".to_owned())),
        (rule.id, 1, 1, "drop".to_owned(), None),
    ];
    assert_eq!(marks, expected);
    runner.end().await
}

#[tokio::test]
async fn a_rule_changes_only_from_the_version_that_was_looked_at_and_keeps_its_history() -> Result<()> {
    let ground = ground().await?;
    ground.bots([7]).await?;
    let pool = &ground.data.app;
    let rule = ground.rule(7, Matches::default(), vec![Action::Drop]).await?;
    let mut changed = rule.clone();
    changed.title = "another".to_owned();
    let saved = rules::save(pool, BotId(7), &changed).await?;
    assert_eq!((saved.version, saved.title.as_str()), (2, "another"));
    let stale = rules::save(pool, BotId(7), &changed).await;
    assert!(matches!(stale, Err(RuleStoreError::Changed)), "{stale:?}");
    assert_eq!(ground.count("bot_rule_versions").await?, 2);
    let same_place = rules::save(pool, BotId(7), &rules::Rule { id: 0, ..rule }).await;
    assert!(
        matches!(same_place, Err(RuleStoreError::Refused(_))),
        "{same_place:?}"
    );
    assert_eq!(rules::list(pool, BotId(7)).await?, std::slice::from_ref(&saved));
    rules::remove(pool, BotId(7), saved.id, 2).await?;
    assert!(rules::list(pool, BotId(7)).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_group_that_goes_on_elsewhere_takes_its_rules_and_messages_along() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    let rule = ground
        .rule(bot.id(), Matches::default(), vec![Action::Forward { to: -100 }])
        .await?;
    bot.migrate(-100, -1_000_000_000_100);
    let runner = Running::start(&ground, "a")?;
    bot.push(&says(42, 1, "for the group"));
    ground.until_calls(bot.id(), "sent", 1).await?;
    let sends = bot.with_log(|log| log.sends.iter().map(|s| (s.chat_id, s.done)).collect::<Vec<_>>());
    assert_eq!(sends, [(Some(-100), false), (Some(-1_000_000_000_100), true)]);
    let rules = rules::list(&ground.data.app, BotId(bot.id())).await?;
    let moved = Action::Forward {
        to: -1_000_000_000_100,
    };
    assert_eq!(
        (rules[0].version, &rules[0].actions[..]),
        (rule.version + 1, &[moved][..])
    );
    runner.end().await
}

#[tokio::test]
async fn a_member_status_says_where_the_bot_may_speak() -> Result<()> {
    let ground = ground().await?;
    let sim = sim().await?;
    let bot = ground.bot_at(&sim).await?;
    ground
        .rule(bot.id(), Matches::default(), vec![Action::Drop])
        .await?;
    let runner = Running::start(&ground, "a")?;
    let became = |status: &str| {
        format!(
            r#"{{"my_chat_member":{{"chat":{{"id":-5,"type":"group"}},"from":{{"id":42}},"date":{NOW},"new_chat_member":{{"status":"{status}"}}}}}}"#
        )
    };
    let blocks = |wanted: i64| {
        let ground = &ground;
        async move {
            eventually(&format!("{wanted} blocks"), || async {
                Ok((ground.count("chat_blocks").await? == wanted).then_some(()))
            })
            .await
        }
    };
    bot.push(&became("kicked"));
    blocks(1).await?;
    bot.push(&became("member"));
    blocks(0).await?;
    runner.end().await
}
