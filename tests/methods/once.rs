//! What is made or done once.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use multiproc::{Array, Counter, InitError, Once, OnceValue, Refused, SetError};

use crate::{
    common::wait_until,
    parties::{Method, PARTIES, die, meet, run, run_to_death, start},
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

/// Large enough to be seen half-written.
type Numbers = [u64; 40];

pub fn exactly_one_makes_a_value_and_all_get_it(method: Method) {
    type Party = (Vec<OnceValue<Numbers>>, Counter, Counter, u64);
    fn make((values, made, met, own): Party) -> Vec<u64> {
        let mut seen = Vec::new();
        for (i, value) in values.iter().enumerate() {
            meet(&met, (i + 1) * PARTIES);
            let make = || {
                made.add(1);
                [own; 40]
            };
            let numbers = match own % 2 {
                0 => value.get_or_init(make).unwrap(),
                _ => value.get_or_init_timeout(LONG, make).unwrap(),
            };
            assert_eq!(numbers, &[numbers[0]; 40], "torn");
            assert_eq!(value.get(), Some(numbers));
            assert_eq!(value.set([99; 40]), Err(SetError::AlreadySet([99; 40])));
            seen.push(numbers[0]);
        }
        seen
    }
    let values: Vec<_> = (0..50).map(|_| OnceValue::new().unwrap()).collect();
    let [made, met] = [(); 2].map(|()| Counter::new(0).unwrap());
    let party = |own| (values.clone(), made.clone(), met.clone(), own);
    let seen = run(method, make, (0..PARTIES as u64).map(party));
    assert_eq!(seen, vec![seen[0].clone(); PARTIES]);
    assert_eq!(made.get(), values.len() as u64);
}

pub fn who_only_waits_for_a_value_is_woken(method: Method) {
    fn wait((value, waiting): (OnceValue<Numbers>, Counter)) {
        assert_eq!((value.get(), value.is_initialized()), (None, false));
        assert_eq!(value.wait_timeout(SHORT), Err(Refused::TimedOut));
        waiting.add(1);
        assert_eq!(value.wait_timeout(LONG), Ok(&[7; 40]));
        assert_eq!(value.wait(), Ok(&[7; 40]));
    }
    let value = OnceValue::new().unwrap();
    let waiting = Counter::new(0).unwrap();
    let parties = vec![(value.clone(), waiting.clone()); PARTIES];
    let parties = start(method, wait, parties);
    wait_until(|| waiting.get() == PARTIES as u64);
    assert_eq!(value.set([7; 40]), Ok(()));
    let late = value.set_timeout([8; 40], SHORT).unwrap_err();
    assert!(late.is_already_set() && late.into_value() == [8; 40]);
    parties.join();
    assert!(value.is_initialized());
}

pub fn who_fails_or_panics_over_a_value_leaves_it_to_another(method: Method) {
    type Party = (OnceValue<Numbers>, Counter, Counter, bool);
    fn fail_or_make((value, making, made, fails): Party) -> u64 {
        if fails {
            let fail = || {
                // All others come to wait.
                meet(&making, PARTIES);
                Err("on purpose")
            };
            let error = value.get_or_try_init(fail).unwrap_err();
            assert_eq!(error, InitError::Failed("on purpose"));
            assert_eq!(
                error.to_string(),
                "the initialiser failed: on purpose".to_owned()
            );
            // Without the hook, which would print it.
            let make = || -> Numbers { panic::resume_unwind(Box::new(())) };
            let caught = panic::catch_unwind(AssertUnwindSafe(|| value.get_or_init(make)));
            // One of the others may have been first.
            assert!(caught.is_err() || value.is_initialized());
        } else {
            wait_until(|| making.get() > 0);
            making.add(1);
        }
        let make = || {
            made.add(1);
            Ok::<Numbers, ()>([7; 40])
        };
        value.get_or_try_init_timeout(LONG, make).unwrap()[39]
    }
    let value = OnceValue::new().unwrap();
    let [making, made] = [(); 2].map(|()| Counter::new(0).unwrap());
    let party = |i| (value.clone(), making.clone(), made.clone(), i == 0);
    let seen = run(method, fail_or_make, (0..PARTIES).map(party));
    assert_eq!((seen, made.get()), (vec![7; PARTIES], 1));
}

/// Fault 1.
pub fn who_dies_over_a_value_leaves_it_to_another(method: Method) {
    type Party = (OnceValue<Numbers>, Counter, Counter);
    fn make_and_die((value, making, _): Party) {
        let make = || {
            meet(&making, PARTIES + 1);
            die();
            [99; 40]
        };
        value.get_or_init(make).unwrap();
    }
    fn make((value, making, made): Party) -> u64 {
        wait_until(|| making.get() > 0);
        making.add(1);
        let make = || {
            made.add(1);
            [7; 40]
        };
        value.get_or_init(make).unwrap()[39]
    }
    let [making, made] = [(); 2].map(|()| Counter::new(0).unwrap());
    let shared = (OnceValue::new().unwrap(), making, made);
    let others = start(method, make, vec![shared.clone(); PARTIES]);
    run_to_death(method, make_and_die, shared.clone());
    assert_eq!(shared.0.wait(), Ok(&[7; 40]));
    assert_eq!(others.join(), [7; PARTIES]);
    assert_eq!(shared.2.get(), 1);
}

/// Fault 41.
pub fn who_makes_a_value_does_not_wait_for_itself_and_others_can_give_up(method: Method) {
    fn make_or_give_up((value, met, makes): (OnceValue<u64>, Counter, bool)) {
        if makes {
            let make = || {
                assert_eq!(value.get_or_init(|| 8), Err(Refused::WouldDeadlock));
                let refused = value.set(8).unwrap_err();
                assert!(refused.is_deadlock() && refused.into_value() == 8);
                assert_eq!(value.wait(), Err(Refused::WouldDeadlock));
                let nested = value.get_or_try_init(|| Err(()));
                assert!(nested.unwrap_err().is_deadlock());
                assert_eq!(value.get(), None);
                meet(&met, PARTIES);
                // The others have given up.
                meet(&met, 2 * PARTIES);
                7
            };
            assert_eq!(value.get_or_init(make), Ok(&7));
        } else {
            meet(&met, PARTIES);
            let timed_out = Refused::TimedOut;
            assert_eq!(value.get_or_init_timeout(SHORT, || 8), Err(timed_out));
            assert_eq!(
                value.set_timeout(8, SHORT),
                Err(SetError::Refused(8, timed_out))
            );
            let tried = value.get_or_try_init_timeout(Duration::ZERO, || Err(()));
            assert!(tried.unwrap_err().is_timeout());
            meet(&met, 2 * PARTIES);
            assert_eq!(value.get_or_init(|| 8), Ok(&7));
        }
    }
    let value = OnceValue::new().unwrap();
    let met = Counter::new(0).unwrap();
    let party = |i| (value.clone(), met.clone(), i == 0);
    run(method, make_or_give_up, (0..PARTIES).map(party));
}

pub fn what_is_to_be_done_once_is_done_by_one_and_seen_by_all(method: Method) {
    fn call((once, numbers, only_waits): (Once, Array<u64>, bool)) -> bool {
        let add = || numbers.lock().unwrap().iter_mut().for_each(|n| *n += 1);
        let ran = if only_waits {
            once.wait().unwrap();
            assert_eq!(once.wait_timeout(Duration::ZERO), Ok(()));
            false
        } else {
            once.call_once(|| {
                let nested = once.call_once_timeout(LONG, || ());
                assert_eq!(nested, Err(Refused::WouldDeadlock));
                assert_eq!(once.wait_timeout(SHORT), Err(Refused::WouldDeadlock));
                assert_eq!(once.wait(), Err(Refused::WouldDeadlock));
                assert!(!once.is_completed());
                add();
            })
            .unwrap()
        };
        assert!(once.is_completed());
        assert_eq!(numbers.to_vec().unwrap(), [1; 10]);
        assert_eq!(once.call_once_timeout(SHORT, add), Ok(false));
        ran
    }
    let once = Once::new().unwrap();
    let numbers = Array::zeroed(10).unwrap();
    let party = |i| (once.clone(), numbers.clone(), i == 0);
    let ran = run(method, call, (0..PARTIES).map(party));
    assert_eq!(ran.iter().filter(|ran| **ran).count(), 1);
}
