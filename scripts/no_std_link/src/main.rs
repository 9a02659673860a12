//! A program without std, without an allocator and without a C library that links and runs core's types: the proof
//! that the crate is `no_std`, which compiling a library alone is not.
#![no_std]
#![no_main]

use core::{
    arch::{asm, naked_asm},
    num::NonZeroU32,
    panic::PanicInfo,
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

use multiproc_core::{
    Array, AtomicArray, BoundedSemaphore, Counter, Liveness, Mutex, OnceValue, Origin, Os, Owner,
    ReentrantMutex, Region, RwLock, RwLockWriteGuard, ShardedCounter, Value, Wait,
};

/// One process with one thread: it never waits.
#[derive(Clone, Copy)]
struct Alone;

// SAFETY: there is one process and one thread, and it is alive.
unsafe impl Os for Alone {
    fn me(&self) -> Owner {
        NonZeroU32::new(1)
            .and_then(|pid| Owner::new(pid, 1))
            .unwrap_or(Owner::NONE)
    }

    fn thread(&self) -> u64 {
        1
    }

    fn liveness(&self, _: Owner) -> Liveness {
        Liveness::Alive
    }

    fn now(&self) -> u64 {
        0
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

#[repr(C, align(128))]
struct Memory([u8; 8192]);

static mut MEMORY: Memory = Memory([0; 8192]);

/// Places each layout in turn and uses it; `None` when something is not as it should be.
fn use_all() -> Option<()> {
    let base = NonNull::new(&raw mut MEMORY)?.cast();
    // SAFETY: a static that nobody else reaches.
    let region = unsafe { Region::new(base, 8192) }.ok()?;
    let origin = Origin::default();

    // SAFETY: a layout that is no longer used makes room for the next.
    let value = unsafe { Value::place(region, Alone, origin, 1.5f64) }.ok()?;
    value.update(|x| *x += 1.0).ok()?;
    (value.wait_while(|x| *x < 2.0) == Ok(2.5)).then_some(())?;

    // SAFETY: a layout that is no longer used makes room for the next.
    let mutex = unsafe { Mutex::place(region, Alone, origin, 1u64) }.ok()?;
    *mutex.lock().ok()? += 1;

    // SAFETY: a layout that is no longer used makes room for the next.
    let mutex = unsafe { ReentrantMutex::place(region, Alone, origin, 1u64) }.ok()?;
    let guards = (mutex.lock().ok()?, mutex.lock().ok()?);
    guards.0.set(2);
    (guards.1.get() == 2).then_some(())?;

    // SAFETY: a layout that is no longer used makes room for the next.
    let lock = unsafe { RwLock::place(region, Alone, origin, 1u64) }.ok()?;
    let mut guard = lock.write().ok()?;
    *guard = 2;
    let guards = (RwLockWriteGuard::downgrade(guard), lock.read().ok()?);
    (*guards.0 == 2 && *guards.1 == 2).then_some(())?;

    // SAFETY: a layout that is no longer used makes room for the next.
    let seats = unsafe { BoundedSemaphore::<Alone>::place(region, Alone, origin, 3) }.ok()?;
    let two = seats.acquire_many(2).ok()?;
    (two.count() == 2 && seats.value() == Ok(1) && seats.release(1).is_err()).then_some(())?;
    drop(two);

    // SAFETY: a layout that is no longer used makes room for the next.
    let once = unsafe { OnceValue::<u64, Alone>::place(region, Alone, origin) }.ok()?;
    (once.get_or_init(|| 7) == Ok(&7)).then_some(())?;

    // SAFETY: a layout that is no longer used makes room for the next.
    let array = unsafe { Array::<u32, Alone>::place(region, Alone, origin, &[8, 16]) }.ok()?;
    array.write(3..5).ok()?.fill(7);
    (array.get(4).ok()? == 7).then_some(())?;

    // SAFETY: a layout that is no longer used makes room for the next.
    let atomics = unsafe { AtomicArray::<u64>::place(region, origin, &[16]) }.ok()?;
    atomics[3].store(1, core::sync::atomic::Ordering::Relaxed);

    // SAFETY: a layout that is no longer used makes room for the next.
    let counter = unsafe { Counter::place(region, origin, 1) }.ok()?;
    (counter.add(2) == 1).then_some(())?;
    // SAFETY: a layout that is no longer used makes room for the next.
    let sharded = unsafe { ShardedCounter::place(region, origin, 4) }.ok()?;
    sharded.add(9, 2);
    (sharded.get() == 2).then_some(())
}

/// Where the kernel jumps to: aligns the stack as functions expect it.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("and rsp, -16", "call {start}", start = sym start);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("bl {start}", start = sym start);
}

extern "C" fn start() -> ! {
    exit(if use_all().is_some() { 0 } else { 1 })
}

fn exit(code: i32) -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: exit_group never returns.
    unsafe {
        asm!("syscall", in("rax") 231, in("rdi") code, options(noreturn))
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: exit_group never returns.
    unsafe {
        asm!("svc 0", in("x8") 94, in("x0") i64::from(code), options(noreturn))
    }
}

/// What a C library would bring: the compiler calls these for copies and comparisons. Volatile, lest it make them
/// calls of themselves.
mod mem {
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        for i in 0..len {
            // SAFETY: the compiler passes places of `len` bytes.
            unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
        for i in 0..len {
            // SAFETY: the compiler passes a place of `len` bytes.
            unsafe { to.add(i).write_volatile(byte as u8) };
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        for i in 0..len {
            // SAFETY: the compiler passes places of `len` bytes.
            let (a, b) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }

    /// The precompiled `core` names it; nothing unwinds here.
    #[unsafe(no_mangle)]
    extern "C" fn rust_eh_personality() {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(2)
}
