//! After a loss: the restored server goes on where the backup was made; and without any server the CLI's own backend in
//! a folder takes over what a backup holds.

use std::fs;

use serde_json::json;

use crate::command::{run, run_with};
use crate::support::site::Site;

const PROGRAM: &str = "
config: { token: { type: string } }
resources:
  a: { type: pulumi:index:Stash, properties: { input: '${token}' } }
  b: { type: pulumi:index:Stash, properties: { input: { fn::secret: [in-program-5678, 12345678901234567890] } } }
outputs: { a: '${a.output}', b: '${b.output}' }
";

const PASSPHRASE: (&str, &str) = ("PULUMI_CONFIG_PASSPHRASE", "correct horse");

#[test]
fn restored_or_taken_over_nothing_is_to_be_done() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(PROGRAM);
    project.pulumi(&["config", "set", "--secret", "token", "in-config-1234"]).ok();
    project.up().ok();
    let before = project.export();
    let folder = site.server.dir().to_path_buf();
    let made = run(&folder, &["backup", "--to", "backups/", "--json"]).json();

    site.server.kill();
    for end in ["", "-wal", "-shm"] {
        // What is not there needs no removal.
        fs::remove_file(folder.join(format!("pulumi-backend.db{end}"))).unwrap_or_default();
    }
    run(&folder, &["restore", "--from", "backups/"]).ok();
    site.server.restart();
    project.pulumi(&["preview", "--expect-no-changes"]).ok();
    assert_eq!(project.export().content(), before.content());

    site.server.stop();
    let from = format!("backups/{}", made["name"].as_str().expect("a name"));
    run(&folder, &["export", "--from", &from, "--to", "out"]).fails(2);
    run_with(&folder, &["export", "--from", &from, "--to", "out"], &[PASSPHRASE]).ok();
    let url = format!("file://{}", folder.join("out").display());
    let project = project.with("PULUMI_BACKEND_URL", url).with(PASSPHRASE.0, PASSPHRASE.1);
    let outputs =
        project.pulumi(&["stack", "output", "--json", "--show-secrets", "--stack", "dev"]).ok().json();
    assert_eq!(outputs["a"], json!("in-config-1234"));
    assert_eq!(outputs["b"][0], json!("in-program-5678"));
    let shown = project.pulumi(&["stack", "export", "--stack", "dev"]).ok();
    assert!(!shown.has_said("in-config-1234") && shown.has_said("passphrase"));
    let wrong = project.with(PASSPHRASE.0, "wrong horse");
    wrong.pulumi(&["stack", "output", "--json", "--show-secrets", "--stack", "dev"]).fails();
}
