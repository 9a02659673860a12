//! Where the identities of this process mean something.

use std::{
    fs, io, process,
    sync::atomic::{AtomicU64, Ordering},
};

use multiproc_core::Origin;

use super::identity::Namespaces;
use crate::error::Error;

/// A hash of the boot id; 0 while it was not read. It never changes under a running process.
static BOOT: AtomicU64 = AtomicU64::new(0);

/// This boot of this machine, and the namespaces of this process.
///
/// # Errors
///
/// [`Error::NoProc`] and [`Error::ForeignProc`] when `/proc` is not there or tells of other processes than ours,
/// [`Error::Io`] when it cannot be read.
pub fn origin() -> Result<Origin, Error> {
    let namespaces = match Namespaces::known() {
        Some(known) => known,
        None => check_proc()?,
    };
    // Relaxed: the word is all there is.
    let boot = match BOOT.load(Ordering::Relaxed) {
        0 => read_boot()?,
        known => known,
    };
    BOOT.store(boot, Ordering::Relaxed);
    Ok(Origin {
        boot,
        pid_ns: namespaces.pid,
        time_ns: namespaces.time,
    })
}

/// Why the process cannot tell who it is, or its namespaces if it was only a passing trouble.
fn check_proc() -> Result<Namespaces, Error> {
    const SELF: &str = "/proc/self";
    let found = fs::read_link(SELF).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NoProc,
        _ => Error::io("read", SELF, source),
    })?;
    let expected = process::id();
    if found.to_str() != Some(expected.to_string().as_str()) {
        return Err(Error::ForeignProc {
            expected,
            found: found.display().to_string(),
        });
    }
    Namespaces::now().map_err(|source| Error::io("read", "/proc/thread-self/ns", source))
}

fn read_boot() -> Result<u64, Error> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let id = fs::read(PATH).map_err(|source| Error::io("read", PATH, source))?;
    // FNV-1a (Fowler, Noll, Vo), folded to the 48 bits that an origin has for it.
    let hash = id.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // Never 0, which means "not read".
    Ok(((hash >> 48) ^ (hash & ((1 << 48) - 1))).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_the_same_each_time_and_fits_its_bits() {
        let first = origin().unwrap();
        assert_eq!(origin().unwrap(), first);
        assert!(first.boot != 0 && first.boot >> 48 == 0, "{first:?}");
        assert!(first.pid_ns != 0, "{first:?}");
        assert_eq!(
            check_proc().unwrap(),
            Namespaces {
                pid: first.pid_ns,
                time: first.time_ns
            }
        );
    }
}
