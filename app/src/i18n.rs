//! Words in the reader's language, and times on the reader's clock.

use bagua_model::text::{Locale, Text, keys, message};
use bagua_model::zone::Zone;
use leptos::prelude::*;
use std::fmt::Display;
use time::{OffsetDateTime, UtcOffset};

/// Language and clock of the page. Small and `Copy`: taken once at the top of a component and handed down, so that no
/// closure looks a context up after an await.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    /// The reader's language.
    pub locale: Locale,
    /// The server's clock, Unix seconds; ticks in the browser after the first picture.
    pub now: RwSignal<i64>,
    /// The reader's time zone.
    zone: StoredValue<Zone>,
}

impl Ui {
    /// Language, clock and zone of a page.
    pub fn new(locale: Locale, now: RwSignal<i64>, zone: Zone) -> Ui {
        Ui {
            locale,
            now,
            zone: StoredValue::new(zone),
        }
    }

    /// The page's language and clock.
    pub fn get() -> Ui {
        use_context::<Ui>().unwrap_or_else(|| Ui::new(Locale::English, RwSignal::new(0), Zone::default()))
    }

    /// Language and clock of who asks, inside a page or outside of one.
    #[cfg(feature = "ssr")]
    pub fn here() -> Ui {
        use_context::<Ui>().unwrap_or_else(|| {
            use_context::<crate::context::AppContext>().map_or_else(Ui::get, |cx| {
                Ui::new(cx.locale, RwSignal::new(cx.now.unix_timestamp()), cx.zone)
            })
        })
    }

    /// The zone's name, `Asia/Shanghai`.
    pub fn zone_name(self) -> String {
        self.zone.with_value(|zone| zone.name.clone())
    }

    fn in_zone(self, at: OffsetDateTime) -> OffsetDateTime {
        let seconds = self.zone.with_value(|zone| zone.offset(at.unix_timestamp()));
        UtcOffset::from_whole_seconds(seconds).map_or(at, |zone| at.to_offset(zone))
    }

    /// When a day begins on the reader's clock.
    pub fn midnight(self, day: time::Date) -> OffsetDateTime {
        let utc = day.midnight().assume_utc();
        let ahead = |at: OffsetDateTime| {
            let seconds = self.zone.with_value(|zone| zone.offset(at.unix_timestamp()));
            time::Duration::seconds(seconds.into())
        };
        // The distance that holds then, not the one that holds hours later.
        utc - ahead(utc - ahead(utc))
    }

    /// Day and month as the language writes them, `22 Nov`.
    fn day(self, at: OffsetDateTime) -> String {
        let month = usize::from(u8::from(at.month()));
        let name = self.t(keys::UI_DATE_MONTHS).split(' ').nth(month - 1);
        self.tx(
            keys::UI_DATE_DAY,
            &[("day", &at.day()), ("month", &name.unwrap_or_default())],
        )
    }

    /// `22 Nov 2026, 21:03:11` on the reader's clock.
    pub fn local(self, at: OffsetDateTime) -> String {
        let at = self.in_zone(at);
        self.tx(
            keys::UI_DATE_FULL,
            &[
                ("year", &at.year()),
                ("date", &self.day(at)),
                ("time", &format!("{}:{:02}", minute(at), at.second())),
            ],
        )
    }

    /// `21:03:11` on the reader's clock.
    pub fn clock(self, at: OffsetDateTime) -> String {
        let at = self.in_zone(at);
        format!("{}:{:02}", minute(at), at.second())
    }

    /// `21:03` on the reader's clock; Unix seconds in.
    pub fn minute(self, unix: i64) -> String {
        OffsetDateTime::from_unix_timestamp(unix)
            .map_or_else(|_| String::new(), |at| minute(self.in_zone(at)))
    }

    /// `22 Nov 21:03` on the reader's clock; Unix seconds in.
    pub fn day_minute(self, unix: i64) -> String {
        OffsetDateTime::from_unix_timestamp(unix).map_or_else(
            |_| String::new(),
            |at| {
                let at = self.in_zone(at);
                format!("{} {}", self.day(at), minute(at))
            },
        )
    }

    /// `UTC+8`, `UTC−3:30`: how far the zone is from UTC now.
    pub fn distance(self) -> String {
        let seconds = self.zone.with_value(|zone| zone.offset(self.now.get_untracked()));
        let (sign, minutes) = (if seconds < 0 { '−' } else { '+' }, seconds.abs() / 60);
        match (minutes / 60, minutes % 60) {
            (0, 0) => "UTC".to_owned(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
        }
    }

    /// The same as a form sends it with a time of the reader's clock: `+08:00`, `-03:30`.
    pub fn offset(self) -> String {
        let seconds = self.zone.with_value(|zone| zone.offset(self.now.get_untracked()));
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
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

fn minute(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
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
    fn times_read_on_the_readers_clock_and_by_the_language_with_utc_beside() {
        Owner::new().with(|| {
            let at = datetime!(2026-11-22 17:03:11 UTC);
            let now = RwSignal::new(at.unix_timestamp());
            let en = Ui::new(Locale::English, now, Zone::default());
            let zh = Ui::new(Locale::Chinese, now, Zone::default());
            assert_eq!(en.local(at), "23 Nov 2026, 01:03:11");
            assert_eq!(zh.local(at), "2026年11月23日 01:03:11");
            assert_eq!(utc(at), "2026-11-22 17:03:11 UTC");
            assert_eq!(en.minute(at.unix_timestamp()), "01:03");
            assert_eq!(zh.day_minute(at.unix_timestamp()), "11月23日 01:03");
            assert_eq!(machine(at), "2026-11-22T17:03:11Z");
            let zone = Zone {
                name: "America/St_Johns".into(),
                changes: vec![(0, -9_000), (at.unix_timestamp(), -12_600)],
            };
            let there = Ui::new(Locale::English, now, zone);
            assert_eq!(there.local(at), "22 Nov 2026, 13:33:11");
            assert_eq!(there.clock(at - time::Duration::SECOND), "14:33:10");
            assert_eq!(
                (en.distance(), there.distance()),
                ("UTC+8".into(), "UTC−3:30".into())
            );
        });
    }

    #[test]
    fn ages_read_in_both_languages() {
        Owner::new().with(|| {
            let now = RwSignal::new(0);
            let en = Ui::new(Locale::English, now, Zone::default());
            let zh = Ui::new(Locale::Chinese, now, Zone::default());
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
