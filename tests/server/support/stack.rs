//! TestStack: the calls on one stack, as a person at the CLI causes them.

use super::http::{Client, Request, Response};
use super::json::Tree;
use super::server::ORG;
use super::update::TestUpdate;
use serde_json::{Value, json};

/// One stack on the other side of a client: the server itself, or a proxy before it.
#[derive(Clone)]
pub struct TestStack<'a> {
    /// The way to the server.
    pub client: &'a Client,
    /// Its project.
    pub project: String,
    /// Its name.
    pub name: String,
}

impl<'a> TestStack<'a> {
    /// A stack of the organization of the open mode, whether it exists or not.
    pub fn new(client: &'a Client, project: &str, name: &str) -> TestStack<'a> {
        TestStack { client, project: project.into(), name: name.into() }
    }

    /// `/api/stacks/organization/PROJECT/NAME` and what follows it.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/stacks/{ORG}/{}/{}{rest}", self.project, self.name)
    }

    /// The URN of a resource of this stack.
    pub fn urn(&self, kind: &str, name: &str) -> String {
        format!("urn:pulumi:{}::{}::{kind}::{name}", self.name, self.project)
    }

    /// A request to this stack.
    pub fn request(&self, method: &str, rest: &str) -> Request {
        Request::new(method, self.path(rest))
    }

    /// Sends a request; a lost connection fails the test.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        let answer = self.client.send(request);
        answer.unwrap_or_else(|error| panic!("{} {}: no answer: {error}", request.method, request.target))
    }

    /// `GET` of a path under this stack.
    #[track_caller]
    pub fn get(&self, rest: &str) -> Response {
        self.send(&self.request("GET", rest))
    }

    /// `POST` to a path under this stack.
    #[track_caller]
    pub fn post(&self, rest: &str, body: &Value) -> Response {
        self.send(&self.request("POST", rest).json(body))
    }

    /// Makes the stack with this body besides its name.
    #[track_caller]
    pub fn create(&self, mut body: Value) -> Response {
        body["stackName"] = json!(self.name);
        self.send(&Request::new("POST", format!("/api/stacks/{ORG}/{}", self.project)).json(&body))
    }

    /// Takes the stack away, with what it holds when `force` is set.
    #[track_caller]
    pub fn delete(&self, force: bool) -> Response {
        self.send(&self.request("DELETE", &format!("?force={force}")))
    }

    /// What `GET` of the stack says.
    #[track_caller]
    pub fn info(&self) -> Value {
        self.get("").ok().json()
    }

    /// The latest state, as JSON whose numbers may have lost their spelling.
    #[track_caller]
    pub fn export(&self) -> Value {
        self.get("/export").ok().json()
    }

    /// The latest state, exactly.
    #[track_caller]
    pub fn export_tree(&self) -> Tree {
        Tree::parse(self.get("/export").ok().text())
    }

    /// The latest state's resources.
    #[track_caller]
    pub fn resources(&self) -> Vec<Value> {
        let export = self.export();
        export["deployment"]["resources"].as_array().cloned().unwrap_or_default()
    }

    /// The names at the ends of the URNs of the latest state, in its order.
    #[track_caller]
    pub fn resource_names(&self) -> Vec<String> {
        let name = |resource: &Value| {
            resource["urn"].as_str().unwrap_or("?").rsplit("::").next().unwrap_or("?").to_string()
        };
        self.resources().iter().map(name).collect()
    }

    /// Posts a deployment as `stack import` does.
    #[track_caller]
    pub fn import(&self, deployment: &Value) -> Response {
        self.send(&self.request("POST", "/import").json(deployment).gzip())
    }

    /// The history, newest first.
    #[track_caller]
    pub fn history(&self) -> Vec<Value> {
        self.get("/updates").ok().json()["updates"].as_array().expect("updates").clone()
    }

    /// Makes an update of `kind` (the last part of its path) and gives its id.
    #[track_caller]
    pub fn create_update(&self, kind: &str, is_dry_run: bool) -> String {
        let response = self.post(&format!("/{kind}"), &create_update_body(is_dry_run)).ok();
        response.json()["updateID"].as_str().unwrap_or_else(|| panic!("{response}: no updateID")).to_string()
    }

    /// Starts a made update.
    #[track_caller]
    pub fn try_start(&self, id: &str, journal_version: i64) -> Response {
        self.post(&format!("/update/{id}"), &json!({ "journalVersion": journal_version }))
    }

    /// Makes and starts an update that journals.
    #[track_caller]
    pub fn start_update(&self) -> TestUpdate<'a> {
        self.start("update", false, 1)
    }

    /// Makes and starts an update that saves checkpoints.
    #[track_caller]
    pub fn start_checkpoints(&self) -> TestUpdate<'a> {
        self.start("update", false, 0)
    }

    /// Makes and starts a preview.
    #[track_caller]
    pub fn start_preview(&self) -> TestUpdate<'a> {
        self.start("preview", true, 1)
    }

    /// Makes and starts an update of any kind.
    #[track_caller]
    pub fn start(&self, kind: &str, is_dry_run: bool, journal_version: i64) -> TestUpdate<'a> {
        let id = self.create_update(kind, is_dry_run);
        let started = self.try_start(&id, journal_version).ok();
        TestUpdate::new(self.clone(), id, &started)
    }

    /// A whole update that leaves the root and the given resources behind, by a checkpoint.
    #[track_caller]
    pub fn update_to(&self, names: &[&str]) -> TestUpdate<'a> {
        let update = self.start_checkpoints();
        update.checkpoint(&self.deployment(names)).ok();
        update.complete("succeeded").ok();
        update
    }

    /// A sound deployment of this stack: its root and a resource for each name, the later depending on the earlier.
    pub fn deployment(&self, names: &[&str]) -> Value {
        let mut resources = vec![self.root()];
        for (i, name) in names.iter().enumerate() {
            let mut resource = self.resource(name);
            if i > 0 {
                resource["dependencies"] = json!([self.urn("test:index:Thing", names[i - 1])]);
            }
            resources.push(resource);
        }
        json!({ "version": 3, "deployment": {
            "manifest": { "time": "2026-08-21T10:00:00Z", "magic": "", "version": "" },
            "resources": resources, "metadata": {},
        }})
    }

    /// The root resource that every stack has.
    pub fn root(&self) -> Value {
        let name = format!("{}-{}", self.project, self.name);
        json!({ "urn": self.urn("pulumi:pulumi:Stack", &name), "custom": false, "type": "pulumi:pulumi:Stack" })
    }

    /// A resource with an id and an input.
    pub fn resource(&self, name: &str) -> Value {
        json!({
            "urn": self.urn("test:index:Thing", name), "custom": true, "id": format!("id-{name}"),
            "type": "test:index:Thing", "inputs": { "size": 1 }, "outputs": { "size": 1 },
            "parent": self.root()["urn"],
        })
    }
}

/// What the CLI sends when it makes an update.
pub fn create_update_body(is_dry_run: bool) -> Value {
    json!({
        "name": "web", "runtime": "yaml", "main": "", "description": "",
        "options": { "localPolicyPackPaths": null, "color": "raw", "dryRun": is_dry_run, "parallel": 16,
            "showConfig": false, "showReplacementSteps": false, "showNames": false, "summary": false, "debug": false },
        "config": { "web:size": { "string": "10", "secret": false, "object": false } },
        "metadata": { "message": "a message", "environment": { "pulumi.version": "v3.259.0", "exec.kind": "cli" } },
    })
}
