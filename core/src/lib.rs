//! The `no_std` half of multiproc.
#![no_std]

pub mod atomic;
mod error;
mod header;
mod os;
mod owner;
mod region;
mod text;

pub use error::{LayoutError, Shape};
pub use header::{Kind, Origin};
pub use os::{Liveness, Os, Wait};
pub use owner::Owner;
pub use region::{ALIGN, Region};
pub use text::Text;
