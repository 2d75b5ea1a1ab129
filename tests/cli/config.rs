//! Configuration: set, listed, copied, brought back from the last update.

use std::fs;

use serde_json::json;

use crate::support::site::Site;

#[test]
fn set_get_list_and_remove() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.pulumi(&["config", "set", "color", "red"]).ok();
    project.pulumi(&["config", "set", "--path", "tree.leaf[0]", "first"]).ok();
    project.pulumi(&["config", "set-all", "--plaintext", "size=3", "--secret", "token=hush"]).ok();
    assert_eq!(project.pulumi(&["config", "get", "color"]).ok().line(), "red");
    let list = project.pulumi(&["config", "--json", "--show-secrets"]).ok().json();
    assert_eq!(list["web:token"]["value"], "hush");
    assert_eq!(list["web:tree"]["objectValue"], json!({ "leaf": ["first"] }));
    project.pulumi(&["config", "rm", "color"]).ok();
    project.pulumi(&["config", "get", "color"]).fails().says("not found");

    project.pulumi(&["stack", "init", "copy", "--copy-config-from", "dev"]).ok();
    assert_eq!(project.pulumi(&["config", "get", "token"]).ok().line(), "hush");
    let sealed = |stack: &str| {
        let text = project.file(&format!("Pulumi.{stack}.yaml")).expect("the stack's configuration");
        text.lines().find(|line| line.contains("secure:")).expect("a sealed value").to_string()
    };
    assert_ne!(sealed("dev"), sealed("copy"), "each stack has a key of its own");

    project.pulumi(&["stack", "init", "third"]).ok();
    project.pulumi(&["config", "cp", "--stack", "dev", "--dest", "third"]).ok();
    assert_eq!(project.pulumi(&["config", "get", "token"]).ok().line(), "hush");
    assert_ne!(sealed("dev"), sealed("third"));
    project.pulumi(&["config", "rm-all", "token", "size"]).ok();
    let left = project.pulumi(&["config", "--json"]).ok().json();
    let keys: Vec<&String> = left.as_object().expect("the configuration").keys().collect();
    assert_eq!(keys, ["web:tree"]);
}

#[test]
fn refresh_brings_back_what_the_last_update_had() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(
        "outputs: { color: '${color}', token: '${token}' }
config: { color: { type: string }, token: { type: string } }",
    );
    project.pulumi(&["config", "set", "--secret", "token", "hush"]).ok();
    project.pulumi(&["up", "--yes", "--skip-preview", "--config", "web:color=red"]).ok();
    project.pulumi(&["config", "set", "--path", "tree.leaf", "green"]).ok();
    project.up().ok();
    let before = project.pulumi(&["config", "--json", "--show-secrets"]).ok().json();
    assert_eq!(before["web:color"]["value"], "red");

    fs::remove_file(project.folder().join("Pulumi.dev.yaml")).expect("lose the configuration");
    project.pulumi(&["config", "refresh", "--force"]).ok();
    assert_eq!(project.pulumi(&["config", "--json", "--show-secrets"]).ok().json(), before);
    project.expect_no_changes();
    assert_eq!(project.pulumi(&["stack", "output", "token", "--show-secrets"]).ok().line(), "hush");
    assert_eq!(project.pulumi(&["stack", "output", "token"]).ok().line(), "[secret]");
}

#[test]
fn three_hundred_secrets() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let pairs: Vec<String> =
        (0..300).flat_map(|i| ["--secret".to_string(), format!("key{i}=hush-{i}")]).collect();
    let args: Vec<&str> = ["config", "set-all"].into_iter().chain(pairs.iter().map(String::as_str)).collect();
    project.pulumi(&args).ok();
    project.write_program("config: { key299: { type: string } }\noutputs: { last: '${key299}' }");
    project.up().ok();
    let list = project.pulumi(&["config", "--json", "--show-secrets"]).ok().json();
    assert_eq!(list.as_object().map(|keys| keys.len()), Some(300));
    assert_eq!(list["web:key177"]["value"], "hush-177");
    assert_eq!(project.pulumi(&["stack", "output", "last", "--show-secrets"]).ok().line(), "hush-299");
}
