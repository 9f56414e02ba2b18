//! Who may read content browses chats and finds messages, each reading audited; who may not learns nothing.

use crate::bots::{land, push, rows_with};
use crate::support::{AWAY, HOME, text};
use bagua_model::access::Role;
use bagua_model::bots::chats::{CHATS_AT_ONCE, ListChats, ListMessages, SearchMessages};
use bagua_model::failure::FailureKind;
use bagua_testkit::eventually;
use time::OffsetDateTime;

type Outcome = anyhow::Result<()>;

fn chats(bot: i64) -> ListChats {
    ListChats {
        bot,
        name: None,
        after: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_browsed_and_messages_found_by_who_may_and_each_reading_is_audited() -> Outcome {
    let land = land().await?;
    let operator = land.house.person("Ada", Role::Operator, None).await?;
    let officer = land.house.person("Offi", Role::ComplianceOfficer, None).await?;
    let bot = land.bot(800_000_061)?;
    land.add(&operator, &bot, HOME).await?;
    // More than a page, the last of them in a group.
    let most = i64::from(CHATS_AT_ONCE);
    push(&bot, "my parcel number", most + 9);
    let date = OffsetDateTime::now_utc().unix_timestamp();
    bot.push(&format!(
        r#"{{"message":{{"message_id":7,"from":{{"id":43,"is_bot":false,"first_name":"Lin","last_name":"Wei"}},"chat":{{"id":-100,"type":"group","title":"Tea lovers"}},"date":{date},"text":"parcel of <b>tea</b>"}}}}"#
    ));
    let runner = land.runner(&land.home.app, "one")?;
    let console = &land.house.parts.console;
    let bot = bot.id();
    let view = eventually("both chats with all messages", || async {
        let view = console.ask(&officer.actor, chats(bot)).await?;
        let messages: i64 = view.page.rows.iter().map(|chat| chat.messages).sum();
        Ok((messages == most + 10).then_some(view))
    })
    .await?;
    assert_eq!((view.index.behind, view.index.behind_s), (0, None));
    let named: Vec<_> = view
        .page
        .rows
        .iter()
        .map(|chat| (chat.chat, chat.name.as_deref()))
        .collect();
    assert_eq!(named.len(), 2);
    assert!(
        named.contains(&(-100, Some("Tea lovers"))) && named.contains(&(42, Some("A"))),
        "{named:?}"
    );
    let by_name = ListChats {
        name: Some(" LOVERS ".to_owned()),
        ..chats(bot)
    };
    let found = console.ask(&officer.actor, by_name).await?;
    assert_eq!(
        found.page.rows.iter().map(|chat| chat.chat).collect::<Vec<_>>(),
        [-100]
    );

    let page = |after| ListMessages { bot, chat: 42, after };
    let first = console.ask(&officer.actor, page(None)).await?;
    assert_eq!(first.page.rows.len(), usize::from(CHATS_AT_ONCE));
    assert_eq!(
        first.page.rows[0].text.as_deref(),
        Some(format!("my parcel number {}", most + 9).as_str())
    );
    assert_eq!(first.page.rows[0].sender_name.as_deref(), Some("A"));
    assert_eq!(first.members.len(), 1);
    let second = console.ask(&officer.actor, page(first.page.next)).await?;
    assert_eq!((second.page.rows.len(), second.page.next), (9, None));
    assert_eq!(second.page.rows[8].message, 1);

    let words = |words: &str, after| SearchMessages {
        bot,
        words: words.to_owned(),
        after,
        ..SearchMessages::default()
    };
    let found = console.ask(&officer.actor, words("parcel", None)).await?;
    assert_eq!(found.page.rows.len(), usize::from(CHATS_AT_ONCE));
    let rest = console
        .ask(&officer.actor, words("parcel", found.page.next))
        .await?;
    assert_eq!(rest.page.rows.len(), 10);
    let tea = console.ask(&officer.actor, words("tea parcel", None)).await?;
    assert_eq!(
        (tea.page.rows.len(), tea.page.rows[0].chat_name.as_deref()),
        (1, Some("Tea lovers"))
    );

    let readings: Vec<(String, i64)> = sqlx::query_as(
        "SELECT kind, count(*) FROM audit WHERE action = 'read' AND actor = $1 GROUP BY kind ORDER BY kind",
    )
    .bind(officer.actor.label())
    .fetch_all(&land.ground().db.owner)
    .await?;
    let of = |kind: &str| readings.iter().find(|(name, _)| name == kind).map(|(_, n)| *n);
    assert_eq!((of("messages.list"), of("messages.search")), (Some(2), Some(3)));
    assert!(of("chats.list").is_some_and(|n| n >= 2), "{readings:?}");

    for refused in [
        console.ask(&operator.actor, chats(bot)).await.err(),
        console.ask(&operator.actor, page(None)).await.err(),
        console.ask(&operator.actor, words("parcel", None)).await.err(),
    ] {
        assert_eq!(refused.map(|failure| failure.kind), Some(FailureKind::Forbidden));
    }
    assert_eq!(
        rows_with(&land.home.owner, "Tea lovers").await?,
        Vec::<String>::new()
    );
    assert_eq!(rows_with(&land.home.owner, "parcel").await?, Vec::<String>::new());

    // The same on the screen, without script, and with what was written as text and not as markup.
    let shown = text(
        land.house
            .get(&format!("/bots/{bot}/messages?words=tea"), Some(&officer))
            .await?,
    )
    .await?;
    assert!(
        shown.contains("parcel of &lt;b&gt;tea&lt;/b&gt;") && !shown.contains("<b>tea"),
        "{shown}"
    );
    let shown = text(
        land.house
            .get(&format!("/bots/{bot}/chats"), Some(&officer))
            .await?,
    )
    .await?;
    assert!(
        shown.contains("Tea lovers") && shown.contains(&format!("/bots/{bot}/chats/-100")),
        "{shown}"
    );
    let shown = text(
        land.house
            .get(&format!("/bots/{bot}/chats/-100"), Some(&officer))
            .await?,
    )
    .await?;
    assert!(shown.contains("Lin Wei"), "{shown}");
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_searched_for_is_said_at_its_field() -> Outcome {
    let land = land().await?;
    let officer = land.house.person("Offi", Role::ComplianceOfficer, None).await?;
    let admin = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_062)?;
    land.add(&admin, &bot, HOME).await?;
    let console = &land.house.parts.console;
    let search = |words: &str, after: Option<&str>| SearchMessages {
        bot: bot.id(),
        words: words.to_owned(),
        after: after.map(str::to_owned),
        ..SearchMessages::default()
    };
    let long = "x".repeat(201);
    for (words, after, field) in [
        ("", None, "words"),
        ("?!", None, "words"),
        (long.as_str(), None, "words"),
        ("tea", Some("1.2"), "after"),
    ] {
        let told = console.ask(&officer.actor, search(words, after)).await;
        let fields = told.err().map(|failure| failure.fields).unwrap_or_default();
        assert_eq!(
            fields.first().map(|(name, _)| name.as_str()),
            Some(field),
            "{words}"
        );
    }
    let by_sign = SearchMessages {
        sender: Some(42),
        ..search("?", None)
    };
    assert!(
        console.ask(&officer.actor, by_sign).await.is_err(),
        "a sign is no word, and everything of a person was not asked for"
    );
    let nothing = SearchMessages {
        sender: Some(42),
        ..search("", None)
    };
    assert!(console.ask(&officer.actor, nothing).await?.page.rows.is_empty());
    let no_chat = ListMessages {
        bot: bot.id(),
        chat: 5,
        after: None,
    };
    let told = console.ask(&officer.actor, no_chat).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::NotFound)
    );

    let away = land
        .house
        .person("Far", Role::ComplianceOfficer, Some(AWAY))
        .await?;
    let told = console.ask(&away.actor, chats(bot.id())).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::NotFound)
    );
    Ok(())
}
