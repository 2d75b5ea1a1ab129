//! Plain calls, for what the CLI does not print, or would take long to make.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// The JSON that the server at `address` (`127.0.0.1:PORT`) answers with; the status must be 200.
#[track_caller]
pub fn get(address: &str, path: &str) -> Value {
    call(address, &format!("GET {path}"), "")
}

/// As `get`, with a body of JSON to send.
#[track_caller]
pub fn post(address: &str, path: &str, body: &str) -> Value {
    call(address, &format!("POST {path}"), body)
}

#[track_caller]
fn call(address: &str, what: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(address).expect("connect to the server");
    let fixed = "Authorization: token any\r\nContent-Type: application/json\r\nConnection: close";
    let length = body.len();
    let request =
        format!("{what} HTTP/1.1\r\nHost: {address}\r\n{fixed}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("send a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{what}:\n{answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{what} is not JSON ({error}):\n{answer}"))
}
