//! Rings of tasks, among workers that are only numbers.
#![cfg(not(loom))]

mod common;

use std::{num::NonZeroU64, thread};

use common::{Fake, ORIGIN, bytes, memory};
use multiproc_core::{
    ByteRing, FOREVER, HEADER_LEN, Hands, Kind, LayoutError, Lost, MAX_WORKERS, NOW, Progress,
    Region, Ring, RingError, RingWords, TaskRing, atomic::AtomicU64,
};

type Tasks = TaskRing<'static, Fake>;

/// Where what workers have in hand begins, and how far one row is from the next.
const HANDS: usize = HEADER_LEN + 512;
const ROW: usize = 64;

fn place(capacity: usize) -> Region<'static> {
    let region = memory(Tasks::required_len(capacity).unwrap());
    // SAFETY: memory that nobody else has.
    unsafe { Tasks::place(region, Fake::new(1), ORIGIN, capacity) }.unwrap();
    region
}

fn open(region: Region<'static>, who: Fake) -> Tasks {
    TaskRing::attach(region, who, ORIGIN).unwrap()
}

fn name(task: u64) -> NonZeroU64 {
    NonZeroU64::new(task).unwrap()
}

/// A ring with tasks of these names, whose bodies say so too.
fn with(tasks: impl IntoIterator<Item = u64>) -> Region<'static> {
    let region = place(1024);
    let ring = open(region, Fake::new(1));
    let tasks = tasks.into_iter().map(|task| (name(task), body(task)));
    ring.put_many(tasks, NOW).1.unwrap();
    region
}

fn body(task: u64) -> String {
    format!("task {task}")
}

/// Takes a task as the worker of this row, if there is one; its name.
fn take(ring: &Tasks, row: usize) -> Result<u64, RingError> {
    ring.take(row, NOW, |task, taken| {
        assert_eq!(taken, body(task).as_bytes());
        task
    })
}

/// Takes all there are, as the worker of this row.
fn take_all(ring: &Tasks, row: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while let Ok(task) = take(ring, row) {
        ring.done(row);
        taken.push(task);
    }
    taken
}

fn lost(task: u64, progress: Progress) -> Result<Option<Lost>, RingError> {
    Ok(Some(Lost { task, progress }))
}

const NOTHING_LOST: Result<Option<Lost>, RingError> = Ok(None);

#[test]
fn rows_lie_where_the_documentation_says() {
    let region = place(1024);
    let ring = open(region, Fake::new(901));
    ring.put(name(7), b"task 7", NOW).unwrap();
    take(&ring, 3).unwrap();
    ring.begin(3, 5);
    assert!(!ring.advance(3, Progress::new(9, 9), Progress::new(9, 9)));
    assert!(ring.advance(3, Progress::default(), Progress::new(2, 40)));
    ring.begin(3, 0x55);
    let word = |at: usize| {
        let word = &bytes(region)[at..at + 8];
        u64::from_le_bytes(word.try_into().unwrap())
    };
    let row = HANDS + ROW * (1 + 3);
    assert_eq!(
        [0, 8, 16, 24].map(|at| word(row + at)),
        [7, 2 << 32 | 40, 0x55, 0]
    );
    assert_eq!(word(HANDS + 8), 3, "whose the last one was");
    ring.done(3);
    assert_eq!([0, 24].map(|at| word(row + at)), [0, 1]);
    let rows = HANDS + ROW * (1 + MAX_WORKERS);
    let data = rows.next_multiple_of(128);
    assert_eq!(Tasks::required_len(1024).unwrap(), data + 1024);
    assert!(bytes(region)[data..].starts_with(&14u32.to_le_bytes()));
    assert_eq!(word(data + 8), 7, "the record begins with its name");
}

#[test]
fn other_kinds_and_truncated_memory_are_refused() {
    let region = memory(ByteRing::<u8, Fake>::required_len(1 << 20).unwrap());
    // SAFETY: memory that nobody else has.
    unsafe { ByteRing::<u8, Fake>::place(region, Fake::new(1), ORIGIN, 1 << 20) }.unwrap();
    let error = Tasks::attach(region, Fake::new(1), ORIGIN).unwrap_err();
    assert!(matches!(error, LayoutError::Kind { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains(&Kind::TaskRing.to_string()), "{said}");
    let region = place(64);
    for len in (0..region.len()).step_by(8) {
        // SAFETY: a part of it.
        let part = unsafe { Region::new(region.as_ptr(), len) }.unwrap();
        let error = Tasks::attach(part, Fake::new(1), ORIGIN).unwrap_err();
        assert!(matches!(error, LayoutError::TooShort { .. }), "{error}");
    }
    assert!(matches!(
        Tasks::required_len(usize::MAX),
        Err(LayoutError::RingTooLarge { .. })
    ));
}

#[test]
fn tasks_are_taken_in_their_order_and_each_by_one() {
    let region = with(1..=5);
    let (one, other) = (open(region, Fake::new(911)), open(region, Fake::new(912)));
    assert_eq!(take(&one, 0), Ok(1));
    assert_eq!(take(&other, 1), Ok(2));
    assert_eq!(
        (one.in_hand(0), one.in_hand(1)),
        (Some((1, 0)), Some((2, 0)))
    );
    one.begin(1, 77);
    assert_eq!(one.in_hand(1), Some((2, 77)));
    one.done(0);
    assert_eq!((one.in_hand(0), one.ended(0), one.ended(1)), (None, 1, 0));
    assert_eq!(take_all(&one, 0), [3, 4, 5]);
    other.done(1);
    assert_eq!((one.ended(0), one.ended(1)), (4, 1));
    assert_eq!(take(&one, 0), Err(RingError::WouldBlock));
    one.close(FOREVER).unwrap();
    assert_eq!(take(&one, 0), Err(RingError::Closed));
    let refused = one.put(name(9), &[], NOW);
    assert_eq!(refused, Err(RingError::Closed));
}

#[test]
fn a_task_whose_body_is_empty_or_fills_half_the_ring_is_taken_as_it_was() {
    let region = place(1024);
    let ring = open(region, Fake::new(921));
    for len in [0, 1, 7, 8, 9, 512 - 16] {
        let body = vec![len as u8; len];
        ring.put(name(1), &body, NOW).unwrap();
        let taken = ring.take(0, NOW, |_, body| body.to_vec()).unwrap();
        ring.done(0);
        assert_eq!(taken, body);
    }
    let refused = ring.put(name(1), &[0; 1024], NOW).unwrap_err();
    assert!(matches!(refused, RingError::TooLarge), "{refused}");
}

#[test]
fn as_many_are_put_as_there_is_room_for() {
    let region = place(64);
    let ring = open(region, Fake::new(931));
    let tasks = || (1..=9).map(|task| (name(task), body(task)));
    let (put, why) = ring.put_many(tasks(), NOW);
    assert_eq!(why, Err(RingError::WouldBlock));
    assert!((1..9).contains(&put), "{put}");
    assert_eq!(take_all(&ring, 0), (1..=put as u64).collect::<Vec<_>>());
}

#[test]
fn the_ring_goes_round_and_positions_begin_anew() {
    let words = Box::leak(Box::new(RingWords::new(u32::MAX - 7, 0)));
    let data: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
    let ring = Ring::new(words, data.leak());
    let hands = Box::leak(Box::new(Hands::new()));
    // SAFETY: the only one over these.
    let ring = unsafe { TaskRing::over(ring, hands, Fake::new(941)) };
    for task in 1..100 {
        ring.put(name(task), body(task).as_bytes(), NOW).unwrap();
        if task % 3 == 0 {
            assert_eq!(ring.cancel(task, NOW), Ok(true));
            assert_eq!(take(&ring, 1), Err(RingError::WouldBlock));
        } else {
            assert_eq!(take(&ring, 0), Ok(task));
            assert_eq!(ring.lost(1, NOW), NOTHING_LOST, "it is of another row");
            assert_eq!(ring.lost(0, NOW), lost(task, Progress::default()));
        }
    }
}

#[test]
fn who_is_cancelled_before_it_is_taken_is_taken_by_nobody() {
    let region = with(1..=6);
    let ring = open(region, Fake::new(951));
    assert_eq!(take(&ring, 0), Ok(1));
    for task in [1, 7] {
        assert_eq!(ring.cancel(task, NOW), Ok(false), "{task} is not there");
    }
    for task in [2, 4, 6] {
        assert_eq!(ring.cancel(task, NOW), Ok(true));
        assert_eq!(ring.cancel(task, NOW), Ok(false), "{task} is gone");
    }
    ring.done(0);
    assert_eq!(take_all(&ring, 0), [3, 5]);
    assert!(ring.ring().is_empty(), "the cancelled take no room");
    ring.put(name(8), body(8).as_bytes(), NOW).unwrap();
    assert_eq!(ring.cancel(8, NOW), Ok(true));
    ring.close(FOREVER).unwrap();
    assert_eq!(ring.cancel(8, NOW), Ok(false));
    assert_eq!(take(&ring, 0), Err(RingError::Closed));
}

#[test]
fn a_full_ring_of_cancelled_tasks_has_room_once_somebody_looked_for_one() {
    let region = place(64);
    let ring = open(region, Fake::new(961));
    let (put, _) = ring.put_many((1..=9).map(|task| (name(task), "")), NOW);
    for task in 1..=put as u64 {
        assert_eq!(ring.cancel(task, NOW), Ok(true));
    }
    assert_eq!(take(&ring, 0), Err(RingError::WouldBlock));
    assert_eq!(
        ring.put_many((1..=9).map(|task| (name(task), "")), NOW).0,
        put
    );
}

/// Steps at which a worker may die that takes a task, ends its only item and is done with it; and what is found in its
/// row then. Where that is nothing, the task is still in the ring.
const DEATHS: [(&str, Option<u32>); 8] = [
    ("lock: taken", None),
    ("task: noted whose it will be", None),
    ("task: in the row, and in the ring", None),
    ("ring: about to consume", None),
    ("ring: consumed", Some(0)),
    ("unlock: begun", Some(0)),
    ("task: about to advance", Some(0)),
    ("task: told, still in hand", Some(1)),
];

/// Who looks first, after the death of a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// Who asks what went with it.
    Judge,
    /// Another one who takes.
    Taker,
    /// One who cancels.
    Canceller,
    /// One who wants to be alone, and dies when he has put the task back.
    Dying,
}

/// Fault 21.
#[test]
fn who_dies_at_any_step_leaves_its_task_in_the_ring_or_in_its_row_and_never_both() {
    let mut pid = 1000;
    for (step, in_row) in DEATHS {
        for next in [Next::Judge, Next::Taker, Next::Canceller, Next::Dying] {
            pid += 10;
            let region = with([1]);
            let victim = Fake::new(pid).stops_at(step);
            thread::spawn(move || {
                let ring = open(region, victim);
                let _ = ring.take(5, FOREVER, |_, _| ());
                ring.begin(5, 1);
                let _ = ring.advance(5, Progress::default(), Progress::new(1, 0));
                ring.done(5);
            });
            victim.until_stopped();
            victim.die();
            let what = format!("{step}, {next:?}");
            let ring = open(region, Fake::new(pid + 1));
            let is_left = in_row.is_none();
            let until = || Fake::new(pid + 1).soon(10_000);
            let until_if = |is_there| if is_there { until() } else { NOW };
            match next {
                Next::Judge => {}
                Next::Taker => {
                    let taken = ring.take(6, until_if(is_left), |task, _| task);
                    assert_eq!(taken.is_ok(), is_left, "{what}: {taken:?}");
                }
                Next::Canceller => {
                    assert_eq!(ring.cancel(1, until()), Ok(is_left), "{what}");
                }
                Next::Dying => {
                    let dying = Fake::new(pid + 2).stops_at("task: out of the row of the dead");
                    let looks = thread::spawn(move || open(region, dying).alone(FOREVER, || ()));
                    if [
                        "task: in the row, and in the ring",
                        "task: noted whose it will be",
                        "ring: about to consume",
                    ]
                    .contains(&step)
                    {
                        dying.until_stopped();
                        dying.die();
                    } else {
                        looks.join().unwrap().unwrap();
                    }
                }
            }
            let told = ring.lost(5, until());
            let expected = in_row.map(|items| Lost {
                task: 1,
                progress: Progress::new(items, 0),
            });
            assert_eq!(told, Ok(expected), "{what}");
            assert_eq!(ring.lost(5, until()), NOTHING_LOST, "{what}: told twice");
            let is_still_there = is_left && matches!(next, Next::Judge | Next::Dying);
            let again = ring.take(5, until_if(is_still_there), |task, _| task);
            assert_eq!(again.is_ok(), is_still_there, "{what}: {again:?}");
        }
    }
}

#[test]
fn a_row_is_the_next_workers_once_it_was_told_what_was_lost_with_the_last() {
    let region = with([1, 2]);
    let dead = Fake::new(1401);
    assert_eq!(take(&open(region, dead), 0), Ok(1));
    assert!(open(region, dead).advance(0, Progress::default(), Progress::new(3, 80)));
    dead.die();
    let ring = open(region, Fake::new(1402));
    assert_eq!(ring.lost(0, NOW), lost(1, Progress::new(3, 80)));
    assert_eq!((ring.in_hand(0), ring.lost(0, NOW)), (None, NOTHING_LOST));
    assert_eq!(take(&ring, 0), Ok(2));
    assert_eq!(
        ring.lost(0, NOW),
        lost(2, Progress::default()),
        "it begins anew"
    );
}

#[test]
fn who_is_stopped_while_taking_is_waited_for_no_longer_than_was_said() {
    let region = with([1, 2]);
    let stopped = Fake::new(1411).stops_at("task: in the row, and in the ring");
    thread::spawn(move || open(region, stopped).take(0, FOREVER, |_, _| ()));
    stopped.until_stopped();
    let ring = open(region, Fake::new(1412));
    let until = || Fake::new(1412).soon(20);
    let timed_out = |error| matches!(error, RingError::WouldBlock | RingError::TimedOut);
    assert!(timed_out(take(&ring, 1).unwrap_err()));
    assert!(timed_out(ring.take(1, until(), |_, _| ()).unwrap_err()));
    assert!(timed_out(ring.cancel(2, until()).unwrap_err()));
    assert!(timed_out(ring.lost(1, until()).unwrap_err()));
    let mut ran = false;
    assert!(timed_out(ring.alone(until(), || ran = true).unwrap_err()));
    assert!(!ran);
    stopped.die();
    assert_eq!(ring.lost(0, FOREVER), NOTHING_LOST);
    assert_eq!(take_all(&ring, 1), [1, 2]);
}

#[test]
fn nobody_takes_anything_while_somebody_is_alone() {
    let region = with([1]);
    let ring = open(region, Fake::new(1421));
    let other = open(region, Fake::new(1422));
    let refused = ring.alone(NOW, || take(&other, 0)).unwrap();
    assert_eq!(refused, Err(RingError::WouldBlock));
    assert_eq!(take(&other, 0), Ok(1));
}

#[test]
fn a_task_stays_if_who_takes_it_panics_over_it() {
    let region = with([1]);
    let ring = open(region, Fake::new(1431));
    let panics = std::panic::AssertUnwindSafe(|| ring.take(0, NOW, |_, _| panic!("on purpose")));
    let _: Result<Result<(), _>, _> = std::panic::catch_unwind(panics);
    assert_eq!(ring.in_hand(0), None);
    assert_eq!(take(&ring, 1), Ok(1));
}

#[test]
fn who_is_condemned_ends_no_further_item_until_it_is_pardoned() {
    let region = with([1]);
    let ring = open(region, Fake::new(1441));
    take(&ring, 0).unwrap();
    let (none, one) = (Progress::default(), Progress::new(1, 24));
    assert!(ring.advance(0, none, one));
    ring.begin(0, 100);
    assert_eq!(ring.condemn(0, 1, 101), Some(one));
    assert_eq!(ring.condemn(0, 1, 101), None, "it is already");
    let two = Progress::new(2, 48);
    assert!(!ring.advance(0, one, two));
    ring.pardon(0);
    assert!(ring.advance(0, one, two));
    ring.begin(0, 100);
    assert_eq!(ring.condemn(0, 1, 101), Some(two));
    let told = ring.lost(0, NOW).unwrap().unwrap();
    assert_eq!(
        (told.task, told.progress.items(), told.progress.bytes()),
        (1, 2, 48)
    );
    // The next worker of this row is not condemned for it.
    ring.put(name(2), body(2).as_bytes(), NOW).unwrap();
    assert_eq!(take(&ring, 0), Ok(2));
    assert!(ring.advance(0, none, one));
}

#[test]
fn nobody_is_condemned_who_is_not_late_with_this_task() {
    let region = with([1]);
    let ring = open(region, Fake::new(1451));
    assert_eq!(ring.condemn(0, 1, u64::MAX), None, "it has none");
    take(&ring, 0).unwrap();
    assert_eq!(ring.condemn(0, 1, u64::MAX), None, "it has not begun");
    ring.begin(0, 100);
    assert_eq!(ring.condemn(0, 1, 100), None, "it is in time");
    assert_eq!(ring.condemn(0, 2, u64::MAX), None, "it has another");
    assert!(ring.advance(0, Progress::default(), Progress::new(1, 0)));
    assert_eq!(ring.condemn(0, 1, u64::MAX), None, "it has ended the item");
}

#[test]
fn whom_one_condemned_who_died_over_it_waits_to_be_pardoned() {
    let region = with([1]);
    let ring = open(region, Fake::new(1461));
    take(&ring, 0).unwrap();
    ring.begin(0, 100);
    let judge = Fake::new(1462).stops_at("task: condemned");
    let judging = thread::spawn(move || open(region, judge).condemn(0, 1, 101));
    judge.until_stopped();
    assert!(!ring.advance(0, Progress::default(), Progress::new(1, 0)));
    judge.die();
    drop(judging);
    ring.pardon(0);
    assert!(ring.advance(0, Progress::default(), Progress::new(1, 0)));
}

#[test]
fn there_is_no_row_beyond_the_last() {
    let region = with([1, 2]);
    let ring = open(region, Fake::new(1471));
    let last = MAX_WORKERS - 1;
    assert_eq!(take(&ring, last), Ok(1));
    assert_eq!(ring.lost(last, NOW), lost(1, Progress::default()));
    for row in [MAX_WORKERS, usize::MAX] {
        assert_eq!(take(&ring, row), Err(RingError::TooManyProcesses));
        assert_eq!(ring.lost(row, NOW), Err(RingError::TooManyProcesses));
        assert_eq!((ring.in_hand(row), ring.ended(row)), (None, 0));
        assert!(!ring.advance(row, Progress::default(), Progress::default()));
        assert_eq!(ring.condemn(row, 2, u64::MAX), None);
        ring.begin(row, 1);
        ring.done(row);
        ring.pardon(row);
    }
    assert_eq!(take_all(&ring, 0), [2]);
}

/// Fault 10.
#[test]
fn when_all_are_dead_what_they_had_in_hand_is_forgotten_and_tasks_stay() {
    let region = with([1, 2]);
    let dead = Fake::new(1481);
    take(&open(region, dead), 0).unwrap();
    // SAFETY: nobody uses it any more.
    unsafe { Tasks::bury(region, dead, ORIGIN) }.unwrap();
    let ring = open(region, Fake::new(1482));
    assert_eq!(ring.lost(0, NOW), NOTHING_LOST);
    assert_eq!(take_all(&ring, 0), [2]);
}

#[test]
fn progress_is_read_as_it_was_written() {
    for (items, bytes) in [(0, 0), (1, 0), (0, u32::MAX), ((1 << 31) - 1, 5)] {
        let progress = Progress::new(items, bytes);
        assert_eq!((progress.items(), progress.bytes()), (items, bytes));
        assert!(!progress.is_condemned());
    }
    assert_eq!(Progress::new(u32::MAX, 0).items(), (1 << 31) - 1);
    assert!(!Progress::new(u32::MAX, 0).is_condemned());
}

/// Fault 27.
#[test]
fn foreign_bytes_are_harmless() {
    for byte in [0, 1, 2, 3, 0x7f, 0x80, 0xff] {
        for records_too in [false, true] {
            let region = with([1, 2]);
            let ring = open(region, Fake::new(1491));
            let data = bytes(region).len() - 1024;
            let end = if records_too {
                data + 1024
            } else {
                HANDS + ROW * 4
            };
            bytes(region)[HANDS..HANDS + ROW * 4].fill(byte);
            if records_too {
                bytes(region)[data..end].fill(byte);
            }
            let until = || Fake::new(1491).soon(2);
            for row in [0, 1] {
                _ = ring.lost(row, until());
                _ = ring.take(row, until(), |_, _| ());
                _ = ring.advance(row, Progress::default(), Progress::new(1, 0));
                _ = (ring.in_hand(row), ring.condemn(row, 1, u64::MAX));
                ring.done(row);
            }
            _ = ring.cancel(1, until());
            _ = ring.alone(until(), || ());
            _ = ring.put(name(3), &[], until());
        }
    }
}
