use super::*;

fn read(text: &str) -> Header<'_> {
    Header::read(text.as_bytes())
}

#[test]
fn a_message_in_a_topic() {
    let header = read(
        r#"{"update_id":2147483646,"message":{"message_id":7,"message_thread_id":3,"from":{"id":4503599627370495,
        "is_bot":false,"first_name":"L\u00ed","language_code":"zh-hans"},"chat":{"id":-1004503599627370,"type":"supergroup",
        "title":"x"},"date":1764000000,"edit_date":null,"text":"/start a_b\nfollows","reply_to_message":{"message_id":1,
        "text":"inner","chat":{"id":1}}}}"#,
    );
    assert_eq!(header.update_id, Some(2_147_483_646));
    assert_eq!(header.kind, Some(Kind::Message));
    let chat = header.chat.clone().expect("a chat");
    assert_eq!(
        (chat.id, chat.kind),
        (-1_004_503_599_627_370, Some(ChatKind::Supergroup))
    );
    let sender = header.sender.clone().expect("a sender");
    assert_eq!(
        (sender.id, sender.language_code.as_deref()),
        (4_503_599_627_370_495, Some("zh-hans"))
    );
    assert_eq!((header.message_id, header.thread_id), (Some(7), Some(3)));
    assert_eq!((header.date, header.edit_date), (Some(1_764_000_000), None));
    assert_eq!(header.text, Some((TextFrom::Text, "/start a_b\nfollows".into())));
    assert_eq!(header.order_key(), Some(-1_004_503_599_627_370));
    assert_eq!(header.kept_until(5), 1_764_000_000 + 86_400);
}

#[test]
fn an_album_of_photos() {
    let header = read(
        r#"{"update_id":1,"channel_post":{"message_id":2,"sender_chat":{"id":-100,"type":"channel"},"chat":{"id":-100,
        "type":"channel"},"date":3,"media_group_id":"13","photo":[{"file_id":"a","file_unique_id":"ua","file_size":1},
        {"file_id":"b","file_unique_id":"ub","file_size":5000000000}],"caption":"c"}}"#,
    );
    let media = header.media.expect("media");
    assert_eq!(media.kind, Media::Photo);
    assert_eq!(media.file_id.as_deref(), Some("b"));
    assert_eq!(media.file_size, Some(5_000_000_000));
    assert_eq!(header.media_group_id.as_deref(), Some("13"));
    assert_eq!(header.text, Some((TextFrom::Caption, "c".into())));
    assert!(header.sender.expect("a sender").is_chat);
}

#[test]
fn a_button_of_a_message_that_is_too_old() {
    let header = read(
        r#"{"update_id":1,"callback_query":{"id":"778","from":{"id":5,"is_bot":false},"message":{"chat":{"id":5,
        "type":"private"},"message_id":9,"date":0},"chat_instance":"1","data":"yes"}}"#,
    );
    assert_eq!(header.kind, Some(Kind::CallbackQuery));
    assert_eq!(header.query_id.as_deref(), Some("778"));
    assert_eq!(header.message_id, Some(9));
    assert_eq!(header.date, None);
    assert_eq!(header.text, Some((TextFrom::Data, "yes".into())));
    assert_eq!(header.kept_until(1000), 1150);
}

#[test]
fn animations_and_venues_are_what_they_are() {
    for order in [
        r#""animation":{"file_id":"a"},"document":{"file_id":"d"}"#,
        r#""document":{"file_id":"d"},"animation":{"file_id":"a"}"#,
    ] {
        let text = format!(r#"{{"update_id":1,"message":{{{order}}}}}"#);
        assert_eq!(read(&text).media.map(|media| media.kind), Some(Media::Animation));
    }
}

#[test]
fn kinds_without_a_chat() {
    let header = read(r#"{"update_id":1,"inline_query":{"id":"9","from":{"id":6},"query":"q","offset":""}}"#);
    assert_eq!(header.order_key(), Some(6));
    assert_eq!(header.kept_until(100), 130);
    let header = read(r#"{"update_id":1,"poll_answer":{"poll_id":"1","user":{"id":8},"option_ids":[]}}"#);
    assert_eq!(header.order_key(), Some(8));
    let header = read(r#"{"update_id":1,"poll":{"id":"1","question":"?"}}"#);
    assert_eq!((header.order_key(), header.query_id), (None, None));
}

#[test]
fn what_is_unknown_keeps_its_name_and_what_can_be_read() {
    let header = read(
        r#"{"update_id":5,"teleport":{"chat":{"id":1,"type":"dream"},"from":{"id":2},"text":"t","date":9,"hologram":{}}}"#,
    );
    assert_eq!(header.kind, Some(Kind::Other("teleport".into())));
    assert_eq!(
        header.chat.map(|chat| chat.kind),
        Some(Some(ChatKind::Other("dream".into())))
    );
    assert_eq!(header.text, Some((TextFrom::Text, "t".into())));
    // A new member beside the kind.
    for text in [
        r#"{"update_id":5,"trace":{"id":1},"message":{"message_id":3}}"#,
        r#"{"update_id":5,"message":{"message_id":3},"trace":{"id":1}}"#,
        r#"{"trace":"x","message":{"message_id":3},"update_id":5}"#,
    ] {
        let header = read(text);
        assert_eq!(
            (header.kind, header.message_id),
            (Some(Kind::Message), Some(3)),
            "{text}"
        );
    }
}

#[test]
fn odd_values_are_missing_values() {
    let header = read(
        r#"{"update_id":1.5,"message":{"message_id":"7","chat":{"id":null},"from":[],"date":-1,"text":{"a":1},
        "caption":"c","photo":[],"sticker":null,"message_thread_id":99999999999999999999}}"#,
    );
    let expected = Header {
        kind: Some(Kind::Message),
        text: Some((TextFrom::Caption, "c".into())),
        ..Header::default()
    };
    assert_eq!(header, expected);
    assert_eq!(read(r#"{"update_id":1}"#).kind, None);
    assert_eq!(
        read(r#"{"update_id":1,"message":null}"#).kind,
        Some(Kind::Message)
    );
    assert_eq!(read("[]"), Header::default());
}

#[test]
fn every_known_kind_keeps_its_name() {
    assert_eq!(Kind::KNOWN.len(), 27);
    for kind in Kind::KNOWN {
        assert_eq!(&Kind::from_name(kind.name()), kind);
    }
}
