//! The key that wraps data keys. It comes from a file or a secret store and never lies in a database.

use crate::envelope::{DataKey, KeyId, SealError, Sealed};
use rand::RngCore;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Why a master key cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MasterKeyError {
    /// Not 64 hexadecimal digits.
    #[error("a master key is 64 hexadecimal digits; make one with `openssl rand -hex 32`")]
    Malformed,
}

/// A master key. `Debug` shows its fingerprint only.
pub struct MasterKey {
    fingerprint: String,
    key: DataKey,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({})", self.fingerprint)
    }
}

impl MasterKey {
    /// From its 32 bytes.
    pub fn new(bytes: &[u8; 32]) -> MasterKey {
        let mut fingerprint = String::with_capacity(16);
        for byte in Sha256::digest(bytes).iter().take(8) {
            // Writing to a String does not fail.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        MasterKey {
            fingerprint,
            key: DataKey::new(KeyId(0), bytes),
        }
    }

    /// From 64 hexadecimal digits, white space around them allowed.
    ///
    /// # Errors
    /// [`MasterKeyError::Malformed`].
    pub fn from_hex(text: &str) -> Result<MasterKey, MasterKeyError> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(MasterKeyError::Malformed);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| MasterKeyError::Malformed)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| MasterKeyError::Malformed)?;
        }
        Ok(MasterKey::new(&bytes))
    }

    /// Names it without showing it: the first 8 bytes of its SHA-256 in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A new data key for `context`: its bytes, and the same sealed.
    pub(crate) fn generate(
        &self,
        random: &mut impl RngCore,
        context: &[u8],
    ) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill_bytes(bytes.as_mut());
        let wrapped = self.key.seal(random, context, bytes.as_ref())?;
        Ok((bytes, wrapped))
    }

    /// The bytes of a data key.
    pub(crate) fn unwrap(&self, context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let plain = self.key.open(context, Sealed::parse(wrapped)?)?;
        let mut bytes = Zeroizing::new([0; 32]);
        if plain.len() != bytes.len() {
            return Err(SealError::DoesNotOpen);
        }
        bytes.copy_from_slice(&plain);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn hexadecimal_digits_make_a_key_and_nothing_else_does() {
        let digits = "00ff".repeat(16);
        let key = MasterKey::from_hex(&format!(" {digits}\n")).map(|key| key.fingerprint().to_owned());
        assert_eq!(key.map(|fingerprint| fingerprint.len()), Ok(16));
        for wrong in ["", "00ff", &"+0".repeat(32), &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(
                MasterKey::from_hex(wrong).err(),
                Some(MasterKeyError::Malformed),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_wrapped_key_opens_for_its_subject_only() -> Result<(), SealError> {
        let master = MasterKey::new(&[3; 32]);
        let (bytes, wrapped) = master.generate(&mut StdRng::seed_from_u64(1), b"person 1")?;
        assert_eq!(master.unwrap(b"person 1", &wrapped)?, bytes);
        assert_eq!(
            master.unwrap(b"person 2", &wrapped).err(),
            Some(SealError::DoesNotOpen)
        );
        let other = MasterKey::new(&[4; 32]);
        assert_eq!(
            other.unwrap(b"person 1", &wrapped).err(),
            Some(SealError::DoesNotOpen)
        );
        Ok(())
    }

    #[test]
    fn debug_output_shows_no_key() {
        let shown = format!("{:?}", MasterKey::new(&[0xab; 32]));
        assert!(!shown.contains("abab") && !shown.contains("171, 171"), "{shown}");
    }
}
