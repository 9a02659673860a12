//! What can be seen from one process: several segments in it behave as those of several processes do.

use std::{
    cell::Cell,
    fs::{self, File},
    io::Write,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::PathBuf,
    process,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use multiproc_core::MAGIC;

use super::{draft::Draft, hold, target::*, *};
use crate::sys::{
    file::{self, Facts},
    memory,
};

/// A name that no other test has, taken away when the test ends, however it ends.
struct Name(String);

impl Name {
    fn new() -> Name {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Name(format!("multiproc-test-{}-{number}", process::id()))
    }

    fn path(&self) -> PathBuf {
        Path::new(file::NAMED).join(&self.0)
    }

    fn create(&self) -> Result<Segment, Error> {
        Segment::create(Create::named(&self.0), 4096, |region| {
            // SAFETY: inside the segment, which nobody else sees yet and starts at a page.
            unsafe { region.as_ptr().cast::<u64>().write(MAGIC) };
            Ok(())
        })
    }

    fn open(&self) -> Result<Segment, Error> {
        Segment::open(Open::named(&self.0), Access::ReadWrite, |_| Ok(()))
    }

    /// Opens, and says whether the segment was found without users.
    fn open_and_look(&self) -> (Segment, bool) {
        let buried = Cell::new(false);
        let segment = Segment::open(Open::named(&self.0), Access::ReadWrite, |_| {
            buried.set(true);
            Ok(())
        });
        (segment.unwrap(), buried.get())
    }

    /// A segment whose creator was killed: the name is there and nobody holds it.
    fn abandon(&self, persist: bool) {
        let mut segment =
            Segment::create(Create::named(&self.0).persist(persist), 4096, |_| Ok(())).unwrap();
        segment.name_owner = None;
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

/// A file, open for reading and writing, whose length cannot be sealed.
fn unsealable() -> File {
    let name = Name::new();
    let file = file::create_new(&name.path(), PERSISTENT).unwrap();
    file.set_len(4096).unwrap();
    file
}

fn put(segment: &Segment, byte: u8) {
    // SAFETY: inside the segment, which is writable; no test looks at the same time.
    unsafe { last_byte(segment).write(byte) };
}

fn get(segment: &Segment) -> u8 {
    // SAFETY: inside the segment; no test writes at the same time.
    unsafe { last_byte(segment).read() }
}

fn last_byte(segment: &Segment) -> NonNull<u8> {
    // SAFETY: inside the segment, which is never empty.
    unsafe { segment.region().as_ptr().add(segment.len() - 1) }
}

fn copy_of(segment: &Segment) -> (OwnedFd, Flavour) {
    let (fd, flavour) = segment.handle();
    (fd.try_clone_to_owned().unwrap(), flavour)
}

/// Makes a segment of 5000 bytes in a file that no test uses.
fn adopt(fd: impl Into<OwnedFd>) -> Result<Segment, Error> {
    // SAFETY: the tests look at one segment in a file after the other.
    let create = unsafe { Create::adopt(fd.into()) };
    Segment::create(create, 5000, |_| Ok(()))
}

/// Fault 29.
#[test]
fn an_anonymous_segment_is_zero_and_its_length_is_sealed() {
    let segment = Segment::create(Create::anonymous(), 10_000, |_| Ok(())).unwrap();
    assert_eq!((segment.len(), get(&segment)), (10_000, 0));
    assert!(segment.file.set_len(1).is_err());
    assert!(segment.file.set_len(20_000).is_err());
}

#[test]
fn a_segment_handed_over_is_the_same_memory() {
    let name = Name::new();
    for create in [Create::anonymous(), Create::named(&name.0)] {
        let segment = Segment::create(create, 4096, |_| Ok(())).unwrap();
        let (fd, flavour) = copy_of(&segment);
        let other = Segment::from_handle(fd, flavour, Access::ReadWrite).unwrap();
        put(&segment, 7);
        assert_eq!(get(&other), 7);
        assert_eq!(other.access(), Access::ReadWrite);
        drop(segment);
        assert_eq!(get(&other), 7);
    }
}

/// Fault 29.
#[test]
fn an_anonymous_segment_that_can_be_cut_off_is_refused() {
    let hand_over =
        |file: File| Segment::from_handle(file.into(), Flavour::Anonymous, Access::ReadWrite);
    let file = unsealable();
    let error = hand_over(file).unwrap_err();
    assert!(matches!(error, Error::Unsealed { .. }), "{error}");

    // What can still be sealed is.
    let file = memory::anonymous().unwrap();
    file.set_len(4096).unwrap();
    let again = file.try_clone().unwrap();
    hand_over(file).unwrap();
    assert!(again.set_len(0).is_err());
}

#[test]
fn a_read_only_segment_stays_so_when_it_is_handed_over() {
    let name = Name::new();
    for create in [Create::anonymous(), Create::named(&name.0)] {
        let segment = Segment::create(create, 4096, |_| Ok(())).unwrap();
        put(&segment, 3);
        let reader = segment.read_only().unwrap();
        assert_eq!((reader.access(), get(&reader)), (Access::ReadOnly, 3));
        let (fd, flavour) = copy_of(&reader);
        let again = fd.try_clone().unwrap();
        let other = Segment::from_handle(fd, flavour.clone(), Access::ReadOnly).unwrap();
        assert_eq!((other.access(), get(&other)), (Access::ReadOnly, 3));
        let error = Segment::from_handle(again, flavour, Access::ReadWrite).unwrap_err();
        assert!(matches!(error, Error::WrongAccess { .. }), "{error}");
    }
}

#[test]
fn a_segment_taken_for_reading_cannot_be_written_whatever_its_handle_allows() {
    let name = Name::new();
    for create in [Create::anonymous(), Create::named(&name.0)] {
        let segment = Segment::create(create, 4096, |_| Ok(())).unwrap();
        let (fd, flavour) = copy_of(&segment);
        let reader = Segment::from_handle(fd, flavour, Access::ReadOnly).unwrap();
        assert_eq!(reader.access(), Access::ReadOnly);
        let (fd, _) = reader.handle();
        assert_eq!(file::access(fd).unwrap(), (true, false));
    }
}

#[test]
fn a_name_is_there_once_and_goes_with_its_creator() {
    let name = Name::new();
    let first = name.create().unwrap();
    assert_eq!(first.name(), Some(name.0.as_str()));
    assert!(name.create().unwrap_err().is_already_exists());
    let other = name.open().unwrap();
    drop(first);
    assert!(name.open().unwrap_err().is_not_found());
    // The memory stays with whoever has it, the name is free.
    put(&other, 1);
    assert_eq!(get(&name.create().unwrap()), 0);
}

/// Fault 33.
#[test]
fn dropping_an_opened_segment_leaves_the_name() {
    let name = Name::new();
    let creator = name.create().unwrap();
    drop(name.open().unwrap());
    name.open().unwrap();
    drop(creator);
}

/// Fault 32.
#[test]
fn a_name_made_anew_is_another_segment() {
    let name = Name::new();
    let old = name.create().unwrap();
    put(&old, 1);
    Segment::remove(&name.0).unwrap();
    assert!(Segment::remove(&name.0).unwrap_err().is_not_found());
    let new = name.create().unwrap();
    assert_eq!((get(&old), get(&name.open().unwrap())), (1, 0));
    // The old creator does not take away the new one's name.
    drop(old);
    name.open().unwrap();
    drop(new);
}

/// Fault 25.
#[test]
fn a_segment_that_its_creator_left_behind_can_be_opened_or_made_anew() {
    let name = Name::new();
    name.abandon(false);
    let (opened, was_alone) = name.open_and_look();
    assert!(was_alone);
    assert!(!name.open_and_look().1, "two have it");
    assert!(name.create().unwrap_err().is_already_exists());
    drop(opened);
    name.create().unwrap();
}

#[test]
fn a_persistent_segment_waits_for_its_next_user() {
    let name = Name::new();
    let made = Segment::create(Create::named(&name.0).persist(true), 4096, |_| Ok(())).unwrap();
    put(&made, 9);
    drop(made);
    assert!(name.create().unwrap_err().is_already_exists());
    let (segment, was_alone) = name.open_and_look();
    assert!(was_alone);
    assert_eq!(get(&segment), 9);
}

#[test]
fn a_reader_buries_nobody_but_counts_as_a_user() {
    let name = Name::new();
    name.abandon(false);
    let reader = Segment::open(Open::named(&name.0), Access::ReadOnly, |_| {
        panic!("a reader cannot write")
    })
    .unwrap();
    assert!(!name.open_and_look().1);
    assert!(name.create().unwrap_err().is_already_exists());
    drop(reader);
    name.create().unwrap();
}

#[test]
fn what_burying_says_is_what_opening_says() {
    let name = Name::new();
    name.abandon(true);
    let refuse = |_: Region<'_>| Err(LayoutError::NotReady);
    let error = Segment::open(Open::named(&name.0), Access::ReadWrite, refuse).unwrap_err();
    assert!(error.is_not_ready(), "{error}");
    // It left no lock behind.
    assert!(name.open_and_look().1);
}

#[test]
fn a_layout_that_cannot_be_placed_leaves_nothing() {
    let name = Name::new();
    let failed = Segment::create(Create::named(&name.0), 4096, |_| Err(LayoutError::NotReady));
    assert!(failed.is_err());
    assert!(!name.path().exists());
}

/// Fault 26.
#[test]
fn nobody_sees_the_name_before_the_layout_is_placed() {
    let name = Name::new();
    let segment = Segment::create(Create::named(&name.0), 4096, |_| {
        assert!(!name.path().exists());
        // Somebody else is faster.
        name.abandon(false);
        Ok(())
    });
    // But is gone already, so that the slower one has it after all.
    put(&segment.unwrap(), 1);

    let mut faster = None;
    let slower = Segment::create(Create::named(&name.0), 4096, |_| {
        faster = name.create().ok();
        Ok(())
    });
    assert!(faster.is_some());
    assert!(slower.unwrap_err().is_already_exists());
}

/// Fault 26.
#[test]
fn an_opener_waits_for_a_name() {
    let name = Name::new();
    let open = || Open::named(&name.0).wait(Duration::from_secs(60));
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| Segment::open(open(), Access::ReadWrite, |_| Ok(())));
        let creator = name.create().unwrap();
        opener.join().unwrap().unwrap();
        drop(creator);
    });
    let open = Open::named(&name.0).wait(Duration::from_millis(2));
    let late = Segment::open(open, Access::ReadWrite, |_| Ok(()));
    assert!(late.unwrap_err().is_not_found());
}

#[test]
fn whoever_looks_for_too_long_is_reported() {
    let name = Name::new();
    name.abandon(true);
    let looker = File::open(name.path()).unwrap();
    assert!(hold::try_exclusive(&looker, "").unwrap());
    let error = name.open().unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    assert!(error.is_not_ready());
    drop(looker);
    name.open().unwrap();
}

#[test]
fn names_that_are_no_names_are_refused() {
    for bad in ["", ".", "..", "a/b", "/a", "a\0b", &"x".repeat(201)] {
        for error in [
            Segment::create(Create::named(bad), 1, |_| Ok(())).unwrap_err(),
            Segment::open(Open::named(bad), Access::ReadWrite, |_| Ok(())).unwrap_err(),
            Segment::remove(bad).unwrap_err(),
        ] {
            assert!(
                matches!(&error, Error::InvalidName { name, .. } if name == bad),
                "{error}"
            );
        }
    }
}

/// Fault 31.
#[test]
fn what_is_no_segment_is_told_from_one() {
    let name = Name::new();
    let other = Name::new();
    fs::write(other.path(), [1; 100]).unwrap();

    symlink(other.path(), name.path()).unwrap();
    let not_regular = |error: Error, what: &str| {
        assert!(
            matches!(error, Error::NotRegular { found, .. } if found == what),
            "{error}"
        );
    };
    not_regular(name.open().unwrap_err(), "a symbolic link");
    not_regular(name.create().unwrap_err(), "a symbolic link");
    not_regular(Segment::remove(&name.0).unwrap_err(), "a symbolic link");
    fs::remove_file(name.path()).unwrap();

    fs::create_dir(name.path()).unwrap();
    not_regular(name.open().unwrap_err(), "a directory");
    not_regular(name.create().unwrap_err(), "a directory");
    fs::remove_dir(name.path()).unwrap();

    File::create(name.path()).unwrap();
    let error = name.open().unwrap_err();
    assert!(matches!(error, Error::TooShort { found: 0, .. }), "{error}");
    assert!(error.is_not_ready(), "its maker has not got far");
}

#[test]
fn files_of_other_programs_are_never_taken_away() {
    let name = Name::new();
    fs::write(name.path(), b"precious").unwrap();
    assert!(name.create().unwrap_err().is_already_exists());
    let error = Segment::remove(&name.0).unwrap_err();
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
    assert_eq!(fs::read(name.path()).unwrap(), b"precious");
    fs::write(name.path(), b"brief").unwrap();
    let error = Segment::remove(&name.0).unwrap_err();
    assert!(matches!(error, Error::TooShort { found: 5, .. }), "{error}");
    assert_eq!(fs::read(name.path()).unwrap(), b"brief");
}

#[test]
fn a_file_stays_and_is_never_made_anew() {
    let path = std::env::temp_dir().join(&Name::new().0);
    let create = || Segment::create(Create::file(&path), 4096, |_| Ok(()));
    let segment = create().unwrap();
    assert_eq!(segment.path(), Some(path.as_path()));
    put(&segment, 5);
    assert!(create().unwrap_err().is_already_exists());
    drop(segment);
    assert!(create().unwrap_err().is_already_exists());
    let segment = Segment::open(Open::file(&path), Access::ReadWrite, |_| Ok(())).unwrap();
    assert_eq!(get(&segment), 5);
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_file_without_a_directory_in_its_path_lies_in_the_current_one() {
    let target = Target::file("x".into()).unwrap();
    assert_eq!(target.directory(), Path::new("."));
    assert_eq!(target.draft(), Path::new("./.x.new"));
    assert!(Target::file("/".into()).is_err());
}

#[test]
fn segments_are_for_their_user_alone() {
    let name = Name::new();
    let _segment = name.create().unwrap();
    let found = fs::metadata(name.path()).unwrap();
    assert_eq!(found.mode() & 0o777, 0o600);
}

/// Fault 31.
#[test]
fn a_segment_of_another_user_is_refused() {
    let name = Name::new();
    File::create(name.path()).unwrap();
    if std::os::unix::fs::chown(name.path(), Some(12_345), None).is_err() {
        println!("skipped: only root gives files away");
        return;
    }
    for error in [
        name.open().unwrap_err(),
        name.create().unwrap_err(),
        Segment::remove(&name.0).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::NotOurs { uid: 12_345, expected, .. } if expected == file::user()),
            "{error}"
        );
    }
}

#[test]
fn an_adopted_descriptor_becomes_a_segment() {
    let fd = memory::anonymous().unwrap();
    let other = fd.try_clone().unwrap();
    let segment = adopt(fd).unwrap();
    assert_eq!(
        (segment.len(), segment.handle().1),
        (5000, Flavour::Anonymous)
    );
    put(&segment, 4);
    let opened = Open::fd(other.into());
    let opened = Segment::open(opened, Access::ReadOnly, |_| Ok(())).unwrap();
    assert_eq!((opened.access(), get(&opened)), (Access::ReadOnly, 4));
}

#[test]
fn an_adopted_file_keeps_its_length_and_its_place() {
    let name = Name::new();
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(name.path())
        .unwrap();
    file.write_all(&[1; 10_000]).unwrap();
    let other = file.try_clone().unwrap();
    let segment = adopt(file).unwrap();
    assert_eq!((segment.len(), get(&segment)), (10_000, 0));
    assert_eq!(segment.path(), Some(name.path().as_path()));
    let opened = Segment::open(Open::fd(other.into()), Access::ReadWrite, |_| {
        panic!("the first one has it")
    });
    put(&segment, 6);
    assert_eq!(get(&opened.unwrap()), 6);
}

#[test]
fn a_file_that_somebody_has_is_not_adopted() {
    let name = Name::new();
    let creator = name.create().unwrap();
    put(&creator, 1);
    let (fd, _) = copy_of(&creator);
    assert!(adopt(fd).unwrap_err().is_already_exists());
    assert_eq!((creator.len(), get(&creator)), (4096, 1));

    // Nor may it be adopted while the one who adopted it has it.
    drop(creator);
    name.abandon(true);
    let fd = || {
        File::options()
            .read(true)
            .write(true)
            .open(name.path())
            .unwrap()
    };
    let adopted = adopt(fd()).unwrap();
    assert!(adopt(fd()).unwrap_err().is_already_exists());
    drop(adopted);
    adopt(fd()).unwrap();
}

#[test]
fn a_descriptor_for_reading_does_not_become_one_for_writing() {
    let name = Name::new();
    fs::write(name.path(), [1; 100]).unwrap();
    let fd = || OwnedFd::from(File::open(name.path()).unwrap());
    for error in [
        adopt(fd()).unwrap_err(),
        Segment::open(Open::fd(fd()), Access::ReadWrite, |_| Ok(())).unwrap_err(),
    ] {
        assert!(matches!(error, Error::WrongAccess { .. }), "{error}");
    }
}

#[test]
fn prefault_and_huge_pages_change_nothing_else() {
    let name = Name::new();
    for create in [Create::anonymous(), Create::named(&name.0)] {
        let create = create.prefault(true).huge_pages(true);
        let segment = Segment::create(create, 3 << 20, |_| Ok(())).unwrap();
        assert_eq!((segment.len(), get(&segment)), (3 << 20, 0));
        put(&segment, 1);
    }
}

#[test]
fn nothing_cannot_be_shared() {
    let error = Segment::create(Create::anonymous(), 0, |_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::TooShort { .. }), "{error}");
}

/// Fault 30.
#[test]
fn more_than_there_is_cannot_be_had() {
    let name = Name::new();
    for create in [Create::anonymous(), Create::named(&name.0)] {
        let error = Segment::create(create, 1 << 50, |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::NoMemory { .. }), "{error}");
    }
    assert!(!name.path().exists());
}

/// Fault 30.
#[test]
fn holes_in_what_is_taken_for_writing_are_filled() {
    const LEN: usize = 1 << 20;
    let sparse = |len: usize| {
        let file = memory::anonymous().unwrap();
        file.set_len(len as u64).unwrap();
        file
    };
    let hand_over = |file: File, access| {
        Segment::from_handle(file.into(), Flavour::Anonymous, access).map(|segment| {
            let room = Facts::of(&segment.file).unwrap().room;
            (segment, room)
        })
    };
    let (segment, room) = hand_over(sparse(LEN), Access::ReadWrite).unwrap();
    assert_eq!((segment.len(), room), (LEN, LEN as u64));
    assert_eq!(hand_over(sparse(LEN), Access::ReadOnly).unwrap().1, 0);

    let error = hand_over(sparse(1 << 45), Access::ReadWrite).unwrap_err();
    assert!(matches!(error, Error::NoMemory { .. }), "{error}");
    let opened = Open::fd(sparse(1 << 45).into());
    let error = Segment::open(opened, Access::ReadWrite, |_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::NoMemory { .. }), "{error}");
}

#[test]
fn a_flavour_travels_whole() {
    use std::os::unix::ffi::OsStringExt;
    for flavour in [
        Flavour::Anonymous,
        Flavour::Named("prices".into()),
        Flavour::File(PathBuf::from(std::ffi::OsString::from_vec(vec![
            b'/', 0xff,
        ]))),
    ] {
        let bytes = postcard::to_stdvec(&flavour).unwrap();
        let again: Flavour = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(again, flavour);
    }
}

/// File systems that have no nameless files are rare, so these ask for the other way of making a draft.
mod drafts_with_names {
    use super::*;

    fn target(name: &Name) -> Target {
        Target::named(name.0.clone()).unwrap()
    }

    #[test]
    fn a_draft_becomes_the_segment() {
        let name = Name::new();
        let target = target(&name);
        let draft = Draft::with_name(&target, PERSISTENT).unwrap();
        assert!(target.draft().exists());
        assert!(!target.path.exists());
        draft.publish().unwrap().unwrap();
        assert!(!target.draft().exists());
        let mode = fs::metadata(&target.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, PERSISTENT);
    }

    #[test]
    fn a_draft_that_came_to_nothing_leaves_nothing() {
        let name = Name::new();
        let target = target(&name);
        drop(Draft::with_name(&target, TRANSIENT).unwrap());
        assert!(!target.draft().exists());
    }

    /// Fault 25.
    #[test]
    fn a_draft_that_nobody_holds_is_replaced() {
        let name = Name::new();
        let target = target(&name);
        file::create_new(&target.draft(), TRANSIENT).unwrap();
        let draft = Draft::with_name(&target, TRANSIENT).unwrap();
        draft.publish().unwrap().unwrap();
        assert!(!target.draft().exists());
    }

    #[test]
    fn a_draft_that_somebody_holds_is_left_alone() {
        let name = Name::new();
        let target = target(&name);
        let _first = Draft::with_name(&target, TRANSIENT).unwrap();
        let error = Draft::with_name(&target, TRANSIENT).unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert!(target.draft().exists());
    }

    #[test]
    fn a_foreign_file_in_the_place_of_a_draft_is_left_alone() {
        let name = Name::new();
        let target = target(&name);
        fs::write(target.draft(), b"precious").unwrap();
        let error = Draft::with_name(&target, TRANSIENT).unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert_eq!(fs::read(target.draft()).unwrap(), b"precious");
        fs::remove_file(target.draft()).unwrap();
    }

    /// Fault 25.
    #[test]
    fn a_creator_killed_with_both_names_in_place_is_succeeded() {
        let name = Name::new();
        let target = target(&name);
        name.abandon(false);
        fs::hard_link(&target.path, target.draft()).unwrap();
        name.create().unwrap();
        Draft::with_name(&target, TRANSIENT).unwrap();
        assert!(!target.draft().exists());
    }

    #[test]
    fn the_faster_of_two_has_the_name() {
        let name = Name::new();
        let target = target(&name);
        let draft = Draft::with_name(&target, TRANSIENT).unwrap();
        let _faster = name.create().unwrap();
        let draft = draft.publish().unwrap().unwrap_err();
        drop(draft);
        assert!(!target.draft().exists());
        name.open().unwrap();
    }
}
