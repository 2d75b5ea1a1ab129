//! Key sets of trusted issuers, fetched from where they publish them and kept for a while in memory.
//!
//! Each is fetched by a thread of its own, one at a time for an address and not again within seconds, so that tokens
//! with made-up keys cause no traffic; nothing is locked meanwhile. An issuer that cannot be reached is believed by
//! its last keys for a day.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use super::tls::Tls;
use super::url::Url;
use super::{Body, Patience, Server};
use crate::clock::date_time;
use crate::crypto::jwt;
use crate::error::Error;
use crate::limits;

/// The key sets of all issuers that publish theirs.
pub struct KeySets {
    ca_file: Option<PathBuf>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    all: Mutex<All>,
    is_changed: Condvar,
}

#[derive(Default)]
struct All {
    by_url: HashMap<String, Known>,
    n_waiting: usize,
}

/// What is known of one address.
#[derive(Default)]
struct Known {
    set: Option<Fetched>,
    tried_unix: Option<i64>,
    is_fetching: bool,
}

/// A key set and for how long it holds.
#[derive(Clone)]
struct Fetched {
    text: Arc<str>,
    at_unix: i64,
    max_age_secs: i64,
}

impl Fetched {
    fn is_fresh(&self, now_unix: i64) -> bool {
        (0..self.max_age_secs).contains(&(now_unix - self.at_unix))
    }

    fn is_of_use(&self, now_unix: i64) -> bool {
        (0..limits::KEY_SET_STALE_SECS.max(self.max_age_secs)).contains(&(now_unix - self.at_unix))
    }
}

impl KeySets {
    /// Servers are checked against the certificates in `ca_file`, or those of the system.
    pub fn new(ca_file: Option<PathBuf>) -> KeySets {
        KeySets { ca_file, shared: Arc::default() }
    }

    /// The keys at this address, fetched if there are none or they are old; none if they cannot be had now.
    ///
    /// Errors: `Busy` if too many wait for keys already.
    pub fn get(&self, url: &str, now_unix: i64) -> Result<Option<Arc<str>>, Error> {
        self.look(url, now_unix, |known| known.is_fresh(now_unix))
    }

    /// As `get`, when a token is signed by none of `seen`: newer keys, if there are some.
    pub fn get_newer(&self, url: &str, seen: &str, now_unix: i64) -> Result<Option<Arc<str>>, Error> {
        let newer = self.look(url, now_unix, |known| *known.text != *seen)?;
        Ok(newer.filter(|text| **text != *seen))
    }

    fn look(
        &self,
        url: &str,
        now_unix: i64,
        is_enough: impl Fn(&Fetched) -> bool,
    ) -> Result<Option<Arc<str>>, Error> {
        let mut all = self.lock();
        if all.by_url.len() > 2 * limits::ISSUERS_MAX {
            // Of issuers that are trusted no more.
            all.by_url.retain(|_, known| known.is_fetching);
        }
        let known = all.by_url.entry(url.to_string()).or_default();
        if let Some(set) = known.set.as_ref().filter(|set| is_enough(set)) {
            return Ok(Some(set.text.clone()));
        }
        let was_tried = |at: i64| (0..limits::KEY_SET_PAUSE_SECS).contains(&(now_unix - at));
        if !known.is_fetching && !known.tried_unix.is_some_and(was_tried) {
            (known.is_fetching, known.tried_unix) = (true, Some(now_unix));
            if let Err(cause) = self.start(url, now_unix) {
                known.is_fetching = false;
                log::error!("the keys at {url} cannot be fetched: {cause}");
            }
        }
        let all = self.wait(all, url)?;
        let set = all.by_url.get(url).and_then(|known| known.set.as_ref());
        Ok(set.filter(|set| set.is_of_use(now_unix)).map(|set| set.text.clone()))
    }

    /// Waits until nothing is fetched from there, and not longer than a fetch may take.
    fn wait<'a>(&'a self, mut all: MutexGuard<'a, All>, url: &str) -> Result<MutexGuard<'a, All>, Error> {
        let is_fetching = |all: &mut All| all.by_url.get(url).is_some_and(|known| known.is_fetching);
        if !is_fetching(&mut all) {
            return Ok(all);
        }
        if all.n_waiting >= limits::KEY_SET_WAITERS_MAX {
            return Err(Error::Busy);
        }
        all.n_waiting += 1;
        let (mut all, _) = self
            .shared
            .is_changed
            .wait_timeout_while(all, FETCH_PATIENCE, is_fetching)
            .expect("no panic under this lock");
        all.n_waiting -= 1;
        Ok(all)
    }

    fn start(&self, url: &str, now_unix: i64) -> std::io::Result<()> {
        let (shared, ca_file, url) = (self.shared.clone(), self.ca_file.clone(), url.to_string());
        let fetch = move || {
            let mut fetching = Fetching { shared, url, set: None };
            match fetch_set(&fetching.url, ca_file, now_unix) {
                Ok(set) => fetching.set = Some(set),
                Err(why) => fetching.shared.tell_failed(&fetching.url, &why, now_unix),
            }
        };
        std::thread::Builder::new().name("key-set".into()).spawn(fetch).map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.shared.all.lock().expect("no panic under this lock")
    }

    /// Fetches a key set once, for a person who waits for the outcome. Errors: `Invalid`, saying why it is no good.
    pub fn try_once(&self, url: &str) -> Result<(), Error> {
        Url::parse("keySetUrl", url)?;
        let no_good =
            |why: String| Error::invalid("keySetUrl", format!("the keys at {url} cannot be used: {why}"));
        fetch_set(url, self.ca_file.clone(), 0).map(drop).map_err(no_good)
    }

    /// Where an issuer says that its keys are. Errors: `Invalid`, saying why it cannot be told.
    ///
    /// Source: OpenID Connect Discovery 1.0, section 4.
    pub fn discover(&self, issuer: &str) -> Result<String, Error> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let wrong = |why: String| Error::invalid("discover", format!("{url}: {why}"));
        Url::parse("url", &url)?;
        let (text, _) = fetch(&url, self.ca_file.clone()).map_err(wrong)?;
        let found: Value =
            serde_json::from_str(&text).map_err(|cause| wrong(format!("is no JSON: {cause}")))?;
        if found["issuer"] != issuer {
            return Err(wrong(format!("calls itself {}, not {issuer}", found["issuer"])));
        }
        match found["jwks_uri"].as_str() {
            Some(jwks_url) => Ok(jwks_url.to_string()),
            None => Err(wrong("names no jwks_uri".into())),
        }
    }
}

/// A fetch under way. Whatever becomes of it, those who wait are told of its end.
struct Fetching {
    shared: Arc<Shared>,
    url: String,
    set: Option<Fetched>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let Ok(mut all) = self.shared.all.lock() else { return };
        if let Some(known) = all.by_url.get_mut(&self.url) {
            known.is_fetching = false;
            known.set = self.set.take().or(known.set.take());
        }
        drop(all);
        self.shared.is_changed.notify_all();
    }
}

impl Shared {
    /// What a person must know to mend it; who shows a token learns nothing of it.
    fn tell_failed(&self, url: &str, why: &str, now_unix: i64) {
        let all = self.all.lock().expect("no panic under this lock");
        let kept = all.by_url.get(url).and_then(|known| known.set.clone());
        drop(all);
        match kept.filter(|set| set.is_of_use(now_unix)) {
            Some(set) => log::warn!(
                "the keys at {url} cannot be fetched: {why}; those of {}Z are used, until {}Z at the most",
                date_time(set.at_unix),
                date_time(set.at_unix + limits::KEY_SET_STALE_SECS),
            ),
            None => log::error!(
                "the keys at {url} cannot be fetched: {why}; until they can, no token of this issuer is taken"
            ),
        }
    }
}

/// A key set that has a key for us, and how long it holds. Errors: a sentence's end.
fn fetch_set(url: &str, ca_file: Option<PathBuf>, now_unix: i64) -> Result<Fetched, String> {
    let (text, max_age_secs) = fetch(url, ca_file)?;
    jwt::check_key_set(&text).map_err(|cause| cause.to_string())?;
    Ok(Fetched { text: text.into(), at_unix: now_unix, max_age_secs })
}

/// The text at an address, and for how long it may be kept.
fn fetch(url: &str, ca_file: Option<PathBuf>) -> Result<(String, i64), String> {
    let Url { host, address, path, is_plain } = Url::parse("url", url).map_err(|cause| cause.to_string())?;
    let tls = (!is_plain).then(|| Tls::new(ca_file.as_deref(), "issuer-ca-file")).transpose();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\nuser-agent: pulumi-backend\r\n\
         connection: close\r\n"
    );
    let tls = tls.map_err(|cause| cause.to_string())?;
    let patience = Patience::Whole(FETCH_PATIENCE);
    let server = Server { host, address, tls, patience, body_bytes_max: limits::KEY_SET_BYTES_MAX };
    let answer = server.exchange(&head, &Body::Bytes(Vec::new())).map_err(|cause| cause.to_string())?;
    match answer.status {
        200 => {}
        300..400 => {
            let to = answer.header("location").unwrap_or("another address");
            return Err(format!("it answered {} and points to {to}; name the right address", answer.status));
        }
        status => return Err(format!("it answered {status}")),
    }
    let max_age_secs = max_age_secs(answer.header("cache-control").unwrap_or(""));
    let text = String::from_utf8(answer.body).map_err(|_| "it is not UTF-8".to_string())?;
    Ok((text, max_age_secs))
}

const FETCH_PATIENCE: Duration = Duration::from_secs(limits::KEY_SET_FETCH_SECS);

/// `max-age` of a Cache-Control header, within bounds.
fn max_age_secs(cache_control: &str) -> i64 {
    let mut directives = cache_control.split(',').map(str::trim);
    let told = directives.find_map(|directive| {
        let value = directive.to_ascii_lowercase();
        match value.as_str() {
            "no-store" | "no-cache" => Some(0),
            _ => value.strip_prefix("max-age=")?.trim_matches('"').parse().ok(),
        }
    });
    told.map_or(limits::KEY_SET_SECS, |secs: i64| {
        secs.clamp(limits::KEY_SET_SECS_MIN, limits::KEY_SET_SECS_MAX)
    })
}
