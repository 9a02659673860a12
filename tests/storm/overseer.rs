//! Whoever kills the workers, starts new ones, and looks whether any is stuck.

use std::{
    sync::atomic::Ordering::{Relaxed, SeqCst},
    thread,
    time::{Duration, Instant},
};

use multiproc::Child;

use crate::{
    board::{ONCES, Slot, WORKERS, become_worker, board, hang_up},
    common::{STUCK, forked},
    random::Random,
    work::{ALL, Kind, Objects},
};

/// How often somebody is killed.
const BETWEEN_KILLS: Duration = Duration::from_millis(10);
/// Whoever is doomed dies before so many steps are over.
const STEPS: u64 = 100;

#[derive(Clone, Debug)]
pub struct Storm {
    pub length: Duration,
    pub seed: u64,
}

/// A worker as its overseer sees it.
struct Worker {
    slot: &'static Slot,
    number: usize,
    child: Child<()>,
    /// Its last heartbeat, and when that was first seen.
    heartbeat: (u64, Instant),
}

impl Worker {
    fn start(number: usize, objects: &Objects, seed: u64) -> Worker {
        let slot = &board().slots[number];
        slot.begin_life();
        let name = slot.name();
        let child = forked(|| {
            become_worker(number);
            objects.work(Random::new(seed, name));
        });
        Worker {
            slot,
            number,
            child,
            heartbeat: (slot.heartbeat.load(Relaxed), Instant::now()),
        }
    }

    /// Whether it has ended; panics if it did not end as it should, or is stuck.
    fn has_ended(&mut self, objects: &Objects) -> bool {
        let Worker { slot, number, .. } = *self;
        let at = || ALL[slot.at.load(Relaxed)];
        match self.child.try_join() {
            Ok(Some(())) => return true,
            Err(error) if error.is_killed() && slot.is_counted_as_killed() => return true,
            Err(error) => panic!("worker {number}, at {:?}: {error}", at()),
            Ok(None) => {}
        }
        let beat = slot.heartbeat.load(Relaxed);
        if beat != self.heartbeat.0 {
            self.heartbeat = (beat, Instant::now());
        }
        let silent = self.heartbeat.1.elapsed();
        assert!(
            silent < STUCK,
            "worker {number}, process {}, is stuck at {:?} since {silent:?}:\n{objects:#?}",
            self.child.pid(),
            at(),
        );
        false
    }
}

impl Storm {
    /// Rages for its length. Panics when anything is not as it should be.
    pub fn rage(&self) {
        let Storm { length, seed } = *self;
        println!("storm: {length:?}, --seed {seed}");
        hang_up();
        let objects = Objects::new();
        let mut random = Random::new(seed, 0);
        let mut deaths = 0;
        let start = |number| Worker::start(number, &objects, seed);
        let mut workers: Vec<Worker> = (0..WORKERS).map(start).collect();
        let begun = Instant::now();
        while begun.elapsed() < length {
            let past = begun.elapsed().as_secs_f64() / length.as_secs_f64();
            let once = (past * ONCES as f64) as usize;
            board().once.store(once.min(ONCES - 1), Relaxed);
            thread::sleep(BETWEEN_KILLS);
            for worker in &mut workers {
                if worker.has_ended(&objects) {
                    deaths += 1;
                    *worker = start(worker.number);
                }
            }
            let victim = &workers[random.below(WORKERS as u64) as usize];
            if random.once_in(2) {
                victim.slot.doom.store(1 + random.below(STEPS), SeqCst);
            } else {
                victim.slot.count_as_killed();
                victim.child.kill().unwrap();
            }
        }
        board().stop.store(1, SeqCst);
        while !workers.is_empty() {
            thread::sleep(Duration::from_millis(1));
            workers.retain_mut(|worker| !worker.has_ended(&objects));
        }
        objects.check();
        report(deaths);
    }
}

/// Prints what was done.
fn report(deaths: u64) {
    println!("\n{:<18}{:>10}{:>8}", "", "came off", "told");
    let mut all_told = 0;
    for kind in ALL {
        let [done, told] = [&board().done, &board().told].map(|of| of[kind as usize].load(SeqCst));
        println!("{:<18}{done:>10}{told:>8}", format!("{kind:?}"));
        assert!(done > 0, "no {kind:?} came off");
        all_told += told;
    }
    let broken = board().told[Kind::Barrier as usize].load(SeqCst);
    let lost = board().told[Kind::JoinableQueue as usize].load(SeqCst);
    let at_steps = board().killed_at_steps.load(SeqCst);
    println!("killed: {deaths}, of them {at_steps} between two steps of a protocol");
    println!(
        "told: {} of poison, {broken} of a broken barrier, {lost} of lost jobs\n",
        all_told - broken - lost
    );
}
