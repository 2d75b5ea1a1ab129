//! Checkpoints of 10,000 resources, one of them changed each time: whole, verbatim, and as a delta.

use sha2::{Digest, Sha256};

use crate::deployment::Deployment;
use crate::figures::Figures;
use crate::floor::{Work, mb};
use crate::gzip;
use crate::stack::{START_WITH_CHECKPOINTS, Stack};
use crate::target::{Body, Target};

/// How the state is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `checkpoint`: the deployment.
    Whole,
    /// `checkpointverbatim`: its text.
    Verbatim,
    /// `checkpointdelta`: what changed in its text.
    Delta,
}

const N_RESOURCES: usize = 10_000;
const N_CHECKPOINTS: usize = 8;

/// One update that saves its state again and again.
pub fn run(target: &Target, figures: &mut Figures, kind: Kind) {
    let (mut stack, mut state) = Stack::with_resources(target, N_RESOURCES, 1000);
    let update = stack.start_update(START_WITH_CHECKPOINTS);
    // The first save is always a verbatim one, and it is not what is measured.
    let first = if kind == Kind::Delta { Kind::Verbatim } else { kind };
    let (action, body) = save(&mut state, first, 1);
    stack.client.call(&stack.lease_request(&update, "PATCH", action, &pack(&body)));
    for sequence in 2..N_CHECKPOINTS + 2 {
        let (action, body) = save(&mut state, kind, sequence);
        let request = stack.lease_request(&update, "PATCH", action, &pack(&body));
        figures.work = Work { inflate_mb: mb(body.len()), ..Work::commits(1, 1) };
        figures.begin(target);
        figures.time(|| stack.client.call(&request));
        figures.end(target, 1);
    }
    if kind == Kind::Delta {
        figures.work.hash_mb = mb(state.text().len());
    }
    stack.complete(&update);
    stack.check(&state);
}

fn pack(body: &str) -> Body {
    Body::Gzip(gzip::pack(body, 1))
}

/// Changes a resource, and says so in a call of this kind: its last path segment and its body.
fn save(state: &mut Deployment, kind: Kind, sequence: usize) -> (&'static str, String) {
    let place = 400 * sequence;
    let (start, end) = (state.offset(place), state.offset(place) + state.resources[place].len());
    state.resources[place] = state.bucket(place, sequence);
    let text = state.text();
    match kind {
        Kind::Whole => {
            let mut body = String::from(r#"{"isInvalid":false,"version":3,"deployment":"#);
            state.write_inner(&mut body);
            body.push('}');
            ("checkpoint", body)
        }
        Kind::Verbatim => {
            let body = format!(r#"{{"version":3,"untypedDeployment":{text},"sequenceNumber":{sequence}}}"#);
            ("checkpointverbatim", body)
        }
        Kind::Delta => {
            let body = format!(
                r#"{{"version":3,"checkpointHash":"{}","sequenceNumber":{sequence},"deploymentDelta":[{}]}}"#,
                hex(&Sha256::digest(text.as_bytes())),
                edit(start, end, &state.resources[place])
            );
            ("checkpointdelta", body)
        }
    }
}

fn edit(start: usize, end: usize, text: &str) -> String {
    let text = serde_json::to_string(text).expect("a text");
    format!(
        r#"{{"Span":{{"uri":"","start":{{"line":1,"column":1,"offset":{start}}},"end":{{"line":1,"column":1,"offset":{end}}}}},"NewText":{text}}}"#
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
