//! Waiting for messages, for room, and for the first of several.

use std::{
    fs,
    io::Write,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

use multiproc::{Event, PipeError, PipeReceiver, PipeSender, Queue, RecvError, one_way, wait};

use crate::{
    common::{in_time, named, wait_until},
    parties::{Method, PARTIES, Sleepers, process, run, start},
};

const SOON: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(20);

/// Waits until a party sleeps in `poll`.
fn sleeps_in_poll(sleepers: &Sleepers, i: usize) {
    let polls = |thread| {
        fs::read_to_string(format!("/proc/{thread}/wchan"))
            .is_ok_and(|place| place.contains("poll"))
    };
    wait_until(|| sleepers.thread(i).is_some_and(polls));
}

pub fn who_waits_for_a_message_is_woken(method: Method) {
    type Waits = (usize, PipeReceiver<u32>, Sleepers);
    fn wait_for_one((i, receiver, sleepers): Waits) -> Option<u32> {
        sleepers.enter(i);
        match i {
            0 => receiver.recv().unwrap(),
            1 => receiver.recv_timeout(SOON).unwrap(),
            2 => {
                assert!(receiver.poll(None).unwrap());
                receiver.recv().unwrap()
            }
            _ => {
                assert_eq!(wait(&[&receiver], None).unwrap(), [0]);
                receiver.recv().unwrap()
            }
        }
    }
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..PARTIES).map(|_| one_way::<u32>().unwrap()).unzip();
    let sleepers = Sleepers::new(PARTIES);
    let given = receivers.into_iter().enumerate();
    let given = given.map(|(i, receiver)| (i, receiver, sleepers.clone()));
    let parties = start(method, wait_for_one, given.collect::<Vec<_>>());
    for (i, sender) in senders.iter().enumerate() {
        sleeps_in_poll(&sleepers, i);
        sender.send(i as u32).unwrap();
    }
    assert_eq!(parties.join(), [Some(0), Some(1), Some(2), Some(3)]);
}

/// Sends until there is no room.
fn fill(sender: &PipeSender<Vec<u8>>) -> usize {
    let sent = (0..).take_while(|_| match sender.try_send(vec![1; 1000]) {
        Ok(()) => true,
        Err(error) => {
            assert!(error.is_would_block(), "{error}");
            assert_eq!(error.into_inner(), [1; 1000]);
            false
        }
    });
    sent.count()
}

pub fn who_waits_for_room_is_woken(method: Method) {
    type Waits = (PipeSender<Vec<u8>>, Sleepers, usize);
    fn send_one((sender, sleepers, i): Waits) {
        sleepers.enter(i);
        match i {
            0 => sender.send(vec![2]).unwrap(),
            1 => sender.send(vec![2; 100_000]).unwrap(),
            2 => sender.send_timeout(vec![2], SOON).unwrap(),
            _ => sender.send_bytes(&[2]).unwrap(),
        }
    }
    let (sender, receiver) = one_way().unwrap();
    let filled = fill(&sender);
    assert!(filled > 10, "{filled}");
    let sleepers = Sleepers::new(PARTIES);
    let waits = (0..PARTIES).map(|i| (sender.clone(), sleepers.clone(), i));
    let parties = start(method, send_one, waits.collect::<Vec<_>>());
    drop(sender);
    (0..PARTIES).for_each(|i| sleeps_in_poll(&sleepers, i));
    let (mut items, mut bytes) = (0, 0);
    for item in &receiver {
        match item {
            Ok(_) => items += 1,
            Err(PipeError::Bytes { bytes: found }) => bytes += found.len(),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((items, bytes), (filled + PARTIES - 1, 1));
    parties.join();
}

pub fn waits_with_a_timeout_end_in_time(method: Method) {
    type Both = (PipeReceiver<u32>, PipeSender<Vec<u8>>);
    fn give_up((empty, full): Both) {
        let in_time = |what: &str, wait: &dyn Fn() -> bool| {
            named(what, || assert!(in_time(MOMENT, wait), "it came"));
        };
        in_time("recv", &|| {
            empty.recv_timeout(MOMENT).unwrap_err().is_timeout()
        });
        in_time("poll", &|| !empty.poll(MOMENT).unwrap());
        in_time("wait", &|| {
            wait(&[&empty, &empty], Some(MOMENT)).unwrap().is_empty()
        });
        in_time("wait for nothing", &|| {
            let none: [&dyn AsFd; 0] = [];
            wait(&none, Some(MOMENT)).unwrap().is_empty()
        });
        in_time("send", &|| {
            let error = full.send_timeout(vec![7], MOMENT).unwrap_err();
            error.is_timeout() && error.into_inner() == [7]
        });
        in_time("a long send", &|| {
            full.send_timeout(vec![7; 100_000], MOMENT)
                .unwrap_err()
                .is_timeout()
        });
        assert!(empty.try_recv().unwrap_err().is_would_block());
        assert!(full.try_send(vec![]).unwrap_err().is_would_block());
        assert!(wait(&[&empty], Some(Duration::ZERO)).unwrap().is_empty());
    }
    let (_sender, empty) = one_way().unwrap();
    let (full, _receiver) = one_way().unwrap();
    fill(&full);
    run(method, give_up, vec![(empty, full); PARTIES]);
}

pub fn a_wait_tells_which_of_several_are_ready(method: Method) {
    fn speak((sender, go): (PipeSender<u32>, Event)) {
        go.wait();
        sender.send(1).unwrap();
    }
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..PARTIES)
        .map(|_| one_way::<u32>().unwrap())
        .map(|(s, r)| (r, s))
        .unzip();
    let events: Vec<_> = (0..PARTIES).map(|_| Event::new().unwrap()).collect();
    let given: Vec<_> = theirs.into_iter().zip(events.iter().cloned()).collect();
    let parties = start(method, speak, given);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut sources: Vec<&dyn AsFd> = ours.iter().map(|end| end as &dyn AsFd).collect();
    sources.push(&reader);
    assert!(wait(&sources, Some(MOMENT)).unwrap().is_empty());
    events[2].set();
    assert_eq!(wait(&sources, None).unwrap(), [2]);
    assert_eq!(wait(&sources, None).unwrap(), [2], "nothing is consumed");
    assert_eq!(ours[2].recv().unwrap(), Some(1));
    writer.write_all(b"x").unwrap();
    let borrowed: Vec<BorrowedFd<'_>> = sources.iter().map(AsFd::as_fd).collect();
    let ready = wait(&borrowed, Some(SOON)).unwrap();
    assert!(ready.contains(&PARTIES), "{ready:?}");
    events.iter().for_each(|event| {
        event.set();
    });
    parties.join();
    // Some by a message, one by the end of file.
    assert_eq!(wait(&sources, None).unwrap(), [0, 1, 2, 3, 4]);
    assert!(wait::<&dyn AsFd>(&[], None).unwrap().is_empty());
    if method != Method::Threads {
        let (go, child_waits) = one_way::<()>().unwrap();
        let wait_for = |waits: PipeReceiver<()>| drop(waits.recv());
        let child = process(method, wait_for, child_waits).unwrap();
        assert!(wait(&[&child], Some(MOMENT)).unwrap().is_empty());
        assert_eq!(child.as_raw_fd(), child.as_fd().as_raw_fd());
        assert_eq!(go.as_raw_fd(), go.as_fd().as_raw_fd());
        let ended = Edges::of(&child);
        assert!(!ended.come_within(MOMENT));
        go.send(()).unwrap();
        assert!(ended.come_within(SOON));
        assert_eq!(wait(&[&child], Some(SOON)).unwrap(), [0]);
        child.join().unwrap();
    }
}

pub fn a_closed_descriptor_is_named_and_not_waited_for(method: Method) {
    fn wait_for_it(receiver: PipeReceiver<()>) -> String {
        // SAFETY: there is none, which is what is tested; no number is ever so high.
        let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
        wait(&[receiver.as_fd(), closed], None)
            .unwrap_err()
            .to_string()
    }
    let (_sender, receiver) = one_way().unwrap();
    let told = run(method, wait_for_it, [receiver]);
    assert_eq!(told, ["source 1 is no open descriptor"]);
}

/// Waits for edges of a descriptor, given by its number, as event loops do.
struct Edges(OwnedFd);

impl Edges {
    fn of(descriptor: &impl AsRawFd) -> Edges {
        // SAFETY: makes a descriptor.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0);
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: 0,
        };
        let (add, number) = (libc::EPOLL_CTL_ADD, descriptor.as_raw_fd());
        // SAFETY: two descriptors that are open, and an event.
        let added = unsafe { libc::epoll_ctl(epoll, add, number, &raw mut event) };
        assert_eq!(added, 0);
        // SAFETY: made here, and nobody else's.
        Edges(unsafe { OwnedFd::from_raw_fd(epoll) })
    }

    fn come_within(&self, timeout: Duration) -> bool {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let millis = timeout.as_millis() as i32;
        // SAFETY: room for one event.
        let ready = unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, millis) };
        ready == 1
    }
}

pub fn who_is_told_of_edges_alone_misses_nothing(method: Method) {
    const ITEMS: u64 = 3000;
    fn put(queue: Queue<u64>) {
        for item in 0..ITEMS {
            queue.put(item).unwrap();
            // Now and then there is nothing for a while.
            (0..item % 64 * 50).for_each(|_| std::hint::spin_loop());
        }
    }
    let queue = Queue::new(1 << 10).unwrap();
    let putting = start(method, put, [queue.clone()]);
    let ready = queue.readiness().unwrap();
    let edges = Edges::of(&ready);
    let mut expected = 0;
    while expected < ITEMS {
        assert!(edges.come_within(SOON), "missed at {expected}");
        loop {
            match queue.try_get() {
                Ok(item) => assert_eq!(item, expected),
                Err(why) => {
                    assert_eq!(why, RecvError::Empty);
                    break;
                }
            }
            expected += 1;
        }
        ready.rearm();
    }
    putting.join();
    // Without a rearm no edge comes; with one it comes even for what was there before.
    while edges.come_within(MOMENT) {
        ready.rearm();
    }
    queue.put(1).unwrap();
    assert!(edges.come_within(SOON));
    queue.put(2).unwrap();
    assert!(!edges.come_within(MOMENT));
    ready.rearm();
    assert!(edges.come_within(SOON));
}
