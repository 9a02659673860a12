//! An event, which POSIX does not have: a flag under a mutex, with a condition variable.

use std::io;

use super::{Condvar, Mutex};

/// A process-shared event.
pub struct Event {
    flag: &'static Mutex<u64>,
    changed: &'static Condvar,
}

impl Event {
    /// One that is not set.
    pub fn new() -> io::Result<Event> {
        let (flag, changed) = (Mutex::new()?, Condvar::new()?);
        Ok(Event { flag, changed })
    }

    /// Sets it and wakes all who wait.
    pub fn set(&self) {
        *self.flag.lock() = 1;
        self.changed.notify_all();
    }

    /// Takes it back.
    pub fn clear(&self) {
        *self.flag.lock() = 0;
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        *self.flag.lock() != 0
    }

    /// Waits until it is set.
    pub fn wait(&self) {
        self.changed.wait_while(self.flag.lock(), |flag| *flag == 0);
    }
}
