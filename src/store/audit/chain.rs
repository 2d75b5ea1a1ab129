//! A walk along the record: whether each is as it was written, and none is missing between them.
//!
//! The hashes need no key, so an export can be checked anywhere against a head that was kept elsewhere. The seals do:
//! without a kept head, only they tell a record from one that was made anew together with all after it.

use std::sync::Arc;

use super::{BEFORE_THE_FIRST, CUT, Record, parse_place};
use crate::crypto::hash_key::HashKey;

/// Follows the record, one by one, in order. Only the first problem counts: those after it may follow from it.
pub struct Chain {
    /// None: the seals are not looked at.
    key: Option<Arc<HashKey>>,
    /// A head that was kept elsewhere, until it has been met.
    known: Option<(i64, Vec<u8>)>,
    first: Option<Record>,
    last: Option<(i64, Vec<u8>)>,
    /// The last record that retention gave up, as far as the records tell.
    cut: Option<(i64, Vec<u8>)>,
    n_records: u64,
    problem: Option<String>,
}

/// What a walk has found.
pub struct Walked {
    /// Records that were looked at.
    pub n_records: u64,
    /// The number of the first.
    pub first: Option<i64>,
    /// Number and hash of the last.
    pub head: Option<(i64, Vec<u8>)>,
    /// Whether nothing came before the first, but what a record says was given up.
    pub is_from_start: bool,
    /// What is wrong.
    pub problem: Option<String>,
}

impl Chain {
    /// `known`: number and hash of a record that must be there.
    pub fn new(key: Option<Arc<HashKey>>, known: Option<(i64, Vec<u8>)>) -> Chain {
        Chain { key, known, first: None, last: None, cut: None, n_records: 0, problem: None }
    }

    /// The next record.
    pub fn take(&mut self, record: Record) {
        self.n_records += 1;
        let wrong = self.follow(&record).err().or_else(|| self.meet_known(&record));
        self.problem = self.problem.take().or(wrong);
        if record.action == CUT {
            self.cut = parse_place(&record.detail).or(self.cut.take());
        }
        self.last = Some((record.sequence, record.hash.clone()));
        self.first.get_or_insert(record);
    }

    fn follow(&self, record: &Record) -> Result<(), String> {
        let number = record.sequence;
        let before = match &self.last {
            Some((last, _)) if number != last + 1 => {
                return Err(format!(
                    "record {} is missing: after {last} comes {number} (an export with filters lacks what they leave out)",
                    last + 1
                ));
            }
            Some((_, hash)) => Some(hash.as_slice()),
            None if number == 1 => Some(&BEFORE_THE_FIRST[..]),
            // What came before is not here; `end` sees whether it is known.
            None => None,
        };
        let follows = before.is_none_or(|before| record.hash_after(before)[..] == record.hash[..]);
        let is_sealed = self.key.as_ref().is_none_or(|key| record.seal_with(key)[..] == record.seal[..]);
        match follows && is_sealed {
            true => Ok(()),
            false => Err(format!("record {number} is not what was recorded")),
        }
    }

    fn meet_known(&mut self, record: &Record) -> Option<String> {
        let (number, hash) = self.known.take_if(|(number, _)| *number == record.sequence)?;
        (hash != record.hash).then(|| format!("record {number} is not the one whose hash was kept"))
    }

    /// The outcome, after the last record.
    pub fn end(mut self) -> Walked {
        let first = self.first.as_ref().map(|record| record.sequence);
        let cut = self.cut.take().filter(|(number, _)| Some(number + 1) == first);
        let is_from_start = match (&self.first, &cut) {
            (Some(first), _) if first.sequence == 1 => true,
            (Some(first), Some((number, hash))) => {
                if first.hash_after(hash)[..] != first.hash[..] {
                    let wrong =
                        format!("record {} does not follow record {number}, which was given up", number + 1);
                    self.problem = self.problem.or(Some(wrong));
                }
                true
            }
            (first, _) => first.is_none(),
        };
        if let Some(known) = &self.known
            && cut.as_ref() != Some(known)
        {
            let number = known.0;
            let why = match first.is_some_and(|first| number < first) {
                true => format!("record {number}, whose hash was kept, is older than the first one here"),
                false => format!("record {number}, whose hash was kept, is missing"),
            };
            self.problem = self.problem.or(Some(why));
        }
        Walked { n_records: self.n_records, first, head: self.last, is_from_start, problem: self.problem }
    }
}
