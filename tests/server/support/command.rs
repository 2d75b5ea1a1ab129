//! Commands of the binary, run on the data of a folder as a person would run them.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a command ended.
pub struct Done {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs the binary in `folder`, on its database `pulumi-backend.db`.
pub fn run(folder: &Path, arguments: &[&str]) -> Done {
    run_with(folder, arguments, &[])
}

/// As `run`, with variables of the environment.
pub fn run_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_pulumi-backend"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(std::env::vars().filter(|(name, _)| !name.starts_with("PULUMI_")))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("run the binary");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Done { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

impl Done {
    /// The output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "out:\n{}err:\n{}", self.out, self.err);
        self.out
    }

    /// As `ok`, read as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in:\n{out}"))
    }

    /// What a command said that must have failed with this exit code.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "out:\n{}err:\n{}", self.out, self.err);
        self.err
    }
}
