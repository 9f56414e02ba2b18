//! What sealed content looks like, and sealing and opening it.
//!
//! Format of an envelope, version 1: one byte of version, eight bytes of the data key's number (big endian), twelve bytes
//! of nonce, then the ciphertext with the 16-byte tag of AES-256-GCM (NIST SP 800-38D). The caller's *context* (which
//! row and column) is authenticated with it, so that an envelope copied into another row does not open.

use aes_gcm::aead::{AeadInPlace as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rand::RngCore;
use std::sync::Arc;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;
const HEADER: usize = 1 + 8 + NONCE;

/// A data key's number in the key store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub i64);

/// Why something was not sealed or opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// Too short, or of a version that this program does not know.
    #[error("this is no sealed content of a version that this program knows")]
    NotSealed,
    /// The key does not fit, the context is another one, or bytes were changed.
    #[error(
        "the sealed content does not open: it was changed, moved from its row, or sealed with another key"
    )]
    DoesNotOpen,
    /// More than AES-GCM seals at once (64 GiB); not reached in practice.
    #[error("the content is too long to be sealed")]
    TooLong,
}

/// Sealed bytes with the number of the key that opens them.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a>(&'a [u8]);

impl<'a> Sealed<'a> {
    /// Looks at the envelope only.
    ///
    /// # Errors
    /// [`SealError::NotSealed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Sealed<'a>, SealError> {
        if bytes.len() < HEADER + TAG || bytes.first() != Some(&VERSION) {
            return Err(SealError::NotSealed);
        }
        Ok(Sealed(bytes))
    }

    /// Which key opens it.
    pub fn key(&self) -> KeyId {
        let mut number = [0; 8];
        number.copy_from_slice(&self.0[1..9]);
        KeyId(i64::from_be_bytes(number))
    }
}

/// A data key, ready for use. Cheap to clone. Its `Debug` shows its number only.
#[derive(Clone)]
pub struct DataKey {
    id: KeyId,
    // The round keys are overwritten when the last clone goes (feature `zeroize` of the cipher).
    cipher: Arc<Aes256Gcm>,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey({})", self.id.0)
    }
}

impl DataKey {
    /// A key of 32 bytes.
    pub(crate) fn new(id: KeyId, bytes: &[u8; 32]) -> DataKey {
        DataKey {
            id,
            cipher: Arc::new(Aes256Gcm::new(bytes.into())),
        }
    }

    /// Its number in the key store.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals `plain`. `context` says where it belongs, and has to be the same when it is opened.
    ///
    /// Nonces are random: one key of a person or chat seals far fewer than the 2^32 messages up to which that is safe
    /// (NIST SP 800-38D, section 8.3).
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn seal(
        &self,
        random: &mut impl RngCore,
        context: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::with_capacity(HEADER + plain.len() + TAG);
        out.push(VERSION);
        out.extend_from_slice(&self.id.0.to_be_bytes());
        let mut nonce = [0; NONCE];
        random.fill_bytes(&mut nonce);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let tag = self
            .cipher
            .encrypt_in_place_detached(Nonce::from_slice(&nonce), context, &mut out[HEADER..])
            .map_err(|_| SealError::TooLong)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens what [`DataKey::seal`] sealed. The plain bytes are overwritten when they are dropped.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(&self, context: &[u8], sealed: Sealed<'_>) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if sealed.key() != self.id {
            return Err(SealError::DoesNotOpen);
        }
        let (nonce, rest) = sealed.0[HEADER - NONCE..].split_at(NONCE);
        let (body, tag) = rest.split_at(rest.len() - TAG);
        let mut plain = Zeroizing::new(body.to_vec());
        self.cipher
            .decrypt_in_place_detached(
                Nonce::from_slice(nonce),
                context,
                &mut plain,
                Tag::from_slice(tag),
            )
            .map_err(|_| SealError::DoesNotOpen)?;
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn key(id: i64, byte: u8) -> DataKey {
        DataKey::new(KeyId(id), &[byte; 32])
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_byte_for_byte(plain: Vec<u8>, context: Vec<u8>, seed: u64) {
            let mut random = StdRng::seed_from_u64(seed);
            let sealed = key(7, 1).seal(&mut random, &context, &plain)?;
            let envelope = Sealed::parse(&sealed)?;
            prop_assert_eq!(envelope.key(), KeyId(7));
            prop_assert_eq!(&key(7, 1).open(&context, envelope)?[..], &plain[..]);
        }

        #[test]
        fn a_changed_byte_never_opens(plain: Vec<u8>, at: prop::sample::Index, flip in 1..=255_u8) {
            let mut random = StdRng::seed_from_u64(1);
            let mut sealed = key(7, 1).seal(&mut random, b"row", &plain)?;
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            let opened = Sealed::parse(&sealed).and_then(|envelope| key(7, 1).open(b"row", envelope));
            prop_assert!(opened.is_err());
        }
    }

    #[test]
    fn another_row_or_another_key_does_not_open_it() -> Result<(), SealError> {
        let sealed = key(7, 1).seal(&mut StdRng::seed_from_u64(1), b"row 1", b"hello")?;
        let envelope = Sealed::parse(&sealed)?;
        assert_eq!(
            key(7, 1).open(b"row 2", envelope).err(),
            Some(SealError::DoesNotOpen)
        );
        assert_eq!(
            key(7, 2).open(b"row 1", envelope).err(),
            Some(SealError::DoesNotOpen)
        );
        assert_eq!(
            key(8, 1).open(b"row 1", envelope).err(),
            Some(SealError::DoesNotOpen)
        );
        Ok(())
    }

    #[test]
    fn the_same_content_is_sealed_differently_each_time() -> Result<(), SealError> {
        let mut random = StdRng::seed_from_u64(1);
        assert_ne!(
            key(7, 1).seal(&mut random, b"", b"hello")?,
            key(7, 1).seal(&mut random, b"", b"hello")?
        );
        Ok(())
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", key(7, 1)), "DataKey(7)");
    }
}
