//! Rows 3 and 4.

use crate::World;
use std::collections::BTreeSet;

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
    for id in [
        "0",
        "-1",
        "+1",
        "1.0",
        "x",
        "9223372036854775808",
        "%20",
        "%FF",
    ] {
        world
            .service
            .get(&format!("/v1/accounts/{id}"))
            .await
            .is_error(400, "invalid_account_id");
    }
}

pub(super) async fn are_read_at_random(world: &World) {
    let mut seen = BTreeSet::new();
    for (query, count) in [
        ("", 1),
        ("?n=", 1),
        ("?n=x", 1),
        ("?n=0", 1),
        ("?n=-3", 1),
        ("?n=1", 1),
        ("?n=20", 20),
        ("?n=500", 500),
        ("?n=501", 500),
        ("?n=99999999999999999999", 500),
        ("?m=3", 1),
        ("?n=%FF", 1),
    ] {
        let path = format!("/v1/accounts/random{query}");
        let answer = world.service.get(&path).await;
        answer.is_json(200, &[], &answer.body);
        let value = answer.value();
        let accounts = value.as_array().unwrap();
        assert_eq!(accounts.len(), count, "{query}");
        for account in accounts {
            let id = account["id"].as_i64().unwrap();
            let balance = account["balance_minor"].as_i64().unwrap();
            assert!((1..=10_000).contains(&id), "{account}");
            let whole = format!(r#"{{"id":{id},"balance_minor":{balance},"currency":"EUR"}}"#);
            assert!(answer.body.contains(&whole), "{account}");
            seen.insert(id);
        }
    }
    // 1,530 draws of 10,000: about 1,420 different ones.
    assert!(seen.len() > 1_200, "{} different accounts", seen.len());
}
