//! `OnceValue<T>`: a value that is made once, by the first who asks for it.

use core::{convert::Infallible, fmt, mem, ptr::NonNull};

use crate::{
    element::Element,
    error::LayoutError,
    header::Kind,
    init_error::InitError,
    lock::{FOREVER, Refused},
    once_words::OnceWords,
    origin::Origin,
    os::Os,
    owner::Owner,
    placed::{self, Placed},
    region::Region,
    set_error::SetError,
};

#[repr(transparent)]
struct Words<const IS_ONCE: bool>(OnceWords);

// SAFETY: atomics alone.
unsafe impl<const IS_ONCE: bool> placed::Words for Words<IS_ONCE> {
    const KIND: Kind = if IS_ONCE { Kind::Once } else { Kind::OnceValue };

    fn bury(&self) {
        self.0.bury();
    }
}

/// A `T` that is made once, by whichever thread of all processes asks first, and never changes again.
///
/// An initialiser that panics, fails or dies with its process leaves no trace: the next who asks runs his own. So a
/// value is never poisoned and never half-made.
pub struct OnceValue<'m, T, O, const IS_ONCE: bool = false> {
    words: &'m OnceWords,
    /// Written under the lock of `words` while they are not ready; only read from then on.
    data: NonNull<T>,
    os: O,
}

/// Something that is done once: a [`OnceValue`] of nothing, and a layout of its own, so that neither is opened as the
/// other.
pub type Once<'m, O> = OnceValue<'m, (), O, true>;

// SAFETY: the data is written by one thread, and read only after that has published it; `T: Element` is itself `Send`
// and `Sync`.
unsafe impl<T: Element, O: Send, const IS_ONCE: bool> Send for OnceValue<'_, T, O, IS_ONCE> {}
// SAFETY: as above.
unsafe impl<T: Element, O: Sync, const IS_ONCE: bool> Sync for OnceValue<'_, T, O, IS_ONCE> {}

impl<'m, T: Element, O: Os, const IS_ONCE: bool> OnceValue<'m, T, O, IS_ONCE> {
    /// How many bytes it takes.
    #[must_use]
    pub fn required_len() -> usize {
        Placed::<Words<IS_ONCE>, T>::required_len()
    }

    /// Places a value that is yet to be made in fresh memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len).
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        let init = |words: &Words<IS_ONCE>| words.0.reset();
        // SAFETY: promised by the caller.
        unsafe { Placed::place(&region, origin, T::zeroed(), init) }
            .map(|placed| Self::view(placed, os))
    }

    /// The value that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a value of type `T`, initialised once, of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        Placed::attach(&region, origin).map(|placed| Self::view(placed, os))
    }

    /// Declares every process that ever had it open dead: nobody is making the value. One that was made stays.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, _: O, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Placed::<Words<IS_ONCE>, T>::bury(&region, origin) }
    }

    fn view(placed: Placed<'m, Words<IS_ONCE>, T>, os: O) -> Self {
        let Placed { words, data, .. } = placed;
        let words = &words.0;
        OnceValue { words, data, os }
    }

    /// The value, if it has been made. Never waits, and costs one load.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        if self.words.is_ready() {
            // SAFETY: it is ready, as was just seen.
            Some(unsafe { self.made() })
        } else {
            None
        }
    }

    /// Whether the value has been made.
    #[inline]
    #[must_use]
    pub fn is_initialized(&self) -> bool {
        self.words.is_ready()
    }

    /// The value, which `init` makes if nobody has made it. Waits while another is making it.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when `init` asks for the very same value.
    #[inline]
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> Result<&T, Refused> {
        self.get_or_init_until(FOREVER, init)
    }

    /// As [`get_or_init`](Self::get_or_init), but waits for others only until `until` on the clock of [`Os::now`]. How
    /// long `init` itself takes is its own affair.
    ///
    /// # Errors
    ///
    /// As [`get_or_init`](Self::get_or_init), and [`Refused::TimedOut`].
    #[inline]
    pub fn get_or_init_until(&self, until: u64, init: impl FnOnce() -> T) -> Result<&T, Refused> {
        let init = || Ok::<T, Infallible>(init());
        self.get_or_try_init_until(until, init)
            .map_err(|error| match error {
                InitError::Refused(why) => why,
                InitError::Failed(never) => match never {},
            })
    }

    /// The value, which `init` makes, unless it fails, if nobody has made it. Waits while another is making it.
    ///
    /// # Errors
    ///
    /// [`InitError::Failed`] with the error of `init`, otherwise as [`get_or_init`](Self::get_or_init).
    #[inline]
    pub fn get_or_try_init<E>(
        &self,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, InitError<E>> {
        self.get_or_try_init_until(FOREVER, init)
    }

    /// As [`get_or_try_init`](Self::get_or_try_init), but waits for others only until `until`.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_init`](Self::get_or_try_init), and [`Refused::TimedOut`].
    #[inline]
    pub fn get_or_try_init_until<E>(
        &self,
        until: u64,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, InitError<E>> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.initialise(until, init),
        }
    }

    #[cold]
    #[inline(never)]
    fn initialise<E>(
        &self,
        until: u64,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, InitError<E>> {
        let OnceValue { words, os, .. } = self;
        if let Some(me) = words.begin(os, until).map_err(InitError::Refused)? {
            let attempt = Attempt::new(words, os, me);
            let value = init().map_err(InitError::Failed)?;
            if os.is_me(me) {
                attempt.end();
                self.publish(me, value);
            } else {
                // A fork child has come out of the initialiser. The attempt is its parent's; what it has made itself is
                // offered as any other's is.
                match self.set_until(until, value) {
                    Ok(()) | Err(SetError::AlreadySet(_)) => (),
                    Err(SetError::Refused(_, why)) => return Err(InitError::Refused(why)),
                }
            }
        }
        // SAFETY: somebody has made it: `begin`, `publish` or `set_until` has seen to that.
        Ok(unsafe { self.made() })
    }

    /// Makes `value` the value, unless there is one. Waits while another is making it.
    ///
    /// # Errors
    ///
    /// [`SetError::AlreadySet`] when there is one, otherwise [`SetError::Refused`] as
    /// [`get_or_init`](Self::get_or_init); `value` is inside either.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        self.set_until(FOREVER, value)
    }

    /// As [`set`](Self::set), but waits for others only until `until`.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), and [`Refused::TimedOut`].
    pub fn set_until(&self, until: u64, value: T) -> Result<(), SetError<T>> {
        match self.words.begin(&self.os, until) {
            Ok(Some(me)) => {
                self.publish(me, value);
                Ok(())
            }
            Ok(None) => Err(SetError::AlreadySet(value)),
            Err(why) => Err(SetError::Refused(value, why)),
        }
    }

    /// Waits until somebody has made the value.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when the calling thread is making it.
    pub fn wait(&self) -> Result<&T, Refused> {
        self.wait_until(FOREVER)
    }

    /// As [`wait`](Self::wait), until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`Refused::TimedOut`].
    pub fn wait_until(&self, until: u64) -> Result<&T, Refused> {
        self.words.wait(&self.os, until)?;
        // SAFETY: it is ready, as was just seen.
        Ok(unsafe { self.made() })
    }

    /// Writes the value and says that it is made, as the caller that has begun.
    fn publish(&self, me: Owner, value: T) {
        // SAFETY: inside the mapping and aligned. The caller holds the lock, and it is not ready, so nobody looks.
        unsafe { self.data.write(value) };
        self.words.finish(&self.os, me);
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// The calling thread has seen that it is ready.
    #[inline]
    unsafe fn made(&self) -> &T {
        // SAFETY: inside the mapping and aligned; promised by the caller, and what is ready is never written again.
        unsafe { self.data.as_ref() }
    }
}

impl<T: Element + fmt::Debug, O: Os, const IS_ONCE: bool> fmt::Debug
    for OnceValue<'_, T, O, IS_ONCE>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if IS_ONCE { "Once" } else { "OnceValue" };
        f.debug_tuple(name).field(&self.get()).finish()
    }
}

/// The initialiser runs; dropping this says that it has made nothing.
struct Attempt<'a, O: Os> {
    words: &'a OnceWords,
    os: &'a O,
    me: Owner,
}

impl<'a, O: Os> Attempt<'a, O> {
    fn new(words: &'a OnceWords, os: &'a O, me: Owner) -> Attempt<'a, O> {
        // What a guard is to those who ask before they fork.
        os.guard_made();
        Attempt { words, os, me }
    }

    /// It has made something.
    fn end(self) {
        self.os.guard_dropped();
        mem::forget(self);
    }
}

impl<O: Os> Drop for Attempt<'_, O> {
    fn drop(&mut self) {
        if self.os.is_me(self.me) {
            self.os.guard_dropped();
            self.words.give_up(self.os, self.me);
        }
    }
}
