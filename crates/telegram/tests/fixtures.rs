//! Updates collected elsewhere, where they are at hand: each comes back byte for byte and has a known kind.

use std::path::PathBuf;

use bagua_telegram::{Header, Kind, RawUpdate, envelope};
use bytes::Bytes;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("BAGUA_TELEGRAM_DATA").map(PathBuf::from)?;
    folder.is_dir().then_some(folder)
}

#[test]
fn collected_updates_round_trip() {
    let Some(folder) = folder() else {
        eprintln!("skipped: BAGUA_TELEGRAM_DATA names no folder with fixtures/*.json");
        return;
    };
    let mut bodies = Vec::new();
    for file in std::fs::read_dir(folder.join("fixtures")).expect("the folder fixtures") {
        let path = file.expect("a file").path();
        let text = std::fs::read(&path).expect("a file");
        let trimmed = text.trim_ascii().to_vec();
        let update = RawUpdate::new(Bytes::from(trimmed.clone()));
        assert!(update.id.is_some(), "{}", path.display());
        let header = Header::read(&update.json);
        let known = header
            .kind
            .as_ref()
            .is_some_and(|kind| !matches!(kind, Kind::Other(_)));
        assert!(known, "{}: {:?}", path.display(), header.kind);
        bodies.push(trimmed);
    }
    assert!(!bodies.is_empty(), "no fixtures in {}", folder.display());
    let answer = [
        b"{\"ok\":true,\"result\":[".to_vec(),
        bodies.join(&b","[..]),
        b"]}".to_vec(),
    ]
    .concat();
    let found = envelope::updates(200, &Bytes::from(answer)).expect("updates");
    assert_eq!(found.len(), bodies.len());
    for (found, sent) in found.iter().zip(&bodies) {
        assert_eq!(&found.json[..], &sent[..]);
    }
}

#[test]
fn the_specification_has_no_kind_that_we_do_not_know() {
    let Some(folder) = folder() else {
        eprintln!("skipped: BAGUA_TELEGRAM_DATA names no folder with api.json");
        return;
    };
    let text = std::fs::read_to_string(folder.join("api.json")).expect("api.json");
    let api: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let fields = api["types"]["Update"]["fields"]
        .as_array()
        .expect("fields of Update");
    for field in fields {
        let name = field["name"].as_str().expect("a name");
        if name != "update_id" {
            assert!(
                !matches!(Kind::from_name(name), Kind::Other(_)),
                "{name} is unknown"
            );
        }
    }
}
