//! Values as they lie in real states: credentials, made at random in their published forms, and what only looks alike.
//! Prefixes are put together here, so that nobody takes this file for a leak itself.

use super::rng::Rng;

const HEX: &[u8] = b"0123456789abcdef";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `n` characters of a set.
pub fn some(rng: &mut Rng, n: usize, of: &[u8]) -> String {
    (0..n).map(|_| char::from(*rng.pick(of))).collect()
}

pub fn hex(rng: &mut Rng, n: usize) -> String {
    some(rng, n, HEX)
}

fn after(prefix: &[&str], rest: String) -> String {
    format!("{}{rest}", prefix.concat())
}

fn lines(rng: &mut Rng, label: &str, n: usize) -> String {
    let body: Vec<String> = (0..n).map(|_| some(rng, 64, BASE64)).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", body.join("\n"))
}

pub fn private_key(rng: &mut Rng) -> String {
    let kind = *rng.pick(&["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "]);
    lines(rng, &[kind, "PRIVATE", " KEY"].concat(), 6)
}

fn base64_of(text: &str) -> String {
    let bits =
        |three: &[u8]| three.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
    let four = |three: &[u8]| {
        let n = bits(three);
        (0..=three.len()).map(move |i| char::from(BASE64[n >> (18 - 6 * i) & 63])).collect::<String>()
    };
    text.as_bytes().chunks(3).map(four).collect()
}

fn jwt(rng: &mut Rng) -> String {
    let head = *rng.pick(&[
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"typ":"JWT","alg":"HS256"}"#,
        r#"{"alg":"ES256","kid":"k1"}"#,
    ]);
    let claims = format!(r#"{{"sub":"{}","iat":1755000000}}"#, hex(rng, 10));
    format!("{}.{}.{}", base64_of(head), base64_of(&claims), some(rng, 43, URL))
}

fn service_account(rng: &mut Rng) -> String {
    let space = *rng.pick(&["", "\n  "]);
    service_account_with(rng, space)
}

fn service_account_with(rng: &mut Rng, space: &str) -> String {
    let key = lines(rng, &["PRIVATE", " KEY"].concat(), 4).replace('\n', "\\n");
    format!(
        r#"{{{space}"type":{}"service_account",{space}"project_id":"acme","private_key_id":"{}","private_key":"{key}"}}"#,
        if space.is_empty() { "" } else { " " },
        hex(rng, 40)
    )
}

/// How a credential of one kind is made.
type Maker = fn(&mut Rng) -> String;

/// Known credentials: name, member in which they stand if that matters, how they are made.
#[rustfmt::skip]
pub const KNOWN: &[(&str, &str, Maker)] = &[
    ("aws access key", "", |r| after(&["AK", "IA"], some(r, 16, UPPER))),
    ("aws session key", "", |r| after(&["AS", "IA"], some(r, 16, UPPER))),
    ("aws secret key", "secretKey", |r| some(r, 40, BASE64)),
    ("aws secret key", "AWS_SECRET_ACCESS_KEY", |r| some(r, 40, BASE64)),
    ("google api key", "", |r| after(&["AI", "za"], some(r, 35, URL))),
    ("google client secret", "", |r| after(&["GOC", "SPX-"], some(r, 28, URL))),
    ("google service account", "", service_account),
    ("google service account in base64", "", |r| base64_of(&service_account_with(r, "\n  "))),
    ("azure storage", "", |r| format!("DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={}==;EndpointSuffix=core.windows.net", some(r, 86, BASE64))),
    ("azure bus", "", |r| format!("Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey={}=", some(r, 43, BASE64))),
    ("azure client", "", |r| format!("{}8{}", some(r, 3, ALNUM), after(&["Q", "~"], some(r, 34, URL)))),
    ("azure storage key", "primaryAccessKey", |r| format!("{}==", some(r, 86, BASE64))),
    ("github", "", |r| after(&["gh", "p_"], some(r, 36, ALNUM))),
    ("github app", "", |r| after(&["gh", "s_"], some(r, 36, ALNUM))),
    ("github fine-grained", "", |r| { let (a, b) = (some(r, 22, ALNUM), some(r, 59, ALNUM)); after(&["github", "_pat_"], format!("{a}_{b}")) }),
    ("gitlab", "", |r| after(&["gl", "pat-"], some(r, 20, URL))),
    ("gitlab deploy", "", |r| after(&["gl", "dt-"], some(r, 20, URL))),
    ("gitlab runner", "", |r| after(&["gl", "rt-"], some(r, 20, URL))),
    ("slack bot", "", |r| { let n = r.next() % 10_000_000_000; after(&["xo", "xb-"], format!("1{n:011}-2{n:011}-{}", some(r, 24, ALNUM))) }),
    ("slack user", "", |r| { let n = r.next() % 10_000_000_000; after(&["xo", "xp-"], format!("1{n:011}-2{n:011}-3{n:011}-{}", hex(r, 32))) }),
    ("slack webhook", "", |r| format!("https://hooks.{}/services/T{}/B{}/{}", "slack.com", some(r, 9, UPPER), some(r, 9, UPPER), some(r, 24, ALNUM))),
    ("stripe", "", |r| after(&["sk_", "live_"], some(r, 24, ALNUM))),
    ("stripe test", "", |r| after(&["sk_", "test_"], some(r, 99, ALNUM))),
    ("stripe restricted", "", |r| after(&["rk_", "live_"], some(r, 24, ALNUM))),
    ("npm", "", |r| after(&["np", "m_"], some(r, 36, ALNUM))),
    ("pypi", "", |r| after(&["py", "pi-AgEIcHlwaS5vcmc"], some(r, 140, URL))),
    ("pulumi", "", |r| after(&["pu", "l-"], hex(r, 40))),
    ("digitalocean", "", |r| after(&["dop", "_v1_"], hex(r, 64))),
    ("sendgrid", "", |r| { let (a, b) = (some(r, 22, URL), some(r, 43, URL)); after(&["SG", "."], format!("{a}.{b}")) }),
    ("docker hub", "", |r| after(&["dckr", "_pat_"], some(r, 27, URL))),
    ("vault", "", |r| after(&["hv", "s."], some(r, 95, URL))),
    ("databricks", "", |r| after(&["da", "pi"], hex(r, 32))),
    ("grafana", "", |r| { let (a, b) = (some(r, 32, ALNUM), hex(r, 8)); after(&["gl", "sa_"], format!("{a}_{b}")) }),
    ("new relic", "", |r| after(&["NR", "AK-"], some(r, 27, UPPER))),
    ("shopify", "", |r| after(&["shp", "at_"], hex(r, 32))),
    ("hugging face", "", |r| after(&["h", "f_"], some(r, 34, ALNUM))),
    ("rubygems", "", |r| after(&["ruby", "gems_"], hex(r, 48))),
    ("private key", "", private_key),
    ("private key behind a certificate", "", |r| format!("{}{}", lines(r, "CERTIFICATE", 8), private_key(r))),
    ("jwt", "", jwt),
];

/// What is no credential, or none that has to be hidden.
#[rustfmt::skip]
const PLAIN: &[Maker] = &[
    |r| format!("sha256:{}", hex(r, 64)),
    |r| format!("docker.io/library/nginx@sha256:{}", hex(r, 64)),
    |r| format!("registry.example/web:{}", hex(r, 40)),
    |r| hex(r, 40),
    |r| hex(r, 64),
    |r| hex(r, 32),
    |r| format!("{}-{}-4{}-a{}-{}", hex(r, 8), hex(r, 4), hex(r, 3), hex(r, 3), hex(r, 12)),
    |r| format!("arn:aws:iam::{}:role/service-{}", 100_000_000_000 + r.next() % 900_000_000_000, hex(r, 7)),
    |r| format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-{}", some(r, 6, ALNUM)),
    |r| format!("/subscriptions/{}/resourceGroups/web/providers/Microsoft.Storage/storageAccounts/{}", hex(r, 36), hex(r, 12)),
    |r| format!("projects/acme/secrets/token/versions/{}", r.below(100)),
    |r| format!("https://{}.execute-api.eu-central-1.amazonaws.com/prod", hex(r, 10)),
    |r| format!("urn:pulumi:dev::web::aws:s3/bucket:Bucket::bucket-{}", r.below(1000)),
    |r| lines(r, "CERTIFICATE", 12),
    |r| lines(r, "PUBLIC KEY", 5),
    |r| lines(r, "RSA PUBLIC KEY", 5),
    |r| lines(r, "CERTIFICATE REQUEST", 5),
    |r| lines(r, "PGP MESSAGE", 5),
    |r| lines(r, "PGP PUBLIC KEY BLOCK", 5),
    |r| base64_of(&lines(r, "CERTIFICATE", 8)),
    |r| format!("ssh-rsa {} deploy@acme", some(r, 372, BASE64)),
    |r| format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{}", some(r, 43, BASE64)),
    |r| format!("sha512-{}==", some(r, 86, BASE64)),
    |r| format!("{}=", some(r, 43, BASE64)),
    |r| format!("{}==", some(r, 86, BASE64)),
    |r| some(r, 40, BASE64),
    |r| some(r, 32, ALNUM),
    |r| format!("v1:{}:{}", some(r, 16, BASE64), some(r, 60, BASE64)),
    |r| format!("AQICAH{}", some(r, 120, BASE64)),
    |r| format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::logs-{}/*"}}]}}"#, hex(r, 6)),
    |r| format!("{{\n  \"type\": \"object\",\n  \"properties\": {{ \"id\": \"{}\" }}\n}}", hex(r, 8)),
    |r| format!(r#"{{"type":"authorized_user","client_id":"{}"}}"#, hex(r, 12)),
    |r| base64_of(&format!(r#"{{"alg":"none","kid":"{}"}}"#, hex(r, 12))),
    |r| format!("{}.{}.min.js", base64_of("{\"a\":1}"), hex(r, 20)),
    |r| format!("2026-08-21T10:{:02}:00Z", r.below(60)),
    |r| format!("vpc-{}", hex(r, 17)),
    |r| format!("sg-{}", hex(r, 17)),
    |r| format!("AKIA-{}-not-a-key", some(r, 8, UPPER)),
    |r| after(&["AK", "IA", "IOSFODNN7", "EXAM", "PLE"], String::new()) + if r.chance(0) { "-" } else { "" },
    |r| after(&["AK", "IA"], some(r, 9, UPPER)),
    |r| after(&["gh", "p_"], format!("{}-branch", hex(r, 8))),
    |_| after(&["gl", "pat-"], "x".repeat(20)),
    |r| format!("npm_config_cache_{}", hex(r, 8)),
    |r| format!("pypi-server-{}.example.com", hex(r, 8)),
    |r| format!("pul-request-handler-{}", hex(r, 6)),
    |r| format!("xoxb-is-how-they-begin-{}", r.below(9)),
    |r| format!("pk_live_{}", some(r, 24, ALNUM)),
    |_| "sk_live_your_key_goes_here".into(),
    |r| format!("SG.example.org.{}", hex(r, 9)),
    |r| format!("key-vault-{}", hex(r, 10)),
    |r| format!("hf_models_{}", hex(r, 8)),
    |r| format!("dapi-gateway-{}", hex(r, 9)),
    |r| format!("https://hooks.example.com/services/T{}", hex(r, 20)),
    |r| format!("Endpoint=https://acme.example/{}", hex(r, 8)),
    |r| format!("AccountName=acme;BlobEndpoint=https://{}.blob.core.windows.net/", hex(r, 8)),
    |r| format!("a line with \"quotes\", a \\ and\n{} <tags> & more", hex(r, 8)),
    |r| format!("grüße-{}-日本語", hex(r, 6)),
    |r| format!("module {} {{\n  name = \"x\"\n}}\n", hex(r, 6)),
    |r| "\\".repeat(r.below(9)),
    |_| String::new(),
];

/// Any of them.
pub fn plain(rng: &mut Rng) -> String {
    rng.pick(PLAIN)(rng)
}

/// A value that somebody had encrypted.
pub fn secret(rng: &mut Rng) -> String {
    match rng.below(9) {
        0 => some(rng, 12, ALNUM),
        1 => format!("{}\"\\<&>'{}", some(rng, 8, ALNUM), some(rng, 8, ALNUM)),
        2 => format!("\"{}\n\t{}\\", hex(rng, 4), some(rng, 20, URL)),
        3 => format!("pässwörd-{}-日本", some(rng, 10, ALNUM)),
        4 => format!("postgres://web:{}@db.example:5432/web", some(rng, 16, ALNUM)),
        5 => private_key(rng),
        6 => format!("{{\"user\":\"web\",\"password\":\"{}\"}}", some(rng, 16, ALNUM)),
        7 => rng.pick(KNOWN).2(rng),
        _ => {
            let n = 16 + rng.below(60);
            some(rng, n, URL)
        }
    }
}
