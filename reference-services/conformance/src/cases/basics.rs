//! Rows 1 and 2, and what every path has in common.

use crate::World;

pub(super) async fn probes_answer(world: &World) {
    world
        .service
        .get("/livez")
        .await
        .is_json(200, &[], r#"{"status":"alive"}"#);
    world
        .service
        .get("/readyz")
        .await
        .is_json(200, &[], r#"{"status":"ready"}"#);
}

pub(super) async fn greetings_are_exact(world: &World) {
    let plaintext = [("content-type", "text/plain; charset=utf-8")];
    world
        .service
        .get("/v1/plaintext")
        .await
        .is(200, &plaintext, "Hello, World!");
    world
        .service
        .get("/v1/json")
        .await
        .is_json(200, &[], r#"{"message":"Hello, World!"}"#);
}

pub(super) async fn unknown_paths_and_methods_are_errors(world: &World) {
    for path in [
        "/",
        "/v1",
        "/v1/item/1",
        "/v1/items/",
        "/v1/items/1/2",
        "/V1/json",
    ] {
        world
            .service
            .get(path)
            .await
            .is_error(404, "path_not_found");
    }
    for (method, path, known) in [
        ("POST", "/livez", &["GET"][..]),
        ("DELETE", "/v1/items/1", &["GET", "PUT"]),
        ("GET", "/v1/transfers", &["POST"]),
        ("PUT", "/v1/json", &["GET"]),
    ] {
        let answer = world.service.request(method, path).send().await;
        let allow = answer
            .headers
            .get("allow")
            .expect("a 405 names what is allowed")
            .clone();
        // HEAD comes with GET in some frameworks and not in others; the contract leaves it open.
        let mut allowed: Vec<&str> = allow
            .split(',')
            .map(str::trim)
            .filter(|method| *method != "HEAD")
            .collect();
        allowed.sort_unstable();
        assert_eq!(allowed, known, "{method} {path}");
        answer.is_error_with(405, "method_not_allowed", &[("allow", &allow)]);
    }
}
