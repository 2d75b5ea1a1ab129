//! What administrators ask. Routes: adminGetStatus, adminListLocks, adminGetStack, adminListVersions.

use crate::support::server::{ORG, TestServer};
use serde_json::json;

#[test]
fn the_server_tells_about_itself() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    stack.start_update();
    let status = server.get("/api/admin/status").ok().json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    for (name, expected) in
        [("stacks", 1), ("versions", 1), ("leases", 1), ("leasesExpired", 0), ("previews", 0)]
    {
        assert_eq!(status[name], expected, "{name} of {status}");
    }
    for name in ["databaseBytes", "walBytes", "diskFreeBytes", "newestUnix", "schemaVersion"] {
        assert!(status[name].as_u64().is_some_and(|n| n > 0), "{name} of {status}");
    }
}

#[test]
fn a_stack_and_its_versions_are_told_page_by_page() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    stack.import(&stack.deployment(&["a", "b"])).ok();
    let path = format!("/api/admin/stacks/{ORG}/web/dev");
    let told = server.get(&path).ok().json();
    assert_eq!(
        (&told["version"], &told["versionsKept"], &told["resourceCount"]),
        (&json!(2), &json!(2), &json!(3))
    );
    let page = server.get(&format!("{path}/versions?before=2")).ok().json();
    assert_eq!(page["before"], json!(null));
    let kinds: Vec<_> = page["versions"].as_array().expect("versions").iter().map(|v| &v["kind"]).collect();
    assert_eq!(kinds, [&json!("update")]);
    server.get(&format!("{path}/versions?before=x")).expect(&[400]);
    server.get(&format!("/api/admin/stacks/{ORG}/web/none")).expect(&[404]);
    server.get(&format!("/api/admin/stacks/{ORG}/web/none/versions")).expect(&[404]);
}

#[test]
fn a_heartbeat_is_seen() {
    let server = TestServer::start();
    let update = server.create_stack("web", "dev").start_update();
    update.renew().ok();
    let locks = server.get("/api/admin/locks").ok().json();
    assert_eq!(locks["locks"][0]["updateID"], update.id.as_str());
    assert!(locks["locks"][0]["lastHeartbeat"].as_str().is_some_and(|time| time.ends_with('Z')), "{locks}");
    update.complete("succeeded").ok();
    assert_eq!(server.get("/api/admin/locks").ok().json(), json!({ "locks": [] }));
}
