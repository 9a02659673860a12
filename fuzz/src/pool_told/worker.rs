//! A worker that does as it should, and may be killed between any two of its stores.

use multiproc::__fuzz::Desk;

use super::{
    NOT_BEGUN, RETURNED,
    book::{Book, End},
    outcome, told,
};

/// How an item ends, and how that is told.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// It returns, told as a word if that is a number.
    Word,
    /// It returns, told behind a head.
    Framed,
    /// It fails.
    Failed,
    /// It returns, told by itself, in a file.
    Alone,
}

/// It is killed: nothing that it would have done next is done.
pub(super) struct Killed;

pub(super) struct Worker {
    row: usize,
    /// The task in hand, and the arguments of its items.
    hand: Option<(u64, Vec<u64>)>,
    /// How many items it has ended, of how many of these it has told, and how many of the others failed.
    done: u32,
    told: u32,
    failed: u32,
    /// What it has to tell, and the flags that say how that lies.
    outbox: Vec<u8>,
    flags: u32,
    /// What its outbox says, and nobody was told.
    untold: Vec<(u64, End)>,
    /// After how many more steps it is killed.
    fuse: Option<u8>,
}

impl Worker {
    /// A new one for this row, after whatever one was there.
    pub(super) fn new(row: usize, desk: &Desk) -> Worker {
        desk.write(row, 0, &[]);
        Worker {
            row,
            hand: None,
            done: 0,
            told: 0,
            failed: 0,
            outbox: Vec::new(),
            flags: 0,
            untold: Vec::new(),
            fuse: None,
        }
    }

    /// The task in hand.
    pub(super) fn task(&self) -> Option<u64> {
        self.hand.as_ref().map(|(task, _)| *task)
    }

    /// It is killed after so many more steps.
    pub(super) fn light(&mut self, fuse: u8) {
        self.fuse.get_or_insert(fuse);
    }

    fn step(&mut self) -> Result<(), Killed> {
        match &mut self.fuse {
            Some(0) => Err(Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes a task, if it has none.
    ///
    /// # Panics
    ///
    /// When the task is not as a pool makes it.
    pub(super) fn take(&mut self, desk: &Desk) -> Result<(), Killed> {
        self.step()?;
        if self.hand.is_none() {
            let taken = desk.take(self.row);
            self.hand = taken.map(|(task, arguments)| (task, arguments.expect("a whole task")));
            (self.done, self.told) = (0, 0);
        }
        Ok(())
    }

    /// Ends the item that it is at, if it is at one.
    pub(super) fn end(&mut self, desk: &mut Desk, book: &mut Book, how: How) -> Result<(), Killed> {
        let Some((task, argument)) = self.item() else {
            return Ok(());
        };
        // Nothing but a number is as long as a word: what is returned is a large one.
        let encoded = desk.encoded(argument);
        let (flags, told, end) = match how {
            How::Word if encoded.len() == size_of::<u64>() => (Desk::WORDS, encoded, End::Returned),
            How::Word | How::Framed => (0, outcome(RETURNED, &encoded), End::Returned),
            How::Failed => (0, outcome(NOT_BEGUN, b"no"), End::Failed),
            How::Alone => return self.end_alone(desk, book, (task, argument), &encoded),
        };
        if flags != self.flags {
            self.tell(desk, book)?;
            self.step()?;
            desk.write(self.row, flags, &[]);
            self.flags = flags;
        }
        self.step()?;
        self.outbox.extend(told);
        desk.write(self.row, flags, &self.outbox);
        self.step()?;
        self.done += 1;
        self.failed += u32::from(end == End::Failed);
        self.untold.push((argument, end));
        desk.note(self.row, self.done, self.outbox.len() as u32);
        Ok(())
    }

    /// The task in hand, and the argument of the item that comes next.
    fn item(&self) -> Option<(u64, u64)> {
        let (task, arguments) = self.hand.as_ref()?;
        Some((*task, *arguments.get(self.done as usize)?))
    }

    fn end_alone(
        &mut self,
        desk: &mut Desk,
        book: &mut Book,
        (task, argument): (u64, u64),
        encoded: &[u8],
    ) -> Result<(), Killed> {
        self.step()?;
        if !desk.send([task, self.done.into()], encoded, Vec::new()) {
            // It would wait until there is room.
            return Ok(());
        }
        self.tell(desk, book)?;
        self.step()?;
        self.done += 1;
        desk.note(self.row, self.done, 0);
        self.step()?;
        let flags = Desk::CARRIED | Desk::PARCEL | RETURNED << 8;
        put(desk, &told(task, self.told, 1, 0, flags, &[]));
        book.note(argument, task, End::Returned);
        self.step()?;
        self.told = self.done;
        desk.note(self.row, self.done, 0);
        Ok(())
    }

    /// Tells what there is to tell.
    pub(super) fn tell(&mut self, desk: &mut Desk, book: &mut Book) -> Result<(), Killed> {
        self.put_outbox(desk, book)?;
        self.step()?;
        self.told = self.done;
        self.outbox.clear();
        desk.note(self.row, self.done, 0);
        Ok(())
    }

    fn put_outbox(&mut self, desk: &mut Desk, book: &mut Book) -> Result<(), Killed> {
        self.step()?;
        let items = self.done - self.told;
        if let Some(task) = self.task()
            && items > 0
        {
            let record = told(
                task,
                self.told,
                items,
                self.failed,
                self.flags,
                &self.outbox,
            );
            put(desk, &record);
            self.failed = 0;
            self.know(book);
        }
        Ok(())
    }

    /// Tells what there is to tell once all items have ended; then it has nothing in hand any more.
    pub(super) fn finish(&mut self, desk: &mut Desk, book: &mut Book) -> Result<(), Killed> {
        if self.item().is_some() {
            return Ok(());
        }
        self.put_outbox(desk, book)?;
        self.step()?;
        desk.done(self.row);
        self.hand = None;
        self.outbox.clear();
        Ok(())
    }

    /// It is dead, and the pool has found that out.
    pub(super) fn bury(&mut self, desk: &mut Desk, book: &mut Book, retry: bool) {
        book.deaths += usize::from(self.hand.is_some());
        desk.die(self.row, retry);
        self.know(book);
        *self = Worker::new(self.row, desk);
    }

    /// The pool can know what the outbox says.
    fn know(&mut self, book: &mut Book) {
        let task = self.task().unwrap_or(0);
        for (argument, end) in self.untold.drain(..) {
            book.note(argument, task, end);
        }
    }
}

/// Tells something, once there is room.
fn put(desk: &mut Desk, record: &[u8]) {
    if !desk.tell(record) {
        desk.drain();
        assert!(desk.tell(record), "no room when all was taken");
    }
}
