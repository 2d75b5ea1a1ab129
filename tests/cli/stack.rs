//! Stacks as such: made, listed, selected, tagged, removed; their outputs, and references between them.

use serde_json::json;

use crate::support::http::post;
use crate::support::project::Project;
use crate::support::site::{ORGANIZATION, Site};

const ONE_THING: &str = "
resources: { a: { type: world:Thing, properties: { value: one } } }
outputs: { id: '${a.id}' }
";

/// The names of all stacks, sorted, as the CLI prints them: without what is understood in this project.
#[track_caller]
fn all_stacks(project: &Project) -> Vec<String> {
    let list = project.pulumi(&["stack", "ls", "--all", "--json"]).ok().json();
    let stacks = list.as_array().expect("a list of stacks");
    let mut names: Vec<String> =
        stacks.iter().map(|stack| stack["name"].as_str().expect("a name").into()).collect();
    names.sort();
    names
}

#[test]
fn a_new_stack_is_empty_and_selected() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    assert_eq!(project.pulumi(&["stack", "--show-name"]).ok().line(), "dev");
    assert_eq!(project.export().resources().len(), 0);
    assert_eq!(project.pulumi(&["stack", "output", "--json"]).ok().json(), json!({}));
    let list = project.pulumi(&["stack", "ls", "--json"]).ok().json();
    assert_eq!(list[0]["name"], "dev");
    assert_eq!(list[0]["current"], true);
    assert_eq!(list[0]["lastUpdate"], json!(null));

    project.pulumi(&["stack", "init", "dev"]).fails().says("already exists");
    project.pulumi(&["stack", "init", &format!("{ORGANIZATION}/web/full")]).ok();
    assert_eq!(project.pulumi(&["stack", "--show-name"]).ok().line(), "full");
    project.pulumi(&["stack", "select", "dev"]).ok();
    assert_eq!(project.pulumi(&["stack", "--show-name"]).ok().line(), "dev");
    project.pulumi(&["stack", "select", "nothing"]).fails().says("no stack named 'nothing' found");
    assert_eq!(all_stacks(&project), ["dev", "full"]);
}

#[test]
fn an_exported_empty_stack_can_be_imported() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.pulumi(&["stack", "export", "--file", "empty.json"]).ok();
    project.pulumi(&["stack", "import", "--file", "empty.json"]).ok();
    assert_eq!(project.export().resources().len(), 0);
}

#[test]
fn names() {
    let Some(site) = Site::start() else { return };
    let project = site.project("web");
    let long = "x".repeat(100);
    for good in ["Dev-1_a.b", "0", &long] {
        project.pulumi(&["stack", "init", good]).ok();
        assert_eq!(project.pulumi(&["stack", "--show-name"]).ok().line(), good);
    }
    for bad in ["a b", "ä", "a/b/c/d", &"x".repeat(101)] {
        project.pulumi(&["stack", "init", bad]).fails();
    }
    assert_eq!(all_stacks(&project).len(), 3);
}

#[test]
fn two_projects_with_the_same_stack_name() {
    let Some(site) = Site::start() else { return };
    let web = site.stack("web", "dev");
    let shop = site.stack("shop", "dev");
    web.write_program(ONE_THING);
    web.up().ok();
    assert_eq!(shop.export().resources().len(), 0);
    assert_eq!(all_stacks(&web), ["dev", "organization/shop/dev"]);
    let own = web.pulumi(&["stack", "ls", "--json"]).ok().json();
    assert_eq!(own.as_array().map(Vec::len), Some(1));
    assert_eq!(own[0]["resourceCount"], 3);
    let other = web.pulumi(&["stack", "ls", "--json", "--project", "shop"]).ok().json();
    assert_eq!(other[0]["name"], "organization/shop/dev");
    let all = web.pulumi(&["stack", "ls", "--json", "--organization", ORGANIZATION]).ok().json();
    assert!(all.as_array().is_some_and(|all| all.iter().any(|stack| stack["name"] == "dev")), "{all}");
    shop.pulumi(&["stack", "rm", "--yes"]).ok();
    assert_eq!(web.export().names(), ["a"]);
}

#[test]
fn a_stack_with_resources_is_not_removed() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.pulumi(&["stack", "rm", "--yes", "nothing"]).fails().says("no stack named 'nothing' found");
    project.write_program(ONE_THING);
    project.up().ok();
    project.pulumi(&["stack", "rm", "--yes"]).fails().says("still has resources");
    assert_eq!(project.export().names(), ["a"]);

    // With nothing left but the stack's own resource it goes.
    project.write_program("");
    project.up().ok();
    assert_eq!(project.export().resources().len(), 1);
    project.pulumi(&["stack", "rm", "--yes"]).ok();
    assert_eq!(all_stacks(&project), [""; 0]);
    project.pulumi(&["stack", "select", "dev"]).fails();
}

#[test]
fn a_stack_made_again_is_new() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(ONE_THING);
    project.up().ok();
    let sealed = project.pulumi(&["config", "set", "--secret", "token", "hush"]).ok();
    drop(sealed);
    let old_configuration = project.file("Pulumi.dev.yaml").expect("the stack's configuration");
    project.pulumi(&["stack", "rm", "--yes", "--force"]).ok();

    project.pulumi(&["stack", "init", "dev"]).ok();
    assert_eq!(project.export().resources().len(), 0);
    project.pulumi(&["stack", "history"]).ok().says("Stack has never been updated");
    // What was sealed for the old stack does not open for the new one.
    std::fs::write(project.folder().join("Pulumi.dev.yaml"), old_configuration)
        .expect("write the configuration");
    project.pulumi(&["config", "get", "token"]).fails().says_nothing_of("hush");
}

#[test]
fn tags() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.pulumi(&["stack", "tag", "set", "team", "blue"]).ok();
    project.pulumi(&["stack", "tag", "set", "cost:center", "42 <ü>"]).ok();
    project.pulumi(&["stack", "tag", "set", "team", "red"]).ok();
    let tags = project.pulumi(&["stack", "tag", "ls", "--json"]).ok().json();
    assert_eq!(tags["team"], "red");
    assert_eq!(tags["cost:center"], "42 <ü>");
    assert_eq!(tags["pulumi:project"], "web");
    let tagged = project.pulumi(&["stack", "ls", "--json", "--tag", "team=red"]).ok().json();
    assert_eq!(tagged[0]["name"], "dev");
    let tagged = project.pulumi(&["stack", "ls", "--json", "--tag", "team=blue"]).ok().json();
    assert_eq!(tagged, json!([]));

    project.pulumi(&["stack", "tag", "rm", "cost:center"]).ok();
    project.write_program(ONE_THING);
    project.up().ok();
    let tags = project.pulumi(&["stack", "tag", "ls", "--json"]).ok().json();
    assert_eq!(tags["team"], "red", "an update keeps a person's tags");
    assert_eq!(tags["cost:center"], json!(null));
    project.pulumi(&["stack", "tag", "set", "no spaces", "x"]).fails();
}

#[test]
fn outputs() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(
        "
outputs:
  plain: one
  list: [1, { a: true }]
  hidden: { fn::secret: hush-1234 }
",
    );
    project.up().ok();
    let masked = project.pulumi(&["stack", "output", "--json"]).ok();
    assert_eq!(masked.json(), json!({ "plain": "one", "list": [1, { "a": true }], "hidden": "[secret]" }));
    let open = project.pulumi(&["stack", "output", "--json", "--show-secrets"]).ok();
    assert_eq!(open.json()["hidden"], "hush-1234");
    assert_eq!(project.pulumi(&["stack", "output", "plain"]).ok().line(), "one");
    project.pulumi(&["stack", "output", "--shell"]).ok().says("plain=one");
    project.pulumi(&["stack", "output", "nothing"]).fails();
    assert!(project.export().output("hidden")["ciphertext"].is_string());
    project.pulumi(&["destroy", "--yes", "--skip-preview"]).ok();
    assert_eq!(project.pulumi(&["stack", "output", "--json"]).ok().json(), json!({}));
}

#[test]
fn references_read_other_stacks() {
    let Some(site) = Site::start() else { return };
    let source = site.stack("source", "dev");
    source.write_program("outputs: { plain: one, list: [1, 2], hidden: { fn::secret: hush-1234 } }");
    source.up().ok();
    let reader = site.stack("reader", "dev");
    reader.write_program(
        "
resources:
  other: { type: pulumi:pulumi:StackReference, properties: { name: organization/source/dev } }
outputs:
  plain: ${other.outputs.plain}
  second: ${other.outputs.list[1]}
  hidden: ${other.outputs.hidden}
",
    );
    reader.up().ok();
    let outputs = reader.pulumi(&["stack", "output", "--json", "--show-secrets"]).ok().json();
    assert_eq!(outputs, json!({ "plain": "one", "second": 2, "hidden": "hush-1234" }));
    let masked = reader.pulumi(&["stack", "output", "--json"]).ok().json();
    assert_eq!(masked["hidden"], "[secret]");

    source.pulumi(&["stack", "rename", "prod"]).ok();
    reader.up().fails();
    assert_eq!(reader.export().output("plain"), "one");
    reader.write_program(
        "
resources: { other: { type: pulumi:pulumi:StackReference, properties: { name: organization/source/prod } } }
outputs: { hidden: '${other.outputs.hidden}' }
",
    );
    reader.up().ok();
    let outputs = reader.pulumi(&["stack", "output", "--json", "--show-secrets"]).ok().json();
    assert_eq!(outputs, json!({ "hidden": "hush-1234" }), "under its new name");
}

#[test]
fn a_graph_has_every_resource_and_edge() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(
        "
resources:
  a: { type: world:Thing }
  b: { type: world:Thing, properties: { value: '${a.id}' } }
",
    );
    project.up().ok();
    project.pulumi(&["stack", "graph", "graph.dot"]).ok();
    let graph = project.file("graph.dot").expect("the graph");
    assert_eq!(graph.matches("[label=\"urn:pulumi:dev::web::").count(), 4, "{graph}");
    assert!(graph.matches(" -> ").count() >= 3, "{graph}");
}

#[test]
fn every_page_of_a_long_list() {
    let Some(site) = Site::start() else { return };
    let project = site.project("web");
    let names: Vec<String> = (0..250).map(|i| format!("s{i:03}")).collect();
    for name in &names {
        let body = format!("{{\"stackName\":\"{name}\"}}");
        post(site.server.address(), "/api/stacks/organization/web", &body);
    }
    assert_eq!(all_stacks(&project), names);
}
