//! The promises of [`Store`](crate::Store), as tests that every backend has to pass.
//!
//! A backend calls [`store_conformance!`](crate::store_conformance) once, in a test module, with something
//! that opens an empty store: a function or closure without arguments that gives a pair of a closure,
//! which closes a store and opens it again with what is in it, and the store. A backend that forgets
//! hands the store back.

#![expect(clippy::unwrap_used, reason = "this is a test suite, compiled into the crate for other backends")]

mod lookups;
mod outbox;
mod record;
pub mod sample;
mod scrub;

pub use lookups::*;
pub use outbox::*;
pub use record::*;
pub use scrub::*;

/// Writes one `#[test]` per promise of [`Store`](crate::Store).
///
/// ```
/// store::store_conformance!(|| (|store| store, store::Memory::new()));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($open:expr) => {
        $crate::store_conformance! { $open;
            an_empty_store_knows_nothing,
            a_batch_is_visible_as_a_whole,
            readers_never_see_half_a_batch,
            what_was_committed_survives_a_restart,
            what_is_written_is_seen_before_it_is_synced,
            syncs_and_writes_at_the_same_time_lose_nothing,
            sequence_numbers_go_on_where_they_ended,
            facts_are_paged_in_both_directions,
            released_inputs_name_the_fact_that_released_them,
            every_revision_of_a_decision_is_kept,
            installs_are_paged_with_their_decisions,
            a_timeline_lists_facts_in_order,
            aggregates_are_paged_by_app_and_counted_for_ever,
            counts_add_up,
            changes_come_back_in_order,
            event_names_and_digests_are_remembered,
            the_last_use_of_a_key_is_remembered,
            costs_are_replaced_by_app_day_and_network,
            figures_are_replaced_by_app,
            quarantine_is_paged_by_app,
            quarantine_keeps_the_newest_bodies,
            quarantine_forgets_after_a_week,
            devices_are_found_by_every_key,
            a_key_that_moved_on_is_not_taken_away,
            devices_are_paged_by_app,
            touches_come_newest_first,
            touches_are_cut_at_the_newest,
            touches_of_several_times_are_merged,
            old_touches_are_forgotten,
            a_clock_that_was_ahead_is_forgiven,
            arrivals_come_newest_first,
            held_inputs_wait_until_they_are_released,
            idempotency_keys_last_a_week,
            modeled_wins_are_given_and_taken,
            a_delivery_is_leased_to_one_worker,
            leases_come_oldest_first,
            a_lease_ends,
            an_old_fence_settles_nothing,
            a_lease_is_settled_once,
            a_retry_waits_until_it_is_due,
            final_states_are_counted,
            a_known_delivery_is_left_alone,
            superseded_deliveries_are_withdrawn,
            a_superseded_lease_keeps_its_attempt,
            what_arrived_stays_delivered_when_its_replay_is_withdrawn,
            a_delivery_is_handed_back,
            first_attempts_go_before_retries,
            triggers_share_what_is_taken_on,
            a_paused_trigger_waits,
            final_deliveries_are_sent_again,
            deliveries_are_sent_again_as_another_version,
            the_oldest_pending_delivery_is_known,
            a_batch_may_supersede_its_own_delivery,
            only_pending_deliveries_are_superseded,
            deliveries_of_a_deleted_trigger_are_withdrawn,
            deliveries_of_a_deleted_trigger_are_never_leased,
            the_outbox_survives_a_restart,
            deliveries_are_paged_and_filtered,
            deliveries_are_found_by_trigger_in_every_state,
            two_workers_never_lease_the_same,
            what_is_erased_is_replaced_in_place,
            what_leads_to_the_erased_is_taken_away,
            erased_deliveries_tell_nothing,
            privacy_requests_are_remembered,
            compaction_keeps_what_stands,
        }
    };
    ($open:expr; $($promise:ident,)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::conformance::$promise($open);
            }
        )*
    };
}
