//! What each protocol costs by itself: `cargo bench`. Over private memory and with an `Os` that never waits, so that
//! nothing but the instructions of the protocol is measured. Against peers, and between processes: `benches/peers`.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    ptr::NonNull,
};

use divan::{Bencher, black_box};
use multiproc_core::{
    ALIGN, Array, Barrier, ByteRing, Channel, Condvar, Counter, Element, Event, FOREVER, Hold,
    JoinableRing, Liveness, Locked, Mutex, NOW, OnceValue, Origin, Os, Owner, ROWS, ReentrantMutex,
    Region, RwLock, Semaphore, Sole, Value, Wait, atomic::AtomicU64,
};

fn main() {
    divan::main();
}

/// A process that is alone.
#[derive(Clone, Copy)]
struct Alone(u32);

// SAFETY: each benchmark runs in one thread, and whoever it calls a process is that thread.
unsafe impl Os for Alone {
    fn me(&self) -> Owner {
        NonZeroU32::new(self.0)
            .and_then(|pid| Owner::new(pid, 1))
            .unwrap_or(Owner::NONE)
    }

    fn thread(&self) -> u64 {
        u64::from(self.0)
    }

    fn liveness(&self, _: Owner) -> Liveness {
        Liveness::Alive
    }

    fn now(&self) -> u64 {
        1
    }

    fn wait(&self, _: &AtomicU64, _: u64, _: u64) -> Wait {
        Wait::TimedOut
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        0
    }

    fn panicking(&self) -> bool {
        false
    }
}

/// Memory that is never freed.
fn memory(len: usize) -> Region<'static> {
    #[repr(align(128))]
    #[derive(Clone)]
    struct Line(#[allow(dead_code, reason = "only its place counts")] [u8; ALIGN]);
    let lines = vec![Line([0; ALIGN]); len.div_ceil(ALIGN)].into_boxed_slice();
    let base = NonNull::from(Box::leak(lines)).cast();
    // SAFETY: at least `len` bytes that live for ever and that nobody else reaches.
    unsafe { Region::new(base, len) }.expect("aligned")
}

#[divan::bench]
fn mutex_lock_add_unlock(bencher: Bencher<'_, '_>) {
    let region = memory(Mutex::<u64, Alone>::required_len());
    // SAFETY: memory that nobody else has.
    let mutex = unsafe { Mutex::place(region, Alone(1), Origin::default(), 0u64) }.expect("room");
    bencher.bench_local(|| *mutex.lock().expect("free") += 1);
}

/// `held`: by who has the lock already.
#[divan::bench(args = [false, true])]
fn reentrant_lock_unlock(bencher: Bencher<'_, '_>, held: bool) {
    let region = memory(ReentrantMutex::<(), Alone>::required_len());
    // SAFETY: memory that nobody else has.
    let mutex = unsafe { ReentrantMutex::place(region, Alone(1), Origin::default(), ()) };
    let mutex = mutex.expect("room");
    let _guard = held.then(|| mutex.lock().expect("free"));
    bencher.bench_local(|| drop(black_box(mutex.lock())));
}

fn rwlock() -> RwLock<'static, u64, Alone> {
    let region = memory(RwLock::<u64, Alone>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { RwLock::place(region, Alone(1), Origin::default(), 0) }.expect("room")
}

#[divan::bench]
fn rwlock_read(bencher: Bencher<'_, '_>) {
    let rwlock = rwlock();
    bencher.bench_local(|| *rwlock.read().expect("free"));
}

#[divan::bench]
fn rwlock_write_add(bencher: Bencher<'_, '_>) {
    let rwlock = rwlock();
    bencher.bench_local(|| *rwlock.write().expect("free") += 1);
}

#[divan::bench]
fn semaphore_acquire_release(bencher: Bencher<'_, '_>) {
    let region = memory(Semaphore::<Alone>::required_len());
    // SAFETY: memory that nobody else has.
    let semaphore = unsafe { Semaphore::<Alone>::place(region, Alone(1), Origin::default(), 1) };
    let semaphore = semaphore.expect("room");
    bencher.bench_local(|| drop(black_box(semaphore.acquire())));
}

#[divan::bench]
fn event_set_clear(bencher: Bencher<'_, '_>) {
    let region = memory(Event::<Alone>::required_len());
    // SAFETY: memory that nobody else has.
    let event = unsafe { Event::place(region, Alone(1), Origin::default()) }.expect("room");
    bencher.bench_local(|| {
        event.set();
        event.clear()
    });
}

#[divan::bench]
fn condvar_notify_nobody(bencher: Bencher<'_, '_>) {
    let region = memory(Condvar::<Alone>::required_len());
    // SAFETY: memory that nobody else has.
    let condvar = unsafe { Condvar::place(region, Alone(1), Origin::default()) }.expect("room");
    bencher.bench_local(|| black_box(&condvar).notify_one());
}

/// One party, which is always the last.
#[divan::bench]
fn barrier_wait_alone(bencher: Bencher<'_, '_>) {
    let parties = NonZeroUsize::MIN;
    let region = memory(Barrier::<Alone>::required_len(parties).expect("small"));
    // SAFETY: memory that nobody else has.
    let barrier = unsafe { Barrier::place(region, Alone(1), Origin::default(), parties) };
    let barrier = barrier.expect("room");
    bencher.bench_local(|| barrier.wait());
}

#[divan::bench]
fn once_value_get(bencher: Bencher<'_, '_>) {
    let region = memory(OnceValue::<u64, Alone>::required_len());
    // SAFETY: memory that nobody else has.
    let once = unsafe { OnceValue::<u64, _>::place(region, Alone(1), Origin::default()) };
    let once = once.expect("room");
    once.set(1).expect("free");
    bencher.bench_local(|| black_box(&once).get().copied());
}

fn value<T: Element>(value: T) -> Value<'static, T, Alone> {
    let region = memory(Value::<T, Alone>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { Value::place(region, Alone(1), Origin::default(), value) }.expect("room")
}

#[divan::bench(consts = [8, 64, 1024])]
fn value_get<const BYTES: usize>(bencher: Bencher<'_, '_>) {
    let value = value([0u8; BYTES]);
    bencher.bench_local(|| value.get());
}

#[divan::bench(consts = [8, 64, 1024])]
fn value_update<const BYTES: usize>(bencher: Bencher<'_, '_>) {
    let value = value([0u8; BYTES]);
    bencher.bench_local(|| value.update(|bytes| bytes[0] ^= 1));
}

/// A claim while so many others are held: it should grow with those, and not with the table.
#[divan::bench(args = [0, 1, 8, ROWS - 1])]
fn array_claim_release(bencher: Bencher<'_, '_>, others: usize) {
    let len = 2 * ROWS;
    let region = memory(Array::<f64, Alone>::required_len(&[len]).expect("small"));
    // SAFETY: memory that nobody else has.
    let array = unsafe { Array::<f64, Alone>::place(region, Alone(1), Origin::default(), &[len]) };
    let array = array.expect("room");
    let _held: Vec<_> = (0..others).map(|i| array.write(i..i + 1)).collect();
    bencher.bench_local(|| drop(black_box(array.write(ROWS..ROWS + 2))));
}

/// What the rings below hold, in bytes.
const CAPACITY: usize = 16 * 1024;

fn byte_ring() -> ByteRing<'static, u8, Alone> {
    let region = memory(ByteRing::<u8, Alone>::required_len(CAPACITY).expect("small"));
    // SAFETY: memory that nobody else has.
    unsafe { ByteRing::place(region, Alone(1), Origin::default(), CAPACITY) }.expect("room")
}

#[divan::bench(consts = [8, 64, 1024])]
fn ring_put_get<const BYTES: usize>(bencher: Bencher<'_, '_>) {
    let (ring, record) = (byte_ring(), [1u8; BYTES]);
    bencher.bench_local(|| {
        ring.put(black_box(&record), FOREVER).expect("room");
        let copy = |record: &[u8]| <[u8; BYTES]>::try_from(record);
        ring.get(FOREVER, copy)
    });
}

/// 32 records at once.
#[divan::bench]
fn ring_put_get_many(bencher: Bencher<'_, '_>) {
    let (ring, records) = (byte_ring(), [[1u8; 8]; 32]);
    let mut taken = Vec::with_capacity(records.len());
    bencher.bench_local(|| {
        ring.put_many(black_box(&records), FOREVER).1.expect("room");
        taken.clear();
        let copy = |record: &[u8]| taken.push(<[u8; 8]>::try_from(record));
        ring.get_many(FOREVER, records.len(), copy)
    });
}

#[divan::bench]
fn ring_get_of_nothing(bencher: Bencher<'_, '_>) {
    let ring = byte_ring();
    bencher.bench_local(|| black_box(&ring).get(NOW, |_| ()));
}

fn channel<H: Hold>() -> Channel<'static, u8, Alone, H> {
    let region = memory(Channel::<u8, Alone, H>::required_len(CAPACITY).expect("small"));
    // SAFETY: memory that nobody else has.
    unsafe { Channel::place(region, Alone(1), Origin::default(), CAPACITY) }.expect("room")
}

/// `Locked`: for many. `Sole`: from one to one.
#[divan::bench(types = [Locked, Sole])]
fn channel_put_get<H: Hold + 'static>(bencher: Bencher<'_, '_>) {
    let (channel, record) = (channel::<H>(), [1u8; 8]);
    bencher.bench_local(|| {
        // SAFETY: nobody else has the channel, here and below.
        let put = unsafe { channel.put_alone(black_box(&record), FOREVER, || false) };
        put.expect("room");
        let copy = |record: &[u8]| <[u8; 8]>::try_from(record);
        // SAFETY: as above.
        unsafe { channel.get_alone(FOREVER, || false, copy) }
    });
}

/// Without copies.
#[divan::bench]
fn channel_reserve_next(bencher: Bencher<'_, '_>) {
    let channel = channel::<Sole>();
    bencher.bench_local(|| {
        // SAFETY: one thread, which sends the slot before it makes another.
        let slot = unsafe { channel.reserve(8, FOREVER, || false) };
        slot.expect("room").send();
        // SAFETY: likewise, which drops it.
        drop(unsafe { channel.next(FOREVER, || false) });
    });
}

#[divan::bench]
fn joinable_put_get_done(bencher: Bencher<'_, '_>) {
    let region = memory(JoinableRing::<u8, Alone>::required_len(CAPACITY).expect("small"));
    // SAFETY: memory that nobody else has.
    let ring =
        unsafe { JoinableRing::<u8, _>::place(region, Alone(1), Origin::default(), CAPACITY) };
    let (ring, record) = (ring.expect("room"), [1u8; 8]);
    bencher.bench_local(|| {
        ring.put(black_box(&record), FOREVER).expect("room");
        let copy = |record: &[u8]| <[u8; 8]>::try_from(record);
        let (taken, in_hand) = ring.get(FOREVER, copy).expect("one is there");
        ring.done(in_hand);
        taken
    });
}

#[divan::bench]
fn attach(bencher: Bencher<'_, '_>) {
    let region = memory(Counter::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { Counter::place(region, Origin::default(), 0) }.expect("room");
    bencher.bench_local(|| Counter::attach(black_box(region)));
}

#[divan::bench]
fn counter_add(bencher: Bencher<'_, '_>) {
    let region = memory(Counter::required_len());
    // SAFETY: memory that nobody else has.
    let counter = unsafe { Counter::place(region, Origin::default(), 0) }.expect("room");
    bencher.bench_local(|| counter.add(1));
}
