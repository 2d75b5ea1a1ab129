//! Issuers whose keys are fetched from where they publish them: rotated keys, sites that fail, strangers.

use crate::support::clocked::ClockedServer;
use crate::support::http::{Request, Response};
use crate::support::oidc::{Signer, now_unix};
use crate::support::people::{People, as_holder, text};
use crate::support::process::TempDir;
use crate::support::published::{Page, Published};
use crate::support::server::TestServer;
use serde_json::{Value, json};

/// A server that trusts the repository's tokens by the keys that a site publishes.
struct Trusting {
    server: ClockedServer,
    site: Published,
    admin: String,
    _folder: TempDir,
}

impl Trusting {
    /// A server that trusts nobody yet.
    fn start() -> Trusting {
        let folder = TempDir::new("published");
        let site = Published::start(folder.path());
        let server = ClockedServer::start_with(&["--issuer-ca-file", site.ca.to_str().expect("UTF-8")]);
        let admin = json!({ "name": "alice", "isAdmin": true });
        let request = Request::new("POST", "/api/admin/users").json(&admin);
        let added = server.client.send(&request).expect("an answer").ok().json();
        let trusting = Trusting { server, site, admin: text(&added, "tokenValue"), _folder: folder };
        trusting.call("POST", "/api/admin/orgs", json!({ "name": "acme" })).ok();
        trusting
    }

    /// With an issuer, whose keys these are.
    fn with_keys(keys: &[Value]) -> Trusting {
        let trusting = Trusting::start();
        trusting.site.publish(keys);
        trusting.add(json!({ "keySetUrl": trusting.site.url("/keys") })).ok();
        trusting
    }

    fn call(&self, method: &str, target: &str, body: Value) -> Response {
        self.server.client.send(&as_holder(&self.admin, method, target).json(&body)).expect("an answer")
    }

    fn add(&self, keys: Value) -> Response {
        let mut body = json!({
            "url": self.site.url(""), "organization": "acme", "claims": { "sub": "repo:acme/*" }, "role": "update",
        });
        keys.as_object().expect("keys").iter().for_each(|(name, value)| body[name] = value.clone());
        self.call("POST", "/api/admin/issuers", body)
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.site.url(""), "aud": "urn:pulumi:org:acme", "sub": "repo:acme/web",
            "exp": now_unix() + 1_000_000,
        })
    }

    fn exchange(&self, token: &str) -> Response {
        self.server.client.send(&exchange(token)).expect("an answer")
    }

    fn is_taken(&self, signer: &Signer, kid: &str) -> bool {
        let answer = self.exchange(&signer.sign(kid, &self.claims())).expect(&[200, 400]);
        if answer.status == 400 {
            assert_eq!(answer.json()["error"], "invalid_grant");
            let said = answer.text();
            assert!(!said.contains("/keys"), "the caller learns nothing of the site: {said}");
        }
        answer.status == 200
    }
}

fn exchange(token: &str) -> Request {
    let body = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&audience=urn:pulumi:org:acme\
         &requested_token_type=urn:pulumi:token-type:access_token:organization\
         &subject_token_type=urn:ietf:params:oauth:token-type:id_token&subject_token={token}"
    );
    let request = Request::new("POST", "/api/oauth/token").authorization("");
    request.header("Content-Type", "application/x-www-form-urlencoded").bytes(body)
}

#[test]
fn keys_are_fetched_once_and_again_when_they_are_changed() {
    let (old, new) = (Signer::p256(), Signer::ed25519());
    let trusting = Trusting::with_keys(&[old.jwk("old")]);
    assert_eq!(trusting.site.n_asked(), 1, "tried when it was added");
    for _ in 0..3 {
        assert!(trusting.is_taken(&old, "old"));
    }
    assert_eq!(trusting.site.n_asked(), 2, "and kept");
    trusting.server.clock.jump(60);
    trusting.site.publish(&[old.jwk("old"), new.jwk("new")]);
    assert!(trusting.is_taken(&new, "new"), "an unknown key is looked for");
    assert!(trusting.is_taken(&old, "old"));
    trusting.site.publish(&[new.jwk("new")]);
    trusting.server.clock.jump(3600);
    assert!(!trusting.is_taken(&old, "old"), "a key that is published no more");
    assert!(trusting.is_taken(&new, "new"));
    assert_eq!(trusting.site.n_asked(), 4);
    assert!(trusting.site.asked().iter().all(|line| line == "GET /keys HTTP/1.1"));
}

#[test]
fn made_up_keys_cause_no_traffic() {
    let (key, stranger) = (Signer::p256(), Signer::p256());
    let trusting = Trusting::with_keys(&[key.jwk("k")]);
    assert!(trusting.is_taken(&key, "k"));
    for n in 0..20 {
        assert!(!trusting.is_taken(&stranger, &format!("made up {n}")));
    }
    assert_eq!(trusting.site.n_asked(), 2, "it was asked a moment ago");
    trusting.server.clock.jump(60);
    let mut claims = trusting.claims();
    claims["sub"] = json!("somebody else");
    trusting.exchange(&stranger.sign("x", &claims)).expect(&[400]);
    assert_eq!(trusting.site.n_asked(), 2, "no newer key could help this token");
    for n in 0..20 {
        assert!(!trusting.is_taken(&stranger, &format!("made up {n}")));
    }
    assert_eq!(trusting.site.n_asked(), 3);
}

#[test]
fn the_last_keys_help_for_a_day_when_the_issuer_is_down() {
    let key = Signer::ed25519();
    let trusting = Trusting::with_keys(&[key.jwk("k")]);
    assert!(trusting.is_taken(&key, "k"));
    for page in [Page::Down, Page::Status(503, ""), Page::Garbage, Page::Text("", "{}".into()), Page::Huge] {
        trusting.site.show(page.clone());
        trusting.server.clock.jump(3600);
        let n_asked = trusting.site.n_asked();
        assert!(trusting.is_taken(&key, "k"), "{page:?}");
        assert!(trusting.is_taken(&key, "k"), "{page:?}");
        assert_eq!(trusting.site.n_asked(), n_asked + 1, "{page:?}");
    }
    trusting.server.clock.jump(86_400);
    assert!(!trusting.is_taken(&key, "k"), "nothing vouches for them any more");
    trusting.site.publish(&[key.jwk("k")]);
    assert!(!trusting.is_taken(&key, "k"), "it was asked a moment ago");
    trusting.server.clock.jump(60);
    assert!(trusting.is_taken(&key, "k"));
}

#[test]
fn an_issuer_says_within_bounds_how_long_its_keys_hold() {
    let key = Signer::p256();
    let trusting = Trusting::with_keys(&[key.jwk("k")]);
    let keys = json!({ "keys": [key.jwk("k")] }).to_string();
    let check = |headers: &'static str, secs: i64| {
        trusting.site.show(Page::Text(headers, keys.clone()));
        trusting.server.clock.jump(100_000);
        assert!(trusting.is_taken(&key, "k"));
        let n_asked = trusting.site.n_asked();
        trusting.server.clock.jump(secs - 30);
        assert!(trusting.is_taken(&key, "k"));
        assert_eq!(trusting.site.n_asked(), n_asked, "{headers} holds {secs} seconds");
        trusting.server.clock.jump(31);
        assert!(trusting.is_taken(&key, "k"));
        assert_eq!(trusting.site.n_asked(), n_asked + 1, "{headers} holds only {secs} seconds");
    };
    check("", 3600);
    check("cache-control: public, max-age=600\r\n", 600);
    check("Cache-Control: max-age=1\r\n", 60);
    check("cache-control: no-store\r\n", 60);
    check("cache-control: max-age=99999999\r\n", 86_400);
}

#[test]
fn keys_that_cannot_be_used_are_told_when_an_issuer_is_added() {
    let trusting = Trusting::start();
    let at = |path: &str| json!({ "keySetUrl": trusting.site.url(path) });
    let refused = |page: Page, words: &str| {
        trusting.site.show(page.clone());
        let said = trusting.add(at("/keys")).expect(&[400]);
        let said = said.text();
        assert!(said.contains(words), "{page:?}: {said}");
    };
    refused(Page::Status(404, ""), "it answered 404");
    refused(Page::Status(302, "location: https://127.0.0.1/x\r\n"), "points to https://127.0.0.1/x");
    refused(Page::Text("", "<html>".into()), "not a JSON Web Key Set");
    refused(Page::Text("", json!({ "keys": [] }).to_string()), "no public key");
    refused(Page::Garbage, "not the HTTP");
    refused(Page::Huge, "longer than 1048576 bytes");
    refused(Page::Slow, "it took too long");
    let no = |body: Value, words: &str| {
        let said = trusting.add(body).expect(&[400]);
        let said = said.text();
        assert!(said.contains(words), "{said}");
    };
    no(json!({ "keySetUrl": "http://ci.example/keys" }), "plain HTTP to another machine");
    no(json!({ "keySetUrl": "ftp://ci.example/keys" }), "does not begin with https://");
    no(json!({ "keySetUrl": "https://me@ci.example/keys" }), "is not an address like");
    no(json!({ "keySetUrl": "https://ci.example/a b" }), "is not an address like");
    no(
        json!({ "keySetUrl": trusting.site.url("/keys").replace("127.0.0.1", "127.0.0.2") }),
        "cannot be used",
    );
    no(json!({}), "is one of three");
    no(json!({ "keySetUrl": trusting.site.url("/keys"), "discover": true }), "is one of three");
    let list = trusting.server.client.send(&as_holder(&trusting.admin, "GET", "/api/admin/issuers"));
    assert_eq!(list.expect("an answer").ok().json()["issuers"], json!([]));
}

#[test]
fn an_issuer_names_the_address_of_its_keys() {
    let trusting = Trusting::start();
    let discover = |issuer: String| {
        let document = json!({ "issuer": issuer, "jwks_uri": trusting.site.url("/jwks") });
        // One text for both: the document is a key set too.
        let mut document = document;
        document["keys"] = json!([Signer::p256().jwk("k")]);
        trusting.site.show(Page::Text("", document.to_string()));
        trusting.add(json!({ "discover": true }))
    };
    assert!(discover("https://other.example".into()).expect(&[400]).text().contains("calls itself"));
    let added = discover(trusting.site.url("")).ok().json();
    assert_eq!(added["keySetUrl"], trusting.site.url("/jwks"));
    let expected = ["GET /.well-known/openid-configuration HTTP/1.1", "GET /jwks HTTP/1.1"];
    assert_eq!(trusting.site.asked()[1..], expected);
    trusting.site.show(Page::Text("", json!({ "issuer": trusting.site.url("") }).to_string()));
    assert!(trusting.add(json!({ "discover": true })).expect(&[400]).text().contains("names no jwks_uri"));
}

#[test]
fn a_site_of_another_ca_is_not_believed_and_the_log_says_so() {
    let (folder, other) = (TempDir::new("published"), TempDir::new("published"));
    let (site, stranger) = (Published::start(folder.path()), Published::start(other.path()));
    let key = Signer::p256();
    site.publish(&[key.jwk("k")]);
    let server = TestServer::start_with(&["--issuer-ca-file", site.ca.to_str().expect("UTF-8")]);
    let people = People::first(&server);
    people.org("acme");
    let trust = |url: String| {
        let body = json!({
            "url": "https://ci.example", "organization": "acme", "claims": { "sub": "x" }, "role": "update",
            "keySetUrl": url,
        });
        people.admin("POST", "/api/admin/issuers", body)
    };
    stranger.publish(&[key.jwk("k")]);
    assert!(trust(stranger.url("/keys")).expect(&[400]).text().contains("certificate"));
    trust(site.url("/keys")).ok();
    site.show(Page::Down);
    let claims = json!({
        "iss": "https://ci.example", "aud": "urn:pulumi:org:acme", "sub": "x", "exp": now_unix() + 300,
    });
    let refused = server.send(&exchange(&key.sign("k", &claims))).expect(&[400]);
    let refused = refused.text();
    assert!(!refused.contains("fetched"), "{refused}");
    let log = server.log();
    assert!(log.contains(&format!("the keys at {} cannot be fetched", site.url("/keys"))), "{log}");
}
