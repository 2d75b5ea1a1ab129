//! Bodies that are too large, inflate too far or are nested too deep; and who may send a large one at all.

use crate::support::gzip;
use crate::support::http::{Request, connect, read_response};
use crate::support::server::TestServer;
use crate::support::update::TestUpdate;
use pulumi_backend::routes::table::ROUTES;
use serde_json::json;
use std::io::{BufReader, Read, Write};
use std::net::Shutdown;

/// What the server says to a head that announces `n_bytes` and waits for a word: the status.
#[track_caller]
fn announced(server: &TestServer, path: &str, credentials: &str, framing: &str) -> u16 {
    let mut stream = connect(server.client.address()).expect("connect");
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\n{credentials}Expect: 100-continue\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("send");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    let status = std::str::from_utf8(&answer[9..]).expect("digits").parse().expect("a status");
    if status != 100 {
        let mut whole = answer.as_slice().chain(stream);
        let request = Request::new("POST", path);
        read_response(&mut BufReader::new(&mut whole), &request).expect("a whole answer");
    }
    status
}

#[test]
fn only_who_may_send_it_is_asked_for_a_large_body() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let import = stack.path("/import");
    let token = "Authorization: token x\r\n";
    for framing in ["Content-Length: 100000000", "Content-Length: 70000", "Transfer-Encoding: chunked"] {
        assert_eq!(announced(&server, &import, "", framing), 401, "{framing}");
        assert_eq!(announced(&server, &import, "Authorization: token\r\n", framing), 401, "{framing}");
        assert_eq!(announced(&server, &import, token, framing), 100, "{framing}");
    }
    let update = stack.start_update();
    let lease = |token: &str| format!("Authorization: update-token {token}\r\n");
    for (credentials, status) in
        [(lease("wrong"), 403), (token.to_string(), 403), (lease(&update.token), 100)]
    {
        // The gate asks about the method too, so it must be the right one.
        let path = update.path("/events/batch");
        assert_eq!(
            announced(&server, &path, &credentials, "Content-Length: 1000000"),
            status,
            "{credentials}"
        );
    }
}

#[test]
fn a_state_beyond_a_gigabyte_is_possible_by_setting() {
    let n_bytes = 3_u64 << 29;
    let framing = format!("Content-Length: {n_bytes}");
    let token = "Authorization: token x\r\n";
    let larger = (1_u64 << 31).to_string();
    let server = TestServer::start_with(&["--max-body-size", &larger, "--body-memory", &larger]);
    let stack = server.create_stack("web", "dev");
    assert_eq!(announced(&server, &stack.path("/import"), token, &framing), 100);
    // The others keep their own limits.
    assert_eq!(announced(&server, &stack.path("/decrypt"), token, &framing), 413);
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    assert_eq!(announced(&server, &stack.path("/import"), token, &framing), 413);
}

#[test]
fn lower_settings_hold() {
    let server = TestServer::start_with(&["--max-body-size", "2000000", "--body-memory", "1048576"]);
    let stack = server.create_stack("web", "dev");
    let import = |n: usize| stack.request("POST", "/import").bytes("x".repeat(n));
    stack.send(&import(1_000_000)).expect(&[400]);
    stack.send(&import(1_500_000)).expect(&[413]);
    stack.send(&import(1_500_000).gzip()).expect(&[400]);
    stack.send(&import(2_000_001).gzip()).expect(&[413]);
}

#[test]
fn a_gzip_bomb_does_not_go_off() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    // 300 MB in 300 kB: within the limit of the route.
    let bomb = gzip::pack_small(&vec![b' '; 300_000_000]);
    assert!(bomb.len() < 330_000, "{}", bomb.len());
    for request in [
        stack.request("POST", "/import"),
        Request::new("PATCH", update.path("/checkpoint")).lease(&update.token),
    ] {
        let refused = stack.send(&request.header("Content-Encoding", "gzip").bytes(bomb.clone()));
        let answer = refused.expect(&[400]);
        assert!(answer.text().contains("inflates to more than 200 times its size"), "{answer}");
    }
    let peak = server.status("VmHWM:");
    assert!(peak < 250_000, "{peak} KiB");
    update.complete("succeeded").ok();
}

/// A body that ends before its end is no body, whichever way its length is told.
#[test]
fn a_body_cut_short_stores_nothing() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["kept"])).ok();
    // Valid JSON, with less of it than was announced.
    let body = json!({ "version": 3, "deployment": stack.deployment(&["other"])["deployment"] }).to_string();
    let framings = [
        (format!("Content-Length: {}\r\n\r\n{body}", body.len() + 2), true),
        (format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}", body.len() + 2), true),
        (format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()), true),
        (format!("Content-Length: {}\r\n\r\n{body}", body.len()), false),
    ];
    for (framing, is_cut) in framings {
        let mut stream = connect(server.client.address()).expect("connect");
        let path = stack.path("/import");
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: token x\r\n");
        let request = Request::new("POST", path).bytes(body.clone());
        stream.write_all((head + &framing).as_bytes()).expect("send");
        stream.shutdown(Shutdown::Write).expect("end");
        let answer = read_response(&mut BufReader::new(stream), &request).expect("an answer");
        assert_eq!(answer.status, if is_cut { 400 } else { 200 }, "{answer}");
        let kept = if is_cut { "kept" } else { "other" };
        assert!(stack.resource_names().iter().any(|name| name == kept), "{:?}", stack.resource_names());
    }
}

/// JSON that is nested deeper than any stack can bear, in every place where JSON is read.
#[test]
fn deep_json_is_refused_and_does_no_harm() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let values = [deep("[", "]"), deep("{\"a\":", "}"), "[".repeat(100_000), deep("[{\"deployment\":", "}]")];
    for route in ROUTES.iter().filter(|route| !matches!(route.method.as_str(), "GET" | "HEAD")) {
        let path = filled(route.pattern, &update);
        for value in &values {
            for body in around(value) {
                let request = Request::new(route.method.as_str(), &path).bytes(body);
                for request in [request.clone(), request.lease(&update.token)] {
                    let answer = server.client.send(&request).expect("an answer");
                    assert!(answer.status < 500, "{answer}");
                }
            }
        }
    }
    server.get("/readyz").ok();
}

/// A value in the places where handlers look.
fn around(value: &str) -> Vec<String> {
    let field = |name: &str| format!("{{\"{name}\":{value}}}");
    let mut bodies: Vec<_> =
        ["deployment", "entries", "events", "untypedDeployment", "config", "a"].map(field).into();
    bodies.push(value.to_string());
    bodies.push(format!("{{\"version\":3,\"deployment\":{{\"resources\":[{value}]}}}}"));
    bodies.push(format!("{{\"version\":3,\"deployment\":{{\"manifest\":{value},\"resources\":[]}}}}"));
    bodies.push(format!(
        "{{\"entries\":[{{\"version\":1,\"kind\":1,\"sequenceID\":1,\"operationID\":1,\"state\":{value}}}]}}"
    ));
    bodies.push(format!("{{\"events\":[{{\"sequence\":1,\"timestamp\":1,\"resourcePreEvent\":{value}}}]}}"));
    bodies
}

fn filled(pattern: &str, update: &TestUpdate) -> String {
    let values = [("{orgName}", "organization"), ("{projectName}", "web"), ("{stackName}", "dev")];
    let path = values.iter().fold(pattern.to_string(), |path, (name, value)| path.replace(name, value));
    let uid = update.path("").rsplit('/').next().expect("an id").to_string();
    path.replace("{updateID}", &uid).replace(['{', '}'], "")
}

/// As deep as is taken: nothing that is done with a state afterwards may be recursive.
#[test]
fn a_state_at_the_greatest_depth_lives_on() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let depth = 9_990;
    let inputs = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let urn = "urn:pulumi:dev::web::a:b:C::x";
    let body = format!(
        "{{\"version\":3,\"deployment\":{{\"manifest\":{{\"time\":\"2026-01-01T00:00:00Z\",\"magic\":\"\",\"version\":\"\"}},\
         \"resources\":[{{\"urn\":\"{urn}\",\"type\":\"a:b:C\",\"custom\":false,\"inputs\":{inputs}}}]}}}}"
    );
    stack.send(&stack.request("POST", "/import").bytes(body)).ok();
    let exported = stack.send(&stack.request("GET", "/export")).ok();
    assert!(exported.text().contains(&inputs));
    stack
        .send(&stack.request("POST", "/rename").json(&json!({ "newName": "other", "newProject": "web" })))
        .ok();
    let renamed = server.stack("web", "other");
    let exported = renamed.send(&renamed.request("GET", "/export")).ok();
    assert!(exported.text().contains(&inputs) && exported.text().contains("urn:pulumi:other::web"));
    let update = renamed.start_update();
    update.complete("succeeded").ok();
    renamed.send(&renamed.request("GET", "/export")).ok();
}
