//! E-mail addresses as sign-in names.

use bagua_model::access::{LONGEST_EMAIL, LONGEST_PERSON};

/// The form in which an address is stored and compared: trimmed, lower case, or `None` when it is none.
///
/// ASCII only: PostgreSQL and Rust agree on its lower case, and two addresses that look alike are alike.
pub fn normalise(typed: &str) -> Option<String> {
    let email = typed.trim().to_ascii_lowercase();
    let (local, domain) = email.split_once('@')?;
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
    // Angle brackets and quotes belong to the forms of mail headers, not to sign-in names.
    let odd = email.contains(['<', '>', '"', ',', ';', '\\', '(', ')']);
    (plain(local) && plain(domain) && !odd && email.len() <= LONGEST_EMAIL).then_some(email)
}

/// A shown name, trimmed, or `None` when it cannot be one. An empty name becomes `fallback`.
pub fn display_name(typed: &str, fallback: &str) -> Option<String> {
    let name = typed.trim();
    let name = if name.is_empty() { fallback } else { name };
    let fits =
        name.chars().count() <= LONGEST_PERSON && !name.is_empty() && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_lowered_and_trimmed() {
        assert_eq!(
            normalise("  Wei@Example.ORG "),
            Some("wei@example.org".to_owned())
        );
        assert_eq!(normalise("root@localhost"), Some("root@localhost".to_owned()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for typed in [
            "",
            "@",
            "wei",
            "@example.org",
            "wei@",
            "a b@example.org",
            "a@b@c",
            "<wei@example.org>",
            "wéi@example.org",
        ] {
            assert_eq!(normalise(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_name_bears_chinese_and_no_line_break() {
        assert_eq!(display_name(" 王伟 ", "x"), Some("王伟".to_owned()));
        assert_eq!(
            display_name("", "wei@example.org"),
            Some("wei@example.org".to_owned())
        );
        assert_eq!(display_name("a\nb", "x"), None);
        assert_eq!(display_name(&"名".repeat(121), "x"), None);
    }
}
