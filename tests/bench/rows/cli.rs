//! The real `pulumi`: how much of what a person waits for is the server's. It is measured against a server that
//! answers at once and stores nothing, with the same commands on the same states, in turns.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::figures::{Figures, percentile};
use crate::floor::Work;
use crate::null::NullServer;
use crate::process::TempDir;
use crate::stack::Stack;
use crate::target::Target;

const N_ROUNDS: usize = 3;
const STEPS: [&str; 4] = ["create", "no-op", "add 2", "destroy"];

/// Creates `n_resources`, runs again without changes, adds two, destroys all.
pub fn run(target: &Target, figures: &mut Figures, n_resources: usize) {
    if !target.is_ours() {
        figures.notes.push("the CLI is only run against our own server".into());
        return;
    }
    let null = NullServer::start();
    let mut steps: [[Vec<Duration>; 2]; 4] = Default::default();
    figures.begin(target);
    for _ in 0..N_ROUNDS {
        let mut exports = Vec::new();
        let mut project = Project::new(target);
        for (n, [ours, _]) in steps.iter_mut().enumerate() {
            exports.push(project.export());
            ours.push(project.run(n, n_resources, &format!("http://{}", target.address)));
        }
        assert_eq!(project.n_resources(), 0, "resources after destroy");
        for (n, [_, idle]) in steps.iter_mut().enumerate() {
            null.set_export(&exports[n]);
            idle.push(project.run(n, n_resources, &null.url()));
        }
    }
    figures.end(target, N_ROUNDS);
    report(figures, &steps);
}

fn report(figures: &mut Figures, steps: &[[Vec<Duration>; 2]; 4]) {
    let median = |times: &[Duration]| percentile(times, 0.5).expect("measured");
    for (name, [ours, idle]) in STEPS.iter().zip(steps) {
        let (ours, idle) = (median(ours).as_secs_f64(), median(idle).as_secs_f64());
        figures.notes.push(format!("{name} {ours:.2} s {:+.1} %", (ours / idle - 1.0) * 100.0));
    }
    let rounds = (0..N_ROUNDS).map(|round| steps.iter().map(|[ours, _]| ours[round]).sum::<Duration>());
    figures.times.extend(rounds);
    figures.work = Work { measured: steps.iter().map(|[_, idle]| median(idle)).sum(), ..Work::default() };
}

/// A project folder, a stack in it, and a home for the CLI.
struct Project<'t> {
    dir: TempDir,
    stack: Stack<'t>,
}

impl<'t> Project<'t> {
    fn new(target: &'t Target) -> Project<'t> {
        let project = Project { dir: TempDir::new("cli"), stack: Stack::create(target) };
        fs::create_dir(project.path("project")).expect("make the project's folder");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The state as the server gives it.
    fn export(&mut self) -> String {
        let request = self.stack.get("export");
        self.stack.client.call(&request).text()
    }

    fn n_resources(&mut self) -> usize {
        let export: serde_json::Value = serde_json::from_str(&self.export()).expect("JSON");
        export["deployment"]["resources"].as_array().map_or(0, Vec::len)
    }

    /// Runs the command of step `n` and says how long it took.
    fn run(&self, n: usize, n_resources: usize, url: &str) -> Duration {
        let n_stashes = n_resources + if n >= 2 { 2 } else { 0 };
        self.write_program(n_stashes);
        let name = format!("{}/bench/{}", self.stack.target.org, self.stack.name);
        let command = if STEPS[n] == "destroy" { "destroy" } else { "up" };
        let mut pulumi = Command::new("pulumi");
        pulumi.args([
            command,
            "--yes",
            "--skip-preview",
            "--non-interactive",
            "--color",
            "never",
            "--stack",
            &name,
        ]);
        pulumi.current_dir(self.path("project")).stdin(Stdio::null());
        pulumi.env_clear().envs(std::env::vars().filter(|(name, _)| !name.starts_with("PULUMI_")));
        pulumi.env("PULUMI_HOME", self.path("home")).env("PULUMI_BACKEND_URL", url);
        pulumi.env("PULUMI_ACCESS_TOKEN", "pul-bench").env("PULUMI_CONFIG_PASSPHRASE", "bench");
        pulumi
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true");
        let started = Instant::now();
        let run = pulumi.output().unwrap_or_else(|why| panic!("this row needs `pulumi` on PATH: {why}"));
        let elapsed = started.elapsed();
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{} failed against {url}:\n{out}{err}", STEPS[n]);
        elapsed
    }

    fn write_program(&self, n_stashes: usize) {
        let stash =
            |i| format!("  s{i}: {{ type: pulumi:index:Stash, properties: {{ input: 'value {i}' }} }}\n");
        let stashes: String = (0..n_stashes).map(stash).collect();
        let program = format!("name: bench\nruntime: yaml\nresources:\n{stashes}");
        fs::write(self.path("project").join("Pulumi.yaml"), program).expect("write the program");
        let config = self.path("project").join(format!("Pulumi.{}.yaml", self.stack.name));
        if !config.exists() {
            fs::write(config, CONFIG).expect("write the stack's configuration");
        }
    }
}

/// The CLI itself keeps the secrets, by a passphrase: the state then names no server, so both can serve it.
const CONFIG: &str = "secretsprovider: passphrase\n";
