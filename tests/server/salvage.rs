//! An update of which a part is damaged: its CLI is told, nobody ends it in silence, and a person can.

use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{TestUpdate, create_entries, secrets_entry};
use std::time::{Duration, Instant};

fn started<'a>(server: &'a TestServer, name: &str) -> (TestStack<'a>, TestUpdate<'a>, i64) {
    let stack = server.create_stack("web", name);
    stack.import(&stack.deployment(&["a"])).ok();
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    for (i, name) in ["b", "c", "d"].into_iter().enumerate() {
        let i = i as u64;
        update.journal(&create_entries(2 + 2 * i, 1 + i, &stack.resource(name))).ok();
    }
    let sql = "SELECT id FROM updates WHERE uid = ?1";
    let id = server.database().query_row(sql, [&update.id], |row| row.get(0)).expect("the update");
    (stack, update, id)
}

#[track_caller]
fn damage(server: &TestServer, sql: &str, id: i64) {
    let sql = sql.replace("ID", &id.to_string());
    assert!(server.database().execute(&sql, []).expect("damage") > 0, "{sql}");
}

/// Lines of the log come a little behind what they tell of.
#[track_caller]
fn wait_for_log(server: &TestServer, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !server.log().contains(text) {
        assert!(Instant::now() < deadline, "the log does not say '{text}':\n{}", server.log());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_person_can_cancel_an_update_whose_journal_is_damaged() {
    for (name, sql, left) in [
        ("changed", "UPDATE journal SET body = zeroblob(40) WHERE id = (ID << 20) + 3", &["b", "a"][..]),
        ("missing", "DELETE FROM journal WHERE id = (ID << 20) + 3", &["b", "a"]),
        ("first", "UPDATE journal SET body = zeroblob(40) WHERE id = (ID << 20) + 1", &["a"]),
        ("all", "UPDATE journal SET hash = x'00' WHERE id >> 20 = ID", &["a"]),
        ("program", "DELETE FROM programs WHERE update_id = ID", &["b", "c", "d", "a"]),
    ] {
        let server = TestServer::start();
        let (stack, update, id) = started(&server, name);
        damage(&server, sql, id);
        // Its own end, and everything that reads it, fail; nothing is ended in silence.
        update.complete("succeeded").expect(&[500]);
        stack.get("/export").expect(&[500]);
        stack.try_start(&stack.create_update("update", false), 1).expect(&[409]);
        // A person can. The second time is as good as the first.
        update.cancel().ok();
        update.cancel().ok();
        let root = format!("web-{name}");
        let mut names: Vec<String> = stack.resource_names();
        names.retain(|it| *it != root);
        assert_eq!(names, left, "{name}");
        wait_for_log(&server, "was left out");
        if name != "program" {
            let entry = &stack.history()[0];
            let findings = entry["findings"].as_str().unwrap_or_else(|| panic!("{entry}: no findings"));
            assert!(findings.contains("damaged") && findings.contains(&update.id), "{findings}");
            assert_eq!(entry["result"], "failed");
            // The stack is free again, and works.
            let next = stack.start_update();
            next.journal(&[secrets_entry(1)]).ok();
            next.journal(&create_entries(2, 1, &stack.resource("e"))).ok();
            next.complete("succeeded").ok();
            assert!(stack.resource_names().contains(&"e".to_string()));
        }
    }
}

#[test]
fn a_person_can_cancel_an_update_whose_checkpoint_is_damaged() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["a"])).ok();
    let update = stack.start_checkpoints();
    update.checkpoint(&stack.deployment(&["a", "b"])).ok();
    let conn = server.database();
    let header = "UPDATE deployments SET header = zeroblob(30) WHERE id = (SELECT max(deployment_id) FROM checkpoints)";
    assert_eq!(conn.execute(header, []).expect("damage"), 1);
    update.complete("succeeded").expect(&[500]);
    update.cancel().ok();
    assert_eq!(stack.resource_names(), ["web-dev", "a"]);
    assert!(stack.history()[0]["findings"].as_str().is_some_and(|it| it.contains("what it started from")));
}

#[test]
fn a_sound_update_is_cancelled_with_all_it_reported() {
    let server = TestServer::start();
    let (stack, update, _) = started(&server, "dev");
    update.cancel().ok();
    assert_eq!(stack.resource_names(), ["b", "c", "d", "web-dev", "a"]);
    let entry = stack.history()[0].clone();
    assert!(!entry["findings"].as_str().is_some_and(|it| it.contains("damaged")), "{entry}");
}
