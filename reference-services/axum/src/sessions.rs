//! Row 14: sessions.

use crate::error::ApiError;
use crate::extract::Body;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use contract::session::{NewSession, Session};
use policy::Policy;
use std::time::SystemTime;

pub(crate) async fn open(
    State(policy): State<Policy>,
    Body(login): Body<NewSession>,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    let session = policy.open_session(&login, SystemTime::now())?;
    Ok((StatusCode::CREATED, Json(session)))
}
