//! What an object takes: shared memory and descriptors.

use std::{error::Error, fs, io};

use crate::measure::Measured;

/// What this process has at a moment.
struct Footprint {
    shared: u64,
    descriptors: usize,
}

impl Footprint {
    fn now() -> io::Result<Footprint> {
        Ok(Footprint {
            shared: shared(&fs::read_to_string("/proc/self/maps")?),
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
        })
    }
}

/// The bytes of shared mappings in a list such as `/proc/self/maps`.
fn shared(maps: &str) -> u64 {
    let len = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let is_shared = words.next()?.ends_with('s');
        let address = |text| u64::from_str_radix(text, 16).ok();
        is_shared.then_some(address(end)? - address(start)?)
    };
    maps.lines().filter_map(len).sum()
}

/// How many bytes of shared mappings an object adds.
pub fn mapped<T, E: Error + 'static>(make: impl FnOnce() -> Result<T, E>) -> Measured {
    let before = Footprint::now()?.shared;
    let object = make()?;
    let after = Footprint::now()?.shared;
    drop(object);
    Ok((after - before) as f64)
}

/// How many descriptors an object adds.
pub fn descriptors<T, E: Error + 'static>(make: impl FnOnce() -> Result<T, E>) -> Measured {
    let before = Footprint::now()?.descriptors;
    let object = make()?;
    let after = Footprint::now()?.descriptors;
    drop(object);
    Ok((after - before) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_mappings_do_not_count() {
        let maps = "7f0000000000-7f0000001000 rw-s 00000000 00:01 5 /memfd:a (deleted)\n\
                    7f0000001000-7f0000003000 rw-p 00000000 00:00 0 \n\
                    7f0000003000-7f0000005000 r--s 00000000 00:01 6 /dev/shm/b\n";
        assert_eq!(shared(maps), 0x3000);
    }
}
