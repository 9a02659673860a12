//! The hook at which kill tests end a process: between any two steps that others can see.

/// Says that the calling process is `at` this point. Does nothing without the hidden feature `__step`.
#[cfg(not(feature = "__step"))]
#[inline(always)]
pub fn step(_at: &'static str) {}

#[cfg(feature = "__step")]
pub use hooked::{set_step_hook, step};

#[cfg(feature = "__step")]
mod hooked {
    use std::{
        mem::transmute,
        ptr,
        sync::atomic::{AtomicPtr, Ordering},
    };

    /// A `fn(&'static str)` as a pointer, or null.
    static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

    /// Says that the calling process is `at` this point.
    #[inline]
    pub fn step(at: &'static str) {
        // Relaxed: a function is there before any pointer to it.
        let hook = HOOK.load(Ordering::Relaxed);
        if hook.is_null() {
            return;
        }
        // SAFETY: `set_step_hook` stores nothing else than null and functions of this very type.
        let hook: fn(&'static str) = unsafe { transmute(hook) };
        hook(at);
    }

    /// Calls `hook` at every step from now on, in every thread.
    pub fn set_step_hook(hook: Option<fn(&'static str)>) {
        let hook = hook.map_or(ptr::null_mut(), |hook| hook as *mut ());
        HOOK.store(hook, Ordering::Relaxed);
    }
}
