//! Terms of a search index: numbers that only the holder of the index key can compute.

use crate::store::{KeyError, KeyStore, Subject, SubjectKind};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::sync::Arc;

/// Computes the terms of one bot's index. Cheap to clone. Its `Debug` shows nothing of the key.
///
/// A term is the first eight bytes (big endian) of HMAC-SHA-256 (RFC 2104) over one byte for what it is and the bytes themselves. Two words share
/// a term once in 2^64, so whoever shows what was found reads it again; and whoever has the terms without the key learns which messages share
/// a word, and not which.
#[derive(Clone)]
pub struct TermKey(Arc<Hmac<Sha256>>);

impl std::fmt::Debug for TermKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TermKey")
    }
}

impl TermKey {
    pub(crate) fn new(bytes: &[u8; 32]) -> Option<TermKey> {
        // HMAC takes keys of every length.
        let mac = Hmac::new_from_slice(bytes).ok()?;
        Some(TermKey(Arc::new(mac)))
    }

    /// The term of `bytes`, which are a `kind` of thing.
    pub fn term(&self, kind: u8, bytes: &[u8]) -> i64 {
        let mut mac = Hmac::clone(&self.0);
        mac.update(&[kind]);
        mac.update(bytes);
        let digest = mac.finalize().into_bytes();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        i64::from_be_bytes(first)
    }
}

impl KeyStore {
    /// What computes the terms of `bot`'s index; its key is made where there is none yet. It stays the same for as long as it is not
    /// retired: an index that was built under one key says nothing to another.
    ///
    /// # Errors
    /// As [`KeyStore::current`].
    pub async fn terms(&self, bot: i64) -> Result<TermKey, KeyError> {
        if let Some(key) = self.terms.get(&bot) {
            return Ok(key);
        }
        let subject = Subject {
            kind: SubjectKind::Index,
            id: bot,
        };
        // Made here when it is missing.
        self.current_one(subject).await?;
        let bytes = self.current_bytes(subject).await?;
        let key = TermKey::new(&bytes).ok_or(KeyError::Destroyed)?;
        self.terms.insert(bot, key.clone());
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_depends_on_key_kind_and_word_and_on_nothing_else() {
        let keys = [TermKey::new(&[1; 32]), TermKey::new(&[2; 32])];
        let term =
            |key: usize, kind, word: &str| keys[key].as_ref().map(|key| key.term(kind, word.as_bytes()));
        assert_eq!(term(0, b'w', "hello"), term(0, b'w', "hello"));
        let all = [
            term(0, b'w', "hello"),
            term(1, b'w', "hello"),
            term(0, b'c', "hello"),
            term(0, b'w', "hell"),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        // As another implementation (Python's `hmac`) computes it.
        assert_eq!(term(0, b'w', "hello"), Some(4_547_432_624_070_493_046));
        assert_eq!(format!("{:?}", keys[0]), "Some(TermKey)");
    }
}
