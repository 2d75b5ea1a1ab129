//! Random journals give what Pulumi's own replayer gives, asked live (`oracle/main.go`).
//!
//! Needs Go, once, to build the oracle into the target folder. REPLAY_JOURNALS says how many journals, SEED which one.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use pulumi_backend::domain::deployment::Deployment;
use pulumi_backend::domain::journal::{Ledger, Manifest, Noted, Replayed, parse_batch, replay};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::support::canon::{Canon, assert_equal};
use crate::support::journals::{Journal, random_journal};
use crate::support::rng::{Rng, seeds};

const N_JOURNALS: u64 = 5_000;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<String>,
    panic: Option<String>,
}

#[test]
fn random_journals_give_what_pulumi_itself_makes_of_them() {
    let Some(oracle) = oracle() else { return };
    let n_journals = std::env::var("REPLAY_JOURNALS").map_or(N_JOURNALS, |n| n.parse().expect("a number"));
    let mut child =
        Command::new(&oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle");
    let (journals, asking) = ask(&mut child, seeds(n_journals).collect());
    let mut answers = BufReader::new(child.stdout.take().expect("piped"));
    let mut n = Counts::default();
    for (seed, journal) in journals {
        let mut line = String::new();
        answers.read_line(&mut line).expect("an answer");
        let answer: Answer =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("SEED={seed} {error}: {line}"));
        compare(seed, &journal, &answer, &mut n);
    }
    asking.join().expect("all asked");
    assert!(child.wait().expect("its end").success());
    println!("{n:?}");
    if n_journals >= N_JOURNALS && std::env::var("SEED").is_err() {
        assert!(n.equal > n_journals / 2, "most journals are compared: {n:?}");
        assert!(n.points_nowhere > 0 && n.given_up > 0, "the strange ones are among them: {n:?}");
    }
}

#[derive(Debug, Default)]
struct Counts {
    equal: u64,
    /// Refused when they arrive.
    points_nowhere: u64,
    /// Upstream gives no state at all.
    given_up: u64,
}

/// Writes the questions from a thread of its own: the oracle answers while it is asked.
fn ask(child: &mut Child, seeds: Vec<u64>) -> (Receiver<(u64, Journal)>, JoinHandle<()>) {
    let mut stdin = child.stdin.take().expect("piped");
    let (asked, journals) = std::sync::mpsc::sync_channel(100);
    let asking = std::thread::spawn(move || {
        for seed in seeds {
            let journal = random_journal(seed);
            let question = serde_json::json!({"base": journal.base, "entries": journal.entries});
            writeln!(stdin, "{question}").expect("the oracle reads on");
            asked.send((seed, journal)).expect("the answers are awaited");
        }
    });
    (journals, asking)
}

fn compare(seed: u64, journal: &Journal, answer: &Answer, n: &mut Counts) {
    let body = serde_json::json!({"entries": journal.entries}).to_string();
    let base = match &journal.base {
        serde_json::Value::Null => Deployment::empty().to_text(),
        base => serde_json::json!({"version": 3, "deployment": base}).to_string(),
    };
    let replayed = judge_and_replay(seed, journal, &base, &body);
    if journal.points_nowhere {
        n.points_nowhere += 1;
        return;
    }
    let Some(result) = answer.result else {
        assert!(!replayed.findings.is_empty(), "SEED={seed} {:?} {:?}", answer.error, answer.panic);
        n.given_up += 1;
        return;
    };
    assert_eq!(replayed.findings, Vec::<String>::new(), "SEED={seed}");
    let actual = Canon::of(&replayed.deployment.to_text());
    let mut expected = Canon::of(result.get());
    if expected.secrets_providers.is_none() && body.contains("newSnapshot") {
        // A snapshot without a provider loses the one that was set; the server keeps it.
        expected.secrets_providers = actual.secrets_providers.clone();
    }
    assert_equal(&actual, &expected, &format!("SEED={seed}"));
    n.equal += 1;
}

/// Delivers the journal in batches, checks what the ledger says, and replays it in another order.
fn judge_and_replay<'t>(seed: u64, journal: &Journal, base: &'t str, body: &'t str) -> Replayed<'t> {
    let mut rng = Rng::new(seed);
    let base = Deployment::parse(base).unwrap_or_else(|error| panic!("SEED={seed} {error}"));
    let mut entries = parse_batch(body).unwrap_or_else(|error| panic!("SEED={seed} {error}"));
    let mut ledger = Ledger::new(base.resources.len());
    let mut is_refused = false;
    for batch in entries.chunks(1 + rng.below(8)) {
        let noted: Vec<Noted> = batch.iter().map(Noted::of).collect();
        match ledger.check(&noted) {
            Ok(verdict) => ledger.apply(&noted, &verdict),
            Err(_) => is_refused = true,
        }
        if is_refused {
            break;
        }
    }
    assert!(!is_refused || journal.points_nowhere, "SEED={seed}: refused without need");
    let is_gapless = entries.last().is_some_and(|last| last.sequence_id() == entries.len() as i64);
    assert!(is_refused || !is_gapless || !journal.points_nowhere, "SEED={seed}: not refused");
    rng.shuffle(&mut entries);
    let manifest = Manifest { time: "2026-01-02T03:04:05.678Z".into(), version: String::new() };
    let replayed = replay(base, &entries, &manifest).unwrap_or_else(|error| panic!("SEED={seed} {error}"));
    assert!(!journal.points_nowhere || !replayed.findings.is_empty(), "SEED={seed}: not found");
    replayed
}

/// The oracle's program, built if need be; without Go a loud line, and in CI a failure.
fn oracle() -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/oracle");
    let target = std::env::current_exe().expect("this test");
    let target = target.ancestors().nth(3).expect("target/debug/deps/replay");
    let program = target.join("replay-oracle");
    if is_newer(&program, &sources) {
        return Some(program);
    }
    if Command::new("go").arg("version").stdout(Stdio::null()).status().is_err() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI has no Go to build the replay's oracle with"
        );
        eprintln!(
            "SKIPPED, AND IT MATTERS: without Go there is no oracle, so no random journal was compared"
        );
        return None;
    }
    let fresh = target.join(format!("replay-oracle.{}", std::process::id()));
    let mut build = Command::new("go");
    let built = build.args(["build", "-trimpath", "-o"]).arg(&fresh).arg(".").current_dir(&sources);
    assert!(built.status().expect("go build").success(), "go build of {}", sources.display());
    std::fs::rename(&fresh, &program).expect("the built oracle in its place");
    Some(program)
}

fn is_newer(program: &Path, sources: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let built = modified(program);
    ["main.go", "go.mod", "go.sum"].iter().all(|name| built > modified(&sources.join(name)))
}
