//! Deployments that come from outside: from a file, by force, from another backend.

use serde_json::{Value, json};

use crate::support::project::Project;
use crate::support::site::{FolderSite, Site};

const TWO: &str = "
resources:
  a: { type: world:Thing }
  b: { type: world:Thing, properties: { value: '${a.id}' } }
";

/// Writes a deployment to `state.json`.
fn write_state(project: &Project, state: &Value) {
    std::fs::write(project.folder().join("state.json"), state.to_string()).expect("write the state");
}

#[test]
fn pending_operations_are_cleared() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(TWO);
    project.world.hold("create b");
    let up = project.spawn_up();
    project.world.wait_inside("create b");
    up.kill();
    project.pulumi(&["cancel", "--yes"]).ok();
    let state = project.export();
    assert_eq!(state.pending(), ["creating b"]);
    write_state(&project, &state.0);
    project.pulumi(&["stack", "import", "--file", "state.json"]).ok();
    assert_eq!(project.export().pending(), [""; 0]);
    project.world.allow("create b");
    project.up().ok();
    assert_eq!(project.export().names(), ["a", "b"]);
}

/// The state of an update that cannot begin: the CLI gives up after it has the lock.
#[test]
fn a_broken_state_comes_in_by_force_and_goes_out_again() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(TWO);
    project.up().ok();
    let good = project.export().0;
    let mut broken = good.clone();
    let resources = broken["deployment"]["resources"].as_array_mut().expect("resources");
    resources.retain(|resource| !resource["urn"].as_str().is_some_and(|urn| urn.ends_with("::a")));
    write_state(&project, &broken);
    project.pulumi(&["stack", "import", "--file", "state.json"]).fails();
    assert_eq!(project.export().names(), ["a", "b"]);

    project.pulumi(&["stack", "import", "--file", "state.json", "--force"]).ok();
    project.up().fails();
    // Whatever lock it held, a cancel takes it.
    project.pulumi(&["cancel", "--yes"]);
    write_state(&project, &good);
    project.pulumi(&["stack", "import", "--file", "state.json"]).ok();
    project.expect_no_changes();
}

#[test]
fn from_standard_input_and_of_another_stack() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program("outputs: { large: 12345678901234567890, small: 0.1 }");
    project.up().ok();
    let state = project.export();
    project.pulumi_with_input(&["stack", "import"], &state.0.to_string()).ok();
    assert_eq!(project.export().content(), state.content());
    let other = site.stack("web2", "prod");
    write_state(&other, &state.0);
    other.pulumi(&["stack", "import", "--file", "state.json"]).fails();
    assert_eq!(other.export().resources().len(), 0);
}

#[test]
fn migrate_from_a_folder() {
    let (Some(folder), Some(site)) = (FolderSite::start(), Site::start()) else { return };
    let old = folder.stack("web", "dev");
    old.pulumi(&["config", "set", "--secret", "token", "hush-1234"]).ok();
    old.write_program(
        "
config: { token: { type: string } }
resources: { a: { type: world:Thing, properties: { value: '${token}' } } }
outputs: { token: '${token}' }",
    );
    old.up().ok();

    // The backend that is logged in to is the one to go to.
    let new = old.with("PULUMI_BACKEND_URL", site.server.url());
    let to = ["--target", "organization/web/dev", "--yes"];
    new.pulumi(&[&["stack", "migrate", &folder.url(), "dev"], &to[..]].concat()).ok();
    let new = new.without("PULUMI_CONFIG_PASSPHRASE");
    new.pulumi(&["stack", "select", "organization/web/dev"]).ok();
    assert_eq!(new.export().0["deployment"]["secrets_providers"]["type"], "service");
    new.expect_no_changes();
    assert_eq!(new.pulumi(&["config", "get", "token"]).ok().line(), "hush-1234");
    let outputs = new.pulumi(&["stack", "output", "--json", "--show-secrets"]).ok().json();
    assert_eq!(outputs, json!({ "token": "hush-1234" }));
}
