//! Imports of whole deployments.

use crate::deployment::Deployment;
use crate::figures::{Figures, bytes};
use crate::floor::{Work, mb};
use crate::gzip;
use crate::stack::Stack;
use crate::target::{Body, Target};

/// Imports `n_resources` of 1 KB, twice: into an empty stack, then with one of them changed.
pub fn run(target: &Target, figures: &mut Figures, n_resources: usize) {
    let mut stack = Stack::create(target);
    let mut deployment = Deployment::new(&stack.name, n_resources, 1000);
    let mut text_bytes = 0;
    for revision in 0..2 {
        deployment.resources[40] = deployment.bucket(40, revision);
        let text = deployment.text();
        text_bytes = text.len();
        let request = stack.post("import", &Body::Gzip(gzip::pack(&text, 1)));
        drop(text);
        figures.begin(target);
        figures.time(|| stack.client.call(&request));
        figures.end(target, text_bytes / 1_000_000);
    }
    figures.notes.push(format!("body {}", bytes(text_bytes as u64)));
    figures.work = Work { inflate_mb: mb(text_bytes), deflate_mb: mb(text_bytes), ..Work::commits(1, 1) };
    stack.check(&deployment);
}
