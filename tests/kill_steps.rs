//! A process is killed between any two shared stores of what it does: nobody is stuck, nothing is torn, what was half-done
//! is told, what it had comes back. The line above each test has the numbers of its faults in `docs/faults.md`.
//!
//! Exhaustive: [`engine`] says over what.

mod common;

#[path = "kill_steps/barriers.rs"]
mod barriers;
#[path = "kill_steps/conditions.rs"]
mod conditions;
#[path = "kill_steps/ends.rs"]
mod ends;
#[path = "kill_steps/engine.rs"]
mod engine;
#[path = "kill_steps/jobs.rs"]
mod jobs;
#[path = "kill_steps/locks.rs"]
mod locks;
#[path = "kill_steps/onces.rs"]
mod onces;
#[path = "kill_steps/permits.rs"]
mod permits;
#[path = "kill_steps/records.rs"]
mod records;
#[path = "kill_steps/reentrant.rs"]
mod reentrant;
#[path = "kill_steps/rings.rs"]
mod rings;
#[path = "kill_steps/rwlocks.rs"]
mod rwlocks;
#[path = "kill_steps/singles.rs"]
mod singles;
#[path = "kill_steps/tasks.rs"]
mod tasks;
#[path = "kill_steps/ways.rs"]
mod ways;

use std::process::ExitCode;

macro_rules! tests {
    ($($module:ident: $($name:ident),*;)*) => {
        &[$($((stringify!($name), $module::$name as fn()),)*)*]
    };
}

/// How many tests run at once: they sleep most of the time, until slices end. Those that take longest come first.
const AT_ONCE: usize = 10;

fn main() -> ExitCode {
    multiproc::init();
    common::run_at_once(
        AT_ONCE,
        tests! {
            tasks:
                a_kill_at_any_step_of_what_may_be_begun_again_costs_nothing,
                a_kill_at_any_step_of_a_chunk_with_a_long_result_costs_one_item_alone,
                a_kill_at_any_step_of_a_task_with_shared_objects_costs_that_task_alone,
                a_kill_at_any_step_of_a_task_costs_that_task_alone,
                a_kill_at_any_step_of_a_timed_task_costs_that_task_alone,
                a_kill_at_any_step_of_a_chunk_costs_one_item_alone,
                a_kill_at_any_step_of_a_worker_that_does_one_task_costs_that_task_alone;
            rings:
                a_kill_at_any_step_of_sending_many_sends_all_that_there_is_room_for_or_none,
                a_kill_at_any_step_of_receiving_takes_the_record_along_or_leaves_it_to_another,
                a_kill_at_any_step_of_putting_puts_the_record_or_not,
                a_kill_at_any_step_of_putting_many_puts_all_that_there_is_room_for_or_none,
                a_kill_at_any_step_of_getting_takes_the_record_along_or_leaves_it_to_another,
                a_kill_at_any_step_of_getting_many_takes_all_of_them_along_or_leaves_them_to_others,
                a_kill_at_any_step_among_three_producers_and_three_consumers,
                a_killed_recovery_of_a_ring,
                a_kill_at_any_step_of_closing_leaves_nobody_asleep;
            ends:
                a_kill_at_any_step_of_a_sender_that_comes_and_goes_is_told_to_receivers,
                a_kill_at_any_step_of_a_receiver_that_comes_and_goes_is_told_to_senders,
                a_kill_at_any_step_of_finding_out_that_nobody_is_left_hides_it_from_nobody,
                a_killed_recovery_of_an_abandoned_channel,
                a_kill_at_any_step_of_handing_an_end_over_leaves_it_to_one_or_to_nobody,
                a_kill_at_any_step_of_taking_an_end_over_is_told_to_the_other_end;
            singles:
                a_kill_at_any_step_of_the_only_producer_leaves_all_that_it_has_published,
                a_kill_at_any_step_of_the_only_consumer_is_told_to_the_producer;
            jobs:
                a_kill_at_any_step_of_who_takes_jobs_is_told_to_who_joins_exactly,
                a_kill_at_any_step_of_who_joins_hides_no_loss_and_doubles_none;
            permits:
                a_kill_at_any_step_of_who_takes_a_permit_loses_none_and_doubles_none,
                a_kill_at_any_step_of_who_takes_permits_loses_none_and_doubles_none,
                a_kill_at_any_step_of_using_permits_up_loses_those_or_none,
                a_kill_at_any_step_of_releasing_permits_adds_all_or_none,
                a_killed_recovery_of_permits;
            rwlocks:
                a_kill_at_any_step_of_a_writer_is_told_to_readers_and_writers,
                a_kill_at_any_step_of_a_reader_keeps_nobody_out_and_poisons_nothing,
                a_kill_at_any_step_of_a_downgrade_lets_readers_in_or_is_told,
                a_kill_at_any_step_of_one_who_wrote_and_reads_keeps_nobody_out,
                a_killed_recovery_of_a_writer,
                a_killed_recovery_of_one_who_wrote_and_read;
            locks:
                a_kill_at_any_step_of_a_mutex_sticks_nobody_and_is_told,
                a_kill_at_any_step_of_a_value_leaves_the_old_or_the_new_one,
                a_kill_at_any_step_of_a_claim_poisons_its_range_and_no_other,
                a_killed_recovery_of_a_mutex,
                a_killed_recovery_of_a_value,
                a_killed_recovery_of_a_claim,
                a_kill_while_poison_is_merged_loses_none;
            reentrant:
                a_kill_at_any_step_of_a_reentrant_mutex_frees_it_however_deep_it_was_held,
                a_killed_recovery_of_a_reentrant_mutex;
            conditions:
                a_kill_at_any_step_of_a_consumer_loses_no_item_but_its_own,
                a_kill_at_any_step_of_a_producer_loses_no_item,
                a_kill_at_any_step_of_notifying_leaves_nobody_asleep,
                a_kill_at_any_step_of_setting_an_event_leaves_nobody_asleep,
                a_kill_at_any_step_of_waiting_for_an_event_keeps_nobody_from_it,
                a_kill_at_any_step_of_changing_a_value_leaves_no_watcher_asleep,
                a_kill_at_any_step_of_watching_a_value_keeps_nobody_from_it;
            onces:
                a_kill_at_any_step_of_making_a_value_once_leaves_it_to_the_next,
                a_kill_at_any_step_of_failing_to_make_a_value_leaves_it_to_the_next,
                a_killed_recovery_of_a_value_made_once,
                a_kill_at_any_step_of_doing_something_once_leaves_it_to_the_next;
            barriers:
                a_kill_at_any_step_of_who_waits_at_a_barrier_is_told_to_all_or_to_nobody,
                a_kill_at_any_step_of_the_last_at_a_barrier_is_told_to_all_or_to_nobody,
                a_kill_at_any_step_of_aborting_or_resetting_a_barrier_sticks_nobody;
        },
    )
}
