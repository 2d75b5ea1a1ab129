//! Journal entries, as the CLI writes them (protocol §4.7), and the batches that carry them.

use super::deployment::Deployment;

/// Entries of one update, in order, with the deployment that they lead to.
pub struct Journal {
    n_sequences: usize,
    n_operations: usize,
    entries: Vec<String>,
    /// Resources in the order in which their steps ended.
    done: Vec<String>,
    /// Places in the base that are taken over into `done`.
    is_done: Vec<bool>,
}

impl Journal {
    /// A journal on a base of `n_base` resources; its first entry names the secrets manager.
    pub fn new(n_base: usize) -> Journal {
        let mut journal = Journal {
            n_sequences: 0,
            n_operations: 0,
            entries: Vec::new(),
            done: Vec::new(),
            is_done: vec![false; n_base],
        };
        let provider = r#""secretsProvider":{"type":"passphrase","state":{"salt":"v1:bench"}}"#;
        journal.push(6, 0, "null", provider);
        journal
    }

    fn push(&mut self, kind: u8, operation: usize, remove_old: &str, rest: &str) {
        self.n_sequences += 1;
        let sequence = self.n_sequences;
        let comma = if rest.is_empty() { "" } else { "," };
        self.entries.push(format!(
            r#"{{"version":1,"kind":{kind},"sequenceID":{sequence},"operationID":{operation},"removeOld":{remove_old},"removeNew":null{comma}{rest}}}"#
        ));
    }

    /// A step that finds nothing to do: begin and end, with the whole state in it.
    pub fn same(&mut self, base: &Deployment, place: usize) {
        self.n_operations += 1;
        self.push(0, self.n_operations, "null", "");
        let state = base.resources[place].clone();
        self.push(1, self.n_operations, &place.to_string(), &format!(r#""state":{state}"#));
        self.take(place, state);
    }

    /// A step that changes the resource at `place` of the base to `state`.
    pub fn update(&mut self, base: &Deployment, place: usize, state: String) {
        self.n_operations += 1;
        let old = &base.resources[place];
        let operation = format!(r#""operation":{{"resource":{old},"type":"updating"}}"#);
        self.push(0, self.n_operations, "null", &operation);
        self.push(1, self.n_operations, &place.to_string(), &format!(r#""state":{state}"#));
        self.take(place, state);
    }

    /// A step that creates `state`.
    pub fn create(&mut self, state: String) {
        self.n_operations += 1;
        let operation = format!(r#""operation":{{"resource":{state},"type":"creating"}}"#);
        self.push(0, self.n_operations, "null", &operation);
        self.push(1, self.n_operations, "null", &format!(r#""state":{state}"#));
        self.done.push(state);
    }

    fn take(&mut self, place: usize, state: String) {
        self.is_done[place] = true;
        self.done.push(state);
    }

    /// The entries since the last call, as bodies of at most `n_per_batch` entries.
    pub fn take_batches(&mut self, n_per_batch: usize) -> Vec<String> {
        let entries = std::mem::take(&mut self.entries);
        entries.chunks(n_per_batch).map(|chunk| format!(r#"{{"entries":[{}]}}"#, chunk.join(","))).collect()
    }

    /// The resources that `base` has after the replay: what was journaled, then what was not touched.
    pub fn replayed(&self, base: &Deployment) -> Deployment {
        let untouched = base.resources.iter().zip(&self.is_done).filter(|(_, is_done)| !**is_done);
        let mut after = base.clone();
        after.resources = self.done.iter().chain(untouched.map(|(text, _)| text)).cloned().collect();
        after
    }
}
