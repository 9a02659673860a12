//! What happens to everything that is shared when processes stop, fork, exec, leak, starve or move house. The line above each
//! test has the number of its fault in `docs/faults.md`. Kills at every step are in `kill_steps`.

mod common;
#[path = "common/flag.rs"]
mod flag;
#[path = "common/observe.rs"]
mod observe;

#[path = "faults/barriers.rs"]
mod barriers;
#[path = "faults/copies.rs"]
mod copies;
#[path = "faults/crowds.rs"]
mod crowds;
#[path = "faults/deadlocks.rs"]
mod deadlocks;
#[path = "faults/forged.rs"]
mod forged;
#[path = "faults/identity.rs"]
mod identity;
#[path = "faults/namespaces.rs"]
mod namespaces;
#[path = "faults/once.rs"]
mod once;
#[path = "faults/pipes.rs"]
mod pipes;
#[path = "faults/queues.rs"]
mod queues;
#[path = "faults/reopened.rs"]
mod reopened;
#[path = "faults/roles.rs"]
mod roles;
#[path = "faults/rwlocks.rs"]
mod rwlocks;
#[path = "faults/signals.rs"]
mod signals;
#[path = "faults/stopped.rs"]
mod stopped;
#[path = "faults/subject.rs"]
mod subject;
#[path = "faults/survivors.rs"]
mod survivors;
#[path = "faults/waits.rs"]
mod waits;

use std::process::ExitCode;

macro_rules! tests {
    ($($module:ident: $($name:ident),*;)*) => {
        &[$($((stringify!($name), $module::$name as fn()),)*)*]
    };
}

fn main() -> ExitCode {
    multiproc::init();
    roles::play();
    common::run_at_once(
        3,
        tests! {
            copies:
                what_an_ended_thread_has_leaked_stays_held_until_its_process_ends,
                a_leaked_read_claim_keeps_writers_out_and_poisons_nothing,
                a_fork_child_drops_an_inherited_guard_and_its_parent_still_holds,
                a_fork_child_that_waits_with_an_inherited_guard_locks_for_itself,
                a_panic_in_a_fork_child_poisons_nothing_of_its_parent,
                a_fork_child_waits_for_what_its_parent_holds,
                a_fork_child_drops_inherited_handles_and_the_name_stays,
                what_a_program_held_before_exec_is_recovered_when_it_ends,
                a_new_image_owns_nothing_and_waits_for_what_the_old_one_held,
                what_nobody_has_after_exec_is_recovered_when_it_is_opened;
            rwlocks:
                a_fork_child_can_do_nothing_with_the_guards_of_a_rwlock_that_it_inherited,
                those_who_die_reading_writing_or_waiting_hold_up_nobody,
                a_stopped_reader_is_waited_for_and_a_stopped_waiter_is_passed,
                who_waits_for_a_value_learns_what_was_published_by_one_who_was_killed_at_once;
            stopped:
                a_stopped_owner_is_waited_for_and_never_stolen_from,
                an_owner_stopped_at_any_step_keeps_what_it_has_and_goes_on,
                a_value_of_a_stopped_writer_is_still_read,
                the_table_of_a_stopped_process_holds_up_timed_claims_no_longer_than_they_said,
                the_poison_of_an_array_is_told_in_time_though_the_table_is_held_by_a_stopped_process,
                a_stopped_waiter_whose_turn_it_is_is_overtaken;
            identity:
                a_process_id_given_out_again_is_not_taken_for_the_owner,
                a_process_id_given_out_again_by_the_system_is_not_taken_for_the_owner,
                a_waiter_that_can_open_no_file_steals_from_nobody,
                a_waiter_from_whom_the_owner_is_hidden_steals_from_nobody,
                a_process_whose_leading_thread_has_ended_still_holds,
                a_process_that_cannot_tell_who_it_is_is_refused;
            namespaces:
                another_pid_namespace_is_refused_by_name,
                another_time_namespace_is_refused_by_name,
                a_child_in_another_namespace_can_take_no_lock_that_it_inherited,
                timed_waits_are_exact_where_the_clock_is_shifted;
            barriers:
                a_copy_of_the_last_party_that_panics_does_not_break_its_barrier,
                who_runs_the_action_of_a_barrier_is_not_forked;
            once:
                a_fork_child_that_comes_out_of_an_initialiser_takes_what_its_parent_makes,
                a_fork_child_gives_what_it_has_made_when_its_parent_dies_over_it,
                a_panic_in_a_fork_child_gives_up_nothing_of_its_parent,
                who_makes_a_value_is_not_forked,
                a_stopped_maker_is_waited_for_and_holds_up_no_one_who_comes_later,
                what_was_made_stays_and_what_was_not_is_begun_anew_when_nobody_was_left;
            pipes:
                a_pipe_whose_sender_is_killed_in_the_middle_gives_whole_messages_and_the_end,
                sending_to_the_dead_is_an_error_and_no_signal,
                who_waits_for_one_who_is_killed_is_told,
                what_a_killed_receiver_had_not_taken_is_received_by_others,
                a_stopped_peer_is_waited_for_and_not_taken_for_dead,
                a_fork_child_drops_its_copies_of_an_end_and_nothing_changes,
                descriptors_of_a_message_that_are_cut_off_are_an_error_and_none_leaks,
                who_may_open_no_descriptor_gets_the_item_back,
                who_has_sent_more_descriptors_than_may_be_on_their_way_waits;
            queues:
                who_waits_at_an_end_is_told_soon_that_the_last_at_the_other_was_killed,
                who_joins_is_told_soon_what_was_lost_with_its_taker,
                who_does_not_wait_is_told_as_well_that_the_last_was_killed,
                who_is_stopped_at_an_end_is_not_taken_for_dead,
                who_is_stopped_while_putting_or_getting_holds_up_nobody_longer_than_they_said,
                who_is_stopped_while_taking_or_done_holds_up_no_join_longer_than_it_said,
                who_is_stopped_while_coming_or_going_holds_up_no_drop_and_is_not_taken_for_gone,
                a_close_waits_for_one_stopped_while_putting_and_for_none_while_getting,
                who_can_open_no_file_takes_nobody_for_dead,
                queues_keep_what_is_in_them_when_nobody_was_left,
                a_fork_child_drops_inherited_ends_items_and_places_and_nothing_changes,
                a_fork_child_that_ends_takes_none_of_its_parents_ends_along,
                what_a_closure_brings_along_is_the_childs_from_its_first_use,
                a_fork_child_drops_an_inherited_descriptor_and_its_parent_still_watches,
                a_thousand_signals_a_second_hide_no_death_from_who_receives;
            reopened:
                what_the_last_to_leave_held_is_poisoned_and_values_are_kept,
                every_owner_counts_as_dead_when_nobody_was_left,
                after_a_reboot_everything_held_is_poisoned_and_values_are_kept,
                a_segment_of_another_boot_that_somebody_has_is_refused,
                an_opener_killed_while_burying_leaves_it_to_the_next;
            signals:
                a_thousand_signals_a_second_move_no_deadline,
                a_thousand_signals_a_second_move_no_deadline_of_what_nobody_owns,
                a_thousand_signals_a_second_hide_no_death;
            waits:
                who_is_stopped_before_waking_others_holds_up_nobody,
                who_is_stopped_before_waking_the_only_receiver_holds_it_up_no_longer,
                who_is_stopped_while_giving_a_permit_back_has_given_it,
                a_stopped_party_of_a_barrier_is_waited_for_and_not_taken_for_dead,
                the_last_at_a_barrier_finds_out_who_died_waiting_there,
                a_fork_child_that_comes_out_of_the_action_of_a_barrier_is_no_party,
                barriers_are_as_new_and_events_stay_set_when_nobody_was_left;
            deadlocks:
                asking_for_what_one_holds_would_deadlock_unless_it_is_reentrant,
                updating_a_value_while_holding_it_would_deadlock,
                claims_that_overlap_ones_own_would_deadlock_unless_they_share,
                processes_that_wait_for_each_other_in_a_ring_are_told,
                who_waits_for_the_dead_is_in_no_ring,
                a_reader_reads_again_though_a_writer_waits_for_it,
                another_thread_is_waited_for;
            crowds:
                more_claimants_than_rows_all_get_through,
                more_claimants_of_one_element_than_rows_all_get_through,
                the_dead_make_room_when_every_row_is_taken,
                a_thread_with_claims_does_not_wait_for_room,
                two_who_have_taken_every_row_do_not_wait_for_each_other_for_ever,
                more_deaths_than_poison_entries_merge_and_hide_nothing,
                the_dead_take_no_room_from_one_who_holds_claims,
                a_claim_of_nothing_is_never_poisoned,
                who_finds_no_room_at_an_end_of_a_channel_is_told_and_the_dead_make_room,
                who_finds_no_room_for_what_it_has_in_hand_is_told_and_the_dead_make_room;
            forged:
                an_end_of_which_there_is_one_arrives_once_whatever_is_decoded,
                an_end_does_not_arrive_as_the_other_one,
                a_fork_child_does_not_take_over_an_end_that_was_not_given_to_it,
                a_fork_child_does_not_go_on_with_a_message_that_its_parent_reads,
                what_a_child_has_returned_in_vain_is_on_its_way_no_longer_than_its_handle_lives,
                a_fork_child_keeps_nothing_on_its_way_that_its_parent_was_about_to_send,
                what_is_put_into_a_queue_while_a_message_is_made_is_no_part_of_that,
                a_fork_child_that_drops_a_readiness_has_its_own_threads,
                a_fork_beside_threads_that_make_pipes_makes_pipes_itself,
                an_end_arrives_though_a_process_is_stopped_with_its_table;
            survivors:
                who_waits_is_through_soon_after_a_death,
                who_waits_behind_a_row_of_deaths_is_through_soon_after_the_last,
                who_does_not_wait_takes_over_from_the_dead;
        },
    )
}
