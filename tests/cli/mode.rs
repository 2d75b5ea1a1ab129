//! The ways of saving state: whichever is used, the state is the one that the CLI itself would have kept.

use crate::support::project::Project;
use crate::support::site::{FolderSite, Site, WITH_DELTAS};

/// Programs in turn: things come, change, are replaced either way, get dependents, go.
const STEPS: [&str; 7] = [
    "resources: { a: { type: world:Thing, properties: { value: one } } }",
    "
resources:
  a: { type: world:Thing, properties: { value: two } }
  b: { type: world:Thing, properties: { generation: '1', value: '${a.value}' } }
  s: { type: pulumi:index:Stash, properties: { input: { fn::secret: hush } } }
outputs: { b: '${b.value}' }",
    "
resources:
  a: { type: world:Thing, properties: { value: two, slot: one } }
  b: { type: world:Thing, properties: { generation: '2', value: '${a.value}' } }
  c: { type: world:Thing, properties: { slot: '${a.slot}' }, options: { parent: '${b}' } }
outputs: { b: '${b.value}' }",
    "
resources:
  a: { type: world:Thing, properties: { value: two, slot: two } }
  b: { type: world:Thing, properties: { generation: '2', value: '${a.value}' } }
  c: { type: world:Thing, properties: { slot: '${a.slot}' }, options: { parent: '${b}', protect: true } }
  d: { type: world:Thing, options: { dependsOn: ['${c}'] } }",
    "
resources:
  a: { type: world:Thing, properties: { value: three, slot: two } }
  b: { type: world:Thing, properties: { generation: '3', value: '${a.value}' } }
  e: { type: world:Thing, properties: { name: c, slot: '${a.slot}' }, options: { parent: '${b}', aliases: [{ name: c }] } }
  d: { type: world:Thing, options: { dependsOn: ['${e}'] } }",
    "resources: { a: { type: world:Thing, properties: { value: three, slot: two } } }",
    "",
];

/// The state after each step, without what differs between two runs: ids and ciphertexts.
fn states(project: &Project) -> Vec<String> {
    let after = |program: &&str| {
        project.write_program(program);
        project.up().ok();
        project.export_with(&[]).comparable()
    };
    let mut states: Vec<String> = STEPS[..5].iter().map(after).collect();
    project.world.set_value("a", "drifted");
    project.world.lose("d");
    project.pulumi(&["refresh", "--yes", "--skip-preview"]).ok();
    states.push(project.export_with(&[]).comparable());
    states.extend(STEPS[5..].iter().map(after));
    states
}

#[test]
fn every_mode_leaves_the_state_that_the_cli_itself_keeps() {
    let (Some(folder), Some(site)) = (FolderSite::start(), Site::start()) else { return };
    let (Some(other_site), Some(delta_site)) = (Site::start(), Site::start_with(&WITH_DELTAS)) else {
        return;
    };
    let stories = [
        ("the CLI itself", folder.stack("web", "dev")),
        ("the journal", site.stack("web", "dev")),
        ("checkpoints", other_site.stack("web", "dev").with("PULUMI_DISABLE_JOURNALING", "true")),
        ("deltas", delta_site.stack("web", "dev").with("PULUMI_DISABLE_JOURNALING", "true")),
    ];
    // All at the same time: the CLI mostly waits.
    let told: Vec<(&str, Vec<String>)> = std::thread::scope(|scope| {
        let threads = stories.map(|(mode, project)| (mode, scope.spawn(move || states(&project))));
        threads.into_iter().map(|(mode, thread)| (mode, thread.join().expect(mode))).collect()
    });
    let expected = &told[0].1;
    assert_eq!(expected.len(), 8);
    for (mode, states) in &told[1..] {
        assert_eq!(states, expected, "with {mode}");
    }
}

/// A state above a megabyte, which is where CLIs may begin to send text differences.
#[test]
fn a_large_state_in_every_mode() {
    let text = "lorem ipsum ".repeat(5000);
    let program = |value: &str| {
        let stash = |i| {
            format!("  s{i}: {{ type: pulumi:index:Stash, properties: {{ input: '{value} {i} {text}' }} }}\n")
        };
        format!("resources:\n{}", (0..20).map(stash).collect::<String>())
    };
    let tell = |disable_journaling: &str, deltas: &str| {
        let Some(site) = Site::start_with(&["--delta-checkpoints", deltas]) else { return };
        let project = site.stack("web", "dev").with("PULUMI_DISABLE_JOURNALING", disable_journaling);
        project.write_program(&program("one"));
        project.up().ok();
        project.write_program(&program("two").replace("two 7 ", "three 7 "));
        project.up().ok();
        let state = project.export();
        assert_eq!(state.names().len(), 20);
        assert_eq!(state.resource("s7")["inputs"]["input"], format!("three 7 {text}"));
        assert_eq!(state.resource("s19")["inputs"]["input"], format!("two 19 {text}"));
    };
    std::thread::scope(|scope| {
        for (disable_journaling, deltas) in [("false", "off"), ("true", "off"), ("true", "on")] {
            let tell = &tell;
            scope.spawn(move || tell(disable_journaling, deltas));
        }
    });
}
