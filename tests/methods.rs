//! What holds between threads, copies of a process and new processes alike: each body runs in all of them.

mod common;
#[path = "common/fifo.rs"]
mod fifo;
#[path = "common/methods.rs"]
mod parties;

#[path = "methods/arrays.rs"]
mod arrays;
#[path = "methods/barriers.rs"]
mod barriers;
#[path = "methods/channels.rs"]
mod channels;
#[path = "methods/condvars.rs"]
mod condvars;
#[path = "methods/counts.rs"]
mod counts;
#[path = "methods/events.rs"]
mod events;
#[path = "methods/joinable.rs"]
mod joinable;
#[path = "methods/locks.rs"]
mod locks;
#[path = "methods/once.rs"]
mod once;
#[path = "methods/pipes.rs"]
mod pipes;
#[path = "methods/queues.rs"]
mod queues;
#[path = "methods/readiness.rs"]
mod readiness;
#[path = "methods/reentrant.rs"]
mod reentrant;
#[path = "methods/rwlocks.rs"]
mod rwlocks;
#[path = "methods/semaphores.rs"]
mod semaphores;
#[path = "methods/spsc.rs"]
mod spsc;
#[path = "methods/travel.rs"]
mod travel;
#[path = "methods/waits.rs"]
mod waits;
#[path = "methods/wakes.rs"]
mod wakes;

use std::process::ExitCode;

use parties::Method;

macro_rules! tests {
    ($($module:ident: $($name:ident),*;)*) => {
        &[$($(
            (concat!("threads::", stringify!($name)), || $module::$name(Method::Threads)),
            (concat!("fork::", stringify!($name)), || $module::$name(Method::Fork)),
            (concat!("spawn::", stringify!($name)), || $module::$name(Method::Spawn)),
            (concat!("forkserver::", stringify!($name)), || $module::$name(Method::ForkServer)),
        )*)*]
    };
}

fn main() -> ExitCode {
    multiproc::init();
    common::run_at_once(
        3,
        tests! {
            locks:
                increments_under_a_mutex_are_all_counted,
                updates_of_a_value_are_all_counted,
                a_value_is_never_torn,
                replaced_values_are_each_handed_out_once,
                what_is_discarded_is_never_seen,
                what_is_held_can_be_tried_and_waited_for;
            arrays:
                disjoint_ranges_are_changed_in_place_at_the_same_time,
                overlapping_claims_exclude_each_other,
                readers_share,
                a_reader_never_sees_half_a_write,
                single_elements_are_got_and_set;
            barriers:
                nobody_leaves_a_barrier_before_all_have_come,
                the_action_of_a_barrier_runs_once_before_anybody_is_let_through,
                more_than_the_parties_share_a_barrier,
                a_party_that_gives_up_breaks_the_barrier,
                an_abort_is_told_to_all_who_wait_and_all_who_come,
                a_reset_is_told_to_all_who_wait,
                an_action_that_panics_breaks_the_barrier,
                an_action_that_waits_for_its_own_end_would_deadlock,
                of_several_who_mend_a_barrier_exactly_one_does,
                trying_to_pass_a_barrier_works_for_the_last_alone;
            condvars:
                a_bounded_buffer_hands_everything_over_once,
                all_who_wait_are_woken_by_one_notification,
                each_notification_of_one_lets_one_through,
                a_wait_with_a_timeout_unlocks_meanwhile_and_ends_in_time,
                a_waiter_that_is_killed_holds_up_neither_notifiers_nor_waiters,
                who_waits_is_told_that_who_changed_it_did_not_finish;
            events:
                one_set_wakes_all_who_wait_and_lets_through_all_who_come,
                a_set_that_is_cleared_at_once_is_missed_by_nobody_who_waited,
                a_wait_with_a_timeout_says_whether_it_was_set,
                each_set_is_given_to_one_of_those_who_clear_it,
                what_was_done_before_a_set_is_seen_by_who_clears_it,
                a_waiter_that_is_killed_holds_up_neither_setters_nor_waiters,
                an_event_is_found_by_name,
                a_signal_handler_sets_what_its_own_thread_waits_for,
                a_signal_handler_wakes_other_processes_and_leaves_errno_alone;
            counts:
                counters_count_everything,
                what_is_taken_out_of_a_sharded_counter_is_neither_lost_nor_taken_twice,
                atomic_elements_add_up;
            once:
                exactly_one_makes_a_value_and_all_get_it,
                who_only_waits_for_a_value_is_woken,
                who_fails_or_panics_over_a_value_leaves_it_to_another,
                who_dies_over_a_value_leaves_it_to_another,
                who_makes_a_value_does_not_wait_for_itself_and_others_can_give_up,
                what_is_to_be_done_once_is_done_by_one_and_seen_by_all;
            queues:
                what_was_put_is_there_for_all_at_once_and_in_the_order_of_all_puts,
                of_many_producers_and_consumers_each_item_is_got_once_and_in_order,
                no_more_is_ever_said_to_be_in_it_than_there_was,
                one_item_at_a_time_fits_for_ever,
                batches_are_put_and_got_as_far_as_there_is_room_and_items,
                who_waits_for_an_item_or_for_room_gives_up_in_time,
                all_who_wait_for_items_are_woken_by_as_many,
                all_who_wait_for_room_are_woken_by_as_much,
                a_close_is_told_to_all_who_wait_and_all_who_come,
                what_cannot_be_encoded_is_given_back_at_once,
                what_is_too_large_is_given_back_with_the_capacity_that_does,
                what_no_queue_can_hold_is_refused_with_what_one_can,
                what_cannot_be_decoded_is_told_and_the_next_one_comes,
                room_is_told_for_items_of_each_length,
                a_capacity_for_elements_holds_as_many,
                a_close_that_waits_no_longer_than_it_said_closes,
                what_those_who_have_ended_put_is_there,
                queues_are_found_by_name_and_in_files_and_other_elements_are_refused,
                slices_go_and_come_as_they_are,
                a_descriptor_is_readable_while_there_is_something_to_get,
                a_descriptor_says_nothing_of_what_was_taken_before_it_was_armed,
                dropping_a_descriptor_ends_its_thread;
            joinable:
                a_join_waits_until_every_item_is_done,
                an_item_is_done_by_dropping_it_by_saying_so_or_by_taking_it_out,
                all_who_join_are_woken_by_the_last_who_is_done,
                what_is_given_up_or_dropped_by_a_panic_is_lost_and_told_to_who_joins,
                all_who_join_are_told_at_once_what_is_given_up,
                what_the_dead_had_in_hand_is_lost_and_told,
                an_item_that_panics_when_it_is_dropped_is_lost,
                who_waits_gives_up_in_time_and_what_was_not_put_comes_back,
                a_closed_one_is_emptied_and_joined,
                what_cannot_be_decoded_counts_as_done,
                joinable_queues_are_found_by_name_and_in_files,
                batches_are_put_as_far_as_there_is_room,
                a_descriptor_is_readable_while_there_is_something_to_take;
            channels:
                of_many_senders_and_receivers_each_item_is_received_once_until_the_last_sender_is_gone,
                what_is_left_is_received_before_the_end_is_told,
                those_who_wait_to_receive_are_told_when_the_last_sender_is_dropped,
                those_who_wait_to_send_are_told_when_the_last_receiver_is_dropped,
                each_clone_counts,
                ends_travel_however_deep_in_arguments,
                ends_travel_back_and_outlive_their_maker,
                an_end_is_passed_on_from_child_to_child,
                an_end_on_its_way_is_held,
                an_end_is_held_while_a_child_has_not_decoded_it,
                an_end_that_is_never_decoded_is_not_held_for_ever,
                ends_travel_with_a_process_and_nowhere_else,
                who_waits_gives_up_in_time_and_what_was_not_sent_comes_back,
                what_does_not_fit_is_told_at_both_ends,
                slices_are_sent_as_they_are,
                a_descriptor_is_readable_while_there_is_something_to_receive_or_nobody_to_send;
            spsc:
                all_that_is_sent_is_received_in_order,
                what_is_left_is_received_before_the_end_is_told,
                who_waits_is_told_when_the_other_is_gone,
                who_waits_is_woken_by_an_item_and_by_room,
                who_waits_gives_up_in_time_and_what_was_not_sent_comes_back,
                what_does_not_fit_is_told_at_both_ends,
                items_are_written_and_read_in_their_place,
                places_are_as_single_items_are,
                who_waits_for_a_place_is_woken,
                ends_travel_there_and_back,
                an_end_is_held_while_a_child_has_not_decoded_it,
                an_end_that_was_handed_over_is_of_no_use_and_not_handed_over_twice,
                a_descriptor_is_readable_while_there_is_something_to_receive_or_nobody_to_send,
                records_of_ones_own_are_sent_as_they_are,
                slices_go_and_come_as_they_are;
            reentrant:
                a_lock_is_taken_again_by_whoever_holds_it_and_excludes_others,
                guards_are_dropped_in_any_order_and_the_last_one_unlocks,
                who_dies_deep_inside_poisons_until_that_is_cleared,
                those_who_wait_for_one_who_dies_deep_inside_are_all_told,
                mutexes_around_nothing_guard_what_lies_elsewhere;
            rwlocks:
                writers_exclude_each_other_and_readers_see_no_half_a_write,
                readers_have_it_at_the_same_time,
                who_comes_after_a_waiting_writer_waits_behind_it,
                a_thread_does_not_wait_for_itself,
                a_writer_becomes_a_reader_and_those_who_wait_to_read_get_in_at_once,
                nobody_misses_a_writer_who_becomes_a_reader_over_and_over,
                a_reader_who_dies_leaves_nothing_behind,
                a_writer_who_dies_poisons_until_that_is_cleared,
                those_who_wait_for_a_writer_who_dies_are_all_told,
                a_lock_can_be_tried_and_waited_for;
            waits:
                parties_take_turns_by_a_value,
                nobody_misses_the_last_of_many_changes,
                a_wait_for_a_change_ends_at_its_deadline,
                who_waits_for_a_value_needs_no_lock_and_sees_nothing_before_it_is_published,
                the_death_of_who_changes_a_value_holds_up_nobody_who_waits;
            wakes:
                who_waits_for_an_event_is_woken,
                who_waits_for_a_notification_is_woken,
                who_waits_at_a_barrier_is_woken,
                who_waits_for_what_another_makes_is_woken,
                who_waits_for_what_is_released_is_woken,
                who_waits_for_a_value_to_change_is_woken,
                who_waits_for_an_item_is_woken,
                who_waits_for_room_is_woken,
                who_waits_for_all_to_be_done_is_woken,
                who_waits_for_what_is_sent_is_woken,
                who_waits_for_what_is_sent_from_one_to_one_is_woken,
                who_waits_for_room_from_one_to_one_is_woken,
                who_waits_for_a_mutex_is_woken,
                who_waits_for_a_reentrant_mutex_is_woken,
                who_waits_to_write_is_woken,
                who_waits_to_read_is_woken,
                who_waits_for_the_lock_of_a_value_is_woken,
                who_waits_for_a_range_is_woken,
                who_waits_for_a_permit_is_woken;
            semaphores:
                never_more_than_the_permits_are_held_at_once,
                several_permits_are_taken_at_once_or_not_at_all,
                held_permits_can_be_tried_and_waited_for,
                what_is_made_is_taken_once,
                a_bounded_semaphore_is_not_released_too_often,
                permits_of_the_killed_come_back,
                a_killed_waiter_takes_nothing_along;
            pipes:
                messages_of_many_senders_arrive_whole_and_once_each,
                each_message_goes_to_exactly_one_of_many_receivers,
                both_ends_of_a_pipe_ask_and_answer,
                items_and_bytes_of_any_length_come_out_as_they_went_in,
                who_sends_or_receives_bytes_gives_up_in_time,
                shared_objects_travel_through_a_pipe_and_stay_shared,
                ends_of_channels_travel_in_messages_and_stay_when_they_are_not_sent,
                descriptors_travel_in_arguments_messages_and_return_values,
                ends_of_pipes_travel_in_messages_and_return_values,
                what_was_sent_before_a_death_is_received_and_then_the_end,
                who_sends_to_nobody_gets_the_item_back,
                what_is_too_long_is_refused_and_the_next_is_received,
                who_has_finished_sending_still_receives,
                a_party_sees_the_end_of_file_whatever_else_its_parent_has_open,
                what_cannot_be_encoded_or_decoded_is_an_error_of_that_message,
                as_many_descriptors_travel_as_a_packet_takes_and_no_more;
            readiness:
                who_waits_for_a_message_is_woken,
                who_waits_for_room_is_woken,
                waits_with_a_timeout_end_in_time,
                a_wait_tells_which_of_several_are_ready,
                a_closed_descriptor_is_named_and_not_waited_for,
                who_is_told_of_edges_alone_misses_nothing;
            travel:
                objects_are_found_by_name_and_in_files,
                what_is_waited_for_is_found_by_name_and_in_files,
                objects_travel_however_deep_in_arguments,
                objects_travel_back_and_outlive_their_maker,
                an_object_in_several_places_is_one_object,
                an_object_is_passed_on_from_child_to_child,
                read_only_handles_show_what_others_change,
                what_is_handed_over_read_only_is_mapped_read_only,
                what_was_handed_over_read_only_is_never_taken_for_writable,
                handles_travel_with_a_process_and_nowhere_else;
        },
    )
}
