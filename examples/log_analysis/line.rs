//! What a line of the log says.

use memchr::{memchr, memrchr};

use crate::hour::Hour;

/// A request, as far as it is of interest here.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub hour: Hour,
    /// Without the query.
    pub path: &'a [u8],
    pub status: u16,
    /// Of the answer.
    pub bytes: u64,
    /// How long the answer took, in microseconds; 71 minutes at most.
    pub micros: u32,
}

impl Request<'_> {
    /// Of a line in the "combined" format of web servers, with the seconds that the answer took at its end:
    ///
    /// ```text
    /// 203.0.113.7 - - [29/Nov/2026:15:06:31 +0000] "GET /items/17?x=1 HTTP/1.1" 200 5123 "-" "agent" 0.012345
    /// ```
    pub fn parse(line: &[u8]) -> Option<Request<'_>> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (_, rest) = split_at(line, memchr(b'[', line)?);
        let hour = Hour::parse(rest)?;
        let (_, rest) = split_at(rest, memchr(b']', rest)?);
        let (request, rest) = quoted(rest.strip_prefix(b" \"")?)?;
        let (_, target) = split_at(request, memchr(b' ', request)?);
        let end = target.iter().position(|byte| matches!(byte, b' ' | b'?'));
        let path = &target[..end.unwrap_or(target.len())];

        let (status, rest) = number(rest.strip_prefix(b" ")?)?;
        let rest = rest.strip_prefix(b" ")?;
        let (bytes, rest) = match rest.strip_prefix(b"-") {
            Some(rest) => (0, rest),
            None => number(rest)?,
        };
        // Between these two quotes are those who asked, which nobody looks at.
        let (who, seconds) = split_at(rest, memrchr(b' ', rest)?);
        let well_formed = who.starts_with(b" \"") && who.ends_with(b"\"");
        let well_formed = well_formed && !path.is_empty() && (100..1000).contains(&status);
        well_formed.then_some(Request {
            hour,
            path,
            status: status as u16,
            bytes,
            micros: micros(seconds)?,
        })
    }
}

/// What comes before and after the byte at `index`.
fn split_at(text: &[u8], index: usize) -> (&[u8], &[u8]) {
    (&text[..index], &text[index + 1..])
}

/// What comes before and after the quote that is not escaped by a backslash.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let quote = from + memchr(b'"', &text[from..])?;
        let (before, after) = split_at(text, quote);
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
        if backslashes.count() % 2 == 0 {
            return Some((before, after));
        }
        from = quote + 1;
    }
}

/// The number that a text begins with, and the rest.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (first, mut rest) = text.split_first()?;
    let mut number = digit(*first)?;
    while let Some((next, after)) = rest.split_first()
        && let Some(digit) = digit(*next)
    {
        number = number.checked_mul(10)?.checked_add(digit)?;
        rest = after;
    }
    Some((number, rest))
}

fn digit(byte: u8) -> Option<u64> {
    byte.is_ascii_digit().then(|| u64::from(byte - b'0'))
}

/// `1.25` is 1,250,000. Digits after the sixth are not looked at.
fn micros(seconds: &[u8]) -> Option<u32> {
    let (whole, rest) = number(seconds)?;
    let mut micros = whole.saturating_mul(1_000_000);
    if let Some((b'.', decimals)) = rest.split_first() {
        let mut unit = 100_000;
        for decimal in decimals {
            micros = micros.saturating_add(digit(*decimal)? * unit);
            unit /= 10;
        }
    } else if !rest.is_empty() {
        return None;
    }
    Some(u32::try_from(micros).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"203.0.113.7 - - [29/Nov/2026:15:06:31 +0000] "GET /items/17?x=1 HTTP/1.1" 200 5123 "-" "agent" 0.012345"#;

    fn changed(from: &str, to: &str) -> String {
        assert!(LINE.contains(from));
        LINE.replacen(from, to, 1)
    }

    #[test]
    fn a_line_is_understood_and_its_query_left_out() {
        let request = Request {
            hour: Hour::parse(b"29/Nov/2026:15:06:31 +0000").unwrap(),
            path: b"/items/17",
            status: 200,
            bytes: 5123,
            micros: 12_345,
        };
        assert_eq!(Request::parse(LINE.as_bytes()), Some(request));
        let with_return = Request::parse(b"\r");
        assert_eq!(with_return, None);
        let with_return = format!("{LINE}\r");
        assert_eq!(
            Request::parse(with_return.as_bytes()),
            Request::parse(LINE.as_bytes())
        );
    }

    #[test]
    fn what_servers_write_in_rare_cases_is_understood() {
        for (from, to, path, bytes, micros) in [
            ("5123", "-", "/items/17", 0, 12_345),
            ("0.012345", "0.012", "/items/17", 5123, 12_000),
            ("0.012345", "3", "/items/17", 5123, 3_000_000),
            ("0.012345", "0.0123459", "/items/17", 5123, 12_345),
            (
                "0.012345",
                "99999999999999999999.5",
                "/items/17",
                5123,
                u32::MAX,
            ),
            (
                r#""agent""#,
                r#""a \"b\" [c] d""#,
                "/items/17",
                5123,
                12_345,
            ),
            ("/items/17", r#"/a\"b"#, r#"/a\"b"#, 5123, 12_345),
            (" HTTP/1.1", "", "/items/17", 5123, 12_345),
            ("/items/17?x=1", "*", "*", 5123, 12_345),
        ] {
            let line = changed(from, to);
            let request = Request::parse(line.as_bytes());
            if to.starts_with("9999") {
                assert_eq!(request, None, "more than 64 bits");
                continue;
            }
            let request = request.unwrap_or_else(|| panic!("{line}"));
            let found = (request.path, request.bytes, request.micros);
            assert_eq!(found, (path.as_bytes(), bytes, micros), "{line}");
        }
        let long = changed("0.012345", "999999999999.5");
        assert_eq!(Request::parse(long.as_bytes()).unwrap().micros, u32::MAX);
    }

    #[test]
    fn a_line_that_is_cut_anywhere_before_its_last_field_is_malformed() {
        let last = LINE.rfind(' ').unwrap();
        for end in 0..=last + 1 {
            assert_eq!(Request::parse(&LINE.as_bytes()[..end]), None, "{end}");
        }
    }

    #[test]
    fn what_is_no_request_is_malformed() {
        for (from, to) in [
            ("GET /items/17?x=1 HTTP/1.1", r"\x16\x03\x01"),
            ("/items/17?x=1", "?x=1"),
            ("GET /items/17?x=1 HTTP/1.1", "-"),
            ("200", "20"),
            ("200", "2000"),
            ("200", "x"),
            ("5123", "99999999999999999999"),
            ("0.012345", "0.01x"),
            ("0.012345", "x"),
            ("0.012345", "-0.01"),
            (r#""agent""#, "agent"),
            ("] ", "]"),
        ] {
            let line = changed(from, to);
            assert_eq!(Request::parse(line.as_bytes()), None, "{line}");
        }
    }
}
