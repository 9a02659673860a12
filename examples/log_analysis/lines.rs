//! The lines of a part of a file, read through a buffer of fixed size.

use std::{
    fs::File,
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::FileExt,
};

use memchr::memchr;

/// In bytes; what a process holds of the file at a time.
const BUFFER: usize = 256 << 10;
/// In bytes; a line that is longer is nobody's request.
const LONGEST: usize = 64 << 10;

/// Gives the lines of a file that begin in `range` to `each`, without their ends; `None` stands for a line that is longer
/// than [`LONGEST`].
///
/// A line belongs to the range in which its first byte lies, so that each belongs to exactly one, wherever a file is cut.
pub fn for_each(
    file: &File,
    range: Range<u64>,
    mut each: impl FnMut(Option<&[u8]>),
) -> io::Result<()> {
    let mut each = |line: &[u8]| each((line.len() <= LONGEST).then_some(line));
    let mut buffer = vec![0; BUFFER];
    // What of the buffer is yet to be looked at, and where in the file that comes from. It begins with the byte before the
    // range: if that ends a line, a line begins with the range.
    let mut held = 0..0;
    let mut place = range.start.saturating_sub(1);
    let mut skipping = range.start > 0;
    loop {
        buffer.copy_within(held.clone(), 0);
        held = 0..held.len();
        let end = place + held.len() as u64;
        // The last line goes on beyond the range, but not far.
        let wanted = range.end.saturating_sub(end).max(4096);
        let room = wanted.min((BUFFER - held.end) as u64) as usize;
        let read = read_at(file, &mut buffer[held.end..][..room], end)?;
        held.end += read;

        while place < range.end
            && let Some(len) = memchr(b'\n', &buffer[held.clone()])
        {
            if !skipping {
                each(&buffer[held.start..][..len]);
            }
            skipping = false;
            held.start += len + 1;
            place += len as u64 + 1;
        }
        if place >= range.end {
            return Ok(());
        }
        let rest = &buffer[held.clone()];
        if !skipping && (rest.len() > LONGEST || (read == 0 && !rest.is_empty())) {
            each(rest);
            skipping = true;
        }
        if read == 0 {
            return Ok(());
        }
        if skipping {
            place += rest.len() as u64;
            held = 0..0;
        }
    }
}

fn read_at(file: &File, buffer: &mut [u8], place: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, place) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// Of each line its length and its first bytes, range by range.
    fn lines(bytes: &[u8], chunk: u64) -> Vec<Option<(usize, Vec<u8>)>> {
        let scratch = Scratch::holding(bytes);
        let file = File::open(scratch.path()).unwrap();
        let mut lines = Vec::new();
        for start in (0..bytes.len() as u64).step_by(chunk as usize) {
            let range = start..(start + chunk).min(bytes.len() as u64);
            let mut line = |line: Option<&[u8]>| {
                lines.push(line.map(|line| (line.len(), line[..line.len().min(9)].to_vec())));
            };
            for_each(&file, range, &mut line).unwrap();
        }
        lines
    }

    fn whole(text: &str) -> Option<(usize, Vec<u8>)> {
        Some((text.len(), text.as_bytes().to_vec()))
    }

    #[test]
    fn each_line_is_given_once_wherever_the_file_is_cut() {
        let text = "one\n\ntwo\nthree four\r\n\nlast";
        let expected = ["one", "", "two", "three fou", "", "last"].map(whole);
        for chunk in 1..40 {
            let mut lines = lines(text.as_bytes(), chunk);
            assert_eq!(
                lines[3]
                    .as_mut()
                    .map(|line| std::mem::replace(&mut line.0, 9)),
                Some(11)
            );
            assert_eq!(lines, expected, "{chunk}");
        }
        assert_eq!(lines(b"one\n", 7), [whole("one")]);
        assert_eq!(lines(b"\n", 7), [whole("")]);
        assert_eq!(lines(b"", 7), []);
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_one_line_wherever_the_file_is_cut() {
        for long in [LONGEST, LONGEST + 1, BUFFER - 4, BUFFER, 3 * BUFFER] {
            for last in ["\nlast", "\n", ""] {
                let text = format!("one\n{}{last}", "x".repeat(long));
                let mut expected = vec![whole("one")];
                expected.push((long <= LONGEST).then(|| (long, b"xxxxxxxxx".to_vec())));
                expected.extend((last.len() > 1).then(|| whole("last")));
                for chunk in [1009, 65_536, 100_000, BUFFER, 1 << 30] {
                    assert_eq!(
                        lines(text.as_bytes(), chunk as u64),
                        expected,
                        "{long} {chunk}"
                    );
                }
            }
        }
    }
}
