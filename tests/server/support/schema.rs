//! Answers held against the server's own OpenAPI document. A small reader of JSON Schema, written for what that
//! document uses; a word that it does not know fails the test.

use super::http::{Request, Response};
use serde_json::Value;
use std::sync::OnceLock;

/// Fails unless the answer is documented, and the request too if it was taken. What found no route is not looked at.
#[track_caller]
pub fn hold_against_document(request: &Request, response: &Response) {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    let document = DOCUMENT.get_or_init(pulumi_backend::routes::openapi::document);
    let path = request.target.split('?').next().unwrap_or("");
    let Some(operation) = find(document, &request.method, path) else { return };
    // The errors of RFC 6749 have members of their own.
    if path == "/api/oauth/token" && response.status >= 400 {
        return;
    }
    let documented = &operation["responses"][response.status.to_string()];
    let documented = if documented.is_null() { &operation["responses"]["default"] } else { documented };
    let content = &documented["content"];
    if let Some(schema) = content.get("application/json").filter(|_| request.method != "HEAD") {
        if let Some(body) = parse(&response.body) {
            check(document, &schema["schema"], &body, true, "")
                .unwrap_or_else(|why| panic!("{response}\n  is not as documented: {why}"));
        }
    } else if content.get("text/plain").is_none() {
        assert!(response.body.is_empty(), "{response}\n  has a body that is not documented");
    }
    let taken = &operation["requestBody"]["content"]["application/json"]["schema"];
    if response.is_ok() && !taken.is_null() {
        let Some(body) = parse(&request.plain_body()) else { return };
        check(document, taken, &body, false, "")
            .unwrap_or_else(|why| panic!("{response}\n  took what is not documented: {why}"));
    }
}

/// A body; none if it is nested deeper than the parser goes, which the server's own does.
fn parse(body: &[u8]) -> Option<Value> {
    match serde_json::from_slice(body) {
        Err(error) if error.to_string().contains("recursion limit") => None,
        parsed => Some(parsed.unwrap_or(Value::Null)),
    }
}

/// The operation of a path; a fixed segment counts more than one in braces.
fn find<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let segments: Vec<&str> = path.split('/').collect();
    let fits = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('/').collect();
        let is_same = |(part, segment): (&&str, &&str)| part == segment || part.starts_with('{');
        parts.len() == segments.len() && parts.iter().zip(&segments).all(is_same)
    };
    let paths = document["paths"].as_object().expect("paths").iter();
    let fitting = paths.filter(|(pattern, operations)| {
        fits(pattern) && operations.get(method.to_ascii_lowercase()).is_some()
    });
    let best = fitting.min_by_key(|(pattern, _)| pattern.matches('{').count());
    best.map(|(_, operations)| &operations[method.to_ascii_lowercase()])
}

/// `is_closed`: an object has no fields but those that are listed, unless the schema speaks of others.
fn check(document: &Value, schema: &Value, value: &Value, is_closed: bool, at: &str) -> Result<(), String> {
    let wrong = |expected: &str| Err(format!("{at}: {value} is not {expected}"));
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").expect("a component");
        let component = document["components"]["schemas"].get(name).unwrap_or_else(|| panic!("no {name}"));
        return check(document, component, value, is_closed, at);
    }
    if let Some(members) = schema["anyOf"].as_array() {
        let fits = |member: &Value| check(document, member, value, is_closed, at);
        let failures: Vec<String> = members.iter().filter_map(|member| fits(member).err()).collect();
        return if failures.len() < members.len() { Ok(()) } else { Err(failures.join(", nor ")) };
    }
    if let Some(expected) = schema.get("const") {
        return if value == expected { Ok(()) } else { wrong(&expected.to_string()) };
    }
    if let Some(expected) = schema["enum"].as_array() {
        return if expected.contains(value) { Ok(()) } else { wrong(&format!("one of {expected:?}")) };
    }
    match schema["type"].as_str() {
        None => Ok(()),
        Some("string") if value.is_string() => Ok(()),
        Some("boolean") if value.is_boolean() => Ok(()),
        Some("null") if value.is_null() => Ok(()),
        Some("number") if value.is_number() => Ok(()),
        Some("integer") if value.is_i64() || value.is_u64() => Ok(()),
        Some("array") => {
            let Some(items) = value.as_array() else { return wrong("an array") };
            let check_item =
                |(i, item)| check(document, &schema["items"], item, is_closed, &format!("{at}[{i}]"));
            items.iter().enumerate().try_for_each(check_item)
        }
        Some("object") => check_object(document, schema, value, is_closed, at),
        Some(other) => wrong(other),
    }
}

fn check_object(
    document: &Value,
    schema: &Value,
    value: &Value,
    is_closed: bool,
    at: &str,
) -> Result<(), String> {
    let Some(fields) = value.as_object() else { return Err(format!("{at}: {value} is not an object")) };
    let known = schema["properties"].as_object();
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("a name");
        if !fields.contains_key(name) {
            return Err(format!("{at}: {name} is missing"));
        }
    }
    for (name, field) in fields {
        let at = format!("{at}.{name}");
        match known.and_then(|known| known.get(name)).or(schema.get("additionalProperties")) {
            Some(schema) => check(document, schema, field, is_closed, &at)?,
            None if is_closed => return Err(format!("{at} is not documented")),
            None => {}
        }
    }
    Ok(())
}

#[test]
fn what_is_not_documented_is_found() {
    let document = serde_json::json!({ "components": { "schemas": {} } });
    let schema =
        pulumi_backend::routes::shape::schema(r#"{a: int, b?: "x"|"y", c?: string[]|null, d?: {*: int}}"#);
    let fits = |text: &str| {
        let value = serde_json::from_str(text).expect("JSON");
        check(&document, &schema, &value, true, "").is_ok()
    };
    for good in [r#"{"a":1}"#, r#"{"a":1,"b":"y","c":["z"],"d":{"e":2}}"#, r#"{"a":1,"c":null}"#] {
        assert!(fits(good), "{good}");
    }
    for bad in [
        "1",
        "{}",
        r#"{"a":"1"}"#,
        r#"{"a":1,"b":"z"}"#,
        r#"{"a":1,"c":[1]}"#,
        r#"{"a":1,"d":{"e":""}}"#,
        r#"{"a":1,"f":2}"#,
    ] {
        assert!(!fits(bad), "{bad}");
    }
}
