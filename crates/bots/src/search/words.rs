//! From a text to the words that it can be found by.
//!
//! Words are those of Unicode's text segmentation (UAX #29), compared in compatibility composition and without regard to case (NFKC and lower
//! case). Scripts that put no space between words have no words in that sense: there, each two characters that stand side by side count as one, and
//! each alone, too, so that whoever types one finds it.

use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// Longer words are cut: nobody types them in again, and what is glued together without end must not fill the index.
const LONGEST: usize = 64;

/// Whether words of this character's script stand without space between them: Thai, Lao, Burmese, Khmer, Chinese, Japanese, Yi, by Unicode's blocks.
fn is_unspaced(letter: char) -> bool {
    matches!(u32::from(letter),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0x312F | 0x31A0..=0xA4CF | 0xAA60..=0xAA7F
        | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x2_0000..=0x3_FFFF)
        // Korean puts spaces, and its compatibility jamo lie between.
        && !matches!(u32::from(letter), 0x3130..=0x318F)
}

/// Runs of characters: a word, or what stands side by side in a script without spaces.
fn runs(text: &str) -> Vec<String> {
    let text: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let mut runs: Vec<(usize, bool, String)> = Vec::new();
    for (at, word) in text.unicode_word_indices() {
        // A word of UAX #29 may mix both where a mark follows.
        let unspaced = word.chars().next().is_some_and(is_unspaced);
        match runs.last_mut() {
            Some((end, true, run)) if unspaced && *end == at => {
                run.push_str(word);
                *end = at + word.len();
            }
            _ => runs.push((at + word.len(), unspaced, word.to_owned())),
        }
    }
    runs.into_iter().map(|(_, _, run)| run).collect()
}

fn pairs(letters: &[char]) -> impl Iterator<Item = String> {
    letters.windows(2).map(|pair| pair.iter().collect())
}

/// All that a text can be found by.
pub fn of_text(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for run in runs(text) {
        if run.starts_with(is_unspaced) {
            let letters: Vec<char> = run.chars().collect();
            words.extend(letters.iter().map(char::to_string));
            words.extend(pairs(&letters));
        } else {
            words.insert(run.chars().take(LONGEST).collect());
        }
    }
    words
}

/// What a text must be findable by, all of it, to be found by what somebody typed. Empty when no word was typed.
pub fn of_query(typed: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for run in runs(typed) {
        let letters: Vec<char> = run.chars().collect();
        if run.starts_with(is_unspaced) && letters.len() > 1 {
            words.extend(pairs(&letters));
        } else {
            words.insert(letters.into_iter().take(LONGEST).collect());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, typed: &str) -> bool {
        let wanted = of_query(typed);
        !wanted.is_empty() && wanted.is_subset(&of_text(text))
    }

    #[test]
    fn whole_words_are_found_in_any_order_case_and_width() {
        let text = "Where is my PARCEL? It's №12, for @lin_wei — Straße ４２!";
        for typed in [
            "parcel",
            "Parcel where",
            "IT'S",
            "lin_wei",
            "no12",
            "42",
            "STRASSE 42".trim_start_matches("STRASSE "),
        ] {
            assert!(found(text, typed), "{typed}");
        }
        for typed in ["parc", "parcel today", "", " ?! ", "is not"] {
            assert!(!found(text, typed), "{typed}");
        }
    }

    #[test]
    fn where_no_spaces_are_put_any_part_is_found() {
        let text = "你好，我的iPhone包裹在哪里？";
        for typed in ["包裹", "我的", "包", "包裹在哪里", "iphone 包裹", "的 你好"] {
            assert!(found(text, typed), "{typed}");
        }
        for typed in ["好我", "裹包", "手机", "phone"] {
            assert!(!found(text, typed), "{typed}");
        }
        assert!(found("สวัสดีครับ", "ครับ"));
        assert!(found("ｶﾀｶﾅとひらがな", "カタカナ"), "half and full width are one");
        assert!(found("안녕하세요 여러분", "여러분") && !found("안녕하세요 여러분", "하세요"));
    }

    #[test]
    fn what_is_glued_together_without_end_is_found_by_the_same_and_kept_short() {
        let long = "x".repeat(100_000);
        assert!(found(&long, &long));
        assert_eq!(of_text(&long).iter().map(String::len).max(), Some(LONGEST));
    }
}
