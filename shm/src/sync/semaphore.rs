//! `Semaphore` and `BoundedSemaphore` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{self as core_, Refused, TooManyPermits};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

/// Permits of a [`Semaphore`] or [`BoundedSemaphore`]; dropping this gives them back.
///
/// It belongs to the thread that acquired it, and does not outlive a fork: the child has none of the permits, and gives
/// nothing back.
pub type Permit<'a> = core_::Permit<'a, Linux>;

/// A number of permits: a limit on how many processes and threads do something at once.
///
/// Permits belong to the process that took them. When it dies they come back, each exactly once: to whoever waits,
/// within a fifth of a second, and at once to whoever asks without waiting.
///
/// ```
/// # multiproc::init();
/// let connections = multiproc::Semaphore::new(2)?;
/// let (_first, second) = (connections.acquire()?, connections.acquire()?);
/// assert!(connections.try_acquire().is_err());
/// drop(second);
/// assert!(connections.try_acquire().is_ok());
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// It also counts what one process makes and another one takes; a permit that is to be used up is
/// [forgotten](Permit::forget):
///
/// ```
/// # multiproc::init();
/// use multiproc::{Process, Semaphore};
///
/// fn make(made: Semaphore) {
///     made.release(1).unwrap();
/// }
///
/// let made = Semaphore::new(0)?;
/// let maker = Process::spawn(make, made.clone())?;
/// made.acquire()?.forget();
/// maker.join()?;
/// assert_eq!(made.value()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Not fair: when permits become free, whoever comes first gets them, not who has waited longest, and who wants many
/// may be passed again and again by those who want few. A waiter sleeps, and looks ten times a second whether a holder has
/// died. Giving back takes no lock, so a stopped process keeps nobody from it, and costs a system call only when somebody
/// sleeps, or died in his sleep. Up to 256 processes can hold permits at the same time; another one waits as if
/// there were none.
pub struct Semaphore(Mapped<core_::Semaphore<'static, Linux>>);

/// A [`Semaphore`] that never has more permits than it started with, so that one that is released too often is noticed.
///
/// Permits that are held count as well as free ones. A permit that is given back by being dropped never counts twice;
/// [`release`](Self::release) makes up for permits that were [forgotten](Permit::forget).
///
/// ```
/// # multiproc::init();
/// let seats = multiproc::BoundedSemaphore::new(3)?;
/// let seat = seats.acquire()?;
/// assert_eq!(seats.release(1).unwrap_err().present, 3);
/// seat.forget();
/// seats.release(1)?;
/// assert_eq!(seats.value()?, 3);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct BoundedSemaphore(Mapped<core_::BoundedSemaphore<'static, Linux>>);

/// What both do alike.
///
/// A macro because each is a layout of its own, so that one cannot be opened as the other.
macro_rules! semaphore {
    ($type:ident) => {
        view!($type);
        shared_object!($type);

        impl $type {
            /// A semaphore with `permits`, all free, in an anonymous segment.
            ///
            /// # Errors
            ///
            /// [`Error`] when the segment cannot be made.
            pub fn new(permits: u32) -> Result<$type, Error> {
                $type::create(Create::anonymous(), permits)
            }

            /// A semaphore with `permits`, all free, where `create` says.
            ///
            /// A name goes with its maker, unless [`Create::persist`] says that it stays.
            ///
            /// # Errors
            ///
            /// [`Error`] when the segment cannot be made.
            pub fn create(create: impl Into<Create>, permits: u32) -> Result<$type, Error> {
                let len = core_::$type::<Linux>::required_len();
                Mapped::create(create.into(), len, |region, origin| {
                    // SAFETY: a new segment, which nobody else sees yet.
                    unsafe { core_::$type::<Linux>::place(region, Linux, origin, permits) }
                        .map(drop)
                })
                .map($type)
            }

            /// The semaphore that somebody made there.
            ///
            /// # Errors
            ///
            /// [`Error`] when there is none.
            pub fn open(open: impl Into<Open>) -> Result<$type, Error> {
                Mapped::open(open.into(), Access::ReadWrite).map($type)
            }

            /// Waits for a permit.
            ///
            /// A thread that holds all permits itself waits until another one releases some: this is not found out,
            /// since anybody may [`release`](Self::release).
            ///
            /// # Errors
            ///
            /// [`Refused`] when there can be none, or the system cannot tell who this process is.
            #[inline]
            pub fn acquire(&self) -> Result<Permit<'_>, Refused> {
                self.0.view().acquire()
            }

            /// Takes a permit if one is free now. Waits up to 10 ms for a process that is stopped in the
            /// middle of its bookkeeping.
            ///
            /// # Errors
            ///
            /// As [`acquire`](Self::acquire), and [`Refused::WouldBlock`].
            #[inline]
            pub fn try_acquire(&self) -> Result<Permit<'_>, Refused> {
                self.0.view().try_acquire()
            }

            /// Waits for a permit, but not longer than `timeout`.
            ///
            /// # Errors
            ///
            /// As [`acquire`](Self::acquire), and [`Refused::TimedOut`].
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>, Refused> {
                self.0.view().acquire_until(deadline::after(timeout))
            }

            /// Waits for `count` permits, which it takes all at once: while too few are free it holds none of them. None at
            /// all are given to everybody.
            ///
            /// # Errors
            ///
            /// As [`acquire`](Self::acquire), and [`Refused::TooManyPermits`] for more than there can ever be.
            pub fn acquire_many(&self, count: u32) -> Result<Permit<'_>, Refused> {
                self.0.view().acquire_many(count)
            }

            /// Takes `count` permits if so many are free now. Waits up to 10 ms for a process that is stopped in the
            /// middle of its bookkeeping.
            ///
            /// # Errors
            ///
            /// As [`acquire_many`](Self::acquire_many), and [`Refused::WouldBlock`].
            pub fn try_acquire_many(&self, count: u32) -> Result<Permit<'_>, Refused> {
                self.0.view().try_acquire_many(count)
            }

            /// Waits for `count` permits, but not longer than `timeout`.
            ///
            /// # Errors
            ///
            /// As [`acquire_many`](Self::acquire_many), and [`Refused::TimedOut`].
            pub fn acquire_many_timeout(
                &self,
                count: u32,
                timeout: Duration,
            ) -> Result<Permit<'_>, Refused> {
                let until = deadline::after(timeout);
                self.0.view().acquire_many_until(count, until)
            }

            /// Adds `count` permits. Whoever calls need not hold any: this is how one process lets another go on.
            /// Takes no lock and never waits.
            ///
            /// To hand over a permit that one holds: [`Permit::forget`] it first, for as long as it exists it counts.
            ///
            /// # Errors
            ///
            /// [`TooManyPermits`] when there would be more than [`u32::MAX`], or more than a [`BoundedSemaphore`] started
            /// with; none is added.
            pub fn release(&self, count: u32) -> Result<(), TooManyPermits> {
                self.0.view().release(count)
            }

            /// How many permits are free at this moment. Waits for the table of holders, without bound while a process that has
            /// it is stopped, and asks for each of them whether it still lives: some microseconds each.
            ///
            /// # Errors
            ///
            /// [`Refused::NoIdentity`] when the system cannot tell who this process is.
            pub fn value(&self) -> Result<u32, Refused> {
                self.0.view().value()
            }

            /// How many permits exist at this moment, held or free. Does not wait.
            #[must_use]
            pub fn permits(&self) -> u32 {
                self.0.view().permits()
            }

            /// How many permits are held, those of the dead among them; roughly, while others take and give back. Does not
            /// wait.
            #[must_use]
            pub fn held(&self) -> u32 {
                self.0.view().held()
            }
        }

        /// What is held is counted without waiting for anybody: roughly, while others take and give back.
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("permits", &self.permits())
                    .field("held", &self.held())
                    .field("segment", self.segment())
                    .finish()
            }
        }
    };
}

semaphore!(Semaphore);
semaphore!(BoundedSemaphore);
