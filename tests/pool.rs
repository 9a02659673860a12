//! Pools: whatever becomes of a task or of a worker, each task ends once, and the pool ends when it is told to.
//!
//! Each test runs in a copy of this process, which has one thread: so it can fork, and if it is stuck it is killed.

mod common;
#[path = "common/observe.rs"]
mod observe;

#[path = "pool/arrays.rs"]
mod arrays;
#[path = "pool/callbacks.rs"]
mod callbacks;
#[path = "pool/deaths.rs"]
mod deaths;
#[path = "pool/ends.rs"]
mod ends;
#[path = "pool/errors.rs"]
mod errors;
#[path = "pool/hostile.rs"]
mod hostile;
#[path = "pool/limits.rs"]
mod limits;
#[path = "pool/maps.rs"]
mod maps;
#[path = "pool/midway.rs"]
mod midway;
#[path = "pool/objects.rs"]
mod objects;
#[path = "pool/payloads.rs"]
mod payloads;
#[path = "pool/pools.rs"]
mod pools;
#[path = "pool/starts.rs"]
mod starts;
#[path = "pool/submitted.rs"]
mod submitted;

use std::{env, process::ExitCode};

/// How many tests run at once: most of the time they wait for something.
const AT_ONCE: usize = 4;

macro_rules! tests {
    ($($module:ident: $($name:ident),*;)*) => {
        &[$($((stringify!($name), (|| pools::guarded($module::$name)) as fn()),)*)*]
    };
}

fn main() -> ExitCode {
    if env::var_os(starts::BEFORE_INIT).is_some() {
        starts::make_pools_before_init();
    }
    multiproc::init();
    common::run_at_once(
        AT_ONCE,
        tests! {
            limits:
                a_task_that_takes_too_long_is_killed_alone,
                of_a_chunk_only_the_item_that_takes_too_long_fails,
                a_deadline_does_not_count_the_time_in_the_queue,
                a_task_that_takes_too_much_memory_is_killed_alone,
                of_a_chunk_only_the_item_that_takes_too_much_memory_fails,
                a_task_killed_for_a_limit_is_not_begun_again_and_breaks_nothing,
                workers_are_replaced_after_so_many_tasks,
                options_that_make_no_sense_are_refused;
            hostile:
                a_result_whose_drop_panics_has_ended_once,
                what_nobody_asks_for_may_panic_when_it_is_dropped,
                a_payload_that_panics_when_it_is_dropped_ends_nothing_but_its_task,
                outcomes_may_fill_the_outbox_to_the_byte_and_be_followed_by_nothing,
                a_grace_and_a_deadline_may_be_longer_than_the_clock_can_say,
                a_map_over_shared_objects_holds_no_more_descriptors_than_it_may,
                a_pool_of_threads_is_dropped_in_a_copy_of_its_process;
            starts:
                an_initializer_is_called_once_in_each_worker_before_its_tasks,
                an_initializer_that_fails_is_an_error_at_once,
                an_initializer_that_fails_later_breaks_the_pool,
                initializers_that_are_killed_later_are_not_started_for_ever,
                there_are_as_many_workers_as_processors_that_may_be_used,
                workers_of_a_fork_server_find_what_was_preloaded,
                a_pool_before_init_is_an_error_that_says_so,
                workers_are_named_and_are_daemons;
            ends:
                who_closes_a_pool_has_its_tasks_done_and_can_give_it_no_more,
                arguments_come_back_from_a_pool_that_takes_no_more,
                who_joins_waits_for_all_that_was_submitted,
                terminating_a_pool_does_not_wait_for_its_tasks,
                workers_that_ignore_the_request_to_end_are_killed,
                dropping_a_pool_ends_its_tasks_and_workers,
                a_pool_ends_though_a_worker_is_stopped,
                waiting_until_idle_ends_in_time,
                workers_end_when_the_process_whose_pool_it_is_is_killed,
                a_copy_that_drops_a_pool_changes_nothing,
                a_copy_cannot_use_a_pool,
                a_pool_outlives_the_thread_that_made_it,
                a_pool_leaves_nothing_behind;
            deaths:
                a_task_that_kills_its_worker_is_told_by_what,
                a_task_that_exits_is_told_with_which_code,
                a_death_in_a_chunk_costs_the_item_alone,
                many_deaths_at_once_cost_those_items_alone,
                a_task_is_begun_again_as_often_as_it_may_be,
                who_is_begun_again_has_all_its_arguments,
                a_panic_is_not_a_death,
                the_first_death_breaks_a_pool_that_is_to_break,
                workers_killed_between_tasks_cost_nothing,
                what_a_dead_worker_was_handed_is_closed,
                a_pool_whose_helper_is_killed_goes_on_while_it_has_workers;
            maps:
                results_come_in_the_order_of_the_items,
                chunks_of_any_size_give_the_same,
                every_number_comes_back_as_it_was,
                the_first_item_that_failed_is_told_once_all_have_ended,
                each_items_outcome_is_told,
                an_item_that_cannot_be_submitted_fails_alone,
                tasks_of_two_to_six_arguments_take_tuples,
                a_map_of_nothing_is_nothing,
                progress_is_told_before_the_end_and_up_to_it,
                results_short_and_long_are_given_while_others_are_computed,
                results_are_given_while_long_items_are_submitted, items_are_taken_as_the_workers_get_on, numbers_and_panics_lie_side_by_side,
                a_map_is_cut_into_four_chunks_for_each_worker,
                the_first_tuple_that_failed_is_told,
                results_come_one_by_one_in_order,
                only_so_many_items_are_taken_ahead,
                results_come_one_by_one_as_they_end,
                what_nobody_asks_for_any_more_is_cancelled,
                a_closed_pool_says_so_once_to_who_asks_for_results;
            submitted:
                a_task_is_told_once_it_has_ended,
                a_task_is_waited_for_as_long_as_was_said,
                a_cancelled_task_never_runs,
                a_task_far_back_in_a_busy_queue_can_be_cancelled,
                a_task_that_runs_or_has_ended_cannot_be_cancelled,
                more_tasks_than_the_ring_holds_wait_their_turn,
                a_panic_is_told_with_message_and_place,
                a_panic_of_a_thread_is_told_with_its_message,
                many_threads_use_one_pool,
                what_a_pool_does_is_shown,
                a_task_has_a_pool_of_its_own;
            callbacks:
                who_asked_is_called_when_the_task_ends,
                who_is_called_may_submit,
                all_who_are_called_at_once_may_submit,
                a_pool_of_threads_is_dropped_in_a_callback,
                a_callback_that_panics_harms_nobody,
                a_pool_is_dropped_in_a_callback,
                a_pool_is_dropped_in_the_callback_of_a_task_that_died,
                a_pool_is_dropped_in_the_callback_of_a_task_that_is_cancelled;
            errors:
                a_pool_for_which_there_are_no_descriptors_is_an_error_that_says_so,
                each_error_is_an_error_of_this_library;
            payloads:
                arguments_and_results_of_any_length_arrive_as_they_were,
                a_result_that_cannot_be_encoded_fails_alone,
                a_result_that_cannot_be_decoded_fails_alone,
                arguments_that_cannot_be_decoded_fail_alone,
                arguments_that_cannot_be_encoded_come_back;
            midway:
                closing_in_the_middle_of_a_map_lets_it_finish,
                joining_in_the_middle_of_a_map_is_refused,
                terminating_in_the_middle_of_a_map_ends_its_items,
                breaking_in_the_middle_of_a_map_ends_its_items,
                an_iterator_may_wait_for_the_chunks_before,
                progress_ends_with_all_that_there_were;
            objects:
                shared_objects_are_shared_with_tasks,
                ends_of_channels_go_to_a_task_and_come_back,
                descriptors_go_to_a_task_and_come_back,
                an_end_is_closed_when_the_task_that_had_it_is_done,
                an_end_is_closed_when_the_task_is_cancelled_that_was_to_have_it,
                tasks_with_and_without_objects_keep_theirs;
            arrays:
                each_chunk_of_an_array_is_read_once,
                each_chunk_of_an_array_is_changed_in_place,
                chunks_of_the_killed_are_poisoned_and_no_others;
        },
    )
}
