//! The outcomes of the items of a map, put into the order of the items.
//!
//! They come in some order, mostly almost that of the items, and lie here until there is something to be taken from them.
//! Whoever maps takes what has come meanwhile as it is, and decodes it while the workers go on; also while there are still
//! items to be handed over, so that little lies here at any time.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    mem,
    ops::Range,
    rc::Rc,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    encoding::Form,
    error::TaskError,
    executor::Payload,
    job::{Apart, Job, Run},
    outcome::Outcomes,
    returned::{apart, each_value},
};

/// Outcomes that have come and were not taken.
pub(super) struct Collect {
    kept: Mutex<Kept>,
    more: Condvar,
}

#[derive(Default)]
struct Kept {
    come: Come,
    /// How many items have ended.
    ended: u64,
    /// How many are to have ended before it goes on, for whoever waits.
    wanted: Option<u64>,
    /// Whether somebody wants to know each time.
    is_watched: bool,
}

/// Outcomes in the order in which they came.
#[derive(Default)]
struct Come {
    /// What the runs are about.
    bytes: Vec<u8>,
    runs: Vec<Place>,
    apart: Vec<(u64, Apart)>,
    /// How many bytes what is in `apart` takes.
    bytes_apart: usize,
}

/// Outcomes of items one after the other: the first of these, the one behind them, and which bytes tell of them.
struct Place {
    items: Range<u64>,
    form: Form,
    bytes: Range<usize>,
}

/// So many bytes of outcomes are worth to be woken for.
const ENOUGH: usize = 64 * 1024;
/// How often somebody who wants to know is told, if so much happens.
const MOMENT: Duration = Duration::from_millis(20);

impl Collect {
    pub(super) fn new(is_watched: bool) -> Arc<Collect> {
        Arc::new(Collect {
            kept: Mutex::new(Kept {
                is_watched,
                ..Kept::default()
            }),
            more: Condvar::new(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many items have ended, or something has come that is worth it.
    fn wait(&self, wanted: u64) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept();
        kept.wanted = Some(wanted);
        while !kept.is_enough() {
            let woken = self.more.wait(kept);
            kept = woken.unwrap_or_else(PoisonError::into_inner);
        }
        kept
    }

    /// So many items more have ended.
    fn note(&self, mut kept: MutexGuard<'_, Kept>, count: u64) {
        kept.ended += count;
        let wake = kept.is_enough();
        drop(kept);
        if wake {
            self.more.notify_all();
        }
    }
}

impl Kept {
    fn is_enough(&self) -> bool {
        let come = &self.come;
        let is_any = !come.runs.is_empty() || !come.apart.is_empty();
        self.wanted.is_some_and(|wanted| self.ended >= wanted)
            || come.bytes.len() + come.bytes_apart >= ENOUGH
            || self.is_watched && is_any
    }
}

impl Job for Collect {
    fn ended(&self, runs: &mut dyn Iterator<Item = Run<'_>>) {
        let mut kept = self.kept();
        let come = &mut kept.come;
        let mut count = 0;
        for run in runs {
            count += run.items;
            let begin = come.bytes.len();
            come.bytes.extend_from_slice(run.outcomes.bytes);
            // Each by itself: what a worker told wrongly is then about the items that it told of, and no others.
            let bytes = begin..come.bytes.len();
            let items = run.first..run.first + run.items;
            let form = run.outcomes.form;
            come.runs.push(Place { items, form, bytes });
        }
        self.note(kept, count);
    }

    fn ended_apart(&self, index: u64, how: Apart) {
        let mut kept = self.kept();
        kept.come.bytes_apart += size_of::<Apart>();
        if let Apart::Carried { told, .. } = &how {
            kept.come.bytes_apart += told.len();
        }
        kept.come.apart.push((index, how));
        self.note(kept, 1);
    }
}

/// Gives the outcomes that are collected to `take`, in the order of the items, each once those before it have come; tells
/// `progress` now and then how many items have ended.
pub(super) struct Taker<R, F, P> {
    collect: Arc<Collect>,
    order: Order<R, F>,
    /// What was taken last: the memory of its lists.
    come: Come,
    ended: u64,
    /// How many there are, once that is known.
    all: Option<u64>,
    progress: P,
    /// How many it was told of last, and when.
    told: (u64, Option<Instant>),
}

impl<R: Payload, F: FnMut(Result<R, TaskError>), P: FnMut(u64, bool)> Taker<R, F, P> {
    pub(super) fn new(collect: Arc<Collect>, take: F, progress: P) -> Taker<R, F, P> {
        Taker {
            collect,
            order: Order {
                next: 0,
                early: BTreeMap::new(),
                take,
                returns: PhantomData,
            },
            come: Come::default(),
            ended: 0,
            all: None,
            progress,
            told: (0, None),
        }
    }

    /// How many items had ended when something was taken last.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// Takes what has come, if it is much; waits for nothing.
    pub(super) fn take_some(&mut self) {
        let collect = Arc::clone(&self.collect);
        let kept = collect.kept();
        if kept.is_enough() {
            self.take(kept);
        }
    }

    /// Takes what comes until so many items have ended.
    pub(super) fn take_until(&mut self, wanted: u64) {
        let collect = Arc::clone(&self.collect);
        while self.ended < wanted {
            self.take(collect.wait(wanted));
        }
        collect.kept().wanted = None;
    }

    /// There are so many items: takes what comes until all have ended.
    pub(super) fn take_all(mut self, all: u64) {
        self.all = Some(all);
        self.take_until(all);
        self.tell(Duration::ZERO);
    }

    /// Takes what has come.
    fn take(&mut self, mut kept: MutexGuard<'_, Kept>) {
        // What was emptied here is filled there next.
        mem::swap(&mut kept.come, &mut self.come);
        self.ended = kept.ended;
        drop(kept);
        self.order.add(&mut self.come);
        self.tell(MOMENT);
    }

    /// Tells how many have ended if that was not done for so long.
    fn tell(&mut self, patience: Duration) {
        let (before, when) = self.told;
        if self.ended != before && when.is_none_or(|when| when.elapsed() >= patience) {
            (self.progress)(self.ended, self.all == Some(self.ended));
            self.told = (self.ended, Some(Instant::now()));
        }
    }
}

/// Puts outcomes into the order of the items.
struct Order<R, F> {
    /// The next item to be given.
    next: u64,
    /// What came before its turn, by the first item.
    early: BTreeMap<u64, Early>,
    take: F,
    returns: PhantomData<fn() -> R>,
}

enum Early {
    Run(Rc<Vec<u8>>, Place),
    Apart(Apart),
}

impl<R: Payload, F: FnMut(Result<R, TaskError>)> Order<R, F> {
    /// Gives what has its turn; the rest waits for it. What is left of the lists is their memory.
    fn add(&mut self, come: &mut Come) {
        come.bytes_apart = 0;
        come.runs.sort_unstable_by_key(|run| run.items.start);
        let early = come.apart.drain(..);
        self.early
            .extend(early.map(|(index, how)| (index, Early::Apart(how))));
        let mut rest = come.runs.drain(..).peekable();
        loop {
            while let Some(run) = rest.next_if(|run| run.items.start == self.next) {
                self.give(&come.bytes, run);
            }
            match self.early.remove(&self.next) {
                None => break,
                Some(Early::Run(bytes, run)) => self.give(&bytes, run),
                Some(Early::Apart(how)) => {
                    (self.take)(apart(how));
                    self.next += 1;
                }
            }
        }
        if rest.peek().is_some() {
            let bytes = Rc::new(mem::take(&mut come.bytes));
            let early = |run: Place| (run.items.start, Early::Run(Rc::clone(&bytes), run));
            self.early.extend(rest.map(early));
        } else {
            come.bytes.clear();
        }
    }

    /// Gives the outcomes of the next items, which lie in these bytes.
    fn give(&mut self, bytes: &[u8], run: Place) {
        let items = run.items.end - run.items.start;
        let outcomes = Outcomes {
            form: run.form,
            bytes: &bytes[run.bytes],
        };
        each_value::<R>(outcomes, items, &mut self.take);
        self.next = run.items.end;
    }
}
