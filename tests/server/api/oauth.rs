//! `POST /api/oauth/token` (exchangeToken): a token of a trusted issuer for a short-lived one of ours.
#![cfg(feature = "tls")]

use crate::support::http::{Request, Response};
use crate::support::oidc::{Signer, now_unix};
use crate::support::people::{People, text};
use crate::support::server::TestServer;
use serde_json::{Value, json};

const ISSUER: &str = "https://ci.example";

/// A token that a key of 2048 bits signed with RS256; it ends in the year 2100.
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2NpLmV4YW1wbGUiLCJhdWQiOiJ1cm46cHVsdW1pOm9yZzphY21lIiwic3ViIjoicmVwbzphY21lL3dlYjpyZWY6cmVmcy9oZWFkcy9tYWluIiwiZXhwIjo0MTAyNDQ0ODAwfQ.RQUl7UuiIbHWrCTrxRL9Ub64pNv8hixhJkWbbAoix7IeY4xaws5nRCp3n8c349fX0FNB21FEv93Wtm28jZ4kIimWuvAzfhMCzFKJrkFyZMEueAVSueY9OMoWsPbgjG-vfkKLtRsnKT_8-VWXn7CPHIt-dP3Qwy1cYHm_6pHM_YeN31TA5ouebUmyaIYMuf1x9VzQzP9b9KwU2C03A-JRdCDcEaPVooe3Da0xU9rsoAsxMhcOavYXO6SKdWXoQfpU5-h02nKditfe0xcjfGnKSCwuHC7BeqQCUVwjIjt5zQCwN8Wp681pYWVNqI9zi-_-DX9mRXa_X4bCH1SfRIFRqg";
const RSA_N: &str = "r4PY5MAj9L43ox3X2lOVbGzYb2WTBA3mzHa5CwYFyLwRx0EnB_-kiz6QqzFg8ATfPNr3Ykai_t7WIEFLJlrKjizR40iRuG1rbjdncVPnCsRIz0iGMYw5MMyWCDupngE2ztgkbyzhucnxrvOAG5SOxb_eIaYbvZAiZtVCY6ASm4F4E-Aid6uo_y-7WiWFegxOdO0zGryRiEUqXtIATvhcpU1oQz5A3XO2-TynMvEfZS4SmNZtk9HC6ie46oA3TRPHA1LLCace6yVYJWD7wFsEm-XB4Zdgj3Xk-faB8bZlJIDjZnpR6FJrOhGR7G6F2PDBlAr18I20wV1w9ef7-v4YEw";

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["urn:pulumi:org:acme"], "sub": "repo:acme/web:ref:refs/heads/main",
        "iat": now_unix(), "exp": now_unix() + 300, "groups": ["dev", "ops"], "protected": true,
    })
}

fn exchange(server: &TestServer, subject_token: &str) -> Response {
    exchange_with(server, subject_token, "urn:pulumi:org:acme", "organization", "")
}

fn exchange_with(server: &TestServer, token: &str, audience: &str, kind: &str, more: &str) -> Response {
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience={audience}\
         &requested_token_type=urn:pulumi:token-type:access_token:{kind}&scope=\
         &subject_token_type=urn:ietf:params:oauth:token-type:id_token&subject_token={token}{more}"
    );
    let request = Request::new("POST", "/api/oauth/token").authorization("");
    server.send(&request.header("Content-Type", "application/x-www-form-urlencoded").bytes(body))
}

/// Trusts tokens of the repository for updates of one project.
fn trust(people: &People, keys: &[Value], claims: Value) -> Response {
    let body = json!({
        "url": ISSUER, "organization": "acme", "claims": claims, "role": "update", "stacks": ["acme/web/*"],
        "keySet": { "keys": keys }, "lifetimeSecs": 3600,
    });
    people.admin("POST", "/api/admin/issuers", body)
}

#[test]
fn a_token_of_each_kind_of_key_is_exchanged() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.org("acme");
    let (ed, p256) = (Signer::ed25519(), Signer::p256());
    let rsa = json!({ "kty": "RSA", "kid": "rsa", "n": RSA_N, "e": "AQAB" });
    let unknown = json!({ "kty": "oct", "kid": "hs", "k": "c2VjcmV0" });
    let keys = [ed.jwk("ed"), p256.jwk("p256"), rsa, unknown];
    trust(&people, &keys, json!({ "sub": "repo:acme/web:*" })).ok();

    for token in [ed.sign("ed", &claims()), p256.sign("p256", &claims()), RSA_TOKEN.to_string()] {
        let given = exchange(&server, &token).expect(&[200]).json();
        assert_eq!(given["issued_token_type"], "urn:pulumi:token-type:access_token:organization");
        assert_eq!(given["expires_in"], 3600, "not longer than the rule says");
        let access_token = text(&given, "access_token");
        let me = people.call(&access_token, "GET", "/api/user").ok().json();
        assert_eq!(me["tokenInfo"]["name"], "repo:acme/web:ref:refs/heads/main");
        assert_eq!(me["githubLogin"], "acme");
    }
    let short = exchange_with(&server, RSA_TOKEN, "urn:pulumi:org:acme", "organization", "&expiration=60");
    assert_eq!(short.expect(&[200]).json()["expires_in"], 60);
    let exchanged = people.audit("token.exchange");
    assert_eq!(exchanged.len(), 4);
    assert_eq!(exchanged[0]["token"], "repo:acme/web:ref:refs/heads/main");
}

#[test]
fn a_token_that_is_not_right_in_every_way_is_refused() {
    let server = TestServer::start_with(&["--wrong-tokens", "1000"]);
    let people = People::first(&server);
    people.org("acme");
    let (key, stranger) = (Signer::p256(), Signer::p256());
    let rule = json!({ "sub": "repo:acme/web:*", "groups": "ops", "protected": "true" });
    trust(&people, &[key.jwk("k")], rule).ok();
    exchange(&server, &key.sign("k", &claims())).expect(&[200]);

    let refused = |token: &str, word: &str| {
        let answer = exchange(&server, token).expect(&[400]).json();
        assert_eq!(answer["error"], word, "{answer}");
        assert!(answer["error_description"].is_string());
    };
    let with = |claim: &str, value: Value| {
        let mut claims = claims();
        claims[claim] = value;
        key.sign("k", &claims)
    };
    refused(&stranger.sign("k", &claims()), "invalid_grant");
    refused(&with("iss", json!("https://other.example")), "invalid_grant");
    refused(&with("aud", json!("urn:pulumi:org:other")), "invalid_grant");
    refused(&with("sub", json!("repo:acme/web2:x")), "invalid_grant");
    refused(&with("sub", json!("xrepo:acme/web:x")), "invalid_grant");
    refused(&with("groups", json!(["dev"])), "invalid_grant");
    refused(&with("protected", json!(false)), "invalid_grant");
    refused(&with("exp", json!(now_unix() - 3600)), "invalid_grant");
    refused(&with("exp", Value::Null), "invalid_grant");
    refused(&with("nbf", json!(now_unix() + 3600)), "invalid_grant");
    refused(&key.sign_as(&json!({ "alg": "none" }), &claims()), "invalid_grant");
    refused(&key.sign_as(&json!({ "alg": "HS256", "kid": "k" }), &claims()), "invalid_grant");
    refused(&key.sign_as(&json!({ "alg": "ES256", "kid": "k", "crit": ["x"] }), &claims()), "invalid_grant");
    let whole = key.sign("k", &claims());
    let (signed, _) = whole.rsplit_once('.').expect("three parts");
    refused(&format!("{signed}."), "invalid_grant");
    refused("not.a-token", "invalid_request");
    refused("", "invalid_request");
    let other = exchange_with(&server, &whole, "urn:pulumi:org:organization", "organization", "");
    assert_eq!(other.expect(&[400]).json()["error"], "invalid_grant", "another organization trusts nobody");
    let personal = exchange_with(&server, &whole, "urn:pulumi:org:acme", "personal", "");
    assert_eq!(personal.expect(&[400]).json()["error"], "invalid_request");
    let refresh =
        Request::new("POST", "/api/oauth/token").authorization("").bytes("grant_type=refresh_token");
    assert_eq!(server.send(&refresh).expect(&[400]).json()["error"], "unsupported_grant_type");
}

#[test]
fn an_exchanged_token_may_do_what_the_rule_says() {
    let server = TestServer::start();
    let people = People::first(&server);
    people.org("acme");
    for project in ["web", "api"] {
        people.admin("POST", &format!("/api/stacks/acme/{project}"), json!({ "stackName": "dev" })).ok();
    }
    let key = Signer::ed25519();
    trust(&people, &[key.jwk("k")], json!({ "sub": "repo:acme/web:*" })).ok();
    let given = exchange(&server, &key.sign("k", &claims())).expect(&[200]).json();
    let token = text(&given, "access_token");
    people.call(&token, "GET", "/api/stacks/acme/web/dev/export").ok();
    people.call(&token, "GET", "/api/stacks/acme/api/dev/export").expect(&[404]);
    people.call(&token, "DELETE", "/api/stacks/acme/web/dev").expect(&[403]);
    people.send(&token, "POST", "/api/orgs/acme/tokens", json!({ "role": "update" })).expect(&[403]);
}
