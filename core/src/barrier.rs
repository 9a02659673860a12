//! `Barrier`: a place that nobody leaves before all have come.

use core::{fmt, num::NonZeroUsize};

use crate::{
    atomic::AtomicU64,
    error::{LayoutError, Shape},
    header::{HEADER_LEN, Header, Kind, Spec},
    lock::{FOREVER, NOW},
    origin::Origin,
    os::Os,
    region::Region,
    rendezvous::{BarrierError, BreakCause, Rendezvous, RendezvousWords},
};

const WORDS_AT: usize = HEADER_LEN;
const OWNERS_AT: usize = WORDS_AT + size_of::<RendezvousWords>();

/// A barrier for a fixed number of parties: threads of any processes that wait until all of them have come, again and
/// again.
///
/// When a process dies in which a party waits, or a party does not want to wait any longer, the barrier *breaks*: all
/// who wait are told, and so are all who come, until somebody calls [`reset`](Self::reset). A death is noticed within a
/// fifth of a second while others wait, and for certain when it came more than a millisecond before the last party.
pub struct Barrier<'m, O> {
    meeting: Rendezvous<'m>,
    os: O,
}

/// What a party learns that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    place: usize,
    is_leader: bool,
}

impl BarrierWaitResult {
    /// Whether this party was the last to arrive; so of each generation exactly one is.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }

    /// Its place in the order of arrival, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.place
    }
}

impl<'m, O: Os> Barrier<'m, O> {
    fn spec(parties: usize) -> Result<Spec, LayoutError> {
        let shape = Shape::new(&[parties])?;
        crate::array::data_spec::<u64>(Kind::Barrier, shape, OWNERS_AT)
    }

    /// How many bytes it takes.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooLarge`] when no memory holds so many parties.
    pub fn required_len(parties: NonZeroUsize) -> Result<usize, LayoutError> {
        Ok(Self::spec(parties.get())?.total())
    }

    /// Places a barrier for so many parties in fresh memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len).
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        os: O,
        origin: Origin,
        parties: NonZeroUsize,
    ) -> Result<Self, LayoutError> {
        let header = Header::write(&region, &Self::spec(parties.get())?, origin)?;
        let barrier = Barrier::view(&region, os, parties.get())?;
        barrier.meeting.words.reset();
        header.publish();
        Ok(barrier)
    }

    /// The barrier that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a barrier of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        let (_, parties) = Self::check(&region, Some(origin))?;
        Barrier::view(&region, os, parties)
    }

    /// Declares every process that ever had it open dead: nobody waits, and it is not broken.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, os: O, origin: Origin) -> Result<(), LayoutError> {
        let (header, parties) = Self::check(&region, None)?;
        Barrier::view(&region, os, parties)?.meeting.words.reset();
        header.adopt(origin);
        Ok(())
    }

    fn check(
        region: &Region<'m>,
        origin: Option<Origin>,
    ) -> Result<(&'m Header, usize), LayoutError> {
        let expect = |shape: Shape| match shape.dims() {
            [parties] if *parties > 0 => {
                Self::spec(usize::try_from(*parties).unwrap_or(usize::MAX))
            }
            _ => Err(LayoutError::Impossible {
                what: "number of parties",
                found: shape.elements().unwrap_or(u64::MAX),
            }),
        };
        let (header, spec) = Header::check::<u64>(region, Kind::Barrier, origin, expect)?;
        Ok((header, spec.data_len / size_of::<u64>()))
    }

    fn view(region: &Region<'m>, os: O, parties: usize) -> Result<Self, LayoutError> {
        let too_short = LayoutError::TooShort {
            expected: (OWNERS_AT + parties * size_of::<u64>()) as u64,
            found: region.len() as u64,
        };
        // SAFETY: `RendezvousWords` are atomics alone.
        let words = unsafe { region.words(WORDS_AT) }.ok_or(too_short)?;
        // SAFETY: the list is only ever reached as atomics.
        let owners: &[AtomicU64] =
            unsafe { region.word_slice(OWNERS_AT, parties) }.ok_or(too_short)?;
        Ok(Barrier {
            meeting: Rendezvous { words, owners },
            os,
        })
    }

    /// Waits until all parties have come.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`] when the barrier is broken, or breaks meanwhile; [`BarrierError::WouldDeadlock`] in an
    /// action of this very barrier.
    pub fn wait(&self) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_with(FOREVER, || ())
    }

    /// As [`wait`](Self::wait); the last to come runs `action` before anybody is let through. If it panics, the barrier
    /// breaks.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_with(FOREVER, action)
    }

    /// Goes through if all others are waiting; otherwise it does not come at all. It waits for none of them, and if a
    /// process is stopped in the middle of its arrival, for no longer than 10 ms.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`BarrierError::WouldBlock`].
    pub fn try_wait(&self) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_with(NOW, || ())
    }

    /// As [`wait`](Self::wait), until `until` on the clock of [`Os::now`]. Then the barrier breaks for all others, too.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`BarrierError::TimedOut`].
    pub fn wait_until(&self, until: u64) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_with(until, || ())
    }

    /// As [`wait_until`](Self::wait_until), with an action as in [`wait_with`](Self::wait_with).
    ///
    /// # Errors
    ///
    /// As [`wait_until`](Self::wait_until).
    pub fn wait_until_with(
        &self,
        until: u64,
        action: impl FnOnce(),
    ) -> Result<BarrierWaitResult, BarrierError> {
        let place = self.meeting.wait(&self.os, until, action)?;
        Ok(BarrierWaitResult {
            place,
            is_leader: place + 1 == self.parties(),
        })
    }

    /// Breaks the barrier for all who wait and all who come, until it is [`reset`](Self::reset). Does not wait.
    pub fn abort(&self) {
        self.meeting.abort(&self.os);
    }

    /// Makes the barrier as new if it is broken; whether it was. Of several parties that were told that it is broken, one
    /// mends it by this, and none disturbs those who wait at it again.
    pub fn reset_if_broken(&self) -> bool {
        self.meeting.reset_if_broken(&self.os)
    }

    /// Makes the barrier as new. Those who wait are told that it is [broken](BarrierError::Broken). Does not wait.
    pub fn reset(&self) {
        self.meeting.reset(&self.os);
    }
}

impl<O> Barrier<'_, O> {
    /// For how many parties it is.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.meeting.owners.len()
    }

    /// How many parties wait at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.meeting.waiting()
    }

    /// Whether it is broken at this moment.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.meeting.is_broken()
    }

    /// Why it is broken at this moment, if it is.
    #[must_use]
    pub fn broken(&self) -> Option<BreakCause> {
        self.meeting.broken()
    }
}

impl<O> fmt::Debug for Barrier<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("broken", &self.broken())
            .finish_non_exhaustive()
    }
}
