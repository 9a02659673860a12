//! A race: workers get ready, begin when one event is set, and count until another one is, after a second or by Ctrl-C.
//!
//! ```text
//! cargo run --release --example event
//! ```

use std::{sync::OnceLock, time::Duration, time::SystemTime};

use multiproc::{Condvar, Error, Event, Mutex, Process};

const WORKERS: u64 = 4;

static FINISH: OnceLock<Event> = OnceLock::new();

extern "C" fn on_interrupt(_: libc::c_int) {
    // Of all that is shared, an event is what a signal handler may touch.
    let _ = FINISH.get().map(Event::set);
}

/// How many are ready, how they tell it, and what begins and ends the race.
type Race = (Mutex<u64>, Condvar, [Event; 2]);

fn run((ready, changed, [start, finish]): Race) -> (SystemTime, u64) {
    // SAFETY: installs no handler. Ctrl-C reaches the workers, too, but it is their parent who tells them.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    *ready.lock().unwrap() += 1;
    changed.notify_one();
    start.wait();
    let started = SystemTime::now();
    let rounds = (0..).take_while(|_| !finish.is_set()).count();
    (started, rounds as u64)
}

fn main() -> Result<(), Error> {
    multiproc::init();
    let finish = FINISH.get_or_init(|| Event::new().expect("memory for an event"));
    // SAFETY: the handler does nothing but set an event.
    unsafe { libc::signal(libc::SIGINT, on_interrupt as *const () as usize) };
    let (ready, changed) = (Mutex::new(0)?, Condvar::new()?);
    let events = [Event::new()?, finish.clone()];
    let race = (ready.clone(), changed.clone(), events.clone());
    let crew = (0..WORKERS).map(|_| Process::spawn(run, race.clone()));
    let crew = crew.collect::<Result<Vec<_>, _>>()?;
    drop(changed.wait_while(ready.lock()?, |ready| *ready < WORKERS)?);
    let fired = SystemTime::now();
    events[0].set();
    if !finish.wait_timeout(Duration::from_secs(1)) {
        finish.set();
    }
    for worker in crew {
        let (started, rounds) = worker.join()?;
        let late = started.duration_since(fired).unwrap_or_default();
        println!("began {late:>8.1?} after the start, counted to {rounds}");
    }
    Ok(())
}
