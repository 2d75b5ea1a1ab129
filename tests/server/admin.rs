//! The commands of administrators, as a person types them; and what the server refuses to be started as.

use crate::support::command::{run, run_with};
use crate::support::http::Client;
use crate::support::people::{People, as_holder, text};
use crate::support::process::{ServerProcess, TempDir};
use crate::support::server::TestServer;

#[test]
fn users_and_tokens_without_a_server_and_with_one() {
    let folder = TempDir::new("admin");
    let on = |arguments: &[&str]| run(folder.path(), arguments);
    assert!(on(&["user", "list"]).fails(3).contains("there is no database"));
    assert!(on(&["user", "add", "bob"]).fails(2).contains("add --admin"));
    let added = on(&["user", "add", "alice", "--admin"]).ok();
    assert!(added.starts_with("pul-") && added.contains("not shown again"), "{added}");
    on(&["org", "add", "acme"]).ok();
    let bob =
        text(&on(&["user", "add", "bob", "--org", "acme", "--role", "read", "--json"]).json(), "tokenValue");

    let mut process =
        ServerProcess::start(&["--db", folder.path().join("pulumi-backend.db").to_str().expect("UTF-8")]);
    let client = Client::new(process.address());
    let me = client.send(&as_holder(&bob, "GET", "/api/user")).expect("an answer").ok().json();
    assert_eq!(me["organizations"][0]["githubLogin"], "acme");
    on(&["grant", "update", "bob", "acme/web-*/dev"]).ok();
    let list = on(&["user", "list"]).ok();
    assert!(list.contains("update on acme/web-*/dev") && list.contains("read on acme"), "{list}");
    on(&["revoke", "update", "bob", "acme/web-*/dev"]).ok();
    on(&["revoke", "update", "bob", "acme/web-*/dev"]).fails(3);
    on(&["user", "disable", "bob"]).ok();
    client.send(&as_holder(&bob, "GET", "/api/user")).expect("an answer").expect(&[401]);
    on(&["user", "enable", "bob"]).ok();
    on(&["user", "remove", "alice"]).fails(5);
    assert!(on(&["org", "list"]).ok().contains("acme\n"));

    let made =
        on(&["token", "create", "--org", "acme", "--role", "read", "--expires", "90d", "--json"]).json();
    assert!(made["expires"].as_i64() > Some(0));
    let tokens = on(&["token", "list", "--org", "acme"]).ok();
    assert!(tokens.contains("never used") && !tokens.contains("bob"), "{tokens}");
    on(&["token", "revoke", &text(&made, "id")]).ok();
    on(&["token", "revoke", &text(&made, "id")]).fails(3);
    assert!(on(&["token", "create", "--name", "x"]).fails(2).contains("--user NAME"));
    assert!(on(&["token", "create", "--user", "bob", "--expires", "soon"]).fails(2).contains("'soon'"));
    on(&["user", "remove", "bob"]).ok();
    process.stop();
}

#[test]
fn trusted_issuers_on_the_command_line() {
    let folder = TempDir::new("issuer");
    let on = |arguments: &[&str]| run(folder.path(), arguments);
    on(&["user", "add", "alice", "--admin"]).ok();
    on(&["org", "add", "acme"]).ok();
    let keys = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#;
    std::fs::write(folder.path().join("jwks.json"), keys).expect("write the keys");
    let add = ["issuer", "add", "https://ci.example", "--org", "acme", "--role", "update", "--jwks"];
    let with = |more: &[&str]| on(&[&add[..], more].concat());
    assert!(with(&["none.json", "--claim", "sub=x"]).fails(2).contains("none.json"));
    assert!(with(&["jwks.json"]).fails(2).contains("whose tokens"));
    assert!(with(&["jwks.json", "--claim", "sub"]).fails(2).contains("NAME=PATTERN"));
    let id =
        text(&with(&["jwks.json", "--claim", "sub=repo:acme/*", "--lifetime", "2h", "--json"]).json(), "id");
    let list = on(&["issuer", "list"]).ok();
    assert!(list.contains(&id) && list.contains("update on acme"), "{list}");
    on(&["issuer", "remove", &id]).ok();
    on(&["issuer", "remove", &id]).fails(3);
}

#[test]
fn the_audit_record_on_the_command_line() {
    let folder = TempDir::new("audit");
    let on = |arguments: &[&str]| run(folder.path(), arguments);
    on(&["user", "add", "alice", "--admin"]).ok();
    let head = on(&["audit", "head"]).ok().trim().to_string();
    on(&["org", "add", "acme"]).ok();
    let lines = on(&["audit", "--since", "1h", "--action", "org"]).ok();
    assert!(lines.contains("org.add") && !lines.contains("user.add"), "{lines}");
    assert_eq!(on(&["audit", "--until", "2026-01-01"]).ok(), "", "nothing was recorded so long ago");
    assert!(on(&["audit", "--csv"]).ok().starts_with("sequence,"));
    assert!(on(&["audit", "--cef"]).ok().starts_with("CEF:0|"));
    assert!(on(&["audit", "--since", "yesterday"]).fails(2).contains("'yesterday'"));

    let file = folder.path().join("audit.json");
    let text = on(&["audit", "--json"]).ok();
    std::fs::write(&file, &text).expect("write the export");
    assert!(on(&["audit", "verify"]).ok().contains("2 records"));
    assert!(on(&["audit", "verify", "audit.json", "--head", &head]).ok().contains("2 records"));
    std::fs::write(&file, text.replace("acme", "evil")).expect("write the export");
    assert_eq!(on(&["audit", "verify", "audit.json"]).code, 1);
    let wrong = head.replace(|c: char| c.is_ascii_digit(), "0").replacen('0', "1", 1);
    assert_eq!(on(&["audit", "verify", "--head", &wrong]).code, 1);
}

#[test]
fn nobody_listens_beyond_this_machine_unprotected() {
    let folder = TempDir::new("beyond");
    let refused = |arguments: &[&str], words: &str| {
        let err = run(folder.path(), &[&["--addr", "0.0.0.0:0"], arguments].concat()).fails(2);
        assert!(err.contains(words), "{err}");
    };
    refused(&[], "pulumi-backend user add NAME --admin");
    refused(&["--behind-proxy"], "pulumi-backend user add NAME --admin");
    refused(&["--single-tenant-token", "correct-horse-battery"], "--behind-proxy");
    refused(&["--single-tenant-token", "short"], "at least 16 characters");
    run(folder.path(), &["user", "add", "alice", "--admin"]).ok();
    refused(&[], "--behind-proxy");

    let token = "correct-horse-battery";
    let arguments = ["--addr", "0.0.0.0:0", "--behind-proxy", "--single-tenant-token", token];
    let process = ServerProcess::start(&arguments);
    assert!(!process.log().contains(token), "{}", process.log());
    assert!(process.log().contains("access  one token"), "{}", process.log());
}

#[test]
fn the_single_token_comes_from_the_environment_too() {
    let folder = TempDir::new("environment");
    let environment = [("PULUMI_BACKEND_SINGLE_TENANT_TOKEN", "short")];
    let err = run_with(folder.path(), &["serve"], &environment).fails(2);
    assert!(err.contains("single-tenant-token") && !err.contains("short"), "{err}");
}

#[test]
fn the_start_lines_say_who_may_call() {
    let mut process = ServerProcess::start(&[]);
    assert!(process.log().contains("access  open: on this machine"), "{}", process.log());
    run(process.dir(), &["user", "add", "alice", "--admin"]).ok();
    process.stop();
    process.restart();
    assert!(process.log().contains("access  tokens of users"), "{}", process.log());
}

/// Who can write to the file, but has no key, gains nothing by it.
#[test]
fn a_row_that_was_edited_lets_nobody_in() {
    let server = TestServer::start();
    let people = People::first(&server);
    let bob = people.user_with("bob", "read", "organization/web/*");
    people.call(&bob, "GET", "/api/user").ok();
    let edits = [
        "UPDATE accounts SET is_admin = 1 WHERE name = 'bob'",
        "UPDATE grants SET project = '*'",
        "UPDATE tokens SET account_id = (SELECT id FROM accounts WHERE name = 'alice') WHERE account_id <> 1",
    ];
    for edit in edits {
        let conn = server.database();
        let drop_triggers = "
            SELECT group_concat('DROP TRIGGER ' || name || ';', ' ') FROM sqlite_schema WHERE type = 'trigger'
               AND tbl_name IN ('accounts', 'grants', 'tokens')";
        let drops: Option<String> =
            conn.query_row(drop_triggers, [], |row| row.get(0)).expect("the triggers");
        conn.execute_batch(&drops.unwrap_or_default()).expect("drop the triggers");
        assert!(conn.execute(edit, []).expect(edit) > 0, "{edit}");
        people.call(&bob, "GET", "/api/user").expect(&[500]);
    }
}

/// Without users every token is accepted; users that are lost must not make it so.
#[test]
fn users_that_were_deleted_by_hand_open_nothing() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.user("bob");
    let conn = server.database();
    conn.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM accounts").expect("delete the users");
    server.get("/api/user").expect(&[401]);
    people.call(&people.admin, "GET", "/api/user").expect(&[401]);
    let verified = run(&server.folder(), &["verify"]);
    assert!(
        verified.code == 1 && verified.out.contains("there are 0 users, and should be 2"),
        "{}",
        verified.out
    );
    server.stop();
    server.restart();
    assert!(server.log().contains("pulumi-backend user add NAME --admin"), "{}", server.log());
    server.get("/api/user").expect(&[401]);

    // The way back, for who holds the machine.
    let added = run(&server.folder(), &["user", "add", "carol", "--admin", "--json"]).json();
    people.call(&text(&added, "tokenValue"), "GET", "/api/admin/users").ok();
    people.call(&people.admin, "GET", "/api/user").expect(&[401]);
    run(&server.folder(), &["verify"]).ok();
    let conn = server.database();
    conn.execute_batch("DELETE FROM totals WHERE name = 'users'").expect("delete the count");
    server.get("/api/user").expect(&[500]);
}
