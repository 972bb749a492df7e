//! Row 3.

use crate::World;

pub(super) async fn are_read_by_id(world: &World) {
    for id in [9_001, 10_000] {
        let body = format!(r#"{{"id":{id},"balance_minor":1000000000000,"currency":"EUR"}}"#);
        world
            .service
            .get(&format!("/v1/accounts/{id}"))
            .await
            .is_json(200, &[], &body);
    }
    for id in ["10001", "9223372036854775807"] {
        world
            .service
            .get(&format!("/v1/accounts/{id}"))
            .await
            .is_error(404, "account_not_found");
    }
    for id in ["0", "-1", "+1", "1.0", "x", "9223372036854775808", "%20"] {
        world
            .service
            .get(&format!("/v1/accounts/{id}"))
            .await
            .is_error(400, "invalid_account_id");
    }
}
