//! The CLI's side of the protocol: what is sent when, in which pieces, and how often it is tried again.
//! Source: protocol §1.6, §4.2 to §4.9.

use super::script::{Ending, Script};
use crate::support::deployment::{assert_same_deployment, sha256_hex};
use crate::support::http::{Request, Response};
use crate::support::json::Tree;
use crate::support::seed::Rng;
use crate::support::stack::{TestStack, create_update_body};
use crate::support::update::TestUpdate;
use pulumi_backend::clock::Clock;
use serde_json::{Value, json};
use std::io;
use std::time::{Duration, Instant};

/// Events in one batch, at most.
const EVENTS_MAX: usize = 50;
/// Batches of events under way at once.
const EVENT_BATCHES_AT_ONCE: usize = 3;
/// Journal entries in one batch, at most.
const ENTRIES_MAX: usize = 100;

/// After so long without a renewal an update has ended.
pub const LEASE_AND_GRACE_SECS: i64 = 361;

/// How an update saves its state.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mode {
    /// By journal entries.
    Journal,
    /// By whole checkpoints.
    Checkpoint,
    /// By whole texts, and their differences once they are so long.
    Delta {
        /// The length in bytes from which on differences are sent.
        cutoff_bytes: usize,
    },
}

/// How long a call that may be sent again is tried.
#[derive(Clone, Copy)]
pub enum Patience {
    /// Four times, as the CLI does it (with shorter waits).
    FourAttempts,
    /// Until this much time has passed: a server that is started again must be waited for.
    For(Duration),
}

/// A fake CLI at work on one stack.
pub struct Cli<'a> {
    /// The stack.
    pub stack: TestStack<'a>,
    /// How long it tries.
    pub patience: Patience,
    /// If given, nobody cancels the update of a CLI that is gone: on this clock its lease runs out.
    pub lease_clock: Option<Clock>,
}

/// What became of an update that was carried through.
pub struct Carried {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// The state that it left behind.
    pub state: Value,
}

impl Cli<'_> {
    /// Sends a call that may be sent again, the same bytes each time; gives the first answer below 500.
    #[track_caller]
    pub fn retried(&self, request: &Request) -> Response {
        let began = Instant::now();
        let mut wait = Duration::from_millis(1);
        for attempt in 1.. {
            let answer = self.stack.client.send(request);
            let what = match answer {
                Ok(response) if response.status < 500 => return response,
                Ok(response) => response.to_string(),
                Err(error) => error.to_string(),
            };
            let is_enough = match self.patience {
                Patience::FourAttempts => attempt == 4,
                Patience::For(patience) => began.elapsed() > patience,
            };
            assert!(
                !is_enough,
                "{} {}: given up after {attempt} attempts: {what}",
                request.method, request.target
            );
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(20));
        }
        unreachable!("the loop has no end")
    }

    /// Carries a whole update through. An error means that the answer to a call that is sent once was lost.
    pub fn run(
        &self,
        script: &Script,
        mode: Mode,
        message: &str,
        base: &Value,
        rng: &mut Rng,
    ) -> io::Result<Carried> {
        let update = self.start(script.kind, false, mode, message)?;
        let exported = Tree::parse(self.retried(&self.stack.request("GET", "/export")).ok().text());
        assert_same_deployment(&exported, &Tree::from(base), "the state at the start");
        self.retried(&self.stack.request("GET", "")).ok();

        let mut event_rng = Rng::new(rng.next());
        let state = std::thread::scope(|scope| {
            scope.spawn(|| self.post_events(&update, &script.events, &mut event_rng));
            self.save(&update, script, mode, base, rng)
        });
        self.end(&update, script.ending);
        Ok(Carried { id: update.id, version: update.version, state })
    }

    /// A preview: it has a lease and events, and changes nothing.
    pub fn preview(&self, script: &Script, rng: &mut Rng) -> io::Result<()> {
        let kind = *rng.pick(&["preview", script.kind]);
        let update = self.start(kind, true, Mode::Journal, "a preview")?;
        self.retried(&self.stack.request("GET", "/export")).ok();
        self.post_events(&update, &script.events, rng);
        self.retried(&update.complete_request("succeeded")).ok();
        Ok(())
    }

    fn start(&self, kind: &str, is_dry_run: bool, mode: Mode, message: &str) -> io::Result<TestUpdate<'_>> {
        let mut body = create_update_body(is_dry_run);
        body["metadata"]["message"] = json!(message);
        let created =
            self.stack.client.send(&self.stack.request("POST", &format!("/{kind}")).json(&body))?.ok();
        let id = created.json()["updateID"].as_str().expect("updateID").to_string();
        let journal_version = i64::from(mode == Mode::Journal);
        let request = self
            .stack
            .request("POST", &format!("/update/{id}"))
            .json(&json!({ "journalVersion": journal_version }));
        let started = self.stack.client.send(&request)?.ok();
        let update = TestUpdate::new(self.stack.clone(), id, &started);
        assert_eq!(update.journal_version, journal_version as u64);
        Ok(update)
    }

    fn end(&self, update: &TestUpdate, ending: Ending) {
        match ending {
            Ending::Succeeded => self.retried(&update.complete_request("succeeded")).ok(),
            Ending::Failed => self.retried(&update.complete_request("failed")).ok(),
            Ending::Cancelled => {
                match &self.lease_clock {
                    Some(clock) => self.let_the_lease_run_out(clock),
                    None => drop(self.retried(&update.cancel_request()).expect(&[200, 204, 409])),
                }
                self.retried(&update.renew_request(300)).expect(&[403])
            }
        };
    }

    /// The housekeeper looks for it in its own time.
    fn let_the_lease_run_out(&self, clock: &Clock) {
        clock.jump(LEASE_AND_GRACE_SECS);
        let began = Instant::now();
        let is_held =
            || self.retried(&self.stack.request("GET", "")).ok().json()["currentOperation"].is_object();
        while is_held() {
            assert!(began.elapsed() < Duration::from_secs(60), "the lease never runs out");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Posts events in batches, some of them at the same time, in any order.
    fn post_events(&self, update: &TestUpdate, events: &[Value], rng: &mut Rng) {
        let mut batches = cut(events, EVENTS_MAX, rng);
        for window in batches.chunks_mut(EVENT_BATCHES_AT_ONCE) {
            rng.shuffle(window);
            std::thread::scope(|scope| {
                for batch in window.iter() {
                    scope.spawn(|| self.retried(&update.events_request(batch)).ok());
                }
            });
        }
    }

    // ---- State ----

    /// Saves what the script says, as it says it; gives the state that is stored then.
    fn save(&self, update: &TestUpdate, script: &Script, mode: Mode, base: &Value, rng: &mut Rng) -> Value {
        match mode {
            Mode::Journal => self.save_journal(update, script, rng),
            Mode::Checkpoint => self.save_states(script, base, rng, |state, _| {
                let deployment = state.deployment(true);
                self.retried(&update.checkpoint_request(&deployment)).ok();
                deployment
            }),
            Mode::Delta { cutoff_bytes } => {
                let mut last: Option<Text> = None;
                self.save_states(script, base, rng, |state, sequence_number| {
                    // The CLI's own form of these texts has no pending operations.
                    let deployment = state.deployment(false);
                    let text = Text::new(&deployment);
                    self.retried(&save_request(update, sequence_number, last.as_ref(), &text, cutoff_bytes))
                        .ok();
                    last = Some(text);
                    deployment
                })
            }
        }
    }

    fn save_journal(&self, update: &TestUpdate, script: &Script, rng: &mut Rng) -> Value {
        let order = handing_over_order(script, rng);
        let mut n_sent = 0;
        while n_sent < order.len() {
            let n = rng.between(1, ENTRIES_MAX.min(order.len() - n_sent));
            let n = if rng.chance(70) { n.min(4) } else { n };
            let batch: Vec<Value> =
                order[n_sent..n_sent + n].iter().map(|i| script.changes[*i].entry.clone()).collect();
            self.send_batch(update, &batch);
            n_sent += n;
            self.renew_sometimes(update, rng);
            let is_prefix = order[..n_sent].iter().all(|i| *i < n_sent);
            if is_prefix && rng.chance(5) {
                let expected = script.changes[n_sent - 1].after.deployment(true);
                self.check_export(&expected, "in the middle of the update");
            }
        }
        script.changes.last().expect("the first entry").after.deployment(true)
    }

    /// Sends a batch of entries; one that is too large is cut in two.
    fn send_batch(&self, update: &TestUpdate, batch: &[Value]) {
        let answer = self.retried(&update.journal_request(batch));
        if answer.status != 413 {
            answer.ok();
            return;
        }
        assert!(batch.len() > 1, "a single entry is too large");
        let (first, second) = batch.split_at(batch.len() / 2);
        self.send_batch(update, first);
        self.send_batch(update, second);
    }

    /// Saves the whole state after steps that changed it, one at a time; `save` is told the state and a number.
    fn save_states(
        &self,
        script: &Script,
        base: &Value,
        rng: &mut Rng,
        mut save: impl FnMut(&super::state::State, u64) -> Value,
    ) -> Value {
        let (mut stored, mut n_saves) = (base.clone(), 0);
        let mut is_waiting = false;
        for (i, change) in script.changes.iter().enumerate() {
            is_waiting = true;
            let is_last = i + 1 == script.changes.len() && script.ending != Ending::Cancelled;
            // Some of the saves in between are left out: the server cannot tell, and there are many.
            if is_last || (!change.is_elided && rng.chance(60)) {
                n_saves += 1;
                stored = save(&change.after, n_saves);
                is_waiting = false;
                if rng.chance(5) {
                    self.check_export(&stored, "in the middle of the update");
                }
            }
        }
        assert!(!is_waiting || script.ending == Ending::Cancelled);
        stored
    }

    fn renew_sometimes(&self, update: &TestUpdate, rng: &mut Rng) {
        if rng.chance(10) {
            let renewed = self.retried(&update.renew_request(300)).ok().json();
            assert_eq!(renewed["token"], update.token.as_str());
        }
    }

    /// The latest state is `expected`.
    #[track_caller]
    pub fn check_export(&self, expected: &Value, context: &str) {
        let export = Tree::parse(self.retried(&self.stack.request("GET", "/export")).ok().text());
        assert_same_deployment(&export, &Tree::from(expected), context);
    }
}

/// `items` in pieces of 1 to `n_max`.
fn cut(items: &[Value], n_max: usize, rng: &mut Rng) -> Vec<Vec<Value>> {
    let (mut rest, mut pieces) = (items, Vec::new());
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(rng.between(1, n_max.min(rest.len())));
        pieces.push(piece.to_vec());
        rest = others;
    }
    pieces
}

/// The order in which entries are handed over: that of their ids, but for neighbours whose steps ran at the same time.
fn handing_over_order(script: &Script, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..script.changes.len()).collect();
    let field = |i: usize, name: &str| script.changes[i].entry[name].as_u64().expect("a number");
    let is_step = |i: usize| field(i, "kind") <= 3;
    let mut i = 0;
    while i + 1 < order.len() {
        let (a, b) = (order[i], order[i + 1]);
        // What began before the other ended does not wait for it.
        let is_concurrent = is_step(a)
            && is_step(b)
            && field(a, "operationID") != field(b, "operationID")
            && !(field(a, "kind") != 0 && field(b, "kind") == 0);
        if is_concurrent && rng.chance(20) {
            order.swap(i, i + 1);
            i += 1;
        }
        i += 1;
    }
    order
}

/// A deployment as the text of which differences are sent, cut at its resources.
struct Text {
    spans: Vec<String>,
}

impl Text {
    fn new(deployment: &Value) -> Text {
        let mut shell = deployment.clone();
        let resources = shell["deployment"]["resources"].take();
        shell["deployment"]["resources"] = json!([]);
        let shell = escaped(&shell);
        let (head, tail) = shell.split_once(r#""resources":["#).expect("a list of resources");
        let mut spans = vec![format!(r#"{head}"resources":["#)];
        let resources = resources.as_array().expect("resources");
        for (i, resource) in resources.iter().enumerate() {
            let comma = if i + 1 < resources.len() { "," } else { "" };
            spans.push(format!("{}{comma}", escaped(resource)));
        }
        spans.push(tail.to_string());
        Text { spans }
    }

    fn whole(&self) -> String {
        self.spans.concat()
    }

    /// The edits that make `self` of `old`: equal spans at both ends stay, those between are paired.
    fn edits_from(&self, old: &Text) -> Vec<Value> {
        let n_same =
            |pairs: &mut dyn Iterator<Item = (&String, &String)>| pairs.take_while(|(a, b)| a == b).count();
        let n_min = old.spans.len().min(self.spans.len());
        let n_head = n_same(&mut old.spans.iter().zip(&self.spans));
        let n_tail = n_same(&mut old.spans.iter().rev().zip(self.spans.iter().rev())).min(n_min - n_head);
        let (old_middle, new_middle) =
            (&old.spans[n_head..old.spans.len() - n_tail], &self.spans[n_head..self.spans.len() - n_tail]);
        let mut offset: usize = old.spans[..n_head].iter().map(String::len).sum();
        let mut edits = Vec::new();
        for i in 0..old_middle.len().max(new_middle.len()) {
            let old_span = old_middle.get(i).map_or("", |it| it);
            let new_span = new_middle.get(i).map_or("", |it| it);
            if old_span != new_span {
                edits.push(edit(offset, offset + old_span.len(), new_span));
            }
            offset += old_span.len();
        }
        edits
    }
}

fn edit(start: usize, end: usize, new_text: &str) -> Value {
    let place = |offset: usize| json!({ "line": 1, "column": 1, "offset": offset });
    json!({ "Span": { "uri": "", "start": place(start), "end": place(end) }, "NewText": new_text })
}

/// JSON as Go writes it, with the characters that mean something in HTML escaped.
fn escaped(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
}

/// A whole text, or its difference to the last one where both are long enough.
fn save_request(
    update: &TestUpdate,
    sequence_number: u64,
    last: Option<&Text>,
    text: &Text,
    cutoff_bytes: usize,
) -> Request {
    let whole = text.whole();
    match last {
        Some(last) if last.whole().len() >= cutoff_bytes && whole.len() >= cutoff_bytes => update
            .delta_request(sequence_number, &sha256_hex(whole.as_bytes()), &json!(text.edits_from(last))),
        _ => update.verbatim_request(sequence_number, &whole),
    }
}
