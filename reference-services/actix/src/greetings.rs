//! Row 2: plaintext and JSON.

use actix_web::web::Json;
use contract::greeting::{Greeting, HELLO};

pub(crate) async fn plaintext() -> &'static str {
    HELLO
}

pub(crate) async fn json() -> Json<Greeting> {
    Json(Greeting::hello())
}
