//! Events.

use std::{
    io, process, ptr,
    sync::atomic::{AtomicPtr, Ordering},
    time::{Duration, Instant},
};

use multiproc::{AtomicArray, Counter, Event};

use crate::{
    common::{raw::new_name, wait_until},
    parties::{Method, PARTIES, Sleepers, kill, run, start, victim},
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

fn wait((event, sleepers, i): (Event, Sleepers, usize)) {
    sleepers.enter(i);
    event.wait();
}

pub fn one_set_wakes_all_who_wait_and_lets_through_all_who_come(method: Method) {
    let (event, sleepers) = (Event::new().unwrap(), Sleepers::new(PARTIES));
    let party = |i| (event.clone(), sleepers.clone(), i);
    let parties = start(method, wait, (0..PARTIES).map(party));
    sleepers.all_asleep();
    event.set();
    parties.join();
    run(method, wait, (0..PARTIES).map(party));
    assert!(event.is_set());
}

pub fn a_set_that_is_cleared_at_once_is_missed_by_nobody_who_waited(method: Method) {
    for _ in 0..5 {
        let (event, sleepers) = (Event::new().unwrap(), Sleepers::new(PARTIES));
        let party = |i| (event.clone(), sleepers.clone(), i);
        let parties = start(method, wait, (0..PARTIES).map(party));
        sleepers.all_asleep();
        event.set();
        assert!(event.clear());
        parties.join();
        assert!(!event.is_set() && !event.clear());
    }
}

pub fn a_wait_with_a_timeout_says_whether_it_was_set(method: Method) {
    fn wait_or_set((event, late, waits): (Event, Event, bool)) {
        if !waits {
            assert!(late.wait_timeout(LONG));
            event.set();
            return;
        }
        let start = Instant::now();
        assert!(!event.wait_timeout(Duration::ZERO));
        assert!(!event.wait_timeout(SHORT));
        assert!(start.elapsed() >= SHORT);
        late.set();
        assert!(event.wait_timeout(LONG));
        assert!(start.elapsed() < LONG);
        assert!(event.wait_timeout(Duration::ZERO));
    }
    let (event, late) = (Event::new().unwrap(), Event::new().unwrap());
    let party = |waits| (event.clone(), late.clone(), waits);
    run(method, wait_or_set, [true, false].map(party));
}

pub fn each_set_is_given_to_one_of_those_who_clear_it(method: Method) {
    const SETS: u64 = 2_000;
    fn take((event, stop, told): (Event, Event, Counter)) {
        while !stop.is_set() {
            _ = event.wait_timeout(SHORT);
            if event.clear() {
                told.add(1);
            }
        }
    }
    let [event, stop] = [(); 2].map(|()| Event::new().unwrap());
    let told = Counter::new(0).unwrap();
    let shared = (event.clone(), stop.clone(), told.clone());
    let parties = start(method, take, vec![shared; PARTIES]);
    for sets in 1..=SETS {
        event.set();
        wait_until(|| told.get() == sets);
    }
    stop.set();
    parties.join();
    assert_eq!(told.get(), SETS);
}

pub fn what_was_done_before_a_set_is_seen_by_who_clears_it(method: Method) {
    const ITEMS: u64 = 20_000;
    fn work_or_collect((event, work, i): (Event, AtomicArray<u64>, usize)) {
        if i != 0 {
            for done in 1..=ITEMS {
                work[i].store(done, Ordering::Relaxed);
                event.set();
            }
            return;
        }
        // The last set of each is seen, or nobody would set it again.
        while (1..PARTIES).any(|i| work[i].load(Ordering::Relaxed) < ITEMS) {
            assert!(event.wait_timeout(LONG), "work was left behind");
            event.clear();
        }
    }
    let event = Event::new().unwrap();
    let work = AtomicArray::zeroed(PARTIES).unwrap();
    let party = |i| (event.clone(), work.clone(), i);
    run(method, work_or_collect, (0..PARTIES).map(party));
}

/// Fault 19.
pub fn a_waiter_that_is_killed_holds_up_neither_setters_nor_waiters(method: Method) {
    let (event, sleepers) = (Event::new().unwrap(), Sleepers::new(PARTIES));
    let party = |i| (event.clone(), sleepers.clone(), i);
    let victim = victim(method, wait, party(0));
    if victim.is_some() {
        sleepers.asleep(0);
    }
    let parties = start(method, wait, (1..PARTIES).map(party));
    for i in 1..PARTIES {
        sleepers.asleep(i);
    }
    kill(victim);
    event.set();
    parties.join();
}

pub fn an_event_is_found_by_name(method: Method) {
    fn answer(name: String) {
        let question = Event::open(format!("{name}-question")).unwrap();
        question.wait();
        Event::open(format!("{name}-answer")).unwrap().set();
    }
    let name = new_name();
    let [question, answered] =
        ["question", "answer"].map(|what| Event::create(format!("{name}-{what}")).unwrap());
    let party = start(method, answer, [name.clone()]);
    question.set();
    answered.wait();
    party.join();
    drop(question);
    let gone = Event::open(format!("{name}-question")).unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
}

/// What this process's signal handler sets: a pointer to an event that is never dropped, or null.
static SET_BY_SIGNAL: AtomicPtr<Event> = AtomicPtr::new(ptr::null_mut());

/// Has SIGUSR1 set the event from now on.
fn set_by_signal(event: &Event) {
    extern "C" fn set(_: libc::c_int) {
        // SAFETY: null, or never dropped.
        if let Some(event) = unsafe { SET_BY_SIGNAL.load(Ordering::Acquire).as_ref() } {
            event.set();
        }
    }
    let event = Box::leak(Box::new(event.clone()));
    SET_BY_SIGNAL.store(event, Ordering::Release);
    let handler = set as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing but set an event.
    let before = unsafe { libc::signal(libc::SIGUSR1, handler) };
    assert_ne!(before, libc::SIG_ERR);
}

pub fn a_signal_handler_sets_what_its_own_thread_waits_for(method: Method) {
    fn wait_for_signal((event, pid, sleepers): (Event, Counter, Sleepers)) {
        set_by_signal(&event);
        pid.replace(process::id().into());
        sleepers.enter(0);
        event.wait();
    }
    let (event, pid) = (Event::new().unwrap(), Counter::new(0).unwrap());
    let sleepers = Sleepers::new(1);
    let party = (event.clone(), pid.clone(), sleepers.clone());
    let party = start(method, wait_for_signal, [party]);
    let thread = sleepers.asleep(0);
    // SAFETY: takes numbers; the thread waits for this, so it is there.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, pid.get(), thread, libc::SIGUSR1) };
    assert_eq!(sent, 0, "{}", io::Error::last_os_error());
    party.join();
    assert!(event.is_set());
}

pub fn a_signal_handler_wakes_other_processes_and_leaves_errno_alone(method: Method) {
    fn wait_or_raise((event, sleepers, i): (Event, Sleepers, usize)) {
        if i != 0 {
            return wait((event, sleepers, i - 1));
        }
        set_by_signal(&event);
        sleepers.all_asleep();
        // SAFETY: takes nothing.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: this thread's own.
        unsafe { *errno = libc::EXDEV };
        // SAFETY: the handler runs before this returns.
        let raised = unsafe { libc::raise(libc::SIGUSR1) };
        let errno = io::Error::last_os_error().raw_os_error();
        assert_eq!((raised, errno), (0, Some(libc::EXDEV)));
    }
    let (event, sleepers) = (Event::new().unwrap(), Sleepers::new(PARTIES - 1));
    let party = |i| (event.clone(), sleepers.clone(), i);
    run(method, wait_or_raise, (0..PARTIES).map(party));
}
