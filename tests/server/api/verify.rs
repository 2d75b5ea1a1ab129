//! Route: verifyDatabase.

use crate::support::command::run;
use crate::support::server::TestServer;
use serde_json::{Value, json};

#[test]
fn verify_finds_what_is_damaged_and_nothing_else() {
    let server = TestServer::start();
    for name in ["dev", "prod"] {
        server.create_stack("web", name).update_to(&["a", "b"]);
    }
    let folder = server.folder();
    let sound = run(&folder, &["verify", "--json"]).json();
    assert_eq!((&sound["isSound"], &sound["checked"]["stacks"]), (&json!(true), &json!(2)), "{sound}");
    let conn = server.database();
    conn.execute("UPDATE run_bodies SET body = zeroblob(length(body)) WHERE run_id = 1", []).expect("damage");
    conn.execute("DELETE FROM programs WHERE update_id = 2", []).expect("damage");
    let report = run(&folder, &["verify", "--json"]);
    assert_eq!(report.code, 1, "{}", report.err);
    let report: Value = serde_json::from_str(&report.out).expect("JSON");
    let problems: Vec<&str> =
        report["problems"].as_array().expect("problems").iter().filter_map(Value::as_str).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].contains("stack 'organization/web/dev'") && problems[0].contains("deployment"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("stack 'organization/web/prod'") && problems[1].contains("create request"),
        "{problems:?}"
    );
    // What was exported before may still be in memory, and that is whole.
    server.crash_and_restart();
    let shown = server.get("/api/stacks/organization/web/dev/export").expect(&[500]);
    assert!(
        shown.text().contains("organization/web/dev") && shown.text().contains("pulumi-backend verify"),
        "{shown}"
    );
    server.get("/api/stacks/organization/web/prod/export").ok();
}
