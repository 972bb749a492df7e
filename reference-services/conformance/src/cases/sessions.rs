//! Row 14.

use crate::World;
use crate::http::Answer;
use crate::service::Service;
use crate::token::{Claims, claims};

async fn post(service: &Service, body: &str) -> Answer {
    let request = service.request("POST", "/v1/sessions");
    request.json(body).send().await
}

fn login(user: &str, password: &str) -> String {
    format!(r#"{{"user":"{user}","password":"{password}"}}"#)
}

/// The token of a session of this user.
pub(super) async fn token_of(service: &Service, number: u32) -> String {
    let body = login(&format!("user-{number}"), &format!("secret-{number}"));
    let answer = post(service, &body).await;
    answer.value()["token"].as_str().unwrap().to_owned()
}

pub(super) async fn are_opened_for_users(world: &World) {
    for user in ["1", "2000", "10000"] {
        let body = login(&format!("user-{user}"), &format!("secret-{user}"));
        let answer = post(&world.service, &body).await;
        let value = answer.value();
        let token = value["token"].as_str().unwrap();
        answer.is_json(
            201,
            &[],
            &format!(r#"{{"token":"{token}","token_type":"Bearer","expires_in":3600}}"#),
        );
        let Claims {
            sub,
            iat,
            exp,
            scope,
        } = claims(token);
        assert_eq!((sub, scope), (format!("user-{user}"), "items".to_owned()));
        assert_eq!(exp - iat, 3_600);
    }
}

pub(super) async fn bad_logins_are_refused(world: &World) {
    let service = &world.service;
    for (user, password) in [
        ("user-1", "secret-2"),
        ("user-1", "SECRET-1"),
        ("user-1", "secret-1 "),
        ("user-0", "secret-0"),
        ("user-10001", "secret-10001"),
        ("user-01", "secret-01"),
        ("nobody", "secret-1"),
    ] {
        post(service, &login(user, password)).await.is_error_with(
            401,
            "invalid_credentials",
            &[("www-authenticate", "Bearer")],
        );
    }
    let long = "x".repeat(65);
    for body in [
        "",
        "{}",
        "[]",
        r#"{"user":"user-1"}"#,
        r#"{"user":"user-1","password":1}"#,
        r#"{"user":"user-1","password":"secret-1","otp":"1"}"#,
        &login("", "secret-1"),
        &login("user-1", ""),
        &login(&long, "secret-1"),
        &login("user-1", &long),
    ] {
        post(service, body).await.is_error(400, "invalid_body");
    }
    let typed = service.request("POST", "/v1/sessions");
    let typed = typed.body(&login("user-1", "secret-1")).send().await;
    typed.is_error(415, "unsupported_media_type");
    let too_large = format!("{}{}", login("user-1", "secret-1"), " ".repeat(16 * 1_024));
    post(service, &too_large)
        .await
        .is_error(413, "body_too_large");
}
