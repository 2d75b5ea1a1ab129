//! Deployments are cut and joined byte for byte, and what is none is refused with a reason.

use pulumi_backend::domain::deployment::Deployment;
use pulumi_backend::domain::json;
use pulumi_backend::domain::resource::resource_facts;

#[test]
fn what_is_a_deployment_is_cut_and_joined_again() {
    check(r#"{"version":3,"deployment":{}}"#, 0);
    check(r#"{"version":1,"deployment":{"resources":null}}"#, 0);
    check(r#"{"version":4,"features":["x"],"deployment":{"resources":[]}}"#, 0);
    check(
        r#" { "deployment" : { "resources" : [ {"urn":"a"} , {"urn":"b","x":1e400} ] , "z":-0.0 } , "version":2 } "#,
        2,
    );
    check(
        r#"{"version":3,"deployment":{"a":{"resources":[1]},"resources":[{"urn":"\ud800\u00e4"}],"b":[]},"c":null}"#,
        1,
    );

    #[track_caller]
    fn check(text: &str, n_resources: usize) {
        let deployment = Deployment::parse(text).expect(text);
        assert_eq!(deployment.resources.len(), n_resources);
        assert_eq!(deployment.to_text(), text);
        assert_eq!(deployment.bytes_len(), text.len());
        assert!(deployment.header().expect(text).schema_version > 0);
    }
}

#[test]
fn what_is_no_deployment_is_refused() {
    check("", "expected an object");
    check("[]", "expected an object");
    check(r#"{"version":3}"#, "deployment: must be an object; it is missing");
    check(r#"{"version":3,"deployment":null}"#, "deployment: must be an object");
    check(r#"{"version":3,"deployment":{}} x"#, "expected nothing more");
    check(r#"{"version":3,"deployment":{},"deployment":{}}"#, "is there twice");
    check(r#"{"deployment":{}}"#, "version: is missing or below 1");
    check(r#"{"version":0,"deployment":{}}"#, "version: is missing or below 1");
    check(r#"{"version":5,"deployment":{}}"#, "version: is 5");
    check(r#"{"version":"3","deployment":{}}"#, "version: must be a whole number");
    check(r#"{"version":3.0,"deployment":{}}"#, "version: must be a whole number");
    check(r#"{"version":3,"deployment":{"resources":{}}}"#, "deployment.resources: must be an array");
    check(r#"{"version":3,"deployment":{"resources":[{},7]}}"#, "deployment.resources[1]: must be an object");
    check(r#"{"version":3,"deployment":{"resources":[{}],"resources":[]}}"#, "is there twice");
    check(
        r#"{"version":3,"deployment":{"resources":[{"urn":7}]}}"#,
        "deployment.resources[0].urn: must be a string",
    );
    check(
        r#"{"version":3,"deployment":{"resources":[{"dependencies":[7]}]}}"#,
        "resources[0].dependencies: must be an array",
    );
    check(
        r#"{"version":3,"deployment":{"resources":[{"custom":"x"}]}}"#,
        "resources[0].custom: must be true or false",
    );
    check(
        r#"{"version":3,"deployment":{"resources":[{"a":01}]}}"#,
        "resources[0]: the JSON is not valid at byte",
    );
    check(r#"{"version":3,"deployment":{"manifest":[]}}"#, "deployment.manifest: must be an object");
    check(r#"{"version":3,"features":[1],"deployment":{}}"#, "features: must be an array of strings");
    check(r#"{"version":3,"deployment":{"a":"\x"}}"#, "expected an escape");
    check("{\"version\":3,\"deployment\":{\"a\":\"\n\"}}", "expected the rest of a string");
    check(r#"{"version":3,"deployment":{"a":tru}}"#, "expected a value");
    check(r#"{"version":3,"deployment":{"a":[1,]}}"#, "expected a value");
    check(r#"{"version":3,"deployment":{"a":{"b" 1}}}"#, "expected `:`");
    let deep =
        format!(r#"{{"version":3,"deployment":{{"a":{}{}}}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    check(&deep, "expected less nesting");

    #[track_caller]
    fn check(text: &str, why: &str) {
        let error = Deployment::parse(text).expect_err(text).to_string();
        assert!(error.contains(why), "{why}\n{error}");
    }
}

#[test]
fn members_of_the_header_are_set() {
    check(r#"{"version":3,"deployment":{}}"#, r#"{"version":3,"deployment":{"metadata":{"a":1}}}"#);
    check(
        r#"{"version":3,"deployment":{ "resources":null }}"#,
        r#"{"version":3,"deployment":{"metadata":{"a":1}, "resources":null }}"#,
    );
    check(
        r#"{"version":3,"deployment":{"resources":[{"urn":"a"}],"metadata" : {} }}"#,
        r#"{"version":3,"deployment":{"resources":[{"urn":"a"}],"metadata" : {"a":1} }}"#,
    );
    check(
        r#"{"version":3,"deployment":{"metadata":{"x":[]},"resources":[{"urn":"a"}]}}"#,
        r#"{"version":3,"deployment":{"metadata":{"a":1},"resources":[{"urn":"a"}]}}"#,
    );
    check(
        r#"{"version":3,"deployment":{"resources":[{"urn":"a"}]}}"#,
        r#"{"version":3,"deployment":{"metadata":{"a":1},"resources":[{"urn":"a"}]}}"#,
    );

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut deployment = Deployment::parse(text).expect(text);
        deployment.set_member("metadata", r#"{"a":1}"#).expect(text);
        assert_eq!(deployment.to_text(), expected);
        assert_eq!(deployment.header().expect(expected).metadata, Some(r#"{"a":1}"#));
    }
}

#[test]
fn only_an_empty_stack_may_be_removed() {
    check("", true);
    check(r#"{"urn":"a","type":"pulumi:pulumi:Stack"}"#, true);
    check(r#"{"urn":"a","type":"a:b:C"}"#, false);
    check(r#"{"urn":"a","type":"pulumi:pulumi:Stack"},{"urn":"b","type":"pulumi:pulumi:Stack"}"#, false);

    #[track_caller]
    fn check(resources: &str, is_removable: bool) {
        let text = format!(r#"{{"version":3,"deployment":{{"resources":[{resources}]}}}}"#);
        assert_eq!(
            Deployment::parse(&text).expect(&text).is_removable().expect(&text),
            is_removable,
            "{text}"
        );
    }
}

#[test]
fn strings_are_read_as_the_cli_reads_them() {
    check(r#""plain""#, "plain");
    check(r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t");
    check(r#""\u00e4\ud83d\ude80x""#, "ä🚀x");
    check(r#""\ud83d""#, "\u{fffd}");
    check(r#""\ud83d\n""#, "\u{fffd}\n");
    check(r#""\ude80\ud83d\ude80""#, "\u{fffd}🚀");
    check(r#""\ud83dA""#, "\u{fffd}A");

    #[track_caller]
    fn check(token: &str, expected: &str) {
        assert_eq!(json::unescape(token), expected, "{token}");
        assert_eq!(json::unescape(&json::string(expected)), expected, "{token}");
    }
}

#[test]
fn facts_of_a_resource() {
    let text = r#"{"urn":"u\u003c1","custom":true,"type":"t","id":"i","delete":true,"parent":null,"provider":"p::1",
        "dependencies":["a","\u0062"],"propertyDependencies":{"k":["c"],"l":null},"aliases":[],"taint":true,"x":{"urn":1}}"#;
    let facts = resource_facts(text).expect("facts");
    assert_eq!((&*facts.urn, &*facts.type_token, &*facts.id, &*facts.parent), ("u<1", "t", "i", ""));
    assert!(facts.is_custom && facts.is_delete && !facts.is_protect);
    assert_eq!(facts.dependencies.iter().collect::<Vec<_>>(), ["a", "b"]);
    let by_property: Vec<_> =
        facts.property_dependencies.iter().map(|(key, urns)| (key, urns.iter().count())).collect();
    assert_eq!(by_property, [("k".into(), 1), ("l".into(), 0)]);
    assert_eq!(facts.features.names().collect::<Vec<_>>(), ["taint"]);
}
