//! HTTPS: certificates from files and from the local CA, and clients that are no TLS clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulumi_backend::clock::Clock;
use pulumi_backend::gate::{Settings, Tls};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::support::anybody::Anybody;
use crate::support::client::{Client, trusting, trusting_with};
use crate::support::engine::{N_WORKERS, pattern, sum};
use crate::support::folder::Folder;
use crate::support::{PATIENCE, PROMPT, TestGate};

/// A gate with a local CA, and what its clients need.
struct TlsGate {
    gate: TestGate,
    tls: Arc<Tls>,
    clock: Clock,
    folder: Folder,
}

impl TlsGate {
    fn start(names: &[&str]) -> TlsGate {
        let folder = Folder::new();
        let clock = Clock::default();
        let tls = Arc::new(local_ca(folder.path(), names, &clock).unwrap());
        let gate = start(tls.clone());
        TlsGate { gate, tls, clock, folder }
    }

    fn connect(&self, name: &str) -> std::io::Result<Client> {
        Client::connect_tls(self.gate.address, trusting(self.folder.path()), name)
    }
}

fn start(tls: Arc<Tls>) -> TestGate {
    TestGate::start_with(Settings { tls: Some(tls), ..Settings::default() })
}

fn local_ca(folder: &Path, names: &[&str], clock: &Clock) -> Result<Tls, pulumi_backend::error::Error> {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    Tls::from_local_ca(folder, &names, clock.clone())
}

#[test]
fn requests_and_large_bodies_over_tls() {
    let server = TlsGate::start(&[]);
    let mut client = server.connect("localhost").unwrap();
    assert!(client.get("/echo").expect(200).text().contains("x-gate-tls: 1\n"));
    let body = pattern(5_000_000);
    let reply = client.post("/echo", &body).expect(200);
    assert!(reply.text().ends_with(&format!("body 5000000 {}\n", sum(&body))), "{}", reply.text());
    assert!(client.get("/bytes/5000000").expect(200).body == body);
    assert!(client.get("/stream/5000000").expect(200).body == body);
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    client.reply().expect(200);
    client.expect_end();
}

#[test]
fn both_tls_versions_and_the_protocol_offered_to_go() {
    let server = TlsGate::start(&[]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = trusting_with(server.folder.path(), &[version], &[b"h2", b"http/1.1"]);
        let mut client = Client::connect_tls(server.gate.address, config, "localhost").unwrap();
        client.get("/").expect(200);
        assert_eq!(client.tls().protocol_version(), Some(version.version));
        assert_eq!(client.tls().alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    let only_http2 = trusting_with(server.folder.path(), rustls::ALL_VERSIONS, &[b"h2"]);
    assert!(Client::connect_tls(server.gate.address, only_http2, "localhost").is_err());
}

#[test]
fn the_local_ca_vouches_for_the_names_given_and_no_others() {
    let server = TlsGate::start(&["pulumi.example.com", "10.1.2.3", "2001:db8::7"]);
    for name in ["pulumi.example.com", "10.1.2.3", "2001:db8::7", "localhost", "127.0.0.1", "::1"] {
        server.connect(name).unwrap().get("/").expect(200);
    }
    for name in ["example.com", "10.1.2.4", "2001:db8::8", "other"] {
        assert!(server.connect(name).is_err(), "{name}");
    }
}

/// Whoever takes the CA's key cannot pass for somebody else's host: clients refuse what it signs.
#[test]
fn the_local_ca_is_limited_to_its_names() {
    let (one, other) = (Folder::new(), Folder::new());
    let clock = Clock::default();
    local_ca(one.path(), &["a.example"], &clock).unwrap();
    local_ca(other.path(), &["b.example", "10.9.9.9"], &clock).unwrap();
    // The key of the first, in the place of the second's: its certificate is now for more than its CA.
    std::fs::copy(one.path().join("local-ca.key"), other.path().join("local-ca.key")).unwrap();
    let gate = start(Arc::new(local_ca(other.path(), &["b.example", "10.9.9.9"], &clock).unwrap()));
    for name in ["b.example", "10.9.9.9", "localhost"] {
        let error = Client::connect_tls(gate.address, trusting(one.path()), name).err().unwrap();
        assert!(error.to_string().contains("NameConstraint"), "{name}: {error}");
    }
}

#[test]
fn the_local_ca_outlives_the_server() {
    let server = TlsGate::start(&["a.example"]);
    let trust = trusting(server.folder.path());
    drop(server.gate);
    let gate = start(Arc::new(local_ca(server.folder.path(), &["a.example"], &server.clock).unwrap()));
    Client::connect_tls(gate.address, trust, "a.example").unwrap().get("/").expect(200);
    let error = local_ca(server.folder.path(), &["b.example"], &server.clock).unwrap_err().to_string();
    assert!(error.contains("was not made for b.example"), "{error}");
}

#[test]
fn the_local_ca_renews_its_certificate_in_time() {
    let server = TlsGate::start(&[]);
    let first = shown_by(&server.gate);
    server.clock.jump(59 * 86_400);
    server.tls.reload();
    assert!(shown_by(&server.gate) == first, "renewed too early");
    server.clock.jump(2 * 86_400);
    server.tls.reload();
    assert!(shown_by(&server.gate) != first, "not renewed");
    server.clock.jump(3650 * 86_400);
    let error = local_ca(server.folder.path(), &[], &server.clock).unwrap_err().to_string();
    assert!(error.contains("it ended on 203"), "{error}");
}

#[cfg(unix)]
#[test]
fn the_local_ca_keeps_its_key_to_itself() {
    use std::os::unix::fs::PermissionsExt;
    let server = TlsGate::start(&[]);
    let mode =
        |name| std::fs::metadata(server.folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("local-ca.key"), mode("local-ca.pem")), (0o600, 0o644));
    let line = server.tls.trust_line().unwrap();
    assert_eq!(line, format!("export SSL_CERT_FILE={}/local-ca.pem", server.folder.path().display()));
}

#[test]
fn names_that_are_none() {
    for name in ["", "a b", "-a", "a..b", "*.example.com", "http://a", "a:443"] {
        let folder = Folder::new();
        assert!(local_ca(folder.path(), &[name], &Clock::default()).is_err(), "{name:?}");
    }
}

/// Two pairs of files as an administrator has them, made with the local CA's own tools.
struct Pair {
    folder: Folder,
}

impl Pair {
    /// The CA's own certificate serves as a server's: only its bytes and its key matter here.
    fn new() -> Pair {
        let folder = Folder::new();
        local_ca(folder.path(), &[], &Clock::default()).unwrap();
        Pair { folder }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("local-ca.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("local-ca.key")
    }

    fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_file(self.certificate()).unwrap().to_vec()
    }
}

#[test]
fn changed_files_are_used_without_a_restart_and_bad_ones_are_not() {
    let (first, second) = (Pair::new(), Pair::new());
    let used = Folder::new();
    let (certificate, key) = (used.path().join("tls.pem"), used.path().join("tls.key"));
    let put = |pair: &Pair| {
        std::fs::copy(pair.key(), &key).unwrap();
        std::fs::copy(pair.certificate(), &certificate).unwrap();
    };
    put(&first);
    let tls = Arc::new(Tls::from_files(&certificate, &key).unwrap());
    let gate = start(tls.clone());
    assert!(shown_by(&gate) == first.der());
    put(&second);
    // Without being told to.
    let deadline = Instant::now() + PATIENCE;
    while shown_by(&gate) != second.der() {
        assert!(Instant::now() < deadline, "the changed certificate is not used");
        std::thread::sleep(Duration::from_millis(20));
    }
    // A pair that does not belong together, and then none at all.
    std::fs::copy(first.key(), &key).unwrap();
    tls.reload();
    assert!(shown_by(&gate) == second.der());
    std::fs::remove_file(&certificate).unwrap();
    tls.reload();
    assert!(shown_by(&gate) == second.der());
    put(&first);
    tls.reload();
    assert!(shown_by(&gate) == first.der());
}

/// The certificate that a new connection is shown.
fn shown_by(gate: &TestGate) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
    let mut client = Client::connect_tls(gate.address, Arc::new(config), "localhost").unwrap();
    client.get("/").expect(200);
    client.tls().peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (first, second) = (Pair::new(), Pair::new());
    let junk = first.folder.path().join("junk");
    std::fs::write(&junk, "junk").unwrap();
    let missing = Path::new("/nowhere/tls.pem");
    check(&first.certificate(), &second.key(), "is not the one of");
    check(missing, &first.key(), "/nowhere/tls.pem: No such file");
    check(&first.certificate(), missing, "/nowhere/tls.pem: No such file");
    check(&junk, &first.key(), "junk has no certificate");
    check(&first.certificate(), &junk, "junk has no private key");
    check(&first.key(), &first.key(), "has no certificate");

    #[track_caller]
    fn check(certificate: &Path, key: &Path, expected: &str) {
        let error = Tls::from_files(certificate, key).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn plain_http_on_an_https_port_is_told_so() {
    let server = TlsGate::start(&[]);
    let mut client = server.gate.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let reply = client.reply().expect(400);
    assert!(reply.text().contains("use https://"), "{}", reply.text());
    client.expect_end();
}

#[test]
fn clients_that_are_silent_or_talk_nonsense_delay_nobody() {
    let server = TlsGate::start(&[]);
    let silent: Vec<_> = (0..20).map(|_| server.gate.connect()).collect();
    for garbage in
        [&b"\0\0\0\0\0\0\0\0"[..], b"\x16\x03\x01\xff\xff\x01", b"\x16\x03\x01\0\x05hello", &[0xff; 3000]]
    {
        let mut client = server.gate.connect();
        client.send(garbage);
        client.end_sending();
        client.read_to_end();
    }
    let start = Instant::now();
    server.connect("127.0.0.1").unwrap().get("/").expect(200);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    drop(silent);
}

/// The same machinery as without TLS, but other code reads and writes.
#[test]
fn attacks_over_tls() {
    let server = TlsGate::start(&[]);
    let connect = || server.connect("localhost").unwrap();
    for length in ["999999999999", "18446744073709551615"] {
        for _ in 0..N_WORKERS + 1 {
            let mut client = connect();
            client.send(format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"));
            client.reply().expect(413);
        }
    }
    let mut readers: Vec<_> = (0..N_WORKERS + 2).map(|_| connect()).collect();
    let mut senders: Vec<_> = (0..N_WORKERS + 2).map(|_| connect()).collect();
    for client in &mut readers {
        client.send("GET /bytes/20000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    for client in &mut senders {
        client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nslow");
    }
    let start = Instant::now();
    connect().get("/echo").expect(200);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    for client in &mut readers {
        assert_eq!(client.reply().expect(200).body.len(), 20_000_000);
    }
    for client in &mut senders {
        client.send([b'x'; 996]);
        client.reply().expect(200);
    }
}

/// A hello as OpenSSL sends it when told that the server's name is "127.0.0.1", which is no name.
const HELLO_TO_AN_ADDRESS: &str = "\
    1603010124010001200303fc808ac1d523ae9b06e7f236560966f5c56593442d386ee09d79d87b8b5213a9204c4abf545ef8\
    f6377ea3c8c571bb4a2ba496dd3ca82ef050248c0bb5974d285d003e130213031301c02cc030009fcca9cca8ccaac02bc02f\
    009ec024c028006bc023c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff010000990000000e000c\
    0000093132372e302e302e31000b000403000102000a00040002001d002300000016000000170000000d002a002804030503\
    0603080708080809080a080b080408050806040105010601030303010302040205020602002b000908030403030302030100\
    2d00020101003300260024001d0020b1aa82faf3f7dc04942c86a58bdf52d0490154249b82945cd1f6282fe0cb3c18";

#[test]
fn a_client_that_gives_an_address_as_the_servers_name_is_served() {
    let server = TlsGate::start(&[]);
    let byte = |at: usize| u8::from_str_radix(&HELLO_TO_AN_ADDRESS[at..at + 2], 16).unwrap();
    let hello: Vec<u8> = (0..HELLO_TO_AN_ADDRESS.len()).step_by(2).map(byte).collect();
    let mut client = server.gate.connect();
    client.send(hello);
    client.end_sending();
    let answer = client.read_to_end();
    // A handshake record with a ServerHello in it, not an alert.
    assert_eq!((answer[0], answer[5]), (0x16, 0x02));
}

#[test]
fn a_handshake_that_is_not_finished_in_time_is_cut() {
    let folder = Folder::new();
    let tls = Arc::new(local_ca(folder.path(), &[], &Clock::default()).unwrap());
    let head_deadline = Duration::from_millis(50);
    let gate = TestGate::start_with(Settings { tls: Some(tls), head_deadline, ..Settings::default() });
    gate.connect().expect_end();
    let mut client = gate.connect();
    client.send(b"\x16\x03\x01");
    client.expect_end();
}
