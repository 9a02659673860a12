//! Shared objects inside mappings of the crate `shared_memory`.

mod common;

use std::{
    cell::Cell,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use common::{forked, kill_self, raw::new_name};
use multiproc::{
    AdoptedShmem, Array, AtomicArray, Counter, Error, LayoutError, Mutex, Open, Process, RawArray,
    Value,
};
use shared_memory::ShmemConf;

macro_rules! run {
    ($($name:ident),* $(,)?) => { common::run(&[$((stringify!($name), $name as fn()),)*]) };
}

fn main() -> ExitCode {
    multiproc::init();
    run![
        objects_lie_beside_one_another_and_whoever_opens_the_mapping_finds_them,
        an_object_takes_what_its_segment_is_long,
        elements_are_zeros_whatever_lay_there_before,
        objects_travel_to_children,
        what_a_killed_process_held_is_told_to_the_next,
        what_is_held_is_held_also_against_who_opens_the_mapping_by_its_name,
        the_mapping_stays_as_long_as_an_object_in_it_and_its_name_goes_then,
        a_fork_child_takes_no_name_away,
        a_name_that_leads_elsewhere_by_now_is_not_taken_away,
        what_is_not_placed_yet_is_not_ready_and_what_is_something_else_is_refused,
        an_object_begins_at_a_multiple_of_128_and_ends_inside,
        an_id_that_leads_elsewhere_is_refused,
        a_mapping_that_was_cut_off_is_refused,
        there_is_room_for_every_byte,
        who_may_only_read_sees_what_is_written,
    ]
}

const SIZE: usize = 64 << 10;

fn path_of(shmem: &AdoptedShmem) -> PathBuf {
    Path::new("/dev/shm").join(shmem.get_os_id().trim_start_matches('/'))
}

fn made() -> AdoptedShmem {
    AdoptedShmem::new(ShmemConf::new().size(SIZE).create().unwrap()).unwrap()
}

fn opened(os_id: &str) -> AdoptedShmem {
    AdoptedShmem::new(ShmemConf::new().os_id(os_id).open().unwrap()).unwrap()
}

/// Where an object lies, or none yet.
fn at(shmem: &AdoptedShmem, offset: usize) -> Open {
    // SAFETY: no test writes the bytes of an object into another one.
    unsafe { shmem.at(offset) }
}

/// A new object in a mapping that is this test's alone.
macro_rules! placed {
    ($type:ty, $shmem:expr, $offset:expr, $($argument:expr),*) => {{
        // SAFETY: nothing else lies there.
        let create = unsafe { $shmem.place_at($offset) };
        <$type>::create(create, $($argument),*)
    }};
}

fn objects_lie_beside_one_another_and_whoever_opens_the_mapping_finds_them() {
    let shmem = made();
    let value = placed!(Value<[f64; 2]>, shmem, 128, [1.0, 2.0]).unwrap();
    let count = placed!(Counter, shmem, 1024, 5).unwrap();
    let array = placed!(Array<u32>, shmem, 4096, [2, 3]).unwrap();
    let atomics = placed!(AtomicArray<u64>, shmem, 16 << 10, 4).unwrap();

    let there = opened(shmem.get_os_id());
    assert_ne!(there.as_ptr(), shmem.as_ptr());
    Value::<[f64; 2]>::open(at(&there, 128))
        .unwrap()
        .update(|pair| pair[0] += 0.5)
        .unwrap();
    Counter::open(at(&there, 1024)).unwrap().add(1);
    let same = Array::<u32>::open(at(&there, 4096)).unwrap();
    assert_eq!(same.shape(), [2, 3]);
    same.set(5, 7).unwrap();
    let same = AtomicArray::<u64>::open(at(&there, 16 << 10)).unwrap();
    same[3].store(9, std::sync::atomic::Ordering::Relaxed);

    assert_eq!(value.get(), [1.5, 2.0]);
    assert_eq!(count.get(), 6);
    assert_eq!(array.to_vec().unwrap(), [0, 0, 0, 0, 0, 7]);
    assert_eq!(atomics.to_vec(), [0, 0, 0, 9]);
}

fn an_object_takes_what_its_segment_is_long() {
    let shmem = made();
    // SAFETY: the bytes are this test's.
    unsafe { shmem.as_ptr().write_bytes(0xee, SIZE) };
    let array = placed!(Array<u8>, shmem, 256, 100).unwrap();
    let end = 256 + array.segment().len();
    assert_eq!(end, 256 + 4096 + 100);
    array.lock().unwrap().fill(1);
    for at in [0, 255, end, SIZE - 1] {
        // SAFETY: inside the mapping.
        let byte = unsafe { shmem.as_ptr().add(at) };
        // SAFETY: as above; nobody writes.
        assert_eq!(unsafe { byte.read() }, 0xee, "byte {at}");
    }
}

fn elements_are_zeros_whatever_lay_there_before() {
    let shmem = made();
    // SAFETY: the bytes are this test's.
    unsafe { shmem.as_ptr().write_bytes(0xee, SIZE) };
    // An odd number of bytes: what follows the last whole word is nobody's.
    let array = placed!(Array<u8>, shmem, 0, 13).unwrap();
    assert_eq!(array.to_vec().unwrap(), [0; 13]);
    let atomics = placed!(AtomicArray<u64>, shmem, 8192, 4).unwrap();
    assert_eq!(atomics.to_vec(), [0; 4]);
    let raw = placed!(RawArray<u32>, shmem, 16 << 10, 3).unwrap();
    // SAFETY: nobody writes.
    assert_eq!(unsafe { raw.as_slice() }, [0; 3]);
    // SAFETY: inside the mapping.
    let behind = unsafe { shmem.as_ptr().add((16 << 10) + 12) };
    // SAFETY: as above; nobody writes.
    assert_eq!(unsafe { behind.read() }, 0xee);
}

fn objects_travel_to_children() {
    type Shared = (Array<f64>, Counter, RawArray<u16>);

    fn work((array, count, raw): Shared) -> (usize, usize) {
        array.set(1, 2.5).unwrap();
        count.add(2);
        // SAFETY: the parent waits.
        assert!(unsafe { raw.store_racy(3, 9) });
        (array.segment().len(), raw.segment().len())
    }
    let shmem = made();
    let array = placed!(Array<f64>, shmem, 4096, 3).unwrap();
    let count = placed!(Counter, shmem, 512, 1).unwrap();
    let raw = placed!(RawArray<u16>, shmem, 1280, 4).unwrap();
    for start in [Process::spawn, Process::fork] {
        array.set(1, 0.0).unwrap();
        let child = start(work, (array.clone(), count.clone(), raw.clone())).unwrap();
        let lens = (array.segment().len(), raw.segment().len());
        assert_eq!(child.join().unwrap(), lens);
        assert_eq!(array.get(1).unwrap(), 2.5);
        // SAFETY: the child has ended.
        assert_eq!(unsafe { raw.load_racy(3) }, Some(9));
    }
    assert_eq!(count.get(), 5);
}

/// Fault 1.
fn what_a_killed_process_held_is_told_to_the_next() {
    fn die(os_id: String) {
        let mutex = Mutex::<u64>::open(at(&opened(&os_id), 0)).unwrap();
        let mut guard = mutex.lock().unwrap();
        *guard = 7;
        kill_self();
    }
    let shmem = made();
    let mutex = placed!(Mutex<u64>, shmem, 0, 1).unwrap();
    let child = Process::spawn(die, shmem.get_os_id().to_owned()).unwrap();
    assert!(child.join().unwrap_err().is_killed());
    let error = mutex.lock().unwrap_err();
    assert!(error.is_poisoned(), "{error}");
    assert_eq!(*error.into_guard().unwrap(), 7);
}

/// Fault 10.
fn what_is_held_is_held_also_against_who_opens_the_mapping_by_its_name() {
    fn lock(name: String) -> bool {
        let mutex = Mutex::<u64>::open(name.as_str()).unwrap();
        let refused = mutex.try_lock().unwrap_err();
        refused.is_would_block()
    }
    let shmem = made();
    let name = shmem.get_os_id().trim_start_matches('/').to_owned();
    let mutex = placed!(Mutex<u64>, shmem, 0, 1).unwrap();
    let guard = mutex.lock().unwrap();
    assert!(Process::spawn(lock, name).unwrap().join().unwrap());
    drop(guard);
    assert_eq!(mutex.poison(), None);
}

fn the_mapping_stays_as_long_as_an_object_in_it_and_its_name_goes_then() {
    let shmem = made();
    let path = path_of(&shmem);
    let count = placed!(Counter, shmem, 0, 1).unwrap();
    let other = count.clone();
    // It is not the object's to take away.
    assert!(count.segment().unlink().unwrap_err().is_not_found());
    drop((shmem, count));
    assert!(path.exists());
    assert_eq!(other.add(1), 1);
    drop(other);
    assert!(!path.exists());
}

/// Fault 43.
fn a_fork_child_takes_no_name_away() {
    let shmem = made();
    let path = path_of(&shmem);
    let count = placed!(Counter, shmem, 0, 1).unwrap();
    let all = Cell::new(Some((shmem, count)));
    // The copy drops all that it has.
    forked(|| drop(all.take())).join().unwrap();
    assert!(path.exists());
}

/// Fault 32.
fn a_name_that_leads_elsewhere_by_now_is_not_taken_away() {
    let name = new_name();
    let make = || ShmemConf::new().os_id(&name).size(SIZE).create().unwrap();
    let first = AdoptedShmem::new(make()).unwrap();
    let path = path_of(&first);
    fs::remove_file(&path).unwrap();
    let second = make();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

/// Fault 26. Fault 28.
fn what_is_not_placed_yet_is_not_ready_and_what_is_something_else_is_refused() {
    let shmem = made();
    let error = Counter::open(at(&shmem, 0)).unwrap_err();
    assert!(error.is_not_ready(), "{error}");
    let _value = placed!(Value<u64>, shmem, 0, 1).unwrap();
    let error = Counter::open(at(&shmem, 0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "segment {:?}: expected a counter, found a value",
            shmem.get_os_id().trim_start_matches('/')
        )
    );
    // SAFETY: inside the mapping.
    let foreign = unsafe { shmem.as_ptr().add(4096) };
    // SAFETY: as above; nobody has anything there.
    unsafe { foreign.write_bytes(0xff, 512) };
    let error = Counter::open(at(&shmem, 4096)).unwrap_err();
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

fn an_object_begins_at_a_multiple_of_128_and_ends_inside() {
    let shmem = made();
    for error in [
        placed!(Counter, shmem, 64, 0).unwrap_err(),
        Counter::open(at(&shmem, 64)).unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::MisalignedOffset {
                    expected: 128,
                    found: 64,
                    ..
                }
            ),
            "{error}"
        );
    }
    let last = SIZE - placed!(Counter, shmem, 0, 0).unwrap().segment().len();
    placed!(Counter, shmem, last / 128 * 128, 0).unwrap();
    for offset in [SIZE - 128, SIZE, SIZE + 128, usize::MAX - 127] {
        for error in [
            placed!(Counter, shmem, offset, 0).unwrap_err(),
            Counter::open(at(&shmem, offset)).unwrap_err(),
        ] {
            assert!(error.to_string().contains("bytes"), "{error}");
        }
    }
    let error = placed!(Array<u8>, shmem, 4096, SIZE).unwrap_err();
    assert!(
        matches!(error, Error::TooShort { expected, found, .. }
            if expected == 4096 + 4096 + SIZE as u64 && found == SIZE as u64),
        "{error}"
    );
}

fn an_id_that_leads_elsewhere_is_refused() {
    let name = new_name();
    let make = || ShmemConf::new().os_id(&name).size(SIZE).create().unwrap();
    let mut first = make();
    first.set_owner(false);
    fs::remove_file(Path::new("/dev/shm").join(&name)).unwrap();
    let error = AdoptedShmem::new(first).unwrap_err();
    assert!(error.is_not_found(), "{error}");

    let mut first = make();
    first.set_owner(false);
    fs::remove_file(Path::new("/dev/shm").join(&name)).unwrap();
    let second = make();
    let error = AdoptedShmem::new(first).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    AdoptedShmem::new(second).unwrap();
}

/// Fault 27.
fn a_mapping_that_was_cut_off_is_refused() {
    let shmem = ShmemConf::new().size(SIZE).create().unwrap();
    let path = Path::new("/dev/shm").join(shmem.get_os_id().trim_start_matches('/'));
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(4096)
        .unwrap();
    let error = AdoptedShmem::new(shmem).unwrap_err();
    assert!(
        matches!(error, Error::TooShort { expected, found: 4096, .. } if expected == SIZE as u64),
        "{error}"
    );
}

fn there_is_room_for_every_byte() {
    let shmem = ShmemConf::new().size(SIZE).create().unwrap();
    let path = Path::new("/dev/shm").join(shmem.get_os_id().trim_start_matches('/'));
    assert_eq!(fs::metadata(&path).unwrap().blocks(), 0);
    let _shmem = AdoptedShmem::new(shmem).unwrap();
    // More where the system makes huge pages of it.
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= SIZE as u64);
}

fn who_may_only_read_sees_what_is_written() {
    let shmem = made();
    let value = placed!(Value<u64>, shmem, 1024, 1).unwrap();
    let reader = Value::<u64>::open_read_only(at(&shmem, 1024)).unwrap();
    let other = value.read_only().unwrap();
    value.set(2).unwrap();
    assert_eq!((reader.get(), other.get()), (2, 2));
}
