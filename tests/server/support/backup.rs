//! Backups that are asked for by calls: begun, and waited for.

use super::http::Response;
use super::server::TestServer;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

impl TestServer {
    /// Begins a backup and waits for its end; what is told of it.
    #[track_caller]
    pub fn back_up(&self) -> Value {
        let begun = self.post("/api/admin/backup", &json!({}));
        end_of(begun, |path| self.get(path))
    }

    /// Asks after a backup until it is as it should be.
    #[track_caller]
    pub fn wait_for_backup(&self, begun: &Response, is_right: impl Fn(&Value) -> bool) -> Value {
        wait_until(begun.header("Location").expect("a place to ask"), |path| self.get(path), is_right)
    }
}

/// The end of a backup that `begun` is the answer of; `get` asks.
#[track_caller]
pub fn end_of(begun: Response, get: impl Fn(&str) -> Response) -> Value {
    let begun = begun.expect(&[202]);
    wait_until(begun.header("Location").expect("a place to ask"), get, |backup| backup["status"] != "running")
}

#[track_caller]
fn wait_until(path: &str, get: impl Fn(&str) -> Response, is_right: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let backup = get(path).ok().json();
        if is_right(&backup) {
            return backup;
        }
        assert!(Instant::now() < deadline, "it stays so: {backup}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
