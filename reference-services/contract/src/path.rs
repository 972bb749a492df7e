//! The paths of the contract, those of gRPC among them, in the `{name}` syntax that Axum and Actix share.

/// All of them: a metric has one label for each, and no path beside them is ever one.
pub const ALL: &[&str] = &[
    LIVEZ,
    READYZ,
    PLAINTEXT,
    JSON,
    ACCOUNT,
    RANDOM_ACCOUNTS,
    ITEMS,
    ITEM,
    TRANSFERS,
    TRANSFER,
    EVENTS,
    EVENTS_BATCH,
    GATEWAY_ITEM,
    SESSIONS,
    GRPC_TRANSFER,
    GRPC_GET_ITEM,
    GRPC_HEALTH_CHECK,
    GRPC_HEALTH_WATCH,
    GRPC_REFLECTION,
    GRPC_REFLECTION_ALPHA,
];

/// Whether `path` is closed to those without a token, where layers ask for one: all of the contract is, in both
/// languages, but the probes and the place where tokens come from.
#[must_use]
pub fn needs_token(path: &str) -> bool {
    (path.starts_with("/v1/") && path != SESSIONS) || path.starts_with("/tailmark.")
}

/// Answers 200 as long as the process serves requests.
pub const LIVEZ: &str = "/livez";
/// Answers 200 when PostgreSQL and Redis answer, else 503.
pub const READYZ: &str = "/readyz";
/// `TechEmpower`'s plaintext test.
pub const PLAINTEXT: &str = "/v1/plaintext";
/// `TechEmpower`'s JSON test.
pub const JSON: &str = "/v1/json";
/// One account.
pub const ACCOUNT: &str = "/v1/accounts/{id}";
/// A page of items.
pub const ITEMS: &str = "/v1/items";
/// One item.
pub const ITEM: &str = "/v1/items/{id}";
/// Where transfers are ordered.
pub const TRANSFERS: &str = "/v1/transfers";
/// One transfer.
pub const TRANSFER: &str = "/v1/transfers/{id}";
/// Accounts at random.
pub const RANDOM_ACCOUNTS: &str = "/v1/accounts/random";
/// Where events go into a stream.
pub const EVENTS: &str = "/v1/events";
/// Where events go into a table.
pub const EVENTS_BATCH: &str = "/v1/events/batch";
/// What stands before the path of the upstream.
pub const GATEWAY: &str = "/v1/gateway";
/// An item of the upstream.
pub const GATEWAY_ITEM: &str = "/v1/gateway/items/{id}";
/// Where sessions are opened.
pub const SESSIONS: &str = "/v1/sessions";

/// Books a transfer, as [`TRANSFERS`] does.
pub const GRPC_TRANSFER: &str = "/tailmark.v1.Ledger/Transfer";
/// Reads an item, as [`ITEM`] does.
pub const GRPC_GET_ITEM: &str = "/tailmark.v1.Catalog/GetItem";
/// Tells whether the stores answer, as [`READYZ`] does.
pub const GRPC_HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// Tells it again whenever it changes.
pub const GRPC_HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
/// Tells clients of services and messages.
pub const GRPC_REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// The same for older clients.
pub const GRPC_REFLECTION_ALPHA: &str =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
