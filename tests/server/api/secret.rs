//! Encrypting and decrypting: single and in batches, for one stack and no other.

use crate::support::http::{Request, Response};
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use serde_json::{Value, json};

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = |chunk: &[u8]| {
        let n = chunk.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        let letter =
            |i: usize| if i <= chunk.len() { char::from(LETTERS[n >> (18 - 6 * i) & 63]) } else { '=' };
        [letter(0), letter(1), letter(2), letter(3)]
    };
    bytes.chunks(3).flat_map(letters).collect()
}

fn encrypt(stack: &TestStack, plaintext: &str) -> String {
    let body = stack.post("/encrypt", &json!({ "plaintext": plaintext })).expect(&[200]).json();
    body["ciphertext"].as_str().expect("a ciphertext").to_string()
}

fn decrypt(stack: &TestStack, ciphertext: &str) -> Response {
    stack.post("/decrypt", &json!({ "ciphertext": ciphertext }))
}

fn batch(stack: &TestStack, rest: &str, body: &Value) -> Response {
    stack.send(&stack.request("POST", rest).json(body).gzip())
}

#[test]
fn base64_is_the_standard_one() {
    for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
        assert_eq!(base64(plain.as_bytes()), text);
    }
}

#[test]
fn a_secret_comes_back_as_it_went_in() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let large: Vec<u8> = (0..4 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for plain in [&b""[..], b"s3cr3t", b"\x00\xff\xfe not UTF-8", &large] {
        let plaintext = base64(plain);
        let ciphertext = encrypt(&stack, &plaintext);
        assert!(plain.len() < 6 || !ciphertext.contains(&plaintext[..8]), "not encrypted at all");
        let opened = decrypt(&stack, &ciphertext).expect(&[200]).json();
        assert!(opened["plaintext"] == plaintext.as_str(), "{} bytes came back changed", plain.len());
    }
}

#[test]
fn the_same_secret_is_never_encrypted_the_same_way() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    assert_ne!(encrypt(&stack, "YQ=="), encrypt(&stack, "YQ=="));
}

#[test]
fn a_batch_keeps_its_order_and_length() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let plaintexts: Vec<String> =
        (0..1000).map(|i| base64(format!("secret {}", i % 990).as_bytes())).collect();
    let body = batch(&stack, "/batch-encrypt", &json!({ "plaintexts": plaintexts })).expect(&[200]).json();
    let ciphertexts: Vec<&str> =
        body["ciphertexts"].as_array().expect("a list").iter().map(|it| it.as_str().expect("text")).collect();
    assert_eq!(ciphertexts.len(), plaintexts.len());

    let opened =
        batch(&stack, "/batch-decrypt", &json!({ "ciphertexts": ciphertexts })).expect(&[200]).json();
    for (ciphertext, plaintext) in ciphertexts.iter().zip(&plaintexts) {
        assert_eq!(opened["plaintexts"][ciphertext], plaintext.as_str());
    }
    let twice = batch(&stack, "/batch-decrypt", &json!({ "ciphertexts": [ciphertexts[0], ciphertexts[0]] }))
        .expect(&[200]);
    assert_eq!(
        twice.json()["plaintexts"].as_object().expect("a map").len(),
        1,
        "a repeated ciphertext is one key"
    );
}

#[test]
fn an_empty_batch_is_answered_emptily() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    assert_eq!(
        batch(&stack, "/batch-encrypt", &json!({ "plaintexts": [] })).expect(&[200]).json()["ciphertexts"],
        json!([])
    );
    assert_eq!(
        batch(&stack, "/batch-decrypt", &json!({ "ciphertexts": [] })).expect(&[200]).json()["plaintexts"],
        json!({})
    );
}

#[test]
fn garbage_is_refused_and_never_answered_in_part() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let good = encrypt(&stack, "YQ==");
    let mut damaged = good.clone().into_bytes();
    damaged[20] = if damaged[20] == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).expect("text");
    for bad in
        ["", "YQ==", "not base64!", &damaged, &good[4..], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        decrypt(&stack, bad).expect(&[400]);
        batch(&stack, "/batch-decrypt", &json!({ "ciphertexts": [good, bad] })).expect(&[400]);
    }
    for body in [
        json!({}),
        json!({ "plaintext": 1 }),
        json!({ "plaintext": "!" }),
        json!([]),
        json!({ "plaintext": "YQ" }),
    ] {
        stack.post("/encrypt", &body).expect(&[400]);
    }
    for body in [
        json!({ "plaintexts": "YQ==" }),
        json!({ "plaintexts": ["YQ==", "!"] }),
        json!({ "plaintexts": [1] }),
    ] {
        batch(&stack, "/batch-encrypt", &body).expect(&[400]);
    }
    stack.send(&stack.request("POST", "/encrypt").bytes("{\"plaintext\":")).expect(&[400]);
    decrypt(&stack, &good).expect(&[200]);
}

#[test]
fn each_stack_has_a_key_of_its_own() {
    let server = TestServer::start();
    let (dev, prod) = (server.create_stack("web", "dev"), server.create_stack("web", "prod"));
    let ciphertext = encrypt(&dev, "YQ==");
    decrypt(&prod, &ciphertext).expect(&[400]);
    decrypt(&dev, &ciphertext).expect(&[200]);

    dev.delete(true).ok();
    decrypt(&dev, &ciphertext).expect(&[404]);
    dev.create(json!({})).ok();
    decrypt(&dev, &ciphertext).expect(&[400]);
}

#[test]
fn secrets_of_many_new_stacks_at_once_all_open() {
    let server = TestServer::start();
    std::thread::scope(|scope| {
        for i in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let stack = server.create_stack("web", &format!("dev-{}", i / 2 * 2 + i % 2));
                let ciphertexts: Vec<String> = (0..4).map(|_| encrypt(&stack, "c2FtZQ==")).collect();
                for ciphertext in ciphertexts {
                    assert_eq!(decrypt(&stack, &ciphertext).expect(&[200]).json()["plaintext"], "c2FtZQ==");
                }
            });
        }
    });
}

#[test]
fn secrets_open_during_an_update_and_after_a_crash() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let ciphertext = encrypt(&stack, "YQ==");
    update.complete("succeeded").ok();
    server.crash_and_restart();
    assert_eq!(decrypt(&server.stack("web", "dev"), &ciphertext).expect(&[200]).json()["plaintext"], "YQ==");
}

#[test]
fn reports_of_decryptions_are_taken() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.post("/decrypt/log-decryption", &json!({ "secretName": "web:password" })).ok();
    stack.post("/decrypt/log-batch-decryption", &json!({ "commandName": "pulumi stack export" })).ok();
}

#[test]
fn secrets_of_a_stack_that_does_not_exist_are_a_404() {
    let server = TestServer::start();
    let stack = server.stack("web", "nope");
    stack
        .post("/encrypt", &json!({ "plaintext": "YQ==" }))
        .expect_error(404, "Not Found: Stack 'organization/web/nope' not found");
    decrypt(&stack, "YQ==").expect(&[404]);
    batch(&stack, "/batch-encrypt", &json!({ "plaintexts": [] })).expect(&[404]);
    batch(&stack, "/batch-decrypt", &json!({ "ciphertexts": [] })).expect(&[404]);
    stack.post("/decrypt/log-decryption", &json!({ "secretName": "a:b" })).expect(&[404]);
    server.send(&Request::new("GET", stack.path("/encrypt"))).expect(&[404, 405]);
}
