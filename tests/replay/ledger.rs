//! What is accepted into a journal, what is refused and why, and what a replay makes of what slipped through.

use pulumi_backend::domain::deployment::Deployment;
use pulumi_backend::domain::journal::{Ledger, Manifest, Noted, parse_batch, replay};
use pulumi_backend::error::Error;

/// The body of a batch, of entries given short: `version` and the two nullable members are added.
fn batch(entries: &[&str]) -> String {
    let entries: Vec<String> = entries.iter().map(|entry| format!(r#"{{"version":1,{entry}}}"#)).collect();
    format!(r#"{{"entries":[{}]}}"#, entries.join(","))
}

/// What a ledger is told of a batch.
fn noted(batch: &str) -> Vec<Noted> {
    parse_batch(batch).expect(batch).iter().map(Noted::of).collect()
}

const STATE: &str = r#""state":{"urn":"urn:pulumi:dev::web::a:b:C::n","custom":false,"type":"a:b:C"}"#;

#[test]
fn batches_that_cannot_be_read_are_refused() {
    check("{}", "entries: must be a list of at least one");
    check(r#"{"entries":[]}"#, "entries: must be a list of at least one");
    check(r#"{"entries":null}"#, "entries: must be a list of at least one");
    check(r#"{"entries":[7]}"#, "entries[0]: must be an object");
    check(r#"{"entries":[{}]}"#, "entries[0].version: must be 1");
    check(r#"{"entries":[{"version":2,"sequenceID":1}]}"#, "entries[0].version: must be 1");
    check(
        &batch(&[r#""kind":10,"sequenceID":1"#]),
        "entries[0].kind: is 10; this server knows the kinds 0 to 9",
    );
    check(&batch(&[r#""kind":-1,"sequenceID":1"#]), "entries[0].kind: is -1");
    check(&batch(&[r#""kind":0,"sequenceID":0"#]), "entries[0].sequenceID: is 0");
    check(&batch(&[r#""kind":0"#]), "entries[0].sequenceID: is 0");
    check(&batch(&[r#""kind":0,"sequenceID":"1""#]), "entries[0].sequenceID: must be a whole number");
    check(
        &batch(&[r#""kind":0,"sequenceID":1"#, r#""kind":4,"sequenceID":2"#]),
        "entries[1].state: is missing",
    );
    check(&batch(&[r#""kind":5,"sequenceID":1"#]), "entries[0].newSnapshot: is missing");
    check(&batch(&[r#""kind":8,"sequenceID":1"#]), "entries[0].extensionRef: is missing");
    check(&batch(&[r#""kind":8,"sequenceID":1,"extensionRef":"e""#]), "entries[0].extension: is missing");
    check(
        &batch(&[r#""kind":1,"sequenceID":1,"state":{"urn":1}"#]),
        "entries[0].state.urn: must be a string",
    );
    check(&batch(&[r#""kind":1,"sequenceID":1,"state":[]"#]), "entries[0].state: must be an object");
    let operation = r#""kind":0,"sequenceID":1,"operation":{"type":"creating","resource":{"taint":1}}"#;
    check(&batch(&[operation]), "entries[0].operation.resource.taint: must be true or false");
    let snapshot = r#""kind":5,"sequenceID":1,"newSnapshot":{"resources":[{"parent":[]}]}"#;
    check(&batch(&[snapshot]), "entries[0].newSnapshot.resources[0].parent: must be a string");
    check(r#"{"entries":[{"version":1,}]}"#, "expected a string");

    #[track_caller]
    fn check(body: &str, why: &str) {
        let error = parse_batch(body).expect_err(body);
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains(why), "{why}\n{error}");
    }
}

#[test]
fn entries_that_point_nowhere_are_refused_when_they_come() {
    let success = |sequence_id: i64, rest: &str| {
        format!(r#""kind":1,"sequenceID":{sequence_id},"operationID":{sequence_id},{rest}"#)
    };
    check(&[&success(1, r#""removeOld":1"#)], Ok(()));
    check(
        &[&success(1, r#""removeOld":2"#)],
        Err("entries[0].removeOld: is index 2 into a base of 2 resources"),
    );
    check(&[&success(1, r#""deleteOld":-1"#)], Err("entries[0].deleteOld: is index -1"));
    check(
        &[&success(1, r#""pendingReplacementOld":9"#)],
        Err("entries[0].pendingReplacementOld: is index 9"),
    );
    check(&[&success(1, r#""removeNew":7"#)], Err("entries[0].removeNew: is operation 7"));
    check(&[&success(1, STATE), &success(2, r#""removeNew":1"#)], Ok(()));
    check(
        &[&success(1, r#""removeOld":0"#), &success(2, r#""deleteNew":1"#)],
        Err("entries[1].deleteNew: is operation 1"),
    );
    let itself = format!(r#"{STATE},"deleteNew":1"#);
    check(&[&success(1, &itself)], Ok(()));
    // A failure is only looked at for the operation that it ends.
    check(&[r#""kind":2,"sequenceID":1,"removeOld":99,"removeNew":99"#], Ok(()));
    check(
        &[&format!(r#""kind":3,"sequenceID":1,"operationID":1,"removeNew":1,{STATE}"#)],
        Err("entries[0].removeNew"),
    );
    check(&[&format!(r#""kind":4,"sequenceID":1,"removeOld":5,{STATE}"#)], Err("entries[0].removeOld"));
    // A snapshot, and a rebuilt base, change what an index means.
    let write = r#""kind":5,"sequenceID":1,"newSnapshot":{"resources":[{},{},{}]}"#;
    check(&[write, &success(2, r#""removeOld":2"#)], Ok(()));
    check(
        &[write, &success(2, r#""removeOld":3"#)],
        Err("entries[1].removeOld: is index 3 into a base of 3"),
    );
    let gone = r#""kind":3,"sequenceID":1,"operationID":1,"removeOld":0"#;
    let rebuilt = r#""kind":7,"sequenceID":2"#;
    check(&[gone, rebuilt, &success(3, r#""removeOld":0"#)], Ok(()));
    check(
        &[gone, rebuilt, &success(3, r#""removeOld":1"#)],
        Err("entries[2].removeOld: is index 1 into a base of 1"),
    );
    check(&[&success(1, STATE), rebuilt, &success(3, r#""removeNew":1"#)], Err("entries[2].removeNew"));

    /// In one batch, and one by one.
    #[track_caller]
    fn check(entries: &[&str], expected: Result<(), &str>) {
        let whole = batch(entries);
        let judged = Ledger::new(2).check(&noted(&whole)).map(|verdict| verdict.new.len());
        match (expected, &judged) {
            (Ok(()), Ok(n)) => assert_eq!(*n, entries.len()),
            (Err(why), Err(error)) => assert!(error.to_string().contains(why), "{why}\n{error}"),
            _ => panic!("{expected:?} {judged:?} {whole}"),
        }
        let mut ledger = Ledger::new(2);
        let mut is_refused = false;
        for entry in entries {
            let one = batch(&[entry]);
            let parsed = noted(&one);
            match ledger.check(&parsed) {
                Ok(verdict) => ledger.apply(&parsed, &verdict),
                Err(_) => is_refused = true,
            }
        }
        assert_eq!(is_refused, judged.is_err(), "one by one: {whole}");
    }
}

#[test]
fn the_same_twice_is_known_and_another_body_is_a_conflict() {
    let (one, two) =
        (r#""kind":0,"sequenceID":1,"operationID":1"#, r#""kind":0,"sequenceID":2,"operationID":2"#);
    let other = r#""kind":2,"sequenceID":1,"operationID":1"#;
    let mut ledger = Ledger::new(0);
    let first = batch(&[one]);
    let entries = noted(&first);
    let verdict = ledger.check(&entries).expect("new");
    assert_eq!(verdict.new, [0]);
    ledger.apply(&entries, &verdict);
    assert_eq!(ledger.n_entries(), 1);
    let overlapping = batch(&[one, two, two]);
    assert_eq!(ledger.check(&noted(&overlapping)).expect("one is new").new, [1]);
    for body in [batch(&[other]), batch(&[two, r#""kind":1,"sequenceID":2"#])] {
        let error = ledger.check(&noted(&body)).expect_err("another body");
        assert!(matches!(&error, Error::Conflict(why) if why.contains("under the sequence ID")), "{error:?}");
    }
    assert_eq!(ledger.n_entries(), 1, "checking changes nothing");
}

#[test]
fn behind_a_gap_an_entry_is_judged_when_the_gap_closes() {
    let late = r#""kind":1,"sequenceID":3,"operationID":3,"removeNew":1"#;
    let (begin, success) = (
        r#""kind":0,"sequenceID":1,"operationID":1"#,
        format!(r#""kind":1,"sequenceID":2,"operationID":1,{STATE}"#),
    );
    let mut ledger = Ledger::new(0);
    accept(&mut ledger, &[late]);
    accept(&mut ledger, &[begin, &success]);
    let again = batch(&[r#""kind":1,"sequenceID":4,"operationID":4,"removeOld":0"#]);
    ledger.check(&noted(&again)).expect_err("the gap is closed, the base is empty");

    // One that turns out to point nowhere was acknowledged: it stays, and does not spoil what comes behind it.
    let mut ledger = Ledger::new(0);
    accept(&mut ledger, &[late]);
    accept(&mut ledger, &[begin, r#""kind":2,"sequenceID":2,"operationID":1"#]);
    accept(&mut ledger, &[r#""kind":0,"sequenceID":4,"operationID":4"#]);

    #[track_caller]
    fn accept(ledger: &mut Ledger, entries: &[&str]) {
        let body = batch(entries);
        let entries = noted(&body);
        let verdict = ledger.check(&entries).expect(&body);
        ledger.apply(&entries, &verdict);
    }
}

/// Replays on a base of `a` and `b`; returns URNs' last letters with marks, and the findings.
fn replayed(entries: &[&str]) -> (Vec<String>, Vec<String>) {
    let base = r#"{"version":3,"deployment":{"resources":[{"urn":"a","custom":false,"type":"t"},{"urn":"b","custom":false,"type":"t"}]}}"#;
    let body = batch(entries);
    let manifest = Manifest { time: "2026-01-02T03:04:05Z".into(), version: "v1".into() };
    let entries = parse_batch(&body).expect(&body);
    let result = replay(Deployment::parse(base).expect(base), &entries, &manifest).expect(&body);
    let resources = result.deployment.resources.iter().map(|text| text.to_string()).collect();
    (resources, result.findings)
}

#[test]
fn what_points_nowhere_is_ignored_and_told_and_nothing_reported_is_lost() {
    let a = r#"{"urn":"a","custom":false,"type":"t"}"#;
    let b = r#"{"urn":"b","custom":false,"type":"t"}"#;
    let c = r#"{"urn":"c","custom":false,"type":"t"}"#;
    let with = |rest: &str, state: &str| format!(r#""sequenceID":9,"operationID":9,{rest},"state":{state}"#);
    check(&with(r#""kind":1,"removeOld":5,"deleteNew":7"#, c), &[c, a, b], 2);
    check(&with(r#""kind":4,"removeNew":7"#, c), &[a, b, c], 1);
    check(&with(r#""kind":3,"removeOld":2"#, c), &[a, b, c], 1);
    // What else has its URN is the newer truth, or all that is known of it.
    check(&with(r#""kind":4,"removeNew":7"#, r#"{"urn":"b","custom":false,"type":"new"}"#), &[a, b], 1);

    #[track_caller]
    fn check(entry: &str, expected: &[&str], n_findings: usize) {
        let (resources, findings) = replayed(&[entry]);
        assert_eq!(resources, expected, "{entry}");
        assert_eq!(findings.len(), n_findings, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.starts_with("journal entry 9: ")), "{findings:?}");
    }
}

#[test]
fn where_upstream_gives_up_the_states_are_kept_as_they_came() {
    let claim = |n: i64, urn: &str| {
        format!(
            r#""kind":1,"sequenceID":{n},"operationID":{n},"state":{{"urn":"{urn}","custom":false,"type":"t","aliases":["old"]}}"#
        )
    };
    let (resources, findings) = replayed(&[&claim(1, "c"), &claim(2, "d")]);
    assert_eq!(resources.len(), 4);
    assert!(resources[0].contains(r#""aliases":["old"]"#), "{}", resources[0]);
    assert_eq!(findings, ["the resources c and d both claim the alias old; aliases were left as they are"]);

    let odd = r#""kind":1,"sequenceID":1,"state":{"urn":"c","custom":false,"type":"t","provider":"odd"}"#;
    let (resources, findings) = replayed(&[odd]);
    assert!(resources[0].contains(r#""provider":"odd""#), "{}", resources[0]);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("provider 'odd'"), "{findings:?}");
}

#[test]
fn texts_are_kept_byte_for_byte_and_edited_in_place() {
    let state = r#"{ "urn":"c", "custom":false,"type":"t","inputs":{"n":1.0,"big":12345678901234567890,"e":1E400},"z":null }"#;
    let push = format!(r#""kind":1,"sequenceID":1,"operationID":1,"state":{state}"#);
    let (resources, _) = replayed(&[&push]);
    assert_eq!(resources[0], state);
    let mark = r#""kind":1,"sequenceID":2,"operationID":2,"deleteNew":1,"pendingReplacementOld":1"#;
    let (resources, _) = replayed(&[&push, mark]);
    assert_eq!(resources[0], state.replace(r#""z":null }"#, r#""z":null ,"delete":true}"#));
    assert_eq!(resources[2], r#"{"urn":"b","custom":false,"type":"t","pendingReplacement":true}"#);
}

#[test]
fn the_flag_for_strings_that_are_not_utf8_stays_with_what_is_left_of_the_base() {
    check(r#""kind":0,"sequenceID":1"#, &["byteString"]);
    check(r#""kind":7,"sequenceID":1"#, &["byteString"]);
    check(
        r#""kind":5,"sequenceID":1,"newSnapshot":{"resources":[{"urn":"c","custom":false,"type":"t"}]}"#,
        &[],
    );
    check(r#""kind":1,"sequenceID":1,"removeOld":0"#, &[]);
    check(
        r#""kind":1,"sequenceID":1,"removeOld":0,"requiresByteString":true,"state":{"urn":"a","custom":false,"type":"t"}"#,
        &["byteString"],
    );

    #[track_caller]
    fn check(entry: &str, features: &[&str]) {
        let base = r#"{"version":4,"features":["byteString"],"deployment":{"resources":[{"urn":"a","custom":false,"type":"t"}]}}"#;
        let body = batch(&[entry]);
        let manifest = Manifest { time: String::new(), version: String::new() };
        let entries = parse_batch(&body).expect(&body);
        let result = replay(Deployment::parse(base).expect(base), &entries, &manifest).expect(&body);
        let header = result.deployment.header().expect(&body);
        assert_eq!(header.features, features, "{entry}");
        assert_eq!(header.schema_version, if features.is_empty() { 3 } else { 4 });
    }
}

#[test]
fn features_of_a_later_cli_stay() {
    let base = r#"{"version":4,"features":["zebra","taint","ant"],"deployment":{"resources":[{"urn":"a","custom":false,"type":"t"}]}}"#;
    let body =
        batch(&[r#""kind":1,"sequenceID":1,"state":{"urn":"b","custom":false,"type":"t","viewOf":"a"}"#]);
    let manifest = Manifest { time: String::new(), version: String::new() };
    let entries = parse_batch(&body).expect(&body);
    let result = replay(Deployment::parse(base).expect(base), &entries, &manifest).expect(&body);
    let header = result.deployment.header().expect(&body);
    assert_eq!(
        (header.features, header.schema_version),
        (vec!["ant".into(), "views".into(), "zebra".into()], 4)
    );
}

#[test]
fn what_is_not_known_here_is_carried_over() {
    let base = r#"{"later":[1.0],"version":3,"deployment":{"future":{"a":1e400},"resources":[{"urn":"a","custom":false,"type":"t"}],"x\"y":2}}"#;
    let body = batch(&[r#""kind":0,"sequenceID":1,"later":true"#]);
    let manifest = Manifest { time: "2026-01-02T03:04:05Z".into(), version: String::new() };
    let entries = parse_batch(&body).expect(&body);
    let result = replay(Deployment::parse(base).expect(base), &entries, &manifest).expect(&body);
    assert_eq!(
        result.deployment.to_text(),
        r#"{"version":3,"later":[1.0],"deployment":{"manifest":{"time":"2026-01-02T03:04:05Z","magic":"","version":""},"resources":[{"urn":"a","custom":false,"type":"t"}],"metadata":{},"future":{"a":1e400},"x\"y":2}}"#
    );
}
