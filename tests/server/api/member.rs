//! Members and grants: listOrganizationMembers, addOrganizationMember, updateOrganizationMember,
//! deleteOrganizationMember, listGrants, addGrant, removeGrant.

use crate::support::people::{People, text};
use crate::support::server::{ORG, TestServer};
use serde_json::{Value, json};

#[test]
fn grants_come_and_go() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    let people = People::first(&server);
    let bob = people.user("bob");
    let export = "/api/stacks/organization/web/dev/export";
    people.call(&bob, "GET", export).expect(&[404]);
    people.grant("read", "bob", "organization/*/dev");
    people.grant("read", "bob", "organization/*/dev");
    people.call(&bob, "GET", export).ok();
    let grants = people.admin("GET", "/api/orgs/organization/grants", Value::Null).ok().json();
    assert_eq!(grants["grants"].as_array().map(Vec::len), Some(1), "{grants}");
    let target = "/api/orgs/organization/grants?user=bob&role=read&pattern=organization%2F*%2Fdev";
    people.admin("DELETE", target, Value::Null).ok();
    people.call(&bob, "GET", export).expect(&[404]);
    people.admin("DELETE", target, Value::Null).expect(&[404]);
    let actions: Vec<String> = people.audit("grant").iter().map(|it| text(it, "action")).collect();
    assert_eq!(actions, ["grant.add", "grant.add", "grant.remove"]);
}

#[test]
fn an_administrator_of_an_organization_grants_within_it() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.org("acme");
    let boss = people.user_with("boss", "admin", "acme");
    people.user("bob");
    let grant = |org: &str, pattern: &str| {
        let body = json!({ "role": "update", "user": "bob", "pattern": pattern });
        people.send(&boss, "POST", &format!("/api/orgs/{org}/grants"), body).status
    };
    assert_eq!(grant("acme", "acme/web/*"), 204);
    assert_eq!(grant("acme", "organization"), 400);
    assert_eq!(grant("organization", "organization"), 404);
    assert_eq!(grant("*", "*"), 404);
    for wrong in ["acme/we b/*", "a", "acme/x/y/z", "acme/", "acme/[ab]/*"] {
        assert_eq!(grant("acme", wrong), 400, "{wrong}");
    }
}

#[test]
fn members_as_the_cli_sees_and_sets_them() {
    let server = TestServer::start();
    let people = People::first(&server);
    let bob = people.user_with("bob", "read", "organization/web/*");
    let list = || people.admin("GET", "/api/orgs/organization/members?type=backend", Value::Null).ok().json();
    let member = &list()["members"][0];
    assert_eq!((&member["role"], &member["user"]["githubLogin"]), (&json!("member"), &json!("bob")));
    people.admin("PATCH", "/api/orgs/organization/members/bob", json!({ "role": "admin" })).ok();
    assert_eq!(list()["members"][0]["role"], "admin");
    people.send(&bob, "POST", &format!("/api/stacks/{ORG}/api"), json!({ "stackName": "dev" })).ok();
    people.admin("DELETE", "/api/orgs/organization/members/bob", Value::Null).ok();
    assert_eq!(list()["members"], json!([]));
    people.admin("DELETE", "/api/orgs/organization/members/bob", Value::Null).expect(&[404]);
    people.admin("POST", "/api/orgs/organization/members/bob", json!({ "role": "auditor" })).ok();
    people.call(&bob, "GET", "/api/orgs/organization/auditlogs").ok();
    people.call(&bob, "GET", "/api/stacks/organization/api/dev/export").expect(&[403]);
}
