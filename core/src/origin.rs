//! Where the owners in a layout mean something.

use crate::error::LayoutError;

/// Where a layout's owners mean something: one boot of one machine, one PID namespace, one time namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// A hash of the machine's boot id; only its low 48 bits count.
    pub boot: u64,
    /// The inode of the PID namespace, 0 if unknown.
    pub pid_ns: u32,
    /// The inode of the time namespace, 0 if there is none.
    pub time_ns: u32,
}

impl Origin {
    /// As it lies in a header: three words, each of which one store replaces.
    pub(crate) fn words(self) -> [u64; 3] {
        [self.boot, self.pid_ns.into(), self.time_ns.into()].map(checked_word)
    }

    pub(crate) fn from_words(words: [u64; 3]) -> Result<Origin, LayoutError> {
        if let Some(found) = words.into_iter().find(|&word| checked_word(word) != word) {
            let what = "origin";
            return Err(LayoutError::Impossible { what, found });
        }
        let [boot, pid_ns, time_ns] = words.map(|word| word & LOW_48);
        Ok(Origin {
            boot,
            pid_ns: pid_ns as u32,
            time_ns: time_ns as u32,
        })
    }

    /// That this origin, found in a header, is the one `expected`.
    pub(crate) fn must_be(self, expected: Origin) -> Result<(), LayoutError> {
        if self.boot != expected.boot & LOW_48 {
            return Err(LayoutError::ForeignBoot);
        }
        if self.pid_ns != expected.pid_ns {
            return Err(LayoutError::ForeignPidNamespace {
                expected: expected.pid_ns,
                found: self.pid_ns,
            });
        }
        if self.time_ns != expected.time_ns {
            return Err(LayoutError::ForeignTimeNamespace {
                expected: expected.time_ns,
                found: self.time_ns,
            });
        }
        Ok(())
    }
}

const LOW_48: u64 = (1 << 48) - 1;

/// The low 48 bits of `value` with a check of them in the high 16 (multiplicative hashing; Knuth, volume 3, 6.4): a
/// word that can be changed by one store and yet be found damaged.
fn checked_word(value: u64) -> u64 {
    let value = value & LOW_48;
    value | (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) << 48
}
