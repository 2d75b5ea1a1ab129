//! What the server says that it can do, and the calls around the protocol: front page, health, unknown paths.

use crate::support::http::{Request, connect, read_response};
use crate::support::server::{ORG, TestServer};
use serde_json::{Value, json};
use std::io::{BufReader, Write};

fn capabilities(server: &TestServer, cli_version: &str) -> Vec<Value> {
    let agent = format!("pulumi-cli/1 ({cli_version}; linux)");
    let body = server
        .send(&Request::new("GET", "/api/capabilities").header("User-Agent", &agent))
        .expect(&[200])
        .json();
    body["capabilities"].as_array().expect("capabilities").clone()
}

fn find<'a>(capabilities: &'a [Value], name: &str) -> Option<&'a Value> {
    capabilities.iter().find(|it| it["capability"] == name)
}

#[test]
fn the_cli_learns_what_it_profits_from() {
    let server = TestServer::start();
    let all = capabilities(&server, "v3.259.0");
    assert!(find(&all, "batch-encrypt").is_some(), "{all:?}");
    let schema = find(&all, "deployment-schema-version").expect("deployment-schema-version");
    assert_eq!((&schema["version"], &schema["configuration"]), (&json!(1), &json!({ "version": 4 })));
    for absent in [
        "copilot-summarize-error",
        "copilot-explain-preview",
        "begin-update",
        "neo-cli-mode",
        "stack-policy-packs",
    ] {
        assert!(find(&all, absent).is_none(), "{absent} is not built here");
    }
}

#[test]
fn deltas_are_offered_to_clis_that_do_not_journal() {
    let server = TestServer::start();
    check(&server, "v3.224.0", true);
    check(&server, "v3.68.0", true);
    check(&server, "v3.225.0", false);
    check(&server, "v3.259.0", false);
    check(&TestServer::start_with(&["--delta-checkpoints", "off"]), "v3.200.0", false);
    check(&TestServer::start_with(&["--delta-checkpoints", "on"]), "v3.259.0", true);

    #[track_caller]
    fn check(server: &TestServer, cli_version: &str, is_offered: bool) {
        let all = capabilities(server, cli_version);
        let delta = find(&all, "delta-checkpoint-uploads-v2");
        assert_eq!(delta.is_some(), is_offered, "{cli_version}: {all:?}");
        if let Some(delta) = delta {
            assert_eq!(delta["version"], 2);
            assert_eq!(delta["configuration"], json!({ "checkpointCutoffSizeBytes": 1 << 20 }));
        }
    }
}

#[test]
fn the_calls_around_the_protocol_are_answered() {
    let server = TestServer::start();
    let version =
        server.send(&Request::new("GET", "/api/cli/version").authorization("")).expect(&[200]).json();
    for name in ["latestVersion", "oldestWithoutWarning"] {
        let text = version[name].as_str().unwrap_or_else(|| panic!("{name} in {version}"));
        let numbers = text.trim_start_matches('v').split('-').next().expect("a part").split('.');
        assert_eq!(numbers.filter(|it| it.parse::<u32>().is_ok()).count(), 3, "{text} is no version");
    }
    for query in ["", "?limit=499", "?limit=499&name=aws"] {
        let packages = server.get(&format!("/api/registry/packages{query}")).expect(&[200]).json();
        assert_eq!(packages["packages"], json!([]));
    }
}

#[test]
fn everything_else_is_a_clean_404() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    for target in [
        "/nothing",
        "/api",
        "/api/nothing",
        "/api/orgs/organization/teams",
        "/api/esc/environments/organization",
        "/api/registry/templates",
        "/api/stacks/organization/web/dev/nothing",
        "/api/stacks/organization/web/dev/deployments/settings",
        "/api/stacks/organization/web/dev/update/u/nothing",
        "/api/agents/signup",
    ] {
        server.get(target).expect(&[404]);
        server.post(target, &json!({})).expect(&[404, 405]);
    }
    server.call("HEAD", "/nothing").expect(&[404]);
    let refused = server.call("PUT", "/api/orgs/organization/members/admin").expect(&[405]);
    assert_eq!(refused.header("Allow"), Some("POST, PATCH, DELETE"), "RFC 9110, section 15.5.6");
    server.call("DELETE", "/api/user").expect(&[404, 405]);
    server.call("GET", &format!("/api/stacks/{ORG}/web")).expect(&[404, 405]);
}

#[test]
fn a_trailing_slash_is_accepted() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    assert_eq!(server.get("/api/user/").expect(&[200]).json(), server.get("/api/user").json());
    assert_eq!(stack.get("/").expect(&[200]).json(), stack.info());
}

#[test]
fn answers_are_compressed_only_for_those_who_accept_it() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let names: Vec<String> = (0..100).map(|i| format!("thing-{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stack.import(&stack.deployment(&names)).ok();
    let packed = stack.get("/export");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(
        packed.n_wire_bytes < packed.body.len(),
        "{} of {} bytes",
        packed.n_wire_bytes,
        packed.body.len()
    );
    for request in [
        stack.request("GET", "/export").without_header("Accept-Encoding"),
        stack.request("GET", "/export").header("Accept-Encoding", "br"),
        stack.request("GET", "/export").header("Accept-Encoding", "identity"),
    ] {
        let plain = stack.send(&request).expect(&[200]);
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.body, packed.body);
    }
    // A weight of 0 says "not this one".
    let refused = stack.send(&stack.request("GET", "/export").header("Accept-Encoding", "gzip;q=0"));
    assert_eq!(refused.expect(&[200]).header("content-encoding"), None);
}

#[test]
fn requests_that_are_not_whole_are_refused() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    // A body without a length: nobody can tell where it ends.
    check(
        &server,
        &format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: token x\r\nContent-Type: application/json\r\n\r\n{{}}",
            stack.path("/rename")
        ),
        &[400, 411],
    );
    check(
        &server,
        &format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: token x\r\nContent-Length: x\r\n\r\n",
            stack.path("/rename")
        ),
        &[400],
    );
    check(&server, "GET\r\n\r\n", &[400]);
    assert_eq!(stack.info()["stackName"], "dev");

    #[track_caller]
    fn check(server: &TestServer, raw: &str, statuses: &[u16]) {
        let mut stream = connect(server.client.address()).expect("connect");
        stream.write_all(raw.as_bytes()).expect("send");
        let request = Request::new("POST", "what was not whole");
        read_response(&mut BufReader::new(stream), &request).expect("an answer").expect(statuses);
    }
}

#[test]
fn a_body_that_is_not_gzip_though_it_says_so_is_refused() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let good = stack.request("POST", "/batch-encrypt").json(&json!({ "plaintexts": ["YQ=="] })).gzip();
    stack.send(&good).expect(&[200]);
    let n = good.body.len();
    let mut wrong_sum = good.body.clone();
    wrong_sum[n - 8] ^= 1;
    let mut wrong_length = good.body.clone();
    wrong_length[n - 1] ^= 1;
    let with_tail = [good.body.clone(), b"tail".to_vec()].concat();
    for bytes in [
        b"{\"plaintexts\":[]}".to_vec(),
        good.body[..n - 9].to_vec(),
        wrong_sum,
        wrong_length,
        with_tail,
        vec![0x1f, 0x8b],
    ] {
        stack.send(&good.clone().bytes(bytes)).expect(&[400]);
    }
    let unknown = good.clone().header("Content-Encoding", "br");
    stack.send(&unknown).expect(&[400, 415]);
    stack.send(&good).expect(&[200]);
}
