//! `docs/reference/kinds.md` is what the registry says.

use crate::support::Ground;
use bagua_access::matrix::kinds_table;
use std::path::Path;

const HEAD: &str = "# Kinds\n\nEverything that can be asked or submitted, on screen and with `bagua ask` and `bagua submit`, with the \
    permission that it needs. Which role carries a permission stands in [the access matrix](../access-matrix.md). Reading what \
    is marked as personal data is itself written into the audit log. Inputs and answers stand in [openapi.json](openapi.json).\n\n\
    Generated from the registry; after a change that is meant: `BLESS=1 cargo test -p bagua-server reference`, and let a second \
    person read the difference.\n\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_kinds_is_what_the_registry_says() -> anyhow::Result<()> {
    let ground = Ground::new().await?;
    let kinds = ground.house()?.parts.console.registry().kinds();
    let now = format!("{HEAD}{}", kinds_table(&kinds));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/kinds.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(&file, &now)?;
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        reviewed == now,
        "docs/reference/kinds.md does not show the kinds as they are now. If the change is meant, run \
         `BLESS=1 cargo test -p bagua-server reference` and commit the file.\n\n{now}"
    );
    Ok(())
}
