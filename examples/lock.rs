//! Several processes write one report, an entry at a time. One of them is killed in the middle of an entry; whoever writes
//! next is told, cuts off what was left, and goes on.
//!
//! ```text
//! cargo run --release --example lock
//! ```

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::{path::PathBuf, process, thread};

use multiproc::{Event, Mutex, Process};

/// The lock, around how many bytes of the report are whole; that one of the writers is stuck; and the report.
type Shared = (Mutex<u64>, Event, PathBuf);

fn write(((lock, stuck, path), writer): (Shared, usize)) {
    let mut report = File::options().write(true).open(path).unwrap();
    for entry in 1..=3 {
        let mut whole = lock.lock().unwrap_or_else(|error| {
            println!("writer {writer}: {error}; I cut off what it left");
            let mut whole = error.into_guard().unwrap();
            report.set_len(*whole).unwrap();
            whole.clear_poison();
            whole
        });
        report.seek(SeekFrom::Start(*whole)).unwrap();
        write!(report, "entry {entry} of writer {writer}: all is").unwrap();
        if (writer, entry) == (2, 2) {
            stuck.set();
            loop {
                thread::park(); // the others wait: nothing is taken from the living
            }
        }
        writeln!(report, " well").unwrap();
        *whole = report.stream_position().unwrap(); // one store, and the entry counts
    }
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    let path = std::env::temp_dir().join(format!("report-{}", process::id()));
    File::create_new(&path)?;
    let shared: Shared = (Mutex::new(0)?, Event::new()?, path.clone());
    let start = |writer| Process::spawn(write, (shared.clone(), writer));
    let mut writers = (1..=3).map(start).collect::<Result<Vec<_>, _>>()?;
    shared.1.wait();
    writers.push(start(4)?); // whoever else is through by now, this one will be told
    let victim = writers.remove(1);
    victim.kill()?;
    println!("{}", victim.join().unwrap_err());
    for writer in writers {
        writer.join()?;
    }
    print!("{}", fs::read_to_string(&path)?);
    fs::remove_file(path)?;
    Ok(())
}
