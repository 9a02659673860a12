//! Python's multiprocessing, run by the Python that is installed.

use std::{collections::HashMap, io, process::Command, sync::OnceLock};

use crate::measure::is_quick;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");

/// Prints where the interpreter itself lies and its version: what is called `python3` may be a script that looks for it.
const WHO: &str = "import sys; print(sys.executable, sys.version.split()[0], sep='\\n')";

struct Python {
    executable: String,
    version: String,
}

fn python() -> Option<&'static Python> {
    static PYTHON: OnceLock<Option<Python>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let output = Command::new("python3").args(["-c", WHO]).output().ok()?;
        let output = String::from_utf8(output.stdout).ok()?;
        let (executable, version) = output.trim().split_once('\n')?;
        Some(Python {
            executable: executable.into(),
            version: version.into(),
        })
    });
    found.as_ref()
}

/// Whether there is a `python3` to compare with.
pub fn is_there() -> bool {
    python().is_some()
}

/// Its version.
pub fn version() -> Option<&'static str> {
    Some(&python()?.version)
}

/// One repetition of a row of `peers.py`, with what further arguments it takes: what it says.
pub fn measure(row: &[&str]) -> io::Result<f64> {
    let python = python().ok_or_else(|| io::Error::other("there is no python3"))?;
    let mut command = Command::new(&python.executable);
    command.arg(SCRIPT).args(is_quick().then_some("--quick"));
    let output = command.args(row).output()?;
    let name = row.first().copied().unwrap_or_default();
    if !output.status.success() {
        return Err(io::Error::other(format!(
            "peers.py {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    let rows: HashMap<String, f64> = serde_json::from_slice(&output.stdout)?;
    rows.get(name)
        .copied()
        .ok_or_else(|| io::Error::other(format!("peers.py does not know the row {name}")))
}
