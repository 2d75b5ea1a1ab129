//! When a backup is due.

use pulumi_backend::clock::date_time;
use pulumi_backend::domain::schedule::Schedule;

/// Thursday, 2026-08-20, 10:17:30.
const NOW: i64 = 1_787_221_050;

#[test]
fn the_next_time() {
    assert_eq!(date_time(NOW), "2026-08-20T10:17:30");
    let check = |text: &str, expected: &str| {
        let schedule = Schedule::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(date_time(schedule.next_after(NOW)), expected, "{text}");
    };
    check("90s", "2026-08-20T10:19:00");
    check("6h", "2026-08-20T16:17:30");
    check("2d", "2026-08-22T10:17:30");
    check("* * * * *", "2026-08-20T10:18:00");
    check("*/15 * * * *", "2026-08-20T10:30:00");
    check("17 10 * * *", "2026-08-21T10:17:00");
    check("0 3 * * *", "2026-08-21T03:00:00");
    check("0 3 * * 0", "2026-08-23T03:00:00");
    check("0 3 * * 7", "2026-08-23T03:00:00");
    check("30 1-5/2,22 * * *", "2026-08-20T22:30:00");
    check("0 0 1 * *", "2026-09-01T00:00:00");
    check("0 0 31 12 *", "2026-12-31T00:00:00");
    check("0 0 29 2 *", "2028-02-29T00:00:00");
    check("0 0 25 * 6", "2026-08-22T00:00:00");
    check("0 0 */10 * *", "2026-08-21T00:00:00");
}

#[test]
fn what_is_no_schedule() {
    for text in [
        "",
        "6",
        "h",
        "0h",
        "-1h",
        "6 h",
        "1w",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
    ]
    .into_iter()
    .chain(["* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "0 0 30 2 *", "1,,2 * * * *"])
    {
        assert!(Schedule::parse(text).is_err(), "{text:?}");
    }
}
