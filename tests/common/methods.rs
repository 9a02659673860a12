//! One test body for every way to have several parties: threads of this process, copies of it or of a fork server, and
//! new processes.

use std::{
    panic,
    sync::atomic::Ordering,
    thread::{self, JoinHandle},
};

use multiproc::{AtomicArray, Child, Counter, Process, StartError, StartMethod};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::common::{STUCK, asleep, kill_self, wait_until};

/// What a party is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    Threads,
    Fork,
    Spawn,
    ForkServer,
}

/// How many parties there are in most tests.
pub const PARTIES: usize = 4;

/// Parties at work.
pub struct Parties<R>(Vec<Party<R>>);

enum Party<R> {
    Thread(JoinHandle<R>),
    Process(Child<R>),
}

/// Starts a party for each of `arguments`, which runs `body`.
pub fn start<A, R>(
    method: Method,
    body: fn(A) -> R,
    arguments: impl IntoIterator<Item = A>,
) -> Parties<R>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    let party = |arguments| match method {
        Method::Threads => Party::Thread(thread::spawn(move || body(arguments))),
        method => Party::Process(process(method, body, arguments).unwrap()),
    };
    Parties(arguments.into_iter().map(party).collect())
}

/// Starts a process: spawned where parties are threads.
pub fn process<A, R>(method: Method, body: fn(A) -> R, arguments: A) -> Result<Child<R>, StartError>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let builder = Process::builder().method(method.of_processes());
    builder.start(body, arguments)
}

impl Method {
    /// How processes start: spawned where parties are threads.
    pub fn of_processes(self) -> StartMethod {
        match self {
            Method::Fork => StartMethod::Fork,
            Method::ForkServer => StartMethod::ForkServer,
            Method::Spawn | Method::Threads => StartMethod::Spawn,
        }
    }

    /// Whether parties decode their arguments, and have nothing else.
    pub fn decodes(self) -> bool {
        matches!(self, Method::Spawn | Method::ForkServer)
    }
}

impl<R: DeserializeOwned> Parties<R> {
    /// What they return, in the order of their arguments. Panics if one fails, or is stuck.
    pub fn join(self) -> Vec<R> {
        let join = |party| match party {
            Party::Thread(thread) => {
                wait_until(|| thread.is_finished());
                thread.join().unwrap()
            }
            Party::Process(mut child) => child.join_timeout(STUCK).unwrap().expect("it is stuck"),
        };
        self.0.into_iter().map(join).collect()
    }
}

/// Runs `body` in a party for each of `arguments`; gives what they return.
pub fn run<A, R>(method: Method, body: fn(A) -> R, arguments: impl IntoIterator<Item = A>) -> Vec<R>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    start(method, body, arguments).join()
}

/// Runs `body`, which calls [`die`], in a party of its own; returns once that is dead.
pub fn run_to_death<A>(method: Method, body: fn(A), arguments: A)
where
    A: Serialize + DeserializeOwned + Send + 'static,
{
    match start(method, body, [arguments]).0.pop() {
        Some(Party::Thread(thread)) => assert!(thread.join().is_err(), "it lives"),
        Some(Party::Process(mut child)) => {
            let error = child.join_timeout(STUCK).unwrap_err();
            assert!(error.is_killed(), "{error}");
        }
        None => (),
    }
}

/// Ends the calling party: a process is killed, a thread panics.
pub fn die() {
    if thread::current().name() == Some("main") {
        kill_self();
    }
    // Without the hook, which would print it.
    panic::resume_unwind(Box::new(()));
}

/// Waits until as many as `parties` have come here.
pub fn meet(counter: &Counter, parties: usize) {
    counter.add(1);
    wait_until(|| counter.get() >= parties as u64);
}

/// Where parties say which thread they are before they wait, so that others see when they sleep.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sleepers(AtomicArray<u64>);

impl Sleepers {
    pub fn new(parties: usize) -> Sleepers {
        Sleepers(AtomicArray::zeroed(parties).unwrap())
    }

    /// The calling thread is the `i`-th party, and about to wait.
    pub fn enter(&self, i: usize) {
        // SAFETY: takes and returns a number.
        let thread = unsafe { libc::gettid() };
        self.0[i].store(thread as u64, Ordering::Relaxed);
    }

    /// The thread of the `i`-th party, once it has said so.
    pub fn thread(&self, i: usize) -> Option<u32> {
        let thread = self.0[i].load(Ordering::Relaxed) as u32;
        (thread != 0).then_some(thread)
    }

    /// The thread of the `i`-th party, once it sleeps.
    pub fn asleep(&self, i: usize) -> libc::pid_t {
        wait_until(|| self.thread(i).is_some_and(asleep));
        self.thread(i).unwrap_or_default() as libc::pid_t
    }

    /// Waits until every party has slept.
    pub fn all_asleep(&self) {
        for i in 0..self.0.len() {
            self.asleep(i);
        }
    }
}

/// A party that will be killed: none where parties are threads, which cannot be.
pub fn victim<A>(method: Method, body: fn(A), arguments: A) -> Option<Child<()>>
where
    A: Serialize + DeserializeOwned,
{
    match method {
        Method::Threads => None,
        method => Some(process(method, body, arguments).unwrap()),
    }
}

/// Kills a victim, and returns once the kernel shows it dead.
pub fn kill(victim: Option<Child<()>>) {
    if let Some(victim) = victim {
        victim.kill().unwrap();
        assert!(victim.join().unwrap_err().is_killed());
    }
}
