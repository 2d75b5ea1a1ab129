//! Users and their tokens: a server that is not in its open mode.

use super::command::run;
use super::http::{Request, Response};
use super::server::TestServer;
use serde_json::{Value, json};

/// A server with an administrator; what its client sends by itself is not accepted any more.
pub struct People<'a> {
    /// The server.
    pub server: &'a TestServer,
    /// The token of `alice`, who may do everything.
    pub admin: String,
}

impl<'a> People<'a> {
    /// Adds the first user with the command for it, which ends the open mode.
    #[track_caller]
    pub fn first(server: &'a TestServer) -> People<'a> {
        let added = run(&server.folder(), &["user", "add", "alice", "--admin", "--json"]).json();
        People { server, admin: text(&added, "tokenValue") }
    }

    /// A call with a token.
    #[track_caller]
    pub fn call(&self, token: &str, method: &str, target: &str) -> Response {
        self.server.send(&as_holder(token, method, target))
    }

    /// A call with a token and a body.
    #[track_caller]
    pub fn send(&self, token: &str, method: &str, target: &str, body: Value) -> Response {
        self.server.send(&as_holder(token, method, target).json(&body))
    }

    /// A call of the administrator.
    #[track_caller]
    pub fn admin(&self, method: &str, target: &str, body: Value) -> Response {
        let request = as_holder(&self.admin, method, target);
        self.server.send(&if body.is_null() { request } else { request.json(&body) })
    }

    /// A new user, and the first token.
    #[track_caller]
    pub fn user(&self, name: &str) -> String {
        text(&self.admin("POST", "/api/admin/users", json!({ "name": name })).ok().json(), "tokenValue")
    }

    /// A new user with a grant, and the first token.
    #[track_caller]
    pub fn user_with(&self, name: &str, role: &str, pattern: &str) -> String {
        let token = self.user(name);
        self.grant(role, name, pattern);
        token
    }

    /// A grant.
    #[track_caller]
    pub fn grant(&self, role: &str, user: &str, pattern: &str) {
        let org = pattern.split('/').next().unwrap_or("");
        let body = json!({ "role": role, "user": user, "pattern": pattern });
        self.admin("POST", &format!("/api/orgs/{org}/grants"), body).ok();
    }

    /// A new organization.
    #[track_caller]
    pub fn org(&self, name: &str) {
        self.admin("POST", "/api/admin/orgs", json!({ "name": name })).ok();
    }

    /// The records of the audit that have this action, oldest first.
    #[track_caller]
    pub fn audit(&self, action: &str) -> Vec<Value> {
        let found = self.admin("GET", &format!("/api/admin/audit?action={action}"), Value::Null).ok().json();
        found["records"].as_array().cloned().expect("records")
    }
}

/// A request with a token.
pub fn as_holder(token: &str, method: &str, target: &str) -> Request {
    Request::new(method, target).authorization(&format!("token {token}"))
}

/// A text in an answer, which must be there.
#[track_caller]
pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_string()
}
