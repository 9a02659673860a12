//! What becomes of segments when those who make, open and share them are killed, race, or are up to no good.

mod common;

use std::{
    fs::{self, File},
    os::{
        fd::AsFd,
        unix::fs::{PermissionsExt, chown, symlink},
        unix::process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{
    kill_self, named,
    raw::{expect, expect_in_child, in_child, must, new_name, start, wait},
};
use multiproc::{Create, Error, Open, Segment, Value};

const OLD: [u64; 3] = [1; 3];
const NEW: [u64; 3] = [2; 3];

type Shared = Value<[u64; 3]>;

fn main() -> ExitCode {
    common::run(&[
        (
            "a_killed_creator_leaves_no_name_or_one_that_can_be_made_anew",
            a_killed_creator_leaves_no_name_or_one_that_can_be_made_anew,
        ),
        (
            "a_killed_successor_of_a_killed_creator_leaves_no_more_than_it",
            a_killed_successor_of_a_killed_creator_leaves_no_more_than_it,
        ),
        (
            "a_killed_creator_of_what_shall_stay_leaves_all_or_nothing",
            a_killed_creator_of_what_shall_stay_leaves_all_or_nothing,
        ),
        (
            "an_opener_finds_nothing_or_the_whole_thing",
            an_opener_finds_nothing_or_the_whole_thing,
        ),
        (
            "an_opener_and_a_new_creator_of_a_stale_name_agree",
            an_opener_and_a_new_creator_of_a_stale_name_agree,
        ),
        (
            "nobody_takes_away_a_name_that_another_segment_got_meanwhile",
            nobody_takes_away_a_name_that_another_segment_got_meanwhile,
        ),
        (
            "a_peer_cannot_truncate_an_anonymous_segment",
            a_peer_cannot_truncate_an_anonymous_segment,
        ),
        (
            "what_another_user_has_put_at_the_name_is_refused",
            what_another_user_has_put_at_the_name_is_refused,
        ),
        (
            "a_symbolic_link_at_the_name_is_refused",
            a_symbolic_link_at_the_name_is_refused,
        ),
        (
            "a_name_made_anew_leaves_old_handles_on_the_old_segment",
            a_name_made_anew_leaves_old_handles_on_the_old_segment,
        ),
        (
            "a_segment_survives_those_who_attach",
            a_segment_survives_those_who_attach,
        ),
        (
            "a_fork_child_takes_no_name_away",
            a_fork_child_takes_no_name_away,
        ),
    ])
}

fn path_of(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(name)
}

/// The files that have to do with `name`, whatever made them.
fn files_of(name: &str) -> Vec<String> {
    let files = fs::read_dir("/dev/shm").unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|file| file.contains(name))
        .collect()
}

/// How many steps the victim still has to live.
static STEPS_LEFT: AtomicU64 = AtomicU64::new(0);

/// Runs `work` in a child once for each of its steps, killed at that one, and then `check`; says at how many.
fn kill_at_each_step(prepare: impl Fn(), work: impl Fn(), check: impl Fn()) -> u64 {
    for step in 0.. {
        prepare();
        let status = in_child(|| {
            STEPS_LEFT.store(step, Ordering::Relaxed);
            multiproc::__set_step_hook(Some(|at| {
                if STEPS_LEFT.fetch_sub(1, Ordering::Relaxed) == 0 {
                    // For whoever looks into a failure.
                    eprintln!("killed at {at}");
                    kill_self();
                }
            }));
            work();
        });
        let killed = status.signal() == Some(libc::SIGKILL);
        assert!(killed || status.success(), "{status}");
        named(&format!("step {step}"), &check);
        if !killed {
            return step;
        }
    }
    unreachable!("there is an end to the steps")
}

/// Makes a segment and leaves it behind.
fn create_and_leave(create: Create, value: [u64; 3]) {
    std::mem::forget(Shared::create(create, value).unwrap());
}

/// Fault 25.
fn a_killed_creator_leaves_no_name_or_one_that_can_be_made_anew() {
    let name = &new_name();
    let steps = kill_at_each_step(
        || {},
        || create_and_leave(Create::named(name), OLD),
        || {
            match Shared::open(name.as_str()) {
                Ok(found) => assert_eq!(found.get(), OLD),
                Err(error) => assert!(error.is_not_found(), "{error}"),
            }
            let made = Shared::create(name.as_str(), NEW).unwrap();
            assert_eq!(Shared::open(name.as_str()).unwrap().get(), NEW);
            drop(made);
            assert_eq!(files_of(name), [""; 0]);
        },
    );
    assert!(steps >= 5, "only {steps} steps");
}

/// Fault 3. Fault 25.
fn a_killed_successor_of_a_killed_creator_leaves_no_more_than_it() {
    let name = &new_name();
    let steps = kill_at_each_step(
        || expect_in_child(|| create_and_leave(Create::named(name), OLD)),
        || create_and_leave(Create::named(name), NEW),
        || {
            match Shared::open(name.as_str()) {
                Ok(found) => assert!([OLD, NEW].contains(&found.get())),
                Err(error) => assert!(error.is_not_found(), "{error}"),
            }
            drop(Shared::create(name.as_str(), NEW).unwrap());
            assert_eq!(files_of(name), [""; 0]);
        },
    );
    assert!(steps >= 7, "only {steps} steps");
}

/// Fault 25.
fn a_killed_creator_of_what_shall_stay_leaves_all_or_nothing() {
    let name = &new_name();
    kill_at_each_step(
        || {},
        || create_and_leave(Create::named(name).persist(true), OLD),
        || {
            match Shared::open(name.as_str()) {
                Ok(found) => {
                    assert_eq!(found.get(), OLD);
                    Segment::remove(name).unwrap();
                }
                Err(error) => assert!(error.is_not_found(), "{error}"),
            }
            assert_eq!(files_of(name), [""; 0]);
        },
    );
}

/// Fault 26.
fn an_opener_finds_nothing_or_the_whole_thing() {
    for _ in 0..100 {
        let name = &new_name();
        let opener = start(|| {
            loop {
                match Shared::open(name.as_str()) {
                    Ok(found) => return assert_eq!(found.get(), NEW),
                    Err(error) => {
                        assert!(error.is_not_found() || error.is_not_ready(), "{error}");
                    }
                }
            }
        });
        let patient = start(|| {
            let open = Open::named(name).wait(Duration::from_secs(30));
            assert_eq!(Shared::open(open).unwrap().get(), NEW);
        });
        let made = Shared::create(name.as_str(), NEW).unwrap();
        expect(wait(opener));
        expect(wait(patient));
        drop(made);
    }
}

/// Fault 26.
fn an_opener_and_a_new_creator_of_a_stale_name_agree() {
    for _ in 0..100 {
        let name = &new_name();
        expect_in_child(|| create_and_leave(Create::named(name), OLD));
        let results = [tempfile(), tempfile()];
        let [opened, made] = &results;
        let opener = start(|| {
            let found = loop {
                match Shared::open(name.as_str()) {
                    Err(error) if error.is_not_found() => {}
                    found => break found.unwrap(),
                }
            };
            fs::write(opened, found.get()[0].to_string()).unwrap();
            // Until the creator is through, or the creator would find the name stale once more.
            while fs::read(made).unwrap().is_empty() {}
        });
        let made_anew = Shared::create(name.as_str(), NEW);
        fs::write(made, "done").unwrap();
        expect(wait(opener));
        let opened = fs::read_to_string(opened).unwrap();
        match made_anew {
            Ok(_) => assert_eq!(opened, "2"),
            Err(error) => {
                assert!(error.is_already_exists(), "{error}");
                assert_eq!(opened, "1");
                Segment::remove(name).unwrap();
            }
        }
        results
            .iter()
            .for_each(|file| fs::remove_file(file).unwrap());
    }
}

/// The name that somebody is about to take away.
static DOOMED: OnceLock<String> = OnceLock::new();
/// Whether others have tried to.
static INTERFERED: AtomicBool = AtomicBool::new(false);

/// Who takes a name away stops just before that; meanwhile others take it away, too, and make it anew.
/// Fault 32.
fn nobody_takes_away_a_name_that_another_segment_got_meanwhile() {
    fn interfere_once() {
        multiproc::__set_step_hook(Some(|at| {
            if at == "segment: name to be removed" {
                multiproc::__set_step_hook(None);
                INTERFERED.store(true, Ordering::Relaxed);
                let name = DOOMED.get().unwrap();
                expect_in_child(|| {
                    let _ = Segment::remove(name);
                    let made = Shared::create(Create::named(name).persist(true), NEW);
                    assert!(made.is_err(), "the name is still there");
                });
            }
        }));
    }
    type Test = fn(&str);
    let tests: [Test; 3] = [
        |name| {
            expect_in_child(|| create_and_leave(Create::named(name), OLD));
            interfere_once();
            let made = Shared::create(name, NEW).unwrap();
            assert_eq!(Shared::open(name).unwrap().get(), NEW);
            drop(made);
        },
        |name| {
            let made = Shared::create(name, OLD).unwrap();
            interfere_once();
            drop(made);
        },
        |name| {
            let _made = Shared::create(name, OLD).unwrap();
            interfere_once();
            Segment::remove(name).unwrap();
        },
    ];
    for test in tests {
        expect_in_child(|| {
            let name = DOOMED.get_or_init(new_name);
            test(name);
            assert!(INTERFERED.load(Ordering::Relaxed));
            assert_eq!(files_of(name), [""; 0]);
        });
    }
}

/// An empty file.
fn tempfile() -> PathBuf {
    let path = std::env::temp_dir().join(new_name());
    File::create_new(&path).unwrap();
    path
}

/// Fault 29.
fn a_peer_cannot_truncate_an_anonymous_segment() {
    let value = Shared::new(OLD).unwrap();
    expect_in_child(|| {
        let file = File::from(value.segment().as_fd().try_clone_to_owned().unwrap());
        for len in [0, 1, 1 << 20] {
            let refused = file.set_len(len).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        }
    });
    assert_eq!(value.get(), OLD);
}

/// Fault 31.
fn what_another_user_has_put_at_the_name_is_refused() {
    let name = &new_name();
    let refused = |foreign: u32| {
        for error in [
            Shared::open(name.as_str()).unwrap_err(),
            Shared::create(name.as_str(), NEW).unwrap_err(),
            Segment::remove(name).unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::NotOurs { uid, .. } if uid == foreign),
                "{error}"
            );
        }
    };
    File::create_new(path_of(name)).unwrap();
    if chown(path_of(name), Some(12_345), None).is_err() {
        println!("skipped: only root can make files of other users");
    } else {
        refused(12_345);
        // And when that user's file cannot even be opened.
        chown(path_of(name), Some(0), None).unwrap();
        fs::set_permissions(path_of(name), fs::Permissions::from_mode(0o600)).unwrap();
        expect_in_child(|| {
            // SAFETY: no memory is involved.
            must(unsafe { libc::setuid(12_345) });
            refused(0);
        });
    }
    fs::remove_file(path_of(name)).unwrap();
}

/// Fault 31.
fn a_symbolic_link_at_the_name_is_refused() {
    let (name, other) = (&new_name(), &new_name());
    let value = Shared::create(other.as_str(), OLD).unwrap();
    symlink(path_of(other), path_of(name)).unwrap();
    for error in [
        Shared::open(name.as_str()).unwrap_err(),
        Shared::create(name.as_str(), NEW).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotRegular { .. }), "{error}");
    }
    fs::remove_file(path_of(name)).unwrap();
    drop(value);
}

/// Fault 32.
fn a_name_made_anew_leaves_old_handles_on_the_old_segment() {
    let name = &new_name();
    let old = Shared::create(name.as_str(), OLD).unwrap();
    expect_in_child(|| {
        Segment::remove(name).unwrap();
        create_and_leave(Create::named(name).persist(true), NEW);
    });
    assert_eq!(old.get(), OLD);
    assert_eq!(Shared::open(name.as_str()).unwrap().get(), NEW);
    drop(old);
    assert_eq!(Shared::open(name.as_str()).unwrap().get(), NEW);
    Segment::remove(name).unwrap();
}

/// Fault 33.
fn a_segment_survives_those_who_attach() {
    let name = &new_name();
    let value = Shared::create(name.as_str(), OLD).unwrap();
    expect_in_child(|| drop(Shared::open(name.as_str()).unwrap()));
    let status = in_child(|| {
        let found = Shared::open(name.as_str()).unwrap();
        found.set(NEW).unwrap();
        kill_self();
    });
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert_eq!(value.get(), NEW);
    assert_eq!(Shared::open(name.as_str()).unwrap().get(), NEW);
}

/// Fault 43.
fn a_fork_child_takes_no_name_away() {
    let name = &new_name();
    let mut value = Some(Shared::create(name.as_str(), OLD).unwrap());
    expect_in_child(|| drop(value.take()));
    assert_eq!(Shared::open(name.as_str()).unwrap().get(), OLD);
    drop(value);
    assert!(Shared::open(name.as_str()).unwrap_err().is_not_found());
}
