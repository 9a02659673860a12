//! What a worker tells of the task that it has in hand.
//!
//! What a worker that may die at any instruction leaves behind must say exactly which item went with it. Invariants:
//!
//! 1. An outcome is written into the outbox, whose head says in which form those in it are, then the progress in the worker's
//!    row includes it: from then on the item has ended, though nobody has been told.
//! 2. What is told is in the ring before the progress says that the outbox is empty. Told twice is told once.
//! 3. The row names the task until all of it is told.

use std::{fmt::Display, os::fd::OwnedFd, thread, time::Duration};

use multiproc_core::{FOREVER, Os, Progress};

use super::{
    encoding::{self, Cursor, Form, HEAD, Unwritten},
    executor::Payload,
    outbox::Outbox,
    outcome::{self, Kind},
    record::{CARRIED, PARCEL, ToldHead, flag_of},
    shared::{LONGEST, Shared},
};
use crate::{
    packet::{self, codec},
    process::TaskPanic,
    sys::Linux,
};

pub(super) struct Teller {
    shared: Shared,
    row: usize,
    /// Whether the pool wants to know when an item begins, and may condemn the worker over it.
    timed: bool,
    outbox: Outbox,
    /// The form of what lies in the outbox, as its head says.
    form: Form,
    /// What there is to tell.
    head: ToldHead,
    /// Up to where outcomes lie in the outbox.
    end: usize,
    /// How many items of the task have ended.
    done: u32,
    /// How far the row says that the worker is, if it may be condemned.
    progress: Progress,
    /// When something was told last, and after how many more items that is looked at.
    since: u64,
    patience: u32,
    why: String,
}

/// Nobody can be told any more; [`Teller::why`] says why. Not the text itself, which each outcome would have to make room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop;

/// After so many nanoseconds what there is to tell is told, before all of the task is done.
const TELL_AFTER: u64 = 20_000_000;

/// How long a condemned worker sleeps between two looks whether it was pardoned.
const NAP: Duration = Duration::from_millis(1);

impl Teller {
    pub(super) fn new(shared: Shared, row: usize, timed: bool) -> Option<Teller> {
        let mut outbox = shared.outboxes.of(row)?;
        outbox.begin(Form::Framed);
        Some(Teller {
            outbox,
            form: Form::Framed,
            shared,
            row,
            timed,
            head: ToldHead::default(),
            end: Outbox::BEGIN,
            progress: Progress::default(),
            done: 0,
            since: 0,
            patience: 0,
            why: String::new(),
        })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Why nobody can be told any more.
    pub(super) fn why(self, _: Stop) -> String {
        self.why
    }

    /// Tells the pool that this worker takes tasks.
    pub(super) fn ready(&mut self) -> Result<(), Stop> {
        let head = ToldHead {
            first: self.row as u32,
            ..ToldHead::default()
        };
        self.put(&head.to_bytes())
    }

    /// Begins with a task.
    pub(super) fn begin_task(&mut self, task: u64) {
        self.head = ToldHead {
            task,
            ..ToldHead::default()
        };
        self.end = Outbox::BEGIN;
        self.done = 0;
        self.progress = Progress::default();
        self.patience = 0;
    }

    /// Begins with the next item.
    #[inline]
    pub(super) fn begin(&self) {
        if self.timed {
            // The clock of a machine that has just been started says 0 for a moment.
            self.shared.tasks.ring().begin(self.row, Linux.now().max(1));
        }
    }

    /// The item has returned this.
    #[inline]
    pub(super) fn returned<R: Payload>(&mut self, value: &R) -> Result<(), Stop> {
        self.ensure(Form::of::<R>())?;
        let head = |len| outcome::head(Kind::Returned, len);
        match encoding::write(self.room(), value, head) {
            Ok(len) if len <= HEAD + LONGEST => self.ended(len),
            Err(Unwritten::Full) if self.end > Outbox::BEGIN => self.returned_later(value),
            _ => self.returned_alone(value),
        }
    }

    /// The item has returned what has no room before the others are told.
    #[cold]
    fn returned_later<R: Payload>(&mut self, value: &R) -> Result<(), Stop> {
        self.tell()?;
        self.returned(value)
    }

    /// The item has returned what is told by itself: it is long, or holds shared objects.
    #[cold]
    fn returned_alone<R: Payload>(&mut self, value: &R) -> Result<(), Stop> {
        let encoded = match codec::encode(value) {
            Ok(encoded) => encoded,
            Err(why) => return self.failed(Kind::NotEncoded, why.as_bytes()),
        };
        match self.carry(encoded.descriptors, &encoded.bytes) {
            Ok((flags, told)) => {
                encoded.moves.are_made();
                self.end_alone(Kind::Returned, flags, told)
            }
            Err(why) => self.failed(Kind::NotEncoded, why.as_bytes()),
        }
    }

    /// The item has ended otherwise than by returning.
    #[cold]
    pub(super) fn failed(&mut self, kind: Kind, told: &[u8]) -> Result<(), Stop> {
        self.ensure(Form::Framed)?;
        if told.len() <= LONGEST {
            let mut cursor = Cursor::new(self.room());
            let written = cursor.write(&outcome::head(kind, told.len()));
            if written.and_then(|()| cursor.write(told)).is_ok() {
                self.head.failed += 1;
                return self.ended(HEAD + told.len());
            }
        }
        if self.end > Outbox::BEGIN {
            self.tell()?;
            return self.failed(kind, told);
        }
        // Longer than anything that explains something, so that the rest may go if need be.
        match self.carry(Vec::new(), told) {
            Ok((flags, inline)) => self.end_alone(kind, flags, inline),
            Err(_) => self.failed(kind, &told[..LONGEST]),
        }
    }

    /// The item has panicked.
    #[cold]
    pub(super) fn panicked(&mut self, panic: &TaskPanic) -> Result<(), Stop> {
        // A text that cannot be encoded there is none.
        let told = postcard::to_allocvec(panic).unwrap_or_default();
        self.failed(Kind::Panicked, &told)
    }

    /// Sees to it that what comes next into the outbox may have this form.
    #[inline]
    fn ensure(&mut self, form: Form) -> Result<(), Stop> {
        if form == self.form {
            return Ok(());
        }
        self.change(form)
    }

    #[cold]
    fn change(&mut self, form: Form) -> Result<(), Stop> {
        // Before the head: nothing that is not told lies under a head of another form.
        self.tell()?;
        self.outbox.begin(form);
        self.form = form;
        Ok(())
    }

    /// The room that is left in the outbox.
    #[inline]
    fn room(&mut self) -> &mut [u8] {
        self.outbox
            .bytes_mut()
            .get_mut(self.end..)
            .unwrap_or_default()
    }

    /// The item has ended, and what there is to tell of it are the next bytes in the outbox, so many.
    #[inline]
    fn ended(&mut self, len: usize) -> Result<(), Stop> {
        self.end += len;
        self.done += 1;
        self.advance();
        if self.patience > 0 {
            self.patience -= 1;
            return Ok(());
        }
        self.tell_if_late()
    }

    /// Says how far it is.
    #[inline]
    fn advance(&mut self) {
        let to = Progress::new(self.done, (self.end - Outbox::BEGIN) as u32);
        if self.timed {
            self.advance_if_allowed(to);
        } else {
            self.shared.tasks.ring().note(self.row, to);
        }
    }

    /// Says how far it is. If it was condemned, it waits for its end, or to be pardoned.
    fn advance_if_allowed(&mut self, to: Progress) {
        let ring = self.shared.tasks.ring();
        while !ring.advance(self.row, self.progress, to) {
            thread::sleep(NAP);
        }
        self.progress = to;
    }

    /// Tells what there is to tell, if it is long ago that anything was. The clock is looked at the less often the faster
    /// items are.
    #[cold]
    fn tell_if_late(&mut self) -> Result<(), Stop> {
        let now = Linux.now();
        let items = self.done;
        if items == 1 {
            self.since = now;
        }
        let late = now.saturating_sub(self.since);
        // As many again as there were, if they took no time to speak of.
        self.patience = match late {
            ..1_000_000 => items.min(1 << 16),
            1_000_000..TELL_AFTER => items / 8,
            _ => 0,
        };
        if late >= TELL_AFTER {
            self.since = now;
            self.tell()?;
        }
        Ok(())
    }

    /// Tells what there is to tell.
    fn tell(&mut self) -> Result<(), Stop> {
        if self.put_outbox()? {
            self.told();
        }
        Ok(())
    }

    /// Puts what is in the outbox; whether anything is.
    fn put_outbox(&mut self) -> Result<bool, Stop> {
        self.head.items = self.done - self.head.first;
        if self.head.items == 0 {
            return Ok(false);
        }
        self.head.flags = flag_of(self.form);
        self.outbox.set_head(self.head);
        let record = &self.outbox.bytes()[..self.end];
        match self.shared.told.ring().put(record, FOREVER) {
            Ok(()) => Ok(true),
            Err(why) => Err(self.stop(&why)),
        }
    }

    /// All that has ended is told.
    fn told(&mut self) {
        self.end = Outbox::BEGIN;
        self.advance();
        self.head = ToldHead {
            task: self.head.task,
            first: self.done,
            ..ToldHead::default()
        };
    }

    /// All items have ended: tells the rest. Then nothing is in hand any more.
    pub(super) fn finish(&mut self) -> Result<(), Stop> {
        self.put_outbox()?;
        self.shared.tasks.ring().done(self.row);
        Ok(())
    }

    /// Sends descriptors, and what does not fit into a record, for the item that the worker is at. Gives the flags of the
    /// record, and what goes into it.
    fn carry<'b>(
        &self,
        mut descriptors: Vec<OwnedFd>,
        told: &'b [u8],
    ) -> Result<(u32, &'b [u8]), String> {
        let mut flags = CARRIED;
        let mut inline = told;
        if told.len() > LONGEST {
            let parcel = packet::pack(told).map_err(|why| why.to_string())?;
            descriptors.insert(0, parcel.into());
            flags |= PARCEL;
            inline = &[];
        }
        let name = [self.head.task, self.done.into()];
        let sent = self.shared.carrier.send_waiting(name, &descriptors);
        sent.map_err(|why| why.to_string())?;
        Ok((flags, inline))
    }

    /// The item has ended, and is told by itself.
    fn end_alone(&mut self, kind: Kind, flags: u32, told: &[u8]) -> Result<(), Stop> {
        self.tell()?;
        let head = ToldHead {
            task: self.head.task,
            first: self.done,
            items: 1,
            failed: u32::from(kind != Kind::Returned),
            flags: flags | ToldHead::flag_of(kind),
        };
        self.done += 1;
        self.advance();
        self.put(&[&head.to_bytes()[..], told].concat())?;
        self.told();
        Ok(())
    }

    fn put(&mut self, record: &[u8]) -> Result<(), Stop> {
        let put = self.shared.told.ring().put(record, FOREVER);
        put.map_err(|why| self.stop(&why))
    }

    #[cold]
    fn stop(&mut self, why: &dyn Display) -> Stop {
        self.why = format!("it could not tell of its tasks: {why}");
        Stop
    }
}
