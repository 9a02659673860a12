//! Segments that stay when everybody has left, and are opened again: later, or after a reboot.

use std::{
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use multiproc::{Array, Create, Error, LayoutError, Open, Segment};

use crate::{
    common::{forked, kill_self, named, raw::new_name},
    flag::Flag,
    observe::{birth, identity, idle, kill},
    subject::{MOMENT, Objects, SUBJECTS, Subject, Told, forge, of_claim, write_word},
};

/// Where objects stay although nobody has them.
#[derive(Debug)]
enum Place {
    Named(String),
    Directory(PathBuf),
}

impl Place {
    fn each() -> [Place; 2] {
        let directory = std::env::temp_dir().join(new_name());
        fs::create_dir(&directory).unwrap();
        [Place::Named(new_name()), Place::Directory(directory)]
    }

    fn create(&self) -> Objects {
        let create = |what: &str| match self {
            Place::Named(name) => Create::named(format!("{name}-{what}")).persist(true),
            Place::Directory(directory) => Create::file(directory.join(what)),
        };
        Objects::create(create).unwrap()
    }

    fn try_open(&self) -> Result<Objects, Error> {
        Objects::open(|what| match self {
            Place::Named(name) => Open::named(format!("{name}-{what}")),
            Place::Directory(directory) => Open::file(directory.join(what)),
        })
    }

    fn open(&self) -> Objects {
        self.try_open().unwrap()
    }

    /// The file of a subject.
    fn file(&self, subject: Subject) -> fs::File {
        let what = format!("{subject:?}").to_lowercase();
        let path = match self {
            Place::Named(name) => PathBuf::from(format!("/dev/shm/{name}-{what}")),
            Place::Directory(directory) => directory.join(what),
        };
        let options = fs::OpenOptions::new().read(true).write(true).open(path);
        options.unwrap()
    }

    fn remove(self) {
        match self {
            Place::Named(name) => {
                for what in Objects::NAMES {
                    Segment::remove(&format!("{name}-{what}")).unwrap();
                }
            }
            Place::Directory(directory) => fs::remove_dir_all(directory).unwrap(),
        }
    }

    /// A process that opens it, adds one, and then takes and adds one again, is killed; nobody has it any more.
    /// Returns the identity of the dead.
    fn leave_held(&self, subject: Subject) -> u64 {
        let held = Flag::new();
        let child = forked(|| {
            let objects = self.open();
            objects.hold(subject).add_one();
            objects.leak(subject);
            held.raise();
            idle();
        });
        held.wait();
        let dead = identity(child.pid(), birth(child.pid()));
        kill(&child);
        dead
    }
}

fn for_each_place(test: impl Fn(&Place, Subject)) {
    for subject in SUBJECTS {
        for place in Place::each() {
            drop(place.create());
            named(&format!("{subject:?} in {place:?}"), || {
                test(&place, subject)
            });
            place.remove();
        }
    }
}

/// What there is when one was added, and another one by him who died.
fn assert_kept(objects: &Objects, subject: Subject) {
    // What was written of a value was not published.
    let expected = if subject == Subject::Value { 1 } else { 2 };
    assert_eq!(objects.count(subject), expected);
}

fn pid_of(identity: u64) -> u32 {
    (identity >> 1) as u32 & ((1 << 22) - 1)
}

/// Fault 10.
pub fn what_the_last_to_leave_held_is_poisoned_and_values_are_kept() {
    for_each_place(|place, subject| {
        let dead = place.leave_held(subject);
        let objects = place.open();
        // Known at once, without anybody asking for the owner.
        let told = objects.told(subject, MOMENT);
        assert_eq!(told, subject.after_death(pid_of(dead)));
        assert_kept(&objects, subject);
    });
}

/// This very process, which lives.
fn me() -> u64 {
    identity(process::id(), birth(process::id()))
}

/// Fault 10.
pub fn every_owner_counts_as_dead_when_nobody_was_left() {
    for_each_place(|place, subject| {
        let dead = place.leave_held(subject);
        // As it may be found when ids and births are given out again.
        forge(&place.file(subject), dead, me());
        let objects = place.open();
        let told = objects.told(subject, MOMENT);
        assert_eq!(told, subject.after_death(process::id()));
        assert_kept(&objects, subject);
    });
}

/// Where the boot stands; see `core/src/header.rs`.
const BOOT_AT: u64 = 136;

/// Makes a layout that of another boot.
pub fn reboot(file: &fs::File) {
    const OTHER: u64 = 0x1234_5678_9abc;
    let check = OTHER.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    write_word(file, BOOT_AT, OTHER | check << 48).unwrap();
}

/// Fault 10.
pub fn after_a_reboot_everything_held_is_poisoned_and_values_are_kept() {
    for_each_place(|place, subject| {
        let dead = place.leave_held(subject);
        for each in SUBJECTS {
            reboot(&place.file(each));
        }
        forge(&place.file(subject), dead, me());
        let objects = place.open();
        let told = objects.told(subject, MOMENT);
        assert_eq!(told, subject.after_death(process::id()));
        assert_kept(&objects, subject);
        // It is of this boot now: others may have it too.
        let again = place.open();
        assert_kept(&again, subject);
    });
}

/// Fault 10.
pub fn a_segment_of_another_boot_that_somebody_has_is_refused() {
    for place in Place::each() {
        let objects = place.create();
        for subject in SUBJECTS {
            reboot(&place.file(subject));
        }
        let error = place.try_open().map(drop).unwrap_err();
        let own = matches!(
            error,
            Error::Unfit {
                why: LayoutError::ForeignBoot,
                ..
            }
        );
        assert!(own, "{error}");
        drop(objects);
        for subject in SUBJECTS {
            assert_eq!(place.open().told(subject, MOMENT), Told::Sound);
        }
        place.remove();
    }
}

static STEPS_LEFT: AtomicU64 = AtomicU64::new(0);

/// Fault 10.
pub fn an_opener_killed_while_burying_leaves_it_to_the_next() {
    let path = std::env::temp_dir().join(new_name());
    let (mut step, mut deaths, mut through) = (0, 0, false);
    while !through {
        drop(Array::<u64>::create(path.as_path(), 10).unwrap());
        let hold_two_and_die = || {
            let array = Array::<u64>::open(path.as_path()).unwrap();
            let _first = array.write(1..3).unwrap();
            let _second = array.write(5..9).unwrap();
            kill_self();
        };
        let died = forked(hold_two_and_die).join().unwrap_err();
        assert!(died.is_killed(), "{died}");
        reboot(
            &fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .unwrap(),
        );
        let opener = forked(|| {
            STEPS_LEFT.store(step, Ordering::Relaxed);
            multiproc::__set_step_hook(Some(|_| {
                if STEPS_LEFT.fetch_sub(1, Ordering::Relaxed) == 0 {
                    kill_self();
                }
            }));
            drop(Array::<u64>::open(path.as_path()).unwrap());
            multiproc::__set_step_hook(None);
        });
        match opener.join() {
            Ok(()) => through = true,
            Err(error) => assert!(error.is_killed(), "{error}"),
        }
        deaths += u64::from(!through);
        let array = Array::<u64>::open(path.as_path()).unwrap();
        let (guard, _) = of_claim(array.write(..));
        let mut poisoned: Vec<_> = guard
            .unwrap()
            .poisoned()
            .iter()
            .map(|one| one.range.clone())
            .collect();
        poisoned.sort_by_key(|range| range.start);
        assert_eq!(poisoned, [1..3, 5..9], "killed at step {step}");
        drop(array);
        fs::remove_file(&path).unwrap();
        step += 1;
    }
    assert!(deaths > 4, "{deaths} steps");
}
