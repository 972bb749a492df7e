//! The schemas of single values, within the bounds that the parsers hold them to.

use crate::event::EventWire;
use crate::greeting::HELLO;
use crate::item::Item;
use crate::limit;
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Ref, SchemaFormat, SchemaType, Type,
};

/// No control character: PostgreSQL cannot store U+0000, and no other belongs into a line of text.
const LINE: &str = r"^[^\x00-\x1F\x7F-\x9F]+$";

/// Visible ASCII, as `u8::is_ascii_graphic` has it.
const VISIBLE: &str = "^[!-~]+$";

/// One entity tag or several, or a star: what `IfMatch::parse` takes, up to `limit::IF_MATCH_TAGS` tags.
fn tags() -> String {
    let tag = r#"(W/)?"[!#-~]*""#;
    let more = limit::IF_MATCH_TAGS - 1;
    format!(r"^(\*|{tag}( *, *{tag}){{0,{more}}})$")
}

fn int64(description: &str, minimum: i64, maximum: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some(description))
        .minimum(Some(minimum))
        .maximum(Some(maximum))
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
}

fn characters(description: &str, most: usize) -> ObjectBuilder {
    text(description).min_length(Some(1)).max_length(Some(most))
}

/// One of the accounts that are seeded.
fn account(description: &str, example: i64) -> Object {
    int64(description, 1, i64::MAX).examples([example]).build()
}

pub(crate) fn account_id() -> Object {
    account("The number of the account.", 7)
}

pub(crate) fn payer() -> Object {
    account("The account that pays.", 1)
}

pub(crate) fn payee() -> Object {
    account(
        "The account that receives; the one that pays is refused.",
        5_001,
    )
}

pub(crate) fn balance() -> Object {
    int64(
        "What the account holds, in hundredths of the currency.",
        0,
        i64::MAX,
    )
    .build()
}

pub(crate) fn currency() -> Object {
    text("The currency (ISO 4217).")
        .pattern(Some("^[A-Z]{3}$"))
        .examples(["EUR"])
        .build()
}

pub(crate) fn amount() -> Object {
    int64(
        "How much, in hundredths of the currency.",
        1,
        limit::AMOUNT_MINOR,
    )
    .examples([250])
    .build()
}

pub(crate) fn transfer_id() -> Object {
    int64("The number of the transfer; there are gaps.", 1, i64::MAX)
        .examples([1])
        .build()
}

pub(crate) fn item_id() -> Object {
    int64("The number of the item.", 1, i64::MAX)
        .examples([7])
        .build()
}

pub(crate) fn name() -> Object {
    characters("The name of the item, one line.", limit::NAME_CHARACTERS)
        .pattern(Some(LINE))
        .examples(["Lamp"])
        .build()
}

pub(crate) fn category() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .description(Some("The category of the item."))
        .minimum(Some(1))
        .maximum(Some(limit::CATEGORIES))
        .examples([3])
        .build()
}

pub(crate) fn price() -> Object {
    int64("The price in hundredths of a euro.", 0, i64::MAX)
        .examples([4_990])
        .build()
}

pub(crate) fn version() -> Object {
    int64(
        "1 for an item never changed; one more with each change.",
        1,
        i64::MAX,
    )
    .build()
}

pub(crate) fn after() -> Object {
    int64("Items with a higher number than this one.", 0, i64::MAX)
        .default(Some(0.into()))
        .build()
}

pub(crate) fn page_limit() -> Object {
    int64("At most so many items.", 1, limit::PAGE_ITEMS)
        .default(Some(limit::PAGE_ITEMS_DEFAULT.into()))
        .build()
}

pub(crate) fn page() -> Array {
    ArrayBuilder::new()
        .items(Ref::from_schema_name(Item::name()))
        .max_items(usize::try_from(limit::PAGE_ITEMS).ok())
        .description(Some("The page, in ascending number."))
        .build()
}

pub(crate) fn next_after() -> Object {
    int64(
        "What to send as `after` for the next page; null on the last one.",
        1,
        i64::MAX,
    )
    .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
    .build()
}

pub(crate) fn device() -> Object {
    characters(
        "The name of the device, one line.",
        limit::DEVICE_CHARACTERS,
    )
    .pattern(Some(LINE))
    .examples(["device-7"])
    .build()
}

pub(crate) fn at() -> Object {
    int64("When, in milliseconds since 1970.", 0, limit::EVENT_AT)
        .examples([1_767_225_600_000_i64])
        .build()
}

pub(crate) fn value() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
        .description(Some("What, in the device's own unit."))
        .examples([21.5])
        .build()
}

pub(crate) fn events() -> Array {
    ArrayBuilder::new()
        .items(Ref::from_schema_name(EventWire::name()))
        .min_items(Some(1))
        .max_items(Some(limit::EVENTS))
        .description(Some("The events, in order."))
        .build()
}

pub(crate) fn ack() -> Object {
    text("When the client is answered: once all rows are committed, or once they are in the queue.")
        .default(Some("durable".into()))
        .enum_values(Some(["durable", "queued"]))
        .build()
}

pub(crate) fn accepted() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("How many events the request held."))
        .minimum(Some(1))
        .maximum(Some(limit::EVENTS))
        .build()
}

pub(crate) fn user() -> Object {
    characters(
        &format!("`user-1` to `user-{}`.", limit::USERS),
        limit::CREDENTIAL_CHARACTERS,
    )
    .examples(["user-1"])
    .build()
}

pub(crate) fn password() -> Object {
    characters("`secret-N` for `user-N`.", limit::CREDENTIAL_CHARACTERS)
        .examples(["secret-1"])
        .build()
}

pub(crate) fn token() -> Object {
    text("What goes after `Bearer ` in the header `authorization`.")
        .pattern(Some(r"^[\w-]+\.[\w-]+\.[\w-]+$"))
        .build()
}

pub(crate) fn token_type() -> Object {
    text("How the token is sent.")
        .enum_values(Some(["Bearer"]))
        .build()
}

pub(crate) fn token_seconds() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("How long the token is good, in seconds."))
        .enum_values(Some([limit::TOKEN_SECONDS]))
        .build()
}

pub(crate) fn hello() -> Object {
    text("The greeting.").enum_values(Some([HELLO])).build()
}

pub(crate) fn probe() -> Object {
    text("`alive` from `/livez`, `ready` from `/readyz`.")
        .enum_values(Some(["alive", "ready"]))
        .build()
}

pub(crate) fn request_id() -> Object {
    characters(
        "Finds the line about this request in the service's log, where there is one.",
        limit::REQUEST_ID_CHARACTERS,
    )
    .pattern(Some(VISIBLE))
    .build()
}

pub(crate) fn code() -> Object {
    text("The stable name of the failure, for programs.")
        .pattern(Some("^[a-z_]+$"))
        .build()
}

pub(crate) fn message() -> Object {
    text("What went wrong, for people.")
        .min_length(Some(1))
        .build()
}

pub(crate) fn idempotency_key() -> Object {
    characters(
        "The client's name for the order, so that sending it twice books it once.",
        limit::KEY_CHARACTERS,
    )
    .pattern(Some(VISIBLE))
    .examples(["7f6c-1"])
    .build()
}

pub(crate) fn if_match() -> Object {
    text("`*`, or the quoted versions one of which is changed (RFC 9110, section 13.1.1).")
        .pattern(Some(tags()))
        .examples(["*"])
        .build()
}

pub(crate) fn random_accounts() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some(format!(
            "How many. Whatever is no number counts as 1; a number above {0} counts as {0}.",
            limit::RANDOM_ACCOUNTS
        )))
        .default(Some(1.into()))
        .examples([20])
        .build()
}

pub(crate) fn retry_after() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("Whole seconds after which another try makes sense."))
        .minimum(Some(1))
        .build()
}
