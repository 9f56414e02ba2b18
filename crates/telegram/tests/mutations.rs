//! Whatever arrives: nothing panics, nothing hides its neighbours, and every byte comes back.

use bagua_telegram::{Header, RawUpdate, envelope, json};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Updates of our own making, one for each shape.
const SAMPLES: [&str; 7] = [
    r#"{"update_id":1,"message":{"message_id":1,"from":{"id":4503599627370495,"is_bot":false,"first_name":"Ana","language_code":"pt-br"},"chat":{"id":4503599627370495,"first_name":"Ana","type":"private"},"date":1764000000,"text":"Ol\u00e1 \ud83d\ude00 \"]}","entities":[{"offset":0,"length":3,"type":"bold"}]}}"#,
    r#"{"update_id":2,"edited_message":{"message_id":1,"from":{"id":5,"is_bot":false,"first_name":"B"},"chat":{"id":-1002000000001,"title":"T","type":"supergroup","is_forum":true},"message_thread_id":4,"date":1764000000,"edit_date":1764000060,"caption":"c","video":{"file_id":"v","file_unique_id":"uv","width":1,"height":1,"duration":1,"file_size":5000000000}}}"#,
    r#"{"update_id":3,"callback_query":{"id":"1","from":{"id":5,"is_bot":false,"first_name":"B"},"message":{"message_id":1,"chat":{"id":5,"type":"private"},"date":0},"chat_instance":"1","data":"d"}}"#,
    r#"{"update_id":4,"inline_query":{"id":"1","from":{"id":5,"is_bot":false,"first_name":"B"},"query":"q","offset":""}}"#,
    r#"{"update_id":5,"my_chat_member":{"chat":{"id":5,"type":"private"},"from":{"id":5,"is_bot":false,"first_name":"B"},"date":1764000000,"old_chat_member":{"user":{"id":9,"is_bot":true,"first_name":"bot"},"status":"member"},"new_chat_member":{"user":{"id":9,"is_bot":true,"first_name":"bot"},"status":"kicked","until_date":0}}}"#,
    r#"{"update_id":6,"message":{"message_id":2,"chat":{"id":-5,"title":"T","type":"group"},"date":1764000000,"migrate_to_chat_id":-1004503599627370495}}"#,
    r#"{"update_id":7,"poll":{"id":"1","question":"?","options":[{"text":"a","voter_count":0}],"total_voter_count":0,"is_closed":false,"is_anonymous":true,"type":"regular","allows_multiple_answers":false}}"#,
];

/// Any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::from(1_i64 << 52)),
        any::<f64>()
            .prop_map(|number| serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A sample in which some values are replaced, some members renamed or removed, and some new ones stand.
fn mutated() -> impl Strategy<Value = String> {
    let sample = prop::sample::select(&SAMPLES[..]);
    let changes = prop::collection::vec(
        (any::<prop::sample::Index>(), 0..4_u8, any_json(), "[a-z_]{1,10}"),
        1..6,
    );
    (sample, changes, any::<bool>()).prop_map(|(sample, changes, pretty)| {
        let mut value: Value = serde_json::from_str(sample).expect("a sample");
        for (at, how, json, name) in changes {
            let mut places = Vec::new();
            pointers(&value, String::new(), &mut places);
            let place = places[at.index(places.len())].clone();
            let Some(found) = value.pointer_mut(&place) else {
                continue;
            };
            match (how, found) {
                (0, Value::Object(members)) => {
                    members.insert(name, json);
                }
                (1, Value::Object(members)) => {
                    let renamed: Map<String, Value> = std::mem::take(members)
                        .into_iter()
                        .map(|(key, value)| (key + &name, value))
                        .collect();
                    *members = renamed;
                }
                (2, found) => *found = Value::Null,
                (_, found) => *found = json,
            }
        }
        if pretty {
            serde_json::to_string_pretty(&value).expect("JSON")
        } else {
            value.to_string()
        }
    })
}

fn pointers(value: &Value, path: String, into: &mut Vec<String>) {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                pointers(value, format!("{path}/{}", escape(name)), into);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                pointers(value, format!("{path}/{at}"), into);
            }
        }
        _ => {}
    }
    into.push(path);
}

fn answer(updates: &[String]) -> Bytes {
    Bytes::from(format!(
        "{{\"ok\":true, \"result\" : [ {} ]}}",
        updates.join(" ,\n")
    ))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn mutated_updates_come_back_byte_for_byte(updates in prop::collection::vec(mutated(), 0..8)) {
        let body = answer(&updates);
        let found = envelope::updates(200, &body).expect("an answer of Telegram is always split");
        prop_assert_eq!(found.len(), updates.len());
        for (found, sent) in found.iter().zip(&updates) {
            prop_assert_eq!(&found.json[..], sent.as_bytes());
            let id = serde_json::from_str::<Value>(sent).expect("JSON")["update_id"].as_i64();
            prop_assert_eq!(found.id, id);
            let header = Header::read(&found.json);
            prop_assert_eq!(header.update_id, id);
        }
    }

    #[test]
    fn splits_as_serde_does(items in prop::collection::vec(any_json(), 0..6)) {
        let text = serde_json::to_string_pretty(&items).expect("JSON");
        let by_serde: Vec<&RawValue> = serde_json::from_str(&text).expect("JSON");
        let by_us: Vec<&[u8]> = json::items(text.as_bytes()).collect();
        prop_assert_eq!(by_us.len(), by_serde.len());
        for (ours, serdes) in by_us.iter().zip(by_serde) {
            prop_assert_eq!(*ours, serdes.get().as_bytes());
        }
    }

    #[test]
    fn reads_texts_and_members_as_serde_does(text in ".{0,40}", name in ".{0,8}", number in any::<i64>()) {
        let json = serde_json::json!({ &name: &text, "after": number }).to_string();
        let value = json::member(json.as_bytes(), &name).expect("the member");
        if name != "after" {
            let read = json::string(value);
            prop_assert_eq!(read.as_deref(), Some(&text[..]));
        }
        prop_assert_eq!(json::member(json.as_bytes(), "after").and_then(json::number), Some(number));
        // The same text as other writers escape it: everything as UTF-16 units.
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let escaped = format!("\"{escaped}\"");
        let read = json::string(escaped.as_bytes());
        prop_assert_eq!(read.as_deref(), Some(&text[..]));
    }

    #[test]
    fn no_bytes_whatever_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let body = Bytes::from(bytes);
        drop(Header::read(&body));
        drop(RawUpdate::new(body.clone()));
        let _ = envelope::updates(500, &body).map(|updates| updates.len());
    }

    #[test]
    fn cut_and_disturbed_answers_do_not_panic(
        updates in prop::collection::vec(mutated(), 1..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut body = answer(&updates).to_vec();
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        let body = Bytes::from(body);
        for update in envelope::updates(200, &body).unwrap_or_default() {
            drop(Header::read(&update.json));
        }
    }
}
