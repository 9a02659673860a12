//! The thread that takes what the workers tell.
//!
//! A worker that finds it asleep must wake it, which takes longer than a short task. So while much is queued it does not let
//! itself be woken: it sleeps for a moment, and takes what has come meanwhile.

use std::{sync::Arc, sync::atomic::Ordering, thread, time::Duration};

use multiproc_core::{FOREVER, Os};

use super::{core::Core, job::Batch};
use crate::sys::Linux;

/// How long it sleeps while much is queued.
const MOMENT: Duration = Duration::from_micros(50);
/// So many tasks for each worker are much.
const MUCH: usize = 4;
/// How often it looks for room for what waits for that, in nanoseconds.
const LOOK: u64 = 2_000_000;

pub(super) fn collect(core: &Arc<Core>) {
    let mut batch = Batch::default();
    let workers = core.crew().members.len();
    let stop = || core.is_over.load(Ordering::Acquire);
    loop {
        let any = core.drain(&mut batch);
        core.deliver(&mut batch);
        if stop() {
            if !any {
                return;
            }
            continue;
        }
        let (queued, waits_for_room) = {
            let ledger = core.ledger();
            (ledger.len(), ledger.has_backlog())
        };
        if any && queued > workers * MUCH {
            thread::sleep(MOMENT);
            continue;
        }
        if waits_for_room {
            core.flush();
        }
        let until = if waits_for_room {
            Linux.now() + LOOK
        } else {
            FOREVER
        };
        let ring = core.shared.told.ring().ring();
        if ring.wait_until_some(&Linux, until, |_| stop()).is_err() {
            // Only damaged memory is refused; the supervisor sees to the end all the same.
            thread::sleep(Duration::from_millis(10));
        }
    }
}
