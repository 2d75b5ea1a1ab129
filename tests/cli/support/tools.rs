//! The programs a test drives: the real `pulumi`, its YAML language host, and the provider of things.
//!
//! They come from `PULUMI_CLI` or from `PATH`. Where there is no CLI, Go builds it once from the module proxy,
//! at the versions in `tests/cli/*/go.mod`, into `target/pulumi-cli/`. The provider is always built from here.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The version that a built CLI says it is; the same stands in `tests/cli/pulumi/go.mod`.
const CLI_VERSION: &str = "v3.259.0";

/// Where the programs are.
pub struct Tools {
    /// The CLI itself.
    pub pulumi: PathBuf,
    /// The folder with the provider of things.
    pub provider: PathBuf,
    /// A `PATH` on which the CLI finds its language host.
    pub path: OsString,
}

/// The programs, or `None` after a loud line that says why there are none.
///
/// With `CI=true` a missing program fails the test: there, nothing may be left out.
pub fn tools() -> Option<&'static Tools> {
    static TOOLS: OnceLock<Result<Tools, String>> = OnceLock::new();
    match TOOLS.get_or_init(find_or_build) {
        Ok(tools) => Some(tools),
        Err(why) => {
            let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!is_ci, "the CLI tests cannot run: {why}");
            say(&format!("A CLI TEST DID NOT RUN: {why}"));
            None
        }
    }
}

/// Another version of the CLI, as `v3.150.0`, built once into a folder of its own under `target/pulumi-cli/`.
///
/// Its modules are chosen by Go when it is built, and checked against Go's public log of checksums: only the
/// version of Pulumi itself is named here. It uses the YAML host and the provider of `tools`.
pub fn build_version(version: &str) -> Result<PathBuf, String> {
    let folder = output_folder().join(version);
    let binary = folder.join("pulumi");
    if binary.is_file() {
        return Ok(binary);
    }
    say(&format!("building the Pulumi CLI {version} from its Go modules, once, into {}", folder.display()));
    let go_mod = format!(
        "module pulumi-backend/target/pulumi-cli

go 1.25

require (
\tgithub.com/pulumi/pulumi/pkg/v3 {version}
\tgithub.com/pulumi/pulumi/sdk/v3 {version}
)

replace github.com/atotto/clipboard => github.com/tgummerer/clipboard v0.0.0-20241001131231-d02d263e614e
"
    );
    let tools_go = format!("//go:build tools\n\npackage tools\n\nimport _ \"{}\"\n", PULUMI.package);
    let written = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join("go.mod"), go_mod))
        .and_then(|()| fs::write(folder.join("tools.go"), tools_go));
    written.map_err(|error| format!("write into {}: {error}", folder.display()))?;
    let draft = folder.join(format!("pulumi.{}", std::process::id()));
    go(&["mod", "tidy"], &folder)?;
    go(
        &["build", "-ldflags", &linker_flags(version), "-o", &draft.to_string_lossy(), PULUMI.package],
        &folder,
    )?;
    fs::rename(&draft, &binary).map_err(|error| format!("rename {}: {error}", draft.display()))?;
    Ok(binary)
}

/// The program that drives stacks through the Automation API for Go (`tests/cli/automation`), built once.
pub fn automation() -> Result<&'static Path, &'static str> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build(&AUTOMATION)).as_deref().map_err(String::as_str)
}

/// Prints a line past the capture of the test harness: it is for whoever watches, also when all is well.
pub fn say(line: &str) {
    // Nobody may be listening, and then there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A module of ours, and the command that is built from it.
struct GoTool {
    /// The folder under `tests/cli/` with the go.mod.
    module: &'static str,
    package: &'static str,
    binary: &'static str,
    what: &'static str,
}

const PULUMI: GoTool = GoTool {
    module: "pulumi",
    package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    binary: "pulumi",
    what: "the Pulumi CLI (about ten minutes on two cores)",
};

const LANGUAGE_YAML: GoTool = GoTool {
    module: "yaml",
    package: "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
    binary: "pulumi-language-yaml",
    what: "the YAML language host (about a minute)",
};

const PROVIDER: GoTool = GoTool {
    module: "provider",
    package: ".",
    binary: "pulumi-resource-world",
    what: "the provider of things (about a minute)",
};

const AUTOMATION: GoTool = GoTool {
    module: "automation",
    package: ".",
    binary: "automation",
    what: "the program with the Automation API (about a minute)",
};

fn find_or_build() -> Result<Tools, String> {
    let found = find_cli()?;
    let has_yaml = |pulumi: &PathBuf| folder_of(pulumi).join(LANGUAGE_YAML.binary).is_file();
    let mut folders = Vec::new();
    if !found.as_ref().is_some_and(has_yaml) && (found.is_none() || on_path(LANGUAGE_YAML.binary).is_none()) {
        folders.push(folder_of(&build(&LANGUAGE_YAML)?));
    }
    let pulumi = match found {
        Some(pulumi) => pulumi,
        None => build(&PULUMI)?,
    };
    folders.push(folder_of(&pulumi));
    let provider = folder_of(&build(&PROVIDER)?);
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path =
        std::env::join_paths(folders).map_err(|error| format!("PATH cannot be put together: {error}"))?;
    Ok(Tools { pulumi, provider, path })
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().expect("a file is in a folder").to_path_buf()
}

/// The CLI that `PULUMI_CLI` names, else the one on `PATH`.
fn find_cli() -> Result<Option<PathBuf>, String> {
    if let Some(named) = std::env::var_os("PULUMI_CLI").map(PathBuf::from) {
        return match named.is_file() {
            true => Ok(Some(named)),
            false => Err(format!("PULUMI_CLI names {}, which is not a file", named.display())),
        };
    }
    Ok(on_path(PULUMI.binary))
}

fn on_path(binary: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(binary)).find(|file| file.is_file())
}

/// Builds a tool unless it was built from the same files before, and returns where it is.
///
/// The binary appears under its name when it is whole, so a second build at the same time does no harm.
fn build(tool: &GoTool) -> Result<PathBuf, String> {
    let folder = output_folder();
    let binary = folder.join(tool.binary);
    let inputs = inputs_of(tool);
    let inputs_file = folder.join(format!("{}.inputs", tool.binary));
    let is_current = fs::read_to_string(&inputs_file).is_ok_and(|built_from| built_from == inputs);
    if is_current && binary.is_file() {
        return Ok(binary);
    }
    say(&format!("building {} from its Go modules, once, into {}", tool.what, folder.display()));
    let draft = folder.join(format!("{}.{}", tool.binary, std::process::id()));
    let args =
        ["build", "-ldflags", &linker_flags(CLI_VERSION), "-o", &draft.to_string_lossy(), tool.package];
    go(&args, &module_folder(tool))?;
    fs::rename(&draft, &binary).map_err(|error| format!("rename {}: {error}", draft.display()))?;
    fs::write(&inputs_file, inputs).map_err(|error| format!("write {}: {error}", inputs_file.display()))?;
    Ok(binary)
}

/// What tells a binary which version it is.
fn linker_flags(version: &str) -> String {
    format!("-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}")
}

fn go(args: &[&str], folder: &Path) -> Result<(), String> {
    let command = format!("go {} in {}", args.join(" "), folder.display());
    let result = Command::new("go").args(args).current_dir(folder).output();
    let result = result.map_err(|error| format!("Go (1.25 or newer) is needed for {command}: {error}"))?;
    match result.status.success() {
        true => Ok(()),
        false => Err(format!("{command} failed:\n{}", String::from_utf8_lossy(&result.stderr))),
    }
}

/// Everything of ours that decides what is built, as one text.
fn inputs_of(tool: &GoTool) -> String {
    let mut files: Vec<PathBuf> = fs::read_dir(module_folder(tool))
        .expect("list the module's folder")
        .map(|entry| entry.expect("list the module's folder").path())
        .collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("read a file of the module"));
    texts.fold(format!("{CLI_VERSION}\n"), |all, text| all + &text)
}

fn module_folder(tool: &GoTool) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(tool.module)
}

/// `target/pulumi-cli`, in whichever target folder this build uses.
fn output_folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp is inside the target folder");
    let folder = target.join("pulumi-cli");
    fs::create_dir_all(&folder).expect("make the folder for the built tools");
    folder
}
