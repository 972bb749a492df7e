//! The header names and values of the contract, in lower case as they go over the wire.

/// The media type of every JSON body.
pub const JSON: &str = "application/json";
/// The media type of the plaintext body.
pub const PLAINTEXT: &str = "text/plain; charset=utf-8";

/// Carries a client's token (RFC 9110, section 11.6.2).
pub const AUTHORIZATION: &str = "authorization";
/// Carries an item's version, quoted (RFC 9110, section 8.8.3).
pub const ETAG: &str = "etag";
/// Names the client's order, so that sending it twice books it once.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Is `true` on an answer that repeats an earlier one, and absent from all others.
pub const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";
/// Carries the version a client believes it changes (RFC 9110, section 13.1.1).
pub const IF_MATCH: &str = "if-match";
/// Where a booked transfer can be read back.
pub const LOCATION: &str = "location";
/// Whole seconds after which a 429 or a 503 is worth another try.
pub const RETRY_AFTER: &str = "retry-after";
/// What a client has to prove, on a 401 or 403 (RFC 6750, section 3).
pub const WWW_AUTHENTICATE: &str = "www-authenticate";
/// Says where an item came from: see [`crate::item::CacheOutcome`].
pub const X_CACHE: &str = "x-cache";
/// Names a request: see [`crate::request_id::RequestId`].
pub const X_REQUEST_ID: &str = "x-request-id";
