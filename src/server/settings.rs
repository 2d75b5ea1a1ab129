//! What has changed in the settings since the last start: who weakens something leaves a record of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::App;
use crate::domain::read;
use crate::error::Error;
use crate::limits;
use crate::store::meta::{self, SETTINGS, SetSettings};

type Settings = BTreeMap<String, String>;

/// Records which settings are not those of the last start, in the commit that remembers the new ones.
pub fn record_changes(app: &App) -> Result<(), Error> {
    let stored = app.store.read(|conn| meta::find(conn, SETTINGS))?;
    // What cannot be read is as good as none: everything counts as changed.
    let before: Settings = stored.and_then(|json| read::from_bytes(&json).ok()).unwrap_or_default();
    let mut now = app.config.shown.clone();
    if let (Some(token), Some(shown)) = (&app.single_token, now.get_mut("single-tenant-token")) {
        // Another token is a change too; its hash is keyed, so that it cannot be guessed.
        *shown = crate::crypto::hex(&app.audit_key.hash(&[&token.0])[..8]);
    }
    if before == now {
        return Ok(());
    }
    let mut event = app.own_event("config.change", "settings");
    event.detail = told(&before, &now).chars().take(limits::AUDIT_DETAIL_CHARS_MAX).collect();
    let settings =
        serde_json::to_vec(&now).map_err(|cause| Error::internal("remember the settings", cause))?;
    app.write_recorded(SetSettings { settings }, event)
}

/// `name: before → now`, with `default` for what is not set.
fn told(before: &Settings, now: &Settings) -> String {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
    let line = |name: &String| match name.as_str() {
        "single-tenant-token" | "master-key" => format!("{name}: changed"),
        _ => {
            let text = |settings: &Settings| settings.get(name).map_or("default".into(), String::clone);
            format!("{name}: {} → {}", text(before), text(now))
        }
    };
    changed.map(line).collect::<Vec<_>>().join("; ")
}
