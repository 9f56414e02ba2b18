//! Rules from the console's side: written in the form, tried on what is stored, put live, changed by two people at once.

use crate::bots::{land, push};
use crate::support::{AWAY, HOME, head, text};
use bagua_bots::texts::{self, Entry};
use bagua_model::access::Role;
use bagua_model::bots::chats::ListMessages;
use bagua_model::bots::rules::{ListRuleVersions, ListRules, TryRule};
use bagua_model::failure::FailureKind;
use bagua_testkit::eventually;
use http::StatusCode;
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

fn greets(template: &str) -> Value {
    json!({
        "title": "Greets", "enabled": true, "matches": { "contains": "hello" },
        "actions": [{ "do": "reply", "template": template }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_answers_with_texts_that_its_region_has_and_that_it_can_fill_in() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_028)?;
    land.add(&me, &bot, HOME).await?;
    let console = &land.house.parts.console;
    let says = |key: &str| {
        json!({ "bot": bot.id(), "region": HOME, "says": {
            "title": "Says", "enabled": true, "actions": [{ "do": "tag", "tag": "t" }, { "do": "say", "key": key }],
        }})
    };
    let field = |told: Result<_, bagua_model::failure::Failure>| {
        told.map(|_: bagua_model::operation::PlanView| ())
            .err()
            .and_then(|failure| {
                failure
                    .fields
                    .first()
                    .map(|(name, text)| (name.clone(), text.to_string()))
            })
            .unwrap_or_default()
    };
    let (name, why) = field(
        console
            .plan_json(&me.actor, "rule.write", says("order.late"))
            .await,
    );
    assert!(
        name == "with2" && why.contains("No text has the key"),
        "{name}: {why}"
    );
    let entry = |key: &str, text: &str| Entry {
        language: "en".to_owned(),
        key: key.to_owned(),
        text: text.to_owned(),
    };
    let written = [
        entry("order.late", "Late, {sender}"),
        entry("order.odd", "{number} and {when}"),
    ];
    texts::deliver(&land.home.app, &written).await?;
    let (name, why) = field(
        console
            .plan_json(&me.actor, "rule.write", says("order.odd"))
            .await,
    );
    assert!(name == "with2" && why.contains("number, when"), "{name}: {why}");
    let (name, _) = field(console.plan_json(&me.actor, "rule.write", says("No Key")).await);
    assert_eq!(name, "with2");
    let plan = console
        .plan_json(&me.actor, "rule.write", says("order.late"))
        .await?;
    let lines: Vec<String> = plan.plan.changes.iter().map(ToString::to_string).collect();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("“order.late” in the sender’s language")),
        "{lines:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_tried_on_what_is_stored_put_live_and_answers() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let reader = land.house.person("Offi", Role::ComplianceOfficer, None).await?;
    let bot = land.bot(800_000_021)?;
    push(&bot, "hello", 3);
    push(&bot, "goodbye", 2);
    land.add(&me, &bot, HOME).await?;
    let runner = land.runner(&land.home.app, "one")?;
    eventually("the messages to be stored", || async {
        Ok((bot.totals().acknowledged == 5).then_some(()))
    })
    .await?;

    let console = &land.house.parts.console;
    let rule = serde_json::from_value(greets("Hello, {sender}!"))?;
    let trial = TryRule {
        bot: bot.id(),
        rule,
        most: 100,
    };
    let trial = console.ask(&me.actor, trial).await?;
    assert_eq!((trial.looked, trial.matched, trial.samples.len()), (5, 3, 3));
    assert_eq!(trial.samples[0].effects, ["sendMessage"]);
    assert!(bot.with_log(|log| log.sends.is_empty()), "a trial does nothing");
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit WHERE kind = 'rules.try'")
        .fetch_one(&land.ground().db.owner)
        .await?;
    assert_eq!(audited, 1, "a trial reads messages, and that is written down");

    let written = json!({ "bot": bot.id(), "region": HOME, "says": greets("Hello, {sender}!") });
    let plan = console
        .plan_json(&me.actor, "rule.write", written.clone())
        .await?;
    assert!(
        plan.plan.estimates.is_empty(),
        "a plan reads no messages, since nobody audits it: {plan:?}"
    );
    let done = land.done(&me, "rule.write", written).await?;
    let rule = done
        .outcome
        .as_ref()
        .and_then(|outcome| outcome["rule"].as_i64())
        .unwrap();
    push(&bot, "hello again", 1);
    eventually("the answer in its chat", || async {
        let officer = ListMessages {
            bot: bot.id(),
            chat: 42,
            after: None,
        };
        let view = console.ask(&reader.actor, officer).await?;
        let ours = view.page.rows.iter().find(|message| message.by_bot);
        Ok(ours
            .is_some_and(|ours| ours.text.as_deref() == Some("Hello, 42!"))
            .then_some(()))
    })
    .await?;
    eventually("the answer at Telegram", || async {
        let said = bot.with_log(|log| {
            log.sends
                .iter()
                .filter_map(|send| send.text.clone())
                .collect::<Vec<_>>()
        });
        Ok((said == ["Hello, 42!"]).then_some(()))
    })
    .await?;

    // Two people change it at once: the second hears of the first, and both versions stay to be read.
    let changed = |template: &str| json!({ "bot": bot.id(), "region": HOME, "rule": rule, "version": 1, "says": greets(template) });
    land.done(&me, "rule.write", changed("Hi!")).await?;
    let told = console.plan_json(&me.actor, "rule.write", changed("Ho!")).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Conflict)
    );
    let past = console
        .ask(&me.actor, ListRuleVersions { bot: bot.id(), rule })
        .await?;
    assert_eq!(past.iter().map(|past| past.version).collect::<Vec<_>>(), [2, 1]);

    // Another order, and away with the first.
    let second = json!({ "bot": bot.id(), "region": HOME, "says": {
        "title": "Tags", "enabled": true, "actions": [{ "do": "tag", "tag": "seen" }] } });
    let second = land.done(&me, "rule.write", second).await?;
    let second = second
        .outcome
        .as_ref()
        .and_then(|outcome| outcome["rule"].as_i64())
        .unwrap();
    land.done(
        &me,
        "rule.order",
        json!({ "bot": bot.id(), "region": HOME, "rules": [second, rule] }),
    )
    .await?;
    let titles = |view: bagua_model::bots::rules::RulesView| {
        view.rules
            .into_iter()
            .map(|rule| rule.says.title)
            .collect::<Vec<_>>()
    };
    let list = ListRules { bot: bot.id() };
    assert_eq!(
        titles(console.ask(&me.actor, list.clone()).await?),
        ["Tags", "Greets"]
    );
    let half = json!({ "bot": bot.id(), "region": HOME, "rules": [second] });
    let told = console.plan_json(&me.actor, "rule.order", half).await;
    assert_eq!(
        told.err().map(|failure| failure.kind),
        Some(FailureKind::Conflict)
    );
    land.done(
        &me,
        "rule.remove",
        json!({ "bot": bot.id(), "region": HOME, "rule": rule, "version": 2 }),
    )
    .await?;
    assert_eq!(titles(console.ask(&me.actor, list.clone()).await?), ["Tags"]);

    // Holes in the order, as removing leaves them, keep nobody from adding or changing, and nothing changes its place by it.
    let tags =
        |title: &str| json!({ "title": title, "enabled": true, "actions": [{ "do": "tag", "tag": "seen" }] });
    let mut added = Vec::new();
    for title in ["B", "C", "D"] {
        let input = json!({ "bot": bot.id(), "region": HOME, "says": tags(title) });
        let done = land.done(&me, "rule.write", input).await?;
        added.push(
            done.outcome
                .as_ref()
                .and_then(|outcome| outcome["rule"].as_i64())
                .unwrap(),
        );
    }
    for gone in [second, added[0]] {
        land.done(
            &me,
            "rule.remove",
            json!({ "bot": bot.id(), "region": HOME, "rule": gone, "version": 1 }),
        )
        .await?;
    }
    let input = json!({ "bot": bot.id(), "region": HOME, "says": tags("E") });
    land.done(&me, "rule.write", input).await?;
    let input =
        json!({ "bot": bot.id(), "region": HOME, "rule": added[2], "version": 1, "says": tags("D again") });
    land.done(&me, "rule.write", input).await?;
    assert_eq!(titles(console.ask(&me.actor, list).await?), ["C", "D again", "E"]);
    runner.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_a_rule_leads_to_its_plan_or_comes_back_with_what_was_typed() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_022)?;
    land.add(&me, &bot, HOME).await?;
    let path = format!("/bots/{}/rules", bot.id());
    let fields = |pattern: &'static str| {
        [
            ("place", HOME),
            ("title", "Orders"),
            ("pattern", pattern),
            ("do1", "reply"),
            ("with1", "Order {1} is on its way"),
        ]
    };
    let response = land.house.post(&path, &fields(r"order (\d+)"), Some(&me)).await?;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let plan = head(&response, "location");
    assert!(plan.starts_with("/operations/new?kind=rule.write"), "{plan}");
    let page = text(land.house.get(&plan, Some(&me)).await?).await?;
    assert!(
        page.contains("Add the rule “Orders” to @b800000022_bot"),
        "{page}"
    );

    let response = land.house.post(&path, &fields("order ("), Some(&me)).await?;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(response).await?;
    assert!(page.contains("The expression cannot be read"), "{page}");
    for typed in [
        "value=\"Orders\"",
        "value=\"order (\"",
        "value=\"Order {1} is on its way\"",
    ] {
        assert!(page.contains(typed), "{typed} is lost: {page}");
    }

    // Trying is a link: it works without script, too.
    let page = land
        .house
        .get(
            &format!("{path}?title=T&contains=hello&do1=drop&try=1"),
            Some(&me),
        )
        .await?;
    let page = text(page).await?;
    assert!(
        page.contains("Nothing is stored yet that it could be tried on"),
        "{page}"
    );

    // Who may only look sees no form.
    let viewer = land.house.person("Vi", Role::Viewer, None).await?;
    let page = text(land.house.get(&path, Some(&viewer)).await?).await?;
    assert!(page.contains("No rules") && !page.contains("rule-form"), "{page}");
    Ok(())
}

/// The parts of a page are drawn at once on several threads, and all of them read the address.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_page_whose_parts_all_follow_the_address_is_answered_every_time() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let bot = land.bot(800_000_023)?;
    land.add(&me, &bot, HOME).await?;
    let says = json!({ "bot": bot.id(), "region": HOME, "says": greets("Hello!") });
    let done = land.done(&me, "rule.write", says).await?;
    let rule = done
        .outcome
        .as_ref()
        .and_then(|outcome| outcome["rule"].as_i64())
        .unwrap();
    let path = format!(
        "/bots/{}/rules?rule={rule}&title=T&contains=hello&do1=drop&try=1",
        bot.id()
    );
    for _ in 0..25 {
        let pages = (0..8).map(|_| async { text(land.house.get(&path, Some(&me)).await?).await });
        let pages = tokio::time::timeout(
            std::time::Duration::from_secs(60),
            futures::future::try_join_all(pages),
        );
        for page in pages.await?? {
            assert!(
                page.contains("Nothing is stored yet") && page.contains("Versions of"),
                "{page}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_reaches_bots_of_its_region_and_addresses_of_the_configuration_only() -> Outcome {
    let land = land().await?;
    let me = land.house.person("Ada", Role::Administrator, None).await?;
    let (bot, near, far) = (
        land.bot(800_000_081)?,
        land.bot(800_000_082)?,
        land.bot(800_000_083)?,
    );
    for (bot, region) in [(&bot, HOME), (&near, HOME), (&far, AWAY)] {
        land.add(&me, bot, region).await?;
    }
    let console = &land.house.parts.console;
    let says = |action: Value| json!({ "bot": bot.id(), "region": HOME, "says": { "title": "Onwards", "enabled": true, "actions": [action] } });
    let relay =
        |bot: i64, chat: i64| json!({ "do": "relay", "bot": bot, "chat": chat, "template": "{text}" });
    let refused = [
        relay(far.id(), 5),
        relay(bot.id(), 5),
        relay(near.id(), 0),
        json!({ "do": "relay", "bot": near.id(), "chat": 5, "template": "{nobody}" }),
        json!({ "do": "deliver", "to": "crm" }),
        json!({ "do": "deliver", "to": "" }),
    ];
    for action in refused {
        let told = console
            .plan_json(&me.actor, "rule.write", says(action.clone()))
            .await;
        let field = told.err().and_then(|failure| failure.fields.first().cloned());
        assert_eq!(field.map(|(name, _)| name).as_deref(), Some("with1"), "{action}");
    }
    let plan = console
        .plan_json(&me.actor, "rule.write", says(relay(near.id(), 5)))
        .await?;
    assert!(plan.plan.warnings.is_empty(), "{:?}", plan.plan.warnings);
    Ok(())
}
