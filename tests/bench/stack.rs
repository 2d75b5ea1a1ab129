//! A stack on the server under load, and updates on it, driven as the CLI does.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::client::Client;
use super::deployment::{Deployment, PROJECT};
use super::target::{Body, Signed, Target};

/// A stack with a connection of its own.
pub struct Stack<'t> {
    /// Where it is.
    pub target: &'t Target,
    /// Its connection.
    pub client: Client,
    /// Its last name.
    pub name: String,
    /// `/api/stacks/ORG/PROJECT/NAME`.
    pub path: String,
}

/// A started update.
pub struct Update {
    /// `STACK/update/ID`.
    pub path: String,
    /// Its lease token.
    pub lease: String,
}

/// What the CLI sends to create an update.
pub const CREATE_UPDATE: &str = concat!(
    r#"{"name":"bench","runtime":"yaml","main":"","description":"","options":{"localPolicyPackPaths":null,"color":"raw","#,
    r#""dryRun":false,"parallel":16,"showConfig":false,"showReplacementSteps":false,"showNames":false,"summary":false,"#,
    r#""debug":false},"config":{"bench:size":{"string":"10","secret":false,"object":false}},"metadata":{"message":"bench","#,
    r#""environment":{"exec.kind":"cli","pulumi.version":"v3.259.0"}}}"#
);
/// What the CLI sends to start one with a journal.
pub const START_WITH_JOURNAL: &str =
    r#"{"tags":{"pulumi:project":"bench","pulumi:runtime":"yaml"},"journalVersion":1}"#;
/// The same of a CLI that sends checkpoints.
pub const START_WITH_CHECKPOINTS: &str = r#"{"tags":{"pulumi:project":"bench","pulumi:runtime":"yaml"}}"#;
/// The end of a good update.
pub const COMPLETE: &str = r#"{"status":"succeeded"}"#;

impl<'t> Stack<'t> {
    /// A new empty stack.
    pub fn create(target: &'t Target) -> Stack<'t> {
        let name = target.new_name();
        let mut client = target.client();
        let body = Body::Json(format!(r#"{{"stackName":"{name}","tags":{{"pulumi:project":"{PROJECT}"}}}}"#));
        let path = format!("/api/stacks/{}/{PROJECT}", target.org);
        client.call(&target.request("POST", &path, Signed::ByUser, &body));
        let path = format!("{path}/{name}");
        Stack { target, client, name, path }
    }

    /// A new stack with this many resources of this size, and what they are.
    pub fn with_resources(
        target: &'t Target,
        n_resources: usize,
        resource_bytes: usize,
    ) -> (Stack<'t>, Deployment) {
        let mut stack = Stack::create(target);
        let deployment = Deployment::new(&stack.name, n_resources, resource_bytes);
        stack.import(&deployment);
        (stack, deployment)
    }

    /// Imports a deployment.
    pub fn import(&mut self, deployment: &Deployment) {
        let body = Body::Gzip(super::gzip::pack(&deployment.text(), 1));
        let request = self.post("import", &body);
        self.client.call(&request);
    }

    /// A POST by the user to a path under the stack.
    pub fn post(&self, action: &str, body: &Body) -> Vec<u8> {
        self.target.request("POST", &format!("{}/{action}", self.path), Signed::ByUser, body)
    }

    /// A GET by the user of a path under the stack.
    pub fn get(&self, action: &str) -> Vec<u8> {
        self.target.get(&format!("{}/{action}", self.path))
    }

    /// Connects anew, after the server was started again.
    pub fn reconnect(&mut self) {
        self.client = self.target.client();
    }

    /// Creates and starts an update.
    pub fn start_update(&mut self, start: &str) -> Update {
        let create = self.post("update", &Body::Json(CREATE_UPDATE.into()));
        let created = self.client.call(&create).json();
        let id = created["updateID"].as_str().expect("an update id");
        let path = format!("{}/update/{id}", self.path);
        let start = self.target.request("POST", &path, Signed::ByUser, &Body::Json(start.into()));
        let started = self.client.call(&start).json();
        let lease = started["token"].as_str().expect("a lease token").to_string();
        Update { path, lease }
    }

    /// A call of a running update.
    pub fn lease_request(&self, update: &Update, method: &str, action: &str, body: &Body) -> Vec<u8> {
        let path = format!("{}/{action}", update.path);
        self.target.request(method, &path, Signed::ByLease(&update.lease), body)
    }

    /// Sends batches of journal entries.
    pub fn journal(&mut self, update: &Update, batches: &[String]) {
        for batch in batches {
            let request = self.lease_request(update, "PATCH", "journalentries", &Body::packed(batch));
            self.client.call(&request);
        }
    }

    /// The request that ends an update well.
    pub fn complete_request(&self, update: &Update) -> Vec<u8> {
        self.lease_request(update, "POST", "complete", &Body::Json(COMPLETE.into()))
    }

    /// Ends an update well.
    pub fn complete(&mut self, update: &Update) {
        let request = self.complete_request(update);
        self.client.call(&request);
    }

    /// Demands that the stack's export is `expected`: each resource, in order.
    pub fn check(&mut self, expected: &Deployment) {
        let request = self.get("export");
        let text = self.client.call(&request).text();
        check_resources(&text, expected);
    }
}

/// Demands that the resources of an exported deployment are those of `expected`, in order.
///
/// Text is compared; a server that writes JSON anew may differ in it, and then values are.
pub fn check_resources(text: &str, expected: &Deployment) {
    let outer: HashMap<String, &RawValue> = serde_json::from_str(text).expect("an export in JSON");
    let inner: HashMap<String, &RawValue> =
        serde_json::from_str(outer["deployment"].get()).expect("a deployment");
    let resources: Vec<&RawValue> = serde_json::from_str(inner["resources"].get()).expect("resources");
    assert_eq!(resources.len(), expected.resources.len(), "number of resources in the export");
    for (i, (found, sent)) in resources.iter().zip(&expected.resources).enumerate() {
        if found.get() != sent {
            let (found, sent): (Value, Value) =
                (serde_json::from_str(found.get()).expect("JSON"), serde_json::from_str(sent).expect("JSON"));
            assert_eq!(found, sent, "resource {i} of the export is not what was sent");
        }
    }
}
