//! Every row of the contract, as an operation.

use super::answer::{always, failures, json, json_of, sometimes};
use super::bound;
use crate::account::Account;
use crate::event::{Accepted, BatchQuery, NewEventsWire};
use crate::greeting::{Greeting, HELLO, Probe};
use crate::item::{CacheOutcome, Item, ItemPageWire, ItemUpdateWire, Items};
use crate::session::{NewSessionWire, Session};
use crate::transfer::{NewTransferWire, Transfer};
use crate::{Failure, header, limit, path};
use utoipa::ToSchema;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, Paths,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, PathItem, RefOr, Required, ResponseBuilder, link::Link};

/// The name of the security scheme of the gateway.
pub(super) const BEARER: &str = "bearerAuth";

pub(super) fn all() -> Paths {
    let mut paths = Paths::new();
    probes(&mut paths);
    greetings(&mut paths);
    accounts(&mut paths);
    items(&mut paths);
    transfers(&mut paths);
    events(&mut paths);
    gateway(&mut paths);
    sessions(&mut paths);
    paths
}

fn probes(paths: &mut Paths) {
    let live = operation("live", "Whether the process serves requests", &[])
        .response("200", json::<Probe>("It does."));
    add(paths, path::LIVEZ, HttpMethod::Get, live);
    let ready = operation(
        "ready",
        "Whether PostgreSQL and Redis answer",
        &[Failure::Unavailable],
    )
    .response("200", json::<Probe>("They do."));
    add(paths, path::READYZ, HttpMethod::Get, ready);
}

fn greetings(paths: &mut Paths) {
    let hello = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([HELLO]));
    let content = ContentBuilder::new().schema(Some(hello)).build();
    let plaintext = operation("plaintext", "TechEmpower's plaintext test", &[]).response(
        "200",
        ResponseBuilder::new()
            .description("The greeting.")
            .content(header::PLAINTEXT, content),
    );
    add(paths, path::PLAINTEXT, HttpMethod::Get, plaintext);
    let greeting = operation("greeting", "TechEmpower's JSON test", &[])
        .response("200", json::<Greeting>("The greeting."));
    add(paths, path::JSON, HttpMethod::Get, greeting);
}

fn accounts(paths: &mut Paths) {
    let refused = [
        Failure::InvalidAccountId,
        Failure::AccountNotFound,
        Failure::Unavailable,
    ];
    let read = operation("readAccount", "An account", &refused)
        .parameter(in_path(bound::account_id()))
        .response("200", json::<Account>("The account."));
    add(paths, path::ACCOUNT, HttpMethod::Get, read);

    let list = ArrayBuilder::new()
        .items(Ref::from_schema_name(Account::name()))
        .min_items(Some(1))
        .max_items(Some(limit::RANDOM_ACCOUNTS))
        .build();
    let count = parameter(
        "n",
        ParameterIn::Query,
        Required::False,
        bound::random_accounts(),
    );
    let random = operation(
        "randomAccounts",
        "Accounts at random, each read by itself",
        &[Failure::Unavailable],
    )
    .parameter(count)
    .response("200", json_of("The accounts; one may come twice.", list));
    add(paths, path::RANDOM_ACCOUNTS, HttpMethod::Get, random);
}

fn items(paths: &mut Paths) {
    let refused = [
        Failure::InvalidQuery("why".to_owned()),
        Failure::Unavailable,
    ];
    let list = operation("listItems", "A page of the items of a category", &refused)
        .parameters(Some(in_query::<ItemPageWire>()))
        .response("200", json::<Items>("The page."));
    add(paths, path::ITEMS, HttpMethod::Get, list);

    let refused = [Failure::ItemNotFound, Failure::Unavailable];
    let update = Link::builder()
        .operation_id("updateItem")
        .parameter("id", "$response.body#/id")
        .parameter(header::IF_MATCH, "$response.header.etag");
    let read = operation(
        "readItem",
        "An item, from Redis or else from PostgreSQL",
        &refused,
    )
    .parameter(in_path(bound::item_id()))
    .response(
        "200",
        json::<Item>("The item.")
            .header(header::ETAG, always(etag()))
            .header(header::X_CACHE, always(cache()))
            .link("update", update.build()),
    );
    add(paths, path::ITEM, HttpMethod::Get, read);

    let refused = [
        Failure::InvalidBody("why".to_owned()),
        Failure::InvalidPrecondition,
        Failure::ItemNotFound,
        Failure::VersionMismatch,
        Failure::BodyTooLarge,
        Failure::UnsupportedMediaType,
        Failure::PreconditionRequired,
        Failure::Unavailable,
    ];
    let update = operation(
        "updateItem",
        "Changes an item whose version is known",
        &refused,
    )
    .parameter(in_path(bound::item_id()))
    .parameter(in_header(header::IF_MATCH, bound::if_match()))
    .request_body(Some(body::<ItemUpdateWire>(limit::BODY_BYTES)))
    .response(
        "200",
        json::<Item>("The item as it is now.")
            .header(header::ETAG, always(etag()))
            .link("item", link("readItem", "$response.body#/id")),
    );
    add(paths, path::ITEM, HttpMethod::Put, update);
}

fn transfers(paths: &mut Paths) {
    let refused = [
        Failure::InvalidBody("why".to_owned()),
        Failure::MissingIdempotencyKey,
        Failure::InvalidIdempotencyKey,
        Failure::AccountNotFound,
        Failure::KeyInFlight,
        Failure::BodyTooLarge,
        Failure::UnsupportedMediaType,
        Failure::KeyReused,
        Failure::InsufficientFunds,
        Failure::SameAccount,
        Failure::CurrencyMismatch,
        Failure::TooManyConflicts,
        Failure::Unavailable,
    ];
    let create = operation(
        "createTransfer",
        "Moves money between two accounts",
        &refused,
    )
    .parameter(in_header(header::IDEMPOTENCY_KEY, bound::idempotency_key()))
    .request_body(Some(body::<NewTransferWire>(limit::BODY_BYTES)))
    .response(
        "201",
        json::<Transfer>("The transfer: booked now, or earlier under this key.")
            .header(header::LOCATION, always(location()))
            .header(header::IDEMPOTENCY_REPLAYED, sometimes(replayed()))
            .link("transfer", link("readTransfer", "$response.body#/id")),
    );
    add(paths, path::TRANSFERS, HttpMethod::Post, create);

    let refused = [Failure::TransferNotFound, Failure::Unavailable];
    let read = operation("readTransfer", "A booked transfer", &refused)
        .parameter(in_path(bound::transfer_id()))
        .response("200", json::<Transfer>("The transfer."));
    add(paths, path::TRANSFER, HttpMethod::Get, read);
}

fn events(paths: &mut Paths) {
    let refused = [
        Failure::InvalidBody("why".to_owned()),
        Failure::BodyTooLarge,
        Failure::UnsupportedMediaType,
        Failure::Unavailable,
    ];
    let append = operation("appendEvents", "Appends events to a stream", &refused)
        .request_body(Some(body::<NewEventsWire>(limit::EVENTS_BODY_BYTES)))
        .response("202", json::<Accepted>("They are in the stream."));
    add(paths, path::EVENTS, HttpMethod::Post, append);

    let refused = [
        &refused[..],
        &[Failure::InvalidQuery("why".to_owned()), Failure::QueueFull],
    ]
    .concat();
    let write = operation("writeEvents", "Writes events into a table", &refused)
        .parameters(Some(in_query::<BatchQuery>()))
        .request_body(Some(body::<NewEventsWire>(limit::EVENTS_BODY_BYTES)))
        .response(
            "201",
            json::<Accepted>("`durable`: all rows are committed."),
        )
        .response(
            "202",
            json::<Accepted>("`queued`: they wait to be written."),
        );
    add(paths, path::EVENTS_BATCH, HttpMethod::Post, write);
}

/// Any method; its own failures beside whatever the upstream answers.
fn gateway(paths: &mut Paths) {
    let refused = [
        Failure::MissingToken,
        Failure::InvalidToken,
        Failure::InsufficientScope,
        Failure::BodyTooLarge,
        Failure::RateLimited(1),
        Failure::BadGateway,
        Failure::GatewayTimeout,
    ];
    let id = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The name of the item, for the upstream to judge."))
        .min_length(Some(1))
        .examples(["7"])
        .build();
    for (name, method, has_body) in [
        ("Get", HttpMethod::Get, false),
        ("Put", HttpMethod::Put, true),
        ("Post", HttpMethod::Post, true),
        ("Delete", HttpMethod::Delete, false),
        ("Options", HttpMethod::Options, false),
        ("Head", HttpMethod::Head, false),
        ("Patch", HttpMethod::Patch, true),
        ("Trace", HttpMethod::Trace, false),
    ] {
        let anything = RequestBodyBuilder::new()
            .description(Some(at_most(limit::BODY_BYTES)))
            .content("application/octet-stream", ContentBuilder::new().build())
            .build();
        let passed_on = operation(
            &format!("gateway{name}"),
            "Passes a request on to the upstream",
            &refused,
        )
        .parameter(in_path(id.clone()))
        .request_body(has_body.then_some(anything))
        .security(SecurityRequirement::new(BEARER, [""; 0]))
        .response(
            "default",
            ResponseBuilder::new().description("What the upstream answered."),
        );
        add(paths, path::GATEWAY_ITEM, method, passed_on);
    }
}

fn sessions(paths: &mut Paths) {
    let refused = [
        Failure::InvalidBody("why".to_owned()),
        Failure::InvalidCredentials,
        Failure::BodyTooLarge,
        Failure::UnsupportedMediaType,
    ];
    let open = operation("openSession", "A token for the gateway", &refused)
        .request_body(Some(body::<NewSessionWire>(limit::BODY_BYTES)))
        .response("201", json::<Session>("The session."));
    add(paths, path::SESSIONS, HttpMethod::Post, open);
}

fn add(paths: &mut Paths, path: &str, method: HttpMethod, operation: OperationBuilder) {
    let item = paths.paths.entry(path.to_owned()).or_default();
    item.merge_operations(PathItem::new(method, operation));
}

fn operation(id: &str, summary: &str, refused: &[Failure]) -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary));
    failures(refused)
        .into_iter()
        .fold(operation, |operation, (status, answer)| {
            operation.response(status.to_string(), answer)
        })
}

fn body<T: ToSchema>(bytes: usize) -> RequestBody {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .build();
    RequestBodyBuilder::new()
        .description(Some(at_most(bytes)))
        .required(Some(Required::True))
        .content(header::JSON, content)
        .build()
}

fn at_most(bytes: usize) -> String {
    format!("At most {bytes} bytes.")
}

/// The fields of a query as parameters. `IntoParams` would forget which are required, where their schemas are given.
fn in_query<T: ToSchema>() -> Vec<Parameter> {
    let RefOr::T(Schema::Object(query)) = T::schema() else {
        return Vec::new();
    };
    let fields = query.properties.into_iter();
    fields
        .map(|(name, schema)| {
            let required = match query.required.contains(&name) {
                true => Required::True,
                false => Required::False,
            };
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(required)
                .schema(Some(schema))
                .build()
        })
        .collect()
}

fn in_path(schema: Object) -> Parameter {
    parameter("id", ParameterIn::Path, Required::True, schema)
}

fn in_header(name: &str, schema: Object) -> Parameter {
    parameter(name, ParameterIn::Header, Required::True, schema)
}

fn parameter(name: &str, place: ParameterIn, required: Required, schema: Object) -> Parameter {
    let mut schema = schema;
    let description = schema.description.take();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(description)
        .schema(Some(schema))
        .build()
}

/// A link to the operation with this id, whose parameter `id` is `expression`.
fn link(operation: &str, expression: &str) -> Link {
    Link::builder()
        .operation_id(operation)
        .parameter("id", expression)
        .build()
}

fn etag() -> Object {
    value("The quoted version.")
        .pattern(Some("^\"[1-9][0-9]*\"$"))
        .build()
}

fn cache() -> Object {
    let outcomes = [CacheOutcome::Hit, CacheOutcome::Miss, CacheOutcome::Bypass];
    value("Whether Redis had it, had it not, or did not answer.")
        .enum_values(Some(outcomes.map(CacheOutcome::as_str)))
        .build()
}

fn location() -> Object {
    value("Where the transfer can be read back.")
        .pattern(Some(format!("^{}/[1-9][0-9]*$", path::TRANSFERS)))
        .build()
}

fn replayed() -> Object {
    value("Is there if this repeats an earlier answer.")
        .enum_values(Some(["true"]))
        .build()
}

fn value(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
}
