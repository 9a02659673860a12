//! Semaphores.

use std::{thread, time::Duration};

use multiproc::{BoundedSemaphore, Child, Counter, Refused, Semaphore};

use crate::{
    common::{asleep, wait_until},
    parties::{self, Method, PARTIES, meet, run, start},
};

const ROUNDS: u64 = 10_000;
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

pub fn never_more_than_the_permits_are_held_at_once(method: Method) {
    const PERMITS: u32 = 2;
    fn work((semaphore, inside, met): (Semaphore, Counter, Counter)) {
        meet(&met, PARTIES);
        for _ in 0..ROUNDS {
            let _permit = semaphore.acquire().unwrap();
            assert!(inside.add(1) < u64::from(PERMITS));
            // Others come meanwhile, and find none.
            thread::yield_now();
            inside.sub(1);
        }
    }
    let semaphore = Semaphore::new(PERMITS).unwrap();
    let (inside, met) = (Counter::new(0).unwrap(), Counter::new(0).unwrap());
    run(
        method,
        work,
        vec![(semaphore.clone(), inside, met); PARTIES],
    );
    assert_eq!(semaphore.value(), Ok(PERMITS));
}

pub fn several_permits_are_taken_at_once_or_not_at_all(method: Method) {
    fn work((semaphore, inside, met, count): (BoundedSemaphore, Counter, Counter, u32)) {
        meet(&met, PARTIES);
        for _ in 0..ROUNDS {
            let permit = semaphore.acquire_many(count).unwrap();
            assert_eq!(permit.count(), count);
            let count = u64::from(count);
            assert!(inside.add(count) + count <= PARTIES as u64);
            thread::yield_now();
            inside.sub(count);
        }
    }
    // Whoever wants all of them gets his turn when the others are done, at the latest.
    let all = PARTIES as u32;
    let semaphore = BoundedSemaphore::new(all).unwrap();
    let (inside, met) = (Counter::new(0).unwrap(), Counter::new(0).unwrap());
    let party = |count| (semaphore.clone(), inside.clone(), met.clone(), count);
    run(method, work, (1..=all).map(party));
    assert_eq!(semaphore.value(), Ok(all));
}

pub fn held_permits_can_be_tried_and_waited_for(method: Method) {
    fn hold_or_try((semaphore, held, tried, holds): (Semaphore, Counter, Counter, bool)) {
        if holds {
            let permits = semaphore.try_acquire_many(2).unwrap();
            meet(&held, PARTIES);
            meet(&tried, PARTIES);
            drop(permits);
            return;
        }
        meet(&held, PARTIES);
        assert_eq!(
            semaphore.try_acquire_many(2).unwrap_err(),
            Refused::WouldBlock
        );
        assert!(
            semaphore
                .acquire_many_timeout(3, SHORT)
                .unwrap_err()
                .is_timeout()
        );
        meet(&tried, PARTIES);
        for count in 1..=3 {
            let permits = semaphore.acquire_many_timeout(count, LONG).unwrap();
            assert_eq!(permits.count(), count);
        }
        drop(semaphore.acquire_timeout(LONG).unwrap());
    }
    let semaphore = Semaphore::new(3).unwrap();
    let (held, tried) = (Counter::new(0).unwrap(), Counter::new(0).unwrap());
    let party = |i| (semaphore.clone(), held.clone(), tried.clone(), i == 0);
    run(method, hold_or_try, (0..PARTIES).map(party));
    assert_eq!(semaphore.value(), Ok(3));
}

pub fn what_is_made_is_taken_once(method: Method) {
    const BATCH: u64 = 4;
    /// Makers and takers of a store with room for ten.
    fn work((made, room, count, makes): (Semaphore, Semaphore, Counter, bool)) {
        for round in 0..ROUNDS / BATCH {
            if makes {
                room.acquire_many(BATCH as u32).unwrap().forget();
                assert!(count.add(BATCH) + BATCH <= 10);
                made.release(BATCH as u32).unwrap();
                continue;
            }
            for _ in 0..BATCH {
                let one = match round % 3 {
                    0 => made.acquire(),
                    _ => made.acquire_timeout(LONG),
                };
                one.unwrap().forget();
                assert!(count.sub(1) > 0);
                room.release(1).unwrap();
            }
        }
    }
    let (made, room) = (Semaphore::new(0).unwrap(), Semaphore::new(10).unwrap());
    let count = Counter::new(0).unwrap();
    let party = |i| (made.clone(), room.clone(), count.clone(), i % 2 == 0);
    run(method, work, (0..PARTIES).map(party));
    assert_eq!((made.value(), room.value()), (Ok(0), Ok(10)));
    assert_eq!(count.get(), 0);
}

pub fn a_bounded_semaphore_is_not_released_too_often(method: Method) {
    fn release((semaphore, met): (BoundedSemaphore, Counter)) -> bool {
        meet(&met, PARTIES);
        semaphore.release(1).is_ok()
    }
    let (semaphore, met) = (BoundedSemaphore::new(3).unwrap(), Counter::new(0).unwrap());
    semaphore.acquire_many(2).unwrap().forget();
    let parties = vec![(semaphore.clone(), met); PARTIES];
    let released = run(method, release, parties);
    assert_eq!(released.iter().filter(|released| **released).count(), 2);
    let error = semaphore.release(1).unwrap_err();
    assert_eq!((error.present, error.most), (3, 3));
    assert_eq!(semaphore.value(), Ok(3));
}

/// A process of its own, also beside threads: only processes are killed.
fn process(
    method: Method,
    body: fn((Semaphore, Counter)),
    argument: &(Semaphore, Counter),
) -> Child<()> {
    parties::process(method, body, argument.clone()).unwrap()
}

fn take_and_stay((semaphore, taken): (Semaphore, Counter)) {
    let _permits = semaphore.acquire_many(2).unwrap();
    taken.add(1);
    loop {
        thread::park();
    }
}

fn take((semaphore, taken): (Semaphore, Counter)) {
    let _permit = semaphore.acquire().unwrap();
    taken.add(1);
}

/// Fault 17.
pub fn permits_of_the_killed_come_back(method: Method) {
    let shared = (Semaphore::new(2).unwrap(), Counter::new(0).unwrap());
    let (semaphore, taken) = &shared;
    let holder = process(method, take_and_stay, &shared);
    wait_until(|| taken.get() == 1);
    assert!(semaphore.try_acquire().is_err());
    let waiting = start(method, take, vec![shared.clone(); PARTIES]);
    holder.kill().unwrap();
    waiting.join();
    assert_eq!(taken.get(), 1 + PARTIES as u64);
    assert!(holder.join().unwrap_err().is_killed());
    assert_eq!(semaphore.value(), Ok(2), "each came back once");
}

pub fn a_killed_waiter_takes_nothing_along(method: Method) {
    let shared = (Semaphore::new(0).unwrap(), Counter::new(0).unwrap());
    let (semaphore, taken) = &shared;
    let victims = [(); 2].map(|()| process(method, take, &shared));
    for victim in &victims {
        wait_until(|| asleep(victim.pid()));
        victim.kill().unwrap();
        wait_until(|| !victim.is_alive());
    }
    let waiting = start(method, take, vec![shared.clone(); PARTIES]);
    semaphore.release(2).unwrap();
    waiting.join();
    assert_eq!(taken.get(), PARTIES as u64);
    assert_eq!(semaphore.value(), Ok(2));
}
