//! Users and organizations: listUsers, addUser, updateUser, removeUser, listOrganizations, addOrganization.

use crate::support::people::{People, text};
use crate::support::server::{ORG, TestServer};
use serde_json::{Value, json};

#[test]
fn the_first_user_ends_the_open_mode_and_sees_all_that_was_there() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    server.post("/api/stacks/admin/mine", &json!({ "stackName": "dev" })).ok();
    server.post("/api/admin/users", &json!({ "name": "bob" })).expect(&[400]);
    server.get("/api/user").ok();
    let people = People::first(&server);
    server.get("/api/user").expect_error(401, "Unauthorized: No credentials provided or are invalid.");

    let me = people.call(&people.admin, "GET", "/api/user").ok().json();
    let logins: Vec<&str> = me["organizations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["githubLogin"].as_str())
        .collect();
    assert_eq!(logins, [ORG, "admin", "alice"]);
    assert_eq!((&me["siteAdmin"], &me["tokenInfo"]), (&json!(true), &json!({ "name": "first" })));
    let stacks = people.call(&people.admin, "GET", "/api/user/stacks").ok().json();
    assert_eq!(stacks["stacks"].as_array().map(Vec::len), Some(2));
    server.crash_and_restart();
    server.get("/api/user").expect(&[401]);
    people.call(&people.admin, "GET", "/api/user").ok();
}

#[test]
fn users_are_added_locked_out_and_removed() {
    let server = TestServer::start();
    let people = People::first(&server);
    let bob = people.user("bob");
    let me = people.call(&bob, "GET", "/api/user").ok().json();
    assert_eq!((&me["githubLogin"], &me["siteAdmin"]), (&json!("bob"), &json!(false)));
    people.send(&bob, "POST", "/api/stacks/bob/mine", json!({ "stackName": "dev" })).ok();

    for name in ["bob", "BOB", ORG] {
        people.admin("POST", "/api/admin/users", json!({ "name": name })).expect(&[409]);
    }
    people.admin("POST", "/api/admin/users", json!({ "name": "a b" })).expect(&[400]);
    people
        .admin("POST", "/api/admin/users", json!({ "name": "eve", "organizations": ["none"] }))
        .expect(&[404]);
    let list = people.admin("GET", "/api/admin/users", Value::Null).ok().json();
    assert_eq!(list["users"].as_array().map(Vec::len), Some(2), "{list}");

    people.admin("PATCH", "/api/admin/users/bob", json!({ "isDisabled": true })).ok();
    people.call(&bob, "GET", "/api/user").expect(&[401]);
    people.admin("PATCH", "/api/admin/users/bob", json!({ "isDisabled": false })).ok();
    people.call(&bob, "GET", "/api/user").ok();
    people.admin("DELETE", "/api/admin/users/bob", Value::Null).expect(&[409]);
    people.call(&bob, "DELETE", "/api/stacks/bob/mine/dev").ok();
    people.admin("DELETE", "/api/admin/users/bob", Value::Null).ok();
    people.call(&bob, "GET", "/api/user").expect(&[401]);
    people.admin("DELETE", "/api/admin/users/bob", Value::Null).expect(&[404]);
}

#[test]
fn the_last_administrator_stays() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.admin("DELETE", "/api/admin/users/alice", Value::Null).expect(&[409]);
    people.admin("PATCH", "/api/admin/users/alice", json!({ "isDisabled": true })).expect(&[409]);
    let second = json!({ "name": "zoe", "isAdmin": true });
    let zoe = text(&people.admin("POST", "/api/admin/users", second).ok().json(), "tokenValue");
    people.admin("DELETE", "/api/admin/users/alice", Value::Null).ok();
    people.call(&zoe, "GET", "/api/admin/users").ok();
}

#[test]
fn stacks_are_made_in_several_organizations() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.org("acme");
    people.admin("POST", "/api/admin/orgs", json!({ "name": "Acme" })).expect(&[409]);
    let orgs = people.admin("GET", "/api/admin/orgs", Value::Null).ok().json();
    assert_eq!(orgs["organizations"][0]["name"], "acme");
    let bob = people.user_with("bob", "admin", "acme");
    people.send(&bob, "POST", "/api/stacks/acme/web", json!({ "stackName": "dev" })).ok();
    people.send(&bob, "POST", "/api/stacks/nowhere/web", json!({ "stackName": "dev" })).expect(&[404]);
    people.admin("POST", "/api/stacks/nowhere/web", json!({ "stackName": "dev" })).expect(&[404]);
    let listed = people.call(&bob, "GET", "/api/user/stacks?organization=acme").ok().json();
    assert_eq!(listed["stacks"][0]["orgName"], "acme");
    let default = people.call(&bob, "GET", "/api/user/organizations/default").ok().json();
    assert_eq!(default["gitHubLogin"], "acme", "the one that bob belongs to");
}
