//! Names of steps, and keys made from them.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The step's name without the suffix of a loop.
pub(crate) fn base_name(name: &str) -> &str {
    let name = name.strip_prefix("undo:").unwrap_or(name);
    name.split(':').next().unwrap_or(name)
}

/// The step's name as an argument of a sentence: translated where `step.<name>` is a message.
pub(crate) fn step_words(name: &str) -> String {
    let key = format!("step.{}", base_name(name));
    if bagua_model::text::message(bagua_model::text::Locale::English, &key) == key {
        return name.to_owned();
    }
    format!("@{key}")
}

/// The same UUID for the same name, always: a custom (version 8) UUID from SHA-256.
pub(crate) fn named_uuid(name: &str) -> Uuid {
    let digest = Sha256::digest(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_the_name_alone() {
        assert_eq!(named_uuid("a/b"), named_uuid("a/b"));
        assert_ne!(named_uuid("a/b"), named_uuid("a/c"));
        assert_eq!(named_uuid("a").get_version_num(), 8);
    }

    #[test]
    fn a_loops_suffix_is_not_part_of_the_words() {
        assert_eq!(base_name("drain:3"), "drain");
        assert_eq!(base_name("undo:drain:3"), "drain");
    }
}
