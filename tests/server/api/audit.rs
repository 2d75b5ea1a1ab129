//! The audit record: listAuditLogs, exportAuditLogs, getAuditRecords, exportAuditRecords, getAuditHead,
//! verifyAuditRecords.

use crate::support::backup::end_of;
use crate::support::clocked::ClockedServer;
use crate::support::command::run;
use crate::support::people::{People, as_holder, text};
use crate::support::process::TempDir;
use crate::support::server::TestServer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

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
    let mut forged = records.clone();
    forged[1]["detail"] = json!("nothing");
    rechain(&mut forged);
    check(&forged, Some("record 2 is not what was recorded"));

    let head = people.admin("GET", "/api/admin/audit/head", Value::Null).ok().json();
    let kept = format!("?head={}:{}", head["sequence"], text(&head, "hash"));
    assert_eq!(verify(&kept, Value::Null)["isWhole"], true);
    let cut = json!({ "records": records[..2] });
    assert!(text(&verify(&kept, cut), "problem").contains("whose hash was kept, is missing"));
}

/// What somebody does who changes a record and makes all hashes from there on anew: they need no key.
fn rechain(records: &mut [Value]) {
    let mut before = vec![0; 32];
    for record in records {
        let of = |name: &str| &record[name];
        let first = [of("sequence"), of("timestamp"), of("user"), of("token"), of("tokenID"), of("address")];
        let second =
            [of("action"), of("organization"), of("target"), of("result"), of("detail"), of("requestID")];
        let text = json!([first, second]).to_string();
        before = Sha256::digest([before, text.into_bytes()].concat()).to_vec();
        record["hash"] = json!(before.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
}

#[test]
fn an_export_is_checked_anywhere_against_a_head_that_was_kept() {
    let server = TestServer::start();
    let people = People::first(&server);
    for name in ["bob", "carol", "dave"] {
        people.user(name);
    }
    let head = run(&server.folder(), &["audit", "head"]).ok().trim().to_string();
    people.user("erin");
    let all = run(&server.folder(), &["audit", "--json"]).json();
    // A folder without a database: neither server nor key.
    let elsewhere = TempDir::new("audit");
    let verify = |records: &[Value], head: &str| {
        let text = json!({ "records": records }).to_string();
        std::fs::write(elsewhere.path().join("audit.json"), text).expect("write the export");
        run(elsewhere.path(), &["audit", "verify", "audit.json", "--head", head])
    };
    let records = all["records"].as_array().expect("records").clone();
    let n: usize = head.split(':').next().and_then(|number| number.parse().ok()).expect("a number");
    let said = verify(&records, &head).ok();
    let vouched = format!("vouches for those up to {n}");
    assert!(said.contains("each as it was recorded") && said.contains(&vouched), "{said}");
    assert!(verify(&records[2..n], &head).ok().contains("they begin with number 3"));
    let refused = |records: &[Value], words: &str| {
        let said = verify(records, &head);
        assert!(said.code == 1 && said.out.contains(words), "{} {}", said.out, said.err);
    };
    let mut changed = records.clone();
    changed[1]["detail"] = json!("nothing");
    refused(&changed, "record 2 is not what was recorded");
    rechain(&mut changed);
    refused(&changed, &format!("record {n} is not the one whose hash was kept"));
    refused(&[&records[..1], &records[2..]].concat(), "record 2 is missing");
    refused(&records[..3], &format!("record {n}, whose hash was kept, is missing"));
    refused(&records[n..], "is older than the first one here");
    refused(&[], "is missing");
    assert_eq!(verify(&records, "4").code, 2);
}

#[test]
fn records_are_given_up_for_their_age_and_the_rest_is_a_chain_still() {
    let mut clocked = ClockedServer::start_with(&["--audit-keep-days", "7"]);
    fn call(clocked: &ClockedServer, token: &str, method: &str, target: &str, body: Value) -> Value {
        let request = as_holder(token, method, target);
        let request = if body.is_null() { request } else { request.json(&body) };
        clocked.client.send(&request).expect("an answer").ok().json()
    }
    let user = |name: &str| json!({ "name": name, "isAdmin": true });
    let alice = text(&call(&clocked, "any", "POST", "/api/admin/users", user("alice")), "tokenValue");
    for name in ["bob", "carol"] {
        call(&clocked, &alice, "POST", "/api/admin/users", user(name));
    }
    clocked.clock.jump(5 * 86_400);
    call(&clocked, &alice, "POST", "/api/admin/users", user("dave"));
    clocked.clock.jump(4 * 86_400);
    clocked.restart();
    let call = |method: &str, target: &str, body: Value| call(&clocked, &alice, method, target, body);
    let verify = |query: &str, body: Value| call("POST", &format!("/api/admin/audit/verify{query}"), body);

    let deadline = Instant::now() + Duration::from_secs(120);
    let records = loop {
        let found = call("GET", "/api/admin/audit?after=0", Value::Null);
        let records = found["records"].as_array().expect("records").clone();
        if records[0]["sequence"] != 1 {
            break records;
        }
        assert!(Instant::now() < deadline, "{found}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(records.iter().any(|record| record["target"] == "dave"), "{records:?}");
    let cut = records.iter().find(|record| record["action"] == "audit.cut").expect("a record of it");
    assert_eq!(cut["user"], "(server)");
    let own = verify("", Value::Null);
    assert_eq!((&own["isWhole"], &own["isFromStart"]), (&json!(true), &json!(true)), "{own}");
    assert_eq!(verify("", json!({ "records": records }))["isFromStart"], true);
    assert_eq!(verify("", json!({ "records": records[1..] }))["isFromStart"], false);
    let last_gone = format!("?head={}", text(cut, "detail"));
    assert_eq!(verify(&last_gone, Value::Null)["isWhole"], true, "the cut tells its hash");
    assert!(text(&verify("?head=1:00", Value::Null), "problem").contains("is older than the first one here"));
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

#[test]
fn changed_settings_and_backups_are_recorded() {
    let folder = TempDir::new("audited");
    let (place, dir) = (folder.path().join("place"), folder.path().join("place/of/backups"));
    let dir = dir.to_str().expect("UTF-8");
    let secret = "a-token-for-all-of-us";
    let server = TestServer::start_with(&["--backup-dir", dir, "--backup-keep", "1"]);
    let people = People::first(&server);
    let changes = people.audit("config.change");
    assert!(text(&changes[0], "detail").contains(&format!("backup-dir: default → {dir}")), "{changes:?}");
    back_up(&people);
    let (n_made, admin) = (people.audit("backup.create").len(), people.admin.clone());
    assert_eq!(n_made, 1);
    let arguments = ["--backup-dir", dir, "--backup-keep", "1", "--wrong-tokens", "500"];
    let server = server.restart_with(&[&arguments[..], &["--single-tenant-token", secret]].concat());
    let people = People { server: &server, admin: admin.clone() };
    let changes = people.audit("config.change");
    assert_eq!(changes.len(), 2);
    let said = text(&changes[1], "detail");
    assert!(said.contains("single-tenant-token: changed; wrong-tokens: default → 500"), "{said}");
    assert!(!changes.iter().any(|change| change.to_string().contains(secret)));
    assert_eq!(changes[1]["user"], "(server)");

    let server = server.restart_with(&[&arguments[..], &["--single-tenant-token", secret]].concat());
    let people = People { server: &server, admin };
    assert_eq!(people.audit("config.change").len(), 2, "nothing was changed");
    back_up(&people);
    let (made, gone) = (people.audit("backup.create"), people.audit("backup.delete"));
    assert_eq!((made.len(), gone.len()), (2, 1));
    // Of two in one second, either is the older one.
    assert!(made.iter().any(|record| record["target"] == gone[0]["target"]), "{made:?} {gone:?}");
    assert_eq!((&made[0]["user"], &gone[0]["user"]), (&json!("alice"), &json!("(server)")));
    std::fs::remove_dir_all(&place).expect("lose the folder");
    std::fs::write(&place, "no folder").expect("put a file there");
    let failed = back_up(&people);
    assert!(failed["problem"].is_string(), "{failed}");
    assert_eq!(people.audit("backup.create")[2]["result"], "failed");
}

/// Waits for its end; what is told of it.
fn back_up(people: &People) -> Value {
    let begun = people.admin("POST", "/api/admin/backup", json!({}));
    end_of(begun, |path| people.admin("GET", path, Value::Null))
}
