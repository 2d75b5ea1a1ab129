//! What monitors and people with a browser ask, without a token. Routes: getRoot, getHealth, getReadiness.

use crate::support::http::Request;
use crate::support::server::TestServer;

#[test]
fn anybody_may_ask_whether_it_lives() {
    let server = TestServer::start();
    check(&server, "/", "name", "pulumi-backend");
    check(&server, "/healthz", "status", "ok");
    check(&server, "/readyz", "status", "ready");

    #[track_caller]
    fn check(server: &TestServer, path: &str, field: &str, expected: &str) {
        let answer = server.send(&Request::new("GET", path).authorization("")).expect(&[200]);
        assert_eq!(answer.json()[field], expected, "{answer}");
    }
}
