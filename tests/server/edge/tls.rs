//! HTTPS by the settings: files that change, a CA of the server's own, and what the person at the terminal is told.

use crate::support::command::run;
use crate::support::http::{Request, connect, read_response};
use crate::support::process::{ServerProcess, TempDir};
use crate::support::tls::{TlsClient, certificate};
use pulumi_backend::clock::Clock;
use pulumi_backend::gate::Tls;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a changed certificate may take to be used.
const PATIENCE: Duration = Duration::from_secs(120);

/// A certificate and its key. That of a CA serves as well here: only its bytes and its key matter.
struct Pair(TempDir);

impl Pair {
    fn new() -> Pair {
        let folder = TempDir::new("pair");
        Tls::from_local_ca(folder.path(), &[], Clock::default()).expect("a CA");
        Pair(folder)
    }

    fn put(&self, certificate: &Path, key: &Path) {
        std::fs::copy(self.0.path().join("local-ca.key"), key).expect("copy the key");
        std::fs::copy(self.0.path().join("local-ca.pem"), certificate).expect("copy the certificate");
    }
}

fn user() -> Request {
    Request::new("GET", "/api/user")
}

#[test]
fn certificates_in_files_are_read_again_when_they_change() {
    let folder = TempDir::new("certificates");
    let (chain, key) = (folder.path().join("tls.pem"), folder.path().join("tls.key"));
    Pair::new().put(&chain, &key);
    let text = |path: &PathBuf| path.to_str().expect("UTF-8").to_string();
    // As the flags of other backends are.
    let server = ServerProcess::start(&["-tls", "-cert", &text(&chain), "-key", &text(&key)]);
    assert!(server.url().starts_with("https://"), "{}", server.log());
    let mut client = TlsClient::connect(server.address(), "localhost", None).expect("connect");
    assert_eq!(client.certificate(), certificate(&chain));
    assert_eq!(client.send(&user()).ok().json()["githubLogin"], "admin");
    Pair::new().put(&chain, &key);
    let deadline = Instant::now() + PATIENCE;
    let shown = || TlsClient::connect(server.address(), "localhost", None).expect("connect").certificate();
    while shown() != certificate(&chain) {
        assert!(Instant::now() < deadline, "the new certificate is not used");
        std::thread::sleep(Duration::from_millis(20));
    }
    // A connection that was there goes on.
    client.send(&user()).ok();
}

#[test]
fn a_local_ca_is_made_once_and_the_start_lines_say_how_to_trust_it() {
    let mut server = ServerProcess::start(&["--tls-local-ca", "pulumi.example.com, 10.1.2.3"]);
    let ca = server.dir().join("local-ca.pem");
    let line = format!("\n          export SSL_CERT_FILE={}\n", ca.display());
    for _ in 0..2 {
        assert!(server.log().contains(&line), "{}", server.log());
        assert!(
            server
                .log()
                .contains(&format!("pulumi login {}", server.url().replace("127.0.0.1", "localhost")))
        );
        for name in ["pulumi.example.com", "10.1.2.3", "localhost", "127.0.0.1"] {
            let mut client = TlsClient::connect(server.address(), name, Some(&ca)).expect(name);
            let answer = client.send(&user()).ok();
            assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"));
            let refused = client.send(&user().authorization("")).expect(&[401]);
            assert_eq!(refused.header("strict-transport-security"), Some("max-age=31536000"));
        }
        assert!(TlsClient::connect(server.address(), "example.com", Some(&ca)).is_err());
        server.stop();
        server.restart();
    }
}

#[test]
fn plain_http_on_an_https_port_is_told_so() {
    let server = ServerProcess::start(&["--tls-local-ca", "localhost"]);
    let mut stream = connect(server.address()).expect("connect");
    stream.write_all(&user().to_bytes()).expect("send");
    let answer = read_response(&mut BufReader::new(stream), &user()).expect("an answer").expect(&[400]);
    assert!(answer.text().contains("use https://"), "{answer}");
    assert_eq!(answer.header("strict-transport-security"), None, "{answer}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let folder = TempDir::new("settings");
    Pair::new().put(&folder.path().join("a.pem"), &folder.path().join("a.key"));
    let check = |arguments: &[&str], expected: &str| {
        let said = run(folder.path(), &[&["--addr", "127.0.0.1:0"], arguments].concat()).fails(2);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    };
    check(&["--tls"], "tls: needs --tls-cert and --tls-key");
    check(&["--tls-cert", "a.pem"], "tls-key: is missing");
    check(&["--key", "a.key"], "tls-cert: is missing");
    check(&["--tls-cert", "a.pem", "--tls-key", "a.key", "--tls-local-ca", "x"], "tls-local-ca: ");
    check(&["--tls-cert", "b.pem", "--tls-key", "a.key"], "b.pem: No such file");
    check(&["--tls-cert", "a.key", "--tls-key", "a.key"], "has no certificate");
    check(&["--tls-local-ca", "a b"], "is neither a host name nor an IP address");
    check(&["--trusted-proxies", "10.0.0.1"], "trusted-proxies: does nothing without --behind-proxy");
    check(&["--behind-proxy", "--trusted-proxies", "ten"], "is neither an IP address");
    check(&["--addr", ":0", "--single-tenant-token", "a-token-for-all-of-us"], "--tls-local-ca NAMES");
    check(&["--tls=maybe"], "tls: 'maybe' is neither true nor false");
}
