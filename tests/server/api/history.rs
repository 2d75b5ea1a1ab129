//! The history of a stack: every update that was started, newest first.

use crate::support::server::TestServer;
use crate::support::stack::create_update_body;
use crate::support::update::TestUpdate;
use serde_json::{Value, json};

#[test]
fn a_stack_without_updates_has_an_empty_history() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    assert_eq!(stack.get("/updates").expect(&[200]).json()["updates"], json!([]));
    assert_eq!(stack.get("/updates?pageSize=10&page=1").expect(&[200]).json()["updates"], json!([]));
    // Beyond what the database can count there are no pages either.
    for page in [i64::MAX as u64, 1 << 63, u64::MAX] {
        for path in ["/updates", "/updates/latest/previews"] {
            let page = stack.get(&format!("{path}?page={page}&pageSize={page}")).expect(&[200]).json();
            assert_eq!(page["updates"], json!([]));
        }
    }
    stack.get("/updates/latest").expect(&[404]);
    let previews = stack.get("/updates/latest/previews?asc=false&pageSize=1&page=1").expect(&[200]);
    assert_eq!(previews.json()["updates"], json!([]));
}

#[test]
fn an_entry_tells_all_about_its_update() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let mut body = create_update_body(false);
    body["metadata"] = json!({ "message": "Add a <bucket> ✓", "environment": { "git.head": "abc", "pulumi.version": "v3.259.0" } });
    body["config"] = json!({ "web:size": { "string": "10", "secret": false, "object": false }, "web:pw": { "string": "Y2lwaGVy", "secret": true, "object": false },
        "web:o": { "string": "{\"a\":{\"secure\":\"Y2lwaGVy\"}}", "secret": true, "object": true } });
    let id = stack.post("/update", &body).ok().json()["updateID"].as_str().expect("updateID").to_string();
    let started = stack.try_start(&id, 0).ok();
    let update = TestUpdate::new(stack.clone(), id, &started);
    update.checkpoint(&stack.deployment(&["a", "b"])).ok();
    update.complete("succeeded").ok();

    let history = stack.history();
    assert_eq!(history.len(), 1);
    let entry = &history[0];
    for (name, expected) in [
        ("kind", json!("update")),
        ("result", json!("succeeded")),
        ("version", json!(1)),
        ("resourceCount", json!(3)),
        ("message", body["metadata"]["message"].clone()),
        ("environment", body["metadata"]["environment"].clone()),
        ("config", body["config"].clone()),
    ] {
        assert_eq!(entry[name], expected, "{name} of {entry}");
    }
    let (start, end) =
        (entry["startTime"].as_i64().expect("startTime"), entry["endTime"].as_i64().expect("endTime"));
    assert!(1_700_000_000 < start && start <= end, "{start} to {end}");
    assert!(entry["resourceChanges"].is_null() || entry["resourceChanges"] == json!({}), "{entry}");
    assert_eq!(stack.get("/updates/latest").expect(&[200]).json()["info"], *entry);
}

#[test]
fn pages_are_counted_from_1() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for _ in 0..25 {
        stack.start_update().complete("succeeded").ok();
    }
    let versions = |query: &str| -> Vec<u64> {
        let page = stack.get(&format!("/updates{query}")).expect(&[200]).json();
        page["updates"]
            .as_array()
            .expect("updates")
            .iter()
            .map(|it| it["version"].as_u64().expect("a version"))
            .collect()
    };
    assert_eq!(versions(""), (1..=25).rev().collect::<Vec<_>>());
    assert_eq!(versions("?pageSize=10&page=1"), (16..=25).rev().collect::<Vec<_>>());
    assert_eq!(versions("?pageSize=10&page=2"), (6..=15).rev().collect::<Vec<_>>());
    assert_eq!(versions("?pageSize=10&page=3"), (1..=5).rev().collect::<Vec<_>>());
    assert_eq!(versions("?pageSize=10&page=4"), [] as [u64; 0]);
    assert_eq!(versions("?pageSize=1&page=25"), [1]);
    assert_eq!(versions("?pageSize=10"), (16..=25).rev().collect::<Vec<_>>());
    for bad in ["?pageSize=x&page=1", "?pageSize=10&page=x", "?pageSize=-1&page=1"] {
        stack.get(&format!("/updates{bad}")).expect(&[400]);
    }
}

#[test]
fn each_kind_is_named() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for kind in ["update", "refresh", "destroy"] {
        stack.start(kind, false, 1).complete("succeeded").ok();
    }
    stack.import(&stack.deployment(&["a"])).ok();
    let kinds: Vec<Value> = stack.history().iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, ["import", "destroy", "refresh", "update"]);
}

#[test]
fn a_failed_update_keeps_its_version() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let failed = stack.start_checkpoints();
    failed.checkpoint(&stack.deployment(&["a"])).ok();
    failed.complete("failed").ok();
    stack.update_to(&["a", "b"]);
    let history = stack.history();
    let told: Vec<_> = history
        .iter()
        .map(|it| (it["version"].as_u64(), it["result"].as_str(), it["resourceCount"].as_u64()))
        .collect();
    assert_eq!(told, [(Some(2), Some("succeeded"), Some(3)), (Some(1), Some("failed"), Some(2))]);
    assert_eq!(stack.get("/export/1").ok().json(), stack.deployment(&["a"]));
}

#[test]
fn previews_stand_apart() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let first = stack.start_preview();
    first.complete("succeeded").ok();
    stack.start("update", true, 1).cancel().ok();
    stack.start_update().complete("failed").ok();
    let last = stack.start("update", true, 1);
    last.complete("failed").ok();
    assert_eq!(stack.history().len(), 1);
    assert_eq!(stack.get("/updates/latest").ok().json()["info"]["version"], 1);
    let previews = stack.get("/updates/latest/previews?asc=false&pageSize=1&page=1").expect(&[200]).json();
    assert_eq!(previews["updates"].as_array().map(Vec::len), Some(1));
    assert_eq!(previews["updates"][0]["updateID"], last.id.as_str());
}

#[test]
fn an_update_that_never_started_is_not_in_the_history() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.create_update("update", false);
    assert_eq!(stack.history(), [] as [Value; 0]);
}

#[test]
fn a_running_update_is_in_progress_if_it_is_listed() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    let running = stack.start_update();
    let history = stack.history();
    assert!(history.len() == 1 || history[0]["result"] == "in-progress", "{history:?}");
    assert_eq!(history.last().expect("the first update")["result"], "succeeded");
    running.complete("succeeded").ok();
    assert_eq!(stack.history().len(), 2);
}

#[test]
fn a_long_message_is_taken() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let mut body = create_update_body(false);
    body["metadata"]["message"] = json!("é".repeat(20_000));
    let id = stack.post("/update", &body).ok().json()["updateID"].as_str().expect("updateID").to_string();
    let started = stack.try_start(&id, 1).ok();
    TestUpdate::new(stack.clone(), id, &started).complete("succeeded").ok();
    assert_eq!(stack.history()[0]["message"], body["metadata"]["message"]);
}

#[test]
fn one_entry_can_be_asked_for_by_its_version() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    stack.import(&stack.deployment(&["a", "b"])).ok();
    // getUpdateByVersion
    for (version, kind) in [(1, "update"), (2, "import")] {
        let info = &stack.get(&format!("/updates/{version}")).expect(&[200]).json()["info"];
        assert_eq!((&info["version"], &info["kind"]), (&json!(version), &json!(kind)));
    }
    for unknown in ["0", "3", "-1", "x", "99999999999999999999"] {
        stack.get(&format!("/updates/{unknown}")).expect(&[404]);
    }
}

#[test]
fn after_an_import_the_latest_entry_has_the_configuration_that_held_before() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let mut body = create_update_body(false);
    body["config"] = json!({ "web:size": { "string": "10", "secret": false, "object": false } });
    let id = stack.post("/update", &body).ok().json()["updateID"].as_str().expect("updateID").to_string();
    let started = stack.try_start(&id, 0).ok();
    TestUpdate::new(stack.clone(), id, &started).complete("succeeded").ok();
    stack.import(&stack.deployment(&["a"])).ok();

    let info = &stack.get("/updates/latest").expect(&[200]).json()["info"];
    assert_eq!(info["kind"], "import");
    assert_eq!(info["config"], body["config"]);
}
