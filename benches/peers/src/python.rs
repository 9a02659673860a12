//! Python's multiprocessing, run by the Python that is installed.

use std::{collections::HashMap, io, process::Command};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");

/// Whether there is a `python3` to compare with.
pub fn is_there() -> bool {
    Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// One repetition of a row of `peers.py`, in nanoseconds per operation.
pub fn measure(row: &str) -> io::Result<f64> {
    let output = Command::new("python3").arg(SCRIPT).arg(row).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!(
            "peers.py {row}: {}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    let rows: HashMap<String, f64> = serde_json::from_slice(&output.stdout)?;
    rows.get(row)
        .copied()
        .ok_or_else(|| io::Error::other(format!("peers.py does not know the row {row}")))
}
