//! A place to work in: a backend, and a home folder for the CLI with the projects in it.

use std::fs;

use crate::process::{ServerProcess, TempDir};
use crate::support::project::{Environment, Project};
use crate::support::tools::tools;

/// The organization of the server's open mode; every user is in it.
pub const ORGANIZATION: &str = "organization";

/// What the CLI says when another update has the stack. The Automation API's SDKs look for this very text.
pub const LOCKED: &str = "[409] Conflict: Another update is currently in progress.";

/// Arguments for a server that lets CLIs that do not journal save states of any size as text differences.
pub const WITH_DELTAS: [&str; 4] = ["--delta-checkpoints", "on", "--delta-cutoff", "0"];

/// One server of its own, and a home folder for the CLI.
pub struct Site {
    /// The server, to be killed and started again.
    pub server: ServerProcess,
    home: TempDir,
}

impl Site {
    /// A new server with no stacks. `None`, after a loud line, where there is no CLI to drive.
    pub fn start() -> Option<Site> {
        Site::start_with(&[])
    }

    /// As `start`, with arguments for the server.
    pub fn start_with(args: &[&str]) -> Option<Site> {
        tools()?;
        Some(Site { server: ServerProcess::start(args), home: TempDir::new("cli") })
    }

    /// A project folder without a program and without a stack.
    pub fn project(&self, name: &str) -> Project {
        let tools = tools().expect("the site has started");
        Project::create(self.home.path(), name, Environment::new(tools, self.home.path(), &self.server.url()))
    }

    /// A project with a new stack, which is selected.
    #[track_caller]
    pub fn stack(&self, project: &str, stack: &str) -> Project {
        let project = self.project(project);
        project.pulumi(&["stack", "init", stack]).ok();
        project
    }
}

/// The CLI's own backend in a folder: what it makes of a program is the model for what ours must make.
pub struct FolderSite {
    home: TempDir,
}

impl FolderSite {
    /// A folder without stacks. `None`, after a loud line, where there is no CLI to drive.
    pub fn start() -> Option<FolderSite> {
        tools()?;
        let home = TempDir::new("cli-folder");
        fs::create_dir_all(home.path().join("backend")).expect("make the backend's folder");
        Some(FolderSite { home })
    }

    /// `file://…`.
    pub fn url(&self) -> String {
        format!("file://{}", self.home.path().join("backend").display())
    }

    /// As `Site::stack`; its secrets are sealed with a passphrase.
    #[track_caller]
    pub fn stack(&self, project: &str, stack: &str) -> Project {
        let tools = tools().expect("the site has started");
        let environment = Environment::new(tools, self.home.path(), &self.url())
            .with("PULUMI_CONFIG_PASSPHRASE", "correct horse");
        let project = Project::create(self.home.path(), project, environment);
        project.pulumi(&["stack", "init", stack]).ok();
        project
    }
}
