//! Queues that are joined.

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    time::Duration,
};

use multiproc::{
    Counter, Create, Event, Item, JoinQueueError, JoinableQueue, Raw, RecvError, SendError,
};
use serde::{Deserialize, Serialize};

use crate::{
    common::{in_time, raw::new_name},
    parties::{Method, PARTIES, Sleepers, die, meet, run, run_to_death, start},
    queues::{FIT, LONG, LOST, STAYS, Unfit, is_readable},
};

const ITEMS: u64 = 2_000;
const SHORT: Duration = Duration::from_millis(20);
/// Room for four items of up to eight bytes.
const SMALL: usize = 64;

pub fn a_join_waits_until_every_item_is_done(method: Method) {
    fn work((queue, sum): (JoinableQueue<u64>, Counter)) -> usize {
        let mut items = 0;
        for item in &queue {
            assert!(queue.unfinished() > 0);
            sum.add(*item);
            items += 1;
        }
        items
    }
    for capacity in [SMALL, 4096] {
        let (queue, sum) = (
            JoinableQueue::new(capacity).unwrap(),
            Counter::new(0).unwrap(),
        );
        assert_eq!(queue.join(), Ok(()), "nothing was put");
        let working = start(method, work, vec![(queue.clone(), sum.clone()); PARTIES]);
        let mut expected = 0;
        for round in 1..=4 {
            queue.put_many(0..ITEMS).unwrap();
            queue.put(round).unwrap();
            expected += ITEMS * (ITEMS - 1) / 2 + round;
            assert_eq!(queue.join(), Ok(()));
            // What was done with them is seen.
            assert_eq!((sum.get(), queue.unfinished()), (expected, 0));
        }
        queue.close().unwrap();
        let items: usize = working.join().into_iter().sum();
        assert_eq!(items as u64, 4 * (ITEMS + 1));
        assert_eq!((queue.lost(), queue.join()), (0, Ok(())));
    }
}

pub fn an_item_is_done_by_dropping_it_by_saying_so_or_by_taking_it_out(method: Method) {
    fn each_way((queue, left): (JoinableQueue<String>, u32)) {
        assert_eq!(queue.unfinished(), left);
        let mut item = queue.get().unwrap();
        item.push_str("ped");
        assert_eq!((item.as_str(), item.to_string().len()), ("dropped", 7));
        assert_eq!(format!("{item:?}"), r#"Item("dropped")"#);
        let second = queue.try_get().unwrap();
        let third = queue.get_timeout(LONG).unwrap();
        assert_eq!((queue.len(), queue.unfinished()), (left as usize - 3, left));
        drop(item);
        assert_eq!(queue.unfinished(), left - 1);
        second.done();
        assert_eq!(queue.unfinished(), left - 2);
        assert_eq!(third.into_inner(), "taken out");
        assert_eq!(queue.unfinished(), left - 3);
    }
    let queue = JoinableQueue::new(1024).unwrap();
    for left in [3, 6] {
        for text in ["drop", "said", "taken out"].into_iter().cycle().take(left) {
            queue.put(text.to_owned()).unwrap();
        }
        for left in (3..=left as u32).rev().step_by(3) {
            run(method, each_way, [(queue.clone(), left)]);
        }
        assert_eq!(queue.join(), Ok(()));
    }
}

pub fn all_who_join_are_woken_by_the_last_who_is_done(method: Method) {
    fn join((queue, sleepers, i): (JoinableQueue<u64>, Sleepers, usize)) {
        sleepers.enter(i);
        if i.is_multiple_of(2) {
            assert_eq!(queue.join(), Ok(()));
        } else {
            assert_eq!(queue.join_timeout(LONG), Ok(()));
        }
    }
    let (queue, sleepers) = (JoinableQueue::new(SMALL).unwrap(), Sleepers::new(PARTIES));
    queue.put_many(0..2).unwrap();
    let party = |i| (queue.clone(), sleepers.clone(), i);
    let joining = start(method, join, (0..PARTIES).map(party));
    sleepers.all_asleep();
    let items: Vec<_> = queue.try_iter().collect();
    assert_eq!(items.len(), 2);
    // What is in hand is not done.
    let late = queue.join_timeout(SHORT).unwrap_err();
    assert!(late.is_timeout() && !late.is_lost());
    drop(items);
    joining.join();
}

pub fn what_is_given_up_or_dropped_by_a_panic_is_lost_and_told_to_who_joins(method: Method) {
    fn lose(queue: JoinableQueue<u64>) {
        let given_up = queue.get().unwrap();
        let panics = || {
            let _item = queue.get().unwrap();
            // Without the hook, which would print it.
            panic::resume_unwind(Box::new(()));
        };
        assert!(panic::catch_unwind(AssertUnwindSafe(panics)).is_err());
        given_up.give_up();
        drop(queue.get().unwrap());
    }
    let queue = JoinableQueue::new(1024).unwrap();
    queue.put_many(0..3).unwrap();
    run(method, lose, [queue.clone()]);
    // Also who joins later.
    assert_eq!(queue.unfinished(), 2, "lost, and not told yet");
    let lost = queue.join().unwrap_err();
    assert_eq!(lost, JoinQueueError::Lost(2));
    assert!(lost.is_lost() && lost.to_string().contains("2 items were lost"));
    assert_eq!((queue.lost(), queue.unfinished()), (2, 0));
    assert_eq!(queue.join(), Ok(()), "it was told");
}

pub fn all_who_join_are_told_at_once_what_is_given_up(method: Method) {
    fn join((queue, sleepers, i): (JoinableQueue<u64>, Sleepers, usize)) -> bool {
        sleepers.enter(i);
        queue.join() == Err(JoinQueueError::Lost(1))
    }
    let (queue, sleepers) = (JoinableQueue::new(SMALL).unwrap(), Sleepers::new(PARTIES));
    queue.put_many(0..2).unwrap();
    let party = |i| (queue.clone(), sleepers.clone(), i);
    let joining = start(method, join, (0..PARTIES).map(party));
    let (item, other) = (queue.get().unwrap(), queue.get().unwrap());
    sleepers.all_asleep();
    item.give_up();
    drop(other);
    assert_eq!(joining.join(), [true; PARTIES]);
}

/// Fault 14.
pub fn what_the_dead_had_in_hand_is_lost_and_told(method: Method) {
    fn take_and_die(queue: JoinableQueue<u64>) {
        let _items = [queue.get().unwrap(), queue.get().unwrap()];
        die();
    }
    let queue = JoinableQueue::new(1024).unwrap();
    queue.put_many(0..5).unwrap();
    run_to_death(method, take_and_die, queue.clone());
    assert_eq!((queue.len(), queue.unfinished()), (3, 5));
    let rest: Vec<u64> = queue.try_iter().map(Item::into_inner).collect();
    assert_eq!(rest, [2, 3, 4]);
    assert_eq!(queue.join_timeout(LONG), Err(JoinQueueError::Lost(2)));
    assert_eq!((queue.lost(), queue.unfinished()), (2, 0));
}

/// An item that panics when it is dropped, once it has come out of a queue.
#[derive(Serialize, Deserialize)]
struct Bomb {
    #[serde(skip, default = "live")]
    is_live: bool,
}

fn live() -> bool {
    true
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.is_live {
            // Without the hook, which would print it.
            panic::resume_unwind(Box::new(()));
        }
    }
}

pub fn an_item_that_panics_when_it_is_dropped_is_lost(method: Method) {
    fn drop_all(queue: JoinableQueue<Bomb>) {
        for gives_up in [false, true] {
            let item = queue.get().unwrap();
            let drop_it = || {
                if gives_up {
                    item.give_up()
                } else {
                    item.done()
                }
            };
            assert!(panic::catch_unwind(AssertUnwindSafe(drop_it)).is_err());
        }
    }
    let queue = JoinableQueue::new(1024).unwrap();
    for _ in 0..2 {
        assert!(queue.put(Bomb { is_live: false }).is_ok());
    }
    run(method, drop_all, [queue.clone()]);
    assert_eq!(queue.join_timeout(LONG), Err(JoinQueueError::Lost(2)));
}

pub fn who_waits_gives_up_in_time_and_what_was_not_put_comes_back(method: Method) {
    fn wait((empty, full): (JoinableQueue<u64>, JoinableQueue<u64>)) {
        assert_eq!(empty.try_get().unwrap_err(), RecvError::Empty);
        let late = in_time(SHORT, || empty.get_timeout(SHORT).map(drop));
        assert_eq!(late, Err(RecvError::Timeout));
        let late = in_time(SHORT, || full.put_timeout(7, SHORT)).unwrap_err();
        assert!(late.is_timeout());
        assert_eq!(late.into_inner(), 7);
        assert!(matches!(full.try_put(8), Err(SendError::Full(8))));
        let late = in_time(SHORT, || full.join_timeout(SHORT));
        assert_eq!(late, Err(JoinQueueError::Timeout));
        assert_eq!(
            full.join_timeout(Duration::ZERO),
            Err(JoinQueueError::Timeout)
        );
        assert_eq!(empty.join_timeout(Duration::ZERO), Ok(()));
    }
    let [empty, full] = [(); 2].map(|()| JoinableQueue::new(SMALL).unwrap());
    full.put_many(0..4).unwrap();
    assert!(full.is_full() && empty.is_empty());
    run(method, wait, vec![(empty, full.clone()); PARTIES]);
    assert_eq!(
        (full.len(), full.unfinished(), full.capacity()),
        (4, 4, SMALL)
    );
}

pub fn a_closed_one_is_emptied_and_joined(method: Method) {
    fn work((queue, met): (JoinableQueue<u64>, Counter)) -> u64 {
        meet(&met, PARTIES + 1);
        let mut items = queue.iter();
        let sum = items.by_ref().map(Item::into_inner).sum();
        assert_eq!(items.error(), None);
        assert_eq!(queue.get().unwrap_err(), RecvError::Closed);
        assert!(matches!(queue.put(7), Err(SendError::Closed(7))));
        let error = queue.put_many([8, 9]).unwrap_err();
        assert!(error.why.is_disconnected() && error.rest.eq([8, 9]));
        sum
    }
    let (queue, met) = (JoinableQueue::new(1024).unwrap(), Counter::new(0).unwrap());
    queue.put_many(0..50).unwrap();
    let working = start(method, work, vec![(queue.clone(), met.clone()); PARTIES]);
    queue.close().unwrap();
    assert!(queue.is_closed());
    meet(&met, PARTIES + 1);
    assert_eq!(queue.join(), Ok(()));
    assert_eq!(working.join().into_iter().sum::<u64>(), 49 * 50 / 2);
}

pub fn what_cannot_be_decoded_counts_as_done(method: Method) {
    fn get(queue: JoinableQueue<Unfit>) {
        let unfit = queue.get().unwrap_err();
        assert!(matches!(unfit, RecvError::Decode { len: 1, .. }), "{unfit}");
        assert_eq!(*queue.get().unwrap(), FIT);
        let mut items = queue.iter();
        assert!(items.next().is_none() && items.error().is_some());
    }
    let queue = JoinableQueue::new(1024).unwrap();
    let error = queue.put_many([LOST, FIT, LOST, STAYS, FIT]).unwrap_err();
    assert!(matches!(error.why, SendError::Encode { .. }));
    assert_eq!((error.sent, error.rest.collect()), (3, vec![STAYS, FIT]));
    run(method, get, [queue.clone()]);
    assert_eq!((queue.join(), queue.lost()), (Ok(()), 0));
}

pub fn joinable_queues_are_found_by_name_and_in_files(method: Method) {
    fn work((name, path): (String, PathBuf)) {
        let texts = JoinableQueue::<String>::open(name.as_str()).unwrap();
        let numbers = JoinableQueue::<[u32; 2], Raw>::open_raw(path.as_path()).unwrap();
        assert_eq!(*numbers.get().unwrap(), [1, 2]);
        let text = texts.get().unwrap();
        assert_eq!(*text, "two");
        assert!(JoinableQueue::<[i32; 2], Raw>::open_raw(path.as_path()).is_err());
        assert!(JoinableQueue::<String>::open(path.as_path()).is_err());
        assert!(multiproc::Queue::<String>::open(name.as_str()).is_err());
    }
    let name = new_name();
    let path = std::env::temp_dir().join(&name);
    let texts = JoinableQueue::create(name.as_str(), 1024).unwrap();
    let numbers = JoinableQueue::<[u32; 2], Raw>::create_raw(Create::file(&path), 1024).unwrap();
    for _ in 0..PARTIES {
        texts.put("two".to_owned()).unwrap();
        numbers.put([1, 2]).unwrap();
    }
    let places = vec![(name.clone(), path.clone()); PARTIES];
    let working = start(method, work, places);
    assert_eq!((texts.join(), numbers.join()), (Ok(()), Ok(())));
    working.join();
    drop((texts, numbers));
    let gone = JoinableQueue::<String>::open(name).unwrap_err();
    assert!(gone.is_not_found());
    fs::remove_file(path).unwrap();
    let raw = JoinableQueue::<f64, Raw>::raw(SMALL).unwrap();
    raw.put(0.5).unwrap();
    assert_eq!(raw.get().unwrap().into_inner(), 0.5);
}

pub fn batches_are_put_as_far_as_there_is_room(method: Method) {
    fn put(queue: JoinableQueue<u64>) {
        assert_eq!(queue.max_len(), 24);
        assert!(queue.has_room_for(24) && !queue.has_room_for(25));
        let error = queue.try_put_many(0..6).unwrap_err();
        assert!(error.why.is_full() && error.rest.eq(4..6));
        assert!(queue.is_full() && !queue.has_room_for(0));
        let late = in_time(SHORT, || queue.put_many_timeout(4..6, SHORT)).unwrap_err();
        assert!(late.why.is_timeout() && late.rest.eq(4..6));
    }
    let queue = JoinableQueue::new(SMALL).unwrap();
    run(method, put, [queue.clone()]);
    assert!(queue.try_iter().map(Item::into_inner).eq(0..4));
    assert_eq!(queue.put_many_timeout(4..6, LONG).unwrap(), 2);
    assert!(queue.try_iter().map(Item::into_inner).eq(4..6));
    assert_eq!(queue.join(), Ok(()));
}

pub fn a_descriptor_is_readable_while_there_is_something_to_take(method: Method) {
    fn put((queue, go): (JoinableQueue<u64>, Event)) {
        go.wait();
        queue.put(1).unwrap();
    }
    let (queue, go) = (JoinableQueue::new(SMALL).unwrap(), Event::new().unwrap());
    let putting = start(method, put, [(queue.clone(), go.clone())]);
    let ready = queue.readiness().unwrap();
    assert!(!is_readable(&ready, SHORT));
    go.set();
    assert!(is_readable(&ready, LONG));
    let item = queue.try_get().unwrap();
    ready.rearm();
    assert!(!is_readable(&ready, SHORT), "it is in hand");
    item.give_up();
    ready.rearm();
    assert!(!is_readable(&ready, SHORT), "it does not come back");
    queue.close().unwrap();
    assert!(is_readable(&ready, LONG));
    putting.join();
}
