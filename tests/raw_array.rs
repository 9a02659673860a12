//! Arrays in memory without a header: what they demand of the memory, and what they leave there.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use multiproc::{Create, Error, LayoutError, Open, Process, RawArray, ReadOnly};

multiproc::init_in_tests!();

multiproc::record! {
    #[derive(Debug, PartialEq)]
    struct Tick { at: f64, size: u32, side: [u16; 2] }

    #[repr(align(128))]
    struct Line { bytes: [u8; 128] }
}

fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("multiproc-test-raw-{}-{number}", process::id())
}

fn path_of(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(name)
}

/// A file in memory of these bytes, that goes when the test ends.
struct Foreign(String);

impl Foreign {
    fn new(bytes: &[u8]) -> Foreign {
        let name = new_name();
        fs::write(path_of(&name), bytes).unwrap();
        Foreign(name)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = fs::remove_file(path_of(&self.0));
    }
}

/// The element at `index`.
fn get(array: &RawArray<f64>, index: usize) -> Option<f64> {
    // SAFETY: in these tests nobody writes at the same time.
    unsafe { array.load_racy(index) }
}

#[test]
fn what_is_written_are_the_bytes_of_the_file_and_nothing_else() {
    let name = new_name();
    let mut array = RawArray::<u16>::create(name.as_str(), [2, 3]).unwrap();
    // SAFETY: nobody else has it.
    unsafe { array.as_mut_slice() }.copy_from_slice(&[1, 2, 3, 4, 5, 0x0607]);
    assert_eq!(
        fs::read(path_of(&name)).unwrap(),
        [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 7, 6]
    );
    assert_eq!((array.shape(), array.len()), (vec![2, 3], 6));
    drop(array);
    assert!(!path_of(&name).exists(), "the name goes with its maker");
}

#[test]
fn memory_of_other_programs_is_opened_by_name_and_by_path() {
    let bytes: Vec<u8> = [1.0f64, 2.0, 3.0].map(f64::to_le_bytes).concat();
    let foreign = Foreign::new(&bytes);
    let by_name = RawArray::<f64>::open(foreign.0.as_str(), 3).unwrap();
    let by_path = RawArray::<f64>::open(path_of(&foreign.0), [3, 1]).unwrap();
    // SAFETY: nobody else is there.
    assert!(unsafe { by_name.store_racy(1, 9.0) });
    assert_eq!(get(&by_path, 1), Some(9.0));
    drop((by_name, by_path));
    assert!(path_of(&foreign.0).exists(), "others' names stay");
}

#[test]
fn memory_may_be_longer_than_its_array_but_not_shorter() {
    let foreign = Foreign::new(&[0; 100]);
    assert!(RawArray::<u8>::open(foreign.0.as_str(), 100).is_ok());
    assert!(RawArray::<f64>::open(foreign.0.as_str(), [3, 4]).is_ok());
    let error = RawArray::<f64>::open(foreign.0.as_str(), [13]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "segment {:?} is 100 bytes long, at least 104 are needed",
            foreign.0
        )
    );
}

#[test]
fn several_arrays_lie_in_one_segment() {
    let bytes = RawArray::<u8>::create(Create::anonymous(), 4096).unwrap();
    let ticks = bytes.part::<Tick>(0, 4).unwrap();
    let matrix = bytes.part::<f64>(64, [2, 2]).unwrap();
    let tick = Tick {
        at: 1.5,
        size: 7,
        side: [1, 2],
    };
    // SAFETY: nobody else is there.
    assert!(unsafe { ticks.store_racy(3, tick) });
    // SAFETY: as above.
    assert!(unsafe { matrix.copy_from_racy(1, &[5.0, 6.0, 7.0]) });
    // A part of a part counts from the start of the segment as well.
    let again = matrix.part::<f64>(72, 3).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { again.as_slice() }, [5.0, 6.0, 7.0]);
    // SAFETY: as above.
    assert_eq!(unsafe { ticks.load_racy(3) }, Some(tick));
}

#[test]
fn an_offset_that_aligns_no_element_is_refused() {
    let foreign = Foreign::new(&[0; 64]);
    let error = RawArray::<f64>::open_at(foreign.0.as_str(), 4, 1).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MisalignedOffset {
                expected: 8,
                found: 4,
                ..
            }
        ),
        "{error}"
    );
    let error = RawArray::<f64>::open_at(foreign.0.as_str(), 56, 2).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooShort {
                expected: 72,
                found: 64,
                ..
            }
        ),
        "{error}"
    );
    assert!(RawArray::<f64>::open_at(foreign.0.as_str(), 64, 0).is_ok());
    let error = RawArray::<u8>::open_at(foreign.0.as_str(), usize::MAX, 9).unwrap_err();
    assert!(matches!(error, Error::TooShort { .. }), "{error}");
}

#[test]
fn elements_lie_aligned_also_at_the_greatest_alignment_that_there_is() {
    let bytes = RawArray::<u8>::create(Create::anonymous(), 512).unwrap();
    assert!(matches!(
        bytes.part::<Line>(64, 1).unwrap_err(),
        Error::MisalignedOffset {
            expected: 128,
            found: 64,
            ..
        }
    ));
    let lines = bytes.part::<Line>(128, 3).unwrap();
    // SAFETY: nobody else is there.
    let lines = unsafe { lines.as_slice() };
    assert!(lines.as_ptr().is_aligned());
    assert_eq!(lines[2].bytes[127], 0);
}

#[test]
fn shapes_that_no_memory_holds_are_refused() {
    let foreign = Foreign::new(&[0; 64]);
    for shape in [
        vec![usize::MAX],
        vec![usize::MAX, usize::MAX],
        vec![1 << 60, 8],
    ] {
        let opened = RawArray::<f64>::open(foreign.0.as_str(), &shape).unwrap_err();
        let made = RawArray::<f64>::create(Create::anonymous(), &shape).unwrap_err();
        for error in [opened, made] {
            assert!(
                matches!(error, Error::Layout(LayoutError::TooLarge { .. })),
                "{error}"
            );
        }
    }
    let error = RawArray::<f64>::create(Create::anonymous(), [1; 9]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Layout(LayoutError::TooManyDimensions { limit: 8, found: 9 })
        ),
        "{error}"
    );
    let error = RawArray::<f64>::create(Create::anonymous(), 0).unwrap_err();
    assert!(matches!(error, Error::TooShort { found: 0, .. }), "{error}");
}

#[test]
fn no_element_beyond_the_last_is_reached() {
    let array = RawArray::<f64>::create(Create::anonymous(), 4).unwrap();
    let mut two = [7.0; 2];
    assert_eq!(get(&array, 4), None);
    // SAFETY: nobody else is there, nor in the calls below.
    assert!(!unsafe { array.store_racy(4, 1.0) });
    for start in [3, 4, usize::MAX] {
        // SAFETY: as above.
        assert!(!unsafe { array.copy_to_racy(start, &mut two) });
        // SAFETY: as above.
        assert!(!unsafe { array.copy_from_racy(start, &[1.0; 2]) });
    }
    assert_eq!(two, [7.0; 2], "nothing was copied");
    // SAFETY: as above.
    assert_eq!(unsafe { array.as_slice() }, [0.0; 4]);
    // SAFETY: as above.
    assert!(unsafe { array.copy_to_racy(2, &mut two) });
    assert_eq!(two, [0.0; 2]);
}

#[test]
fn who_may_only_read_sees_what_is_written() {
    let foreign = Foreign::new(&[0; 16]);
    let writer = RawArray::<f64>::open(foreign.0.as_str(), 2).unwrap();
    let reader = RawArray::<f64>::open_read_only(foreign.0.as_str(), 2).unwrap();
    // SAFETY: nobody reads at this moment.
    assert!(unsafe { writer.store_racy(1, 2.5) });
    // SAFETY: nobody writes any more.
    assert_eq!(unsafe { reader.as_slice() }, [0.0, 2.5]);
    let again = writer.read_only().unwrap().part::<f64>(8, 1).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { again.load_racy(0) }, Some(2.5));
}

#[test]
fn a_child_gets_the_same_elements() {
    fn double(
        (whole, tail, reader): (RawArray<f64>, RawArray<f64>, ReadOnly<RawArray<f64>>),
    ) -> (Vec<usize>, f64) {
        for i in 0..whole.len() {
            // SAFETY: the parent waits.
            let x = unsafe { whole.load_racy(i) }.unwrap();
            // SAFETY: as above.
            assert!(unsafe { whole.store_racy(i, 2.0 * x) });
        }
        // SAFETY: as above.
        let last = unsafe { tail.load_racy(1) }.unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { reader.load_racy(1) }, Some(last));
        (whole.shape(), last)
    }
    let mut whole = RawArray::<f64>::create(Create::anonymous(), [2, 2]).unwrap();
    // SAFETY: nobody else has it yet.
    unsafe { whole.as_mut_slice() }.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
    let tail = whole.part::<f64>(16, 2).unwrap();
    let reader = tail.read_only().unwrap();
    let child = Process::spawn(double, (whole.clone(), tail, reader)).unwrap();
    assert_eq!(child.join().unwrap(), (vec![2, 2], 8.0));
    // SAFETY: the child has ended.
    assert_eq!(unsafe { whole.as_slice() }, [2.0, 4.0, 6.0, 8.0]);
}

#[test]
fn symbolic_links_are_refused() {
    let foreign = Foreign::new(&[0; 16]);
    let link = Foreign(new_name());
    symlink(path_of(&foreign.0), path_of(&link.0)).unwrap();
    let error = RawArray::<u8>::open(link.0.as_str(), 16).unwrap_err();
    assert!(matches!(error, Error::NotRegular { .. }), "{error}");
}

#[test]
fn a_name_is_taken_away_once_and_no_other_in_its_place() {
    let name = new_name();
    let create = || RawArray::<f64>::create(Create::named(&name).persist(true), 1).unwrap();
    let first = create();
    first.segment().unlink().unwrap();
    assert!(!path_of(&name).exists());
    assert!(first.segment().unlink().unwrap_err().is_not_found());
    let second = create();
    assert!(first.segment().unlink().unwrap_err().is_not_found());
    assert_eq!(get(&second, 0), Some(0.0));
    drop(second);
    assert!(path_of(&name).exists(), "it was made to stay");
    RawArray::<u8>::open(name.as_str(), 8)
        .unwrap()
        .segment()
        .unlink()
        .unwrap();
    assert!(
        RawArray::<f64>::open(Open::named(&name), 1)
            .unwrap_err()
            .is_not_found()
    );
    let anonymous = RawArray::<f64>::create(Create::anonymous(), 1).unwrap();
    assert!(anonymous.segment().unlink().unwrap_err().is_not_found());
}
