//! More claims, and more deaths, than there is room for.

use multiproc::{
    Array, Child, ClaimError, JoinableQueue, Process, Receiver, RecvError, SendError, Sender,
    channel,
};

use crate::{
    common::{STUCK, asleep, forked, kill_self, named, wait_until},
    flag::Flag,
    observe::{idle, kill},
    subject::{MOMENT, SOON, Told, of_claim},
};

/// How many claims are held or waited for at once.
const ROWS: usize = 64;
/// How many ranges of the dead are told apart.
const ENTRIES: usize = 16;

/// More processes than rows.
const CROWD: usize = 70;

fn expect_through<T>(children: Vec<Child<T>>)
where
    T: serde::de::DeserializeOwned + PartialEq + std::fmt::Debug + Default,
{
    for mut child in children {
        let ended = child.join_timeout(STUCK).unwrap();
        assert_eq!(ended, Some(T::default()), "stuck");
    }
}

/// How many processes can be at an end of a channel.
const AT_END: usize = 93;
/// How many processes can have items of a joinable queue in hand.
const TAKERS: usize = 189;

/// Fault 42.
pub fn more_claimants_than_rows_all_get_through() {
    let array = Array::<u64>::zeroed(CROWD).unwrap();
    let (held, release) = (Flag::new(), Flag::new());
    let children: Vec<_> = (0..CROWD)
        .map(|i| {
            forked(|| {
                let mut guard = array.write(i..i + 1).unwrap();
                held.raise();
                release.wait();
                guard[0] += 1;
            })
        })
        .collect();
    wait_until(|| held.count() == ROWS as u64);
    wait_until(|| children.iter().filter(|child| asleep(child.pid())).count() == CROWD - ROWS);
    assert_eq!(held.count(), ROWS as u64);
    // Nothing is in the way of these but the lack of room.
    assert_eq!(
        of_claim(array.try_read(0..0)).1,
        Told::Sound,
        "needs no row"
    );
    release.raise();
    expect_through(children);
    assert_eq!(array.to_vec().unwrap(), [1; CROWD]);
}

/// Fault 42.
pub fn more_claimants_of_one_element_than_rows_all_get_through() {
    let array = Array::<u64>::zeroed(2).unwrap();
    let guard = array.write(..).unwrap();
    let children: Vec<_> = (0..CROWD)
        .map(|_| forked(|| array.write(1..).unwrap()[0] += 1))
        .collect();
    wait_until(|| children.iter().all(|child| asleep(child.pid())));
    drop(guard);
    expect_through(children);
    assert_eq!(array.to_vec().unwrap(), [0, CROWD as u64]);
}

/// Fault 42.
pub fn the_dead_make_room_when_every_row_is_taken() {
    let array = Array::<u64>::zeroed(CROWD).unwrap();
    let held = Flag::new();
    let holders: Vec<Child<()>> = (0..ROWS)
        .map(|i| {
            forked(|| {
                let _guard = array.write(i..i + 1).unwrap();
                held.raise();
                idle();
            })
        })
        .collect();
    wait_until(|| held.count() == ROWS as u64);
    let last = CROWD - 1;
    assert_eq!(of_claim(array.try_write(last..)).1, Told::WouldBlock);
    assert_eq!(
        of_claim(array.write_timeout(last.., MOMENT)).1,
        Told::TimedOut
    );
    let waiter = forked(|| array.set(last, 1).is_ok());
    wait_until(|| asleep(waiter.pid()));
    // One who waits for nothing but room, and knows nothing of who is in the way.
    kill(&holders[ROWS / 2]);
    let through = { waiter }.join_timeout(SOON).unwrap();
    assert_eq!(through, Some(true));
    holders.iter().for_each(kill);
    let poisoned = array.write(..).unwrap_err();
    assert!(poisoned.is_poisoned(), "{poisoned}");
}

/// Fault 42.
pub fn a_thread_with_claims_does_not_wait_for_room() {
    let array = Array::<u64>::zeroed(CROWD).unwrap();
    let mut guards: Vec<_> = (0..ROWS).map(|i| array.write(i..i + 1).unwrap()).collect();
    let refused = array.write(ROWS..).map(drop).unwrap_err();
    assert!(matches!(refused, ClaimError::TooManyClaims), "{refused}");
    // One with none waits.
    let waiter = forked(|| array.set(ROWS, 1).is_ok());
    wait_until(|| asleep(waiter.pid()));
    guards.pop();
    assert!(waiter.join().unwrap());
    guards.push(array.write(ROWS..).unwrap());
}

/// Fault 42.
pub fn the_dead_take_no_room_from_one_who_holds_claims() {
    let array = Array::<u64>::zeroed(CROWD).unwrap();
    let mine = array.write(CROWD - 1..).unwrap();
    let take_the_rest_and_die = || {
        let _guards: Vec<_> = (1..ROWS).map(|i| array.write(i..i + 1).unwrap()).collect();
        kill_self();
    };
    assert!(
        forked(take_the_rest_and_die)
            .join()
            .unwrap_err()
            .is_killed()
    );
    assert!(array.write(0..1).is_ok());
    drop(mine);
    assert_eq!(array.poisoned().unwrap().len(), ENTRIES);
}

/// Fault 42.
pub fn two_who_have_taken_every_row_do_not_wait_for_each_other_for_ever() {
    let half = ROWS / 2;
    let array = Array::<u64>::zeroed(ROWS).unwrap();
    let taken = Flag::new();
    let party = |own: std::ops::Range<usize>, others: usize| {
        let guards: Vec<_> = own.map(|i| array.write(i..i + 1).unwrap()).collect();
        taken.raise();
        wait_until(|| taken.count() == 2);
        let told = match array.write(others..others + 1).map(drop) {
            Ok(()) => "claimed",
            Err(ClaimError::TooManyClaims) => "too many claims",
            Err(ClaimError::WouldDeadlock) => "would deadlock",
            Err(_) => "something else",
        };
        drop(guards);
        told.to_owned()
    };
    let parties = [
        forked(|| party(0..half, ROWS - 1)),
        forked(|| party(half..ROWS, 0)),
    ];
    let told = parties.map(|mut party| party.join_timeout(SOON).unwrap().expect("it has no end"));
    let refused = |told: &&String| *told == "too many claims" || *told == "would deadlock";
    assert!(told.iter().any(|told| refused(&told)), "{told:?}");
    assert!(
        told.iter().all(|told| refused(&told) || told == "claimed"),
        "{told:?}"
    );
}

/// Fault 12. Fault 42.
pub fn more_deaths_than_poison_entries_merge_and_hide_nothing() {
    const DEATHS: usize = ENTRIES + 4;
    let array = Array::<u64>::zeroed(10 * DEATHS).unwrap();
    // At growing distances, so that it is known which of them are merged: the first.
    let starts: Vec<usize> = (0..DEATHS)
        .map(|i| i * (i + 1) / 2 * 10 / (DEATHS / 2))
        .collect();
    for (deaths, &start) in starts.iter().enumerate() {
        let range = start..start + 1;
        let child = forked(|| {
            let mut guard = array
                .write(range.clone())
                .or_else(ClaimError::into_guard)
                .unwrap();
            guard[0] = 1;
            kill_self();
        });
        assert!(child.join().unwrap_err().is_killed());
        let guard = array
            .write(range.clone())
            .unwrap_err()
            .into_guard()
            .unwrap();
        let poisoned = guard.poisoned();
        let covered = poisoned.iter().any(|one| one.range.contains(&range.start));
        named(&format!("death {deaths}"), || {
            assert!(covered, "{poisoned:?}")
        });
    }
    let poisoned = array.poisoned().unwrap();
    assert_eq!(poisoned.len(), ENTRIES);
    for start in &starts {
        assert!(
            poisoned.iter().any(|one| one.range.contains(start)),
            "{start}: {poisoned:?}"
        );
    }
    assert!(
        poisoned
            .iter()
            .all(|one| one.range.end <= starts[DEATHS - 1] + 1)
    );
    let mut all = array.write(..).unwrap_err().into_guard().unwrap();
    assert_eq!(all.clear_poison(), ENTRIES);
    drop(all);
    assert!(array.write(..).is_ok());
}

/// Fault 12.
pub fn a_claim_of_nothing_is_never_poisoned() {
    let array = Array::<u64>::zeroed(10).unwrap();
    let die = || {
        let _guard = array.write(3..7).unwrap();
        kill_self();
    };
    assert!(forked(die).join().unwrap_err().is_killed());
    assert!(array.write(..).unwrap_err().is_poisoned());
    assert!(array.write(5..5).is_ok());
    assert!(array.read(5..5).is_ok());
    assert!(array.write(7..).is_ok());
}

/// Fault 42.
pub fn who_finds_no_room_at_an_end_of_a_channel_is_told_and_the_dead_make_room() {
    const LIMIT: &str = "93 processes are at this end of the channel, which is the limit";
    fn use_both((sender, receiver): (Sender<u64>, Receiver<u64>)) {
        sender.send(1).unwrap();
        assert!(receiver.recv_timeout(SOON).is_ok());
    }
    let (sender, receiver) = channel::<u64>(4096).unwrap();
    let entered = Flag::new();
    // This process is one of them.
    let others: Vec<Child<()>> = (1..AT_END)
        .map(|_| {
            forked(|| {
                sender.send(1).unwrap();
                assert_eq!(receiver.recv(), Ok(1));
                entered.raise();
                idle();
            })
        })
        .collect();
    wait_until(|| entered.count() == AT_END as u64 - 1);
    let one_more = forked(|| {
        let refused = sender.send(7).unwrap_err();
        assert_eq!(refused.to_string(), LIMIT);
        let limit = AT_END;
        assert_eq!(refused, SendError::TooManyProcesses { item: 7, limit });
        let refused = receiver.recv().unwrap_err();
        assert_eq!(refused.to_string(), LIMIT);
        assert_eq!(refused, RecvError::TooManyProcesses { limit });
    });
    one_more.join().unwrap();
    // Whoever is given an end is told so when it is to be his.
    let refused = Process::spawn(use_both, (sender.clone(), receiver.clone()));
    let told = refused
        .and_then(|child| Ok(child.join()))
        .unwrap()
        .unwrap_err();
    assert!(told.to_string().contains(LIMIT), "{told}");
    kill(&others[0]);
    Process::spawn(use_both, (sender, receiver))
        .unwrap()
        .join()
        .unwrap();
}

/// Fault 42.
pub fn who_finds_no_room_for_what_it_has_in_hand_is_told_and_the_dead_make_room() {
    let queue = JoinableQueue::new(1 << 14).unwrap();
    queue.put_many(0..TAKERS as u64 + 2).unwrap();
    let taken = Flag::new();
    let take = || {
        forked(|| {
            let _item = queue.get().unwrap();
            taken.raise();
            idle();
        })
    };
    let takers: Vec<Child<()>> = (0..TAKERS).map(|_| take()).collect();
    wait_until(|| taken.count() == TAKERS as u64);
    let refused = queue.get().unwrap_err();
    assert_eq!(refused, RecvError::TooManyTakers { limit: TAKERS });
    assert_eq!(
        refused.to_string(),
        "189 processes have items of the queue in hand, which is the limit"
    );
    assert_eq!(queue.len(), 2, "it stays where it was");
    kill(&takers[0]);
    assert_eq!(*queue.get().unwrap(), TAKERS as u64);
}
