//! A real Python, with NumPy, to talk with.

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// Far longer than Python takes for anything here: whoever is not through by then is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// The directory of `numpy_reader.py`.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// What every script here begins with.
const PRELUDE: &str = "
import sys
import numpy as np
import numpy_reader
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

def hear():
    line = sys.stdin.readline()
    assert line, 'the test has ended'
    return line.strip()

def attached(name):
    block = SharedMemory(name)
    if sys.version_info < (3, 13):
        resource_tracker.unregister(block._name, 'shared_memory')
    return block
";

/// Why there is no Python with NumPy, if there is none and none was promised by `MULTIPROC_PYTHON`.
pub fn missing() -> Option<String> {
    if env::var_os("MULTIPROC_PYTHON").is_some() {
        return None;
    }
    match python().args(["-c", "import numpy"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(last_line(&output)),
        Err(error) => Some(format!("python3: {error}")),
    }
}

fn python() -> Command {
    let python = env::var_os("MULTIPROC_PYTHON").unwrap_or_else(|| OsString::from("python3"));
    let mut command = Command::new(python);
    command
        .env("PYTHONPATH", EXAMPLES)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}

fn last_line(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    error.lines().last().unwrap_or_default().to_owned()
}

/// Waits for what Python will bring about.
pub fn wait_until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < STUCK, "Python does nothing");
        thread::sleep(Duration::from_millis(1));
    }
}

/// What `numpy_reader.py` prints when it is run for `name`, or its complaint.
pub fn read(name: &str) -> Result<String, String> {
    let reader = format!("{EXAMPLES}/numpy_reader.py");
    let output = python().args([&reader, name]).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// What a script prints.
pub fn run(script: &str, arguments: &[&str]) -> String {
    Python::start(script, arguments).end().join("\n")
}

/// A script that runs. Dropped it is killed.
pub struct Python {
    child: Child,
    lines: Receiver<String>,
}

impl Python {
    pub fn start(script: &str, arguments: &[&str]) -> Python {
        let mut child = python()
            .args(["-u", "-c", &format!("{PRELUDE}{script}")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("MULTIPROC_PYTHON, or else python3, starts");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines() {
                let Ok(()) = sender.send(line.unwrap()) else {
                    return;
                };
            }
        });
        Python { child, lines }
    }

    /// The next line that it prints.
    pub fn hear(&self) -> String {
        self.lines.recv_timeout(STUCK).expect("Python says nothing")
    }

    /// Gives it a line to read.
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    }

    /// What it prints when it is given a line to read.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    /// Waits for its end, which is a good one. What it still prints.
    pub fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(STUCK) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("Python does not end"),
            }
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "Python: {status}");
        rest
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
