//! Whom a request is from, with and without proxies that may say so.

use pulumi_backend::gate::{Settings, TrustedProxies};

use crate::support::TestGate;

#[test]
fn forwarded_addresses_count_only_from_trusted_proxies() {
    let nobody = start("");
    check(&nobody, "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "127.0.0.1", false);
    let other = start("10.0.0.0/8,unix");
    check(&other, "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "127.0.0.1", false);
}

#[test]
fn the_right_most_stranger_is_the_client() {
    let gate = start("127.0.0.0/8, 10.0.0.0/8, fd00::/8");
    check(&gate, "", "127.0.0.1", false);
    check(&gate, "X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4", false);
    check(&gate, "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n", "1.2.3.4", false);
    check(&gate, "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.1.1,\tfd00::1\r\n", "1.2.3.4", false);
    check(
        &gate,
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 10.1.1.1\r\n",
        "1.2.3.4",
        false,
    );
    check(&gate, "X-Forwarded-For: 1.2.3.4:5678\r\n", "1.2.3.4", false);
    check(&gate, "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1", false);
    check(&gate, "X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1", false);
    check(&gate, "X-Forwarded-For: [2001:db8::1]:5678\r\n", "2001:db8::1", false);
    check(&gate, "X-Forwarded-For: ::ffff:1.2.3.4\r\n", "1.2.3.4", false);
    // Nothing but proxies: the first of them asks for itself.
    check(&gate, "X-Forwarded-For: 10.1.1.1, 10.1.1.2\r\n", "10.1.1.1", false);
    // What is no address hides whatever stands left of it.
    check(&gate, "X-Forwarded-For: 1.2.3.4, unknown, 10.1.1.2\r\n", "10.1.1.2", false);
    check(&gate, "X-Forwarded-For: \r\n", "127.0.0.1", false);
    check(&gate, "X-Forwarded-Proto: http, https\r\n", "127.0.0.1", true);
    check(&gate, "X-Forwarded-Proto: https, http\r\n", "127.0.0.1", false);
}

#[test]
fn lists_of_proxies() {
    for list in ["", "unix", "10.0.0.1", "0.0.0.0/0,::/0", " 10.0.0.0/8 , ::1 "] {
        assert!(TrustedProxies::parse(list).is_ok(), "{list:?}");
    }
    for list in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0", "proxy.example", "10.0.0.0/8/8"] {
        assert!(TrustedProxies::parse(list).is_err(), "{list:?}");
    }
    check(&start("0.0.0.0/0"), "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n", "1.2.3.4", false);
    check(&start("127.0.0.1"), "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n", "5.6.7.8", false);
}

fn start(proxies: &str) -> TestGate {
    let trusted_proxies = TrustedProxies::parse(proxies).unwrap();
    TestGate::start_with(Settings { trusted_proxies, ..Settings::default() })
}

#[track_caller]
fn check(gate: &TestGate, fields: &str, peer: &str, is_tls: bool) {
    let mut client = gate.connect();
    client.send(format!("GET /echo HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
    let seen = client.reply().expect(200).text();
    let expected = format!("x-gate-peer: {peer}\nx-gate-tls: {}\n", u8::from(is_tls));
    assert!(seen.contains(&expected), "{fields:?}: {seen}");
}
