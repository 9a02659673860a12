//! Items of any type that travels: numbers, texts, and shared objects of every kind.

use std::os::fd::{AsFd, OwnedFd};

use multiproc::{
    Array, AtomicArray, Barrier, BoundedSemaphore, Condvar, Consumer, Counter, Descriptor, Error,
    Event, JoinableQueue, Mutex, Once, OnceValue, Pipe, Producer, Queue, ReadOnly, Receiver,
    ReentrantMutex, RwLock, Semaphore, Sender, ShardedCounter, Value, channel, pipe, spsc,
};
use serde::{Deserialize, Serialize};

use super::hostile::{World, show};

/// Anything that travels.
#[derive(Debug, Serialize, Deserialize)]
pub enum Item {
    Number(u64),
    Text(String),
    Nested(Vec<Option<Item>>),
    Array(Array<u64>),
    AtomicArray(AtomicArray<u64>),
    Barrier(Barrier),
    BoundedSemaphore(BoundedSemaphore),
    Condvar(Condvar),
    Consumer(Consumer<u64>),
    Counter(Counter),
    Descriptor(Descriptor),
    Event(Event),
    JoinableQueue(JoinableQueue<u64>),
    Mutex(Mutex<u64>),
    Once(Once),
    OnceValue(OnceValue<u64>),
    Pipe(Pipe<u64, u64>),
    Producer(Producer<u64>),
    Queue(Queue<String>),
    ReadOnly(ReadOnly<Value<u64>>),
    Receiver(Receiver<u64>),
    ReentrantMutex(ReentrantMutex<u64>),
    RwLock(RwLock<u64>),
    Semaphore(Semaphore),
    Sender(Sender<u64>),
    ShardedCounter(ShardedCounter),
    Value(Value<[u8; 24]>),
}

/// A few items, as the input says.
///
/// # Panics
///
/// When the system makes no shared objects.
#[must_use]
pub fn some(world: &World<'_>) -> Vec<Item> {
    (0..world.byte() % 4)
        .map(|_| one(world).expect("memory for small objects"))
        .collect()
}

fn one(world: &World<'_>) -> Result<Item, Error> {
    const ROOM: usize = 256;
    Ok(match world.byte() % 28 {
        0 => Item::Number(world.number()),
        1 => Item::Text("x".repeat(usize::from(world.byte()) * 200)),
        2 => Item::Nested(vec![None, Some(Item::Number(1))]),
        3 => Item::Array(Array::zeroed(usize::from(world.byte()))?),
        4 => Item::AtomicArray(AtomicArray::zeroed(usize::from(world.byte()))?),
        5 => Item::Barrier(Barrier::new(1)?),
        6 => Item::BoundedSemaphore(BoundedSemaphore::new(3)?),
        7 => Item::Condvar(Condvar::new()?),
        8 => Item::Consumer(spsc(ROOM)?.1),
        9 => Item::Counter(Counter::new(3)?),
        10 => Item::Descriptor(Descriptor::new(OwnedFd::from(std::io::pipe()?.0))),
        11 => Item::Event(Event::new()?),
        12 => Item::JoinableQueue(JoinableQueue::new(ROOM)?),
        13 => Item::Mutex(Mutex::new(7)?),
        14 => Item::Once(Once::new()?),
        15 => Item::OnceValue(OnceValue::new()?),
        16 => Item::Pipe(pipe::<u64, u64>()?.0),
        17 => Item::Producer(spsc(ROOM)?.0),
        18 => Item::Queue(Queue::new(ROOM)?),
        19 => Item::ReadOnly(Value::new(7)?.read_only()?),
        20 => Item::Receiver(channel(ROOM)?.1),
        21 => Item::ReentrantMutex(ReentrantMutex::new(7)?),
        22 => Item::RwLock(RwLock::new(7)?),
        23 => Item::Semaphore(Semaphore::new(3)?),
        24 => Item::Sender(channel(ROOM)?.0),
        25 => Item::ShardedCounter(ShardedCounter::new()?),
        26 => Item::Value(Value::new([7; 24])?),
        // Twice the same object: one descriptor.
        _ => {
            let array = Array::zeroed(3)?;
            Item::Nested(vec![
                Some(Item::Array(array.clone())),
                Some(Item::Array(array)),
            ])
        }
    })
}

/// Uses an item that came from somebody, without waiting.
pub fn use_it(item: &mut Item) {
    match item {
        Item::Number(_) | Item::Text(_) => {}
        Item::Nested(items) => items.iter_mut().flatten().for_each(use_it),
        Item::Array(array) => {
            if let Ok(mut all) = array.try_write(..) {
                all.fill(7);
            }
        }
        Item::AtomicArray(array) => show(array.iter().next()),
        Item::Barrier(barrier) => show(barrier.try_wait()),
        Item::BoundedSemaphore(semaphore) => show(semaphore.try_acquire()),
        Item::Condvar(condvar) => condvar.notify_all(),
        Item::Consumer(consumer) => show(consumer.try_recv()),
        Item::Counter(counter) => show(counter.add(1)),
        Item::Descriptor(descriptor) => show(descriptor.as_fd()),
        Item::Event(event) => event.set(),
        Item::JoinableQueue(queue) => show((queue.try_put(7), queue.try_get().map(drop))),
        Item::Mutex(mutex) => show(mutex.try_lock()),
        Item::Once(once) => show(once.is_completed()),
        Item::OnceValue(value) => show(value.get()),
        Item::Pipe(pipe) => show((pipe.try_send(7), pipe.try_recv())),
        Item::Producer(producer) => show(producer.try_send(7)),
        Item::Queue(queue) => show((queue.try_put(String::new()), queue.try_get())),
        Item::ReadOnly(value) => show(value.get()),
        Item::Receiver(receiver) => show(receiver.try_recv()),
        Item::ReentrantMutex(mutex) => show(mutex.try_lock()),
        Item::RwLock(lock) => show((lock.try_read().map(drop), lock.try_write().map(drop))),
        Item::Semaphore(semaphore) => show(semaphore.try_acquire()),
        Item::Sender(sender) => show(sender.try_send(7)),
        Item::ShardedCounter(counter) => counter.add(1),
        Item::Value(value) => show((value.get(), value.try_lock().map(drop))),
    }
    show(item);
}
