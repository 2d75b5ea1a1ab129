//! One plain GET, for what the CLI does not print.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// The JSON that the server at `address` (`127.0.0.1:PORT`) answers with; the status must be 200.
#[track_caller]
pub fn get(address: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).expect("connect to the server");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: token any\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("send a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "GET {path}:\n{answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("GET {path} is not JSON ({error}):\n{answer}"))
}
