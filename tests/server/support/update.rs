//! TestUpdate: the calls that a started update makes with its lease.

use super::http::{Request, Response};
use super::stack::TestStack;
use serde_json::{Value, json};

/// A started update and its lease.
#[derive(Clone)]
pub struct TestUpdate<'a> {
    /// The stack that it updates.
    pub stack: TestStack<'a>,
    /// Its id, as in its path.
    pub id: String,
    /// Its lease token.
    pub token: String,
    /// The version that start told.
    pub version: u64,
    /// 1 when the server agreed to journal.
    pub journal_version: u64,
}

impl<'a> TestUpdate<'a> {
    /// The update `id`, as `started` answered.
    #[track_caller]
    pub fn new(stack: TestStack<'a>, id: String, started: &Response) -> TestUpdate<'a> {
        let body = started.json();
        let token = body["token"].as_str().unwrap_or_default().to_string();
        assert!(!token.is_empty(), "{started}: the CLI crashes without a token");
        let version = body["version"].as_u64().unwrap_or_else(|| panic!("{started}: no version"));
        TestUpdate {
            stack,
            id,
            token,
            version,
            journal_version: body["journalVersion"].as_u64().unwrap_or(0),
        }
    }

    /// The path of the update and what follows it.
    pub fn path(&self, rest: &str) -> String {
        self.stack.path(&format!("/update/{}{rest}", self.id))
    }

    /// A call with the lease, its body compressed as the CLI does it.
    pub fn request(&self, method: &str, rest: &str, body: &Value) -> Request {
        let request = Request::new(method, self.path(rest)).lease(&self.token).json(body);
        if matches!(rest, "/complete" | "/renew_lease") { request } else { request.gzip() }
    }

    /// `PATCH journalentries`.
    pub fn journal_request(&self, entries: &[Value]) -> Request {
        self.request("PATCH", "/journalentries", &json!({ "entries": entries }))
    }

    /// Sends journal entries in one batch.
    #[track_caller]
    pub fn journal(&self, entries: &[Value]) -> Response {
        self.stack.send(&self.journal_request(entries))
    }

    /// `PATCH checkpoint`; `deployment` with its envelope.
    pub fn checkpoint_request(&self, deployment: &Value) -> Request {
        let mut body = deployment.clone();
        body["isInvalid"] = json!(false);
        self.request("PATCH", "/checkpoint", &body)
    }

    /// Saves a whole checkpoint.
    #[track_caller]
    pub fn checkpoint(&self, deployment: &Value) -> Response {
        self.stack.send(&self.checkpoint_request(deployment))
    }

    /// `PATCH checkpointverbatim`; `text` goes in as it is.
    pub fn verbatim_request(&self, sequence_number: u64, text: &str) -> Request {
        let body =
            format!(r#"{{"version":3,"untypedDeployment":{text},"sequenceNumber":{sequence_number}}}"#);
        Request::new("PATCH", self.path("/checkpointverbatim")).lease(&self.token).bytes(body).gzip()
    }

    /// Saves a whole text.
    #[track_caller]
    pub fn verbatim(&self, sequence_number: u64, text: &str) -> Response {
        self.stack.send(&self.verbatim_request(sequence_number, text))
    }

    /// `PATCH checkpointdelta`.
    pub fn delta_request(&self, sequence_number: u64, hash: &str, edits: &Value) -> Request {
        let body = json!({ "version": 3, "checkpointHash": hash, "sequenceNumber": sequence_number, "deploymentDelta": edits });
        self.request("PATCH", "/checkpointdelta", &body)
    }

    /// Saves a text by its difference to the one before.
    #[track_caller]
    pub fn delta(&self, sequence_number: u64, hash: &str, edits: &Value) -> Response {
        self.stack.send(&self.delta_request(sequence_number, hash, edits))
    }

    /// `POST events/batch`.
    pub fn events_request(&self, events: &[Value]) -> Request {
        self.request("POST", "/events/batch", &json!({ "events": events }))
    }

    /// Posts engine events.
    #[track_caller]
    pub fn post_events(&self, events: &[Value]) -> Response {
        self.stack.send(&self.events_request(events))
    }

    /// `POST renew_lease`.
    pub fn renew_request(&self, duration: i64) -> Request {
        self.request("POST", "/renew_lease", &json!({ "token": "", "duration": duration }))
    }

    /// Renews the lease.
    #[track_caller]
    pub fn renew(&self) -> Response {
        self.stack.send(&self.renew_request(300))
    }

    /// `POST complete`.
    pub fn complete_request(&self, status: &str) -> Request {
        self.request("POST", "/complete", &json!({ "status": status }))
    }

    /// Ends the update.
    #[track_caller]
    pub fn complete(&self, status: &str) -> Response {
        self.stack.send(&self.complete_request(status))
    }

    /// `POST cancel`, which anybody with an access token may send.
    pub fn cancel_request(&self) -> Request {
        Request::new("POST", self.path("/cancel"))
    }

    /// Ends the update as `pulumi cancel` does.
    #[track_caller]
    pub fn cancel(&self) -> Response {
        self.stack.send(&self.cancel_request())
    }

    /// What a poll of the update says.
    #[track_caller]
    pub fn poll(&self) -> Response {
        self.stack.get(&format!("/update/{}", self.id))
    }

    /// All events, page by page, once the update has ended.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let mut events = Vec::new();
        let mut query = String::new();
        for _ in 0..1000 {
            let page = self.stack.get(&format!("/update/{}/events{query}", self.id)).ok().json();
            events.extend(page["events"].as_array().expect("events").iter().cloned());
            let Some(token) = page["continuationToken"].as_str() else { return events };
            query = format!("?continuationToken={token}");
        }
        panic!("the events of {} never end", self.id);
    }
}

/// A journal entry: kind, sequence id, operation id, and its further fields.
pub fn entry(kind: u64, sequence_id: u64, operation_id: u64, fields: Value) -> Value {
    let mut entry = json!({ "version": 1, "kind": kind, "sequenceID": sequence_id, "operationID": operation_id,
        "removeOld": null, "removeNew": null });
    for (name, value) in fields.as_object().expect("fields") {
        entry[name] = value.clone();
    }
    entry
}

/// The first entry of every journal: the secrets provider.
pub fn secrets_entry(sequence_id: u64) -> Value {
    entry(6, sequence_id, 0, json!({ "secretsProvider": { "type": "b64" } }))
}

/// The two entries of a step that makes a resource.
pub fn create_entries(sequence_id: u64, operation_id: u64, state: &Value) -> [Value; 2] {
    let mut resource = state.clone();
    resource.as_object_mut().expect("a resource").remove("id");
    [
        entry(
            0,
            sequence_id,
            operation_id,
            json!({ "operation": { "resource": resource, "type": "creating" } }),
        ),
        entry(1, sequence_id + 1, operation_id, json!({ "state": state })),
    ]
}

/// An engine event that is a line of output.
pub fn line_event(sequence: u64) -> Value {
    json!({ "sequence": sequence, "timestamp": 1, "stdoutEvent": { "message": format!("line {sequence}"), "color": "raw" } })
}
