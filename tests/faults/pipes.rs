//! Pipes whose other end dies, and receivers that may open no more descriptors.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use multiproc::{
    Child, Counter, Pipe, PipeError, PipeReceiver, PipeSender, Process, one_way, pipe, wait,
};

use crate::{
    common::{forked, kill_self, raw, raw::must, wait_until},
    copies::inherited,
    flag::Flag,
    observe::{idle, kill},
    subject::SOON,
};

/// Whether a process sleeps until a descriptor is ready.
fn polls(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|place| place.contains("poll"))
}

/// Fault 37.
pub fn a_pipe_whose_sender_is_killed_in_the_middle_gives_whole_messages_and_the_end() {
    fn send_for_ever(sender: PipeSender<(u64, Vec<u64>)>) {
        for i in 0.. {
            // Some are too long for a packet.
            let len = if i % 5 == 4 { 6000 } else { i % 50 };
            sender.send((i, vec![i; len as usize])).unwrap();
        }
    }
    for after in 0..20 {
        let (sender, receiver) = one_way().unwrap();
        let child = Process::spawn(send_for_ever, sender).unwrap();
        let mut expected = 0;
        for message in &receiver {
            let (i, numbers) = message.unwrap();
            assert_eq!(i, expected);
            assert!(numbers.iter().all(|number| *number == i));
            expected += 1;
            if i == after {
                // It goes on meanwhile.
                child.kill().unwrap();
            }
        }
        assert!(expected > after);
        assert!(child.join().unwrap_err().is_killed());
    }
}

/// Fault 37.
pub fn sending_to_the_dead_is_an_error_and_no_signal() {
    raw::expect_in_child(|| {
        // SAFETY: installs no handler: the signal would end this process.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (ours, theirs) = pipe::<Vec<u8>, u32>().unwrap();
        let child = Process::spawn(
            |end: Pipe<u32, Vec<u8>>| {
                end.send(1).unwrap();
                idle();
            },
            theirs,
        )
        .unwrap();
        assert_eq!(ours.recv().unwrap(), Some(1));
        // It dies with something unread.
        ours.send(vec![0; 10]).unwrap();
        kill(&child);
        for len in [0, 10, 100_000] {
            let error = ours.send(vec![7; len]).unwrap_err();
            assert!(error.is_disconnected(), "{error}");
            assert_eq!(error.into_inner(), vec![7; len]);
            assert!(
                ours.send_bytes(&vec![7; len])
                    .unwrap_err()
                    .is_disconnected()
            );
        }
        assert_eq!(ours.recv().unwrap(), None);
        assert!(child.join().unwrap_err().is_killed());
    });
}

/// Fault 37.
pub fn who_waits_for_one_who_is_killed_is_told() {
    type Waits = (&'static str, fn(Pipe<Vec<u8>, u32>));
    const WAITS: [Waits; 6] = [
        ("recv", |end| assert_eq!(end.recv().unwrap(), None)),
        ("recv with a timeout", |end| {
            assert_eq!(end.recv_timeout(SOON).unwrap(), None);
        }),
        ("poll", |end| assert!(end.poll(None).unwrap())),
        ("wait", |end| assert_eq!(wait(&[&end], None).unwrap(), [0])),
        ("send", |end| {
            let error = (0..).find_map(|_| end.send(vec![7; 100]).err()).unwrap();
            assert!(error.is_disconnected());
            assert_eq!(error.into_inner(), [7; 100]);
        }),
        ("a long send", |end| {
            let error = (0..).find_map(|_| end.send_timeout(vec![7; 50_000], SOON).err());
            assert!(error.unwrap().is_disconnected());
        }),
    ];
    fn have(end: Pipe<u32, Vec<u8>>) {
        end.poll(None).unwrap();
        idle();
    }
    for (what, wait) in WAITS {
        let (ours, theirs) = pipe().unwrap();
        let dying = Process::spawn(have, theirs).unwrap();
        let mut waiter = forked(|| wait(ours));
        wait_until(|| polls(waiter.pid()));
        kill(&dying);
        assert_eq!(waiter.join_timeout(SOON).unwrap(), Some(()), "{what}");
    }
}

/// Fault 14.
pub fn what_a_killed_receiver_had_not_taken_is_received_by_others() {
    let (sender, receiver) = one_way::<u64>().unwrap();
    let taken = Counter::new(0).unwrap();
    let take = |(receiver, taken): (PipeReceiver<u64>, Counter)| {
        for number in receiver.iter().take(3) {
            taken.add(number.unwrap());
        }
        idle();
    };
    let child: Child<()> = Process::spawn(take, (receiver.clone(), taken.clone())).unwrap();
    for _ in 0..10 {
        sender.send(1).unwrap();
    }
    wait_until(|| taken.get() == 3);
    kill(&child);
    drop(sender);
    assert_eq!(receiver.iter().count(), 7);
}

/// Fault 7. Fault 37.
pub fn a_stopped_peer_is_waited_for_and_not_taken_for_dead() {
    fn echo(end: Pipe<u32, u32>) {
        for number in &end {
            end.send(number.unwrap()).unwrap();
        }
    }
    let (ours, theirs) = pipe::<u32, u32>().unwrap();
    let child = Process::spawn(echo, theirs).unwrap();
    ours.send(1).unwrap();
    assert_eq!(ours.recv().unwrap(), Some(1));
    crate::observe::stop(child.pid());
    ours.send(2).unwrap();
    let waited = ours.recv_timeout(Duration::from_millis(20));
    assert!(waited.unwrap_err().is_timeout());
    crate::observe::go_on(child.pid());
    assert_eq!(ours.recv_timeout(SOON).unwrap(), Some(2));
    drop(ours);
    child.join().unwrap();
}

/// Fault 43.
pub fn a_fork_child_drops_its_copies_of_an_end_and_nothing_changes() {
    let (ours, theirs) = pipe::<u32, u32>().unwrap();
    let nothing_has_changed = || {
        for (end, other) in [(&ours, &theirs), (&theirs, &ours)] {
            let nothing = end.try_recv().unwrap_err();
            assert!(nothing.is_would_block(), "no end of file: {nothing}");
            other.send(1).unwrap();
            assert_eq!(end.recv_timeout(SOON).unwrap(), Some(1));
        }
    };
    nothing_has_changed();
    // Handles that it has cloned, and, one after the other, those that it has inherited.
    let child = forked(|| drop((ours.clone(), theirs.clone())));
    child.join().unwrap();
    nothing_has_changed();
    let child = forked(|| {
        // SAFETY: in a copy of the process that made it, here and below.
        drop(unsafe { inherited(&ours) });
    });
    child.join().unwrap();
    nothing_has_changed();
    let child = forked(|| {
        // SAFETY: as above.
        drop(unsafe { inherited(&ours) });
        // SAFETY: as above.
        drop(unsafe { inherited(&theirs) });
    });
    child.join().unwrap();
    nothing_has_changed();
    let killed = forked(kill_self);
    assert!(killed.join().unwrap_err().is_killed());
    nothing_has_changed();
}

/// The numbers of the descriptors of this process.
fn descriptors() -> Vec<usize> {
    let listed = fs::read_dir("/proc/self/fd").unwrap();
    let numbers = listed.map(|entry| entry.unwrap().file_name());
    let mut numbers: Vec<usize> = numbers
        .map(|number| number.to_str().unwrap().parse().unwrap())
        .collect();
    // What has listed them was one itself, and is closed.
    numbers.retain(|number| fs::exists(format!("/proc/self/fd/{number}")).unwrap());
    numbers.sort();
    numbers
}

/// Lets this process open `more` descriptors beside those that it has.
fn limit_descriptors(more: usize) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable.
    must(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) });
    let set = |limit: &libc::rlimit| {
        // SAFETY: the limit is read.
        must(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) });
    };
    limit.rlim_cur = limit.rlim_max;
    set(&limit);
    let open = descriptors();
    // It is the numbers that are limited.
    let mut free = (0..).filter(|number| !open.contains(number));
    limit.rlim_cur = free.nth(more).unwrap() as u64;
    set(&limit);
}

/// Fault 34.
pub fn descriptors_of_a_message_that_are_cut_off_are_an_error_and_none_leaks() {
    const OBJECTS: usize = 40;
    type Message = (Vec<Counter>, Vec<u8>);
    let (sender, receiver) = one_way::<Message>().unwrap();
    let (go, limited) = (Flag::new(), Flag::new());
    let child = forked(|| {
        let before = descriptors();
        for more in [0, 1, OBJECTS / 2, OBJECTS - 1] {
            limited.raise();
            wait_until(|| go.count() == limited.count());
            limit_descriptors(more);
            let error = receiver.recv().map(drop).unwrap_err();
            assert!(
                matches!(error, PipeError::DescriptorsLost { expected: OBJECTS }),
                "{error}"
            );
            // A long one is in a descriptor.
            if more == 0 {
                let error = receiver.recv().map(drop).unwrap_err();
                assert!(
                    matches!(error, PipeError::DescriptorsLost { expected: 1 }),
                    "{error}"
                );
            } else {
                assert_eq!(receiver.recv().unwrap().unwrap().1.len(), 50_000);
            }
            assert_eq!(receiver.recv().unwrap().unwrap().1, [1]);
            limit_descriptors(3 * OBJECTS);
            assert_eq!(descriptors(), before, "descriptors leaked");
            let (counters, _) = receiver.recv().unwrap().unwrap();
            assert_eq!(counters.len(), OBJECTS);
            assert!(counters.iter().all(|counter| counter.add(1) == more as u64));
        }
    });
    for more in [0u64, 1, OBJECTS as u64 / 2, OBJECTS as u64 - 1] {
        let counters = |n| {
            (0..n)
                .map(|_| Counter::new(more).unwrap())
                .collect::<Vec<_>>()
        };
        wait_until(|| limited.count() == go.count() + 1);
        for message in [
            (counters(OBJECTS), vec![]),
            (vec![], vec![0; 50_000]),
            (vec![], vec![1]),
            (counters(OBJECTS), vec![]),
        ] {
            sender.send(message).unwrap();
        }
        go.raise();
    }
    child.join().unwrap();
}

/// Fault 30.
pub fn who_may_open_no_descriptor_gets_the_item_back() {
    raw::expect_in_child(|| {
        let (sender, receiver) = one_way::<(Option<Counter>, Vec<u8>)>().unwrap();
        let counter = Counter::new(5).unwrap();
        limit_descriptors(0);
        let error = sender.send((Some(counter), Vec::new())).unwrap_err();
        assert!(error.to_string().contains("open files"), "{error}");
        // Kept: it is a descriptor, too.
        let counter = error.into_inner().0.unwrap();
        assert_eq!(counter.get(), 5);
        let error = sender.send((None, vec![1; 50_000])).unwrap_err();
        assert!(error.to_string().contains("open files"), "{error}");
        assert_eq!(error.into_inner().1.len(), 50_000);
        sender.send((None, vec![1])).unwrap();
        assert_eq!(receiver.recv().unwrap().unwrap().1, [1]);
        assert!(one_way::<u64>().is_err());
    });
}

/// The kernel counts descriptors on their way for each user, and root's not at all.
/// Fault 30.
pub fn who_has_sent_more_descriptors_than_may_be_on_their_way_waits() {
    raw::expect_in_child(|| {
        const MANY: usize = 60;
        let (sender, receiver) = one_way::<Counter>().unwrap();
        let counter = Counter::new(0).unwrap();
        // SAFETY: takes a number. Who is not root may not, and need not.
        unsafe { libc::setuid(65_534) };
        limit_descriptors(20);
        let begun = Instant::now();
        let sent = (0..MANY).take_while(|_| sender.try_send(counter.clone()).is_ok());
        let sent = sent.count();
        if sent == MANY {
            raw::skip("this user may have any number of descriptors on their way");
        }
        let error = sender.try_send(counter.clone()).unwrap_err();
        assert!(error.is_would_block(), "{error}");
        let error = sender.send_timeout(counter.clone(), Duration::from_millis(20));
        assert!(error.unwrap_err().is_timeout());
        assert!(begun.elapsed() >= Duration::from_millis(20));
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in sent..MANY {
                    sender.send(counter.clone()).unwrap();
                }
            });
            for _ in 0..MANY {
                receiver.recv().unwrap().unwrap().add(1);
            }
        });
        assert_eq!(counter.get(), MANY as u64);
    });
}
