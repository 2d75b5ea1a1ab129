//! The life of an update: its kind, its status while it is polled, its result in the history, and its lease.

use crate::error::Error;

/// What an update does. Source: sdk/go/common/apitype/updates.go, `UpdateKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdateKind {
    /// Shows what an update would do; takes no lock and leaves no trace.
    Preview,
    /// `up`.
    Update,
    /// Reads the world into the state.
    Refresh,
    /// Deletes all resources.
    Destroy,
    /// A deployment was put in the place of the stack's.
    Import,
    /// Existing resources were taken in.
    ResourceImport,
    /// The stack was renamed.
    Rename,
}

impl UpdateKind {
    const TEXTS: [(UpdateKind, &'static str); 7] = [
        (UpdateKind::Preview, "preview"),
        (UpdateKind::Update, "update"),
        (UpdateKind::Refresh, "refresh"),
        (UpdateKind::Destroy, "destroy"),
        (UpdateKind::Import, "import"),
        (UpdateKind::ResourceImport, "resource-import"),
        (UpdateKind::Rename, "rename"),
    ];

    /// The kind of that name.
    pub fn parse(text: &str) -> Result<UpdateKind, Error> {
        parse(&UpdateKind::TEXTS, "kind", text)
    }

    /// Its name, in the history and in paths.
    pub fn as_str(self) -> &'static str {
        name(&UpdateKind::TEXTS, self)
    }
}

/// How an update stands, for someone who polls it. Source: sdk/go/common/apitype/updates.go, `UpdateStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdateStatus {
    /// Created.
    NotStarted,
    /// Waits for its turn.
    Requested,
    /// Has the stack.
    Running,
    /// Ended, and not well.
    Failed,
    /// Ended well.
    Succeeded,
    /// Was ended by someone else.
    Cancelled,
}

impl UpdateStatus {
    const TEXTS: [(UpdateStatus, &'static str); 6] = [
        (UpdateStatus::NotStarted, "not started"),
        (UpdateStatus::Requested, "requested"),
        (UpdateStatus::Running, "running"),
        (UpdateStatus::Failed, "failed"),
        (UpdateStatus::Succeeded, "succeeded"),
        (UpdateStatus::Cancelled, "cancelled"),
    ];

    /// The status of that name.
    pub fn parse(text: &str) -> Result<UpdateStatus, Error> {
        parse(&UpdateStatus::TEXTS, "status", text)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        name(&UpdateStatus::TEXTS, self)
    }

    /// True once nothing more can come.
    pub fn is_ended(self) -> bool {
        matches!(self, UpdateStatus::Failed | UpdateStatus::Succeeded | UpdateStatus::Cancelled)
    }

    /// What the history says of it.
    pub fn result(self) -> UpdateResult {
        match self {
            UpdateStatus::NotStarted | UpdateStatus::Requested => UpdateResult::NotStarted,
            UpdateStatus::Running => UpdateResult::InProgress,
            UpdateStatus::Succeeded => UpdateResult::Succeeded,
            UpdateStatus::Failed | UpdateStatus::Cancelled => UpdateResult::Failed,
        }
    }
}

/// How an update stands in the history. Source: sdk/go/common/apitype/history.go, `UpdateResult`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdateResult {
    /// Created.
    NotStarted,
    /// Has the stack.
    InProgress,
    /// Ended well.
    Succeeded,
    /// Ended in any other way.
    Failed,
}

impl UpdateResult {
    const TEXTS: [(UpdateResult, &'static str); 4] = [
        (UpdateResult::NotStarted, "not-started"),
        (UpdateResult::InProgress, "in-progress"),
        (UpdateResult::Succeeded, "succeeded"),
        (UpdateResult::Failed, "failed"),
    ];

    /// The result of that name.
    pub fn parse(text: &str) -> Result<UpdateResult, Error> {
        parse(&UpdateResult::TEXTS, "result", text)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        name(&UpdateResult::TEXTS, self)
    }
}

fn parse<T: Copy>(texts: &[(T, &'static str)], field: &str, text: &str) -> Result<T, Error> {
    let found = texts.iter().find(|(_, known)| *known == text).map(|(value, _)| *value);
    found.ok_or_else(|| {
        let known: Vec<&str> = texts.iter().map(|(_, known)| *known).collect();
        Error::invalid(field, format!("is '{text}', and must be one of: {}", known.join(", ")))
    })
}

fn name<T: Copy + PartialEq>(texts: &[(T, &'static str)], value: T) -> &'static str {
    texts.iter().find(|(known, _)| *known == value).map(|(_, text)| *text).expect("every value has a name")
}

/// The right to write one update until a time. It only ever gets longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    expires_at_unix: i64,
}

impl Lease {
    /// A lease until then.
    pub fn new(expires_at_unix: i64) -> Lease {
        Lease { expires_at_unix }
    }

    /// When it runs out, without the grace.
    pub fn expires_at_unix(self) -> i64 {
        self.expires_at_unix
    }

    /// The lease after a renewal: `duration_secs` from now, or as it is if that is longer.
    ///
    /// A clock that went back, and a renewal that overtakes another, shorten nothing.
    #[must_use]
    pub fn renewed(self, now_unix: i64, duration_secs: i64) -> Lease {
        Lease { expires_at_unix: self.expires_at_unix.max(now_unix.saturating_add(duration_secs)) }
    }

    /// True until it has run out and `grace_secs` have passed since: the CLI's clock starts a little later than ours.
    pub fn is_live(self, now_unix: i64, grace_secs: i64) -> bool {
        now_unix < self.expires_at_unix.saturating_add(grace_secs)
    }
}
