//! What children and parents know of one another, and which of them die with the other.

use std::{
    process,
    time::{Duration, Instant},
};

use multiproc::{Process, StartMethod};

use super::{STUCK, builder, echo, error_of, idling, is_gone, wait_for_end};
use crate::fifo::Fifo;

pub fn a_child_knows_how_it_was_started(method: StartMethod) {
    fn tell(_: ()) -> (String, u32, Option<StartMethod>, bool) {
        let me = multiproc::current();
        (
            me.name().into(),
            me.pid(),
            me.start_method(),
            me.is_daemon(),
        )
    }
    for daemon in [false, true] {
        let builder = builder(method).name("known").daemon(daemon);
        let child = builder.start(tell, ()).unwrap();
        let expected = ("known".to_owned(), child.pid(), Some(method), daemon);
        assert_eq!(child.join().unwrap(), expected);
    }
    assert_eq!(multiproc::current().name(), "main");
    assert_eq!(multiproc::current().start_method(), None);
    assert_eq!(multiproc::parent(), None);
}

pub fn a_child_knows_its_parent(method: StartMethod) {
    fn tell(_: ()) -> (u32, u32, String, bool, bool) {
        let parent = multiproc::parent().unwrap();
        let ended = parent.wait_timeout(Duration::from_millis(1)).unwrap();
        // SAFETY: takes nothing.
        let of_system = unsafe { libc::getppid() } as u32;
        let name = parent.name().to_owned();
        (parent.pid(), of_system, name, parent.is_alive(), ended)
    }
    fn middle(method: StartMethod) -> (u32, u32, String, bool, bool) {
        builder(method).start(tell, ()).unwrap().join().unwrap()
    }
    let (pid, of_system, name, alive, ended) =
        builder(method).start(tell, ()).unwrap().join().unwrap();
    assert_eq!((pid, of_system), (process::id(), process::id()));
    assert_eq!((name.as_str(), alive, ended), ("main", true, false));
    let child = builder(method)
        .name("middle")
        .start(middle, method)
        .unwrap();
    let middle = child.pid();
    let (pid, of_system, name, ..) = child.join().unwrap();
    assert_eq!((pid, of_system, name.as_str()), (middle, middle, "middle"));
}

/// Fault 23.
pub fn a_child_sees_its_parent_end(method: StartMethod) {
    fn watch((begun, told): (Fifo, Fifo)) {
        let parent = multiproc::parent().unwrap();
        let descriptor = parent.descriptor().unwrap().unwrap();
        begun.send("begun");
        assert_eq!(multiproc::wait(&[descriptor], Some(STUCK)).unwrap(), [0]);
        parent.wait().unwrap();
        assert!(parent.wait_timeout(STUCK).unwrap() && !parent.is_alive());
        assert!(parent.descriptor().unwrap().is_none());
        told.send(parent.name());
    }
    fn parent((method, begun, told): (StartMethod, Fifo, Fifo)) {
        builder(method)
            .start(watch, (begun, told))
            .unwrap()
            .detach();
        loop {
            std::thread::park();
        }
    }
    let (begun, told) = (Fifo::new(), Fifo::new());
    let arguments = (method, begun.clone(), told.clone());
    let child = builder(method)
        .name("mortal")
        .start(parent, arguments)
        .unwrap();
    assert_eq!(begun.receive(), "begun");
    child.kill().unwrap();
    assert!(error_of(child).is_killed());
    assert_eq!(told.receive(), "mortal");
    begun.remove();
    told.remove();
}

/// Fault 23.
pub fn a_daemon_dies_with_its_parent(method: StartMethod) {
    fn report(pid: Fifo) {
        pid.send(&process::id().to_string());
        loop {
            std::thread::park();
        }
    }
    fn parent((method, pid): (String, Fifo)) {
        let builder = Process::builder()
            .method(method.parse().unwrap())
            .daemon(true);
        builder.start(report, pid).unwrap().detach();
        loop {
            std::thread::park();
        }
    }
    let pid = Fifo::new();
    let child = builder(method)
        .start(parent, (method.to_string(), pid.clone()))
        .unwrap();
    let grandchild: u32 = pid.receive().parse().unwrap();
    pid.remove();
    assert!(!is_gone(grandchild));
    child.kill().unwrap();
    assert!(error_of(child).is_killed());
    wait_for_end(grandchild);
}

pub fn a_daemon_outlives_the_thread_that_started_it(method: StartMethod) {
    fn parent(method: String) -> u32 {
        let gate = Fifo::new();
        let theirs = gate.clone();
        let start = move || {
            let builder = Process::builder()
                .method(method.parse().unwrap())
                .daemon(true);
            match builder.start(echo, (theirs.clone(), 8)) {
                Ok(child) => child,
                // A second thread is what `fork` refuses, and what this is about.
                // SAFETY: the other thread only waits for this one.
                Err(_) => unsafe { builder.start_closure(move || echo((theirs, 8))) }.unwrap(),
            }
        };
        let child = std::thread::spawn(start).join().unwrap();
        gate.send("go");
        gate.remove();
        child.join().unwrap()
    }
    let child = builder(method).start(parent, method.to_string()).unwrap();
    assert_eq!(child.join().unwrap(), 8);
}

/// Fault 23.
pub fn a_daemon_starts_daemons_that_all_die_with_the_first(method: StartMethod) {
    fn descend((method, depth, pids): (StartMethod, u32, Fifo)) {
        if depth == 0 {
            pids.send(&process::id().to_string());
        } else {
            let builder = builder(method).daemon(true);
            builder
                .start(descend, (method, depth - 1, pids))
                .unwrap()
                .detach();
        }
        loop {
            std::thread::park();
        }
    }
    let pids = Fifo::new();
    let child = builder(method)
        .start(descend, (method, 2, pids.clone()))
        .unwrap();
    let last: u32 = pids.receive().parse().unwrap();
    pids.remove();
    child.kill().unwrap();
    assert!(error_of(child).is_killed());
    wait_for_end(last);
}

pub fn active_children_are_those_that_have_not_ended(method: StartMethod) {
    // Beside other tests of this process, so that there are others.
    let is_active = |pid| {
        multiproc::active_children()
            .iter()
            .any(|child| child.pid() == pid)
    };
    let child = idling(&builder(method).name("busy"));
    let (pid, all) = (child.pid(), multiproc::active_children());
    let listed = all.iter().find(|child| child.pid() == pid).unwrap();
    assert_eq!(listed.name(), "busy");
    assert_eq!(
        format!("{listed:?}"),
        format!("ActiveChild {{ name: \"busy\", pid: {pid} }}")
    );
    assert!(listed.is_alive());
    listed.terminate().unwrap();
    assert_eq!(multiproc::wait(&[listed], Some(STUCK)).unwrap(), [0]);
    assert!(!listed.is_alive());
    assert_eq!(error_of(child).signal(), Some(libc::SIGTERM));
    listed.kill().unwrap();
    assert!(!is_active(pid));
    let detached = idling(&builder(method));
    let pid = detached.pid();
    detached.detach();
    assert!(is_active(pid));
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    let start = Instant::now();
    while is_active(pid) {
        assert!(start.elapsed() < STUCK);
        std::thread::yield_now();
    }
    // It has been reaped.
    assert!(is_gone(pid));
    fn of_a_child(_: ()) -> usize {
        multiproc::active_children().len()
    }
    let idle = idling(&builder(method));
    assert_eq!(
        builder(method)
            .start(of_a_child, ())
            .unwrap()
            .join()
            .unwrap(),
        0
    );
    drop(idle);
}
