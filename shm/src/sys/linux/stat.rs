//! What `/proc` says about a process, read without allocating.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    str,
};

/// The few fields that tell one process from another and the living from the dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z`, … (field 3).
    pub state: u8,
    /// How many threads the process has (field 20).
    pub threads: u64,
    /// When it was born, in clock ticks since boot (field 22).
    pub birth: u64,
}

/// Reads the stat of process `pid`.
///
/// The file of the leading thread, not that of the process: the latter sums over all threads.
pub fn read(pid: u32) -> io::Result<Stat> {
    let mut path = [0; 48];
    let mut rest = &mut path[..];
    write!(rest, "/proc/{pid}/task/{pid}/stat")?;
    let unused = rest.len();
    let path = str::from_utf8(&path[..path.len() - unused]).map_err(io::Error::other)?;
    // The fields up to the 22nd are below 600 bytes: 64 of a name and 20 of each number.
    let mut text = [0; 1024];
    let len = File::open(Path::new(path))?.read(&mut text)?;
    parse(&text[..len]).ok_or(io::ErrorKind::InvalidData.into())
}

/// The fields in `text`. The second one, the name of the program, holds what it likes, `)` and spaces as well, so
/// that the others are counted from the last `)`.
fn parse(text: &[u8]) -> Option<Stat> {
    let end_of_name = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = text[end_of_name + 1..]
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|field| !field.is_empty());
    // `fields` begins with field 3; `nth` consumes what it skips.
    let state = *fields.next()?.first()?;
    let threads = number(fields.nth(20 - 4)?)?;
    let birth = number(fields.nth(22 - 21)?)?;
    Some(Stat {
        state,
        threads,
        birth,
    })
}

/// The state, the number of threads and the birth that a line says.
#[cfg(feature = "__fuzz")]
pub fn parse_stat(text: &[u8]) -> Option<(u8, u64, u64)> {
    parse(text).map(|stat| (stat.state, stat.threads, stat.birth))
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_full_of_brackets_hides_no_field() {
        let text = b"7 (a) Z 1 (b)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 3 0 12345 99 ";
        let stat = Stat {
            state: b'S',
            threads: 3,
            birth: 12345,
        };
        assert_eq!(parse(text), Some(stat));
    }

    #[test]
    fn a_cut_off_line_is_no_stat() {
        for text in [&b""[..], b"7 (x)", b"7 (x) S 1 2", b"7 x S"] {
            assert_eq!(parse(text), None);
        }
    }

    #[test]
    fn this_process_runs_and_was_born() {
        let stat = read(std::process::id()).unwrap();
        assert!(stat.birth > 0 && stat.threads >= 1, "{stat:?}");
    }
}
