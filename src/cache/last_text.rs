//! The text of a running update's last checkpoint, as it came.

use std::ops::Range;
use std::sync::Arc;

/// What is kept in memory of a checkpoint while its update runs.
pub struct LastText {
    /// Where it is stored.
    pub deployment_id: i64,
    /// The body in which it came.
    pub body: String,
    /// Where its document stands in that, if it stands there in one piece.
    pub document: Option<Range<usize>>,
    /// Where its first resource starts in that.
    pub resources_start: usize,
}

impl LastText {
    /// Bytes of one that is kept, or not.
    pub fn n_bytes(last: &Option<Arc<LastText>>) -> usize {
        last.as_ref().map_or(1, |last| last.body.len())
    }
}
