//! Passwords: what may be one, hashing, and checking without letting sign-in starve the server.

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use bagua_model::text::{Text, keys};
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Fewest characters.
pub const MINIMUM: usize = 12;
/// Most bytes: hashing megabytes would be a way to keep the server busy.
pub const MAXIMUM: usize = 256;

/// Memory in KiB, passes and lanes: OWASP's second choice, 19 MiB for each check that runs.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// Checks that run at the same time: each takes a core for tens of milliseconds.
const AT_ONCE: usize = 2;
/// Checks that may wait; beyond that people are asked to try again.
const WAITING: usize = 64;
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Words that people build weak passwords around.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "administrator",
    "admin",
    "welcome",
    "letmein",
    "changeme",
    "qwertyuiop",
    "qwerty",
    "asdfghjkl",
    "asdfgh",
    "zxcvbnm",
    "1q2w3e4r",
    "1qaz2wsx",
    "iloveyou",
    "monkey",
    "dragon",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "batman",
    "trustno1",
    "master",
    "shadow",
    "michael",
    "secret",
    "default",
    "system",
    "operator",
    "console",
    "server",
    "database",
    "postgres",
    "telegram",
    "bagua",
    "woaini",
    "mima",
    "spring",
    "summer",
    "autumn",
    "winter",
    "1234567890",
    "123456789",
    "12345678",
    "1234567",
    "123456",
    "12345",
    "654321",
    "5201314",
    "2024",
    "2025",
    "2026",
    "2027",
];

/// Refuses what is short, follows a pattern, or is mostly a common word, the name or the address.
///
/// # Errors
/// The sentence for the field `password`.
pub fn judge(password: &str, email: &str, name: &str) -> Result<(), Text> {
    if password.chars().count() < MINIMUM {
        return Err(Text::new(keys::PASSWORD_SHORT).with("minimum", MINIMUM));
    }
    if password.len() > MAXIMUM {
        return Err(Text::new(keys::PASSWORD_LONG).with("maximum", MAXIMUM));
    }
    let lower = password.to_lowercase();
    let chars: Vec<char> = lower.chars().collect();
    if is_pattern(&chars) {
        return Err(Text::new(keys::PASSWORD_SIMPLE));
    }
    let lower_email = email.to_lowercase();
    let lower_name = name.to_lowercase();
    let personal: Vec<&str> = lower_email
        .split(['@', '.', '-', '_', '+'])
        .chain(lower_name.split_whitespace())
        .chain([&*lower_email])
        .collect();
    if left_without(&lower, &personal) < MINIMUM / 2 {
        return Err(Text::new(keys::PASSWORD_PERSONAL));
    }
    let all: Vec<&str> = COMMON.iter().copied().chain(personal).collect();
    if left_without(&lower, &all) < MINIMUM / 2 {
        return Err(Text::new(keys::PASSWORD_COMMON));
    }
    Ok(())
}

/// Characters that stay when every listed word of three and more characters is cut out, longest first.
fn left_without(password: &str, words: &[&str]) -> usize {
    let mut words: Vec<&str> = words.iter().copied().filter(|w| w.chars().count() >= 3).collect();
    words.sort_by_key(|w| std::cmp::Reverse(w.len()));
    let mut rest = password.to_owned();
    for word in words {
        rest = rest.replace(word, "\u{0}");
    }
    rest.chars().filter(|c| *c != '\u{0}').count()
}

/// Few different characters, a block that repeats, or a run up or down the alphabet.
fn is_pattern(chars: &[char]) -> bool {
    let distinct: HashSet<char> = chars.iter().copied().collect();
    let repeats = (1..=chars.len() / 2).any(|p| chars.iter().zip(chars.iter().skip(p)).all(|(a, b)| a == b));
    let steps = chars
        .windows(2)
        .filter(|w| (w[0] as i64 - w[1] as i64).abs() <= 1)
        .count();
    distinct.len() < 5 || repeats || steps * 4 >= (chars.len() - 1) * 3
}

/// Why a check gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum HashFault {
    /// Too many checks wait.
    #[error("too many password checks wait")]
    Busy,
    /// The hash function or its thread failed.
    #[error("the password could not be hashed: {0}")]
    Broken(String),
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is wrong, or there is nothing to compare it with.
    Wrong,
    /// It is right.
    Right,
    /// It is right, and this hash with the present cost should take the old one's place.
    RightWithOldCost(String),
}

/// Hashes and checks passwords on blocking threads, a few at a time.
#[derive(Clone)]
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Passwords {
            running: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }
}

impl Passwords {
    /// Hashes a new password.
    ///
    /// # Errors
    /// When too many checks wait or hashing fails.
    pub async fn hash(&self, password: String) -> Result<String, HashFault> {
        self.run(move || hash_now(&password)).await
    }

    /// Checks a password. Without a stored hash the same work is done on a hash of nobody, so that the time taken does
    /// not tell whether there is such a person.
    ///
    /// # Errors
    /// When too many checks wait or hashing fails.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<Verdict, HashFault> {
        self.run(move || {
            let nobody = hash_of_nobody()?;
            let matches = verify_now(&password, stored.as_deref().unwrap_or(nobody));
            let Some(stored) = stored.filter(|_| matches) else {
                return Ok(Verdict::Wrong);
            };
            if has_present_cost(&stored) {
                return Ok(Verdict::Right);
            }
            hash_now(&password).map(Verdict::RightWithOldCost)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashFault> + Send + 'static,
    ) -> Result<T, HashFault> {
        let _place = self
            .waiting
            .clone()
            .try_acquire_owned()
            .map_err(|_| HashFault::Busy)?;
        let turn = tokio::time::timeout(LONGEST_WAIT, self.running.clone().acquire_owned())
            .await
            .map_err(|_| HashFault::Busy)?
            .map_err(|e| HashFault::Broken(e.to_string()))?;
        tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller who hangs up must not let another check start beside it.
            let _turn = turn;
            work()
        })
        .await
        .map_err(|e| HashFault::Broken(e.to_string()))?
    }
}

fn engine() -> Result<Argon2<'static>, HashFault> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(|e| HashFault::Broken(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &str) -> Result<String, HashFault> {
    let salt = SaltString::generate(&mut OsRng);
    let hash = engine()?
        .hash_password(password.as_bytes(), &salt)
        .map_err(|e| HashFault::Broken(e.to_string()))?;
    Ok(hash.to_string())
}

fn verify_now(password: &str, stored: &str) -> bool {
    // The cost comes from the stored hash; `verify_password` compares in constant time.
    let Ok(parsed) = PasswordHash::new(stored) else {
        return false;
    };
    Argon2::default()
        .verify_password(password.as_bytes(), &parsed)
        .is_ok()
}

fn has_present_cost(stored: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(stored) else {
        return false;
    };
    let Ok(params) = Params::try_from(&parsed) else {
        return false;
    };
    parsed.algorithm == Algorithm::Argon2id.ident()
        && parsed.version == Some(Version::V0x13.into())
        && (params.m_cost(), params.t_cost(), params.p_cost()) == COST
}

fn hash_of_nobody() -> Result<&'static str, HashFault> {
    static NOBODY: OnceLock<String> = OnceLock::new();
    if let Some(hash) = NOBODY.get() {
        return Ok(hash);
    }
    let made = hash_now(SaltString::generate(&mut OsRng).as_str())?;
    Ok(NOBODY.get_or_init(|| made))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use argon2::password_hash::Salt;

    const GOOD: &str = "lantern furnace orbit 57";

    fn key(password: &str) -> Option<String> {
        judge(password, "wei.zhang@example.org", "Wei Zhang")
            .err()
            .map(|t| t.key)
    }

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        assert_eq!(key("short").as_deref(), Some(keys::PASSWORD_SHORT));
        assert_eq!(key(&"long".repeat(100)).as_deref(), Some(keys::PASSWORD_LONG));
        for simple in [
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "abcdefghijklm",
            "987654321098",
            "一二一二一二一二一二一二",
        ] {
            assert_eq!(key(simple).as_deref(), Some(keys::PASSWORD_SIMPLE), "{simple}");
        }
        for common in [
            "Password2026!",
            "Administrator1",
            "qwertyuiop12",
            "Bagua-admin-2026",
            "Welcome12345",
        ] {
            assert_eq!(key(common).as_deref(), Some(keys::PASSWORD_COMMON), "{common}");
        }
        for personal in ["zhangwei2026", "wei.zhang@example.org", "Zhang-Example1"] {
            assert_eq!(
                key(personal).as_deref(),
                Some(keys::PASSWORD_PERSONAL),
                "{personal}"
            );
        }
    }

    #[test]
    fn a_phrase_of_unrelated_words_is_taken() {
        for good in [
            GOOD,
            "correct horse battery staple",
            "春江潮水连海平海上明月",
            "kX7!mQ2#vB9$",
        ] {
            let verdict = key(good);
            // Eleven Chinese characters are one too few.
            assert_eq!(
                verdict.is_none(),
                good.chars().count() >= MINIMUM,
                "{good}: {verdict:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_hash_opens_for_its_password_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash(GOOD.to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(
            passwords
                .verify(GOOD.to_owned(), Some(hash.clone()))
                .await
                .unwrap(),
            Verdict::Right
        );
        assert_eq!(
            passwords.verify(format!("{GOOD} "), Some(hash)).await.unwrap(),
            Verdict::Wrong
        );
        assert_eq!(
            passwords.verify(GOOD.to_owned(), None).await.unwrap(),
            Verdict::Wrong
        );
        assert_eq!(
            passwords
                .verify(GOOD.to_owned(), Some("garbage".into()))
                .await
                .unwrap(),
            Verdict::Wrong
        );
    }

    #[tokio::test]
    async fn an_older_cost_still_opens_and_asks_for_a_new_hash() {
        let cheap = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8 * 1024, 1, 1, None).unwrap(),
        );
        let old = cheap
            .hash_password(GOOD.as_bytes(), Salt::from_b64("c29tZXNhbHRoZXJl").unwrap())
            .unwrap()
            .to_string();
        let verdict = Passwords::default()
            .verify(GOOD.to_owned(), Some(old))
            .await
            .unwrap();
        let Verdict::RightWithOldCost(new) = verdict else {
            panic!("{verdict:?}")
        };
        assert!(has_present_cost(&new) && verify_now(GOOD, &new));
    }

    #[tokio::test]
    async fn no_more_checks_wait_than_there_are_places() {
        let passwords = Passwords::default();
        let mut all = tokio::task::JoinSet::new();
        let held = passwords
            .running
            .clone()
            .acquire_many_owned(AT_ONCE as u32)
            .await
            .unwrap();
        for _ in 0..WAITING + 3 {
            let passwords = passwords.clone();
            all.spawn(async move { passwords.verify("x".into(), Some("garbage".into())).await });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(held);
        let answers = all.join_all().await;
        assert_eq!(
            answers
                .iter()
                .filter(|a| matches!(a, Err(HashFault::Busy)))
                .count(),
            3
        );
    }
}
