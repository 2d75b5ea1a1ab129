//! The page for monitors. Route: getMetrics.

use crate::support::http::Request;
use crate::support::server::TestServer;
use std::collections::BTreeMap;

/// Name with labels → value; fails on a line that is not of the text form.
#[track_caller]
pub fn read(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with("# "));
    let pairs = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} has no value"));
        (name.to_string(), value.parse().unwrap_or_else(|_| panic!("{line:?} has no number")))
    });
    pairs.collect()
}

#[test]
fn what_happens_is_counted() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    update.journal(&[crate::support::update::secrets_entry(1)]).ok();
    (0..3).for_each(|_| drop(stack.info()));
    stack.get("/nothing").expect(&[404]);

    let page = server.get("/metrics").ok();
    assert!(page.header("content-type").is_some_and(|it| it.starts_with("text/plain")), "{page}");
    let figures = read(page.text());
    let is = |name: &str, expected: f64| {
        assert_eq!(figures.get(name), Some(&expected), "{name} in {}", page.text())
    };
    is(r#"pulumi_backend_requests_total{method="GET",route="getStack",status="200"}"#, 3.0);
    is(r#"pulumi_backend_request_duration_seconds_count{route="getStack"}"#, 3.0);
    is(r#"pulumi_backend_request_duration_seconds_bucket{route="getStack",le="+Inf"}"#, 3.0);
    is(r#"pulumi_backend_requests_total{method="-",route="none",status="404"}"#, 1.0);
    is("pulumi_backend_stacks", 1.0);
    is("pulumi_backend_leases", 1.0);
    is("pulumi_backend_journal_entries", 1.0);
    is("pulumi_backend_writer_failed_commits_total", 0.0);
    is("pulumi_backend_checkpoint_cache_bytes", 0.0);
    for name in [
        "pulumi_backend_writer_commit_seconds_count",
        "pulumi_backend_writer_batch_jobs_sum",
        "pulumi_backend_connections",
        "pulumi_backend_database_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(figures.get(name).is_some_and(|value| *value > 0.0), "{name} in {}", page.text());
    }
}

/// Memory that is used on purpose can be told from memory that is lost.
#[test]
fn what_is_kept_in_memory_is_told() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    update.checkpoint(&stack.deployment(&["a"])).ok();
    let kept = |name: &str| read(server.get("/metrics").ok().text())[&format!("pulumi_backend_{name}")];
    assert!(kept("checkpoint_cache_bytes") > 0.0);
    update.complete("succeeded").ok();
    assert_eq!(kept("checkpoint_cache_bytes"), 0.0);
    stack.get("/export").ok();
    assert!(kept("export_cache_bytes") > 0.0);
    assert!(kept("base_cache_resources") > 0.0);
}

/// Each figure is introduced once, before its first value, as the text form demands.
#[test]
fn the_page_is_well_formed() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    let page = server.get("/metrics").ok();
    let mut known: Vec<String> = Vec::new();
    for line in page.text().lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().expect("a name").to_string();
            assert!(!known.contains(&name), "{name} comes twice");
            known.push(name);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            let current = known.last().expect("a type first");
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            assert!(name == current || base == Some(current), "{line} after {current}");
        }
    }
}

#[test]
fn nobody_without_a_token_reads_it_here() {
    let server = TestServer::start();
    server.send(&Request::new("GET", "/metrics").authorization("")).expect(&[401]);
}
