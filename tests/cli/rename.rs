//! Another name for a stack: everything goes along, and nothing has to be done again.

use crate::support::project::Project;
use crate::support::site::Site;

const PROGRAM: &str = "
config: { token: { type: string } }
resources:
  a: { type: world:Thing, properties: { value: '${token}' } }
  b: { type: world:Thing, properties: { value: '${a.id}' }, options: { parent: '${a}', protect: true } }
outputs: { token: '${token}' }
";

#[track_caller]
fn have_stack(site: &Site) -> Project {
    let project = site.stack("web", "dev");
    project.pulumi(&["config", "set", "--secret", "token", "hush-1234"]).ok();
    project.write_program(PROGRAM);
    project.up().ok();
    project.pulumi(&["stack", "tag", "set", "team", "blue"]).ok();
    project
}

#[track_caller]
fn expect_secret_opens(project: &Project) {
    assert_eq!(project.pulumi(&["config", "get", "token"]).ok().line(), "hush-1234");
    let output = project.pulumi(&["stack", "output", "token", "--show-secrets"]).ok();
    assert_eq!(output.line(), "hush-1234");
}

#[test]
fn everything_goes_along() {
    let Some(site) = Site::start() else { return };
    let project = have_stack(&site);
    let ids = ["a", "b"].map(|name| project.world.id(name));
    project.pulumi(&["stack", "rename", "prod"]).ok();
    project.pulumi(&["stack", "select", "dev"]).fails().says("no stack named 'dev' found");
    assert_eq!(project.file("Pulumi.dev.yaml"), None);
    expect_secret_opens(&project);
    project.pulumi(&["preview", "--expect-no-changes"]).ok();
    project.expect_no_changes();
    project.pulumi(&["refresh", "--yes", "--skip-preview", "--expect-no-changes"]).ok();

    let state = project.export();
    let text = state.0["deployment"]["resources"].to_string();
    assert!(!text.contains("urn:pulumi:dev::") && !text.contains("web-dev"), "{text}");
    assert_eq!(["a", "b"].map(|name| project.world.id(name)), ids);
    assert_eq!(project.pulumi(&["stack", "tag", "get", "team"]).ok().line(), "blue");
    let history = project.pulumi(&["stack", "history", "--json"]).ok().json();
    assert_eq!(history[history.as_array().map_or(0, Vec::len) - 1]["version"], 1);
    assert_eq!(project.export_with(&["--version", "1"]).names(), ["a", "b"]);

    // New secrets, too.
    project.pulumi(&["config", "set", "--secret", "token", "hush-5678"]).ok();
    project.up().ok();
    assert_eq!(project.pulumi(&["stack", "output", "token", "--show-secrets"]).ok().line(), "hush-5678");
}

#[test]
fn there_and_back() {
    let Some(site) = Site::start() else { return };
    let project = have_stack(&site);
    let before = project.export().content();
    project.pulumi(&["stack", "rename", "prod"]).ok();
    project.pulumi(&["stack", "rename", "dev"]).ok();
    assert_eq!(project.export().content(), before);
    expect_secret_opens(&project);
    project.expect_no_changes();
}

#[test]
fn to_a_name_that_is_taken_or_bad() {
    let Some(site) = Site::start() else { return };
    let project = have_stack(&site);
    project.pulumi(&["stack", "init", "prod"]).ok();
    project.pulumi(&["stack", "select", "dev"]).ok();
    let before = project.export().0;
    project.pulumi(&["stack", "rename", "prod"]).fails();
    project.pulumi(&["stack", "rename", "no spaces"]).fails();
    project.pulumi(&["stack", "rename", "--stack", "nothing", "other"]).fails();
    assert_eq!(project.export().0, before);
    project.expect_no_changes();
}

#[test]
fn into_another_project() {
    let Some(site) = Site::start() else { return };
    let web = have_stack(&site);
    web.pulumi(&["stack", "rename", "organization/shop/prod"]).ok();
    let shop = site.project("shop");
    shop.write_program(PROGRAM);
    let configuration = ["Pulumi.prod.yaml", "Pulumi.dev.yaml"].into_iter().find_map(|name| web.file(name));
    let configuration =
        configuration.expect("the configuration stays in the old folder").replace("web:", "shop:");
    std::fs::write(shop.folder().join("Pulumi.prod.yaml"), configuration).expect("write the configuration");
    let shop = shop.with("WORLD_DIR", web.world.folder());
    shop.pulumi(&["stack", "select", "prod"]).ok();
    expect_secret_opens(&shop);
    shop.expect_no_changes();
    let text = shop.export().0["deployment"]["resources"].to_string();
    assert!(!text.contains("::web::") && !text.contains("web-dev"), "{text}");
    assert_eq!(shop.pulumi(&["stack", "tag", "get", "pulumi:project"]).ok().line(), "shop");
}
