//! What is tried with any bytes: it must come to an end, within memory, and hold what is asserted.
//!
//! Shared by the targets for cargo-fuzz and by the test that replays the corpus on each run of the tests.

use pulumi_backend::config::given;
use pulumi_backend::domain::deployment::Deployment;
use pulumi_backend::domain::journal::{Ledger, Manifest, Noted, parse_batch, replay};
use pulumi_backend::domain::{delta, event, integrity};
use pulumi_backend::gate::fuzz::{canonical_head, dechunked};
use pulumi_backend::http::gzip;

/// What is tried with any bytes at all.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("head", head),
    ("chunked", chunked),
    ("gzip", unpack),
    ("deployment", deployment),
    ("delta", delta),
    ("journal", journal),
    ("events", events),
    ("settings", settings),
];

/// Heads mean the same however they arrive, and what the engine gets means the same again.
pub fn head(bytes: &[u8]) {
    let whole = canonical_head(bytes, usize::MAX);
    assert_eq!(whole, canonical_head(bytes, 1));
    let Some((n_head, canonical)) = whole else { return };
    assert!(n_head <= bytes.len());
    assert!(canonical.is_ascii() && !canonical.contains(&0));
    // An old client may leave out the host; that is no request of HTTP/1.1, which the engine does not mind.
    let has_host = canonical.to_ascii_lowercase().windows(7).any(|part| part == b"\r\nhost:");
    // With the gate's own fields it may have become too long for the gate.
    if let Some((n_again, again)) = canonical_head(&canonical, usize::MAX) {
        assert_eq!(n_again, canonical.len());
        assert_eq!(again, canonical);
    } else {
        assert!(
            !has_host
                || canonical.len() > 16_000
                || canonical.iter().filter(|byte| **byte == b'\n').count() > 98
        );
    }
}

/// Chunks mean the same however they arrive.
pub fn chunked(bytes: &[u8]) {
    let whole = dechunked(bytes, usize::MAX, 1 << 20);
    assert_eq!(whole, dechunked(bytes, 1, 1 << 20));
    assert_eq!(whole, dechunked(bytes, 7, 1 << 20));
}

/// Nothing inflates beyond its limit.
pub fn unpack(bytes: &[u8]) {
    let content = gzip::decompress_whole(bytes, 1 << 20);
    assert!(content.is_err() || content.is_ok_and(|content| content.len() <= 1 << 20));
    // What we pack comes out again.
    assert!(
        gzip::decompress_whole(&gzip::compress(bytes), bytes.len()).is_ok_and(|content| content == bytes)
    );
}

/// A state that is taken is kept byte for byte, and may be looked at in every way.
pub fn deployment(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(deployment) = Deployment::parse(text) else { return };
    assert_eq!(deployment.bytes_len(), deployment.to_text().len());
    let again = deployment.to_text();
    assert_eq!(Deployment::parse(&again).map(|again| again.to_text()).ok().as_deref(), Some(again.as_str()));
    // Whether they find something does not matter.
    let _ = (integrity::check(&deployment), deployment.is_removable().is_ok());
    let _ = deployment.header().is_ok_and(|header| header.operations().is_ok());
}

/// The text before, the edits and the hash, with zero bytes between.
pub fn delta(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\0');
    let (before, edits) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let hash = parts.next().unwrap_or("");
    if let Ok(after) = delta::apply(before, edits, hash) {
        assert_eq!(delta::hash(&after), hash);
    }
}

/// A batch of journal entries is judged and replayed, behind a zero byte a base for it.
pub fn journal(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (batch, base) = text.split_once('\0').unwrap_or((text, ""));
    let Ok(entries) = parse_batch(batch) else { return };
    let base = Deployment::parse(base).unwrap_or_else(|_| Deployment::empty());
    let noted: Vec<Noted> = entries.iter().map(Noted::of).collect();
    let mut ledger = Ledger::new(base.resources.len());
    let Ok(verdict) = ledger.check(&noted) else { return };
    ledger.apply(&noted, &verdict);
    let manifest = Manifest { time: "2026-01-02T03:04:05Z".into(), version: "v3.259.0".into() };
    let Ok(replayed) = replay(base, &entries, &manifest) else { return };
    // What comes out is a state.
    let text = replayed.deployment.to_text();
    assert!(Deployment::parse(&text).is_ok(), "{text}");
}

/// A batch of engine events.
pub fn events(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(events) = event::parse_batch(text) else { return };
    assert!(events.iter().all(|event| text.contains(event.raw)));
}

/// Arguments, one a line; behind a zero byte the environment; behind another one the file of settings.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\0');
    let lines = |part: Option<&str>| part.unwrap_or("").lines().map(String::from).collect::<Vec<_>>();
    let (mut arguments, environment) = (lines(parts.next()), lines(parts.next()));
    let environment = environment.iter().filter_map(|line| line.split_once('='));
    let environment: Vec<_> = environment.map(|(name, value)| (name.into(), value.into())).collect();
    // No other file than ours is to be read.
    if arguments.iter().any(|argument| argument.contains("config"))
        || environment
            .iter()
            .any(|(name, _): &(String, String)| name.to_ascii_lowercase().ends_with("config"))
    {
        return;
    }
    let path = std::env::temp_dir().join(format!("pulumi-backend-fuzz-{}", std::process::id()));
    if let Some(file) = parts.next() {
        std::fs::write(&path, file).expect("write the file of settings");
        arguments.insert(0, format!("--config={}", path.display()));
    }
    let _ = given::read(arguments, environment, |_, _| None);
    // There may be none.
    let _ = std::fs::remove_file(&path);
}
