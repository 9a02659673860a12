//! The bodies of the fuzz targets: plain functions over bytes, without libFuzzer.
//!
//! | module | what any bytes must not do |
//! |---|---|
//! | [`header`] | as a segment: make attaching panic, or reach beyond the segment |
//! | [`attach_value`] | as the body of a value or a mutex: make any call on it panic, overrun or stay for ever |
//! | [`attach_array`] | likewise for an array, its claims and its poison |
//! | [`attach_sync`] | likewise for every other lock, and all that threads wait on |
//! | [`attach_ring`] | likewise for a ring of records, its positions and its data |
//! | [`attach_channel`], [`attach_joinable`], [`attach_tasks`] | likewise for a channel, a ring that knows what is done, a ring of tasks |
//! | [`claims_model`] | as a script of claims, waits and deaths: lead to anything that a simple model does not allow |
//! | [`permits_model`] | likewise for permits that are taken, given back, released and forgotten |
//! | [`ring_model`] | likewise for records that are put into a ring and taken from it, which is closed |
//! | [`boot_frame`] | as a message between parent and child: make its reader panic or misread |
//!
//! [`memory`] is where layouts are placed, [`hostile`] the system in which their peers write what they like, [`view`] how any
//! layout is used there, [`passing`] how any ring is.

pub mod attach_array;
pub mod attach_channel;
pub mod attach_joinable;
pub mod attach_ring;
pub mod attach_sync;
pub mod attach_tasks;
pub mod attach_value;
pub mod boot_frame;
pub mod channel_model;
pub mod child_message;
pub mod claims_model;
pub mod header;
pub mod hostile;
pub mod items;
pub mod joinable_model;
pub mod memory;
pub mod packets;
pub mod passing;
pub mod permits_model;
pub mod pipe_message;
pub mod pool_record;
pub mod pool_told;
pub mod ring_model;
pub mod stage;
pub mod start_words;
pub mod tasks_model;
pub mod view;
