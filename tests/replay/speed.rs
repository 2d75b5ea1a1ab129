//! How long a replay takes as the base grows. Printed with `--nocapture`; nothing timed is asserted.
//!
//! REPLAY_RESOURCES says how large the base is; only `--release` figures mean anything.

use std::time::{Duration, Instant};

use pulumi_backend::domain::deployment::Deployment;
use pulumi_backend::domain::integrity;
use pulumi_backend::domain::journal::{Ledger, Manifest, Noted, outline, parse_batch, replay};
use pulumi_backend::domain::resource::{ResourceFlags, resource_facts};

const N_RESOURCES: usize = 2_000;
const N_ROUNDS: usize = 7;

#[test]
fn a_large_base_is_replayed() {
    let n_resources =
        std::env::var("REPLAY_RESOURCES").map_or(N_RESOURCES, |n| n.parse().expect("a number of resources"));
    let text = base(n_resources);
    println!("base: {n_resources} resources, {} KB", text.len() / 1_000);
    median("parse", || Deployment::parse(&text).expect("a base").resources.len());
    let deployment = Deployment::parse(&text).expect("a base");
    median("integrity", || integrity::check(&deployment).map_or(0, |violation| panic!("{violation}")));
    let changed = journal(n_resources, |i| i == n_resources / 2, false);
    check(&deployment, "1 changed", &changed);
    check_outline(&deployment, &changed);
    check(&deployment, "1 changed, refreshed", &journal(n_resources, |i| i == n_resources / 2, true));
    check(
        &deployment,
        "1 changed, with an alias",
        &changed.replace(r#""custom""#, r#""aliases":["urn:x"],"custom""#),
    );
    let all = journal(n_resources, |_| true, false);
    median("parse the journal of all", || parse_batch(&all).expect("a batch").len());
    let entries: Vec<Noted> = parse_batch(&all).expect("a batch").iter().map(Noted::of).collect();
    median("judge the journal of all", || Ledger::new(n_resources).check(&entries).expect("sound").new.len());
    check(&deployment, "all journaled", &all);
}

/// The same without the texts of the base.
fn check_outline(base: &Deployment, journal: &str) {
    let entries = parse_batch(journal).expect("a batch");
    let flags = vec![ResourceFlags::default(); base.resources.len()];
    let header = base.header().expect("a header");
    median("outline, 1 changed", || {
        let manifest = Manifest { time: "2026-01-02T03:04:05Z".into(), version: "v3.259.0".into() };
        let flags_of = |text| resource_facts(text).map(|facts| ResourceFlags::of(&facts));
        let outline = outline(&header, &flags, &entries, &manifest, flags_of).expect("a result");
        outline.expect("no texts needed").slots.len()
    });
}

fn check(base: &Deployment, what: &str, journal: &str) {
    let entries = parse_batch(journal).expect("a batch");
    median(&format!("replay, {what}"), || {
        let manifest = Manifest { time: "2026-01-02T03:04:05Z".into(), version: "v3.259.0".into() };
        let replayed = replay(base.clone(), &entries, &manifest).expect("a result");
        assert_eq!(replayed.findings, Vec::<String>::new());
        assert_eq!(replayed.deployment.resources.len(), base.resources.len());
        replayed.deployment.resources.len()
    });
}

fn median(what: &str, mut run: impl FnMut() -> usize) {
    let mut times: Vec<(Duration, Duration)> = (0..N_ROUNDS)
        .map(|_| {
            let (start, start_cpu) = (Instant::now(), cpu_time());
            std::hint::black_box(run());
            (cpu_time().saturating_sub(start_cpu), start.elapsed())
        })
        .collect();
    times.sort();
    let (cpu, wall) = times[N_ROUNDS / 2];
    println!("{what}: {cpu:.1?} of this thread, {wall:.1?} on the clock");
}

/// Time that this thread was running; zero where the system does not tell.
fn cpu_time() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn urn(i: usize) -> String {
    match i {
        0 => "urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev".into(),
        _ => format!("urn:pulumi:dev::web::aws:s3/bucket:Bucket::bucket-{i}"),
    }
}

/// About 1 KB.
fn resource(i: usize) -> String {
    if i == 0 {
        return format!(r#"{{"urn":"{}","custom":false,"type":"pulumi:pulumi:Stack"}}"#, urn(0));
    }
    let text = "0123456789abcdef".repeat(12);
    let (root, before) = (urn(0), urn(i - 1));
    format!(
        r#"{{"urn":"{}","custom":true,"id":"id-{i}","type":"aws:s3/bucket:Bucket","inputs":{{"a":"{text}","n":[1,2,3]}},"#,
        urn(i)
    ) + &format!(r#""outputs":{{"a":"{text}","b":{{"c":true,"d":null,"e":"{i}"}}}},"parent":"{root}","#)
        + &format!(r#""dependencies":["{before}"],"propertyDependencies":{{"a":["{before}"],"n":[]}},"#)
        + r#""created":"2025-01-01T00:00:00Z","modified":"2025-01-01T00:00:00Z","sourcePosition":"project:///main.go#1,2"}"#
}

fn base(n_resources: usize) -> String {
    let resources: Vec<String> = (0..n_resources).map(resource).collect();
    let manifest = r#"{"time":"2025-01-01T00:00:00Z","magic":"","version":""}"#;
    let resources = resources.join(",");
    format!(
        r#"{{"version":3,"deployment":{{"manifest":{manifest},"metadata":{{}},"resources":[{resources}]}}}}"#
    )
}

/// The resources of which `is_journaled` is true are journaled as they are.
fn journal(n_resources: usize, is_journaled: impl Fn(usize) -> bool, is_refresh: bool) -> String {
    let mut entries = vec![
        r#"{"version":1,"kind":6,"sequenceID":1,"operationID":0,"removeOld":null,"removeNew":null,"secretsProvider":{"type":"b64"}}"#
            .to_owned(),
    ];
    for i in (0..n_resources).filter(|i| is_journaled(*i)) {
        let state = resource(i);
        let sequence_id = entries.len() + 1;
        entries.push(format!(
            r#"{{"version":1,"kind":1,"sequenceID":{sequence_id},"operationID":{sequence_id},"removeOld":{i},"removeNew":null,"isRefresh":{is_refresh},"state":{state}}}"#
        ));
    }
    format!(r#"{{"entries":[{}]}}"#, entries.join(","))
}
