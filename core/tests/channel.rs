//! Channels among processes that are only numbers.
#![cfg(not(loom))]

mod common;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use common::{Fake, ORIGIN, bytes, longest_sleep, memory};
use multiproc_core::{
    Channel, End, Entered, FOREVER, HEADER_LEN, Hold, Kind, LayoutError, Locked,
    MAX_PROCESSES_AT_END, NOW, Owner, Region, RingError, Sole,
};

type Of<H> = Channel<'static, u8, Fake, H>;

fn place<H: Hold + 'static>(capacity: usize) -> Region<'static> {
    let region = memory(Of::<H>::required_len(capacity).unwrap());
    // SAFETY: memory that nobody else has.
    unsafe { Of::<H>::place(region, Fake::new(1), ORIGIN, capacity) }.unwrap();
    region
}

fn open<H: Hold + 'static>(region: Region<'static>, who: Fake) -> Of<H> {
    Channel::attach(region, who, ORIGIN).unwrap()
}

fn enter<H: Hold + 'static>(channel: &Of<H>, end: End) -> Entered {
    channel.enter(end, FOREVER).unwrap()
}

/// Nothing is on its way.
fn none() -> bool {
    false
}

fn get<H: Hold + 'static>(channel: &Of<H>, until: u64) -> Result<Vec<u8>, RingError> {
    // SAFETY: these tests have one who takes.
    unsafe { channel.get_alone(until, none, <[u8]>::to_vec) }
}

fn put<H: Hold + 'static>(channel: &Of<H>, record: &[u8], until: u64) -> Result<(), RingError> {
    // SAFETY: these tests have one who puts at a time.
    unsafe { channel.put_alone(record, until, none) }
}

/// The last sender leaves, and then the last receiver of another channel.
fn the_last_to_leave_is_found_out<H: Hold + 'static>(pids: [u32; 2]) {
    let [one, other] = pids.map(Fake::new);
    let region = place::<H>(64);
    let (sending, receiving) = (open::<H>(region, one), open::<H>(region, other));
    let sender = enter(&sending, End::Sender);
    let receiver = enter(&receiving, End::Receiver);
    assert_eq!(
        (sender.owner(), sender.end()),
        (owner_of(pids[0]), End::Sender)
    );
    put(&sending, b"last", NOW).unwrap();
    assert_eq!(receiving.handles(End::Sender), 1);
    sending.leave(sender, none);
    assert!(receiving.is_abandoned(End::Sender, none));
    assert_eq!(get(&receiving, NOW).unwrap(), b"last");
    assert_eq!(get(&receiving, NOW), Err(RingError::Closed));
    assert_eq!(get(&receiving, FOREVER), Err(RingError::Closed));
    assert!(receiving.wait_until_some(FOREVER, none, none).unwrap());
    receiving.leave(receiver, none);

    let region = place::<H>(64);
    let (sending, receiving) = (open::<H>(region, one), open::<H>(region, other));
    let sender = enter(&sending, End::Sender);
    let receiver = enter(&receiving, End::Receiver);
    receiving.leave(receiver, none);
    assert_eq!(put(&sending, b"late", NOW), Err(RingError::Closed));
    let late = // SAFETY: as above.
    unsafe { sending.put_many_alone([b"late"], FOREVER, none) };
    assert_eq!(late, (0, Err(RingError::Closed)));
    sending.leave(sender, none);
}

fn owner_of(pid: u32) -> Owner {
    Owner::new(pid.try_into().unwrap(), 99).unwrap()
}

#[test]
fn who_leaves_last_closes_for_the_other_end() {
    the_last_to_leave_is_found_out::<Locked>([601, 602]);
    the_last_to_leave_is_found_out::<Sole>([603, 604]);
}

#[test]
fn each_handle_of_each_process_counts_and_those_of_a_fork_child_do_not() {
    let region = place::<Locked>(64);
    let (one, child) = (Fake::new(611), Fake::new(612));
    let (channel, childs) = (open::<Locked>(region, one), open::<Locked>(region, child));
    let receiver = enter(&channel, End::Receiver);
    let handles = [(); 3].map(|()| enter(&channel, End::Sender));
    assert_eq!(channel.handles(End::Sender), 3);
    for handle in &handles {
        // What it inherited.
        assert!(channel.is_mine(handle) && !childs.is_mine(handle));
        childs.leave(*handle, none);
    }
    assert_eq!(channel.handles(End::Sender), 3);
    // One that it has for itself.
    let own = enter(&childs, End::Sender);
    for handle in handles {
        channel.leave(handle, none);
        assert!(!channel.is_abandoned(End::Sender, none));
    }
    childs.leave(own, none);
    assert!(channel.is_abandoned(End::Sender, none));
    channel.leave(receiver, none);
    // Kept in words of one's own, and found again.
    let own = enter(&childs, End::Sender);
    let same = Entered::of(own.owner(), own.end(), own.row());
    childs.leave(same, none);
    assert_eq!(childs.handles(End::Sender), 0);
}

#[test]
fn what_is_on_its_way_keeps_an_end_and_enters_before_it_arrives() {
    let region = place::<Locked>(64);
    let (channel, other) = (
        open::<Locked>(region, Fake::new(621)),
        open::<Locked>(region, Fake::new(622)),
    );
    let receiver = enter(&channel, End::Receiver);
    let sender = enter(&channel, End::Sender);
    let on_its_way = AtomicBool::new(true);
    let is_on_its_way = || on_its_way.load(Ordering::SeqCst);
    channel.leave(sender, is_on_its_way);
    assert!(!channel.is_abandoned(End::Sender, is_on_its_way));
    let until = Fake::new(621).soon(150);
    let got = channel.get(until, is_on_its_way, |_| ());
    assert_eq!(got, Err(RingError::TimedOut));
    // It has arrived.
    let sender = enter(&other, End::Sender);
    on_its_way.store(false, Ordering::SeqCst);
    assert!(!channel.is_abandoned(End::Sender, is_on_its_way));
    put(&other, b"one", NOW).unwrap();
    other.leave(sender, is_on_its_way);
    assert_eq!(get(&channel, NOW).unwrap(), b"one");
    assert_eq!(get(&channel, NOW), Err(RingError::Closed));
    channel.leave(receiver, none);
}

#[test]
#[should_panic(expected = "there is no row")]
fn no_handle_is_in_a_row_that_no_table_has() {
    _ = Entered::of(owner_of(625), End::Sender, MAX_PROCESSES_AT_END);
}

/// What never arrives.
#[test]
fn what_is_lost_on_its_way_is_found_out_by_who_waits() {
    let region = place::<Sole>(64);
    let channel = open::<Sole>(region, Fake::new(631));
    let receiver = enter(&channel, End::Receiver);
    let sender = enter(&channel, End::Sender);
    channel.leave(sender, || true);
    assert_eq!(get(&channel, FOREVER), Err(RingError::Closed));
    channel.leave(receiver, none);
}

/// Fault 16.
#[test]
fn who_dies_at_any_step_of_coming_or_sending_is_found_out_by_who_waits() {
    for (i, (step, has_put)) in (0..).zip([
        ("tally: row made known", false),
        ("tally: row has its owner", false),
        ("channel: entered", false),
        ("ring: record reserved", false),
        ("ring: published", true),
    ]) {
        let region = place::<Locked>(64);
        let channel = open::<Locked>(region, Fake::new(641));
        let receiver = enter(&channel, End::Receiver);
        let first = enter(&channel, End::Sender);
        let victim = Fake::new(642 + i).stops_at(step);
        thread::spawn(move || {
            let channel = open::<Locked>(region, victim);
            let sender = enter(&channel, End::Sender);
            put(&channel, b"whole", FOREVER).unwrap();
            channel.leave(sender, none);
        });
        victim.until_stopped();
        channel.leave(first, none);
        let until = Fake::new(641).soon(120);
        let told = get(&channel, until);
        let expected = if has_put {
            Ok(b"whole".to_vec())
        } else {
            Err(RingError::TimedOut)
        };
        assert_eq!(told, expected, "it lives, at {step}");
        victim.die();
        assert_eq!(get(&channel, FOREVER), Err(RingError::Closed), "{step}");
        channel.leave(receiver, none);
    }
}

/// Fault 16.
#[test]
fn who_dies_at_any_step_of_leaving_last_is_found_out_by_who_waits() {
    for (i, step) in (0..).zip(["channel: left", "channel: found abandoned", "ring: closed"]) {
        let region = place::<Locked>(64);
        let channel = open::<Locked>(region, Fake::new(651));
        let receiver = enter(&channel, End::Receiver);
        let victim = Fake::new(652 + i).stops_at(step);
        thread::spawn(move || {
            let channel = open::<Locked>(region, victim);
            let sender = enter(&channel, End::Sender);
            put(&channel, b"whole", FOREVER).unwrap();
            channel.leave(sender, none);
        });
        victim.until_stopped();
        victim.die();
        assert_eq!(get(&channel, FOREVER).unwrap(), b"whole", "{step}");
        assert_eq!(get(&channel, FOREVER), Err(RingError::Closed), "{step}");
        channel.leave(receiver, none);
    }
}

#[test]
fn who_dies_with_the_lock_of_its_side_holds_up_nobody() {
    let region = place::<Locked>(64);
    let channel = open::<Locked>(region, Fake::new(661));
    let receiver = enter(&channel, End::Receiver);
    let victim = Fake::new(662).stops_at("ring: record reserved");
    thread::spawn(move || {
        let channel = open::<Locked>(region, victim);
        let _sender = enter(&channel, End::Sender);
        put(&channel, b"half", FOREVER)
    });
    victim.until_stopped();
    let until = Fake::new(661).soon(250);
    assert_eq!(get(&channel, until), Err(RingError::TimedOut), "it lives");
    victim.die();
    assert_eq!(get(&channel, FOREVER), Err(RingError::Closed));
    channel.leave(receiver, none);
}

/// Fault 42.
#[test]
fn the_dead_make_room_when_every_row_is_taken_and_the_living_do_not() {
    let region = place::<Locked>(64);
    let other = |pid| open::<Locked>(region, Fake::new(pid));
    let pids = 2000..2000 + MAX_PROCESSES_AT_END as u32;
    for pid in pids.clone() {
        _ = enter(&other(pid), End::Sender);
    }
    let late = other(671);
    let refused = late.enter(End::Sender, FOREVER).unwrap_err();
    assert_eq!(refused, RingError::TooManyProcesses);
    // Whoever has a row may have more in it.
    let again = enter(&other(2050), End::Sender);
    other(2050).leave(again, none);
    pids.for_each(|pid| Fake::new(pid).die());
    let sender = enter(&late, End::Sender);
    assert_eq!(late.handles(End::Sender), 1);
    late.leave(sender, none);
}

#[test]
fn who_does_not_wait_is_held_up_by_a_stopped_process_for_a_moment() {
    let region = place::<Locked>(64);
    let stopped = Fake::new(681).stops_at("tally: row made known");
    let entering = thread::spawn(move || enter(&open::<Locked>(region, stopped), End::Sender));
    stopped.until_stopped();
    // Nobody has a row, and somebody has the table.
    let channel = open::<Locked>(region, Fake::new(682));
    assert_eq!(get(&channel, NOW), Err(RingError::WouldBlock));
    let until = Fake::new(682).soon(1);
    assert_eq!(get(&channel, until), Err(RingError::TimedOut));
    assert!(!channel.is_abandoned(End::Sender, none));
    assert!(longest_sleep() <= 10_000_000, "{} ns", longest_sleep());
    assert!(!entering.is_finished());
    stopped.die();
    assert_eq!(get(&channel, FOREVER), Err(RingError::Closed));
}

#[test]
fn one_to_one_records_are_written_and_read_in_their_place() {
    let region = place::<Sole>(64);
    let channel = open::<Sole>(region, Fake::new(691));
    let (sender, receiver) = (enter(&channel, End::Sender), enter(&channel, End::Receiver));
    for round in 0..20 {
        // SAFETY: the only slot.
        let mut slot = unsafe { channel.reserve(20, NOW, none) }.unwrap();
        slot.fill(round);
        if round % 2 == 0 {
            drop(slot);
            assert!(channel.is_empty(), "it was not sent");
            continue;
        }
        slot.send();
        // SAFETY: the only slot.
        let slot = unsafe { channel.next(NOW, none) }.unwrap();
        slot.put_back();
        // SAFETY: likewise.
        let slot = unsafe { channel.next(FOREVER, none) }.unwrap();
        assert_eq!(*slot, [round; 20]);
        assert_eq!(channel.len(), 1);
        drop(slot);
        assert!(channel.is_empty());
    }
    // SAFETY: the only slot.
    let none_there = unsafe { channel.next(NOW, none) }.map(drop);
    assert_eq!(none_there, Err(RingError::WouldBlock));
    // SAFETY: likewise.
    let too_large = unsafe { channel.reserve(25, NOW, none) }.map(drop);
    assert_eq!(too_large, Err(RingError::TooLarge));
    channel.leave(receiver, none);
    // SAFETY: likewise.
    let closed = unsafe { channel.reserve(1, NOW, none) }.map(drop);
    assert_eq!(closed, Err(RingError::Closed));
    channel.leave(sender, none);
}

/// Fault 10.
#[test]
fn when_all_are_dead_nobody_is_at_either_end_and_records_stay() {
    let region = place::<Locked>(64);
    let channel = open::<Locked>(region, Fake::new(701));
    _ = enter(&channel, End::Sender);
    _ = enter(&channel, End::Receiver);
    put(&channel, b"kept", NOW).unwrap();
    // SAFETY: nobody uses it any more.
    unsafe { Of::<Locked>::bury(region, Fake::new(702), ORIGIN) }.unwrap();
    let channel = open::<Locked>(region, Fake::new(702));
    let ends = [End::Sender, End::Receiver];
    assert_eq!(ends.map(|end| channel.handles(end)), [0, 0]);
    let receiver = enter(&channel, End::Receiver);
    assert_eq!(get(&channel, NOW).unwrap(), b"kept");
    assert_eq!(get(&channel, FOREVER), Err(RingError::Closed));
    channel.leave(receiver, none);
    // One kind is not the other.
    let error = Channel::<u8, Fake, Sole>::attach(region, Fake::new(702), ORIGIN);
    let Err(LayoutError::Kind { found, .. }) = error else {
        panic!("it has locks");
    };
    assert_eq!(found, Kind::Channel as u32);
}

/// Fault 27.
#[test]
fn foreign_bytes_are_harmless() {
    fn use_it<H: Hold + 'static>(byte: u8) {
        let region = place::<H>(64);
        let channel = open::<H>(region, Fake::new(711));
        // All but the header and the words of the ring.
        for place in bytes(region).iter_mut().skip(HEADER_LEN + 512) {
            *place = byte;
        }
        let until = || Fake::new(711).soon(2);
        for end in [End::Sender, End::Receiver] {
            if let Ok(handle) = channel.enter(end, until()) {
                channel.leave(handle, none);
            }
            _ = (channel.handles(end), channel.is_abandoned(end, none));
            channel.leave(Entered::of(owner_of(711), end, 5), none);
        }
        _ = put(&channel, b"one", until());
        _ = get(&channel, until());
    }
    for byte in [0, 1, 2, 0x7f, 0x80, 0xff] {
        use_it::<Locked>(byte);
        use_it::<Sole>(byte);
    }
}
