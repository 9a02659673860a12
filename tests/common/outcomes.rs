//! What holds for a child however it was started: each test takes the method.

use std::{
    io,
    os::fd::AsFd,
    process,
    time::{Duration, Instant},
};

use multiproc::{Child, Counter, JoinError, OnDrop, Process, ProcessBuilder, StartMethod, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fifo::Fifo;

#[path = "kin.rs"]
mod kin;
#[path = "scopes.rs"]
mod scopes;

pub use kin::*;
pub use scopes::*;

/// Far longer than anything here takes.
pub const STUCK: Duration = Duration::from_secs(30);

/// Passes the names of all these tests on to a macro.
#[macro_export]
macro_rules! for_each_outcome {
    ($what:ident) => {
        $what! {
            the_return_value_comes_back,
            ten_megabytes_travel_both_ways,
            shared_objects_travel_both_ways,
            more_objects_than_one_packet_carries_travel,
            one_object_in_many_places_arrives_as_one,
            a_panic_comes_back_with_message_and_place,
            an_exit_code_comes_back,
            a_kill_comes_back_as_its_signal,
            terminate_sends_sigterm,
            a_timed_out_join_leaves_the_child_alone,
            try_join_never_waits_and_gives_the_outcome_once,
            what_cannot_be_encoded_is_an_error,
            what_cannot_be_decoded_is_an_error,
            a_dropped_child_is_killed,
            a_dropped_child_is_joined_if_so_asked,
            a_detached_child_goes_on,
            a_child_has_its_name,
            a_child_ignores_broken_pipes,
            a_child_starts_children,
            an_ignored_sigchld_loses_statuses_but_no_values,
            descriptors_cut_off_are_an_error_and_none_leaks,
            a_start_short_of_descriptors_says_why,
            a_daemon_dies_with_its_parent,
            a_daemon_outlives_the_thread_that_started_it,
            a_child_knows_how_it_was_started,
            a_child_knows_its_parent,
            a_child_sees_its_parent_end,
            a_daemon_starts_daemons_that_all_die_with_the_first,
            two_hundred_children_run_at_once,
            active_children_are_those_that_have_not_ended,
            a_scope_joins_what_it_started,
            a_scope_ends_with_the_first_failure,
            a_scope_that_fails_or_panics_kills_what_still_runs,
            a_scope_does_not_join_again_what_was_joined_in_time,
            a_copy_that_leaves_a_scope_ends_none_of_its_children,
            what_a_running_child_uses_is_told,
            a_child_tells_what_it_uses_itself,
            an_abort_comes_back_as_its_signal,
            a_panic_brings_its_backtrace,
        }
    };
}

pub fn builder(method: StartMethod) -> ProcessBuilder {
    Process::builder().method(method)
}

/// Waits for ever, unless it is killed.
pub fn idle(begun: Fifo) {
    begun.send("begun");
    loop {
        std::thread::park();
    }
}

/// A child that waits for ever, once it does.
pub fn idling(builder: &ProcessBuilder) -> Child<()> {
    let begun = Fifo::new();
    let child = builder.start(idle, begun.clone()).unwrap();
    assert_eq!(begun.receive(), "begun");
    begun.remove();
    child
}

pub fn error_of<R: std::fmt::Debug + serde::de::DeserializeOwned>(child: Child<R>) -> JoinError {
    child.join().unwrap_err()
}

/// Whether there is no process with this id, not even a zombie.
pub fn is_gone(pid: u32) -> bool {
    // SAFETY: signal 0 is never delivered.
    let result = unsafe { libc::kill(pid as i32, 0) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// Waits for the end of a process that is not ours to join.
pub fn wait_for_end(pid: u32) {
    let start = Instant::now();
    let stat = format!("/proc/{pid}/stat");
    // A zombie has ended, whoever is to reap it.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < STUCK, "process {pid} does not end");
        std::thread::yield_now();
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    text: String,
    numbers: Vec<f64>,
    nested: Option<Box<Report>>,
}

pub fn the_return_value_comes_back(method: StartMethod) {
    fn wrap((text, inner): (String, Report)) -> Report {
        Report {
            text,
            numbers: vec![0.5; 3],
            nested: Some(Box::new(inner)),
        }
    }
    let inner = || Report {
        text: "inner".into(),
        numbers: vec![],
        nested: None,
    };
    let child = builder(method)
        .start(wrap, ("outer".into(), inner()))
        .unwrap();
    assert_eq!(child.join().unwrap(), wrap(("outer".into(), inner())));
}

pub fn ten_megabytes_travel_both_ways(method: StartMethod) {
    fn invert(bytes: Vec<u8>) -> Vec<u8> {
        bytes.iter().map(|byte| !byte).collect()
    }
    let bytes: Vec<u8> = (0..10_000_000u32).map(|i| i as u8).collect();
    let child = builder(method).start(invert, bytes.clone()).unwrap();
    assert!(child.join().unwrap() == invert(bytes));
}

pub fn shared_objects_travel_both_ways(method: StartMethod) {
    fn work(counter: Counter) -> Value<f64> {
        counter.add(5);
        Value::new(2.5).unwrap()
    }
    let counter = Counter::new(1).unwrap();
    let value = builder(method)
        .start(work, counter.clone())
        .unwrap()
        .join()
        .unwrap();
    assert_eq!((counter.get(), value.get()), (6, 2.5));
}

pub fn more_objects_than_one_packet_carries_travel(method: StartMethod) {
    fn count(mut counters: Vec<Counter>) -> Vec<Counter> {
        for (i, counter) in counters.iter().enumerate() {
            counter.add(i as u64);
        }
        counters.reverse();
        counters
    }
    let counters: Vec<Counter> = (0..270).map(|i| Counter::new(i).unwrap()).collect();
    let back = builder(method)
        .start(count, counters)
        .unwrap()
        .join()
        .unwrap();
    let found: Vec<u64> = back.iter().map(Counter::get).collect();
    assert_eq!(found, (0..270).rev().map(|i| 2 * i).collect::<Vec<_>>());
}

pub fn one_object_in_many_places_arrives_as_one(method: StartMethod) {
    fn descriptors((one, other): (Counter, Counter)) -> (u64, u64) {
        one.add(1);
        (one.get(), other.get())
    }
    let counter = Counter::new(0).unwrap();
    let child = builder(method)
        .start(descriptors, (counter.clone(), counter))
        .unwrap();
    assert_eq!(child.join().unwrap(), (1, 1));
}

pub fn a_panic_comes_back_with_message_and_place(method: StartMethod) {
    fn fail(reason: String) {
        panic!("no more {reason}");
    }
    let child = builder(method)
        .name("cook")
        .start(fail, "salt".into())
        .unwrap();
    let pid = child.pid();
    let error = error_of(child);
    assert!(error.is_panic());
    let JoinError::Panicked {
        name,
        pid: panicked,
        panic,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (name.as_str(), *panicked, panic.message.as_str()),
        ("cook", pid, "no more salt")
    );
    let location = panic.location.as_ref().unwrap();
    assert!(location.contains("outcomes.rs:"));
    assert_eq!(
        error.to_string(),
        format!("child 'cook' (pid {pid}) panicked at {location}: no more salt")
    );
}

pub fn an_exit_code_comes_back(method: StartMethod) {
    fn leave(code: i32) -> u8 {
        process::exit(code)
    }
    let error = error_of(builder(method).start(leave, 7).unwrap());
    assert!(matches!(error, JoinError::Exited { .. }), "{error}");
    assert_eq!(error.exit_code(), Some(7));
}

pub fn a_kill_comes_back_as_its_signal(method: StartMethod) {
    let child = idling(&builder(method));
    assert!(child.is_alive());
    child.kill().unwrap();
    let error = error_of(child);
    assert!(error.is_killed());
    assert_eq!(error.signal(), Some(libc::SIGKILL));
    assert!(error.to_string().contains("SIGKILL"));
}

pub fn terminate_sends_sigterm(method: StartMethod) {
    let mut child = idling(&builder(method));
    child.terminate().unwrap();
    let error = child.join_timeout(STUCK).unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGTERM));
    assert!(error.to_string().contains("SIGTERM"));
    assert!(!child.is_alive());
    child.kill().unwrap();
}

pub fn echo((gate, value): (Fifo, u32)) -> u32 {
    gate.receive();
    value
}

pub fn a_timed_out_join_leaves_the_child_alone(method: StartMethod) {
    let gate = Fifo::new();
    let mut child = builder(method).start(echo, (gate.clone(), 4)).unwrap();
    let timeout = Duration::from_millis(20);
    let start = Instant::now();
    assert_eq!(child.join_timeout(timeout).unwrap(), None);
    assert!(start.elapsed() >= timeout);
    assert!(child.is_alive());
    gate.send("go");
    assert_eq!(child.join_timeout(Duration::MAX).unwrap(), Some(4));
    gate.remove();
}

pub fn try_join_never_waits_and_gives_the_outcome_once(method: StartMethod) {
    let gate = Fifo::new();
    let mut child = builder(method).start(echo, (gate.clone(), 4)).unwrap();
    assert_eq!(child.try_join().unwrap(), None);
    gate.send("go");
    // The descriptor of a child is readable once it has ended.
    let mut poll = libc::pollfd {
        fd: std::os::fd::AsRawFd::as_raw_fd(&child.as_fd()),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one `pollfd`.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, -1) }, 1);
    assert_eq!(child.try_join().unwrap(), Some(4));
    assert!(matches!(
        child.try_join(),
        Err(JoinError::AlreadyJoined { .. })
    ));
    gate.remove();
}

#[derive(Debug)]
struct Unfit;

impl Serialize for Unfit {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("unfit"))
    }
}

impl<'de> Deserialize<'de> for Unfit {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Unfit, D::Error> {
        Err(serde::de::Error::custom("unfit"))
    }
}

pub fn what_cannot_be_encoded_is_an_error(method: StartMethod) {
    fn make(_: ()) -> Unfit {
        Unfit
    }
    let error = error_of(builder(method).start(make, ()).unwrap());
    assert!(matches!(error, JoinError::NotEncoded { .. }), "{error}");
}

/// Goes but does not come.
#[derive(Debug, Serialize)]
struct OneWay;

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<OneWay, D::Error> {
        Err(serde::de::Error::custom("one way"))
    }
}

pub fn what_cannot_be_decoded_is_an_error(method: StartMethod) {
    fn make(_: ()) -> OneWay {
        OneWay
    }
    let error = error_of(builder(method).start(make, ()).unwrap());
    assert!(matches!(error, JoinError::NotDecoded { .. }), "{error}");
}

pub fn a_dropped_child_is_killed(method: StartMethod) {
    let child = idling(&builder(method));
    let pid = child.pid();
    assert!(!is_gone(pid));
    drop(child);
    assert!(is_gone(pid));
}

pub fn a_dropped_child_is_joined_if_so_asked(method: StartMethod) {
    fn count(counter: Counter) {
        counter.add(1);
    }
    let counter = Counter::new(0).unwrap();
    let child = builder(method)
        .on_drop(OnDrop::Join)
        .start(count, counter.clone())
        .unwrap();
    let pid = child.pid();
    drop(child);
    assert_eq!(counter.get(), 1);
    assert!(is_gone(pid));
}

pub fn a_detached_child_goes_on(method: StartMethod) {
    fn answer((question, answer): (Fifo, Fifo)) {
        let text = question.receive();
        answer.send(&text);
    }
    let (there, back) = (Fifo::new(), Fifo::new());
    builder(method)
        .start(answer, (there.clone(), back.clone()))
        .unwrap()
        .detach();
    there.send("still there?");
    assert_eq!(back.receive(), "still there?");
    there.remove();
    back.remove();
}

pub fn a_child_has_its_name(method: StartMethod) {
    fn name(_: ()) -> String {
        multiproc::current().name().to_owned()
    }
    let name_of = |builder: ProcessBuilder| builder.start(name, ()).unwrap().join().unwrap();
    assert_eq!(name_of(builder(method).name("étude 1")), "étude 1");
    assert!(name_of(builder(method)).starts_with("process-"));
}

/// Fault 37.
pub fn a_child_ignores_broken_pipes(method: StartMethod) {
    fn is_ignored(_: ()) -> bool {
        // SAFETY: zeros are a valid action.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: only asks.
        unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action) };
        action.sa_sigaction == libc::SIG_IGN
    }
    assert!(
        builder(method)
            .start(is_ignored, ())
            .unwrap()
            .join()
            .unwrap()
    );
}

pub fn a_child_starts_children(method: StartMethod) {
    fn sum((method, depth): (String, u32)) -> u32 {
        if depth == 0 {
            return 1;
        }
        let child = Process::builder()
            .method(method.parse().unwrap())
            .start(sum, (method, depth - 1));
        1 + child.unwrap().join().unwrap()
    }
    let child = builder(method).start(sum, (method.to_string(), 3)).unwrap();
    assert_eq!(child.join().unwrap(), 4);
}

pub fn an_ignored_sigchld_loses_statuses_but_no_values(method: StartMethod) {
    fn parent(method: String) -> (bool, u32) {
        fn leave(code: i32) -> u32 {
            process::exit(code)
        }
        fn give(value: u32) -> u32 {
            value
        }
        // SAFETY: installs no handler.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        let builder = Process::builder().method(method.parse().unwrap());
        let lost = builder.start(leave, 5).unwrap().join();
        let kept = builder.start(give, 6).unwrap().join();
        (
            matches!(lost, Err(JoinError::StatusUnknown { .. })),
            kept.unwrap(),
        )
    }
    let child = builder(method).start(parent, method.to_string()).unwrap();
    assert_eq!(child.join().unwrap(), (true, 6));
}

/// Lets this process have no descriptor with this number or a higher one.
fn limit_descriptors(number: usize) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur = number as u64;
    // SAFETY: reads `limit`.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!((asked, set), (0, 0));
}

/// Fault 34.
pub fn descriptors_cut_off_are_an_error_and_none_leaks(method: StartMethod) {
    const OBJECTS: usize = 40;
    fn make(_: ()) -> Vec<Counter> {
        (0..OBJECTS).map(|_| Counter::new(0).unwrap()).collect()
    }
    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }
    fn parent(method: String) -> (String, usize, usize) {
        let builder = Process::builder().method(method.parse().unwrap());
        // What the first child of all brings along, stays.
        builder.start(|_: ()| (), ()).unwrap().join().unwrap();
        let before = descriptors();
        let child = builder.start(make, ()).unwrap();
        let with_child = descriptors();
        limit_descriptors(with_child + OBJECTS / 2);
        let error = error_of(child);
        assert!(matches!(error, JoinError::NotDecoded { .. }));
        (error.to_string(), before, descriptors())
    }
    let child = builder(method).start(parent, method.to_string()).unwrap();
    let (error, before, after) = child.join().unwrap();
    assert!(error.contains("descriptors"), "{error}");
    assert_eq!(before, after);
}

pub fn a_start_short_of_descriptors_says_why(method: StartMethod) {
    fn parent(method: StartMethod) -> (String, bool) {
        let start = || builder(method).start(|_: ()| (), ());
        start().unwrap().join().unwrap();
        limit_descriptors(0);
        let error = start().unwrap_err();
        let told_twice = std::error::Error::source(&error).is_some();
        (error.to_string(), told_twice)
    }
    let child = builder(method).start(parent, method).unwrap();
    let (text, told_twice) = child.join().unwrap();
    let why = io::Error::from_raw_os_error(libc::EMFILE).to_string();
    assert!(text.ends_with(&why), "{text}");
    assert!(!told_twice);
}

pub fn two_hundred_children_run_at_once(method: StartMethod) {
    fn meet((counter, gate, i): (Counter, multiproc::Event, u64)) -> u64 {
        counter.add(1);
        gate.wait();
        i
    }
    let (counter, gate) = (Counter::new(0).unwrap(), multiproc::Event::new().unwrap());
    let children: Vec<Child<u64>> = (0..200)
        .map(|i| {
            builder(method)
                .start(meet, (counter.clone(), gate.clone(), i))
                .unwrap()
        })
        .collect();
    let start = Instant::now();
    while counter.get() < 200 {
        assert!(start.elapsed() < STUCK, "only {} have begun", counter.get());
        std::thread::yield_now();
    }
    gate.set();
    for (i, child) in children.into_iter().enumerate() {
        assert_eq!(child.join().unwrap(), i as u64);
    }
}

pub fn what_a_running_child_uses_is_told(method: StartMethod) {
    fn work((begun, size): (Fifo, usize)) {
        let filled = vec![1u8; size];
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(20) {
            std::hint::black_box(&filled);
        }
        idle(begun)
    }
    const SIZE: usize = 32 << 20;
    let begun = Fifo::new();
    let child = builder(method).start(work, (begun.clone(), SIZE)).unwrap();
    begun.receive();
    begun.remove();
    let memory = child.memory().unwrap();
    assert!(
        memory.peak >= SIZE as u64 && memory.peak < 1 << 40,
        "{memory:?}"
    );
    assert!(memory.resident <= memory.peak, "{memory:?}");
    assert!(
        (SIZE as u64..=memory.resident).contains(&memory.private),
        "{memory:?}"
    );
    let time = child.cpu_time().unwrap();
    assert!(time > Duration::ZERO && time < STUCK, "{time:?}");
    child.kill().unwrap();
    let start = Instant::now();
    while child.is_alive() {
        assert!(start.elapsed() < STUCK);
    }
    assert_eq!(child.memory().unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(
        child.cpu_time().unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}

pub fn a_child_tells_what_it_uses_itself(method: StartMethod) {
    const SIZE: usize = 32 << 20;
    fn touch(bytes: multiproc::Array<u8>) -> [u64; 4] {
        let me = multiproc::current();
        let before = me.memory().unwrap();
        bytes.write(..).unwrap().fill(1);
        let after = me.memory().unwrap();
        assert!(me.cpu_time().unwrap() > Duration::ZERO);
        [
            before.resident,
            after.resident,
            before.private,
            after.private,
        ]
    }
    // What is shared is resident once it was touched, and private to nobody.
    let bytes = multiproc::Array::zeroed(SIZE).unwrap();
    let child = builder(method).start(touch, bytes).unwrap();
    let [before, after, own_before, own_after] = child.join().unwrap();
    let half = SIZE as u64 / 2;
    assert!(after > before + half, "{before} to {after}");
    assert!(own_after < own_before + half, "{own_before} to {own_after}");
}

pub fn an_abort_comes_back_as_its_signal(method: StartMethod) {
    fn abort(_: ()) {
        let no_core = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: reads `no_core`.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
        process::abort()
    }
    let error = error_of(builder(method).start(abort, ()).unwrap());
    assert_eq!(error.signal(), Some(libc::SIGABRT));
    assert_eq!(error.exit_code(), None);
}

pub fn a_panic_brings_its_backtrace(method: StartMethod) {
    fn parent(method: StartMethod) -> Option<String> {
        fn fail(_: ()) {
            panic!("on purpose");
        }
        // SAFETY: this process has one thread.
        unsafe { std::env::set_var("RUST_BACKTRACE", "1") };
        match builder(method).start(fail, ()).unwrap().join() {
            Err(JoinError::Panicked { panic, .. }) => panic.backtrace,
            other => panic!("{other:?}"),
        }
    }
    let child = builder(method).start(parent, method).unwrap();
    assert!(child.join().unwrap().unwrap().contains("fail"));
}
