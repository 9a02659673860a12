//! Whoever kills producers and consumers, starts new ones, and settles the account.

use std::{
    cell::Cell,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, HumanFloatCount, ProgressBar, ProgressStyle};
use multiproc::{Child, Process};

use crate::{
    common::STUCK,
    ledger::{EACH, Ledger},
    line::Line,
    random::Random,
    workers::{consume, produce},
};

#[derive(Clone, Debug)]
pub struct History {
    /// How many messages go through, in all.
    pub messages: u64,
    pub between_kills: Duration,
    pub seed: u64,
}

/// What became of those who were killed.
#[derive(Default)]
struct Dead {
    producers: u64,
    consumers: u64,
    /// Messages of which nobody knows whether they were put, and whose.
    in_doubt: Vec<(u64, Range<u64>)>,
    /// How many messages the consumers can have taken along.
    in_hand: u64,
}

impl History {
    /// Lets it happen over a line. Panics when anything is not as it should be.
    pub fn of<L: Line>(&self) {
        let each = self.messages.div_ceil(EACH);
        println!(
            "history over {}: {} messages, a kill every {:?}, --seed {}",
            L::NAME,
            HumanCount(each * EACH),
            self.between_kills,
            self.seed
        );
        let ledger = Ledger::new(each);
        let (putter, taker) = L::new();
        let begun = Instant::now();
        let dead = self.rage::<L>(&ledger, putter, &taker);
        settle::<L>(&ledger, &taker, &dead, begun.elapsed());
    }

    fn rage<L: Line>(&self, ledger: &Ledger, putter: L::Putter, taker: &L::Taker) -> Dead {
        let mut random = Random::new(self.seed, 0);
        let lives = Cell::new(0);
        let who = |place| {
            lives.set(lives.get() + 1);
            (place, Random::new(self.seed, lives.get()))
        };
        let start_producer = |place| {
            let arguments = (putter.clone(), ledger.clone(), who(place));
            Process::fork(produce, arguments).unwrap()
        };
        let start_consumer = |place| {
            let arguments = (taker.clone(), ledger.clone(), who(place));
            Process::fork(consume, arguments).unwrap()
        };
        let producers = (0..EACH).map(|place| Some(start_producer(place)));
        let mut producers: Vec<_> = producers.collect();
        let mut consumers: Vec<_> = (0..EACH).map(start_consumer).collect();

        let mut dead = Dead::default();
        let mut seen = (0, Instant::now());
        let bar = bar(ledger.each * EACH);
        while producers.iter().any(Option::is_some) {
            thread::sleep(self.between_kills);
            let place = random.below(EACH);
            if random.once_in(2) {
                let consumer = &mut consumers[place as usize];
                consumer.kill().unwrap();
                assert!(was_killed(consumer), "a consumer came to an end early");
                dead.consumers += 1;
                dead.in_hand += ledger.bury_consumer(place);
                *consumer = start_consumer(place);
            } else if let Some(producer) = &mut producers[place as usize] {
                producer.kill().unwrap();
                if was_killed(producer) {
                    dead.producers += 1;
                    dead.in_doubt.push((place, ledger.bury_producer(place)));
                    *producer = start_producer(place);
                } else {
                    producers[place as usize] = None;
                }
            }
            let ended = |child: &mut Child<()>| child.try_join().unwrap().is_some();
            for producer in &mut producers {
                if producer.as_mut().is_some_and(ended) {
                    *producer = None;
                }
            }
            let progress = ledger.progress();
            bar.set_position(progress);
            if progress != seen.0 {
                seen = (progress, Instant::now());
            }
            assert!(seen.1.elapsed() < STUCK, "nothing arrives any more");
        }
        L::end(putter);
        for mut consumer in consumers {
            let ended = consumer.join_timeout(STUCK).unwrap();
            ended.expect("a consumer is stuck");
        }
        bar.finish_and_clear();
        dead
    }
}

/// Whether it was killed, and not through before.
fn was_killed(child: &mut Child<()>) -> bool {
    match child.join_timeout(STUCK) {
        Ok(Some(())) => false,
        Err(error) if error.is_killed() => true,
        other => panic!("{other:?}"),
    }
}

/// Shown on terminals only; it needs no thread of its own, beside which nothing could be forked.
fn bar(messages: u64) -> ProgressBar {
    let style = "{wide_bar} {human_pos} of {human_len} messages, {per_sec}, {eta} left";
    ProgressBar::new(messages).with_style(ProgressStyle::with_template(style).expect("it is valid"))
}

/// Compares what was put with what has arrived, and prints it.
fn settle<L: Line>(ledger: &Ledger, taker: &L::Taker, dead: &Dead, took: Duration) {
    let all = ledger.each * EACH;
    let missing = (0..EACH).flat_map(|producer| {
        let messages = (0..ledger.each).map(move |which| [producer, which]);
        messages.filter(|message| !ledger.has_arrived(*message))
    });
    let (mut in_doubt, mut lost) = (0, 0);
    for [producer, which] in missing {
        let is_in_doubt =
            |(whose, range): &(u64, Range<u64>)| *whose == producer && range.contains(&which);
        if dead.in_doubt.iter().any(is_in_doubt) {
            in_doubt += 1;
        } else {
            lost += 1;
        }
    }
    let arrived = ledger.count();
    // The ring has counted for itself what was put and taken.
    let gone = L::counts(taker).map(|[put, taken]| {
        assert_eq!(put, taken, "messages are left");
        assert!(arrived <= taken, "more has arrived than was taken");
        taken - arrived
    });

    assert_eq!(ledger.twice(), 0, "some have arrived twice");
    assert_eq!(ledger.out_of_order(), 0, "some have arrived out of order");
    assert_eq!(arrived + lost + in_doubt, all);
    assert!(
        lost <= dead.in_hand,
        "{lost} are lost, more than the dead had in hand"
    );
    if let Some(gone) = gone {
        // What was put in doubt may have gone with the dead, too.
        assert!((lost..=lost + in_doubt).contains(&gone), "{gone} are gone");
        assert!(
            gone <= dead.in_hand,
            "{gone} are gone, more than the dead had in hand"
        );
    }

    let rate = HumanFloatCount((arrived as f64 / took.as_secs_f64()).round());
    println!(
        "  killed              {} producers, {} consumers",
        dead.producers, dead.consumers
    );
    println!(
        "  messages            {} in {took:.2?}: {rate} a second",
        HumanCount(all)
    );
    println!(
        "  arrived             {}, each once, those of a producer in order",
        HumanCount(arrived)
    );
    println!(
        "  lost with the dead  {}, who had up to {} in hand",
        gone.unwrap_or(lost),
        dead.in_hand
    );
    println!(
        "  never put           {} that the dead were putting\n",
        gone.map_or(in_doubt, |gone| lost + in_doubt - gone)
    );
}
