//! Signature V4: who asks, and that nobody changed what is asked on the way.
//!
//! Source: Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header".

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::crypto::hex;
use crate::crypto::hmac::hmac_sha256;

/// Who asks.
#[derive(Clone)]
pub struct Credentials {
    /// The key's id, which is no secret.
    pub access_key: String,
    /// The key.
    pub secret_key: Zeroizing<String>,
    /// For keys that end soon; empty if there is none.
    pub session_token: Zeroizing<String>,
}

/// What is asked, as far as it is signed.
pub struct Request<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// The path, not yet encoded.
    pub path: &'a str,
    /// The query, not yet encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Every header, `host` among them, names in lower case.
    pub headers: &'a [(&'a str, String)],
    /// SHA-256 of the body, in hex.
    pub body_sha256: &'a str,
}

/// The value of the header `Authorization`. `time` is that of the header `x-amz-date`, as `20150830T123600Z`.
pub fn authorization(
    request: &Request,
    credentials: &Credentials,
    region: &str,
    service: &str,
    time: &str,
) -> String {
    let day = &time[..8];
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let (canonical, signed_headers) = canonical(request);
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let secret = Zeroizing::new(format!("AWS4{}", credentials.secret_key.as_str()));
    let steps = [day, region, service, "aws4_request"];
    let key = steps.iter().fold(Zeroizing::new(secret.as_bytes().to_vec()), |key, step| {
        Zeroizing::new(hmac_sha256(&key, step.as_bytes()).to_vec())
    });
    let signature = hex(&hmac_sha256(&key, to_sign.as_bytes()));
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={signature}",
        credentials.access_key
    )
}

/// The form that both sides hash, and the names of its headers.
fn canonical(request: &Request) -> (String, String) {
    let mut headers: Vec<_> = request.headers.iter().map(|(name, value)| (*name, value.trim())).collect();
    headers.sort_unstable();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let Request { method, path, query, body_sha256, .. } = request;
    let (path, query) = (encode(path, true), query_text(query));
    (format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{body_sha256}"), names)
}

/// The query as it is sent and signed: encoded, and in order.
pub fn query_text(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

/// Encodes all but letters, digits and `-._~`; in a path the slashes stay.
pub fn encode(text: &str, is_path: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            b'/' if is_path => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
