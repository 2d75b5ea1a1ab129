//! Credentials that can be told by what they look like.

use super::sieve::{Sieve, place};
use crate::domain::plain;

/// The characters of a token.
#[derive(Clone, Copy)]
enum Set {
    /// `0-9 a-f`
    Hex,
    /// `0-9 A-Z`
    Upper,
    /// `0-9 a-z`
    Lower,
    /// `0-9 A-Z a-z`
    Alnum,
    /// Those, `_` and `-`: what base64 for addresses has.
    Url,
    /// Those of `Url`, and `.`
    Dotted,
    /// Those of `Alnum`, `+`, `/` and `=`
    Base64,
    /// All that can be seen.
    Any,
}

impl Set {
    fn has(self, byte: u8) -> bool {
        let is_url = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match self {
            Set::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Set::Upper => matches!(byte, b'0'..=b'9' | b'A'..=b'Z'),
            Set::Lower => matches!(byte, b'0'..=b'9' | b'a'..=b'z'),
            Set::Alnum => byte.is_ascii_alphanumeric(),
            Set::Url => is_url,
            Set::Dotted => is_url || byte == b'.',
            Set::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Set::Any => byte.is_ascii_graphic(),
        }
    }
}

/// A token that begins alike: prefix, then so many characters of a set, at least and at most.
struct Token {
    what: &'static str,
    prefixes: &'static [&'static str],
    set: Set,
    n_min: usize,
    n_max: usize,
}

const fn token(
    what: &'static str,
    prefixes: &'static [&'static str],
    set: Set,
    n_min: usize,
    n_max: usize,
) -> Token {
    Token { what, prefixes, set, n_min, n_max }
}

/// What their makers say of their tokens, and what other scanners look for. Identifiers that are public are not in it.
#[rustfmt::skip]
const TOKENS: &[Token] = &[
    token("an access key of AWS", &["AKIA", "ASIA", "ABIA", "ACCA"], Set::Upper, 16, 16),
    token("an API key of Google", &["AIza"], Set::Url, 35, 35),
    token("a client secret of Google", &["GOCSPX-"], Set::Url, 28, 28),
    token("an access token of Google", &["ya29."], Set::Dotted, 30, 4096),
    token("a service account key of Google", &["ewogICJ0eXBlIjogInNlcnZpY2VfYWNjb3Vud", "eyJ0eXBlIjoic2VydmljZV9hY2NvdW50I"], Set::Base64, 200, 8192),
    token("a token of GitHub", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], Set::Alnum, 36, 255),
    token("a token of GitHub", &["github_pat_"], Set::Url, 60, 255),
    token("a token of GitLab", &["glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-", "glffct-"], Set::Dotted, 20, 300),
    token("a token of Bitbucket", &["ATBB"], Set::Alnum, 32, 40),
    token("a token of Atlassian", &["ATATT3xFfGF0"], Set::Any, 100, 300),
    token("a token of Slack", &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xoxe.xoxb-", "xoxe.xoxp-", "xapp-"], Set::Dotted, 20, 300),
    token("a webhook of Slack", &["https://hooks.slack.com/services/T", "https://hooks.slack.com/workflows/T"], Set::Any, 30, 200),
    token("a key of Stripe", &["sk_live_", "sk_test_", "rk_live_", "rk_test_"], Set::Alnum, 16, 255),
    token("a webhook secret of Stripe", &["whsec_"], Set::Base64, 24, 100),
    token("a token of npm", &["npm_"], Set::Alnum, 36, 36),
    token("a token of PyPI", &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"], Set::Url, 50, 1024),
    token("a key of RubyGems", &["rubygems_"], Set::Hex, 48, 48),
    token("a token of crates.io", &["cio"], Set::Alnum, 32, 32),
    token("a key of NuGet", &["oy2"], Set::Lower, 43, 43),
    token("a token of Pulumi", &["pul-"], Set::Hex, 40, 64),
    token("a token of DigitalOcean", &["dop_v1_", "doo_v1_", "dor_v1_"], Set::Hex, 64, 64),
    token("a key of SendGrid", &["SG."], Set::Dotted, 66, 66),
    token("a key of Mailgun", &["key-"], Set::Hex, 32, 32),
    token("a token of Docker Hub", &["dckr_pat_", "dckr_oat_"], Set::Url, 27, 64),
    token("a token of Vault", &["hvs.", "hvb.", "hvr."], Set::Url, 24, 300),
    token("a token of Databricks", &["dapi"], Set::Hex, 32, 32),
    token("a token of Doppler", &["dp.pt.", "dp.st.", "dp.sa.", "dp.ct."], Set::Dotted, 40, 80),
    token("a token of Grafana", &["glc_"], Set::Base64, 32, 400),
    token("a service account token of Grafana", &["glsa_"], Set::Url, 41, 41),
    token("a token of Sentry", &["sntryu_"], Set::Hex, 64, 64),
    token("a token of Sentry", &["sntrys_eyJ"], Set::Any, 60, 500),
    token("a key of New Relic", &["NRAK-"], Set::Upper, 27, 27),
    token("a token of Shopify", &["shpat_", "shpca_", "shppa_", "shpss_"], Set::Alnum, 32, 32),
    token("a key of OpenAI", &["sk-proj-", "sk-svcacct-", "sk-admin-"], Set::Url, 40, 300),
    token("a key of Anthropic", &["sk-ant-"], Set::Url, 80, 200),
    token("a token of Hugging Face", &["hf_"], Set::Alnum, 34, 40),
    token("a key of Linear", &["lin_api_"], Set::Alnum, 40, 40),
    token("a token of PlanetScale", &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"], Set::Dotted, 32, 64),
    token("a token of Supabase", &["sbp_"], Set::Hex, 40, 40),
    token("a token of Netlify", &["nfp_"], Set::Alnum, 36, 40),
    token("a key of Postman", &["PMAK-"], Set::Url, 59, 59),
    token("a key of Tailscale", &["tskey-auth-", "tskey-api-", "tskey-client-"], Set::Url, 20, 100),
    token("a key of Alibaba Cloud", &["LTAI"], Set::Alnum, 17, 21),
    token("a private key of age", &["AGE-SECRET-KEY-1"], Set::Upper, 58, 58),
];

const PRIVATE_KEY: &str = "a private key";
const SERVICE_ACCOUNT: &str = "a service account key of Google";
const JWT: &str = "a JWT";
const AZURE_CONNECTION: &str = "a connection string with a key of Azure";
const AZURE_CLIENT: &str = "a client secret of Azure";
const AWS_SECRET: &str = "a secret key of AWS";
const AZURE_STORAGE: &str = "a storage key of Azure";

/// How connection strings of Azure begin.
const CONNECTIONS: &[&str] =
    &["DefaultEndpointsProtocol=", "AccountName=", "BlobEndpoint=", "Endpoint=sb://", "HostName="];
/// How a service account key begins, without space: as Google writes it, and with its members sorted.
const SERVICE_ACCOUNTS: &[&str] =
    &[r#"{"type":"ser"#, r#"{"auth_provi"#, r#"{"auth_uri":"#, r#"{"private_ke"#, r#"{"project_id"#];
/// Members under whose name a bare key is known for what it is, in lower case, without `_` and `-`.
const AWS_NAMES: &[&str] = &["secretkey", "secretaccesskey", "awssecretkey", "awssecretaccesskey"];
const AZURE_NAMES: &[&str] =
    &["accountkey", "storageaccountkey", "primaryaccesskey", "secondaryaccesskey", "storageaccountaccesskey"];
/// First bytes of such names, as they are written.
const NAME_HEADS: &[&str] = &[
    "secr", "Secr", "SECR", "aws_", "AWS_", "awsS", "AwsS", "acco", "Acco", "ACCO", "stor", "Stor", "STOR",
    "prim", "PRIM", "seco", "SECO",
];

/// A sieve that lets through whatever may be one of them, or a member that may hold one.
pub fn sieve() -> Sieve {
    let mut sieve = Sieve::default();
    for prefix in prefixes().chain(NAME_HEADS.iter().copied()) {
        add(&mut sieve, prefix.as_bytes());
    }
    sieve
}

/// All heads that begin with a prefix; what follows a short one can be seen.
fn add(sieve: &mut Sieve, prefix: &[u8]) {
    match prefix.first_chunk::<4>() {
        Some(head) => sieve.add(place(*head)),
        None => {
            for byte in 0x21..0x7f {
                add(sieve, &[prefix, &[byte]].concat());
            }
        }
    }
}

/// Whether a string that begins like this may be one of them. `start` has its first twelve bytes; `sieve` is that of
/// the shapes.
pub fn may_begin(sieve: &Sieve, start: &[u8; 12]) -> bool {
    let begins = |prefix: &str| {
        let n = prefix.len().min(start.len());
        prefix.as_bytes()[..n] == start[..n]
    };
    match start[0] {
        // White space may come before it.
        b'-' | b'\n' | b'\r' | b'\t' | b' ' => true,
        b'{' => start[1].is_ascii_whitespace() || SERVICE_ACCOUNTS.iter().any(|prefix| begins(prefix)),
        _ if &start[4..6] == b"Q~" => true,
        _ => sieve.has([start[0], start[1], start[2], start[3]]) && prefixes().any(begins),
    }
}

fn prefixes() -> impl Iterator<Item = &'static str> {
    let tokens = TOKENS.iter().flat_map(|token| token.prefixes.iter().copied());
    tokens.chain(CONNECTIONS.iter().copied()).chain(["eyJ", "-----BEGIN"])
}

/// Whether the string that begins at `at` is the name of a member that may hold a bare key.
pub fn is_name_at(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let Some(head) = bytes.get(at..at + 4) else { return false };
    if !NAME_HEADS.iter().any(|known| known.as_bytes() == head) {
        return false;
    }
    let end = plain::end(bytes, at);
    let name = bare(&text[at..end]);
    AWS_NAMES.contains(&&*name) || AZURE_NAMES.contains(&&*name)
}

fn bare(name: &str) -> String {
    name.chars().filter(|char| !matches!(char, '_' | '-')).map(|char| char.to_ascii_lowercase()).collect()
}

/// What credential a value looks like; `name` is that of the member it stands in, if it does.
pub fn of(name: Option<&str>, value: &str) -> Option<&'static str> {
    if value.contains("EXAMPLE") {
        return None;
    }
    token_of(value)
        .or_else(|| is_private_key(value).then_some(PRIVATE_KEY))
        .or_else(|| is_service_account(value).then_some(SERVICE_ACCOUNT))
        .or_else(|| is_jwt(value).then_some(JWT))
        .or_else(|| is_azure_connection(value).then_some(AZURE_CONNECTION))
        .or_else(|| is_azure_client_secret(value).then_some(AZURE_CLIENT))
        .or_else(|| name.and_then(|name| named(name, value)))
}

fn token_of(value: &str) -> Option<&'static str> {
    let is_one = |token: &&Token| {
        let rests = token.prefixes.iter().filter_map(|prefix| value.strip_prefix(prefix));
        rests.into_iter().any(|rest| {
            (token.n_min..=token.n_max).contains(&rest.len()) && is_random(rest) && all(token.set, rest)
        })
    };
    TOKENS.iter().find(is_one).map(|token| token.what)
}

fn all(set: Set, text: &str) -> bool {
    text.bytes().all(|byte| set.has(byte))
}

/// Not a placeholder such as `xxxxxxxx` or `1234…` in words: eight different characters at least, and a digit or a
/// capital letter.
fn is_random(text: &str) -> bool {
    let seen = text.bytes().fold(0u128, |seen, byte| seen | 1 << (byte & 127));
    seen.count_ones() >= 8 && text.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// Also one behind its certificate.
fn is_private_key(value: &str) -> bool {
    let value = value.trim_start();
    value.starts_with("-----BEGIN ")
        && value.match_indices("-----BEGIN ").any(|(at, begin)| {
            let label = value[at + begin.len()..].split("-----").next().unwrap_or("");
            label.len() < 40 && (label.ends_with("PRIVATE KEY") || label == "PGP PRIVATE KEY BLOCK")
        })
}

fn is_service_account(value: &str) -> bool {
    value.starts_with('{')
        && value.contains("\"service_account\"")
        && value.contains("\"private_key\"")
        && value.contains("-----BEGIN ")
}

/// Three parts, the first of them a JSON object in base64 that names an algorithm or a type.
fn is_jwt(value: &str) -> bool {
    let mut parts = value.split('.');
    let (Some(head), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_part = |part: &str, n_min| part.len() >= n_min && all(Set::Url, part);
    head.starts_with("eyJ")
        && claims.starts_with("eyJ")
        && is_part(head, 12)
        && is_part(claims, 8)
        && is_part(signature, 20)
}

fn is_azure_connection(value: &str) -> bool {
    let members = || value.split(';').filter_map(|member| member.split_once('='));
    let is_key = |(name, key): (&str, &str)| {
        matches!(name, "AccountKey" | "SharedAccessKey") && key.len() >= 40 && all(Set::Base64, key)
    };
    CONNECTIONS.iter().any(|prefix| value.starts_with(prefix)) && members().any(is_key)
}

fn is_azure_client_secret(value: &str) -> bool {
    let is_part = |part: &str| part.bytes().all(|byte| Set::Dotted.has(byte) || byte == b'~');
    value.is_ascii()
        && (37..=40).contains(&value.len())
        && &value[4..6] == "Q~"
        && value.as_bytes()[3].is_ascii_digit()
        && is_part(value)
}

/// Bare keys, which nothing but the name of their member tells from other random characters.
fn named(name: &str, value: &str) -> Option<&'static str> {
    let name = bare(name);
    let is_mixed = value.bytes().any(|byte| byte.is_ascii_uppercase())
        && value.bytes().any(|byte| byte.is_ascii_lowercase())
        && value.bytes().any(|byte| byte.is_ascii_digit());
    if !is_mixed || !all(Set::Base64, value) {
        return None;
    }
    match value.len() {
        40 if AWS_NAMES.contains(&&*name) => Some(AWS_SECRET),
        88 if AZURE_NAMES.contains(&&*name) && value.ends_with("==") => Some(AZURE_STORAGE),
        _ => None,
    }
}
