//! A bad network: whatever the CLI sends again, the outcome is as if all had gone well the first time.

use serde_json::json;

use crate::support::project::Project;
use crate::support::proxy::{Fault, Proxy};
use crate::support::site::{LOCKED, Site, WITH_DELTAS};

/// What the CLI sends again when it gets no answer, in every mode, over up, change and destroy.
const RETRIED: [(&str, &str); 6] = [
    ("GET", "/web/dev"),
    ("GET", "/export"),
    ("POST", "/batch-encrypt"),
    ("POST", "/batch-decrypt"),
    ("POST", "/events/batch"),
    ("POST", "/complete"),
];

fn program(value: &str) -> String {
    format!(
        "
config: {{ token: {{ type: string }} }}
resources:
  a: {{ type: world:Thing, properties: {{ value: {value} }} }}
  b: {{ type: world:Thing, properties: {{ value: '${{token}}' }}, options: {{ dependsOn: ['${{a}}'] }} }}
outputs: {{ value: '${{a.value}}', token: '${{token}}' }}
"
    )
}

/// Each kind of call meets the fault once in each of three updates; `saves` are the calls that save state.
fn whatever_is_retried(site: &Site, fault: Fault, saves: &[&'static str], disable_journaling: &str) {
    let proxy = Proxy::start(site.server.address());
    let project = site.stack("web", "dev").with("PULUMI_DISABLE_JOURNALING", disable_journaling);
    let project = project.with("PULUMI_BACKEND_URL", proxy.url());
    project.pulumi(&["stack", "select", "dev"]).ok();
    project.pulumi(&["config", "set", "--secret", "token", "hush"]).ok();
    let spoil = || {
        RETRIED.iter().for_each(|(method, path_end)| proxy.spoil(method, path_end, fault));
        saves.iter().for_each(|path_end| proxy.spoil("PATCH", path_end, fault));
    };

    spoil();
    project.write_program(&program("one"));
    project.up().ok();
    assert_eq!(project.export().names(), ["a", "b"]);
    spoil();
    project.write_program(&program("two"));
    project.up().ok();
    let state = project.export();
    assert_eq!(state.resource("a")["outputs"]["value"], "two");
    assert_eq!(state.pending(), [""; 0]);
    let outputs = project.pulumi(&["stack", "output", "--json", "--show-secrets"]).ok().json();
    assert_eq!(outputs, json!({ "value": "two", "token": "hush" }));
    spoil();
    project.pulumi(&["destroy", "--yes", "--skip-preview"]).ok();
    assert_eq!(project.export().resources().len(), 0);

    let left: Vec<String> = proxy.left();
    assert!(left.len() <= 4, "too few calls met the fault; left: {left:?}");
    let log = project.world.log();
    assert_eq!(log, ["create a", "create b", "update a", "delete b", "delete a"], "nothing was done twice");
    expect_history(&project, &["destroy", "update", "update"]);
}

/// All succeeded, each with a version of its own.
#[track_caller]
fn expect_history(project: &Project, kinds: &[&str]) {
    let history = project.pulumi(&["stack", "history", "--json"]).ok().json();
    let told: Vec<_> = history.as_array().expect("a list").iter().collect();
    assert_eq!(told.len(), kinds.len(), "{history:#}");
    for (place, update) in told.into_iter().enumerate() {
        assert_eq!(update["kind"], kinds[place]);
        assert_eq!(update["result"], "succeeded");
        assert_eq!(update["version"], kinds.len() - place);
    }
}

/// Meets the fault in all modes at the same time: the CLI mostly waits.
fn in_all_modes(fault: Fault) {
    let journal: &[_] = &["/journalentries", "/journalentries"];
    let checkpoints: &[_] = &["/checkpoint", "/checkpoint"];
    let deltas: &[_] = &["/checkpointverbatim", "/checkpointdelta", "/checkpointdelta"];
    let modes: [(&str, &[&str], &[&'static str], &str); 3] = [
        ("journal", &[], journal, "false"),
        ("checkpoints", &[], checkpoints, "true"),
        ("deltas", &WITH_DELTAS, deltas, "true"),
    ];
    std::thread::scope(|scope| {
        for (mode, arguments, saves, disable_journaling) in modes {
            let tell = move || {
                let Some(site) = Site::start_with(arguments) else { return };
                whatever_is_retried(&site, fault, saves, disable_journaling);
            };
            // The name is what a failure is printed with.
            std::thread::Builder::new().name(mode.into()).spawn_scoped(scope, tell).expect("a thread");
        }
    });
}

/// Makes a test of each fault.
macro_rules! for_each_fault {
    ($($name:ident: $fault:expr,)*) => {
        mod all_modes {
            use super::{Fault, in_all_modes};
            $(#[test] fn $name() {
                in_all_modes($fault);
            })*
        }
    };
}

for_each_fault! {
    answers_are_lost: Fault::AnswerLost,
    requests_arrive_twice: Fault::ArrivesTwice,
    requests_are_done_but_answered_with_502: Fault::DoneBut502,
    requests_never_arrive: Fault::NeverArrives,
}

/// A start is sent once: nobody knows the lease now, so the stack is locked until a cancel.
#[test]
fn the_answer_to_start_is_lost() {
    let Some(site) = Site::start() else { return };
    let proxy = Proxy::start(site.server.address());
    let project = site.stack("web", "dev").with("PULUMI_BACKEND_URL", proxy.url());
    project.pulumi(&["stack", "select", "dev"]).ok();
    project.write_program("resources: { a: { type: world:Thing } }");
    proxy.spoil("POST", "/update/*", Fault::AnswerLost);
    project.up().fails();
    assert_eq!(proxy.left(), [""; 0]);
    assert_eq!(project.world.names(), [""; 0]);

    project.up().fails().says(LOCKED);
    project.pulumi(&["cancel", "--yes"]).ok();
    project.up().ok();
    assert_eq!(project.export().names(), ["a"]);
}

/// An import is sent once: the CLI says it failed, but it stands, and nobody holds the stack.
#[test]
fn the_answer_to_import_is_lost() {
    let Some(site) = Site::start() else { return };
    let proxy = Proxy::start(site.server.address());
    let project = site.stack("web", "dev");
    for value in ["one", "two"] {
        project.write_program(&format!(
            "resources: {{ a: {{ type: world:Thing, properties: {{ value: {value} }} }} }}"
        ));
        project.up().ok();
    }
    project.pulumi(&["stack", "export", "--version", "1", "--file", "old.json"]).ok();
    let spoilt = project.with("PULUMI_BACKEND_URL", proxy.url());
    spoilt.pulumi(&["stack", "select", "dev"]).ok();
    proxy.spoil("POST", "/import", Fault::AnswerLost);
    spoilt.pulumi(&["stack", "import", "--file", "old.json"]).fails();

    assert_eq!(project.export().resource("a")["outputs"]["value"], "one");
    project.up().ok();
    assert_eq!(project.export().resource("a")["outputs"]["value"], "two");
}
