//! Which names, tags, kinds and leases are accepted.

use pulumi_backend::domain::name::{OrgName, ProjectName, StackName, StackRef, TagName, TagValue};
use pulumi_backend::domain::update::{Lease, UpdateKind, UpdateResult, UpdateStatus};

#[test]
fn organization_names() {
    check("acme", true);
    check("organization", true);
    check("admin", true);
    check("a-b_C9", true);
    check("abc", true);
    check("ab", false);
    check(&"x".repeat(40), true);
    check(&"x".repeat(41), false);
    check("-acme", false);
    check("acme_", false);
    check("ac me", false);
    check("ac.me", false);
    check("äcme", false);

    #[track_caller]
    fn check(text: &str, is_accepted: bool) {
        assert_eq!(OrgName::parse(text).is_ok(), is_accepted, "{text:?}");
    }
}

#[test]
fn project_and_stack_names() {
    check("dev", true);
    check("a", true);
    check("my.stack_1-x", true);
    check(".hidden", true);
    check("", false);
    check(".", false);
    check("..", false);
    check(&"x".repeat(100), true);
    check(&"x".repeat(101), false);
    check("a/b", false);
    check("a b", false);
    check("a%2fb", false);
    check("straße", false);

    #[track_caller]
    fn check(text: &str, is_accepted: bool) {
        assert_eq!(StackName::parse(text).is_ok(), is_accepted, "{text:?}");
        assert_eq!(ProjectName::parse(text).is_ok(), is_accepted, "{text:?}");
    }
}

#[test]
fn full_names_of_stacks() {
    let stack = StackRef::parse("acme/web/dev").expect("a stack");
    assert_eq!((stack.org.as_str(), stack.project.as_str(), stack.stack.as_str()), ("acme", "web", "dev"));
    assert_eq!(stack.to_string(), "acme/web/dev");
    for text in ["", "dev", "acme/dev", "acme/web/dev/x", "acme//dev", "a/web/dev"] {
        assert!(StackRef::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn tags() {
    check("pulumi:project", "web", true);
    check("a.b-c_d", "", true);
    check("", "x", false);
    check(&"t".repeat(40), &"ä".repeat(256), true);
    check(&"t".repeat(41), "x", false);
    check("t", &"x".repeat(257), false);
    check("a b", "x", false);

    #[track_caller]
    fn check(name: &str, value: &str, is_accepted: bool) {
        let is_tag = TagName::parse(name).is_ok() && TagValue::parse(name, value).is_ok();
        assert_eq!(is_tag, is_accepted, "{name:?} = {value:?}");
    }
}

#[test]
fn kinds_and_statuses_are_read_as_they_are_written() {
    for kind in ["preview", "update", "refresh", "destroy", "import", "resource-import", "rename"] {
        assert_eq!(UpdateKind::parse(kind).expect("a kind").as_str(), kind);
    }
    for status in ["not started", "requested", "running", "failed", "succeeded", "cancelled"] {
        assert_eq!(UpdateStatus::parse(status).expect("a status").as_str(), status);
    }
    for result in ["not-started", "in-progress", "succeeded", "failed"] {
        assert_eq!(UpdateResult::parse(result).expect("a result").as_str(), result);
    }
    let error = UpdateStatus::parse("not-started").expect_err("that is a result");
    assert!(error.to_string().contains("must be one of: not started, requested"), "{error}");
    assert!(UpdateStatus::Cancelled.is_ended() && !UpdateStatus::Running.is_ended());
    assert_eq!(UpdateStatus::Cancelled.result(), UpdateResult::Failed);
}

#[test]
fn a_lease_only_ever_gets_longer() {
    let lease = Lease::new(1_300);
    assert_eq!(lease.renewed(1_100, 300).expires_at_unix(), 1_400);
    assert_eq!(lease.renewed(900, 300).expires_at_unix(), 1_300, "the clock went back");
    assert_eq!(lease.renewed(1_100, 10).expires_at_unix(), 1_300, "shorter than what is left");
    assert_eq!(lease.renewed(i64::MAX, 300).expires_at_unix(), i64::MAX);
    assert!(lease.is_live(1_299, 0) && !lease.is_live(1_300, 0));
    assert!(lease.is_live(1_329, 30) && !lease.is_live(1_330, 30));
}
