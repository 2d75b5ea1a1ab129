//! Secrets, a thousand small values in one call.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::figures::Figures;
use crate::floor::Work;
use crate::stack::Stack;
use crate::target::{Body, Target};

const N_VALUES: usize = 1000;
const N_CALLS: usize = 50;

/// `batch-encrypt`, and all of it must open again.
pub fn encrypt(target: &Target, figures: &mut Figures) {
    let mut stack = Stack::create(target);
    let request = encrypt_request(&stack);
    figures.begin(target);
    let mut answer = None;
    for _ in 0..N_CALLS {
        answer = Some(figures.time(|| stack.client.call(&request)));
    }
    figures.end(target, N_CALLS);
    figures.work = Work::calls(1);
    let request = decrypt_request(&stack, &answer.expect("called").json());
    check(&stack.client.call(&request.0).json(), &request.1);
}

/// `batch-decrypt`.
pub fn decrypt(target: &Target, figures: &mut Figures) {
    let mut stack = Stack::create(target);
    let encrypted = stack.client.call(&encrypt_request(&stack)).json();
    let (request, ciphertexts) = decrypt_request(&stack, &encrypted);
    figures.begin(target);
    let mut answer = None;
    for _ in 0..N_CALLS {
        answer = Some(figures.time(|| stack.client.call(&request)));
    }
    figures.end(target, N_CALLS);
    figures.work = Work::calls(1);
    check(&answer.expect("called").json(), &ciphertexts);
}

fn plaintext(i: usize) -> String {
    STANDARD.encode(format!("\"hunter2 number {i} of many\""))
}

fn encrypt_request(stack: &Stack) -> Vec<u8> {
    let values: Vec<String> = (0..N_VALUES).map(plaintext).collect();
    let body = serde_json::json!({ "plaintexts": values }).to_string();
    stack.post("batch-encrypt", &Body::packed(&body))
}

/// The request that opens what was encrypted, and the ciphertexts in it.
fn decrypt_request(stack: &Stack, encrypted: &Value) -> (Vec<u8>, Vec<String>) {
    let ciphertexts: Vec<String> =
        serde_json::from_value(encrypted["ciphertexts"].clone()).expect("ciphertexts");
    let body = serde_json::json!({ "ciphertexts": ciphertexts }).to_string();
    (stack.post("batch-decrypt", &Body::packed(&body)), ciphertexts)
}

fn check(answer: &Value, ciphertexts: &[String]) {
    assert_eq!(ciphertexts.len(), N_VALUES, "number of ciphertexts");
    for (i, ciphertext) in ciphertexts.iter().enumerate() {
        assert_eq!(answer["plaintexts"][ciphertext], plaintext(i), "value {i} after encrypt and decrypt");
    }
}
