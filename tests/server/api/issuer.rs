//! Trusted issuers: listIssuers, addIssuer, removeIssuer.

use crate::support::people::{People, text};
use crate::support::server::TestServer;
use serde_json::{Value, json};

#[test]
fn an_issuer_is_trusted_only_for_tokens_that_are_described() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.org("acme");
    let right = json!({
        "url": "https://ci.example", "organization": "acme", "claims": { "sub": "x" }, "role": "update",
        "keySet": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "AA" }] },
    });
    let add = |changes: Value| {
        let mut body = right.clone();
        changes.as_object().expect("changes").iter().for_each(|(key, value)| body[key] = value.clone());
        people.admin("POST", "/api/admin/issuers", body)
    };
    add(json!({ "claims": {} })).expect(&[400]);
    add(json!({ "organization": "nobody" })).expect(&[404]);
    add(json!({ "stacks": ["organization"] })).expect(&[400]);
    add(json!({ "keySet": { "keys": [{ "kty": "oct", "k": "AA" }] } })).expect(&[400]);
    add(json!({ "keySet": "https://ci.example/keys" })).expect(&[400]);
    add(json!({ "role": "owner" })).expect(&[400]);
    add(json!({ "lifetimeSecs": 0 })).expect(&[400]);
    add(json!({ "url": "ci.example" })).expect(&[400]);
    let id = text(&add(json!({})).ok().json(), "id");
    let list = people.admin("GET", "/api/admin/issuers", Value::Null).ok().json();
    assert_eq!(list["issuers"][0]["audience"], "urn:pulumi:org:acme");
    assert_eq!(list["issuers"].as_array().map(Vec::len), Some(1));
    people.admin("DELETE", &format!("/api/admin/issuers/{id}"), Value::Null).ok();
    people.admin("DELETE", &format!("/api/admin/issuers/{id}"), Value::Null).expect(&[404]);
}
