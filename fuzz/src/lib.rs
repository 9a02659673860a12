//! The bodies of the fuzz targets: plain functions over bytes, without libFuzzer.
//!
//! | module | what any bytes must not do |
//! |---|---|
//! | [`header`] | as a segment: make attaching panic, or reach beyond the segment |
//! | [`attach_value`] | as the body of a value or a mutex: make any call on it panic, overrun or stay for ever |
//! | [`attach_array`] | likewise for an array, its claims and its poison |
//! | [`attach_sync`] | likewise for every other lock, and all that threads wait on |
//! | [`attach_ring`] | likewise for a ring of records, its positions and its data |
//! | [`attach_channel`] | likewise for a channel, its tables of handles |
//! | [`attach_joinable`] | likewise for a ring that knows what is done |
//! | [`attach_tasks`] | likewise for a ring of tasks, and what workers have in hand |
//! | [`claims_model`] | as a script of claims, waits and deaths: lead to anything that a simple model does not allow |
//! | [`permits_model`] | likewise for permits that are taken, given back, released and forgotten |
//! | [`ring_model`] | likewise for records that are put into a ring and taken from it, which is closed |
//! | [`channel_model`] | likewise for handles of a channel that are received, copied, sent and given back |
//! | [`joinable_model`] | likewise for records that are taken, done with and given up |
//! | [`tasks_model`] | likewise for tasks that are put, cancelled, taken, worked at and lost |
//! | [`pipe_message`] | as packets of a peer: make a pipe panic, wait, or leak a descriptor |
//! | [`child_message`] | likewise for what parent and child send each other |
//! | [`boot_frame`] | as a message between parent and child: make its reader panic or misread |
//! | [`start_words`] | likewise as the few words by which a process is started |
//! | [`pool_record`] | likewise as a record of a pool |
//! | [`pool_told`] | as what workers do to the memory of their pool: end an item twice, never, or otherwise than it has |
//!
//! [`memory`] is where layouts are placed, [`hostile`] the system in which their peers write what they like, [`view`] how any
//! layout is used there, [`passing`] how any ring is. [`stage`] is where processes act that are stopped and die at any step.
//! [`items`] are values of every type that travels, [`packets`] what becomes of their messages.

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
