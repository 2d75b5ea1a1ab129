//! Where the gate listens: sockets it is given.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::time::Duration;

use pulumi_backend::gate::{Listener, LocalAddress, Settings};

use crate::support::client::Client;
use crate::support::engine::Engine;
use crate::support::folder::Folder;
use crate::support::start_gate;

#[test]
fn a_unix_socket() {
    let (folder, engine) = (Folder::new(), Engine::start());
    let path = folder.path().join("gate.sock");
    let listener = Listener::from_fd(OwnedFd::from(UnixListener::bind(&path).unwrap())).unwrap();
    let gate =
        start_gate(listener, &engine, Settings { connections_per_address_max: 0, ..Settings::default() });
    assert_eq!(*gate.local_address(), LocalAddress::Unix(Some(path.clone())));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("x-gate-peer: unix\nx-gate-tls: 0\n"), "{answer}");
    gate.stop(Duration::from_secs(1));
}

#[test]
fn an_inherited_tcp_socket() {
    let engine = Engine::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gate = start_gate(Listener::from_fd(OwnedFd::from(listener)).unwrap(), &engine, Settings::default());
    assert_eq!(*gate.local_address(), LocalAddress::Tcp(address));
    Client::connect(address).get("/echo").expect(200);
    gate.stop(Duration::from_secs(1));
}

#[test]
fn an_ipv6_socket() {
    let engine = Engine::start();
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gate = start_gate(Listener::Tcp(listener), &engine, Settings::default());
    let seen = Client::connect(address).get("/echo").expect(200).text();
    assert!(seen.contains("x-gate-peer: ::1\n"), "{seen}");
    gate.stop(Duration::from_secs(1));
}

#[test]
fn a_file_is_no_socket() {
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(Listener::from_fd(OwnedFd::from(file)).is_err());
    assert!(Listener::from_fd(OwnedFd::from(UnixDatagram::unbound().unwrap())).is_err());
}

#[test]
fn an_engine_that_is_not_there() {
    let mut engine = Engine::start();
    engine.path = "/nowhere/engine.sock".into();
    let listener = Listener::Tcp(TcpListener::bind("127.0.0.1:0").unwrap());
    let error =
        crate::support::try_start_gate(listener, &engine, Settings::default()).err().unwrap().to_string();
    assert!(error.contains("HTTP engine"), "{error}");
}
