//! HTTPS with the server's own CA: the CLI does what the start lines say, and trusts nothing before.

use crate::support::site::Site;

#[test]
fn a_stack_lives_over_tls_with_the_local_ca() {
    let Some(site) = Site::start_with(&["--tls-local-ca", "pulumi.example.com"]) else { return };
    assert!(site.server.url().starts_with("https://"));
    let line = site.server.log();
    let line =
        line.lines().find_map(|line| line.trim().strip_prefix("export SSL_CERT_FILE=")).map(String::from);
    let ca = line.expect("the line that makes a machine trust it");
    let project = site.project("web");
    project.pulumi(&["stack", "init", "dev"]).fails().says("x509");
    let trusting = project.with("SSL_CERT_FILE", ca);
    trusting.pulumi(&["stack", "init", "dev"]).ok();
    trusting.pulumi(&["config", "set", "--secret", "password", "hunter2"]).ok();
    assert_eq!(trusting.pulumi(&["config", "get", "password"]).ok().line(), "hunter2");
    let list = trusting.pulumi(&["stack", "ls", "--json"]).ok().json();
    assert_eq!(list[0]["name"], "dev");
    let exported = trusting.pulumi(&["stack", "export"]).ok().json();
    assert_eq!(exported["version"], 3);
    trusting.pulumi(&["stack", "rm", "--yes", "dev"]).ok();
}
