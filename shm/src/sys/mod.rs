//! The switchboard between operating systems: the same names behind each.
//!
//! Everything that a system has of its own, every foreign call and every `cfg(target_os)`, lies below this module.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_endian = "little",
    target_pointer_width = "64",
))]
mod linux;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_endian = "little",
    target_pointer_width = "64",
))]
pub use linux::*;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_endian = "little",
    target_pointer_width = "64",
)))]
compile_error!(
    "multiproc runs on Linux on x86_64 and aarch64 (64 bits, little-endian). For another system write \
     shm/src/sys/<os>/mod.rs with the names of shm/src/sys/linux/mod.rs and list it in shm/src/sys/mod.rs"
);
