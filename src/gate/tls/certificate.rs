//! X.509 certificates of one kind: ECDSA on P-256, for a local CA and the server it vouches for.
//!
//! DER is written, never read. Source: RFC 5280; the algorithm identifiers RFC 5480 and 5758.

use std::net::IpAddr;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{EcdsaKeyPair, KeyPair};

use crate::clock::date_time;

/// A host name or an address, as a certificate has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Dns(String),
    Ip(IpAddr),
}

/// Whom a certificate is for.
pub(super) enum Role<'a> {
    /// Vouches for servers with these names and for nothing else.
    Ca { permitted: &'a [Name] },
    /// A server with these names.
    Server { names: &'a [Name] },
}

/// From when to when, in seconds since 1970.
pub(super) struct Validity {
    pub from_unix: i64,
    pub to_unix: i64,
}

const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const OID_SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
const OID_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const OID_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const OID_NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
const OID_AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
const OID_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const OID_SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[n]`, primitive and constructed.
const CONTEXT: u8 = 0x80;
const CONTEXT_CONSTRUCTED: u8 = 0xa0;

/// A certificate for `public_key`, signed with `issuer_key`. Common names are for people.
pub(super) fn sign(
    role: &Role,
    subject: &str,
    public_key: &[u8],
    issuer: &str,
    issuer_key: &EcdsaKeyPair,
    validity: &Validity,
) -> Result<Vec<u8>, ring::error::Unspecified> {
    let random = SystemRandom::new();
    let mut serial = [0; 16];
    random.fill(&mut serial)?;
    // Positive and without a leading zero byte, as DER has it.
    serial[0] = serial[0] & 0x7f | 0x40;
    let algorithm = der(SEQUENCE, &[&der(OID, &[OID_ECDSA_SHA256])]);
    let to_be_signed = der(
        SEQUENCE,
        &[
            &der(CONTEXT_CONSTRUCTED, &[&der(INTEGER, &[&[2]])]),
            &der(INTEGER, &[&serial]),
            &algorithm,
            &common_name(issuer),
            &der(SEQUENCE, &[&time(validity.from_unix), &time(validity.to_unix)]),
            &common_name(subject),
            &public_key_info(public_key),
            &extensions(role, public_key, issuer_key.public_key().as_ref()),
        ],
    );
    let signature = issuer_key.sign(&random, &to_be_signed)?;
    Ok(der(SEQUENCE, &[&to_be_signed, &algorithm, &der(BIT_STRING, &[&[0], signature.as_ref()])]))
}

/// Whether a CA's certificate, made here, is for servers called `name`.
pub(super) fn permits(ca_certificate: &[u8], name: &Name) -> bool {
    let subtree = permitted_subtree(name);
    ca_certificate.windows(subtree.len()).any(|window| window == subtree)
}

/// When a certificate made here ends, as the fourteen digits of its date and time.
pub(super) fn ends(certificate: &[u8]) -> Option<String> {
    let time_at = |at: usize| {
        let (n_digits, century) = match certificate.get(at..at + 2)? {
            [UTC_TIME, 13] => (12, "20"),
            [GENERALIZED_TIME, 15] => (14, ""),
            _ => return None,
        };
        let digits = certificate.get(at + 2..at + 2 + n_digits)?;
        let is_time =
            digits.iter().all(u8::is_ascii_digit) && certificate.get(at + 2 + n_digits) == Some(&b'Z');
        is_time.then(|| format!("{century}{}", String::from_utf8_lossy(digits)))
    };
    // The first time is the beginning.
    (0..certificate.len()).filter_map(time_at).nth(1)
}

/// A time as `ends` gives it.
pub(super) fn time_digits(unix: i64) -> String {
    date_time(unix).chars().filter(char::is_ascii_digit).collect()
}

fn extensions(role: &Role, public_key: &[u8], issuer_public_key: &[u8]) -> Vec<u8> {
    let own_key_id = der(OCTET_STRING, &[&key_id(public_key)]);
    let issuer_key_id = der(SEQUENCE, &[&der(CONTEXT, &[&key_id(issuer_public_key)])]);
    let server_auth = der(SEQUENCE, &[&der(OID, &[OID_SERVER_AUTH])]);
    let mut all = vec![
        extension(OID_SUBJECT_KEY_ID, false, &own_key_id),
        extension(OID_AUTHORITY_KEY_ID, false, &issuer_key_id),
        extension(OID_EXTENDED_KEY_USAGE, false, &server_auth),
    ];
    match role {
        Role::Ca { permitted } => {
            let subtrees: Vec<u8> = permitted.iter().flat_map(permitted_subtree).collect();
            let no_further_ca = der(SEQUENCE, &[&der(BOOLEAN, &[&[0xff]]), &der(INTEGER, &[&[0]])]);
            all.push(extension(OID_BASIC_CONSTRAINTS, true, &no_further_ca));
            // keyCertSign and cRLSign: bits 5 and 6, one bit unused.
            all.push(extension(OID_KEY_USAGE, true, &der(BIT_STRING, &[&[1, 0b0000_0110]])));
            let permitted = der(SEQUENCE, &[&der(CONTEXT_CONSTRUCTED, &[&subtrees])]);
            all.push(extension(OID_NAME_CONSTRAINTS, true, &permitted));
        }
        Role::Server { names } => {
            let names: Vec<u8> = names.iter().flat_map(|name| general_name(name, false)).collect();
            // digitalSignature: bit 0, seven bits unused.
            all.push(extension(OID_KEY_USAGE, true, &der(BIT_STRING, &[&[7, 0b1000_0000]])));
            all.push(extension(OID_ALT_NAME, false, &der(SEQUENCE, &[&names])));
        }
    }
    der(CONTEXT_CONSTRUCTED | 3, &[&der(SEQUENCE, &[&all.concat()])])
}

fn extension(oid: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { der(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    der(SEQUENCE, &[&der(OID, &[oid]), &critical, &der(OCTET_STRING, &[value])])
}

fn permitted_subtree(name: &Name) -> Vec<u8> {
    der(SEQUENCE, &[&general_name(name, true)])
}

/// In a constraint an address is followed by its mask.
fn general_name(name: &Name, is_constraint: bool) -> Vec<u8> {
    match name {
        Name::Dns(name) => der(CONTEXT | 2, &[name.as_bytes()]),
        Name::Ip(address) => {
            let octets = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            let mask = vec![0xff; if is_constraint { octets.len() } else { 0 }];
            der(CONTEXT | 7, &[&octets, &mask])
        }
    }
}

fn common_name(name: &str) -> Vec<u8> {
    let attribute = der(SEQUENCE, &[&der(OID, &[OID_COMMON_NAME]), &der(UTF8_STRING, &[name.as_bytes()])]);
    der(SEQUENCE, &[&der(SET, &[&attribute])])
}

fn public_key_info(public_key: &[u8]) -> Vec<u8> {
    let algorithm = der(SEQUENCE, &[&der(OID, &[OID_EC_PUBLIC_KEY]), &der(OID, &[OID_P256])]);
    der(SEQUENCE, &[&algorithm, &der(BIT_STRING, &[&[0], public_key])])
}

/// The first 160 bits of the key's SHA-256. Source: RFC 7093, method 1.
fn key_id(public_key: &[u8]) -> [u8; 20] {
    let digest = ring::digest::digest(&ring::digest::SHA256, public_key);
    let mut key_id = [0; 20];
    key_id.copy_from_slice(&digest.as_ref()[..20]);
    key_id
}

/// Two-digit years until 2049, four digits after. Source: RFC 5280, 4.1.2.5.
fn time(unix: i64) -> Vec<u8> {
    let digits = time_digits(unix);
    let is_short = digits.as_str() < "2050" && digits.as_str() >= "1950";
    let (tag, digits) = if is_short { (UTC_TIME, &digits[2..]) } else { (GENERALIZED_TIME, &digits[..]) };
    der(tag, &[digits.as_bytes(), b"Z"])
}

/// Tag, length, and the parts one after the other.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let n_zero = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        out.push(0x80 | (bytes.len() - n_zero) as u8);
        out.extend_from_slice(&bytes[n_zero..]);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}
