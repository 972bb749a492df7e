//! Every bound of the contract, and the server settings that are kept equal in all services.

use std::time::Duration;

/// The largest request body in bytes. The largest valid one, an item whose name is all escapes, is under 3 KiB.
pub const BODY_BYTES: usize = 16 * 1024;

/// The largest request body of the two rows that take events, in bytes: 1,000 events of 256 bytes each.
pub const EVENTS_BODY_BYTES: usize = 256 * 1024;

/// The most events of one request.
pub const EVENTS: usize = 1_000;

/// The longest name of a device, in characters.
pub const DEVICE_CHARACTERS: usize = 64;

/// The latest moment of an event: the last millisecond of the year 9999, since 1970.
pub const EVENT_AT: i64 = 253_402_300_799_999;

/// About how many events the stream keeps; older ones go.
pub const EVENTS_STREAM: usize = 100_000;

/// The most accounts that are read at random in one request, as in `TechEmpower`'s test of many queries.
pub const RANDOM_ACCOUNTS: usize = 500;

/// The largest answer that is passed on from an upstream, in bytes: it is held in memory, so that one that breaks off is
/// a 502 and not half an answer.
pub const UPSTREAM_BODY_BYTES: usize = 1024 * 1024;

/// The longest user name, and the longest password, in characters.
pub const CREDENTIAL_CHARACTERS: usize = 64;

/// Users are `user-1` to this one.
pub const USERS: u32 = 10_000;

/// How long a token is good, in seconds: longer than any measurement.
pub const TOKEN_SECONDS: u64 = 3_600;

/// The longest request id that a client may give. A UUID has 36 characters; 64 leave room for a prefix.
pub const REQUEST_ID_CHARACTERS: usize = 64;

/// The longest name of an item, in characters: a line of text.
pub const NAME_CHARACTERS: usize = 200;

/// Items fall into categories 1 to this one; the seed spreads them evenly.
pub const CATEGORIES: i32 = 20;

/// The largest page of items.
pub const PAGE_ITEMS: i64 = 50;

/// The page of items a client gets without asking for a size.
pub const PAGE_ITEMS_DEFAULT: i64 = 20;

/// The largest amount of one transfer, in minor units: what a seeded account holds.
pub const AMOUNT_MINOR: i64 = 1_000_000_000_000;

/// The longest idempotency key. A UUID has 36 characters; 64 leave room for a prefix or a hex SHA-256.
pub const KEY_CHARACTERS: usize = 64;

/// The most entity tags read from one `If-Match`: a client that names more has no idea what it changes.
pub const IF_MATCH_TAGS: usize = 16;

/// Whether a segment is sent at once, without waiting for the answer to the last one: an answer is one small segment.
pub const TCP_NODELAY: bool = true;

/// Connections that may wait in the kernel until the service accepts them: enough for a burst that opens 1,000 at once.
pub const BACKLOG: u32 = 1_024;

/// Requests that may be under way on one connection of HTTP/2: Hyper's own figure.
pub const HTTP2_STREAMS: u32 = 200;

/// How long a TLS handshake may take, the first bytes of HTTP/2 after it included.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(5);

/// How often a silent client of HTTP/2 is asked whether it is still there, and how long it may take to say so.
pub const HTTP2_PING: Duration = Duration::from_secs(20);

/// How long a connection may stay idle, or take to send a request's head, before the service closes it. Hyper has one
/// timer for both, so Actix's two are set to the same value, which is Actix's default.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take in all, where a layer sees to it and nothing else is said: above what the stores bound, 5 s and two commands of
/// Redis, so that it speaks only when those bounds failed; below [`SHUTDOWN_GRACE`].
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// How long requests in flight may take to finish after SIGTERM: above any time-out of the stores.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How long a connection to the upstream may stay idle: Hyper's own figure, and longer than a pause between rounds.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(90);

/// How old a connection to the upstream may become: older than any measurement, for Hyper does not ask for its age.
pub const UPSTREAM_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Seconds that a client is asked to wait after a 503, or after a 429 of a full queue: stores come back
/// within about one, and 0 would invite a storm.
pub const RETRY_AFTER_SECONDS: u32 = 1;
