//! What every answer carries, whoever gives it. `support::http` holds each answer of each test against the same rules;
//! here all routes are walked, and all that the gate refuses by itself.

use crate::support::http::{Request, connect, read_response};
use crate::support::server::TestServer;
use pulumi_backend::routes::table::ROUTES;
use std::io::{BufReader, Write};

#[test]
fn every_route_answers_with_the_common_fields() {
    let server = TestServer::start();
    server.create_stack("a", "a");
    for route in ROUTES {
        // A stack `a/a`, an update that there is not, and so on.
        let path: String = route.pattern.split('/').skip(1).fold(String::new(), |path, part| {
            let value = match part {
                "{orgName}" => "organization",
                part if part.starts_with('{') => "a",
                part => part,
            };
            format!("{path}/{value}")
        });
        for method in [route.method.as_str(), "HEAD", "OPTIONS", "PROPFIND"] {
            for credentials in ["token x", "update-token x", "Basic x", ""] {
                let request = Request::new(method, &path).authorization(credentials).bytes("{}");
                // Reading it holds it against the rules.
                server.client.send(&request).expect("an answer");
            }
        }
    }
    server.get("/no/such/path").expect(&[404]);
    server.get("/%zz").expect(&[400, 404]);
}

#[test]
fn the_gates_own_refusals_have_the_common_fields() {
    let server = TestServer::start();
    let get = |rest: &str| format!("GET /api/user HTTP/1.1\r\nHost: x\r\n{rest}\r\n");
    let post =
        |rest: &str| format!("POST /api/stacks/organization/a/a/rename HTTP/1.1\r\nHost: x\r\n{rest}\r\n");
    let cases = [
        ("what\r\n\r\n".to_string(), 400),
        ("GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/2.0\r\n\r\n".into(), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9000)), 414),
        (get(&format!("A: {}\r\n", "a".repeat(20_000))), 431),
        (get(&"A: b\r\n".repeat(200)), 431),
        (get("A : b\r\n"), 400),
        (get("Expect: tea\r\n"), 417),
        (post("Content-Length: 5, 5\r\n"), 400),
        (post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400),
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        (post("Transfer-Encoding: gzip\r\n"), 501),
        (post("Content-Length: 99999999\r\n"), 401),
        (post("Authorization: token x\r\nContent-Length: 99999999\r\n"), 413),
        (post("Transfer-Encoding: chunked\r\nAuthorization: token x\r\n") + "zz\r\n", 400),
    ];
    for (bytes, status) in cases {
        let mut stream = connect(server.client.address()).expect("connect");
        stream.write_all(bytes.as_bytes()).expect("send");
        let shown = bytes.chars().take(60).collect::<String>();
        let request = Request::new("GET", shown);
        read_response(&mut BufReader::new(stream), &request).expect("an answer").expect(&[status]);
    }
}
