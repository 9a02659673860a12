//! Child processes: started, named, joined; how each way to end is told.
//!
//! ```text
//! cargo run --release --example process
//! ```

use std::{process, thread, time::Duration};

use multiproc::{Process, active_children, current, parent};

fn greet(whom: String) -> String {
    let me = current();
    let parent = parent().map_or(0, |parent| parent.pid());
    format!("hello {whom}, from {} (child of {parent})", me.name())
}

fn leave(code: i32) {
    process::exit(code)
}

fn fail(number: u32) -> u32 {
    100 / number
}

fn sleep(_: ()) {
    loop {
        thread::park(); // until somebody ends it
    }
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    println!("this is {} (pid {})", current().name(), current().pid());

    let child = Process::spawn(greet, "world".to_owned())?;
    println!("{}", child.join()?);

    let named = Process::builder().name("divider");
    println!("{}", named.start(fail, 0)?.join().unwrap_err());
    println!("{}", Process::spawn(leave, 3)?.join().unwrap_err());

    let daemon = Process::builder().name("background").daemon(true);
    let mut child = daemon.start(sleep, ())?; // dies with this process, at the latest
    let in_time = child.join_timeout(Duration::from_millis(20))?;
    println!("{}: {in_time:?}, alive: {}", child.name(), child.is_alive());
    println!("resident: {} KiB", child.memory()?.resident / 1024);
    println!("running: {:?}", active_children());
    child.terminate()?;
    println!("{}", child.join().unwrap_err());

    // All have ended when the scope has; the first that fails is its error.
    multiproc::scope(|s| {
        let children = ["a", "b"].map(|whom| s.spawn(greet, whom.to_owned()));
        for child in children {
            println!("{}", child?.join()?);
        }
        Ok(())
    })
}
