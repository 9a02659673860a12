//! Shared objects among arguments and results.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::fd::OwnedFd,
};

use multiproc::{
    Array, Counter, Descriptor, Executor, MapOptions, Mutex, PipeSender, Queue, Receiver, Sender,
    channel, one_way,
};

use crate::{
    common::{STUCK, wait_until},
    pools::{busy, expect_all_but, outcome, value, with_pools},
};

pub fn shared_objects_are_shared_with_tasks() {
    type All = (Array<u64>, Mutex<u64>, Queue<String>, Counter);
    fn add((array, mutex, queue, counter): All) -> (Queue<String>, Array<u64>) {
        array.write(0..1).unwrap()[0] += 1;
        *mutex.lock().unwrap() += 1;
        let number = counter.add(1);
        queue.put(format!("task {number}")).unwrap();
        (queue, array)
    }
    with_pools(|pool| {
        let all: All = (
            Array::zeroed(10).unwrap(),
            Mutex::new(0).unwrap(),
            Queue::new(1 << 16).unwrap(),
            Counter::new(0).unwrap(),
        );
        for _ in 0..20 {
            let (queue, array) = value(pool.submit(add, all.clone()).unwrap());
            assert!(array.to_vec().unwrap()[0] >= 1);
            assert_eq!(queue.len(), all.2.len());
        }
        for size in [1, 5] {
            let options = MapOptions::new().chunk_size(size);
            let outcomes = pool
                .try_map_with(options, add, vec![all.clone(); 20])
                .unwrap();
            assert!(outcomes.iter().all(Result::is_ok));
        }
        let (array, mutex, queue, counter) = all;
        assert_eq!(array.to_vec().unwrap()[0], 60);
        assert_eq!(
            (*mutex.lock().unwrap(), counter.get(), queue.len()),
            (60, 60, 60)
        );
        // A result may be what its task made.
        let make = |x: u64| {
            let array = Array::zeroed(3).unwrap();
            array.write(..).unwrap().fill(x);
            array
        };
        for (x, array) in (0..).zip(pool.map(make, 0..30).unwrap()) {
            assert_eq!(array.to_vec().unwrap(), [x; 3]);
        }
    });
}

pub fn ends_of_channels_go_to_a_task_and_come_back() {
    fn relay((from, to): (Receiver<u64>, Sender<u64>)) -> (Receiver<u64>, Sender<u64>) {
        let x = from.recv().unwrap();
        to.send(x + 1).unwrap();
        (from, to)
    }
    with_pools(|pool| {
        let (first, from) = channel(1024).unwrap();
        let (to, last) = channel(1024).unwrap();
        let mut ends = (from, to);
        for round in 0..10 {
            first.send(round).unwrap();
            ends = value(pool.submit(relay, ends).unwrap());
            assert_eq!(last.recv().unwrap(), round + 1);
        }
        drop(ends);
        assert!(last.recv().is_err(), "nobody is left who could send");
        // It looks for that now and then.
        wait_until(|| first.send(1).is_err());
    });
}

pub fn descriptors_go_to_a_task_and_come_back() {
    fn append(file: Descriptor) -> Descriptor {
        let mut file = File::from(OwnedFd::from(file));
        file.write_all(b"written by a task").unwrap();
        Descriptor::new(file)
    }
    with_pools(|pool| {
        // SAFETY: the name is a string with its end.
        let descriptor = unsafe { libc::memfd_create(c"file".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(descriptor >= 0);
        // SAFETY: just made.
        let file = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(descriptor) };
        let back = value(pool.submit(append, Descriptor::new(file)).unwrap());
        let mut file = File::from(OwnedFd::from(back));
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "written by a task");
    });
}

pub fn an_end_is_closed_when_the_task_that_had_it_is_done() {
    with_pools(|pool| {
        // Others take tasks meanwhile.
        for round in 0..50 {
            let (sender, receiver) = one_way::<u64>().unwrap();
            let send = |sender: PipeSender<u64>| sender.send(7).unwrap();
            let others: Vec<_> = (0..20)
                .map(|x| pool.submit(crate::pools::double, x).unwrap())
                .collect();
            let task = pool.submit(send, sender).unwrap();
            let more: Vec<_> = (0..20)
                .map(|x| pool.submit(crate::pools::double, x).unwrap())
                .collect();
            value(task);
            assert_eq!(receiver.recv_timeout(STUCK).unwrap(), Some(7));
            assert_eq!(receiver.recv_timeout(STUCK).unwrap(), None, "{round}");
            others
                .into_iter()
                .chain(more)
                .for_each(|task| assert!(value(task) < 40));
        }
    });
}

pub fn an_end_is_closed_when_the_task_is_cancelled_that_was_to_have_it() {
    with_pools(|pool| {
        let (gate, tasks) = busy(pool);
        let (sender, receiver) = one_way::<u64>().unwrap();
        let keep = |sender: PipeSender<u64>| drop(sender);
        let (other, its) = one_way::<u64>().unwrap();
        let first = pool.submit(keep, other).unwrap();
        let second = pool.submit(keep, sender).unwrap();
        assert!(first.cancel() && second.cancel());
        assert_eq!(its.recv_timeout(STUCK).unwrap(), None);
        assert_eq!(receiver.recv_timeout(STUCK).unwrap(), None);
        // One that is behind that of a task which is not cancelled.
        let (sender, receiver) = one_way::<u64>().unwrap();
        let (other, its) = one_way::<u64>().unwrap();
        let first = pool.submit(keep, other).unwrap();
        let second = pool.submit(keep, sender).unwrap();
        assert!(second.cancel());
        gate.open.set();
        tasks.into_iter().for_each(value);
        value(first);
        assert_eq!(its.recv_timeout(STUCK).unwrap(), None);
        assert_eq!(receiver.recv_timeout(STUCK).unwrap(), None);
    });
}

pub fn tasks_with_and_without_objects_keep_theirs() {
    fn open((x, counter): (u64, Option<Counter>)) -> (u64, Option<Counter>) {
        if let Some(counter) = &counter {
            assert_eq!(counter.get(), x);
        }
        (x, counter)
    }
    with_pools(|pool| {
        let item = |x: u64| (x, x.is_multiple_of(3).then(|| Counter::new(x).unwrap()));
        for size in [1, 4, 100] {
            let options = MapOptions::new().chunk_size(size);
            let outcomes = pool
                .try_map_with(options, open, (0..100).map(item))
                .unwrap();
            let shown: Vec<Result<_, _>> = outcomes
                .into_iter()
                .map(|outcome| outcome.map(|(x, counter)| (x, counter.map(|c| c.get()))))
                .collect();
            let expected = |index: usize| {
                let x = index as u64;
                (x, x.is_multiple_of(3).then_some(x))
            };
            expect_all_but(&shown, expected, &[]);
        }
        // Some of them are cancelled, and some die.
        let (gate, tasks) = busy(pool);
        let queued: Vec<_> = (0..60)
            .map(|x| {
                let task = |(x, counter): (u64, Option<Counter>)| {
                    if x % 10 == 9 {
                        crate::common::kill_self();
                    }
                    open((x, counter)).0
                };
                pool.submit(task, item(x)).unwrap()
            })
            .collect();
        for task in queued.iter().skip(3).step_by(6) {
            assert!(task.cancel());
        }
        gate.open.set();
        tasks.into_iter().for_each(value);
        for (x, task) in (0..).zip(queued) {
            match outcome(task) {
                Ok(told) => assert_eq!(told, x),
                Err(error) if x % 6 == 3 => assert!(error.is_cancelled(), "{error}"),
                Err(error) => assert!(error.is_worker_death() && x % 10 == 9, "{x}: {error}"),
            }
        }
    });
}
