//! What work costs while many other processes are attached and do nothing.

use std::{hint::black_box, io};

use multiproc::{Array, Child, Event, Mutex, Process, Queue, Raw, Semaphore, Value};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    measure::work_per_call,
    report::{Report, beside::own},
    rows::Outcome,
    sys::Place,
};

/// How many others there are.
const OTHERS: u32 = 64;
/// Times what it costs alone.
const AT_MOST: f64 = 1.1;
const TIMES: u32 = 100_000;

/// Lock, add one, unlock.
pub fn lock(report: &mut Report) -> Outcome {
    row(
        report,
        "lock",
        || Mutex::new(0u64),
        |mutex| {
            *mutex.lock().unwrap() += 1;
        },
    )
}

/// A transaction on a value.
pub fn update(report: &mut Report) -> Outcome {
    let name = "`Value<f64>::update`";
    row(
        report,
        name,
        || Value::new(0.0),
        |value| {
            value.update(|v| *v += 1.0).unwrap();
        },
    )
}

/// A claim of a range of an array and its release.
pub fn claim(report: &mut Report) -> Outcome {
    let make = || Array::<f64>::zeroed(1024);
    row(report, "`Array::write`", make, |array| {
        array.write(100..200).unwrap()[0] += 1.0;
    })
}

/// A word put and taken.
pub fn queue(report: &mut Report) -> Outcome {
    let make = || Queue::<u64, Raw>::raw(1 << 14);
    row(report, "queue put, get", make, |queue| {
        queue.put(1).unwrap();
        queue.get().unwrap();
    })
}

fn row<T>(
    report: &mut Report,
    name: &str,
    make: impl Fn() -> Result<T, multiproc::Error>,
    work: impl Fn(&T),
) -> Outcome
where
    T: Clone + Serialize + DeserializeOwned + Send + 'static,
{
    let name = format!("{name}, {OTHERS} others attached");
    let Some(bench) = report.bench(name, Place::First) else {
        return Ok(());
    };
    let (alone, crowded) = (make()?, make()?);
    let others = Others::attach(&crowded)?;
    let work = &work;
    bench
        .ours(|| work_per_call(TIMES, || work(black_box(&crowded))))
        .target(own("own, with nobody else attached"), AT_MOST, || {
            work_per_call(TIMES, || work(black_box(&alone)))
        })
        .run(report)?;
    others.leave()
}

/// Processes that are attached to an object and sleep.
struct Others {
    children: Vec<Child<()>>,
    leave: Event,
}

impl Others {
    fn attach<T>(object: &T) -> Result<Others, multiproc::Error>
    where
        T: Clone + Serialize + DeserializeOwned + Send + 'static,
    {
        let (arrived, leave) = (Semaphore::new(0)?, Event::new()?);
        let start = |_| {
            let others = (object.clone(), arrived.clone(), leave.clone());
            Process::fork(stay::<T>, others)
        };
        let children = (0..OTHERS).map(start).collect::<Result<Vec<_>, _>>()?;
        for _ in &children {
            arrived.acquire()?.forget();
        }
        Ok(Others { children, leave })
    }

    fn leave(self) -> Outcome {
        self.leave.set();
        for child in self.children {
            child.join().map_err(io::Error::other)?;
        }
        Ok(())
    }
}

fn stay<T>((object, arrived, leave): (T, Semaphore, Event)) {
    arrived.release(1).unwrap();
    leave.wait();
    drop(object);
}
