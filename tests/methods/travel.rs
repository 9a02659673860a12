//! Shared objects on their way from one party to another.

use std::{collections::HashMap, fs, path::PathBuf};

use multiproc::{
    Array, AtomicArray, Barrier, BoundedSemaphore, Condvar, Counter, Create, Event, JoinError,
    Mutex, Once, OnceValue, Open, Process, ReadOnly, ReentrantMutex, RwLock, Semaphore,
    ShardedCounter, Value,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    common::{raw::new_name, wait_until},
    parties::{Method, PARTIES, process, run, start},
};

pub fn objects_are_found_by_name_and_in_files(method: Method) {
    fn use_all((name, directory): (String, PathBuf)) {
        let counter = Counter::open(format!("{name}-counter")).unwrap();
        let numbers = Array::<u64>::open(format!("{name}-array")).unwrap();
        let mutex = Mutex::<u64>::open(directory.join("mutex")).unwrap();
        let value = Value::<[u64; 3]>::open(directory.join("value")).unwrap();
        for _ in 0..100 {
            counter.add(1);
            numbers.lock().unwrap().iter_mut().for_each(|x| *x += 1);
            *mutex.lock().unwrap() += 1;
            value.update(|x| x[2] += 1).unwrap();
        }
        // Of another type there is nothing.
        assert!(Array::<f64>::open(format!("{name}-array")).is_err());
        assert!(Value::<u64>::open(directory.join("mutex")).is_err());
    }
    let name = new_name();
    let directory = std::env::temp_dir().join(&name);
    fs::create_dir(&directory).unwrap();
    let counter = Counter::create(format!("{name}-counter"), 0).unwrap();
    let numbers = Array::<u64>::create(Create::named(format!("{name}-array")), [2, 3]).unwrap();
    let mutex = Mutex::create(directory.join("mutex"), 0u64).unwrap();
    let value = Value::create(directory.join("value"), [0u64; 3]).unwrap();
    run(
        method,
        use_all,
        vec![(name.clone(), directory.clone()); PARTIES],
    );
    let all = 100 * PARTIES as u64;
    assert_eq!(counter.get(), all);
    assert_eq!(numbers.to_vec().unwrap(), [all; 6]);
    assert_eq!(*mutex.lock().unwrap(), all);
    assert_eq!(value.get(), [0, 0, all]);
    drop((counter, numbers));
    assert!(
        Counter::open(format!("{name}-counter"))
            .unwrap_err()
            .is_not_found()
    );
    fs::remove_dir_all(directory).unwrap();
}

/// Where objects are made and found.
#[derive(Clone, Serialize, Deserialize)]
enum Place {
    Named(String),
    In(PathBuf),
}

impl Place {
    fn create(&self, what: &str) -> Create {
        match self {
            Place::Named(name) => Create::named(format!("{name}-{what}")),
            Place::In(directory) => directory.join(what).into(),
        }
    }

    fn open(&self, what: &str) -> Open {
        match self {
            Place::Named(name) => format!("{name}-{what}").into(),
            Place::In(directory) => directory.join(what).into(),
        }
    }
}

pub fn what_is_waited_for_is_found_by_name_and_in_files(method: Method) {
    fn open_and_use(place: Place) {
        let at = |what: &str| place.open(what);
        let started = Event::open(at("event")).unwrap();
        let together = Barrier::open(at("barrier")).unwrap();
        let changed = Condvar::open(at("condvar")).unwrap();
        let number = Mutex::<u64>::open(at("mutex")).unwrap();
        let reentrant = ReentrantMutex::<u64>::open(at("reentrant")).unwrap();
        let shared = RwLock::<u64>::open(at("rwlock")).unwrap();
        let prepared = Once::open(at("once")).unwrap();
        let made = OnceValue::<u64>::open(at("value")).unwrap();
        let made_items = Semaphore::open(at("semaphore")).unwrap();
        let slots = BoundedSemaphore::open(at("bounded")).unwrap();
        let sharded = ShardedCounter::open(at("sharded")).unwrap();
        let flags = AtomicArray::<u32>::open(at("atomics")).unwrap();
        started.wait();
        let once = || {
            sharded.add(100);
        };
        prepared.call_once(once).unwrap();
        assert_eq!(made.get_or_init(|| 7), Ok(&7));
        let _slot = slots.acquire().unwrap();
        assert!(slots.release(1).is_err(), "no more than there are");
        made_items.acquire().unwrap().forget();
        reentrant.lock().unwrap().update(|n| n + 1);
        *shared.write().unwrap() += 1;
        sharded.add(1);
        flags[0].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        together.wait().unwrap();
        assert_eq!(*shared.read().unwrap(), PARTIES as u64);
        *number.lock().unwrap() += 1;
        changed.notify_all();
        // Of another kind there is nothing.
        assert!(Semaphore::open(at("bounded")).is_err());
        assert!(OnceValue::<u64>::open(at("once")).is_err());
        assert!(Mutex::<u64>::open(at("reentrant")).is_err());
    }
    let name = new_name();
    let directory = std::env::temp_dir().join(&name);
    fs::create_dir(&directory).unwrap();
    let parties = PARTIES as u64;
    for place in [Place::Named(name), Place::In(directory.clone())] {
        let at = |what: &str| place.create(what);
        let started = Event::create(at("event")).unwrap();
        let together = Barrier::create(at("barrier"), PARTIES).unwrap();
        let changed = Condvar::create(at("condvar")).unwrap();
        let number = Mutex::create(at("mutex"), 0u64).unwrap();
        let reentrant = ReentrantMutex::create(at("reentrant"), 0u64).unwrap();
        let shared = RwLock::create(at("rwlock"), 0u64).unwrap();
        let prepared = Once::create(at("once")).unwrap();
        let made = OnceValue::<u64>::create(at("value")).unwrap();
        let made_items = Semaphore::create(at("semaphore"), 0).unwrap();
        let slots = BoundedSemaphore::create(at("bounded"), PARTIES as u32).unwrap();
        let sharded = ShardedCounter::create(at("sharded")).unwrap();
        let flags = AtomicArray::<u32>::create(at("atomics"), 2).unwrap();
        let running = start(method, open_and_use, vec![place.clone(); PARTIES]);
        started.set();
        made_items.release(PARTIES as u32).unwrap();
        let guard = number.lock().unwrap();
        drop(changed.wait_while(guard, |n| *n < parties).unwrap());
        running.join();
        assert_eq!(together.waiting(), 0);
        assert_eq!(reentrant.lock().unwrap().get(), parties);
        assert_eq!(*shared.read().unwrap(), parties);
        assert!(prepared.is_completed());
        assert_eq!(made.get(), Some(&7));
        assert_eq!(made_items.value(), Ok(0));
        assert_eq!(slots.value(), Ok(PARTIES as u32));
        assert_eq!(sharded.get(), 100 + parties);
        assert_eq!(flags.to_vec(), [PARTIES as u32, 0]);
    }
    fs::remove_dir_all(directory).unwrap();
}

#[derive(Clone, Serialize, Deserialize)]
struct Plan {
    parts: Vec<Option<(Array<f64>, Vec<Counter>)>>,
    by_name: HashMap<String, Box<Value<u64>>>,
    result: Result<Mutex<u64>, String>,
}

pub fn objects_travel_however_deep_in_arguments(method: Method) {
    fn carry_out(plan: Plan) -> usize {
        for (array, counters) in plan.parts.iter().flatten() {
            array.set(1, array.get(0).unwrap() * 2.0).unwrap();
            counters.iter().for_each(|counter| {
                counter.add(1);
            });
        }
        plan.by_name["b"].update(|n| *n += 1).unwrap();
        *plan.result.unwrap().lock().unwrap() += 1;
        plan.parts.len()
    }
    let array = || Array::from_slice(&[1.5, 0.0]).unwrap();
    let counters = |count| (0..count).map(|_| Counter::new(0).unwrap()).collect();
    let value = || Box::new(Value::new(0).unwrap());
    let plan = Plan {
        parts: vec![
            None,
            Some((array(), counters(3))),
            Some((array(), counters(0))),
            None,
        ],
        by_name: HashMap::from([("a".into(), value()), ("b".into(), value())]),
        result: Ok(Mutex::new(0).unwrap()),
    };
    assert_eq!(
        run(method, carry_out, vec![plan.clone(); PARTIES]),
        [4; PARTIES]
    );
    let all = PARTIES as u64;
    for (array, counters) in plan.parts.iter().flatten() {
        assert_eq!(array.to_vec().unwrap(), [1.5, 3.0]);
        assert!(counters.iter().all(|counter| counter.get() == all));
    }
    assert_eq!((plan.by_name["a"].get(), plan.by_name["b"].get()), (0, all));
    assert_eq!(*plan.result.unwrap().lock().unwrap(), all);
}

pub fn objects_travel_back_and_outlive_their_maker(method: Method) {
    fn make(i: usize) -> (Array<usize>, Vec<Option<Value<usize>>>, Mutex<u64>) {
        let array = Array::collect(i..i + 3).unwrap();
        let mutex = Mutex::new(0).unwrap();
        *mutex.lock().unwrap() = 9;
        (array, vec![None, Some(Value::new(i).unwrap())], mutex)
    }
    for (i, (array, values, mutex)) in run(method, make, 0..PARTIES).into_iter().enumerate() {
        assert_eq!(array.to_vec().unwrap(), [i, i + 1, i + 2]);
        array.set(0, 7).unwrap();
        assert_eq!(array.get(0).unwrap(), 7);
        assert_eq!(values[1].as_ref().unwrap().get(), i);
        assert_eq!(*mutex.lock().unwrap(), 9);
    }
}

pub fn an_object_in_several_places_is_one_object(method: Method) {
    type Twice = (Array<u64>, Vec<Array<u64>>, Counter, Counter);
    fn compare((one, others, counter, same): Twice) -> Twice {
        let guard = one.write(1..).unwrap();
        for other in &others {
            assert!(
                other.write(..2).unwrap_err().is_deadlock(),
                "not held by this thread"
            );
        }
        drop(guard);
        others[1].set(0, 5).unwrap();
        assert_eq!(one.get(0).unwrap(), 5);
        counter.add(1);
        assert_eq!(same.get(), 1);
        (one, others, counter, same)
    }
    let array = Array::zeroed(3).unwrap();
    let counter = Counter::new(0).unwrap();
    let twice = (
        array.clone(),
        vec![array.clone(); 2],
        counter.clone(),
        counter.clone(),
    );
    let (one, others, ..) = run(method, compare, [twice]).pop().unwrap();
    one.set(2, 8).unwrap();
    assert_eq!(others[0].get(2).unwrap(), 8);
    assert_eq!(array.to_vec().unwrap(), [5, 0, 8]);
    assert_eq!(counter.get(), 1);
}

pub fn an_object_is_passed_on_from_child_to_child(method: Method) {
    fn pass_on((array, generation): (Array<u64>, usize)) -> Array<u64> {
        array.set(generation, 1).unwrap();
        if generation == 0 {
            return array;
        }
        let child = Process::spawn(pass_on, (array, generation - 1)).unwrap();
        child.join().unwrap()
    }
    let array = Array::zeroed(3).unwrap();
    let back = run(method, pass_on, [(array.clone(), 2)]).pop().unwrap();
    back.set(0, 2).unwrap();
    assert_eq!(array.to_vec().unwrap(), [2, 1, 1]);
}

pub fn read_only_handles_show_what_others_change(method: Method) {
    type Views = (
        ReadOnly<Counter>,
        ReadOnly<ShardedCounter>,
        ReadOnly<Value<[u64; 3]>>,
        ReadOnly<AtomicArray<i64>>,
    );
    fn watch(((counter, sharded, value, array), seen): (Views, Counter)) -> Views {
        assert_eq!((counter.get(), sharded.get()), (0, 0));
        assert_eq!((value.get(), value.sequence()), ([0; 3], 0));
        assert_eq!(array.to_vec(), [0; 2]);
        seen.add(1);
        wait_until(|| counter.get() == 1);
        assert_eq!(sharded.get(), 2);
        assert_eq!((value.get(), value.sequence()), ([3; 3], 1));
        assert_eq!((array.load(1), array.load(2)), (Some(-4), None));
        (counter, sharded, value, array)
    }
    let counter = Counter::new(0).unwrap();
    let sharded = ShardedCounter::new().unwrap();
    let value = Value::new([0; 3]).unwrap();
    let array = AtomicArray::zeroed(2).unwrap();
    let views = || {
        (
            counter.read_only().unwrap(),
            sharded.read_only().unwrap(),
            value.read_only().unwrap(),
            array.read_only().unwrap(),
        )
    };
    let seen = Counter::new(0).unwrap();
    let parties = start(method, watch, (0..PARTIES).map(|_| (views(), seen.clone())));
    wait_until(|| seen.get() == PARTIES as u64);
    sharded.add(2);
    value.set([3; 3]).unwrap();
    array[1].store(-4, std::sync::atomic::Ordering::Relaxed);
    counter.add(1);
    for (_, _, value, _) in parties.join() {
        assert_eq!(value.get(), [3; 3]);
    }
}

pub fn what_is_handed_over_read_only_is_mapped_read_only(method: Method) {
    /// The rights of the mappings of segments in this process, and of its descriptors of them.
    fn rights(_view: ReadOnly<Value<u64>>) -> (Vec<String>, Vec<bool>) {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let segments = maps.lines().filter(|line| line.contains("memfd:multiproc"));
        let rights = segments.map(|line| line.split_whitespace().nth(1).unwrap().to_owned());
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
            let path = entry.unwrap().path();
            let target = fs::read_link(&path).ok()?;
            // Only in a process of the same user, but that this is: through it the file can be opened anew.
            let number = path.file_name()?.to_str()?.to_owned();
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
            let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
            target
                .to_str()?
                .contains("memfd:multiproc")
                .then_some(flags & libc::O_ACCMODE as u32 == libc::O_RDONLY as u32)
        });
        (rights.collect(), descriptors.collect())
    }
    let value = Value::new(5u64).unwrap();
    let view = value.read_only().unwrap();
    let (mappings, descriptors) = run(method, rights, [view]).pop().unwrap();
    assert!(
        mappings.iter().any(|rights| rights == "r--s"),
        "{mappings:?}"
    );
    assert!(descriptors.contains(&true), "{descriptors:?}");
    // The others have what this process has as well.
    if method.decodes() {
        assert_eq!(mappings, ["r--s"]);
        assert!(!descriptors.contains(&false), "{descriptors:?}");
    }
}

/// Says that it is one thing and is read as another, by hand-written code that serde allows.
#[derive(Debug)]
enum Disguised {
    View(ReadOnly<Counter>),
    Counter(Counter),
}

impl Serialize for Disguised {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Disguised::View(view) => view.serialize(serializer),
            Disguised::Counter(counter) => counter.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Disguised {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Disguised, D::Error> {
        Counter::deserialize(deserializer).map(Disguised::Counter)
    }
}

pub fn what_was_handed_over_read_only_is_never_taken_for_writable(method: Method) {
    fn give(writable: bool) -> Disguised {
        let counter = Counter::new(1).unwrap();
        if writable {
            Disguised::Counter(counter)
        } else {
            Disguised::View(counter.read_only().unwrap())
        }
    }
    // Nothing is encoded between threads.
    if method == Method::Threads {
        return;
    }
    let start = |writable| process(method, give, writable);
    match start(true).unwrap().join() {
        Ok(Disguised::Counter(counter)) => assert_eq!(counter.add(1), 1),
        other => panic!("{other:?}"),
    }
    let error = start(false).unwrap().join().unwrap_err();
    assert!(matches!(error, JoinError::NotDecoded { .. }), "{error}");
    assert!(error.to_string().contains("open for reading"), "{error}");
}

pub fn handles_travel_with_a_process_and_nowhere_else(method: Method) {
    fn refused(array: Array<u64>) {
        let error = serde_json::to_string(&array).unwrap_err().to_string();
        assert!(
            error.contains("only in the arguments and the return value"),
            "{error}"
        );
        assert!(postcard::to_allocvec(&vec![Some(&array)]).is_err());
        let view = array.segment();
        assert!(view.name().is_none() && view.path().is_none());
        // As it stands in a message: the first object, which has no name.
        let error = serde_json::from_str::<Array<u64>>(r#"[0,"Anonymous"]"#).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("only in the arguments and the return value"),
            "{error}"
        );
    }
    let array = Array::zeroed(1).unwrap();
    refused(array.clone());
    run(method, refused, [array.clone()]);
    refused(array);
}
