//! Users as the CLI is: a reader, a machine with one project, a token that is taken away, a login without one.

use serde_json::{Value, json};

use crate::command::run;
use crate::support::project::Project;
use crate::support::site::{ORGANIZATION, Site};

const PROGRAM: &str = "
resources:
  a: { type: pulumi:index:Stash, properties: { input: { fn::secret: hidden-1234 } } }
outputs: { secret: '${a.output}', open: shown }
";

/// Runs a command of the server, and gives what it answers.
#[track_caller]
fn server(site: &Site, arguments: &[&str]) -> Value {
    run(site.server.dir(), &[arguments, &["--json"]].concat()).json()
}

#[track_caller]
fn token_of(answer: &Value) -> String {
    answer["tokenValue"].as_str().unwrap_or_else(|| panic!("no token in {answer}")).to_string()
}

/// The same project in the hands of who has this token.
fn as_holder(project: &Project, token: &str) -> Project {
    project.with("PULUMI_ACCESS_TOKEN", token)
}

#[test]
fn a_reader_sees_and_does_not_touch() {
    let Some(site) = Site::start() else { return };
    let project = site.project("web");
    project.write_program(PROGRAM);
    let admin = as_holder(&project, &token_of(&server(&site, &["user", "add", "alice", "--admin"])));
    admin.pulumi(&["stack", "init", &format!("{ORGANIZATION}/web/dev")]).ok();
    admin.up().ok();
    admin.pulumi(&["stack", "init", &format!("{ORGANIZATION}/web/prod")]).ok();

    let reader = as_holder(&project, &token_of(&server(&site, &["user", "add", "bob"])));
    let dev = format!("{ORGANIZATION}/web/dev");
    server(&site, &["grant", "read", "bob", &dev]);
    assert_eq!(reader.pulumi(&["whoami"]).ok().line(), "bob");
    let list = reader.pulumi(&["stack", "ls", "--all", "--json"]).ok().json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "only what bob may see: {list}");
    let outputs = reader.pulumi(&["stack", "output", "--json", "--stack", &dev]).ok().json();
    assert_eq!(outputs, json!({ "secret": "[secret]", "open": "shown" }));
    let shown = reader.pulumi(&["stack", "output", "--json", "--show-secrets", "--stack", &dev]).fails();
    shown.says("the role 'decrypt'").says_nothing_of("hidden-1234");
    reader.pulumi(&["up", "--yes", "--skip-preview", "--stack", &dev]).fails().says("the role '");
    reader.pulumi(&["stack", "select", &format!("{ORGANIZATION}/web/prod")]).fails().says("no stack named");
    reader.pulumi(&["stack", "rm", "--yes", "--stack", &dev]).fails();

    server(&site, &["grant", "decrypt", "bob", &dev]);
    let shown = reader.pulumi(&["stack", "output", "--json", "--show-secrets", "--stack", &dev]).ok().json();
    assert_eq!(shown["secret"], "hidden-1234");
    let shown = server(&site, &["audit", "--user", "bob", "--action", "secret"]);
    assert!(shown["records"].as_array().is_some_and(|records| !records.is_empty()), "{shown}");
}

#[test]
fn a_machine_has_its_project_until_its_token_is_taken_away() {
    let Some(site) = Site::start() else { return };
    let project = site.project("web");
    let admin_token = token_of(&server(&site, &["user", "add", "alice", "--admin"]));
    let admin = as_holder(&project, &admin_token);
    server(&site, &["org", "add", "acme"]);
    let other = as_holder(&site.project("other"), &admin_token);
    admin.pulumi(&["stack", "init", "acme/web/dev", "--no-select"]).ok();
    other.pulumi(&["stack", "init", "acme/other/dev", "--no-select"]).ok();
    let made = server(
        &site,
        &["token", "create", "--org", "acme", "--name", "ci", "--role", "update", "--stacks", "acme/web/*"],
    );
    let machine = as_holder(&project, &token_of(&made));
    machine.pulumi(&["stack", "select", "acme/web/dev"]).ok();
    machine.write_program("resources: { a: { type: 'world:index:Thing', properties: { value: '1' } } }");
    machine.up().ok();
    let list = machine.pulumi(&["stack", "ls", "--all", "--organization", "acme", "--json"]).ok().json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "not the other project: {list}");
    machine.pulumi(&["stack", "init", "acme/web/prod"]).fails().says("the role 'admin'");

    machine.write_program("resources: { a: { type: 'world:index:Thing', properties: { value: '2' } } }");
    machine.world.hold("update a");
    let running = machine.spawn_up();
    machine.world.wait_inside("update a");
    server(&site, &["token", "revoke", made["id"].as_str().expect("an id")]);
    machine.pulumi(&["stack", "ls"]).fails().says("pulumi login");
    machine.world.allow("update a");
    running.wait().ok();
    let history = admin.pulumi(&["stack", "history", "--json", "--stack", "acme/web/dev"]).ok().json();
    assert_eq!(history[0]["result"], "succeeded", "its lease carried it to the end");
    assert_eq!(machine.world.thing("a")["value"], "2");
}

#[test]
#[cfg(feature = "tls")]
fn a_ci_job_logs_in_with_the_token_of_its_own_system() {
    use crate::oidc::{Signer, now_unix};

    let Some(site) = Site::start() else { return };
    let project = site.project("web").without("PULUMI_BACKEND_URL");
    server(&site, &["user", "add", "alice", "--admin"]);
    server(&site, &["org", "add", "acme"]);
    let signer = Signer::p256();
    let key_set = site.server.dir().join("jwks.json");
    std::fs::write(&key_set, json!({ "keys": [signer.jwk("k1")] }).to_string()).expect("write the keys");
    server(
        &site,
        &[
            "issuer",
            "add",
            "https://ci.example",
            "--org",
            "acme",
            "--jwks",
            "jwks.json",
            "--claim",
            "sub=repo:acme/web:*",
            "--role",
            "admin",
            "--stacks",
            "acme/web/*",
        ],
    );

    let token = |sub: &str| {
        let claims = json!({ "iss": "https://ci.example", "aud": "urn:pulumi:org:acme", "sub": sub, "exp": now_unix() + 300 });
        signer.sign("k1", &claims)
    };
    let job = project.without("PULUMI_ACCESS_TOKEN");
    let login = |sub: &str| {
        job.pulumi(&["login", &site.server.url(), "--oidc-token", &token(sub), "--oidc-org", "acme"])
    };
    login("repo:acme/api:main").fails().says("claim 'sub'");
    login("repo:acme/web:main").ok();
    let me = job.pulumi(&["whoami", "--verbose", "--json"]).ok().json();
    assert_eq!(me["user"], "acme", "{me}");
    job.pulumi(&["stack", "init", "acme/web/dev"]).ok();
    job.up().ok();
    job.pulumi(&["stack", "init", "acme/api/dev"]).fails();
}

#[test]
#[cfg(feature = "tls")]
fn a_ci_job_logs_in_by_the_keys_that_its_system_publishes() {
    use crate::oidc::{Signer, now_unix};
    use crate::published::Published;

    let folder = crate::process::TempDir::new("published");
    let published = Published::start(folder.path());
    let ca = published.ca.to_str().expect("UTF-8");
    let Some(site) = Site::start_with(&["--issuer-ca-file", ca]) else { return };
    server(&site, &["user", "add", "alice", "--admin"]);
    server(&site, &["org", "add", "acme"]);
    let (first, second) = (Signer::p256(), Signer::ed25519());
    published.publish(&[first.jwk("1")]);
    let (issuer, keys) = (published.url(""), published.url("/keys"));
    let rule = ["--claim", "sub=repo:acme/*", "--role", "update", "--org", "acme"];
    server(&site, &[&["issuer", "add", &issuer, "--jwks-url", &keys], &rule[..]].concat());

    let job = site.project("web").without("PULUMI_BACKEND_URL").without("PULUMI_ACCESS_TOKEN");
    let login = |signer: &Signer, kid: &str| {
        let claims = json!({ "iss": issuer, "aud": "urn:pulumi:org:acme", "sub": "repo:acme/web", "exp": now_unix() + 300 });
        let token = signer.sign(kid, &claims);
        job.pulumi(&["login", &site.server.url(), "--oidc-token", &token, "--oidc-org", "acme"])
    };
    login(&second, "2").fails();
    login(&first, "1").ok();
    let me = job.pulumi(&["whoami", "--verbose", "--json"]).ok().json();
    assert_eq!(me["user"], "acme", "{me}");
    // The site was asked a moment ago; the new key is looked for when the next moment has come.
    published.publish(&[second.jwk("2")]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !login(&second, "2").is_ok() {
        assert!(std::time::Instant::now() < deadline, "{}", site.server.log());
        std::thread::sleep(std::time::Duration::from_millis(1000));
    }
    login(&first, "1").fails();
}
