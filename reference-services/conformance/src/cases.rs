//! All cases, by row of the contract.

mod accounts;
mod basics;
mod items;
mod layers;
mod operation;
mod outages;
mod process;
mod transfers;

use crate::World;
use std::pin::Pin;
use std::sync::Arc;

type Case = fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Names each case once; a case is an `async fn(&World)`.
macro_rules! cases {
    ($($module:ident::$case:ident,)*) => {
        &[$((
            concat!(stringify!($module), "::", stringify!($case)),
            |world| Box::pin(async move { $module::$case(&world).await }),
        )),*]
    };
}

/// In the order in which they run.
pub(crate) const ALL: &[(&str, Case)] = cases![
    basics::probes_answer,
    basics::greetings_are_exact,
    basics::unknown_paths_and_methods_are_errors,
    accounts::are_read_by_id,
    items::are_listed_by_keyset,
    items::bad_pages_are_refused,
    items::are_read_through_the_cache,
    items::copies_expire,
    items::are_changed_under_a_precondition,
    items::bad_changes_are_refused,
    items::of_two_writers_with_one_version_one_wins,
    transfers::are_booked_once_and_replayed,
    transfers::bad_orders_are_refused,
    transfers::refused_orders_leave_nothing_behind,
    transfers::one_key_at_once_books_once,
    transfers::a_key_in_flight_is_a_conflict,
    transfers::opposite_transfers_do_not_deadlock,
    transfers::conflicts_are_tried_five_times,
    outages::redis_down_or_silent_is_bypassed,
    outages::postgresql_down_or_silent_is_a_503,
    layers::none_adds_nothing,
    layers::trace_names_every_request,
    layers::auth_asks_who_is_calling,
    layers::limit_counts_for_each_subject,
    layers::all_of_them_keep_their_order,
    operation::config_tells_all_but_secrets,
    operation::metrics_are_kept_for_those_who_ask,
    operation::the_tuned_profile_serves_the_same,
    operation::the_log_is_json_where_it_is_asked_for,
    process::audit_tells_sound_from_unsound,
    process::audit_refuses_counts_it_does_not_understand,
    process::healthcheck_follows_readiness,
    process::idle_services_stop_at_once,
    process::requests_in_flight_finish,
    process::silent_connections_are_closed,
];
