//! Who is calling: `GET /api/user`, the default organization, and calls without a valid token.

use crate::support::http::Request;
use crate::support::server::{ORG, TestServer};

#[test]
fn the_user_has_a_name_and_organizations() {
    let server = TestServer::start();
    let user = server.get("/api/user").expect(&[200]).json();
    assert_eq!(user["githubLogin"], "admin");
    let organizations = user["organizations"].as_array().expect("organizations");
    let logins: Vec<&str> =
        organizations.iter().map(|it| it["githubLogin"].as_str().expect("a login")).collect();
    assert!(logins.contains(&ORG), "{logins:?}");
    assert!(logins.iter().all(|login| !login.is_empty()), "the CLI refuses an empty login: {logins:?}");
}

#[test]
fn unqualified_stack_names_go_to_the_organization() {
    let server = TestServer::start();
    let body = server.get("/api/user/organizations/default").expect(&[200]).json();
    assert_eq!(body["gitHubLogin"], ORG, "spelled with a capital H");
}

#[test]
fn calls_without_a_valid_token_are_asked_to_log_in() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for credentials in ["", "token ", "token", "Basic YTo=", "Basic b", "nonsense"] {
        for (method, target) in [
            ("GET", "/api/user".to_string()),
            ("GET", "/api/user/stacks".into()),
            ("GET", stack.path("")),
            ("POST", stack.path("/encrypt")),
            ("DELETE", stack.path("?force=true")),
            ("POST", format!("/api/stacks/{ORG}/web")),
        ] {
            server.send(&Request::new(method, target).authorization(credentials)).expect(&[401]);
        }
    }
    assert_eq!(stack.info()["stackName"], "dev", "nothing was deleted");
}

#[test]
fn any_other_token_is_the_same_user_in_the_open_mode() {
    let server = TestServer::start();
    for credentials in ["token x", "token pul-0123456789", "Bearer x", "Basic YTpi"] {
        let user = server.send(&Request::new("GET", "/api/user").authorization(credentials)).expect(&[200]);
        assert_eq!(user.json()["githubLogin"], "admin");
    }
}

#[test]
fn a_lease_does_not_open_the_api() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    for (method, target) in [
        ("GET", "/api/user".to_string()),
        ("GET", stack.path("")),
        ("GET", stack.path("/export")),
        ("POST", update.path("/cancel")),
        ("DELETE", stack.path("?force=true")),
    ] {
        server.send(&Request::new(method, target).lease(&update.token)).expect(&[401, 403]);
    }
    update.complete("succeeded").ok();
}

#[test]
fn gzip_bombs_are_not_unpacked_for_strangers() {
    let server = TestServer::start();
    let bomb =
        Request::new("POST", format!("/api/stacks/{ORG}/web/dev/import")).bytes(vec![b' '; 256 << 20]).gzip();
    server.create_stack("web", "dev");
    let before = peak_kilobytes(&server);
    for _ in 0..4 {
        server.send(&bomb.clone().authorization("")).expect(&[401]);
    }
    let grown = peak_kilobytes(&server) - before;
    assert!(grown < 32 << 10, "the server grew by {grown} kB");
}

/// The most memory that the server ever had, in kB.
#[cfg(target_os = "linux")]
fn peak_kilobytes(server: &TestServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("read /proc");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number of kB")
}

#[cfg(not(target_os = "linux"))]
fn peak_kilobytes(_: &TestServer) -> u64 {
    0 // Only the status is checked where there is no /proc.
}
