//! The few words that processes say to each other, or read of each other, when one is started: the answer of a fork server,
//! the entry in the environment of a child, the place of a function, and the line that the system shows of a process, with
//! a name in it that the process has chosen.
//!
//! Each is understood, or refused: what is understood says the same when it is written again, and a place is code of this
//! executable.

use multiproc::__fuzz;

use super::hostile::show;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind % 4 {
        0 => {
            if let Some(again) = __fuzz::reread_answer(rest) {
                assert_eq!(again, rest, "two answers mean the same");
            }
        }
        1 => {
            if let Some((parent, handed, child)) = __fuzz::read_entry(rest) {
                let again = format!("{parent:x}:{handed}:{child:x}");
                let read = __fuzz::read_entry(again.as_bytes());
                assert_eq!(read, Some((parent, handed, child)));
            }
        }
        2 => {
            let Some(place) = rest.first_chunk() else {
                return;
            };
            // Near this function, or anywhere.
            let here = __fuzz::place(body as fn(&[u8]) as usize).expect("its own code");
            let place = u64::from_le_bytes(*place);
            for place in [place, here.wrapping_add(place)] {
                if let Some(address) = __fuzz::address(place) {
                    assert_eq!(__fuzz::place(address), Some(place));
                }
            }
        }
        _ => {
            let fields = __fuzz::parse_stat(rest);
            // Whatever a process calls itself hides no field of it.
            let line = [
                b"7 (",
                rest,
                b") S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 3 0 12345 99\n",
            ];
            assert_eq!(__fuzz::parse_stat(&line.concat()), Some((b'S', 3, 12345)));
            show(fields);
        }
    }
}
