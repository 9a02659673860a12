//! Maps.

use std::{cell::Cell, fmt, ops::RangeFrom};

use multiproc::{Executor, MapError, MapOptions, Payload, Pool, PoolError, StartMethod, TaskError};
use serde::{Deserialize, Serialize, Serializer, ser};

use crate::{
    common::{self, STUCK, kill_self, wait_until},
    pools::{
        Gate, WORKERS, busy, double, everywhere, expect_all_but, lone, pass, pool, value,
        with_executors, with_pools,
    },
};

pub fn results_come_in_the_order_of_the_items() {
    fn test(pool: &impl Executor) {
        let doubled: Vec<u64> = (0..1000).map(double).collect();
        assert_eq!(pool.map(double, 0..1000).unwrap(), doubled);
        // How many there are is not known before.
        let odd = (0..1000).filter(|x| x % 2 == 1);
        let expected: Vec<u64> = odd.clone().map(double).collect();
        assert_eq!(pool.map(double, odd).unwrap(), expected);
    }
    with_executors!(test);
}

pub fn chunks_of_any_size_give_the_same() {
    fn test(pool: &impl Executor) {
        // Of different lengths, so that what belongs to whom shows.
        let repeat = |x: usize| "x".repeat(x % 57);
        let expected: Vec<String> = (0..333).map(repeat).collect();
        for size in [0, 1, 2, 7, 332, 333, 1000, usize::MAX] {
            let options = MapOptions::new().chunk_size(size);
            let outcomes = pool.try_map_with(options, repeat, 0..333).unwrap();
            let results: Vec<String> = outcomes.into_iter().map(Result::unwrap).collect();
            assert!(results == expected, "chunks of {size}");
        }
        assert!(pool.map(repeat, 0..333).unwrap() == expected);
    }
    with_executors!(test);
}

pub fn every_number_comes_back_as_it_was() {
    fn round_trip<T: Payload + Clone + PartialEq + fmt::Debug>(pool: &Pool, numbers: Vec<T>) {
        assert_eq!(pool.map(|x: T| x, numbers.clone()).unwrap(), numbers);
        for number in numbers {
            let task = pool.submit(|x: T| x, number.clone()).unwrap();
            assert_eq!(task.get().unwrap(), number);
        }
    }
    with_pools(|pool| {
        round_trip(pool, vec![0, 127, 128, u8::MAX]);
        round_trip(pool, vec![i8::MIN, -1, 0, i8::MAX]);
        round_trip(pool, vec![0, 300, u16::MAX]);
        round_trip(pool, vec![i16::MIN, -1, 0, i16::MAX]);
        round_trip(pool, vec![0, 1 << 20, u32::MAX]);
        round_trip(pool, vec![i32::MIN, -1, 0, i32::MAX]);
        round_trip(pool, vec![0, 1 << 40, u64::MAX]);
        round_trip(pool, vec![i64::MIN, -1, 0, i64::MAX]);
        round_trip(pool, vec![0, usize::MAX]);
        round_trip(pool, vec![isize::MIN, -1, 0, isize::MAX]);
        round_trip(pool, vec![0, u128::MAX]);
        round_trip(pool, vec![i128::MIN, -1, 0, i128::MAX]);
        round_trip(pool, vec![f64::MIN, -0.0, f64::EPSILON, f64::INFINITY]);
        round_trip(pool, vec![f32::MIN, -0.0, f32::EPSILON, f32::INFINITY]);
    });
}

/// Panics over numbers that end in 7.
fn no_seven(x: u64) -> u64 {
    assert_ne!(x % 10, 7, "{x} ends in seven");
    x
}

pub fn the_first_item_that_failed_is_told_once_all_have_ended() {
    with_pools(|pool| {
        let gate = Gate::new();
        let items = vec![(gate.clone(), 17), (gate.clone(), 7), (gate.clone(), 1)];
        // The first to fail is the second by time.
        let task = |(gate, x): (Gate, u64)| {
            match x {
                17 => gate.open.wait(),
                7 => gate.open.set(),
                _ => drop(gate.begun.add(1)),
            }
            no_seven(x)
        };
        let error = pool.map(task, items).unwrap_err();
        assert_eq!(error.index(), Some(0));
        let why = error.task_error().unwrap();
        assert!(why.is_panic() && why.to_string().contains("17 ends in seven"));
        assert_eq!(gate.begun.get(), 1, "all have ended");
    });
}

pub fn each_items_outcome_is_told() {
    fn test(pool: &impl Executor) {
        for size in [1, 5, 100] {
            let options = MapOptions::new().chunk_size(size);
            let outcomes = pool.try_map_with(options, no_seven, 0..30).unwrap();
            assert_eq!(outcomes.len(), 30);
            expect_all_but(&outcomes, |index| index as u64, &[7, 17, 27]);
            let error = outcomes[17].as_ref().unwrap_err();
            assert!(error.is_panic(), "{error}");
            assert!(error.to_string().contains("17 ends in seven"), "{error}");
            let options = MapOptions::new().chunk_size(size);
            let error = pool.map_with(options, no_seven, 8..30).unwrap_err();
            assert_eq!(error.index(), Some(9));
        }
    }
    with_executors!(test);
}

/// A number that cannot be encoded if it ends in 3.
#[derive(Deserialize)]
struct NoThree(u64);

impl Serialize for NoThree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 10 == 3 {
            return Err(ser::Error::custom("it ends in three"));
        }
        serializer.serialize_u64(self.0)
    }
}

pub fn an_item_that_cannot_be_submitted_fails_alone() {
    with_pools(|pool| {
        for size in [1, 4, 100, 1000] {
            let options = MapOptions::new().chunk_size(size);
            let items = (0..204).map(NoThree);
            let outcomes = pool.try_map_with(options, |x: NoThree| x.0, items).unwrap();
            assert_eq!(outcomes.len(), 204);
            let threes: Vec<usize> = (3..204).step_by(10).collect();
            expect_all_but(&outcomes, |index| index as u64, &threes);
            let error = outcomes[203].as_ref().unwrap_err();
            assert!(matches!(error, TaskError::NotSubmitted { .. }), "{error}");
        }
    });
}

pub fn tasks_of_two_to_six_arguments_take_tuples() {
    fn add(a: u64, b: u64) -> u64 {
        a + b
    }
    fn test(pool: &impl Executor) {
        assert_eq!(pool.starmap(add, [(1, 2), (3, 4)]).unwrap(), [3, 7]);
        let three = |a: String, b: u8, c: Option<u8>| format!("{a}{b}{c:?}");
        let items = [("x".to_owned(), 1, None), ("y".to_owned(), 2, Some(3))];
        assert_eq!(pool.starmap(three, items).unwrap(), ["x1None", "y2Some(3)"]);
        let four = |a: u8, b: u8, c: u8, d: u8| [d, c, b, a];
        assert_eq!(pool.starmap(four, [(1, 2, 3, 4)]).unwrap(), [[4, 3, 2, 1]]);
        let five = |a: u8, b: u8, c: u8, d: u8, e: u8| [e, d, c, b, a];
        let fives = pool.starmap(five, [(1, 2, 3, 4, 5)]).unwrap();
        assert_eq!(fives, [[5, 4, 3, 2, 1]]);
        let six = |a: u8, b: u8, c: u8, d: u8, e: u8, f: f64| (f, [e, d, c, b, a]);
        let sixes = pool.starmap(six, [(1, 2, 3, 4, 5, 0.5)]).unwrap();
        assert_eq!(sixes, [(0.5, [5, 4, 3, 2, 1])]);
        let divide = |a: u64, b: u64| a / b;
        let options = MapOptions::new().chunk_size(2);
        let mut outcomes = Vec::new();
        let items = [(4, 2), (1, 0), (9, 3)];
        pool.star_each(options, divide, items, |outcome| outcomes.push(outcome))
            .unwrap();
        expect_all_but(&outcomes, |index| [2, 0, 3][index], &[1]);
        let error = pool.starmap(divide, [(4, 2), (1, 0)]).unwrap_err();
        assert_eq!(error.index(), Some(1));
    }
    with_executors!(test);
}

pub fn a_map_of_nothing_is_nothing() {
    fn test(pool: &impl Executor) {
        assert_eq!(pool.map(double, []).unwrap(), [0; 0]);
        assert!(pool.try_map(double, []).unwrap().is_empty());
        assert_eq!(pool.starmap(|a: u8, b: u8| a + b, []).unwrap(), [0; 0]);
        assert_eq!(pool.imap(double, []).count(), 0);
        assert_eq!(pool.imap_unordered(double, []).count(), 0);
    }
    with_executors!(test);
}

pub fn progress_is_told_before_the_end_and_up_to_it() {
    /// The last one waits to be let go.
    fn no_seven_and_last((x, last): (u64, Option<Gate>)) -> u64 {
        if let Some(gate) = last {
            assert!(gate.open.wait_timeout(STUCK), "nothing was told before");
        }
        no_seven(x)
    }
    fn test(pool: &impl Executor) {
        let gate = Gate::new();
        let last = Cell::new((0, 0));
        let options = MapOptions::new().chunk_size(3).progress(|progress| {
            assert!(progress.done > last.get().0 && progress.done <= progress.total);
            last.set((progress.done, progress.total));
            if progress.done < progress.total {
                gate.open.set();
            }
        });
        let items = (0..100).map(|x| (x, (x == 99).then(|| gate.clone())));
        let outcomes = pool.try_map_with(options, no_seven_and_last, items);
        let sevens: Vec<usize> = (7..100).step_by(10).collect();
        expect_all_but(&outcomes.unwrap(), |index| index as u64, &sevens);
        assert_eq!(last.get(), (100, 100));
    }
    with_executors!(test);
}

pub fn results_short_and_long_are_given_while_others_are_computed() {
    /// The last one waits to be let go.
    fn repeat((len, last): (usize, Option<Gate>)) -> String {
        if let Some(gate) = last {
            assert!(gate.open.wait_timeout(STUCK), "nothing was given before");
        }
        "x".repeat(len)
    }
    with_pools(|pool| {
        for len in [1000, 20_000] {
            let gate = Gate::new();
            let items = (0..100).map(|x| (len, (x == 99).then(|| gate.clone())));
            let options = MapOptions::new().chunk_size(1);
            let mut given = 0;
            let take = |outcome: Result<String, TaskError>| {
                given += outcome.unwrap().len();
                gate.open.set();
            };
            pool.each(options, repeat, items, take).unwrap();
            assert_eq!(given, 100 * len);
        }
    });
}

pub fn results_are_given_while_long_items_are_submitted() {
    // Far more than there is room for on the way to the workers.
    const ITEMS: u64 = 2000;
    with_pools(|pool| {
        let (given, at_the_last) = (Cell::new(0), Cell::new(0));
        let items = (0..ITEMS).map(|_| {
            at_the_last.set(given.get());
            "x".repeat(20_000)
        });
        let take = |outcome: Result<String, TaskError>| {
            assert_eq!(outcome.unwrap().len(), 20_000);
            given.set(given.get() + 1);
        };
        let options = MapOptions::new();
        pool.each(options, |text: String| text, items, take)
            .unwrap();
        assert_eq!(given.get(), ITEMS);
        assert!(at_the_last.get() > 0, "nothing was given before");
    });
}

/// However many there are.
pub fn items_are_taken_as_the_workers_get_on() {
    with_pools(|pool| {
        let small = 5000;
        let large = (pool.workers() as u64 + 1) * 16 * 1000;
        for (chunk, ahead, all) in [(1, small, 50_000), (1000, large, 500_000)] {
            let before = pool.stats().done;
            let items = (0..all).inspect(|taken| {
                if taken % 1000 == 0 {
                    let ended = pool.stats().done - before;
                    assert!(*taken <= ended + ahead, "{taken} with {ended} ended");
                }
            });
            let options = MapOptions::new().chunk_size(chunk);
            let doubled = pool.map_with(options, |x: u64| 2 * x, items).unwrap();
            assert!(doubled.into_iter().eq((0..all).map(|x| 2 * x)));
        }
    });
}

/// Whether they travel as words or not.
pub fn numbers_and_panics_lie_side_by_side() {
    fn test<N: Number>(pool: &impl Executor) {
        fn halve<N: Number>(x: N) -> N {
            let x = x.to_f64();
            assert!(x % 10.0 != 7.0, "{x}");
            N::of_f64(x / 2.0)
        }
        let items = (0..1000).map(|x| N::of_f64(f64::from(x)));
        let outcomes = pool.try_map(halve::<N>, items).unwrap();
        let sevens: Vec<usize> = (7..1000).step_by(10).collect();
        expect_all_but(&outcomes, |index| N::of_f64(index as f64 / 2.0), &sevens);
    }
    fn all(pool: &impl Executor) {
        test::<f64>(pool);
        test::<f32>(pool);
        test::<i32>(pool);
        test::<u16>(pool);
    }
    with_executors!(all);
}

trait Number: multiproc::Payload + Copy + PartialEq + std::fmt::Debug {
    fn of_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            fn of_f64(x: f64) -> $number {
                x as $number
            }

            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
numbers!(f64, f32, i32, u16);

/// Four for each worker, of equal size but for the last.
pub fn a_map_is_cut_into_four_chunks_for_each_worker() {
    with_pools(|pool| {
        let ended = || -> u64 {
            wait_until(|| pool.stats().running == 0);
            pool.stats().workers.iter().map(|worker| worker.ended).sum()
        };
        for (items, chunks) in [(1, 1), (3, 3), (8, 8), (9, 5), (80, 8), (81, 8), (1000, 8)] {
            let before = ended();
            pool.map(double, 0..items).unwrap();
            assert_eq!(ended() - before, chunks, "{items} items");
            // How many there are is not known before.
            pool.map(double, (0..items).filter(|_| true)).unwrap();
            assert_eq!(ended() - before, 2 * chunks, "{items} items");
        }
    });
}

pub fn the_first_tuple_that_failed_is_told() {
    fn divide(a: u64, b: u64) -> u64 {
        if b == 99 {
            kill_self();
        }
        a / b
    }
    with_pools(|pool| {
        let items = [(4, 2), (1, 0), (9, 99), (9, 3)];
        let error = pool.starmap(divide, items).unwrap_err();
        assert_eq!(error.index(), Some(1));
        let why = error.task_error().unwrap();
        assert!(why.is_panic(), "{why}");
        assert!(why.to_string().contains("divide by zero"), "{why}");
        let error = pool.starmap(divide, [(4, 2), (9, 99)]).unwrap_err();
        assert_eq!(error.index(), Some(1));
        let why = error.task_error().unwrap();
        assert_eq!(why.signal(), Some(libc::SIGKILL), "{why}");
        let mut outcomes = Vec::new();
        let options = MapOptions::new().chunk_size(4);
        pool.star_each(options, divide, items, |outcome| outcomes.push(outcome))
            .unwrap();
        assert_eq!(outcomes.len(), 4);
        expect_all_but(&outcomes, |index| [2, 0, 0, 3][index], &[1, 2]);
    });
}

pub fn results_come_one_by_one_in_order() {
    fn test(pool: &impl Executor) {
        let results: Vec<_> = pool.imap(no_seven, 0..30).collect();
        assert_eq!(results.len(), 30);
        expect_all_but(&results, |index| index as u64, &[7, 17, 27]);
        for window in [0, 1, 100] {
            let results = pool.imap(double, 0..30).window(window);
            assert_eq!(results.size_hint(), (30, Some(30)));
            let results: Vec<u64> = results.map(Result::unwrap).collect();
            assert_eq!(results, (0..30).map(double).collect::<Vec<_>>());
        }
    }
    with_executors!(test);
}

/// Numbers without end, which say how many were taken.
fn counted(count: &Cell<usize>) -> impl Iterator<Item = u64> + '_ {
    let numbers: RangeFrom<u64> = 0..;
    numbers.inspect(|_| count.set(count.get() + 1))
}

/// Defect 11 of Python: 1,449 inputs were read for one result.
pub fn only_so_many_items_are_taken_ahead() {
    fn test(pool: &impl Executor) {
        let count = Cell::new(0);
        let mut results = pool.imap(double, counted(&count));
        assert_eq!(count.get(), 0, "nothing was asked for");
        assert_eq!(results.next().unwrap().unwrap(), 0);
        assert_eq!(count.get(), 4 * pool.workers());
        assert_eq!(results.next().unwrap().unwrap(), 2);
        assert_eq!(count.get(), 4 * pool.workers() + 1);
        drop(results);
        count.set(0);
        let mut results = pool.imap_unordered(double, counted(&count)).window(3);
        for given in 0..20 {
            assert!(results.next().unwrap().is_ok());
            assert!(count.get() <= given + 3, "{} for {given}", count.get());
        }
        drop(results);
        count.set(0);
        let first = pool.imap(double, counted(&count)).window(1).nth(5);
        assert_eq!((first.unwrap().unwrap(), count.get()), (10, 6));
    }
    with_executors!(test);
}

pub fn results_come_one_by_one_as_they_end() {
    fn test(pool: &impl Executor) {
        let gate = Gate::new();
        let items = (0..6).map(|x| (gate.clone(), x));
        let task = |(gate, x): (Gate, u64)| {
            if x == 0 {
                gate.pass();
            }
            no_seven(x + 2)
        };
        let mut results = pool.imap_unordered(task, items).window(6);
        let mut given = Vec::new();
        for _ in 0..5 {
            given.push(results.next().unwrap().ok());
        }
        assert!(!given.contains(&Some(2)), "it waits: {given:?}");
        gate.open.set();
        given.extend(results.map(Result::ok));
        assert_eq!(given.last(), Some(&Some(2)));
        given.sort_unstable();
        let expected: Vec<_> = [None].into_iter().chain((2..7).map(Some)).collect();
        assert_eq!(given, expected);
    }
    with_executors!(test);
}

pub fn what_nobody_asks_for_any_more_is_cancelled() {
    everywhere(|method| {
        let pool = lone(method);
        let (gate, tasks) = busy(&pool);
        let later = Gate::new();
        for ordered in [true, false] {
            // One for which somebody waits, so that the others are submitted.
            let items = std::iter::repeat_with(|| later.clone());
            std::thread::scope(|scope| {
                let submitted = pool.stats().queued + 4;
                let asks = scope.spawn(|| {
                    if ordered {
                        drop(pool.imap(pass, items).window(4).next());
                    } else {
                        drop(pool.imap_unordered(pass, items).window(4).next());
                    }
                });
                if ordered {
                    common::wait_until(|| pool.stats().queued >= submitted);
                    gate.open.set();
                }
                later.open.set();
                asks.join().unwrap();
            });
        }
        tasks.into_iter().for_each(value);
        assert!(pool.wait_idle_timeout(STUCK));
        // The first, and what was taken before it was cancelled.
        let begun = later.begun.get();
        assert!((2..=8).contains(&begun), "{begun}");
        assert_eq!(pool.stats().queued, 0);
    });
}

pub fn a_closed_pool_says_so_once_to_who_asks_for_results() {
    everywhere(|method| {
        let pool = pool(method);
        pool.close();
        let closed = |error: &MapError| matches!(error, MapError::Pool(PoolError::Closed));
        assert!(closed(&pool.map(double, 0..3).unwrap_err()));
        let refused = pool.starmap(|a: u8, b: u8| a + b, [(1, 2)]).unwrap_err();
        assert!(closed(&refused));
        // Of items without end: it is an error, and then the end.
        for outcomes in [
            pool.imap(double, 0..).collect::<Vec<_>>(),
            pool.imap_unordered(double, 0..).collect(),
        ] {
            let [Err(error)] = &outcomes[..] else {
                panic!("{} outcomes", outcomes.len());
            };
            assert!(matches!(error, TaskError::NotSubmitted { .. }), "{error}");
        }
    });
}

/// A pool breaks in the middle of a map: what has ended has ended, the rest says why not.
pub fn broken_in_the_middle(method: StartMethod) -> Vec<Result<u64, TaskError>> {
    let pool = Pool::builder()
        .workers(WORKERS)
        .method(method)
        .on_worker_death(multiproc::OnWorkerDeath::Break)
        .build()
        .unwrap();
    let task = |x: u64| {
        if x == 50 {
            kill_self();
        }
        x
    };
    let options = MapOptions::new().chunk_size(1);
    pool.try_map_with(options, task, 0..100).unwrap()
}
