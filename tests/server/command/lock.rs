//! `lock`: who holds a stack, and how it gets free.

use crate::support::command::run;
use crate::support::server::TestServer;
use serde_json::json;

#[test]
fn a_lock_tells_its_holder_and_can_be_released() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    server.create_stack("web", "free");
    let folder = server.folder();
    assert_eq!(run(&folder, &["lock", "list"]).ok(), "no stack is locked\n");
    assert!(
        run(&folder, &["lock", "show", "dev"]).fails(3).contains("no update runs on organization/web/dev")
    );

    let update = stack.start_update();
    let list = run(&folder, &["lock", "list", "--json"]).json();
    let lock = &list["locks"][0];
    assert_eq!(list["locks"].as_array().expect("locks").len(), 1);
    assert_eq!(lock["updateID"], update.id.as_str());
    assert_eq!((&lock["holder"], &lock["host"]), (&json!("admin"), &json!("127.0.0.1")));
    assert_eq!((&lock["kind"], &lock["isExpired"]), (&json!("update"), &json!(false)));
    assert!(lock["lastHeartbeat"].as_str() >= lock["since"].as_str(), "{lock}");
    assert!(lock["leaseExpires"].as_str() > lock["lastHeartbeat"].as_str(), "{lock}");
    let text = run(&folder, &["lock", "show", "dev"]).ok();
    assert!(text.contains("holder          admin\nhost            127.0.0.1\n"), "{text}");
    assert!(text.contains(&format!("update          {} (update, version 1)\n", update.id)), "{text}");
    assert!(run(&folder, &["stack", "info", "dev"]).ok().contains("locked     by update"));

    let released = run(&folder, &["lock", "release", "dev"]);
    assert!(released.err.contains("pulumi refresh"), "{}", released.err);
    released.ok();
    update.renew().expect_error(
        403,
        &format!("Forbidden: Update '{}' has ended: it was cancelled by (local administrator).", update.id),
    );
    run(&folder, &["lock", "release", "dev"]).fails(3);
    stack.start_update();
    run(&folder, &["stack", "cancel", "dev"]).ok();
    assert_eq!(run(&folder, &["lock", "list"]).ok(), "no stack is locked\n");
}

/// The server is gone, its lock is a row: it can be seen and released without it.
#[test]
fn a_lock_outlives_the_server_and_is_released_without_it() {
    let server = TestServer::start();
    server.create_stack("web", "dev").start_update();
    server.stop();
    let folder = server.folder();
    assert!(run(&folder, &["lock", "list"]).ok().contains("organization/web/dev"));
    run(&folder, &["lock", "release", "dev"]).ok();
    assert_eq!(run(&folder, &["lock", "list"]).ok(), "no stack is locked\n");
}
