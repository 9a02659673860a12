//! placeholder
use core::fmt;
pub const MAX_DIMS: usize = 8;
/// What a layout holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind { /// v
 Value = 1 }
impl Kind { pub(crate) fn name_of(_k: u32) -> &'static str { "?" } }
impl fmt::Display for Kind { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("v") } }
/// Where a layout's owners mean something: one boot of one machine, one PID namespace, one time namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// A hash of the machine's boot id; only the lower 48 bits are kept.
    pub boot: u64,
    /// The inode of the PID namespace, 0 if unknown.
    pub pid_ns: u32,
    /// The inode of the time namespace, 0 if there is none.
    pub time_ns: u32,
}
