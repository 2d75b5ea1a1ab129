//! Who may call what: every route for every kind of caller, against a table that was written by hand.

use crate::support::http::{Request, Response, read_response};
use crate::support::people::{People, text};
use crate::support::server::{ORG, TestServer};
use crate::support::update::TestUpdate;
use pulumi_backend::http::Method;
use pulumi_backend::routes::table::{ROUTES, Route};
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The callers, in the order of the columns below. All users but `foreign` have their role on the organization.
const CALLERS: [&str; 14] = [
    "no token",
    "bad",
    "expired",
    "revoked",
    "read",
    "decrypt",
    "update",
    "admin",
    "auditor",
    "foreign",
    "lease",
    "other lease",
    "ended lease",
    "local",
];

// `+` it gets to the handler, `U` 401, `F` 403, `N` 404 in the words for what is not there.
//                 no bad exp rev  rea dec upd adm aud for  lea oth end  loc
const PUBLIC: &str = "+ + + +  + + + + + +  + + +  +";
const ANYONE: &str = "U U U U  + + + + + +  F F F  +";
const OWN: &str = "   U U U U  + + + + + +  F F F  F";
const SEE: &str = "   U U U U  + + + + + N  F F F  +";
const READ: &str = "  U U U U  + + + + F N  F F F  +";
const DECRYPT: &str = "U U U U F + + + F N  F F F  +";
const UPDATE: &str = "U U U U  F F + + F N  F F F  +";
const ADMIN: &str = " U U U U  F F F + F N  F F F  +";
const AUDIT: &str = " U U U U  F F F + + N  F F F  +";
const SERVER: &str = "U U U U  F F F F F F  F F F  +";
// A lease of an ended update still opens its own update: a repeat gets the answer of the first time.
const LEASE: &str = " U F F F  F F F F F F  + F +  U";
// Its journal takes nothing that it did not take before.
const JOURNAL: &str = "U F F F  F F F F F F  + F F  U";

#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("getRoot", PUBLIC), ("getHealth", PUBLIC), ("getReadiness", PUBLIC), ("getCLIVersionInfo", PUBLIC),
    ("exchangeToken", PUBLIC),
    ("getCapabilities", ANYONE), ("getCurrentUser", ANYONE), ("getDefaultOrganization", ANYONE),
    ("listUserStacks", ANYONE), ("listPackages", ANYONE),
    ("listPersonalTokens", OWN), ("createPersonalToken", OWN), ("deletePersonalToken", OWN),
    ("listOrganizationMembers", AUDIT), ("listGrants", AUDIT), ("listOrgTokens", AUDIT),
    ("listAuditLogs", AUDIT), ("exportAuditLogs", AUDIT),
    ("addOrganizationMember", ADMIN), ("updateOrganizationMember", ADMIN), ("deleteOrganizationMember", ADMIN),
    ("addGrant", ADMIN), ("removeGrant", ADMIN), ("createOrgToken", ADMIN), ("deleteOrgToken", ADMIN),
    ("listUsers", SERVER), ("addUser", SERVER), ("updateUser", SERVER), ("removeUser", SERVER),
    ("listOrganizations", SERVER), ("addOrganization", SERVER),
    ("listTokens", SERVER), ("createToken", SERVER), ("deleteToken", SERVER),
    ("listIssuers", SERVER), ("addIssuer", SERVER), ("removeIssuer", SERVER),
    ("getMetrics", SERVER), ("adminGetStatus", SERVER), ("adminListLocks", SERVER),
    ("getOpenAPI", PUBLIC), ("getOpenAPISpec", PUBLIC), ("adminGetStack", SEE), ("adminListVersions", SEE),
    ("createBackup", SERVER), ("listBackups", SERVER), ("getBackup", SERVER), ("getProgress", SERVER),
    ("showKeys", SERVER), ("verifyDatabase", SERVER), ("rotateMasterKey", SERVER), ("renewStackKey", SERVER),
    ("getAuditRecords", SERVER), ("exportAuditRecords", SERVER), ("getAuditHead", SERVER), ("verifyAuditRecords", SERVER),
    ("projectExists", SEE), ("getStack", SEE), ("getStackUpdates", SEE), ("getLatestUpdate", SEE),
    ("getLatestPreviews", SEE), ("getUpdateByVersion", SEE), ("getUpdateStatus", SEE),
    ("exportStack", READ), ("exportStackVersion", READ), ("getUpdateEvents", READ),
    ("encryptValue", READ), ("batchEncryptValue", READ), ("logDecryption", READ), ("logBatchDecryption", READ),
    ("decryptValue", DECRYPT), ("batchDecryptValue", DECRYPT), ("createPreview", DECRYPT),
    ("createUpdate", UPDATE), ("createRefresh", UPDATE), ("createDestroy", UPDATE),
    ("startUpdate", UPDATE), ("cancelUpdate", UPDATE), ("updateStackTags", UPDATE), ("updateStackConfig", UPDATE),
    ("createStack", ADMIN), ("deleteStack", ADMIN), ("renameStack", ADMIN), ("importStack", ADMIN),
    ("renewLease", LEASE), ("completeUpdate", LEASE), ("patchCheckpoint", LEASE),
    ("patchCheckpointVerbatim", LEASE), ("patchCheckpointDelta", LEASE), ("appendJournalEntries", JOURNAL),
    ("postEngineEventsBatch", LEASE), ("postEngineEvent", LEASE),
];

#[test]
fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let server = TestServer::start_with(&["--wrong-tokens", "100000"]);
    let scene = Scene::set(&server);
    let mut wrong = Vec::new();
    for route in ROUTES {
        let Some((_, row)) = TABLE.iter().find(|(name, _)| *name == route.name) else {
            wrong.push(format!("{} is not in the table", route.name));
            continue;
        };
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells.len(), CALLERS.len(), "{}", route.name);
        for (caller, expected) in CALLERS.iter().zip(cells) {
            let response = scene.call(route, caller);
            let got = outcome(&response);
            if got != expected {
                wrong.push(format!("{} as {caller}: {got}, not {expected}: {response}", route.name));
            }
        }
    }
    let is_route = |name: &str| ROUTES.iter().any(|route| route.name == name);
    wrong.extend(TABLE.iter().filter(|row| !is_route(row.0)).map(|row| format!("{} is no route", row.0)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(scene.ended.stack.info_as(&scene.people.admin), 200, "nothing was deleted or renamed");
}

/// A stack with an ended and a running update, another one with a running update, and all callers.
struct Scene<'a> {
    people: People<'a>,
    tokens: Vec<(&'static str, String)>,
    running: TestUpdate<'a>,
    other: TestUpdate<'a>,
    ended: TestUpdate<'a>,
    control: PathBuf,
}

impl<'a> Scene<'a> {
    fn set(server: &'a TestServer) -> Scene<'a> {
        let stack = server.create_stack("web", "dev");
        let ended = stack.update_to(&["one"]);
        let running = stack.start_update();
        let other = server.create_stack("web", "other").start_update();
        let people = People::first(server);
        let mut tokens: Vec<(&str, String)> = vec![("bad", format!("pul-{}", "0".repeat(40)))];
        for role in ["read", "decrypt", "update", "admin", "auditor"] {
            tokens.push((role, people.user_with(&format!("user-{role}"), role, ORG)));
        }
        people.org("acme");
        tokens.push(("foreign", people.user_with("foreign", "admin", "acme")));
        tokens.push(("revoked", people.revoked_token()));
        tokens.push(("expired", people.expired_token()));
        let control = server.folder().join("pulumi-backend.db-control");
        Scene { people, tokens, running, other, ended, control }
    }

    /// A call that changes nothing even for those who may: its body is nothing that any handler takes.
    fn call(&self, route: &Route, caller: &str) -> Response {
        let is_lease = route.name != "cancelUpdate" && ROUTE_OF_LEASE.contains(&route.name);
        let update = match caller {
            "ended lease" => &self.ended,
            _ if is_lease => &self.running,
            _ => &self.ended,
        };
        let request = Request::new(route.method.as_str(), target(route.pattern, &update.id));
        let request = match route.method {
            Method::Post | Method::Put | Method::Patch => request.bytes("[]"),
            _ => request,
        };
        let lease = |update: &TestUpdate| format!("update-token {}", update.token);
        let authorization = match caller {
            "no token" | "local" => String::new(),
            "lease" => lease(&self.running),
            "other lease" => lease(&self.other),
            "ended lease" => lease(&self.ended),
            name => {
                let found = self.tokens.iter().find(|(of, _)| *of == name);
                format!("token {}", found.expect("a caller").1)
            }
        };
        let request = request.authorization(&authorization);
        if caller == "local" { self.call_locally(&request) } else { self.people.server.send(&request) }
    }

    /// Through the control socket.
    fn call_locally(&self, request: &Request) -> Response {
        let mut socket = UnixStream::connect(&self.control).expect("the control socket");
        socket.write_all(&request.to_bytes()).expect("send");
        read_response(&mut BufReader::new(socket), request).expect("an answer")
    }
}

/// Those that take a lease, whose path must name the update that runs.
const ROUTE_OF_LEASE: &[&str] = &[
    "renewLease",
    "completeUpdate",
    "patchCheckpoint",
    "patchCheckpointVerbatim",
    "patchCheckpointDelta",
    "appendJournalEntries",
    "postEngineEventsBatch",
    "postEngineEvent",
];

fn target(pattern: &str, update: &str) -> String {
    let names = [
        ("{orgName}", ORG),
        ("{projectName}", "web"),
        ("{stackName}", "dev"),
        ("{updateID}", update),
        ("{version}", "1"),
        ("{userLogin}", "nobody"),
        ("{tokenID}", "none"),
        ("{backupName}", "none"),
        ("{issuerID}", "none"),
    ];
    let target = names.iter().fold(pattern.to_string(), |text, (name, value)| text.replace(name, value));
    assert!(!target.contains('{'), "{pattern}: what to put in?");
    target
}

fn outcome(response: &Response) -> &'static str {
    let body = String::from_utf8_lossy(&response.body);
    let is_hidden = response.call.starts_with("HEAD ")
        || body.contains("Stack 'organization/web/dev' not found")
        || body.contains("Organization 'organization' not found");
    match response.status {
        401 => "U",
        403 => "F",
        404 if is_hidden => "N",
        429 => "429",
        500.. => "5xx",
        _ => "+",
    }
}

impl People<'_> {
    fn revoked_token(&self) -> String {
        let token = self.user_with("revoked", "admin", ORG);
        let list = self.call(&token, "GET", "/api/user/tokens").ok().json();
        let id = text(&list["tokens"][0], "id");
        self.call(&token, "DELETE", &format!("/api/user/tokens/{id}")).ok();
        token
    }

    /// A token that has just ended.
    fn expired_token(&self) -> String {
        let token = self.user_with("expired", "admin", ORG);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let body = json!({ "description": "short", "expires": now.as_secs() + 2 });
        let made = self.send(&token, "POST", "/api/user/tokens", body).ok().json();
        let short = text(&made, "tokenValue");
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.call(&short, "GET", "/api/user").status != 401 {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        short
    }
}

#[test]
fn what_one_may_not_see_looks_like_what_is_not_there() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    let people = People::first(&server);
    let reader = people.user_with("bob", "read", "organization/other/*");
    let ask = |stack: &str| {
        let response = people.call(&reader, "GET", &format!("/api/stacks/{ORG}/web/{stack}"));
        response.expect(&[404]).text().replace(stack, "<name>")
    };
    assert_eq!(ask("dev"), ask("nothing"));
    people.call(&reader, "GET", "/api/stacks/organization/web/dev/export").expect(&[404]);
    people.call(&reader, "HEAD", "/api/stacks/organization/web").expect(&[404]);
    let list = people.call(&reader, "GET", "/api/user/stacks").ok().json();
    assert_eq!(list["stacks"], json!([]));
}

#[test]
fn lists_show_what_the_caller_may_see_and_pages_are_full() {
    let server = TestServer::start_with(&["--stack-list-page-size", "2"]);
    for name in ["a", "b", "c", "d", "e", "f"] {
        server.create_stack("web", name);
        server.create_stack("api-v1", name);
    }
    let people = People::first(&server);
    let token = people.user_with("bob", "read", "organization/web/a");
    for pattern in ["organization/web/c", "organization/web/e", "organization/api-*/f"] {
        people.grant("auditor", "bob", pattern);
    }
    let mut seen = Vec::new();
    let mut target = "/api/user/stacks".to_string();
    loop {
        let page = people.call(&token, "GET", &target).ok().json();
        let stacks = page["stacks"].as_array().expect("stacks");
        seen.extend(stacks.iter().map(|it| format!("{}/{}", text(it, "projectName"), text(it, "stackName"))));
        match page["continuationToken"].as_str() {
            Some(token) => {
                assert_eq!(stacks.len(), 2, "a page that is not the last is full");
                target = format!("/api/user/stacks?continuationToken={token}");
            }
            None => break,
        }
    }
    assert_eq!(seen, ["api-v1/f", "web/a", "web/c", "web/e"]);
    people.call(&token, "HEAD", "/api/stacks/organization/api-v1").expect(&[200, 204]);
}

#[test]
fn a_project_administrator_stays_in_the_project() {
    let server = TestServer::start();
    let people = People::first(&server);
    let token = people.user_with("bob", "admin", "organization/web/*");
    let create = |project: &str, name: &str| {
        people.send(&token, "POST", &format!("/api/stacks/{ORG}/{project}"), json!({ "stackName": name }))
    };
    create("web", "dev").ok();
    let refused = create("other", "dev").expect(&[403]).json();
    assert!(text(&refused, "message").contains("'admin' on organization/other/*"), "{refused}");
    let rename = json!({ "newName": "dev", "newProject": "other" });
    people.send(&token, "POST", "/api/stacks/organization/web/dev/rename", rename).expect(&[404]);
    people.call(&token, "GET", "/api/stacks/organization/web/dev").ok();
    people.send(&token, "POST", "/api/stacks/acme/web", json!({ "stackName": "x" })).expect(&[404]);
}

#[test]
fn a_preview_needs_to_read_secrets_and_no_more() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    let people = People::first(&server);
    let token = people.user_with("bob", "decrypt", "organization/web/dev");
    let path = "/api/stacks/organization/web/dev";
    let body = json!({ "name": "web", "runtime": "yaml", "options": {}, "config": {}, "metadata": {} });
    let made = people.send(&token, "POST", &format!("{path}/preview"), body.clone()).ok().json();
    let start = |id: &str| people.send(&token, "POST", &format!("{path}/update/{id}"), json!({}));
    start(&text(&made, "updateID")).ok();
    let refused = people.send(&token, "POST", &format!("{path}/update"), body.clone()).expect(&[403]);
    assert!(refused.text().contains("the role 'update' on organization/web/dev"), "{refused}");
    let real = people.admin("POST", &format!("{path}/update"), body).ok().json();
    start(&text(&real, "updateID")).expect(&[403]);
}

#[test]
fn updates_go_on_after_their_token_is_gone() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let people = People::first(&server);
    let token = people.user_with("bob", "update", ORG);
    let path = stack.path("/update");
    let body = json!({ "name": "web", "runtime": "yaml", "options": {}, "config": {}, "metadata": {} });
    let id = text(&people.send(&token, "POST", &path, body).ok().json(), "updateID");
    let started = people.send(&token, "POST", &format!("{path}/{id}"), json!({ "journalVersion": 1 })).ok();
    let update = TestUpdate::new(stack.clone(), id, &started);

    people.admin("PATCH", "/api/admin/users/bob", json!({ "isDisabled": true })).ok();
    people.call(&token, "GET", "/api/user").expect(&[401]);
    update.renew().ok();
    update.complete("succeeded").ok();
    let ended = people.audit("update.end");
    assert_eq!((&ended[0]["user"], &ended[0]["result"]), (&json!("bob"), &json!("succeeded")));
}

#[test]
fn wrong_tokens_are_slowed_down_and_right_ones_never() {
    let server = TestServer::start_with(&["--wrong-tokens", "3"]);
    let people = People::first(&server);
    let statuses: Vec<u16> =
        (0..12).map(|n| people.call(&format!("pul-{n}"), "GET", "/api/user").status).collect();
    // A new minute may begin in between.
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    let limited = (0..12).map(|_| people.call("pul-x", "GET", "/api/user")).find(|it| it.status == 429);
    let wait = limited.expect("still too many").header("Retry-After").map(str::to_string);
    let wait: i64 = wait.and_then(|secs| secs.parse().ok()).expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    people.call(&people.admin, "GET", "/api/user").ok();
}

#[test]
fn a_flood_of_denied_calls_leaves_few_records() {
    let server = TestServer::start_with(&["--wrong-tokens", "100000"]);
    let people = People::first(&server);
    for n in 0..300 {
        people.call(&format!("pul-{n}"), "GET", "/api/user").expect(&[401]);
    }
    // The background may still be at it; what it may write is bounded: a few in each of two minutes, and a count.
    let n_records = people.audit("access.denied").len();
    assert!((1..=20).contains(&n_records), "{n_records} records");
}

impl crate::support::stack::TestStack<'_> {
    /// The status of `GET` with a token.
    fn info_as(&self, token: &str) -> u16 {
        self.send(&self.request("GET", "").authorization(&format!("token {token}"))).status
    }
}

#[test]
fn one_token_for_all_is_no_administrator_of_the_server() {
    let token = "correct-horse-battery";
    let server = TestServer::start_with(&["--single-tenant-token", token, "--user", "ops", "--org", "acme"]);
    let people = People { server: &server, admin: token.into() };
    let user = people.call(token, "GET", "/api/user").ok().json();
    assert_eq!(
        (&user["githubLogin"], &user["organizations"][0]["githubLogin"]),
        (&json!("ops"), &json!("acme"))
    );
    people.send(token, "POST", "/api/stacks/acme/web", json!({ "stackName": "dev" })).ok();
    people.call(token, "GET", "/api/stacks/acme/web/dev/export").ok();
    people.call(token, "GET", "/api/admin/users").expect(&[403]);
    people.call("correct-horse-batterz", "GET", "/api/user").expect(&[401]);
    people.call("", "GET", "/api/user").expect(&[401]);
    assert_eq!(
        people.admin("GET", "/api/orgs/acme/auditlogs", Value::Null).ok().json()["auditLogEvents"][0]["event"],
        "stack.export"
    );
}
