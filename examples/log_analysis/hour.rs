//! Hours, as logs write them.

use std::fmt;

use serde::{Deserialize, Serialize};

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The hour of a request in the log's own time zone: how many there were since the first of March of the year 0. Years
/// that begin in March have the leap day last, which makes the arithmetic short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hour(pub u32);

impl Hour {
    /// Of a date as in `29/Nov/2026:15:06:31 +0000`.
    pub fn parse(date: &[u8]) -> Option<Hour> {
        #[rustfmt::skip]
        let [d1, d0, b'/', m2, m1, m0, b'/', y3, y2, y1, y0, b':', h1, h0, b':', ..] = *date else {
            return None;
        };
        let (day, hour) = (number(&[d1, d0])?, number(&[h1, h0])?);
        let year = number(&[y3, y2, y1, y0])?;
        let month = MONTHS.iter().position(|month| **month == [m2, m1, m0])? as u32;
        if !(1..=31).contains(&day) || hour > 23 || year == 0 {
            return None;
        }
        let (year, month) = match month {
            0 | 1 => (year - 1, month + 10),
            _ => (year, month - 2),
        };
        let days = year * 365 + year / 4 - year / 100 + year / 400 + days_before(month) + day - 1;
        Some(Hour(days * 24 + hour))
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Four hundred years have 146,097 days; of those, each century but the last has 36,524.
        let day = self.0 / 24 % 146_097;
        let day = day - 36_524 * (day / 36_524).min(3);
        let day = day % 1461;
        let day = day - 365 * (day / 365).min(3);
        let month = (5 * day + 2) / 153;
        let name = MONTHS[(month as usize + 2) % 12].escape_ascii();
        let (day, hour) = (day - days_before(month) + 1, self.0 % 24);
        write!(f, "{day} {name} {hour:02}:00")
    }
}

/// The days of a year before a month, both of which begin in March.
fn days_before(month: u32) -> u32 {
    (153 * month + 2) / 5
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(number * 10 + u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(date: &str) -> Hour {
        Hour::parse(date.as_bytes()).expect(date)
    }

    #[test]
    fn hours_follow_one_another_over_the_ends_of_months_and_years() {
        for (earlier, later) in [
            ("29/Nov/2026:15:59:59 +0000", "29/Nov/2026:16:00:00 +0000"),
            ("30/Nov/2026:23:00:00 +0000", "01/Dec/2026:00:00:00 +0000"),
            ("31/Dec/2026:23:00:00 +0000", "01/Jan/2027:00:00:00 +0000"),
            ("28/Feb/2027:23:00:00 +0000", "01/Mar/2027:00:00:00 +0000"),
            ("29/Feb/2028:23:00:00 +0000", "01/Mar/2028:00:00:00 +0000"),
            ("28/Feb/2100:23:00:00 +0000", "01/Mar/2100:00:00:00 +0000"),
            ("31/Dec/1999:23:00:00 +0000", "01/Jan/2000:00:00:00 +0000"),
        ] {
            assert_eq!(hour(earlier).0 + 1, hour(later).0, "{earlier}, {later}");
        }
    }

    #[test]
    fn an_hour_is_shown_as_it_was_written() {
        for (date, shown) in [
            ("29/Nov/2026:15:06:31 +0000", "29 Nov 15:00"),
            ("01/Mar/2026:00:00:00 +0000", "1 Mar 00:00"),
            ("29/Feb/2024:23:00:00 -0800", "29 Feb 23:00"),
            ("31/Jan/2000:07:00:00 +0000", "31 Jan 07:00"),
            ("31/Dec/9999:07:00:00 +0000", "31 Dec 07:00"),
        ] {
            assert_eq!(hour(date).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_date_has_no_hour() {
        for wrong in [
            "",
            "29/Nov/2026",
            "29/Nov/2026:24:00:00 +0000",
            "00/Nov/2026:15:00:00 +0000",
            "29/nov/2026:15:00:00 +0000",
            "29/Nov/0000:15:00:00 +0000",
            "2x/Nov/2026:15:00:00 +0000",
        ] {
            assert_eq!(Hour::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
