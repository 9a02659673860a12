//! Files that are no segments, or were, are told apart without a panic and without a look beyond their end.

use std::{
    env,
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use multiproc::{Array, Create, Error, LayoutError, Mutex, Open, Value};

/// The length of a header in bytes.
const HEADER: usize = 512;

/// A file that goes when the test ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Temporary {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("multiproc-test-bytes-{}-{number}", process::id());
        Temporary(env::temp_dir().join(name))
    }

    /// The bytes of an array of these elements.
    fn with_array(elements: &[f64]) -> (Temporary, Vec<u8>) {
        let file = Temporary::new();
        drop(Array::create_from_slice(Create::file(&file.0), elements).unwrap());
        let bytes = fs::read(&file.0).unwrap();
        (file, bytes)
    }

    fn open(&self) -> Result<Array<f64>, Error> {
        Array::open(Open::file(&self.0))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Fault 27.
#[test]
fn a_file_cut_off_anywhere_is_too_short() {
    let (file, bytes) = Temporary::with_array(&[1.0; 100]);
    let whole = bytes.len() as u64;
    let cut_off = File::options().write(true).open(&file.0).unwrap();
    for len in (0..whole)
        .step_by(61)
        .chain([1, 7, 8, 511, 512, 513, whole - 1])
    {
        cut_off.set_len(0).unwrap();
        fs::write(&file.0, &bytes[..len as usize]).unwrap();
        let error = file.open().unwrap_err();
        let found = match error {
            Error::TooShort { found, .. } => found,
            Error::Unfit {
                why: LayoutError::TooShort { found, expected },
                ..
            } => {
                assert!(expected > found);
                found
            }
            _ => panic!("{len} bytes: {error}"),
        };
        assert_eq!(found, len);
    }
}

/// Fault 27.
#[test]
fn a_grown_file_holds_what_it_held() {
    let (file, bytes) = Temporary::with_array(&[1.0, 2.0]);
    let grown = File::options().append(true).open(&file.0).unwrap();
    (&grown).write_all(&[0xff; 10_000]).unwrap();
    assert!(grown.metadata().unwrap().len() > bytes.len() as u64);
    assert_eq!(file.open().unwrap().to_vec().unwrap(), [1.0, 2.0]);
}

/// Fault 27.
#[test]
fn an_empty_file_is_not_ready() {
    let file = Temporary::new();
    File::create_new(&file.0).unwrap();
    let error = file.open().unwrap_err();
    assert!(error.is_not_ready(), "{error}");
}

/// Fault 27.
#[test]
fn a_file_of_zeros_is_not_ready() {
    let file = Temporary::new();
    fs::write(&file.0, [0; 8192]).unwrap();
    let error = file.open().unwrap_err();
    assert!(error.is_not_ready(), "{error}");
}

/// Fault 27.
#[test]
fn a_foreign_file_is_not_a_layout() {
    let file = Temporary::new();
    fs::write(&file.0, b"\x93NUMPY\x01\x00".repeat(1000)).unwrap();
    let error = file.open().unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unfit {
                why: LayoutError::NotALayout { .. },
                ..
            }
        ),
        "{error}"
    );
}

/// Fault 27.
#[test]
fn every_byte_of_the_header_counts() {
    let (file, bytes) = Temporary::with_array(&[1.0; 8]);
    // Where nobody has it, damage to where its owners lived would be mended: they are all dead.
    let _user = file.open().unwrap();
    let mut damaged = File::options().write(true).open(&file.0).unwrap();
    let mut put = |offset: usize, byte: u8| {
        damaged.seek(SeekFrom::Start(offset as u64)).unwrap();
        damaged.write_all(&[byte]).unwrap();
    };
    for (offset, &byte) in bytes[..HEADER].iter().enumerate() {
        for flip in [1, 0x80, 0xff] {
            put(offset, byte ^ flip);
            let error = file.open().err();
            assert!(
                matches!(error, Some(Error::Unfit { .. })),
                "byte {offset} flipped by {flip:#x}: {error:?}"
            );
        }
        put(offset, byte);
    }
    assert_eq!(file.open().unwrap().to_vec().unwrap(), [1.0; 8]);
}

/// Fault 28.
#[test]
fn another_kind_or_type_or_shape_says_both_sides() {
    let (file, _) = Temporary::with_array(&[1.0; 8]);
    let open = || Open::file(&file.0);
    let texts = [
        Value::<f64>::open(open()).unwrap_err().to_string(),
        Mutex::<f64>::open(open()).unwrap_err().to_string(),
        Array::<u32>::open(open()).unwrap_err().to_string(),
        Array::<f64>::open(open())
            .and_then(|array| array.with_shape([2, 3]))
            .unwrap_err()
            .to_string(),
    ];
    for (text, sides) in texts.iter().zip([
        ["a value", "an array"],
        ["a mutex", "an array"],
        ["<u4", "<f8"],
        ["[2, 3]", "[8]"],
    ]) {
        for side in sides {
            assert!(text.contains(side), "{text}");
        }
    }
}
