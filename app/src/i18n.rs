//! Words in the reader's language, and times on the reader's clock.

use bagua_model::text::{Locale, Text, message};
use leptos::prelude::*;
use std::fmt::Display;
use time::{OffsetDateTime, UtcOffset};

/// The operators' zone: Asia/Shanghai, which has kept UTC+8 without summer time since 1991.
const ZONE_HOURS: i8 = 8;

/// Language and clock of the page. Small and `Copy`: taken once at the top of a component and handed down, so that no
/// closure looks a context up after an await.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    /// The reader's language.
    pub locale: Locale,
    /// The server's clock, Unix seconds; ticks in the browser after the first picture.
    pub now: RwSignal<i64>,
}

impl Ui {
    /// The page's language and clock.
    pub fn get() -> Ui {
        use_context::<Ui>().unwrap_or_else(|| Ui {
            locale: Locale::English,
            now: RwSignal::new(0),
        })
    }

    /// A sentence.
    pub fn t(self, key: &'static str) -> &'static str {
        message(self.locale, key)
    }

    /// A sentence whose key comes from the server.
    pub fn key(self, key: &str) -> String {
        message(self.locale, key).to_owned()
    }

    /// A sentence with values.
    pub fn tx(self, key: &str, args: &[(&str, &dyn Display)]) -> String {
        args.iter()
            .fold(Text::new(key), |text, (name, value)| text.with(name, value))
            .render(self.locale)
    }

    /// A sentence that counts: English has two forms, Chinese one.
    pub fn count(self, one: &'static str, many: &'static str, n: impl Display) -> String {
        let n = n.to_string();
        self.tx(if n == "1" { one } else { many }, &[("n", &n)])
    }

    /// A sentence made on the server.
    pub fn text(self, text: &Text) -> String {
        text.render(self.locale)
    }

    /// A region's name: the message when it is a known one, else its code.
    pub fn region(self, code: &str) -> String {
        let key = format!("region.{code}");
        let name = message(self.locale, &key);
        if name == key {
            code.to_owned()
        } else {
            name.to_owned()
        }
    }

    /// How long a span of seconds is: `12 s`, `4 min`, `3 h 5 min`, `2 d 4 h`.
    pub fn span(self, seconds: i64) -> String {
        use bagua_model::text::keys;
        let s = seconds.max(0);
        let (days, hours, minutes) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => self.tx(keys::UI_TIME_SECONDS, &[("n", &s)]),
            (0, 0, m) => self.tx(keys::UI_TIME_MINUTES, &[("n", &m)]),
            (0, h, 0) => self.tx(keys::UI_TIME_HOURS, &[("n", &h)]),
            (0, h, m) => self.tx(keys::UI_TIME_HOURS_MINUTES, &[("h", &h), ("m", &m)]),
            (d, 0, _) => self.tx(keys::UI_TIME_DAYS, &[("n", &d)]),
            (d, h, _) => self.tx(keys::UI_TIME_DAYS_HOURS, &[("d", &d), ("h", &h)]),
        }
    }

    /// `4 min ago`, `just now`, or `in 4 min` for what is to come.
    pub fn ago(self, at: i64, now: i64) -> String {
        use bagua_model::text::keys;
        let passed = now - at;
        if passed.abs() < 5 {
            self.t(keys::UI_TIME_JUST_NOW).to_owned()
        } else if passed < 0 {
            self.tx(keys::UI_TIME_IN, &[("span", &self.span(-passed))])
        } else {
            self.tx(keys::UI_TIME_AGO, &[("span", &self.span(passed))])
        }
    }
}

fn in_zone(at: OffsetDateTime) -> OffsetDateTime {
    UtcOffset::from_hms(ZONE_HOURS, 0, 0).map_or(at, |zone| at.to_offset(zone))
}

/// The zone's distance from UTC, `+08:00`.
pub fn offset() -> String {
    format!("{ZONE_HOURS:+03}:00")
}

fn plain(at: OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// `2026-11-22 21:03:11` in the operators' zone.
pub fn local(at: OffsetDateTime) -> String {
    plain(in_zone(at))
}

/// `21:03` in the operators' zone; Unix seconds in.
pub fn local_minute(unix: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix).map_or_else(
        |_| String::new(),
        |at| {
            let at = in_zone(at);
            format!("{:02}:{:02}", at.hour(), at.minute())
        },
    )
}

/// `11-22 21:03` in the operators' zone; Unix seconds in.
pub fn local_day_minute(unix: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix).map_or_else(
        |_| String::new(),
        |at| {
            let at = in_zone(at);
            format!(
                "{:02}-{:02} {:02}:{:02}",
                u8::from(at.month()),
                at.day(),
                at.hour(),
                at.minute()
            )
        },
    )
}

/// `2026-11-22 13:03:11 UTC`.
pub fn utc(at: OffsetDateTime) -> String {
    format!("{} UTC", plain(at.to_offset(UtcOffset::UTC)))
}

/// For `<time datetime>`.
pub fn machine(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn times_read_in_the_operators_zone_with_utc_beside() {
        let at = datetime!(2026-11-22 17:03:11 UTC);
        assert_eq!(local(at), "2026-11-23 01:03:11");
        assert_eq!(utc(at), "2026-11-22 17:03:11 UTC");
        assert_eq!(local_minute(at.unix_timestamp()), "01:03");
        assert_eq!(machine(at), "2026-11-22T17:03:11Z");
    }

    #[test]
    fn ages_read_in_both_languages() {
        Owner::new().with(|| {
            let now = RwSignal::new(0);
            let en = Ui {
                locale: Locale::English,
                now,
            };
            let zh = Ui {
                locale: Locale::Chinese,
                now,
            };
            assert_eq!(en.ago(1_000, 1_240), "4 min ago");
            assert_eq!(zh.ago(1_000, 1_240), "4 分钟前");
            assert_eq!(en.ago(1_000, 1_002), "just now");
            assert_eq!(en.ago(1_000, 1_000 + 3_600 * 27), "1 d 3 h ago");
            assert_eq!(en.ago(1_120, 1_000), "in 2 min");
            assert_eq!(en.region("ap-east-1"), "Hong Kong");
            assert_eq!(en.region("xx-new-9"), "xx-new-9");
        });
    }
}
