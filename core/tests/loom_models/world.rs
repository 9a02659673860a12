//! Processes that are only numbers, and a kernel that is a few condition variables.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    panic::{self, AssertUnwindSafe},
    sync::atomic::AtomicBool,
};

use loom::{
    cell::UnsafeCell,
    sync::{Condvar, Mutex},
    thread,
};
use multiproc_core::{
    Liveness, Os, Owner, Wait,
    atomic::{AtomicU64, Ordering},
};

/// What all processes of a model share with the kernel.
pub struct World(Mutex<Kernel>);

#[derive(Default)]
struct Kernel {
    dead: Vec<Owner>,
    /// Who sleeps on which word.
    queues: HashMap<*const AtomicU64, Queue>,
}

/// Those who sleep on a word.
#[derive(Clone, Default)]
struct Queue {
    condvar: std::sync::Arc<Condvar>,
    sleepers: u32,
}

/// What a process that is killed unwinds with. Nothing of what it does then may touch what others share.
struct Killed;

/// One process of a model, with one thread.
#[derive(Clone, Copy)]
pub struct Process {
    pub me: Owner,
    world: &'static World,
    dies_at: Option<&'static str>,
    /// Whether it is dead. Read by itself only: what it has is dropped then, and must give nothing back.
    is_dead: &'static AtomicBool,
}

/// `N` processes in a world of their own, which is never freed: a model is run many times, but it is small.
pub fn processes<const N: usize>() -> [Process; N] {
    let world = Box::leak(Box::new(World(Mutex::new(Kernel::default()))));
    std::array::from_fn(|i| Process {
        me: Owner::new(NonZeroU32::new(i as u32 + 1).unwrap(), 7).unwrap(),
        world,
        dies_at: None,
        is_dead: Box::leak(Box::new(AtomicBool::new(false))),
    })
}

impl Process {
    /// Runs `body` as this process, which is killed at the step `at`; whether it was.
    pub fn killed_at(self, at: &'static str, body: impl FnOnce(&Process)) -> bool {
        let doomed = Process {
            dies_at: Some(at),
            ..self
        };
        panic::catch_unwind(AssertUnwindSafe(|| body(&doomed))).is_err_and(|why| {
            match why.downcast::<Killed>() {
                Ok(_) => true,
                Err(why) => panic::resume_unwind(why),
            }
        })
    }

    pub fn die(self) {
        let mut kernel = self.world.0.lock().unwrap();
        kernel.dead.push(self.me);
        for queue in kernel.queues.values_mut() {
            queue.sleepers = 0;
            queue.condvar.notify_all();
        }
    }
}

// SAFETY: the processes of a model have different numbers, and are called dead only by `die`, their last call.
unsafe impl Os for Process {
    fn me(&self) -> Owner {
        self.me
    }

    fn is_surely_me(&self, owner: Owner) -> bool {
        self.me == owner && !self.is_dead.load(Ordering::Relaxed)
    }

    fn is_me(&self, owner: Owner) -> bool {
        self.is_surely_me(owner)
    }

    fn thread(&self) -> u64 {
        self.me.to_bits()
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        if self.world.0.lock().unwrap().dead.contains(&owner) {
            Liveness::Dead
        } else {
            Liveness::Alive
        }
    }

    fn now(&self) -> u64 {
        1
    }

    fn wait(&self, word: &AtomicU64, expected: u64, _until: u64) -> Wait {
        let mut kernel = self.world.0.lock().unwrap();
        if word.load(Ordering::SeqCst) as u32 != expected as u32 {
            return Wait::Woken;
        }
        if !kernel.dead.is_empty() {
            drop(kernel);
            // Others must run before this sleep ends, or the model never would.
            thread::yield_now();
            return Wait::TimedOut;
        }
        let queue = kernel.queues.entry(&raw const *word).or_default();
        queue.sleepers += 1;
        let condvar = std::sync::Arc::clone(&queue.condvar);
        drop(condvar.wait(kernel).unwrap());
        Wait::Woken
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        let mut kernel = self.world.0.lock().unwrap();
        let Some(queue) = kernel.queues.get_mut(&(&raw const *word)) else {
            return 0;
        };
        let woken = count.min(queue.sleepers);
        queue.sleepers -= woken;
        for _ in 0..woken {
            queue.condvar.notify_one();
        }
        woken
    }

    fn panicking(&self) -> bool {
        false
    }

    fn step(&self, at: &'static str) {
        if self.dies_at == Some(at) {
            self.is_dead.store(true, Ordering::Relaxed);
            self.die();
            panic::resume_unwind(Box::new(Killed));
        }
    }
}

// SAFETY: the addresses are only compared.
unsafe impl Send for Kernel {}

/// Runs a model over all interleavings with at most `preemptions` forced switches.
pub fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// Plain memory, whose unordered use loom reports.
pub struct Plain(UnsafeCell<u64>);

// SAFETY: the point of the models: loom reports every use that is not ordered.
unsafe impl Sync for Plain {}
// SAFETY: a number.
unsafe impl Send for Plain {}

impl Plain {
    pub fn new() -> Plain {
        Plain(UnsafeCell::new(0))
    }

    pub fn add_one(&self) {
        // SAFETY: loom checks that nobody else is at it.
        self.0.with_mut(|n| unsafe { *n += 1 });
    }

    pub fn get(&self) -> u64 {
        // SAFETY: loom checks that nobody writes.
        self.0.with(|n| unsafe { *n })
    }
}
