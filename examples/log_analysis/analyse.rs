//! The task of a worker: a chunk of the log in, a summary of it out.

use std::{ffi::OsString, fs::File, io, ops::Range, path::Path};

use serde::{Deserialize, Serialize};

use crate::{lines, popular::Popular, summary::Summary};

/// A log, and what all who read it must agree about.
#[derive(Clone, Serialize, Deserialize)]
pub struct Log {
    pub path: OsString,
    /// How many of it are looked at; what is written meanwhile is not.
    pub bytes: u64,
    pub popular: Popular,
}

/// A range of bytes of a log: the lines that begin in it.
#[derive(Serialize, Deserialize)]
pub struct Chunk {
    pub log: Log,
    pub range: Range<u64>,
}

impl Log {
    pub fn open(path: &Path) -> Result<Log, String> {
        let understand = || {
            let file = File::open(path)?;
            let about = file.metadata()?;
            if !about.is_file() {
                return Err(io::Error::other("not a file that can be read in parts"));
            }
            let popular = Popular::of(&file, about.len())?;
            Ok((about.len(), popular))
        };
        let (bytes, popular) = understand().map_err(|error| blame(path, error))?;
        let path = path.into();
        Ok(Log {
            path,
            bytes,
            popular,
        })
    }

    /// Cuts it into chunks of this many bytes; the last may have fewer.
    pub fn chunks(&self, bytes: u64) -> impl ExactSizeIterator<Item = Chunk> {
        let count = self.bytes.div_ceil(bytes) as usize;
        (0..count).map(move |number| {
            let start = number as u64 * bytes;
            Chunk {
                log: self.clone(),
                range: start..self.bytes.min(start.saturating_add(bytes)),
            }
        })
    }
}

/// Summarises a chunk: what the workers do.
pub fn analyse(chunk: Chunk) -> Result<Summary, String> {
    let mut summary = Summary::default();
    add(&mut summary, &chunk)?;
    summary.paths.settle();
    Ok(summary)
}

/// Adds a chunk to what is known of others.
pub fn add(summary: &mut Summary, Chunk { log, range }: &Chunk) -> Result<(), String> {
    let path = Path::new(&log.path);
    let file = File::open(path).map_err(|error| blame(path, error))?;
    let each = |line: Option<&[u8]>| summary.add(line, &log.popular);
    lines::for_each(&file, range.clone(), each).map_err(|error| blame(path, error))
}

fn blame(path: &Path, error: io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fmt::Write, fs};

    use indicatif::ProgressBar;

    use super::*;
    use crate::{generate, paths, scratch::Scratch, summary::Traffic};

    fn line(date: &str, path: &str, micros: u64) -> String {
        format!(r#"::1 - - [{date}:00:00 +0000] "GET {path} HTTP/1.1" 200 7 "-" "-" 0.{micros:06}"#)
    }

    /// Merges the summaries of all chunks, the last one first.
    fn by_chunks(log: &Log, bytes: u64) -> Summary {
        let mut chunks: Vec<_> = log.chunks(bytes).collect();
        chunks.reverse();
        let mut summary = Summary::default();
        for chunk in chunks {
            summary.merge(analyse(chunk).unwrap());
        }
        summary.paths.settle();
        summary
    }

    fn by_path(summary: &Summary) -> BTreeMap<&[u8], &Traffic> {
        summary.paths.iter().collect()
    }

    /// The summary of a log, which is the same in whatever chunks it is read.
    fn summary(log: impl AsRef<[u8]>) -> Summary {
        let log = Scratch::holding(log);
        let log = Log::open(log.path()).unwrap();
        let mut whole = Summary::default();
        for chunk in log.chunks(log.bytes.max(1)) {
            add(&mut whole, &chunk).unwrap();
        }
        whole.paths.settle();
        for bytes in [1 + log.bytes / 200, 1 + log.bytes / 9, u64::MAX] {
            let parts = by_chunks(&log, bytes);
            assert_eq!(parts.malformed, whole.malformed, "{bytes}");
            assert_eq!(parts.statuses, whole.statuses, "{bytes}");
            assert_eq!(parts.hours, whole.hours, "{bytes}");
            assert_eq!(parts.earlier, whole.earlier, "{bytes}");
            assert_eq!(parts.paths.other(), whole.paths.other(), "{bytes}");
            assert!(by_path(&parts) == by_path(&whole), "{bytes}");
        }
        whole
    }

    #[test]
    fn a_log_that_was_made_up_is_understood() {
        let log = Scratch::new();
        generate::generate(log.path(), 20_000, 1, &ProgressBar::hidden()).unwrap();
        let summary = summary(fs::read(log.path()).unwrap());
        assert_eq!(summary.total().requests + summary.malformed, 20_000);
        assert!(summary.malformed < 5);
        assert_eq!(summary.hours.len(), 48);
        assert!(by_path(&summary).len() > 1000);
    }

    #[test]
    fn the_end_of_a_line_may_have_a_carriage_return_or_be_missing() {
        let [one, two] = ["/1", "/2"].map(|path| line("29/Nov/2026:15", path, 100));
        for (log, malformed) in [
            (String::new(), 0),
            (format!("{one}\n{two}"), 0),
            (format!("{one}\r\n{two}\r\n"), 0),
            (format!("\n{one}\n?\n\0\n{two}\n\n"), 4),
            (format!("{one}\n{}\n{two}\n", "x".repeat(1 << 20)), 1),
        ] {
            let summary = summary(&log);
            assert_eq!(summary.malformed, malformed);
            assert_eq!(by_path(&summary).len(), if log.is_empty() { 0 } else { 2 });
        }
    }

    #[test]
    fn of_too_many_paths_the_popular_ones_are_kept() {
        let mut log = String::new();
        for number in 0..3 * paths::MOST {
            for path in [format!("/{number}?x"), format!("/popular/{}", number % 10)] {
                writeln!(log, "{}", line("29/Nov/2026:15", &path, 100)).unwrap();
            }
        }
        let summary = summary(log);
        let kept = by_path(&summary);
        assert_eq!(kept.len(), paths::MOST);
        for number in 0..10 {
            let traffic = kept[format!("/popular/{number}").as_bytes()];
            assert!(traffic.volume.requests >= 3 * paths::MOST as u64 / 10);
        }
        let other = summary.paths.other().volume.requests;
        assert_eq!(other, 2 * paths::MOST as u64 + 10);
    }

    #[test]
    fn of_too_many_hours_the_latest_are_kept() {
        let mut log = String::new();
        for hour in 0..1100 {
            // 7 and 24 share no divisor: each hour once, in no order.
            let hour = hour * 7 % 1100;
            let date = format!(
                "{:02}/Jan/{}:{:02}",
                1 + hour / 24 % 28,
                2000 + hour / 672,
                hour % 24
            );
            writeln!(log, "{}", line(&date, "/", 100)).unwrap();
        }
        let summary = summary(log);
        assert_eq!((summary.hours.len(), summary.earlier), (1000, 100));
        let first = summary.hours.keys().next().unwrap();
        assert_eq!(first.to_string(), "5 Jan 04:00");
    }

    #[test]
    fn long_paths_count_by_their_beginnings() {
        let long = "/".repeat(5000);
        let logs = [format!("{long}1"), format!("{long}2")];
        let log = logs
            .map(|path| line("29/Nov/2026:15", &path, 100))
            .join("\n");
        let summary = summary(log);
        let kept: Vec<_> = summary.paths.iter().collect();
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].0.len(), kept[0].1.volume.requests), (200, 2));
    }
}
