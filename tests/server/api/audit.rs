//! The audit record: listAuditLogs, exportAuditLogs, getAuditRecords, exportAuditRecords, getAuditHead,
//! verifyAuditRecords.

use crate::support::people::{People, text};
use crate::support::server::TestServer;
use serde_json::{Value, json};

#[test]
fn every_change_and_every_read_of_secrets_is_recorded() {
    let server = TestServer::start();
    let people = People::first(&server);
    let bob = people.user_with("bob", "admin", "organization");
    let path = "/api/stacks/organization/web/dev";
    people.send(&bob, "POST", "/api/stacks/organization/web", json!({ "stackName": "dev" })).ok();
    let sealed =
        people.send(&bob, "POST", &format!("{path}/encrypt"), json!({ "plaintext": "YQ==" })).ok().json();
    let opened = json!({ "ciphertexts": [sealed["ciphertext"]] });
    people.send(&bob, "POST", &format!("{path}/batch-decrypt"), opened).ok();
    people.call(&bob, "GET", &format!("{path}/export")).ok();
    people.send(&bob, "POST", &format!("{path}/rename"), json!({ "newName": "prod" })).ok();
    people.call(&bob, "DELETE", "/api/stacks/organization/web/prod?force=true").ok();
    people.call(&bob, "DELETE", "/api/stacks/organization/web/prod?force=true").expect(&[404]);

    let of_stacks = people.audit("stack");
    let actions: Vec<String> = of_stacks.iter().map(|it| text(it, "action")).collect();
    assert_eq!(actions, ["stack.create", "stack.export", "stack.rename", "stack.delete"]);
    let create = &of_stacks[0];
    assert_eq!((&create["user"], &create["token"]), (&json!("bob"), &json!("first")));
    assert_eq!(
        (&create["address"], &create["target"]),
        (&json!("127.0.0.1"), &json!("organization/web/dev"))
    );
    assert!(!text(create, "requestID").is_empty());
    assert_eq!(people.audit("secret")[0]["detail"], "1 values");
}

#[test]
fn the_chain_shows_what_was_changed_lost_or_moved() {
    let server = TestServer::start();
    let people = People::first(&server);
    for name in ["bob", "carol", "dave", "erin"] {
        people.user(name);
    }
    let verify = |query: &str, body: Value| {
        people.admin("POST", &format!("/api/admin/audit/verify{query}"), body).ok().json()
    };
    let own = verify("", Value::Null);
    assert_eq!((&own["isWhole"], &own["problem"]), (&json!(true), &Value::Null));
    let all = people.admin("GET", "/api/admin/audit?after=0", Value::Null).ok().json();
    let records = all["records"].as_array().expect("records").clone();
    let check = |records: &[Value], problem: Option<&str>| {
        let found = verify("", json!({ "records": records }));
        match problem {
            None => assert_eq!(found["isWhole"], true, "{found}"),
            Some(words) => assert!(text(&found, "problem").contains(words), "{found}"),
        }
    };
    check(&records, None);
    check(&records[2..4], None);
    for field in ["user", "action", "target", "detail", "address", "requestID"] {
        let mut changed = records.clone();
        changed[1][field] = json!("somebody else");
        check(&changed, Some("record 2 is not what was recorded"));
    }
    let mut lost = records.clone();
    lost.remove(2);
    check(&lost, Some("record 3 is missing"));
    let mut moved = records.clone();
    moved.swap(1, 2);
    check(&moved, Some("missing"));
    let mut swapped = moved;
    for (n, record) in swapped.iter_mut().enumerate() {
        record["sequence"] = json!(n + 1);
    }
    check(&swapped, Some("not what was recorded"));

    let head = people.admin("GET", "/api/admin/audit/head", Value::Null).ok().json();
    let kept = format!("?head={}:{}", head["sequence"], text(&head, "hash"));
    assert_eq!(verify(&kept, Value::Null)["isWhole"], true);
    let cut = json!({ "records": records[..2] });
    assert!(text(&verify(&kept, cut), "problem").contains("whose hash was kept, is missing"));
}

#[test]
fn an_organization_reads_its_own_records_as_the_cli_asks() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.org("acme");
    let auditor = people.user_with("bob", "auditor", "acme");
    people.admin("POST", "/api/stacks/acme/web", json!({ "stackName": "dev" })).ok();
    people.admin("POST", "/api/stacks/organization/web", json!({ "stackName": "dev" })).ok();
    let logs = people.call(&auditor, "GET", "/api/orgs/acme/auditlogs").ok().json();
    let events = logs["auditLogEvents"].as_array().expect("events");
    assert_eq!(logs["continuationToken"], "");
    assert_eq!(events[0]["event"], "stack.create", "newest first");
    assert_eq!(events[0]["user"]["githubLogin"], "alice");
    assert!(events.iter().all(|event| !text(event, "description").contains("organization/web")), "{logs}");
    let filtered =
        people.call(&auditor, "GET", "/api/orgs/acme/auditlogs?eventType=grant&user=alice").ok().json();
    assert_eq!(filtered["auditLogEvents"].as_array().map(Vec::len), Some(1), "{filtered}");
    let before = people.call(&auditor, "GET", "/api/orgs/acme/auditlogs?startTime=5").ok().json();
    assert_eq!(before["auditLogEvents"], json!([]));
    people.call(&auditor, "GET", "/api/orgs/acme/auditlogs?startTime=x").expect(&[400]);
    let csv = people.call(&auditor, "GET", "/api/orgs/acme/auditlogs/export?format=csv").ok();
    assert!(csv.text().starts_with("sequence,time,user"), "{csv}");
    people.call(&auditor, "GET", "/api/admin/audit").expect(&[403]);
}

#[test]
fn exports_cannot_be_broken_by_what_people_type() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.admin("POST", "/api/user/tokens", json!({ "name": "=cmd|\"x\",1" })).ok();
    let token = people.admin("POST", "/api/user/tokens", json!({ "name": "=1|x\\=" })).ok().json();
    people.call(&text(&token, "tokenValue"), "GET", "/api/user/tokens").ok();
    people.send(&text(&token, "tokenValue"), "POST", "/api/user/tokens", json!({ "name": "x" })).ok();
    let csv = people.admin("GET", "/api/admin/audit/export?format=csv&action=token", Value::Null).ok();
    assert!(csv.text().contains(r#""'=1|x\=""#), "a formula is no formula any more: {csv}");
    let cef = people.admin("GET", "/api/admin/audit/export?format=cef&action=token", Value::Null).ok();
    assert!(cef.text().contains(r"cs3=") && cef.text().contains(r"\=1|x\\\="), "{cef}");
    assert!(cef.text().lines().all(|line| line.starts_with("CEF:0|pulumi-backend|")), "{cef}");
    people.admin("GET", "/api/admin/audit/export?format=xml", Value::Null).expect(&[400]);
    people.admin("POST", "/api/user/tokens", json!({ "name": "two\nlines" })).expect(&[400]);
}
