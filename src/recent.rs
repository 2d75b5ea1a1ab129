//! What was tried in vain within the present minute, and which tokens were just noted as used: counts in memory.
//!
//! All of it is bounded, and losing it costs nothing but a count.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::limits;

/// Counts of the present minute.
pub struct Recent {
    wrong_tokens_max: u32,
    minute: Mutex<Minute>,
    noted: Mutex<HashMap<i64, i64>>,
    warned: Mutex<HashMap<String, i64>>,
}

#[derive(Default)]
struct Minute {
    number: i64,
    wrong_tokens: HashMap<String, u32>,
    denied: HashMap<String, u32>,
    /// Of minutes that are over.
    unrecorded: Vec<(String, u32)>,
}

/// Who shares a count when there are too many to count each.
const OTHERS: &str = "others";

impl Recent {
    /// Up to `wrong_tokens_max` wrong tokens of an address in a minute are answered as such.
    pub fn new(wrong_tokens_max: u32) -> Recent {
        Recent {
            wrong_tokens_max,
            minute: Mutex::default(),
            noted: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    /// Counts a wrong token. If there were too many, gives the seconds until the next is looked at.
    pub fn wrong_token(&self, address: &str, now_unix: i64) -> Option<i64> {
        let mut minute = self.minute.lock().expect("no panic under this lock");
        minute.advance(now_unix);
        let n = count(&mut minute.wrong_tokens, address, limits::ADDRESSES_MAX);
        (n > self.wrong_tokens_max).then(|| 60 - now_unix.rem_euclid(60))
    }

    /// Counts a denied call of `caller`: whether it gets a record of its own.
    pub fn is_denial_recorded(&self, caller: &str, now_unix: i64) -> bool {
        let mut minute = self.minute.lock().expect("no panic under this lock");
        minute.advance(now_unix);
        count(&mut minute.denied, caller, limits::DENIED_CALLERS_MAX) <= limits::DENIALS_PER_MINUTE
    }

    /// Denied calls of minutes that are over and that got no record of their own: who, how many.
    pub fn take_unrecorded(&self, now_unix: i64) -> Vec<(String, u32)> {
        let mut minute = self.minute.lock().expect("no panic under this lock");
        minute.advance(now_unix);
        std::mem::take(&mut minute.unrecorded)
    }

    /// Whether this user is to be told of something that concerns the server; not again for a while, as one command of
    /// the CLI makes many calls.
    pub fn is_warning_due(&self, user: &str, now_unix: i64) -> bool {
        let mut warned = self.warned.lock().expect("no panic under this lock");
        warned.retain(|_, at| (0..limits::WARNING_SECS).contains(&(now_unix - *at)));
        if warned.contains_key(user) || warned.len() >= limits::ADDRESSES_MAX {
            return false;
        }
        warned.insert(user.into(), now_unix);
        true
    }

    /// Whether the use of a token should be written now; not again for a while.
    pub fn is_use_noted(&self, token_id: i64, now_unix: i64) -> bool {
        let mut noted = self.noted.lock().expect("no panic under this lock");
        let is_due = |at: &i64| !(0..limits::LAST_USED_SECS).contains(&(now_unix - at));
        if noted.len() >= limits::TOKENS_MAX {
            noted.retain(|_, at| !is_due(at));
        }
        match noted.get(&token_id).is_none_or(is_due) {
            true => noted.insert(token_id, now_unix).is_none_or(|at| is_due(&at)),
            false => false,
        }
    }
}

impl Minute {
    /// What is left of the last minute is kept for a record.
    fn advance(&mut self, now_unix: i64) {
        let number = now_unix.div_euclid(60);
        if number == self.number {
            return;
        }
        self.number = number;
        self.wrong_tokens.clear();
        let over = self.denied.drain().filter(|(_, n)| *n > limits::DENIALS_PER_MINUTE);
        self.unrecorded.extend(over.map(|(caller, n)| (caller, n - limits::DENIALS_PER_MINUTE)));
        // The housekeeper takes them every second; without one nobody waits for them.
        self.unrecorded.truncate(2 * limits::DENIED_CALLERS_MAX);
    }
}

fn count(counts: &mut HashMap<String, u32>, key: &str, n_keys_max: usize) -> u32 {
    let is_room = counts.len() < n_keys_max || counts.contains_key(key);
    let n = counts.entry(if is_room { key } else { OTHERS }.to_string()).or_default();
    *n = n.saturating_add(1);
    *n
}
