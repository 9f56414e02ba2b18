use super::*;
use serde_json::json;

fn rule(id: i64, matches: Matches, actions: Vec<Action>) -> Rule {
    Rule {
        id,
        version: 3,
        position: 1,
        title: "a rule".to_owned(),
        enabled: true,
        stops: false,
        matches,
        actions,
    }
}

fn tag(tag: &str) -> Action {
    Action::Tag { tag: tag.to_owned() }
}

fn reply(template: &str) -> Action {
    Action::Reply {
        template: template.to_owned(),
        quote: false,
    }
}

fn hello() -> Facts<'static> {
    Facts {
        update_id: 9,
        kind: "message".into(),
        chat: Some(-5),
        sender: Some(42),
        from_bot: false,
        message_id: Some(7),
        text: Some("Hello, order 1234!".into()),
        ..Facts::default()
    }
}

fn set(rules: Vec<Rule>) -> RuleSet {
    RuleSet::new(rules)
        .map_err(|(id, error)| format!("{id}: {error}"))
        .expect("usable rules")
}

#[test]
fn a_rule_matches_when_all_of_its_conditions_hold() {
    let words = |text: &str| Some(text.to_owned());
    let table = [
        ("nothing is asked", Matches::default(), true),
        (
            "the kind",
            Matches {
                kinds: vec!["edited_message".into(), "message".into()],
                ..Matches::default()
            },
            true,
        ),
        (
            "another kind",
            Matches {
                kinds: vec!["callback_query".into()],
                ..Matches::default()
            },
            false,
        ),
        (
            "the chat",
            Matches {
                chats: vec![1, -5],
                ..Matches::default()
            },
            true,
        ),
        (
            "another chat",
            Matches {
                chats: vec![5],
                ..Matches::default()
            },
            false,
        ),
        (
            "the sender",
            Matches {
                senders: vec![42],
                ..Matches::default()
            },
            true,
        ),
        (
            "another sender",
            Matches {
                senders: vec![43],
                ..Matches::default()
            },
            false,
        ),
        (
            "words in another case",
            Matches {
                contains: words("hELLO"),
                ..Matches::default()
            },
            true,
        ),
        (
            "words of another alphabet",
            Matches {
                contains: words("订单"),
                ..Matches::default()
            },
            false,
        ),
        (
            "a pattern",
            Matches {
                pattern: words(r"order (\d+)"),
                ..Matches::default()
            },
            true,
        ),
        (
            "a pattern's own case",
            Matches {
                pattern: words("^hello"),
                ..Matches::default()
            },
            false,
        ),
        (
            "one condition of two",
            Matches {
                chats: vec![-5],
                senders: vec![43],
                ..Matches::default()
            },
            false,
        ),
    ];
    for (what, matches, holds) in table {
        let effects = set(vec![rule(1, matches, vec![tag("t")])]).run(&hello());
        assert_eq!(!effects.is_empty(), holds, "{what}");
    }
    let wordless = Facts {
        text: None,
        ..hello()
    };
    let asks = Matches {
        contains: words(""),
        ..Matches::default()
    };
    assert!(
        set(vec![rule(1, asks, vec![tag("t")])]).run(&wordless).is_empty(),
        "no text contains nothing"
    );
}

#[test]
fn actions_become_effects_with_rule_version_and_step() {
    let pattern = Matches {
        pattern: Some(r"order (\d+)".to_owned()),
        ..Matches::default()
    };
    let actions = vec![
        tag("order"),
        Action::Forward { to: -9 },
        reply("{{{1}}} {sender} {kind} {update}: {text}"),
    ];
    let effects = set(vec![rule(4, pattern, actions)]).run(&hello());
    let call = |method, chat, parameters| What::Call {
        method,
        chat,
        parameters,
        by: None,
    };
    let expected = [
        What::Tag("order".to_owned()),
        call(
            "forwardMessage",
            -9,
            json!({ "from_chat_id": -5, "message_id": 7 }),
        ),
        call(
            "sendMessage",
            -5,
            json!({ "text": "{1234} 42 message 9: Hello, order 1234!" }),
        ),
    ];
    for (step, (effect, what)) in effects.iter().zip(expected).enumerate() {
        assert_eq!(effect.what, what);
        assert_eq!(
            (effect.rule, effect.version, usize::try_from(effect.step)),
            (4, 3, Ok(step))
        );
    }
    assert_eq!(effects.len(), 3);
}

#[test]
fn a_stopping_rule_and_a_drop_end_the_run_and_a_rule_that_is_off_is_not_asked() {
    let off = Rule {
        enabled: false,
        ..rule(1, Matches::default(), vec![Action::Drop])
    };
    let stops = Rule {
        stops: true,
        ..rule(2, Matches::default(), vec![tag("a")])
    };
    let behind = rule(3, Matches::default(), vec![tag("b")]);
    let ids = |rules: Vec<Rule>| -> Vec<i64> { set(rules).run(&hello()).iter().map(|e| e.rule).collect() };
    assert_eq!(ids(vec![off, stops.clone(), behind.clone()]), [2]);
    let unmatched = Rule {
        matches: Matches {
            chats: vec![1],
            ..Matches::default()
        },
        ..stops
    };
    assert_eq!(ids(vec![unmatched, behind.clone()]), [3]);
    assert_eq!(
        ids(vec![rule(2, Matches::default(), vec![Action::Drop]), behind]),
        [2]
    );
}

#[test]
fn bots_get_no_reply_and_what_lacks_its_object_does_nothing() {
    let rules = set(vec![rule(
        1,
        Matches::default(),
        vec![reply("{text}"), Action::Forward { to: 3 }, tag("x")],
    )]);
    let steps = |facts: &Facts<'_>| -> Vec<i16> { rules.run(facts).iter().map(|e| e.step).collect() };
    assert_eq!(steps(&hello()), [0, 1, 2]);
    assert_eq!(
        steps(&Facts {
            from_bot: true,
            ..hello()
        }),
        [1, 2]
    );
    assert_eq!(
        steps(&Facts {
            chat: None,
            ..hello()
        }),
        [2]
    );
    assert_eq!(
        steps(&Facts {
            text: Some(" ".into()),
            ..hello()
        }),
        [1, 2],
        "Telegram refuses blank texts"
    );
}

#[test]
fn a_reply_is_cut_where_telegram_would_refuse_it() {
    let long = Facts {
        text: Some("😀".repeat(3_000).into()),
        ..hello()
    };
    let effects = set(vec![rule(1, Matches::default(), vec![reply("{text}")])]).run(&long);
    let What::Call { parameters, .. } = &effects[0].what else {
        panic!("a call")
    };
    assert_eq!(
        parameters["text"].as_str().map(|text| text.chars().count()),
        Some(2_048)
    );
}

#[test]
fn rules_that_cannot_be_used_say_why() {
    let of = |actions| check(&rule(1, Matches::default(), actions));
    assert_eq!(of(vec![]), Err(RuleError::NoAction));
    assert_eq!(of(vec![tag("x"); 11]), Err(RuleError::TooManyActions));
    assert_eq!(of(vec![tag(" ")]), Err(RuleError::Incomplete(0)));
    assert_eq!(of(vec![Action::Forward { to: 0 }]), Err(RuleError::Incomplete(0)));
    for (template, why) in [
        (" ", TemplateError::Empty),
        ("{name}", TemplateError::Unknown("name".to_owned())),
        ("{0}", TemplateError::Unknown("0".to_owned())),
        ("a { b", TemplateError::Unclosed),
        ("a } b", TemplateError::Unclosed),
    ] {
        assert_eq!(
            of(vec![reply(template)]),
            Err(RuleError::Template(0, why)),
            "{template}"
        );
    }
    for odd in ["(", &"a".repeat(1_001), r"(\w{100}){100}"] {
        let matches = Matches {
            pattern: Some(odd.to_owned()),
            ..Matches::default()
        };
        assert!(
            matches!(
                check(&rule(1, matches, vec![tag("x")])),
                Err(RuleError::Pattern(_))
            ),
            "{odd}"
        );
    }
}

#[test]
fn facts_come_from_the_raw_update() {
    let raw = br#"{"update_id":9,"message":{"message_id":7,"from":{"id":42,"is_bot":false},"chat":{"id":-5},"date":1,"text":"Hello, order 1234!"}}"#;
    let facts = Facts {
        date: Some(1),
        ..hello()
    };
    assert_eq!(Facts::read(raw), facts);
}

#[test]
fn what_is_stored_of_a_rule_reads_back() {
    let matches = Matches {
        chats: vec![1],
        pattern: Some("a".to_owned()),
        ..Matches::default()
    };
    let text = serde_json::to_string(&matches).expect("JSON");
    assert_eq!(serde_json::from_str::<Matches>(&text).expect("the same"), matches);
    let action: Action = serde_json::from_str(r#"{"do":"reply","template":"hi"}"#).expect("an action");
    assert_eq!(action, reply("hi"));
    assert!(serde_json::from_str::<Action>(r#"{"do":"explode"}"#).is_err());
}

fn one(matches: Matches, actions: Vec<Action>) -> RuleSet {
    set(vec![rule(1, matches, actions)])
}

#[test]
fn a_rule_looks_at_language_media_and_the_hour_of_writing() {
    let raw = br#"{"update_id":1,"message":{"message_id":4,"from":{"id":42,"is_bot":false,"language_code":"pt-BR"},"chat":{"id":5,"type":"private"},"date":1795000000,"photo":[{"file_id":"a"}],"caption":"hi"}}"#;
    let facts = Facts::read(raw);
    // 1795000000 is 11:06:40 UTC.
    let hours = |from, until| Some(DayPart { from, until });
    let matching = |matches: Matches| !one(matches, vec![Action::Drop]).run(&facts).is_empty();
    for (languages, holds) in [(["pt"], true), (["PT-br"], true), (["p"], false), (["en"], false)] {
        let languages = languages.map(str::to_owned).into();
        assert_eq!(
            matching(Matches {
                languages,
                ..Matches::default()
            }),
            holds
        );
    }
    for (media, holds) in [("photo", true), ("voice", false)] {
        assert_eq!(
            matching(Matches {
                media: vec![media.to_owned()],
                ..Matches::default()
            }),
            holds
        );
    }
    for (hours, holds) in [
        (hours(660, 667), true),
        (hours(660, 666), false),
        (hours(1_320, 667), true),
        (hours(1_320, 660), false),
    ] {
        assert_eq!(
            matching(Matches {
                hours,
                ..Matches::default()
            }),
            holds,
            "{hours:?}"
        );
    }
    let odd = Matches {
        hours: hours(0, 1_440),
        ..Matches::default()
    };
    assert_eq!(check(&rule(1, odd, vec![Action::Drop])), Err(RuleError::Hours));
}

#[test]
fn a_pressed_button_is_answered_and_a_message_is_not() {
    let button = br#"{"update_id":9,"callback_query":{"id":"77","from":{"id":42,"is_bot":false},"message":{"message_id":4,"chat":{"id":5,"type":"private"},"date":1795000000},"data":"yes"}}"#;
    let message = br#"{"update_id":9,"message":{"message_id":4,"from":{"id":42,"is_bot":false},"chat":{"id":5,"type":"private"},"date":1795000000,"text":"yes"}}"#;
    let answer = |template: &str| {
        one(
            Matches::default(),
            vec![Action::Answer {
                template: template.to_owned(),
            }],
        )
    };
    let call = |set: &RuleSet| match set.run(&Facts::read(button)).pop().map(|effect| effect.what) {
        Some(What::Call {
            method,
            chat,
            parameters,
            by: None,
        }) => Some((method, chat, parameters)),
        _ => None,
    };
    let answered = |parameters| Some(("answerCallbackQuery", 5, parameters));
    assert_eq!(
        call(&answer("You said {text}")),
        answered(json!({ "callback_query_id": "77", "text": "You said yes" }))
    );
    assert_eq!(call(&answer("")), answered(json!({ "callback_query_id": "77" })));
    assert_eq!(
        call(&answer(&"x".repeat(300))),
        answered(json!({ "callback_query_id": "77", "text": "x".repeat(200) }))
    );
    assert!(answer("").run(&Facts::read(message)).is_empty());
}
