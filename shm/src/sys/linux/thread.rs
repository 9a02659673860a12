//! A number for each thread, and how many guards each holds.
//!
//! Both are asked for at every lock, so they lie in a slot that a plain thread-local pointer names. Slots are never
//! freed: a thread that ends hands its slot on to a later one, unless guards are still counted in it. Such guards
//! were leaked; they keep their locks until the process ends, and their count must stay, too. Invariants:
//!
//! 1. Every pointer in `SLOTS`, in a slot's `next` and in `SLOT` is null or names a slot; slots live for ever.
//! 2. A slot's `tag` and `held` are changed by the one thread whose `SLOT` names it; others read, and only
//!    [`forget_guards`] writes.

use std::{
    cell::Cell,
    io, process, ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
};

use super::futex;

#[derive(Debug)]
struct Slot {
    tag: AtomicU64,
    held: AtomicU64,
    /// Whether a thread has it, or its last one has left guards behind.
    taken: AtomicBool,
    next: *mut Slot,
}

/// All slots, the newest first.
static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());
/// The tag of the next thread; 0 before the first.
static NEXT_TAG: AtomicU64 = AtomicU64::new(0);

thread_local! {
    // Has no destructor, so that reaching it is one instruction, at the thread's very end as well.
    static SLOT: Cell<*const Slot> = const { Cell::new(ptr::null()) };
    static HAND_ON: HandOn = const { HandOn };
}

/// A number, not 0, that no other thread of this image ever has.
#[inline]
pub fn tag() -> u64 {
    slot().tag.load(Ordering::Relaxed)
}

/// The calling thread has made a guard.
#[inline]
pub fn guard_made() {
    let held = &slot().held;
    // Not one atomic addition, which costs as much as a lock: only this thread writes (invariant 2).
    held.store(held.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The calling thread has dropped a guard that it had made in this process.
#[inline]
pub fn guard_dropped() {
    // SAFETY: invariant 1.
    let Some(slot) = (unsafe { SLOT.get().as_ref() }) else {
        // It has made none, or is past its end, where a guard is kept in the slot that it has left.
        return;
    };
    let held = &slot.held;
    held.store(
        held.load(Ordering::Relaxed).wrapping_sub(1),
        Ordering::Relaxed,
    );
}

/// How many guards the threads of this process hold, those included that ended threads have leaked.
pub fn guards_held() -> u64 {
    all()
        .map(|slot| slot.held.load(Ordering::Relaxed))
        .fold(0, u64::saturating_add)
}

/// In a fork child: the guards counted so far are the parent's, and so are the other threads.
#[inline]
pub fn forget_guards() {
    let mine = SLOT.get();
    for slot in all() {
        // Mostly there is nothing to change, and no page to be copied for it.
        if slot.held.load(Ordering::Relaxed) != 0 {
            slot.held.store(0, Ordering::Relaxed);
        }
        let is_mine = ptr::from_ref(slot) == mine;
        if slot.taken.load(Ordering::Relaxed) != is_mine {
            // Release: pairs with the Acquire of `take`.
            slot.taken.store(is_mine, Ordering::Release);
        }
    }
}

#[inline]
fn slot() -> &'static Slot {
    let slot = SLOT.get();
    if slot.is_null() {
        return take_slot();
    }
    // SAFETY: invariant 1.
    unsafe { &*slot }
}

#[cold]
fn take_slot() -> &'static Slot {
    let slot = all().find(|slot| take(slot)).unwrap_or_else(new_slot);
    slot.tag.store(new_tag(), Ordering::Relaxed);
    SLOT.set(slot);
    // Registers the destructor. Refused when the thread is past its destructors: the slot is then never handed on.
    let _ = HAND_ON.try_with(|_| ());
    slot
}

fn take(slot: &Slot) -> bool {
    // Acquire: pairs with the Release of whoever gave it back.
    slot.taken
        .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
}

fn new_slot() -> &'static Slot {
    let slot = Box::leak(Box::new(Slot {
        tag: AtomicU64::new(0),
        held: AtomicU64::new(0),
        taken: AtomicBool::new(true),
        next: SLOTS.load(Ordering::Relaxed),
    }));
    // Release: pairs with the Acquire in `all`.
    while let Err(newest) =
        SLOTS.compare_exchange_weak(slot.next, slot, Ordering::Release, Ordering::Relaxed)
    {
        slot.next = newest;
    }
    slot
}

#[inline]
fn all() -> impl Iterator<Item = &'static Slot> {
    // Acquire: pairs with the Release in `new_slot`. A slot's `next` was written before that.
    let mut next = SLOTS.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: invariant 1.
        let slot = unsafe { next.as_ref() }?;
        next = slot.next;
        Some(slot)
    })
}

/// Gives the thread's slot back when the thread ends.
struct HandOn;

impl Drop for HandOn {
    fn drop(&mut self) {
        let slot = slot();
        if slot.held.load(Ordering::Relaxed) == 0 {
            SLOT.set(ptr::null());
            // Release: pairs with the Acquire of `take`.
            slot.taken.store(false, Ordering::Release);
        }
    }
}

/// Tags count up from a random number, so that two images hardly ever have the same.
fn new_tag() -> u64 {
    loop {
        // Relaxed throughout: each value is given out once, and that is all there is.
        match NEXT_TAG.load(Ordering::Relaxed) {
            0 => {
                let _ = NEXT_TAG.compare_exchange(0, nonce(), Ordering::Relaxed, Ordering::Relaxed);
            }
            tag => {
                if NEXT_TAG
                    .compare_exchange(
                        tag,
                        tag.wrapping_add(1),
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    )
                    .is_ok()
                {
                    return tag;
                }
            }
        }
    }
}

fn nonce() -> u64 {
    let mut nonce = 0u64;
    // SAFETY: the kernel writes the eight bytes of `nonce`.
    let filled = unsafe {
        libc::getrandom(
            (&raw mut nonce).cast(),
            size_of::<u64>(),
            libc::GRND_NONBLOCK,
        )
    };
    if filled != size_of::<u64>() as isize || nonce == 0 {
        let error = io::Error::last_os_error();
        // Early in a boot there is no randomness yet. Who and when will do: tags only tell threads apart.
        nonce = futex::now()
            ^ u64::from(process::id()) << 40
            ^ error.raw_os_error().unwrap_or(1) as u64;
    }
    nonce.max(1)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn held() -> u64 {
        slot().held.load(Ordering::Relaxed)
    }

    #[test]
    fn a_thread_keeps_its_tag_and_no_two_share_one() {
        let mut tags: Vec<u64> = (0..8)
            .map(|_| {
                thread::spawn(|| {
                    assert_eq!(tag(), tag());
                    tag()
                })
                .join()
                .unwrap()
            })
            .collect();
        tags.push(tag());
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 9);
        assert!(!tags.contains(&0));
    }

    #[test]
    fn a_guard_leaked_by_an_ended_thread_stays_counted() {
        let leaky = thread::spawn(|| {
            guard_made();
            ptr::from_ref(slot()).addr()
        })
        .join()
        .unwrap();
        assert!(guards_held() >= 1);
        for _ in 0..4 {
            let later = thread::spawn(|| (ptr::from_ref(slot()).addr(), held()));
            let (slot, held) = later.join().unwrap();
            assert_ne!(slot, leaky);
            assert_eq!(held, 0);
        }
    }
}
