//! Tokens: listPersonalTokens, createPersonalToken, deletePersonalToken, listOrgTokens, createOrgToken,
//! deleteOrgToken, listTokens, createToken, deleteToken.

use crate::support::http::Request;
use crate::support::people::{People, text};
use crate::support::server::TestServer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn a_token_is_shown_once_and_taken_in_every_spelling() {
    let server = TestServer::start();
    let people = People::first(&server);
    let body = json!({ "description": "laptop", "expires": 0 });
    let made = people.admin("POST", "/api/user/tokens", body).ok().json();
    let token = text(&made, "tokenValue");
    let is_hex = |text: &str| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(token.strip_prefix("pul-").is_some_and(is_hex), "{token}");
    let basic = format!("Basic {}", STANDARD.encode(format!("anything:{token}")));
    for authorization in
        [format!("token {token}"), format!("Bearer {token}"), format!("bearer {token}"), basic]
    {
        let me = server.send(&Request::new("GET", "/api/user").authorization(&authorization)).ok().json();
        assert_eq!(me["tokenInfo"]["name"], "laptop");
    }
    let list = people.admin("GET", "/api/user/tokens", Value::Null).ok();
    assert!(!list.text().contains(&token[4..]), "never again");
    let file = std::fs::read(server.folder().join("pulumi-backend.db-wal")).expect("the log");
    assert!(!file.windows(40).any(|part| part == &token.as_bytes()[4..]), "and nowhere on disk");

    people.admin("DELETE", &format!("/api/user/tokens/{}", text(&made, "id")), Value::Null).ok();
    people.call(&token, "GET", "/api/user").expect(&[401]);
}

#[test]
fn a_limited_token_takes_away_and_cannot_make_others() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    server.create_stack("api", "dev");
    let people = People::first(&server);
    let body = json!({ "name": "reader", "role": "read", "stacks": ["organization/web/*"] });
    let made = people.admin("POST", "/api/admin/users/alice/tokens", body).ok().json();
    let token = text(&made, "tokenValue");
    people.call(&token, "GET", "/api/stacks/organization/web/dev/export").ok();
    people.call(&token, "GET", "/api/stacks/organization/api/dev/export").expect(&[404]);
    let refused = people.call(&token, "DELETE", "/api/stacks/organization/web/dev").expect(&[403]);
    assert!(refused.text().contains("the token 'reader' of alice"), "{refused}");
    people.send(&token, "POST", "/api/user/tokens", json!({})).expect(&[403]);
    people.call(&token, "GET", "/api/admin/users").expect(&[403]);
    let stacks = people.call(&token, "GET", "/api/user/stacks").ok().json();
    assert_eq!(stacks["stacks"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_machine_token_is_its_organization() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.org("acme");
    let body = json!({ "name": "ci", "role": "update", "stacks": ["acme/web/*"] });
    let made = people.admin("POST", "/api/orgs/acme/tokens", body).ok().json();
    let token = text(&made, "tokenValue");
    let me = people.call(&token, "GET", "/api/user").ok().json();
    assert_eq!(me["githubLogin"], "acme");
    assert_eq!(me["tokenInfo"], json!({ "name": "ci", "organization": "acme" }));
    assert_eq!(me["organizations"].as_array().map(Vec::len), Some(1), "{me}");
    people.send(&token, "POST", "/api/user/tokens", json!({})).expect(&[403]);
    let foreign = json!({ "name": "x", "role": "read", "stacks": ["organization/web/*"] });
    people.admin("POST", "/api/orgs/acme/tokens", foreign).expect(&[400]);
    people.admin("POST", "/api/orgs/alice/tokens", json!({ "role": "read" })).expect(&[404]);

    let id = text(&people.admin("GET", "/api/orgs/acme/tokens", Value::Null).ok().json()["tokens"][0], "id");
    people.admin("DELETE", &format!("/api/orgs/organization/tokens/{id}"), Value::Null).expect(&[404]);
    people.admin("DELETE", &format!("/api/orgs/acme/tokens/{id}"), Value::Null).ok();
    people.call(&token, "GET", "/api/user").expect(&[401]);
}

#[test]
fn a_token_does_not_outlive_the_one_that_made_it() {
    let server = TestServer::start();
    let people = People::first(&server);
    let in_an_hour = 3600 + std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let body = json!({ "description": "short", "expires": in_an_hour });
    let short = text(&people.admin("POST", "/api/user/tokens", body).ok().json(), "tokenValue");
    let made = people.send(&short, "POST", "/api/user/tokens", json!({ "expires": 0 })).ok().json();
    assert_eq!(made["expires"], in_an_hour);
    people.admin("POST", "/api/user/tokens", json!({ "expires": 5 })).expect(&[400]);
}

#[test]
fn the_last_use_of_a_token_is_known() {
    let server = TestServer::start();
    let people = People::first(&server);
    let bob = people.user("bob");
    people.call(&bob, "GET", "/api/user").ok();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let list = people.admin("GET", "/api/admin/tokens", Value::Null).ok().json();
        let of_bob =
            list["tokens"].as_array().expect("tokens").iter().find(|it| it["owner"] == "bob").cloned();
        let of_bob = of_bob.expect("bob's token");
        if of_bob["lastUsedAddress"] == "127.0.0.1" && of_bob["lastUsed"].as_i64() > Some(0) {
            break;
        }
        assert!(Instant::now() < deadline, "{of_bob}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sign_ins = people.audit("user.sign-in");
    assert!(sign_ins.iter().any(|it| it["user"] == "bob" && it["address"] == "127.0.0.1"), "{sign_ins:?}");
    let id = text(&people.call(&bob, "GET", "/api/user/tokens").ok().json()["tokens"][0], "id");
    people.admin("DELETE", &format!("/api/admin/tokens/{id}"), Value::Null).ok();
    people.call(&bob, "GET", "/api/user").expect(&[401]);
    people.admin("DELETE", &format!("/api/admin/tokens/{id}"), Value::Null).expect(&[404]);
}
