//! `stack`: every command of the group, as an administrator would type it.

use crate::support::command::run;
use crate::support::server::TestServer;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_stack_is_shown_with_its_versions_and_its_state() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    stack.update_to(&["a", "b"]);
    let folder = server.folder();

    let list = run(&folder, &["stack", "list"]).ok();
    assert_eq!(list, "STACK                 RESOURCES\norganization/web/dev  3\n");
    let info = run(&folder, &["stack", "info", "dev", "--json"]).json();
    assert_eq!(
        (&info["version"], &info["versionsKept"], &info["resourceCount"]),
        (&json!(2), &json!(2), &json!(3))
    );
    assert_eq!(info["lock"], json!(null));
    let text = run(&folder, &["stack", "info", "web/dev"]).ok();
    assert!(
        text.contains("stack      organization/web/dev\nversion    2 (2 kept)\nresources  3\n"),
        "{text}"
    );

    let versions = run(&folder, &["stack", "versions", "dev", "--json"]).json();
    let numbers: Vec<_> =
        versions["versions"].as_array().expect("versions").iter().map(|v| &v["version"]).collect();
    assert_eq!(numbers, [&json!(2), &json!(1)]);
    assert_eq!(versions["versions"][1]["resourceCount"], 2);
    let text = run(&folder, &["stack", "versions", "dev"]).ok();
    assert!(text.starts_with("VERSION  KIND    STATUS     ENDED"), "{text}");

    assert_eq!(run(&folder, &["stack", "export", "dev"]).json(), stack.export());
    let first = run(&folder, &["stack", "export", "dev", "--version", "1"]).json();
    assert_eq!(first, stack.get("/export/1").ok().json());
    run(&folder, &["stack", "export", "dev", "--version", "9"]).fails(3);
}

#[test]
fn an_exported_file_is_private_and_never_overwritten() {
    let server = TestServer::start();
    server.create_stack("web", "dev").update_to(&["a"]);
    let folder = server.folder();
    run(&folder, &["stack", "export", "dev", "--file", "state.json"]).ok();
    let file = folder.join("state.json").metadata().expect("the file");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let again = run(&folder, &["stack", "export", "dev", "--file", "state.json"]).fails(5);
    assert!(again.contains("state.json is there already"), "{again}");
}

#[test]
fn a_name_may_be_short_while_it_is_clear() {
    let server = TestServer::start();
    for (project, name) in [("web", "dev"), ("web", "prod"), ("api", "dev")] {
        server.create_stack(project, name);
    }
    let folder = server.folder();
    run(&folder, &["stack", "info", "prod"]).ok();
    run(&folder, &["stack", "info", "api/dev"]).ok();
    run(&folder, &["stack", "info", "organization/api/dev"]).ok();
    let unclear = run(&folder, &["stack", "info", "dev"]).fails(2);
    assert!(unclear.contains("organization/api/dev, organization/web/dev"), "{unclear}");
    assert!(run(&folder, &["stack", "info", "od"]).fails(3).contains("there is no stack 'od'"));
    run(&folder, &["stack", "info", "a/b/c"]).fails(3);
}

#[test]
fn outputs_are_shown_with_secrets_masked_or_opened() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let sealed = stack.post("/encrypt", &json!({ "plaintext": "InMzY3JldCI=" })).ok().json();
    let mut state = stack.deployment(&[]);
    state["deployment"]["resources"][0]["outputs"] = json!({
        "url": "http://a", "ports": [80, 443],
        "password": {
            "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
            "ciphertext": sealed["ciphertext"],
        },
    });
    stack.import(&state).ok();
    let folder = server.folder();
    let output = |more: &[&str]| run(&folder, &[&["stack", "output", "dev"], more].concat());
    let masked = output(&["--json"]).json();
    assert_eq!(masked, json!({ "url": "http://a", "ports": [80, 443], "password": "[secret]" }));
    assert_eq!(output(&["--show-secrets", "--json"]).json()["password"], "s3cret");
    assert_eq!(output(&["password", "--show-secrets"]).ok(), "s3cret\n");
    assert_eq!(output(&["url"]).ok(), "http://a\n");
    assert!(output(&["nothing"]).fails(3).contains("it has: password, ports, url"));
    assert!(!output(&[]).ok().contains("s3cret"));
}

#[test]
fn deleting_a_stack_takes_two_words_and_a_third_with_resources() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    let folder = server.folder();
    let delete = |more: &[&str]| run(&folder, &[&["stack", "delete", "organization/web/dev"], more].concat());
    assert!(delete(&[]).fails(2).contains("has 2 resources and 1 versions; nothing was deleted"));
    assert!(delete(&["--yes"]).fails(2).contains("Stack still contains resources."));
    assert_eq!(stack.info()["stackName"], "dev");
    assert_eq!(delete(&["--yes", "--force"]).ok(), "deleted organization/web/dev\n");
    stack.get("").expect(&[404]);
    delete(&["--yes"]).fails(3);
    assert_eq!(run(&folder, &["stack", "list"]).ok(), "there are no stacks\n");
}
