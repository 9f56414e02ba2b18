//! Secrets that are handed out once and kept only as their hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a token's text.
pub type TokenHash = [u8; 32];

/// The hash under which a token is stored and looked up. Tokens are random to 128 bits and more, so a plain hash is
/// enough: there is nothing to guess, and looking up by hash leaves no timing to measure.
pub fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// The hash in hexadecimal, as it stands in operations and Redis keys.
pub fn hex(hash: &TokenHash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Reads 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<TokenHash> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// A one-time link, before its hash has been stored.
pub struct NewLink {
    /// What the person opens. A secret: shown once, written nowhere.
    pub link: String,
    /// What is stored.
    pub hash: TokenHash,
}

impl NewLink {
    /// The hash as `person.invite` takes it.
    pub fn hash_hex(&self) -> String {
        hex(&self.hash)
    }
}

/// Makes a one-time link below `public_url` from 256 random bits of the operating system.
///
/// # Errors
/// When the operating system gives no random bits.
pub fn new_link(public_url: &str) -> Result<NewLink, rand::rand_core::OsError> {
    let mut bytes = [0_u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes)?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    Ok(NewLink {
        link: format!("{}/welcome?token={token}", public_url.trim_end_matches('/')),
        hash: hash(&token),
    })
}

/// HMAC-SHA-256 (RFC 2104) with a key of 32 bytes.
pub fn seal(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut inner = [0x36_u8; 64];
    let mut outer = [0x5c_u8; 64];
    for (i, byte) in key.iter().enumerate() {
        inner[i] ^= byte;
        outer[i] ^= byte;
    }
    let first = Sha256::new().chain_update(inner).chain_update(message).finalize();
    Sha256::new()
        .chain_update(outer)
        .chain_update(first)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn two_links_differ_and_their_hash_is_that_of_the_token() {
        let (a, b) = (
            new_link("http://localhost:3000/").unwrap(),
            new_link("http://localhost:3000").unwrap(),
        );
        assert_ne!(a.link, b.link);
        let token = a
            .link
            .strip_prefix("http://localhost:3000/welcome?token=")
            .unwrap();
        assert_eq!(token.len(), 43);
        assert_eq!(hash(token), a.hash);
    }

    #[test]
    fn hexadecimal_goes_both_ways_and_refuses_what_is_none() {
        let sample = hash("x");
        assert_eq!(from_hex(&hex(&sample)), Some(sample));
        assert_eq!(from_hex(&"g".repeat(64)), None);
        assert_eq!(from_hex("ab"), None);
        assert_eq!(from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn the_seal_is_hmac_sha_256() {
        // Computed with `openssl dgst -sha256 -mac HMAC -macopt hexkey:0b…0b` over "Hi There".
        let sealed = seal(&[0x0b; 32], b"Hi There");
        assert_eq!(
            hex(&sealed),
            "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
        );
    }
}
