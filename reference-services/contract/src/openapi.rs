//! The contract as an `OpenAPI` 3.1 document, made of the types that services parse and serialise, of [`crate::limit`]
//! and of [`crate::Failure`]. Behind the feature `openapi`, which no service asks for.

mod answer;
pub(crate) mod bound;
mod paths;

use crate::account::Account;
use crate::event::{Accepted, EventWire, NewEventsWire};
use crate::failure::{ErrorBody, ErrorDetail};
use crate::greeting::{Greeting, Probe};
use crate::item::{Item, ItemUpdateWire, Items};
use crate::session::{NewSessionWire, Session};
use crate::transfer::{NewTransferWire, Transfer, TransferStatus};
use utoipa::ToSchema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
};

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let license = LicenseBuilder::new()
        .name("MIT OR Apache-2.0")
        .identifier(Some("MIT OR Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("tailmark reference services")
        .version("1")
        .description(Some(
            "One contract, served by Axum and by Actix Web. Beside what is listed, an unknown path is 404 \
             `path_not_found`, and an unknown method 405 `method_not_allowed` with `allow`. \
             Whole numbers are written without fraction and exponent: 7, not 7.0.",
        ))
        .license(Some(license))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths::all())
        .components(Some(components()))
        .build()
}

/// The document as it is committed: indented, with a line feed at its end.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn json() -> Result<String, serde_json::Error> {
    document().to_pretty_json().map(|json| json + "\n")
}

fn components() -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    let components =
        ComponentsBuilder::new().security_scheme(paths::BEARER, SecurityScheme::Http(bearer));
    let components = with::<Account>(components);
    let components = with::<Accepted>(components);
    let components = with::<ErrorBody>(components);
    let components = with::<ErrorDetail>(components);
    let components = with::<EventWire>(components);
    let components = with::<Greeting>(components);
    let components = with::<Item>(components);
    let components = with::<ItemUpdateWire>(components);
    let components = with::<Items>(components);
    let components = with::<NewEventsWire>(components);
    let components = with::<NewSessionWire>(components);
    let components = with::<NewTransferWire>(components);
    let components = with::<Probe>(components);
    let components = with::<Session>(components);
    let components = with::<Transfer>(components);
    with::<TransferStatus>(components).build()
}

fn with<T: ToSchema>(components: ComponentsBuilder) -> ComponentsBuilder {
    components.schema(T::name(), T::schema())
}
