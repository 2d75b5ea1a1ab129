//! Who the CLI is: login, whoami, logout, about.

use serde_json::{Value, json};

use crate::support::site::{ORGANIZATION, Site};

#[test]
fn login_whoami_logout() {
    let Some(site) = Site::start() else { return };
    let project = site.project("web").without("PULUMI_BACKEND_URL");
    project.pulumi(&["login", &format!("{}/", site.server.url())]).ok().says("Logged in");

    // From here on only what the login stored is known.
    let stored = project.without("PULUMI_ACCESS_TOKEN");
    assert_eq!(stored.pulumi(&["whoami"]).ok().line(), "admin");
    let me = stored.pulumi(&["whoami", "--verbose", "--json"]).ok().json();
    assert_eq!(me["user"], "admin");
    let organizations = me["organizations"].as_array().expect("a list");
    assert!(organizations.contains(&json!(ORGANIZATION)), "{organizations:?}");
    let credentials = std::fs::read_to_string(project.home().join("pulumi-home/credentials.json"));
    let credentials: Value = serde_json::from_str(&credentials.expect("credentials")).expect("JSON");
    assert_eq!(credentials["current"], site.server.url(), "the slash is gone");
    assert_eq!(credentials["accounts"][site.server.url()]["username"], "admin");
    stored.pulumi(&["stack", "init", "dev"]).ok();

    let about: Value = stored.pulumi(&["about", "--json"]).ok().json();
    assert_eq!(about["backend"]["user"], "admin");
    assert_eq!(about["currentStack"]["fullyQualifiedName"], format!("{ORGANIZATION}/web/dev"));

    stored.pulumi(&["logout"]).ok();
    let asked = stored.with("PULUMI_BACKEND_URL", site.server.url());
    asked.pulumi(&["stack", "ls"]).fails().says("PULUMI_ACCESS_TOKEN must be set for login");
}

#[test]
fn unqualified_names_go_to_the_default_organization() {
    let Some(site) = Site::start() else { return };
    let project = site.project("web");
    assert_eq!(project.pulumi(&["org", "get-default"]).ok().line(), ORGANIZATION);
    project.pulumi(&["stack", "init", "dev"]).ok();
    let list = project.pulumi(&["stack", "ls", "--all", "--json"]).ok().json();
    assert_eq!(list[0]["name"], "dev");
    project.pulumi(&["stack", "select", &format!("{ORGANIZATION}/web/dev")]).ok();
    // The user's own name is an organization, too: another default sends new stacks there.
    project.pulumi(&["org", "set-default", "admin"]).ok();
    assert_eq!(project.pulumi(&["org", "get-default"]).ok().line(), "admin");
    project.pulumi(&["org", "set-default", ORGANIZATION]).ok();
    project.pulumi(&["stack", "init", "nowhere/web/dev"]).fails();
    let list = project.pulumi(&["stack", "ls", "--all", "--json"]).ok().json();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
}
