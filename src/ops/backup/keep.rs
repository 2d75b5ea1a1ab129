//! Which backups stay: by count, by age, and always the newest that was found whole.

use std::collections::BTreeSet;

use super::name;
use super::place::Place;
use crate::app::App;
use crate::clock;
use crate::error::Error;
use crate::pace::Pace;
use crate::store;

/// Deletes what the settings do not want kept; the names of what went.
pub fn delete_old(app: &App, place: &Place, pace: &mut Pace) -> Result<Vec<String>, Error> {
    let settings = &app.config.backup;
    if settings.n_keep.is_none() && settings.keep_secs.is_none() {
        return Ok(Vec::new());
    }
    let recorded = app.store.read(|conn| store::backup::list(conn, Some(&place.to_string())))?;
    let good = recorded.iter().filter(|backup| backup.verified_at_unix.is_some() && backup.problem.is_none());
    let good = good.map(|backup| backup.name.as_str()).collect();
    let names: Vec<String> = place.list()?.into_iter().map(|listed| listed.name).collect();
    let oldest =
        settings.keep_secs.map(|secs| clock::date_time(app.now_unix() - secs).replace(['-', ':'], ""));
    let old = old(&names, &good, settings.n_keep, oldest.as_deref());
    for name in &old {
        place.delete(name, pace)?;
    }
    super::forget(app, place, &old)?;
    Ok(old)
}

/// The names that go. `names` newest first, `good` those that were found whole, `oldest` the time of the oldest to stay.
pub fn old(
    names: &[String],
    good: &BTreeSet<&str>,
    n_keep: Option<usize>,
    oldest: Option<&str>,
) -> Vec<String> {
    let newest_good = names.iter().find(|name| good.contains(name.as_str()));
    // Until one was found whole, nobody knows which one will be needed.
    let Some(newest_good) = newest_good else { return Vec::new() };
    let is_old = |(n, name): (usize, &String)| {
        let is_too_many = n_keep.is_some_and(|n_keep| n >= n_keep);
        is_too_many || oldest.is_some_and(|oldest| name::time_of(name).is_some_and(|time| time < oldest))
    };
    let all = names.iter().enumerate();
    all.filter(|(n, name)| is_old((*n, name)) && *name != newest_good).map(|(_, name)| name.clone()).collect()
}
