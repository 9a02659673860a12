//! A buffer for each thread, so that small messages need no allocation.

use std::{cell::Cell, mem};

/// What a thread keeps between two messages at most, in bytes.
const KEPT: usize = 64 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The buffer of the calling thread, empty; dropping this gives it back. While it is out, another one is a new one.
pub struct Scratch(Vec<u8>);

impl Scratch {
    #[inline]
    pub fn take() -> Scratch {
        // A thread that is just ending has none.
        Scratch(BUFFER.try_with(Cell::take).unwrap_or_default())
    }

    #[inline]
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        let mut buffer = mem::take(&mut self.0);
        if buffer.capacity() <= KEPT {
            buffer.clear();
            let _ = BUFFER.try_with(|kept| kept.set(buffer));
        }
    }
}
