//! An array in memory of one's own, under a system of one's own: here a static buffer, and a kernel of which tasks are
//! numbers. All that layouts ask of a system is in `Os`. To run it: `cargo run -p multiproc-core --example no_std_embedder`.
#![no_std]

// What a kernel brings itself: here tasks are threads, and clock and console are std's.
extern crate std;

use core::sync::atomic::{AtomicU64, Ordering};
use core::{cell::UnsafeCell, mem, num::NonZeroU32, ptr::NonNull};
use std::{println, sync::LazyLock, thread, time::Instant};

use multiproc_core::{ARRAY_DATA_AT, Array, Liveness, Origin, Os, Owner, Region, Wait};

const LEN: usize = 8;

/// As many bytes as the array takes; layouts begin at multiples of 128.
#[repr(align(128))]
struct Memory(UnsafeCell<[u8; ARRAY_DATA_AT + LEN * size_of::<u32>()]>);

// SAFETY: reached by the array alone.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; _]));

/// Which tasks have ended, as bits.
static ENDED: AtomicU64 = AtomicU64::new(0);

/// The system, as the task with this number sees it: 1 to 63.
#[derive(Clone, Copy)]
struct Task(u32);

// SAFETY: no two tasks have the same number, each is one thread, and one that has ended runs no more.
unsafe impl Os for Task {
    fn me(&self) -> Owner {
        let number = NonZeroU32::new(self.0).and_then(|number| Owner::new(number, 0));
        number.unwrap_or(Owner::NONE)
    }

    fn thread(&self) -> u64 {
        1
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        // Acquire: pairs with the Release in `main`; what the task has stored is then seen.
        match ENDED.load(Ordering::Acquire).checked_shr(owner.pid()) {
            Some(ended) if ended & 1 != 0 => Liveness::Dead,
            Some(_) => Liveness::Alive,
            None => Liveness::Unknown,
        }
    }

    fn now(&self) -> u64 {
        static BOOT: LazyLock<Instant> = LazyLock::new(Instant::now);
        BOOT.elapsed().as_nanos() as u64
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        while word.load(Ordering::Relaxed) as u32 == expected as u32 {
            if self.now() >= until {
                return Wait::TimedOut;
            }
            thread::yield_now();
        }
        Wait::Woken
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        u32::MAX // who waits looks by itself: nobody knows how many there are
    }

    fn panicking(&self) -> bool {
        thread::panicking()
    }
}

fn main() {
    // SAFETY: a static, reached by the array alone.
    let region = unsafe { Region::new(NonNull::from(&MEMORY.0).cast(), size_of::<Memory>()) };
    let (region, origin) = (region.unwrap(), Origin::default());
    // SAFETY: nobody uses the memory yet.
    let mine = unsafe { Array::<u32, _>::place(region, Task(1), origin, &[LEN]) }.unwrap();
    let others = Array::<u32, _>::attach(region, Task(2), origin).unwrap();
    thread::scope(|tasks| {
        tasks.spawn(|| {
            let mut half = others.write(LEN / 2..).unwrap();
            half[0] = 2;
            mem::forget(half); // the task is ended in the midst of its work
            // Release: pairs with the Acquire in `liveness`.
            ENDED.fetch_or(1 << 2, Ordering::Release);
        });
        mine.write(..LEN / 2).unwrap().fill(1);
    });
    let all = mine.read(..).unwrap_or_else(|error| {
        println!("{error}");
        error.into_guard().unwrap()
    });
    println!("{:?}", &*all);
}
