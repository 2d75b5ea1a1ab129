//! The life of a stack: what `preview`, `up`, `refresh`, `import` and `destroy` do to the state and the world.

use crate::support::site::Site;

/// A chain of two, and one that stands alone; the first one's value is `value`.
fn trio(value: &str) -> String {
    format!(
        "
resources:
  a: {{ type: world:Thing, properties: {{ value: {value} }} }}
  b: {{ type: world:Thing, properties: {{ value: '${{a.value}}!' }} }}
  c: {{ type: world:Thing, properties: {{ value: alone }} }}
outputs:
  answer: ${{b.value}}
"
    )
}

#[test]
fn fresh_unchanged_and_changed() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&trio("one"));
    project.up().ok().says("+ 4 created");
    let fresh = project.export();
    assert_eq!(fresh.names(), ["a", "b", "c"]);
    assert_eq!(fresh.output("answer"), "one!");
    assert_eq!(fresh.resource("a")["id"], project.world.id("a"));
    assert_eq!(project.world.take_log(), ["create a", "create b", "create c"]);

    project.pulumi(&["up", "--yes", "--expect-no-changes"]).ok().says("4 unchanged");
    assert_eq!(project.export().content(), fresh.content());
    assert_eq!(project.world.take_log(), [""; 0]);

    project.write_program(&trio("two"));
    project.pulumi(&["preview", "--expect-no-changes"]).fails();
    project.up().ok().says("~ 2 updated");
    assert_eq!(project.export().output("answer"), "two!");
    assert_eq!(project.world.thing("b")["value"], "two!");
    assert_eq!(project.world.take_log(), ["update a", "update b"]);
    project.expect_no_changes();
}

#[test]
fn create_update_replace_and_delete_at_once() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(
        "
resources:
  changed: { type: world:Thing, properties: { value: one } }
  renewed: { type: world:Thing, properties: { generation: one } }
  moved: { type: world:Thing, properties: { slot: one } }
  rider: { type: world:Thing, properties: { slot: '${moved.id}' } }
  gone: { type: world:Thing }
  away: { type: world:Thing, options: { dependsOn: ['${gone}'] } }
",
    );
    project.up().ok();
    let old = ["renewed", "moved", "rider"].map(|name| project.world.id(name));
    project.world.take_log();

    project.write_program(
        "
resources:
  changed: { type: world:Thing, properties: { value: two } }
  renewed: { type: world:Thing, properties: { generation: two } }
  moved: { type: world:Thing, properties: { slot: two } }
  rider: { type: world:Thing, properties: { slot: '${moved.id}' } }
  fresh: { type: world:Thing }
",
    );
    project.up().ok();
    let log = project.world.log();
    let place = |operation: &str| log.iter().position(|line| line == operation).expect(operation);
    assert!(place("create renewed") < place("delete renewed"), "create first: {log:?}");
    assert!(place("delete rider") < place("delete moved"), "the dependent goes first: {log:?}");
    assert!(place("delete moved") < place("create moved"), "delete first: {log:?}");
    assert!(place("delete away") < place("delete gone"), "{log:?}");
    assert_eq!(log.len(), 10, "nothing is done twice: {log:?}");

    let state = project.export();
    assert_eq!(state.names(), ["changed", "fresh", "moved", "renewed", "rider"]);
    assert_eq!(state.names(), project.world.names());
    for (name, old_id) in ["renewed", "moved", "rider"].into_iter().zip(old) {
        assert_ne!(state.resource(name)["id"], old_id);
        assert_eq!(state.resource(name)["id"], project.world.id(name));
    }
    project.expect_no_changes();
}

#[test]
fn only_what_is_targeted() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let urn = |name: &str| format!("urn:pulumi:dev::web::world:index:Thing::{name}");
    project.write_program(&trio("one"));
    project.up().ok();
    let first_id = project.world.id("c");
    project.world.take_log();

    project.write_program(&trio("two"));
    project.pulumi(&["up", "--yes", "--skip-preview", "--target", &urn("a")]).ok();
    assert_eq!(project.world.take_log(), ["update a"]);
    assert_eq!(project.export().resource("b")["outputs"]["value"], "one!");

    project.pulumi(&["up", "--yes", "--skip-preview", "--target-replace", &urn("c")]).ok();
    assert_eq!(project.world.take_log(), ["create c", "delete c"]);
    assert_ne!(project.world.id("c"), first_id);

    let destroy = ["destroy", "--yes", "--skip-preview", "--target", &urn("a")];
    project.pulumi(&destroy).fails();
    assert_eq!(project.export().names(), ["a", "b", "c"]);
    project.pulumi(&[&destroy[..], &["--target-dependents"]].concat()).ok();
    assert_eq!(project.export().names(), ["c"]);
    assert_eq!(project.world.names(), ["c"]);
}

#[test]
fn a_preview_changes_nothing() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&trio("one"));
    let preview = project.pulumi(&["preview", "--json"]).ok().json();
    assert_eq!(preview["changeSummary"]["create"], 4);
    assert_eq!(project.export().resources().len(), 0);
    assert_eq!(project.world.names(), [""; 0]);
    project.pulumi(&["stack", "history"]).ok().says("Stack has never been updated");

    project.up().ok();
    let before = project.export().0;
    project.write_program(&trio("two"));
    project.pulumi(&["preview"]).ok().says("~ 2 to update");
    assert_eq!(project.export().0, before);
    assert_eq!(project.world.thing("a")["value"], "one");
    assert_eq!(project.pulumi(&["stack", "history", "--json"]).ok().json().as_array().map(Vec::len), Some(1));
}

#[test]
fn refresh_finds_what_changed_and_what_is_gone() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&trio("one"));
    project.up().ok();
    project.pulumi(&["refresh", "--yes", "--skip-preview", "--expect-no-changes"]).ok();

    project.world.set_value("a", "drifted");
    project.world.lose("c");
    project.pulumi(&["refresh", "--yes", "--skip-preview"]).ok();
    let state = project.export();
    assert_eq!(state.names(), ["a", "b"]);
    assert_eq!(state.resource("a")["outputs"]["value"], "drifted");
    assert_eq!(project.world.thing("a")["value"], "drifted", "a refresh only looks");

    project.up().ok();
    assert_eq!(project.world.thing("a")["value"], "one");
    assert_eq!(project.world.names(), ["a", "b", "c"]);
    project.expect_no_changes();
}

#[test]
fn up_with_refresh_puts_everything_right_at_once() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&trio("one"));
    project.up().ok();
    let refreshing_up = ["up", "--yes", "--skip-preview", "--refresh"];
    project.pulumi(&refreshing_up).ok();
    let same = project.export();

    project.world.set_value("a", "drifted");
    project.world.lose("c");
    let fresh = "  d: { type: world:Thing }\noutputs:";
    project.write_program(&trio("one").replace("outputs:", fresh));
    project.world.take_log();
    project.pulumi(&refreshing_up).ok();
    assert_eq!(project.world.take_log(), ["create c", "create d", "update a"]);
    let state = project.export();
    assert_eq!(state.names(), ["a", "b", "c", "d"]);
    assert_eq!(state.resource("b")["id"], same.resource("b")["id"]);
    assert_eq!(state.resource("a")["outputs"]["value"], "one");
    project.expect_no_changes();
}

#[test]
fn destroy_empties_state_and_world_but_keeps_the_stack() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&trio("one"));
    project.up().ok();
    project.pulumi(&["destroy", "--yes", "--skip-preview"]).ok().says("- 4 deleted");
    assert_eq!(project.export().resources().len(), 0);
    assert_eq!(project.world.names(), [""; 0]);
    assert_eq!(project.pulumi(&["stack", "output", "--json"]).ok().json(), serde_json::json!({}));

    project.pulumi(&["destroy", "--yes", "--skip-preview"]).ok();
    project.up().ok();
    project.pulumi(&["config", "set", "color", "red"]).ok();
    project.pulumi(&["destroy", "--yes", "--skip-preview", "--remove"]).ok();
    assert_eq!(project.file("Pulumi.dev.yaml"), None);
    project.pulumi(&["stack", "select", "dev"]).fails().says("no stack named 'dev' found");
}

#[test]
fn import_takes_an_existing_thing_in() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let id = project.world.add("found", "old");
    let import = ["import", "world:index:Thing", "found", &id, "--yes", "--generate-code=false"];
    project.pulumi(&import).ok();
    let state = project.export();
    assert_eq!(state.resource("found")["id"], id);
    assert_eq!(state.resource("found")["protect"], true);

    // It is protected: it cannot be lost by leaving it out of the program.
    project.up().fails();
    assert_eq!(project.world.names(), ["found"]);
    project.write_program("resources: { found: { type: world:Thing, properties: { value: new } } }");
    project.up().ok();
    assert_eq!(project.world.thing("found")["value"], "new");
    assert_eq!(project.world.id("found"), id);
}

#[test]
fn options_of_resources_survive() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let program = |value: &str| {
        format!(
            "
resources:
  kept: {{ type: world:Thing, properties: {{ value: {value} }}, options: {{ retainOnDelete: true }} }}
  deaf: {{ type: world:Thing, properties: {{ value: {value} }}, options: {{ ignoreChanges: [value] }} }}
  quiet: {{ type: world:Thing, properties: {{ value: {value} }}, options: {{ additionalSecretOutputs: [value] }} }}
  slow: {{ type: world:Thing, options: {{ customTimeouts: {{ create: 7m }} }} }}
  rider: {{ type: world:Thing, options: {{ deletedWith: '${{kept}}' }} }}
  fast: {{ type: world:Thing, options: {{ protect: true }} }}
"
        )
    };
    project.write_program(&program("one"));
    project.up().ok();
    project.write_program(&program("two"));
    project.up().ok();
    let state = project.export();
    assert_eq!(state.resource("kept")["retainOnDelete"], true);
    assert_eq!(state.resource("deaf")["outputs"]["value"], "one");
    assert!(state.resource("quiet")["outputs"]["value"]["ciphertext"].is_string());
    assert_eq!(state.resource("slow")["customTimeouts"]["create"], 420);
    assert_eq!(state.resource("rider")["deletedWith"], state.resource("kept")["urn"]);
    assert_eq!(state.resource("fast")["protect"], true);

    project.pulumi(&["destroy", "--yes", "--skip-preview"]).fails();
    project.pulumi(&["state", "unprotect", "--all", "--yes"]).ok();
    project.pulumi(&["destroy", "--yes", "--skip-preview"]).ok();
    assert_eq!(
        project.world.names(),
        ["kept", "rider"],
        "one is retained, the other would have gone with it"
    );
    assert_eq!(project.export().resources().len(), 0);
}

#[test]
fn values_survive() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let value = serde_json::json!({
        "text": "ß漢字🦀 <a href=\"x\">&amp;</a> \u{2028} \\ \t",
        "numbers": [0, -1, 1.5, 1e21, 9007199254740991_i64, 0.1, 1e-7],
        "nested": { "a": { "b": [[], {}, [[""]]] } },
        "empty": "", "yes": true, "no": false,
        "key with spaces / and \"quotes\"": 1,
    });
    // Written as an escape, for YAML takes the character itself for a line break.
    let text = value.to_string().replace('\u{2028}', "\\u2028");
    project.write_program(&format!(
        "resources: {{ stash: {{ type: pulumi:index:Stash, properties: {{ input: {text} }} }} }}
outputs: {{ value: '${{stash.output}}' }}"
    ));
    project.up().ok();
    assert_eq!(project.export().resource("stash")["outputs"]["output"], value);
    assert_eq!(project.pulumi(&["stack", "output", "value", "--json"]).ok().json(), value);
    project.expect_no_changes();
}

#[test]
fn sixty_things_at_once_and_one_by_one_are_the_same() {
    let Some(site) = Site::start() else { return };
    let program: String = (0..60).map(|i| format!("  t{i}: {{ type: world:Thing }}\n")).collect();
    let names = ["1", "64"].map(|parallel| {
        let project = site.stack(&format!("web{parallel}"), "dev");
        project.write_program(&format!("resources:\n{program}"));
        project.pulumi(&["up", "--yes", "--skip-preview", "--parallel", parallel]).ok();
        project.expect_no_changes();
        let state = project.export();
        assert_eq!(state.names(), project.world.names());
        state.names().into_iter().map(str::to_string).collect::<Vec<_>>()
    });
    assert_eq!(names[0].len(), 60);
    assert_eq!(names[0], names[1]);
}

#[test]
fn refresh_and_destroy_that_run_the_program() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&trio("one"));
    project.up().ok();
    project.world.set_value("a", "drifted");
    project.pulumi(&["refresh", "--yes", "--skip-preview", "--run-program"]).ok();
    assert_eq!(project.export().resource("a")["outputs"]["value"], "drifted");
    project.pulumi(&["destroy", "--yes", "--skip-preview", "--run-program"]).ok();
    assert_eq!(project.export().resources().len(), 0);
    assert_eq!(project.world.names(), [""; 0]);
}

#[test]
fn a_new_name_by_alias_while_something_else_fails() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program("resources: { old: { type: world:Thing, properties: { name: x } } }");
    project.up().ok();
    let id = project.world.id("x");
    project.world.fail("create y");
    project.write_program(
        "
resources:
  new: { type: world:Thing, properties: { name: x }, options: { aliases: [{ name: old }] } }
  y: { type: world:Thing, options: { dependsOn: ['${new}'] } }
",
    );
    project.up().fails();
    let state = project.export();
    assert_eq!(state.names(), ["new"]);
    assert_eq!(state.resource("new")["id"], id);
    project.world.allow("create y");
    project.up().ok();
    project.expect_no_changes();
    assert_eq!(project.world.id("x"), id);
}

/// With a console the CLI links to each update by its version.
#[test]
fn permalinks() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev").with("PULUMI_CONSOLE_DOMAIN", "console.example");
    project.write_program(&trio("one"));
    let link = "http://console.example/organization/web/dev";
    project.up().ok().says(&format!("{link}/updates/1"));
    project.up().ok().says(&format!("{link}/updates/2"));
    project.pulumi(&["preview"]).ok().says(&format!("{link}/previews/"));
}

/// Such a state is written in a newer schema than all others.
#[test]
fn replaced_with_another_one() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let program = |generation: &str| {
        format!(
            "
resources:
  a: {{ type: world:Thing, properties: {{ generation: {generation} }} }}
  b: {{ type: world:Thing, options: {{ replaceWith: ['${{a}}'] }} }}
"
        )
    };
    project.write_program(&program("one"));
    project.up().ok();
    let first = project.export();
    assert_eq!(first.resource("b")["replaceWith"][0], first.resource("a")["urn"]);
    assert_eq!(first.0["version"], 4);
    project.write_program(&program("two"));
    project.up().ok();
    assert_ne!(project.export().resource("b")["id"], first.resource("b")["id"]);
    assert_eq!(project.world.names(), ["a", "b"]);
    project.expect_no_changes();
    assert_eq!(project.export().0["version"], 4);
}
