//! The folder in which the provider of things keeps them: what exists, beside what a state says.
//!
//! The layout is the provider's, see `tests/cli/provider/main.go`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long an operation may take to be reached before the test fails.
const PATIENCE: Duration = Duration::from_secs(150);

/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// All things of one project. Operations are named as in `create web`.
#[derive(Clone)]
pub struct World(PathBuf);

impl World {
    /// An empty world.
    pub fn create(folder: PathBuf) -> World {
        for part in ["things", "control", "inside"] {
            fs::create_dir_all(folder.join(part)).expect("make the world's folders");
        }
        World(folder)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The names of all things that exist, sorted; two things may have the same name.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.ids().iter().map(|id| name_of(id).to_string()).collect();
        names.sort();
        names
    }

    /// The properties of the only thing with this name.
    #[track_caller]
    pub fn thing(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file_of(name)).expect("read a thing")).expect("a thing is JSON")
    }

    /// The id of the only thing with this name.
    #[track_caller]
    pub fn id(&self, name: &str) -> String {
        let ids: Vec<String> = self.ids().into_iter().filter(|id| name_of(id) == name).collect();
        assert_eq!(ids.len(), 1, "things named {name:?} among {:?}", self.ids());
        ids[0].clone()
    }

    /// Changes a thing behind the CLI's back.
    pub fn set_value(&self, name: &str, value: &str) {
        let mut thing = self.thing(name);
        thing["value"] = value.into();
        fs::write(self.file_of(name), thing.to_string()).expect("write a thing");
    }

    /// Puts a thing into the world that no program made, and returns its id.
    pub fn add(&self, name: &str, value: &str) -> String {
        let id = format!("{name}-found");
        let thing = serde_json::json!({ "name": name, "value": value });
        fs::write(self.0.join(format!("things/{id}.json")), thing.to_string()).expect("write a thing");
        id
    }

    /// Takes a thing away behind the CLI's back.
    pub fn lose(&self, name: &str) {
        fs::remove_file(self.file_of(name)).expect("remove a thing");
    }

    /// The operation fails from now on, before it does anything.
    pub fn fail(&self, operation: &str) {
        self.control("fail", operation, "");
    }

    /// The operation is done from now on, but reported as not initialized.
    pub fn fail_partly(&self, operation: &str) {
        self.control("partial", operation, "");
    }

    /// The operation waits from now on, before it does anything, also when the engine cancels it.
    pub fn hold(&self, operation: &str) {
        self.control("hang", operation, "");
    }

    /// As `hold`, but the operation fails when the engine cancels it.
    pub fn hold_until_cancelled(&self, operation: &str) {
        self.control("hang", operation, "until cancelled");
    }

    /// The operation waits from now on, after it is done and before it is reported.
    pub fn hold_after(&self, operation: &str) {
        self.control("hang-after", operation, "");
    }

    /// The operation no longer fails or waits; one that waits goes on.
    pub fn allow(&self, operation: &str) {
        for kind in ["fail", "partial", "hang", "hang-after"] {
            // Most of them were never there.
            let _ = fs::remove_file(self.control_file(kind, operation));
        }
    }

    /// Waits until the operation has begun and waits.
    #[track_caller]
    pub fn wait_inside(&self, operation: &str) {
        let marker = self.0.join("inside").join(operation.replacen(' ', "-", 1));
        let deadline = Instant::now() + PATIENCE;
        while !marker.exists() {
            assert!(
                Instant::now() < deadline,
                "{operation:?} was not reached; done so far: {:?}",
                self.log()
            );
            std::thread::sleep(LOOK_AGAIN);
        }
        // Who waits for the same operation again, waits for the next time.
        fs::remove_file(marker).expect("remove the marker");
    }

    /// Every finished operation since `forget`, in order: `create web`. Reads are left out.
    pub fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("log")).unwrap_or_default();
        let lines =
            text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(operation, _)| operation.to_string());
        lines.filter(|operation| !operation.starts_with("read ")).collect()
    }

    /// As `log`, sorted, and empty afterwards: for steps whose order is not fixed.
    pub fn take_log(&self) -> Vec<String> {
        let mut log = self.log();
        log.sort();
        // There is no log before the first operation.
        let _ = fs::remove_file(self.0.join("log"));
        log
    }

    fn ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("things")).expect("list the things");
        let names = entries.map(|entry| entry.expect("list the things").file_name());
        names.filter_map(|name| name.to_str()?.strip_suffix(".json").map(str::to_string)).collect()
    }

    #[track_caller]
    fn file_of(&self, name: &str) -> PathBuf {
        self.0.join(format!("things/{}.json", self.id(name)))
    }

    fn control(&self, kind: &str, operation: &str, text: &str) {
        fs::write(self.control_file(kind, operation), text).expect("write a control file");
    }

    fn control_file(&self, kind: &str, operation: &str) -> PathBuf {
        self.0.join("control").join(format!("{kind}-{}", operation.replacen(' ', "-", 1)))
    }
}

/// An id is the name, a dash and something that makes it unique.
fn name_of(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(name, _)| name)
}
