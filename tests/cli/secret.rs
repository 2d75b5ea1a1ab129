//! Secrets: sealed wherever they rest, open for whoever may see them.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::http::get;
use crate::support::project::Project;
use crate::support::site::Site;

/// A program whose state holds a secret from the configuration and one of its own.
const PROGRAM: &str = "
config: { token: { type: string } }
resources:
  a: { type: pulumi:index:Stash, properties: { input: '${token}' } }
  b: { type: pulumi:index:Stash, properties: { input: { fn::secret: [in-program-5678] } } }
outputs: { a: '${a.output}', b: '${b.output}' }
";

#[track_caller]
fn have_secrets(project: &Project) {
    project.write_program(PROGRAM);
    project.pulumi(&["config", "set", "--secret", "token", "in-config-1234"]).ok();
    project.up().ok();
}

/// Both secrets open, in the state and in the configuration, and nothing is to be done.
#[track_caller]
fn expect_open(project: &Project) {
    let outputs = project.pulumi(&["stack", "output", "--json", "--show-secrets"]).ok().json();
    assert_eq!(outputs, json!({ "a": "in-config-1234", "b": ["in-program-5678"] }));
    assert_eq!(project.pulumi(&["config", "get", "token"]).ok().line(), "in-config-1234");
    project.pulumi(&["preview", "--expect-no-changes"]).ok();
}

/// Every byte under a folder.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).expect("list the server's files");
    let paths = entries.map(|entry| entry.expect("list the server's files").path());
    paths
        .flat_map(|path| if path.is_dir() { all_bytes(&path) } else { fs::read(path).expect("read a file") })
        .collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn configuration_and_state_are_sealed_and_open_again() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    have_secrets(&project);
    expect_open(&project);
    let state = project.export();
    assert!(state.resource("a")["inputs"]["input"]["ciphertext"].is_string());
    assert!(state.output("b")["ciphertext"].is_string());
    let shown = project.pulumi(&["stack", "export", "--show-secrets"]).ok();
    assert!(shown.has_said("in-config-1234") && shown.has_said("in-program-5678"));
    let list = project.pulumi(&["config", "--json"]).ok().json();
    assert_eq!(list["web:token"]["secret"], true);
    assert_eq!(list["web:token"]["value"], json!(null));

    site.server.stop();
    let files = all_bytes(site.server.dir());
    for hidden in ["in-config-1234", "in-program-5678", "pul-0123456789abcdef", "pulumi:index:Stash"] {
        assert!(!has(&files, hidden), "{hidden:?} is in the server's files");
        assert!(!site.server.log().contains(hidden), "{hidden:?} is in the server's log");
    }
    site.server.restart();
    expect_open(&project);
}

#[test]
fn to_a_passphrase_and_back() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev").with("PULUMI_CONFIG_PASSPHRASE", "correct horse");
    have_secrets(&project);
    // It asks for the new passphrase twice.
    let input = "correct horse\ncorrect horse\n";
    project.pulumi_with_input(&["stack", "change-secrets-provider", "passphrase"], input).ok();
    assert_eq!(project.export().0["deployment"]["secrets_providers"]["type"], "passphrase");
    expect_open(&project);
    project.with("PULUMI_CONFIG_PASSPHRASE", "wrong").pulumi(&["config", "get", "token"]).fails();
    project.expect_no_changes();

    project.pulumi(&["stack", "change-secrets-provider", "default"]).ok();
    assert_eq!(project.export().0["deployment"]["secrets_providers"]["type"], "service");
    let project = project.without("PULUMI_CONFIG_PASSPHRASE");
    expect_open(&project);
    project.expect_no_changes();
}

#[test]
fn a_stack_that_has_its_own_passphrase() {
    let Some(site) = Site::start() else { return };
    let project = site.project("web").with("PULUMI_CONFIG_PASSPHRASE", "correct horse");
    project.pulumi(&["stack", "init", "dev", "--secrets-provider", "passphrase"]).ok();
    assert_eq!(project.export().0["deployment"]["secrets_providers"]["type"], "passphrase");
    have_secrets(&project);
    expect_open(&project);
    assert_eq!(project.export().0["deployment"]["secrets_providers"]["type"], "passphrase");
}

#[test]
fn large_and_many() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let many: Vec<String> = (0..200).map(|i| format!("{i}-{}", "x".repeat(2000))).collect();
    let resources: String = many
        .iter()
        .enumerate()
        .map(|(i, value)| format!("  s{i}: {{ type: pulumi:index:Stash, properties: {{ input: {{ fn::secret: '{value}' }} }} }}\n"))
        .collect();
    let large = "y".repeat(2_000_000);
    project.write_program(&format!(
        "resources:\n{resources}\noutputs: {{ large: {{ fn::secret: '{large}' }}, last: '${{s199.output}}' }}"
    ));
    project.up().ok();
    let outputs = project.pulumi(&["stack", "output", "--json", "--show-secrets"]).ok().json();
    assert_eq!(outputs["last"], many[199]);
    assert!(outputs["large"] == large, "the large secret came back changed");
    project.expect_no_changes();
}

/// What the history says of the latest update's values in plain text.
#[track_caller]
fn plaintext_values(site: &Site) -> serde_json::Value {
    let history = get(site.server.address(), "/api/stacks/organization/web/dev/updates");
    history["updates"][0]["plaintextValues"].clone()
}

#[test]
fn a_secret_that_a_program_shows_in_the_clear_is_warned_of() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.pulumi(&["config", "set", "--secret", "token", "in-config-1234"]).ok();
    project.write_program(
        "resources:\n  a: { type: pulumi:index:Stash, properties: { input: [in-config-1234] } }\n\
         outputs: { shown: in-config-1234 }",
    );
    let shown = project.up().ok().says("warning").says("in plain text");
    assert!(
        shown.has_said("outputs.shown of urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev"),
        "{}",
        shown.story()
    );
    let told = plaintext_values(&site);
    let places: Vec<&str> = told["values"]
        .as_array()
        .expect("values")
        .iter()
        .map(|it| it["path"].as_str().expect("a path"))
        .collect();
    assert!(places.contains(&"outputs.shown") && places.contains(&"inputs.input[0]"), "{told}");
    assert_eq!(told["count"], places.len());
    assert!(!told.to_string().contains("in-config") && !site.server.log().contains("in-config"));

    // A no-op reports all resources again, and what is mended is told no more.
    project.up().ok().says("in plain text");
    // A stash that is there keeps what it was first given.
    project.write_program(&PROGRAM.replace("  a:", "  c:").replace("${a.output}", "${c.output}"));
    project.up().ok().says_nothing_of("in plain text");
    assert_eq!(plaintext_values(&site), json!(null));
}

#[test]
fn a_program_that_keeps_its_secrets_is_not_warned() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(PROGRAM);
    project.pulumi(&["config", "set", "--secret", "token", "in-config-1234"]).ok();
    project.up().ok().says_nothing_of("in plain text");
    assert_eq!(plaintext_values(&site), json!(null));
    expect_open(&project);
}
