//! All cases, by row of the contract.

mod accounts;
mod basics;
mod events;
mod gateway;
mod grpc;
mod items;
mod languages;
mod layers;
mod operation;
mod outages;
mod pools;
mod process;
mod rejections;
mod sessions;
mod tls;
mod transfers;

use crate::World;
use std::pin::Pin;
use std::sync::Arc;

pub(crate) type Case = fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Names each case once; a case is an `async fn(&World)`.
macro_rules! cases {
    ($($module:ident::$case:ident,)*) => {
        &[$((
            concat!(stringify!($module), "::", stringify!($case)),
            |world| Box::pin(async move { $module::$case(&world).await }),
        )),*]
    };
}

/// What every service is asked, in this order.
pub(crate) const ALL: &[(&str, Case)] = cases![
    basics::probes_answer,
    basics::greetings_are_exact,
    basics::unknown_paths_and_methods_are_errors,
    accounts::are_read_by_id,
    accounts::are_read_at_random,
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
    events::go_into_the_stream,
    events::bad_events_are_refused,
    events::batches_are_durable_or_queued,
    events::each_request_is_a_batch_of_its_own,
    events::a_full_queue_is_a_429,
    events::a_batch_that_is_not_written_is_a_503,
    events::a_write_that_is_broken_off_is_tried_again,
    events::what_is_impossible_takes_nothing_along,
    events::the_queue_is_drained_before_the_end,
    sessions::are_opened_for_users,
    sessions::bad_logins_are_refused,
    gateway::passes_requests_on,
    gateway::headers_for_one_connection_stay_there,
    gateway::strangers_are_refused,
    gateway::each_subject_has_a_limit,
    gateway::an_upstream_that_fails_is_a_502_or_504,
    gateway::large_bodies_are_refused,
    pools::a_used_up_pool_is_a_503,
    pools::settings_that_make_no_sense_are_refused,
    outages::redis_down_or_silent_is_bypassed,
    outages::a_redis_that_pauses_comes_back,
    outages::postgresql_down_or_silent_is_a_503,
    layers::none_adds_nothing,
    layers::trace_names_every_request,
    layers::auth_asks_who_is_calling,
    layers::limit_counts_for_each_subject,
    layers::the_gateway_asks_and_counts_once,
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
    tls::serves_those_who_trust_its_certificate,
    tls::files_that_are_no_certificates_are_refused,
];

/// What a service that speaks gRPC too is asked beside that.
pub(crate) const GRPC: &[(&str, Case)] = cases![
    languages::both_give_the_same_answers,
    languages::both_fail_the_same_when_stores_do,
    languages::a_key_is_one_in_both,
    grpc::shares_its_port_with_rest,
    grpc::health_follows_the_stores,
    grpc::reflection_tells_of_every_service,
    grpc::calls_are_counted_and_logged_by_method,
    grpc::those_who_watch_do_not_hold_up_the_end,
    grpc::is_spoken_over_tls,
    grpc::goes_over_the_wire_as_the_protos_say,
    grpc::those_who_stop_within_the_preface_are_let_go,
];

/// What the layers of a service that speaks both languages are asked.
pub(crate) const REJECTIONS: &[(&str, Case)] = cases![rejections::are_right_in_both_languages,];
