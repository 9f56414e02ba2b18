//! Chats are found by their names and messages by their words, behind the ingest, and the database alone tells neither.

use crate::ground::{Ground, ground, pushed};
use anyhow::{Context as _, Result, bail};
use bagua_bots::BotId;
use bagua_bots::runner::{Read, read};
use bagua_bots::search::{
    Hit, Indexer, Place, Search, behind, chats, chats_named, find, index, members, messages, names, of_query,
};
use bagua_keys::{KeyStore, MasterKey, Subject, SubjectKind};
use bagua_telegram::RawUpdate;
use bagua_testkit::eventually;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio_util::sync::CancellationToken;

const BOT: BotId = BotId(7);
const LIN: i64 = 42;
const ADA: i64 = 43;
const GROUP: i64 = -100;
const NOW: OffsetDateTime = datetime!(2026-11-22 20:00:00 UTC);

struct Said<'a> {
    update: i64,
    chat: i64,
    message: i64,
    who: i64,
    at: OffsetDateTime,
    words: &'a str,
}

fn json(said: &Said<'_>) -> String {
    let name = match said.who {
        LIN => r#""first_name":"Lin","last_name":"Wei""#,
        _ => r#""first_name":"Ada","username":"ada_l""#,
    };
    let chat = if said.chat < 0 {
        r#""type":"supergroup","title":"Tea 茶友 lovers""#.to_owned()
    } else {
        format!(r#""type":"private",{name}"#)
    };
    let Said {
        update,
        chat: id,
        message,
        who,
        at,
        words,
    } = said;
    let date = at.unix_timestamp();
    format!(
        r#"{{"update_id":{update},"message":{{"message_id":{message},"from":{{"id":{who},"is_bot":false,{name}}},"chat":{{"id":{id},{chat}}},"date":{date},"text":"{words}"}}}}"#
    )
}

async fn store(ground: &Ground, bot: BotId, raws: Vec<String>) -> Result<()> {
    let updates = raws
        .into_iter()
        .map(|raw| match read(RawUpdate::new(raw.clone().into())) {
            Read::Update(update) => Ok(*update),
            Read::WithoutNumber(_) => bail!("{raw} has no number"),
        });
    let updates = updates.collect::<Result<Vec<_>>>()?;
    ground.ingest.ingest(pushed(bot.0, updates)).await?;
    Ok(())
}

/// Seven messages of two people in three chats, over two months.
async fn talked() -> Result<Ground> {
    let ground = ground().await?;
    ground.bots([BOT.0, 8]).await?;
    let said = |update, chat, message, who, at, words| {
        json(&Said {
            update,
            chat,
            message,
            who,
            at,
            words,
        })
    };
    store(
        &ground,
        BOT,
        vec![
            said(
                1,
                LIN,
                1,
                LIN,
                datetime!(2026-09-22 08:00 UTC),
                "Where is my parcel?",
            ),
            said(
                2,
                GROUP,
                5,
                LIN,
                datetime!(2026-11-20 08:00 UTC),
                "我的包裹在哪里",
            ),
            said(
                3,
                GROUP,
                6,
                ADA,
                datetime!(2026-11-20 09:00 UTC),
                "PARCEL 12 is here",
            ),
            said(4, ADA, 1, ADA, datetime!(2026-11-22 19:00 UTC), "parcel"),
            said(5, ADA, 2, ADA, datetime!(2026-11-22 19:00 UTC), "hello"),
        ],
    )
    .await?;
    let edited = said(
        6,
        GROUP,
        6,
        ADA,
        datetime!(2026-11-20 09:00 UTC),
        "PARCEL 13 is here",
    )
    .replace(
        r#""message":{"message_id""#,
        r#""edited_message":{"edit_date":1795000000,"message_id""#,
    );
    store(&ground, BOT, vec![edited]).await?;
    store(
        &ground,
        BotId(8),
        vec![said(1, LIN, 1, LIN, NOW, "parcel for another bot")],
    )
    .await?;
    Ok(ground)
}

async fn all(ground: &Ground, keys: &KeyStore) -> Result<u64> {
    Ok(index(&ground.data.app, keys, 1_000).await?)
}

async fn search(ground: &Ground, search: Search, after: Option<Place>, most: usize) -> Result<Vec<Hit>> {
    let key = ground.keys.terms(BOT.0).await?;
    Ok(find(&ground.data.app, &key, BOT, &search, after, NOW, most).await?)
}

async fn found(ground: &Ground, typed: &str, chat: Option<i64>, sender: Option<i64>) -> Result<Vec<i64>> {
    let words = of_query(typed);
    let hits = search(ground, Search { words, chat, sender }, None, 50).await?;
    Ok(hits.into_iter().map(|hit| hit.line.update_id).collect())
}

#[tokio::test]
async fn messages_are_found_by_words_chat_and_sender_newest_first() -> Result<()> {
    let ground = talked().await?;
    assert_eq!(
        found(&ground, "parcel", None, None).await?,
        [0_i64; 0],
        "nothing is indexed yet"
    );
    let late = behind(&ground.data.app).await?;
    assert_eq!((late.updates, late.since), (7, Some(NOW)));
    assert_eq!(all(&ground, &ground.keys).await?, 7);
    assert_eq!(behind(&ground.data.app).await?.updates, 0);

    assert_eq!(found(&ground, "parcel", None, None).await?, [4, 6, 3, 1]);
    assert_eq!(found(&ground, "Here PARCEL", None, None).await?, [6, 3]);
    assert_eq!(
        found(&ground, "parcel 13", None, None).await?,
        [6],
        "each version is found by its own words"
    );
    assert_eq!(found(&ground, "包裹", None, None).await?, [2]);
    assert_eq!(found(&ground, "parcel", Some(GROUP), None).await?, [6, 3]);
    assert_eq!(found(&ground, "parcel", None, Some(LIN)).await?, [1]);
    assert_eq!(found(&ground, "", None, Some(LIN)).await?, [2, 1]);
    assert_eq!(
        found(&ground, "another", None, None).await?,
        [0_i64; 0],
        "a bot finds its own messages only"
    );

    let hit = search(
        &ground,
        Search {
            words: of_query("包裹"),
            ..Search::default()
        },
        None,
        1,
    )
    .await?;
    let text = hit[0].line.open(&ground.keys, BOT).await?;
    assert_eq!(text.as_deref(), Some("我的包裹在哪里"));
    assert_eq!(hit[0].line.received_at, Some(NOW));
    Ok(())
}

#[tokio::test]
async fn pages_of_what_was_found_follow_each_other_without_a_gap() -> Result<()> {
    let ground = talked().await?;
    all(&ground, &ground.keys).await?;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let words = of_query("parcel");
        let page = search(
            &ground,
            Search {
                words,
                ..Search::default()
            },
            after,
            1,
        )
        .await?;
        let Some(hit) = page.first() else { break };
        seen.push(hit.line.update_id);
        after = Some(hit.place());
    }
    assert_eq!(seen, [4, 6, 3, 1]);
    Ok(())
}

#[tokio::test]
async fn chats_are_listed_and_found_by_name_with_who_wrote_there() -> Result<()> {
    let ground = talked().await?;
    all(&ground, &ground.keys).await?;
    let pool = &ground.data.app;
    let rows = chats(pool, BOT, None, 10).await?;
    let shown: Vec<(i64, i64, Option<&str>)> = rows
        .iter()
        .map(|row| (row.chat, row.messages, row.kind.as_deref()))
        .collect();
    // All came at once here, so their numbers decide.
    assert_eq!(
        shown,
        [
            (ADA, 2, Some("private")),
            (LIN, 1, Some("private")),
            (GROUP, 2, Some("supergroup"))
        ]
    );
    let next = chats(pool, BOT, Some((rows[0].last_at, rows[0].chat)), 10).await?;
    assert_eq!(next.iter().map(|row| row.chat).collect::<Vec<_>>(), [LIN, GROUP]);
    assert_eq!(
        rows[2].open(&ground.keys, BOT).await?.as_deref(),
        Some("Tea 茶友 lovers")
    );

    let key = ground.keys.terms(BOT.0).await?;
    for (typed, expected) in [
        ("lovers tea", vec![GROUP]),
        ("茶友", vec![GROUP]),
        ("ada_l", vec![ADA]),
        ("te", vec![]),
        ("", vec![]),
    ] {
        let rows = chats_named(pool, &key, BOT, typed, 10).await?;
        assert_eq!(
            rows.iter().map(|row| row.chat).collect::<Vec<_>>(),
            expected,
            "{typed}"
        );
    }
    let wrote = members(pool, &ground.keys, BOT, GROUP, 10).await?;
    let wrote: Vec<_> = wrote
        .iter()
        .map(|peer| (peer.id, peer.messages, peer.name.as_deref()))
        .collect();
    assert_eq!(wrote, [(LIN, 1, Some("Lin Wei")), (ADA, 1, Some("Ada @ada_l"))]);

    let lines = messages(pool, BOT, GROUP, None, 10).await?;
    let lines: Vec<_> = lines.iter().map(|line| (line.message, line.update_id)).collect();
    assert_eq!(lines, [(6, 6), (5, 2)], "each message in its newest version");
    let lines = messages(pool, BOT, GROUP, Some(6), 10).await?;
    assert_eq!(lines.iter().map(|line| line.message).collect::<Vec<_>>(), [5]);
    Ok(())
}

#[tokio::test]
async fn a_new_name_replaces_the_old_one() -> Result<()> {
    let ground = talked().await?;
    all(&ground, &ground.keys).await?;
    let said = Said {
        update: 9,
        chat: GROUP,
        message: 9,
        who: ADA,
        at: NOW,
        words: "x",
    };
    store(
        &ground,
        BOT,
        vec![json(&said).replace("Tea 茶友 lovers", "Coffee")],
    )
    .await?;
    all(&ground, &ground.keys).await?;
    let called = names(&ground.data.app, &ground.keys, BOT, &[GROUP, LIN, 1]).await?;
    assert_eq!(called.get(&GROUP).map(String::as_str), Some("Coffee"));
    assert_eq!(
        (called.get(&LIN).map(String::as_str), called.get(&1)),
        (Some("Lin Wei"), None)
    );
    let key = ground.keys.terms(BOT.0).await?;
    assert!(
        chats_named(&ground.data.app, &key, BOT, "tea", 10)
            .await?
            .is_empty()
    );
    Ok(())
}

#[tokio::test]
async fn the_database_alone_tells_neither_words_nor_names() -> Result<()> {
    let ground = talked().await?;
    all(&ground, &ground.keys).await?;
    let stored: Vec<String> = sqlx::query_scalar(
        "SELECT t::text FROM message_terms t UNION ALL SELECT encode(name, 'escape') FROM peers UNION ALL SELECT p::text FROM peers p",
    )
    .fetch_all(&ground.data.owner)
    .await?;
    let open = ["parcel", "Lin", "Tea"].map(|word| stored.iter().any(|row| row.contains(word)));
    assert_eq!(open, [false; 3]);
    let mut terms = Vec::new();
    for bot in [7, 8] {
        let of: Vec<i64> = sqlx::query_scalar("SELECT unnest(terms) FROM message_terms WHERE bot_id = $1")
            .bind(bot)
            .fetch_all(&ground.data.owner)
            .await?;
        terms.push(of);
    }
    let (first, second) = (&terms[0], &terms[1]);
    assert!(
        !first.is_empty() && !second.is_empty() && second.iter().all(|term| !first.contains(term)),
        "the same word of two bots is two numbers"
    );
    Ok(())
}

#[tokio::test]
async fn several_indexers_index_each_update_once() -> Result<()> {
    let ground = ground().await?;
    ground.bots([BOT.0]).await?;
    let said = (1..=400).map(|n| {
        json(&Said {
            update: n,
            chat: GROUP,
            message: n,
            who: LIN + n % 2,
            at: NOW,
            words: "tea",
        })
    });
    store(&ground, BOT, said.collect()).await?;
    let stop = CancellationToken::new();
    let indexers: Vec<_> = (0..3)
        .map(|_| {
            let indexer = Indexer {
                pool: ground.data.app.clone(),
                keys: ground.keys.clone(),
            };
            tokio::spawn(indexer.run(stop.clone()))
        })
        .collect();
    let few = async {
        // Small steps of a fourth, so that all have something to do.
        while index(&ground.data.app, &ground.keys, 7).await? > 0 {}
        anyhow::Ok(())
    };
    few.await?;
    eventually("all to be indexed", || async {
        Ok((ground.count("message_terms").await? >= 400).then_some(()))
    })
    .await?;
    stop.cancel();
    for indexer in indexers {
        indexer.await?;
    }
    assert_eq!(ground.count("message_terms").await?, 400);
    let messages: i64 = sqlx::query_scalar("SELECT messages FROM chats")
        .fetch_one(&ground.data.owner)
        .await?;
    assert_eq!(messages, 400);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_opened_any_more_holds_up_nothing_and_a_key_store_that_is_away_loses_nothing()
-> Result<()> {
    let ground = talked().await?;
    // A key store that does not know the master key stands for one that cannot be asked.
    let mut random = StdRng::seed_from_u64(2);
    let other = KeyStore::new(
        ground.keys_db.app.clone(),
        MasterKey::new(&[9; 32]),
        &mut random,
        10,
    );
    assert!(index(&ground.data.app, &other, 1_000).await.is_err());
    assert_eq!(
        behind(&ground.data.app).await?.updates,
        7,
        "all of it is still to be done"
    );

    ground
        .keys
        .retire(Subject {
            kind: SubjectKind::Person,
            id: LIN,
        })
        .await?;
    sqlx::query("UPDATE data_keys SET wrapped = NULL, destroyed_at = clock_timestamp() WHERE subject_kind = 'person' AND subject_id = $1")
        .bind(LIN)
        .execute(&ground.keys_db.owner)
        .await?;
    let mut random = StdRng::seed_from_u64(3);
    let keys = KeyStore::new(
        ground.keys_db.app.clone(),
        MasterKey::new(&crate::ground::MASTER),
        &mut random,
        10,
    );
    assert_eq!(all(&ground, &keys).await?, 7);
    assert_eq!(
        found(&ground, "parcel", None, None).await?,
        [4, 6, 3],
        "what Lin wrote is gone"
    );
    Ok(())
}

#[tokio::test]
async fn what_telegram_invents_is_indexed_as_far_as_it_can_be() -> Result<()> {
    let ground = ground().await?;
    ground.bots([BOT.0]).await?;
    let odd = [
        r#"{"update_id":1,"message":{"message_id":1,"chat":{"id":-5,"type":"tele\u0000pathic","title":"a\u0000b"},"date":99999999999999,"text":"x"}}"#,
        r#"{"update_id":2,"my_chat_member":{"chat":{"id":-6,"type":"group","title":"Silent"},"from":{"id":42,"first_name":"Lin"},"date":1795000000}}"#,
        r#"{"update_id":3,"poll":{"id":"9"}}"#,
        r#"{"update_id":4,"channel_post":{"message_id":1,"sender_chat":{"id":-7,"title":"News","type":"channel"},"chat":{"id":-7,"title":"News","type":"channel"},"date":1795000000,"photo":[{"file_id":"f"}]}}"#,
    ];
    store(&ground, BOT, odd.map(str::to_owned).to_vec()).await?;
    all(&ground, &ground.keys).await?;
    let rows = chats(&ground.data.app, BOT, None, 10).await?;
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row.chat, row.messages, row.kind.clone()))
        .collect();
    let kind = |kind: &str| Some(kind.to_owned());
    assert_eq!(
        shown,
        [
            (-5, 0, kind("telepathic")),
            (-6, 0, kind("group")),
            (-7, 1, kind("channel"))
        ]
    );
    assert_eq!(
        found(&ground, "", None, Some(-7)).await?,
        [4],
        "a picture without words is found by who sent it"
    );
    let title = rows.first().context("a chat")?.open(&ground.keys, BOT).await?;
    assert_eq!(title.as_deref(), Some("a\0b"));
    Ok(())
}
