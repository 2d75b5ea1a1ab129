//! A renamed stack's deployment: which URNs change, and that nothing else does.

use pulumi_backend::domain::deployment::Deployment;
use pulumi_backend::domain::integrity;
use pulumi_backend::domain::rename::{Names, rename};

const OLD: Names = Names { org: "acme", project: "web", stack: "dev" };
const NEW: Names = Names { org: "acme", project: "shop", stack: "prod" };

#[test]
fn urns_of_the_stack_change_wherever_they_stand() {
    let urn = "urn:pulumi:dev::web::a:b:C::n";
    let new = "urn:pulumi:prod::shop::a:b:C::n";
    for key in ["urn", "parent", "deletedWith", "viewOf"] {
        check(&format!(r#"{{"{key}":"{urn}"}}"#), &format!(r#"{{"{key}":"{new}"}}"#));
    }
    for key in ["dependencies", "replaceWith", "aliases"] {
        check(&format!(r#"{{"{key}":["{urn}", "x"]}}"#), &format!(r#"{{"{key}":["{new}", "x"]}}"#));
    }
    check(
        &format!(r#"{{"propertyDependencies":{{"a":["{urn}"],"b":[]}}}}"#),
        &format!(r#"{{"propertyDependencies":{{"a":["{new}"],"b":[]}}}}"#),
    );
    let provider = |stack| format!(r#"{{"provider":"urn:pulumi:{stack}::pulumi:providers:aws::p::id-1"}}"#);
    check(&provider("dev::web"), &provider("prod::shop"));
}

#[test]
fn the_root_resource_changes_its_name() {
    check(
        r#"{"urn":"urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev","type":"pulumi:pulumi:Stack"}"#,
        r#"{"urn":"urn:pulumi:prod::shop::pulumi:pulumi:Stack::shop-prod","type":"pulumi:pulumi:Stack"}"#,
    );
    check(
        r#"{"urn":"x","parent":"urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev"}"#,
        r#"{"urn":"x","parent":"urn:pulumi:prod::shop::pulumi:pulumi:Stack::shop-prod"}"#,
    );
}

#[test]
fn resource_references_change_however_deep_and_plain_strings_do_not() {
    let reference = |stack: &str| {
        format!(
            r#"{{"4dabf18193072939515e22adb298388d":"5cf8f73096256a8f31e491e813e4eb8e","urn":"urn:pulumi:{stack}::a:b:C::n","id":"urn:pulumi:dev::web::x::y"}}"#
        )
    };
    for key in ["inputs", "outputs"] {
        check(
            &format!(r#"{{"{key}":{{"a":[1.0,{{"b":{}}}]}}}}"#, reference("dev::web")),
            &format!(r#"{{"{key}":{{"a":[1.0,{{"b":{}}}]}}}}"#, reference("prod::shop")),
        );
    }
    check(
        &format!(r#"{{"replacementTrigger":{}}}"#, reference("dev::web")),
        &format!(r#"{{"replacementTrigger":{}}}"#, reference("prod::shop")),
    );
    keep(r#"{"inputs":{"urn":"urn:pulumi:dev::web::a:b:C::n","text":"urn:pulumi:dev::web::a:b:C::n"}}"#);
    let output = |stack: &str| {
        format!(
            r#"{{"inputs":{{"o":{{"4dabf18193072939515e22adb298388d":"d0e6a833031e9bbcd3f4e8bde6ca49a4","value":{},"dependencies":["urn:pulumi:{stack}::a:b:C::n"]}}}}}}"#,
            reference(stack)
        )
    };
    check(&output("dev::web"), &output("prod::shop"));
    let deep = |stack: &str| {
        let (open, close) = (r#"{"a":["#.repeat(2_000), "]}".repeat(2_000));
        format!(r#"{{"inputs":{open}{}{close}}}"#, reference(stack))
    };
    check(&deep("dev::web"), &deep("prod::shop"));
}

#[test]
fn references_in_secrets_change() {
    let secret = |inner: &str| {
        format!(
            r#"{{"inputs":{{"s":{{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270",{inner}}}}}}}"#
        )
    };
    let plaintext = |stack: &str| {
        secret(&format!(
            r#""plaintext":"{{\"4dabf18193072939515e22adb298388d\":\"5cf8f73096256a8f31e491e813e4eb8e\",\"urn\":\"urn:pulumi:{stack}::a:b:C::n\"}}""#
        ))
    };
    check(&plaintext("dev::web"), &plaintext("prod::shop"));
    keep(&secret(r#""plaintext":"\"urn:pulumi:dev::web::a:b:C::n\"""#));
    keep(&secret(r#""plaintext":"no JSON urn:pulumi:dev::web::a:b:C::n""#));
    check(&secret(r#""ciphertext":"AAA=""#), &secret(r#""ciphertext":"new AAA=""#));
    keep(&secret(r#""ciphertext":"stays""#));
    keep(
        r#"{"inputs":{"s":{"4dabf18193072939515e22adb298388d":"other","ciphertext":"AAA=","x":"1b47061264138c4ac30d75fd1eb44270"}}}"#,
    );
}

#[test]
fn other_stacks_and_odd_texts_stay() {
    keep(r#"{"urn":"urn:pulumi:dev::other::a:b:C::n"}"#);
    keep(r#"{"urn":"urn:pulumi:prod::web::a:b:C::n"}"#);
    keep(r#"{"urn":"urn:pulumi:dev::web::short","id":"dev"}"#);
    keep(r#"{"provider":"urn:pulumi:dev::web::a:b:C::n::id","dependencies":null}"#);
    keep(r#"{"provider":"urn:pulumi:dev::other::pulumi:providers:aws::p::"}"#);
    keep(r#"{ "id" : "urn:pulumi:dev::web::a:b:C::n", "big" : 12345678901234567890.10, "e" : 1E5 }"#);
    // The rest of a text that changes stays as it is written, and an escape does not hide a URN.
    check(
        r#"{ "x" : 1.0 , "urn" : "urn:pulumi:dev::\u0077eb::a:b:C::<n>::m" , "y":1e400}"#,
        r#"{ "x" : 1.0 , "urn" : "urn:pulumi:prod::shop::a:b:C::\u003cn\u003e::m" , "y":1e400}"#,
    );
}

/// Renames a deployment of one resource.
#[track_caller]
fn check(resource: &str, expected: &str) {
    let document = |resource: &str| format!(r#"{{"version":3,"deployment":{{"resources":[{resource}]}}}}"#);
    let pending = |resource: &str| {
        format!(
            r#"{{"version":3,"deployment":{{"pending_operations":[{{"resource":{resource},"type":"creating"}}]}}}}"#
        )
    };
    for (text, expected) in [(document(resource), document(expected)), (pending(resource), pending(expected))]
    {
        let deployment = Deployment::parse(&text).expect(&text);
        let renamed = rename(deployment, OLD, NEW, &mut reseal).expect(&text);
        assert_eq!(renamed.to_text(), expected);
        let back = rename(renamed, NEW, OLD, &mut |_| None).expect(&text);
        let is_resealed = expected.contains("new AAA=");
        assert!(is_resealed || back.to_text() == text || text.contains("\\u0077"), "there and back: {text}");
    }
}

#[track_caller]
fn keep(resource: &str) {
    check(resource, resource);
}

fn reseal(ciphertext: &str) -> Option<String> {
    assert!(["AAA=", "stays"].contains(&ciphertext), "{ciphertext}");
    (ciphertext != "stays").then(|| format!("new {ciphertext}"))
}

#[test]
fn the_header_changes_where_it_names_the_stack() {
    check_header(
        r#""secrets_providers":{"type":"service","state":{"url":"http://a","owner":"acme","project":"web","stack":"dev","x":1.0}}"#,
        r#""secrets_providers":{"type":"service","state":{"url":"http://a","owner":"acme","project":"shop","stack":"prod","x":1.0}}"#,
    );
    let unchanged = [
        r#""secrets_providers":{"type":"service","state":{"owner":"acme","project":"other","stack":"dev"}}"#,
        r#""secrets_providers":{"type":"service","state":{"owner":"umbrella","project":"web","stack":"dev"}}"#,
        r#""secrets_providers":{"type":"passphrase","state":{"owner":"acme","project":"web","stack":"dev"}}"#,
        r#""secrets_providers":{"type":"service"}"#,
    ];
    for header in unchanged {
        check_header(header, header);
    }
    check_header(
        r#""snippets":[{"uuid":"1","code":"urn:pulumi:dev::web::a:b:C::n","references":{"r":"urn:pulumi:dev::web::a:b:C::n"}}]"#,
        r#""snippets":[{"uuid":"1","code":"urn:pulumi:dev::web::a:b:C::n","references":{"r":"urn:pulumi:prod::shop::a:b:C::n"}}]"#,
    );

    #[track_caller]
    fn check_header(header: &str, expected: &str) {
        let text = |header: &str, place: &str| match place {
            "before" => format!(r#"{{"version":3,"deployment":{{{header},"resources":[{{"urn":"a"}}]}}}}"#),
            _ => format!(r#"{{"version":3,"deployment":{{"resources":[{{"urn":"a"}}],{header}}}}}"#),
        };
        for place in ["before", "behind"] {
            let before = text(header, place);
            let deployment = Deployment::parse(&before).expect(header);
            let renamed = rename(deployment, OLD, NEW, &mut reseal).expect(header);
            assert_eq!(renamed.to_text(), text(expected, place));
        }
    }
}

#[test]
fn a_moved_stack_has_another_owner_in_its_secrets_provider() {
    let text = r#"{"version":3,"deployment":{"secrets_providers":{"type":"service","state":{"owner":"acme","project":"web","stack":"dev"}}}}"#;
    let to = Names { org: "umbrella", ..OLD };
    let moved = rename(Deployment::parse(text).expect(text), OLD, to, &mut reseal).expect(text);
    assert_eq!(moved.to_text(), text.replace("acme", "umbrella"));
}

#[test]
fn a_renamed_deployment_is_as_sound_as_before() {
    let text = r#"{"version":3,"deployment":{"manifest":{"magic":"","version":""},"resources":[
        {"urn":"urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev","type":"pulumi:pulumi:Stack"},
        {"urn":"urn:pulumi:dev::web::pulumi:providers:aws::p","type":"pulumi:providers:aws","custom":true,"id":"1"},
        {"urn":"urn:pulumi:dev::web::a:b:C::n","type":"a:b:C","provider":"urn:pulumi:dev::web::pulumi:providers:aws::p::1",
         "parent":"urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev"}]}}"#;
    let deployment = Deployment::parse(text).expect(text);
    assert_eq!(integrity::check(&deployment), None);
    let renamed = rename(deployment, OLD, NEW, &mut reseal).expect(text);
    assert_eq!(integrity::check(&renamed), None);
    assert!(!renamed.to_text().contains("dev") && !renamed.to_text().contains("web"));
}
