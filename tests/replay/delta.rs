//! Text deltas: the specification's vectors, the line-based form of old CLIs, and what is refused.

use pulumi_backend::domain::delta::{apply, hash};
use pulumi_backend::error::Error;

const T1: &str = r#"{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""},"metadata":{},"resources":[{"urn":"urn-1","custom":false,"type":""}]}}"#;

/// An edit by byte offsets, as the CLI writes it.
fn edit(start: usize, end: usize, new_text: &str) -> String {
    let point = |offset| format!(r#"{{"line":1,"column":1,"offset":{offset}}}"#);
    let new_text = serde_json::to_string(new_text).expect("a string");
    format!(r#"{{"Span":{{"uri":"","start":{},"end":{}}},"NewText":{new_text}}}"#, point(start), point(end))
}

/// An edit by lines, as the CLIs before 3.68 write it.
fn line_edit(start: (i64, i64), end: (i64, i64), new_text: &str) -> String {
    let point = |(line, column): (i64, i64)| {
        let offset = if line == 1 { 0 } else { -1 };
        format!(r#"{{"line":{line},"column":{column},"offset":{offset}}}"#)
    };
    let new_text = serde_json::to_string(new_text).expect("a string");
    format!(r#"{{"Span":{{"uri":"","start":{},"end":{}}},"NewText":{new_text}}}"#, point(start), point(end))
}

#[test]
fn the_vectors_of_the_specification() {
    let two = r#"{"urn":"urn-1","custom":false,"type":""},{"urn":"urn-2","custom":false,"type":""}"#;
    let one = r#"{"urn":"urn-1","custom":false,"type":""}"#;
    let version_4 = T1[..121].replace(r#""version":3"#, r#""version":4,"features":["refreshBeforeUpdate"]"#)
        + r#"{"urn":"urn-1","custom":false,"type":"","refreshBeforeUpdate":true}"#;
    let t2 = check(
        T1,
        &edit(121, 161, two),
        205,
        "5ffa59a4628983b155933e87fd91ef1f5e76cb2dfdd413eefc3bedb52a7ce1c4",
    );
    let t3 = check(
        &t2,
        &edit(121, 202, one),
        164,
        "fa39495cd65a25d850d69388092ae6efcdb5e999ca72b378384236bc77e098a4",
    );
    assert_eq!(t3, T1);
    check(
        &t3,
        &edit(0, 161, &version_4),
        226,
        "5e927ea2f899447a4b917769e32d921f96dd19c637c593eb936563380f2be3a3",
    );

    #[track_caller]
    fn check(previous: &str, edit: &str, bytes_len: usize, checkpoint_hash: &str) -> String {
        let next = apply(previous, &format!("[{edit}]"), checkpoint_hash).expect("a delta");
        assert_eq!((next.len(), hash(&next).as_str()), (bytes_len, checkpoint_hash));
        next
    }
}

#[test]
fn edits_that_are_applied() {
    check("abc", &[], "abc");
    check("abc", &[edit(0, 0, "x")], "xabc");
    check("abc", &[edit(3, 3, "x")], "abcx");
    check("abc", &[edit(1, 2, "")], "ac");
    check("abc", &[edit(0, 1, "x"), edit(1, 1, "y"), edit(1, 1, "z"), edit(2, 3, "")], "xyzb");
    check("abc", &[edit(2, 3, "z"), edit(0, 1, "x")], "xbz");
    check("", &[edit(0, 0, "äöü")], "äöü");
    check("äöü", &[edit(2, 4, "o")], "äoü");

    let lines = "one\ntwo\nthree\n";
    check(lines, &[line_edit((2, 1), (3, 1), "zwei\n")], "one\nzwei\nthree\n");
    check(lines, &[line_edit((1, 1), (2, 1), "")], "two\nthree\n");
    check(lines, &[line_edit((4, 1), (4, 1), "four\n")], "one\ntwo\nthree\nfour\n");
    check(lines, &[line_edit((1, 1), (1, 1), "0\n"), line_edit((3, 1), (4, 1), "")], "0\none\ntwo\n");
    let open_end = "one\ntwo";
    check(open_end, &[line_edit((2, 1), (3, 1), "zwei")], "one\nzwei");
    check(open_end, &[line_edit((3, 1), (3, 1), "!")], "one\ntwo!");

    #[track_caller]
    fn check(previous: &str, edits: &[String], expected: &str) {
        let edits = format!("[{}]", edits.join(","));
        assert_eq!(
            apply(previous, &edits, &hash(expected)).expect("a delta"),
            expected,
            "{previous:?} {edits}"
        );
    }
}

#[test]
fn edits_that_are_refused() {
    check("abc", &edit(0, 4, ""), "outside the checkpoint of 3 bytes");
    check("abc", &edit(2, 1, ""), "ends before it starts");
    check("abc", &format!("{},{}", edit(0, 2, "x"), edit(1, 3, "y")), "overlaps");
    check("abc", &line_edit((3, 1), (3, 1), ""), "outside");
    check("abc", &line_edit((0, 1), (1, 1), ""), "outside");
    check("abc\nd", &line_edit((2, 0), (2, 1), ""), "outside");
    check("abc\nd", &line_edit((2, 9), (2, 9), ""), "outside");
    check("ä", &edit(1, 2, ""), "cuts a character");
    check("abc", r#"{"NewText":"x"}"#, "not a list of edits");
    check("abc", "7", "not a list of edits");

    #[track_caller]
    fn check(previous: &str, edits: &str, why: &str) {
        let error = apply(previous, &format!("[{edits}]"), "").expect_err(edits);
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_delta_that_leads_elsewhere_is_a_conflict() {
    let error = apply("abc", &format!("[{}]", edit(0, 1, "x")), &hash("abc")).expect_err("another text");
    assert!(matches!(error, Error::Conflict(_)), "{error:?}");
}
