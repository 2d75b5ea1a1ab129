//! A project folder with its program, and the CLI run inside it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::http;
use crate::support::run::{Run, Running};
use crate::support::state::State;
use crate::support::tools::Tools;
use crate::support::world::World;

/// All the variables that a CLI sees; nothing is inherited from whoever runs the tests.
#[derive(Clone)]
pub struct Environment {
    pulumi: PathBuf,
    provider: PathBuf,
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// A user with a token, whose home is `home` and whose backend is at `url`.
    pub fn new(tools: &Tools, home: &Path, url: &str) -> Environment {
        let variables = BTreeMap::from([
            ("PATH".into(), tools.path.clone()),
            ("HOME".into(), home.into()),
            ("PULUMI_HOME".into(), home.join("pulumi-home").into()),
            ("PULUMI_BACKEND_URL".into(), url.into()),
            ("PULUMI_ACCESS_TOKEN".into(), "pul-0123456789abcdef".into()),
            ("PULUMI_SKIP_UPDATE_CHECK".into(), "true".into()),
            ("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION".into(), "true".into()),
            // A run is over before it would be worth to collect any garbage: a fifth of its processor time.
            ("GOGC".into(), "off".into()),
            ("GOMEMLIMIT".into(), "1GiB".into()),
        ]);
        Environment { pulumi: tools.pulumi.clone(), provider: tools.provider.clone(), variables }
    }

    /// The same with one more variable, or another value for it.
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Environment {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The same without a variable.
    pub fn without(mut self, name: &str) -> Environment {
        self.variables.remove(&OsString::from(name));
        self
    }
}

/// A folder with a `Pulumi.yaml`. Clones are the same folder; only their environments may differ.
#[derive(Clone)]
pub struct Project {
    name: String,
    folder: PathBuf,
    environment: Environment,
    /// The things that the project's programs make.
    pub world: World,
}

impl Project {
    /// Makes the folder under `home`, with an empty program and a world of its own.
    pub fn create(home: &Path, name: &str, environment: Environment) -> Project {
        let folder = home.join("projects").join(name);
        fs::create_dir_all(&folder).expect("make the project's folder");
        let world = World::create(home.join("worlds").join(name));
        let environment = environment.with("WORLD_DIR", world.folder());
        let project = Project { name: name.to_string(), folder, environment, world };
        project.write_program("");
        project
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The user's home folder.
    pub fn home(&self) -> &Path {
        self.folder.ancestors().nth(2).expect("a project is two folders deep in the home")
    }

    /// The same project, with a variable more for the CLI.
    pub fn with(&self, variable: &str, value: impl Into<OsString>) -> Project {
        Project { environment: self.environment.clone().with(variable, value), ..self.clone() }
    }

    /// The same project, without a variable for the CLI.
    pub fn without(&self, variable: &str) -> Project {
        Project { environment: self.environment.clone().without(variable), ..self.clone() }
    }

    /// The same project, with another CLI.
    pub fn with_cli(&self, pulumi: &Path) -> Project {
        let environment = Environment { pulumi: pulumi.to_path_buf(), ..self.environment.clone() };
        Project { environment, ..self.clone() }
    }

    /// Writes the program: what stands in `Pulumi.yaml` under the project's name (`resources:`, `outputs:`, …).
    pub fn write_program(&self, body: &str) {
        let plugins =
            format!("plugins: {{ providers: [{{ name: world, path: {:?} }}] }}", self.environment.provider);
        let text = format!("name: {}\nruntime: yaml\n{plugins}\n{body}\n", self.name);
        fs::write(self.folder.join("Pulumi.yaml"), text).expect("write the program");
    }

    /// A file of the project folder, as `Pulumi.dev.yaml`; `None` where it is not there.
    pub fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// Runs the CLI and waits for its end.
    #[track_caller]
    pub fn pulumi(&self, args: &[&str]) -> Run {
        self.spawn(args).wait()
    }

    /// Starts the CLI in the background.
    pub fn spawn(&self, args: &[&str]) -> Running {
        self.spawn_with_input(args, "")
    }

    /// Runs the CLI, which finds `input` on its standard input, and waits for its end.
    #[track_caller]
    pub fn pulumi_with_input(&self, args: &[&str], input: &str) -> Run {
        self.spawn_with_input(args, input).wait()
    }

    /// Runs another program as the CLI would be run, and waits for its end.
    #[track_caller]
    pub fn program(&self, program: &Path, args: &[&str]) -> Run {
        Running::start(self.command(program).args(args), "").wait()
    }

    fn spawn_with_input(&self, args: &[&str], input: &str) -> Running {
        let mut command = self.command(&self.environment.pulumi);
        Running::start(command.args(args).args(["--non-interactive", "--color", "never"]), input)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env_clear().envs(&self.environment.variables);
        command
    }

    /// Runs `pulumi up` without the preview in front of it.
    #[track_caller]
    pub fn up(&self) -> Run {
        self.pulumi(&["up", "--yes", "--skip-preview"])
    }

    /// Starts `pulumi up` in the background, without the preview in front of it.
    pub fn spawn_up(&self) -> Running {
        self.spawn(&["up", "--yes", "--skip-preview"])
    }

    /// The program and the state agree, and the world with them: `up` has nothing to do.
    #[track_caller]
    pub fn expect_no_changes(&self) {
        self.pulumi(&["up", "--yes", "--skip-preview", "--expect-no-changes"]).ok();
    }

    /// The state of the selected stack; it must be one that the engine can work with.
    ///
    /// Where the backend is a server it is asked directly, which is what the CLI would do in half a second.
    #[track_caller]
    pub fn export(&self) -> State {
        let url = self.environment.variables.get(OsStr::new("PULUMI_BACKEND_URL")).and_then(|it| it.to_str());
        let found = url.and_then(|url| Some((url.strip_prefix("http://")?, self.selected_at(url)?)));
        let Some((address, stack)) = found else { return self.export_with(&[]) };
        let state = State(http::get(address, &format!("/api/stacks/{stack}/export")));
        state.check();
        state
    }

    /// The stack that the CLI has noted as the one to work with on this backend, as `acme/web/dev`.
    fn selected_at(&self, url: &str) -> Option<String> {
        let notes = fs::read_dir(self.home().join("pulumi-home/workspaces")).ok()?;
        let mut files = notes.map(|note| note.expect("list the CLI's notes"));
        let own =
            files.find(|file| file.file_name().to_string_lossy().starts_with(&format!("{}-", self.name)))?;
        let note: Value = serde_json::from_slice(&fs::read(own.path()).ok()?).ok()?;
        let stack = note["stacks"][url].as_str()?;
        (stack.split('/').count() == 3).then(|| stack.to_string())
    }

    /// What `pulumi stack export` prints, with more arguments, as `--version 3`.
    #[track_caller]
    pub fn export_with(&self, args: &[&str]) -> State {
        let all: Vec<&str> = ["stack", "export"].into_iter().chain(args.iter().copied()).collect();
        let state = State(self.pulumi(&all).ok().json());
        state.check();
        state
    }
}
