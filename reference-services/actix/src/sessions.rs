//! Row 14: sessions.

use crate::error::ApiError;
use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use contract::session::NewSession;
use policy::Policy;
use std::time::SystemTime;

pub(crate) async fn open(
    policy: Data<Policy>,
    login: Json<NewSession>,
) -> Result<HttpResponse, ApiError> {
    let session = policy.open_session(&login, SystemTime::now())?;
    Ok(HttpResponse::Created().json(session))
}
