//! The document that describes the API. Routes: getOpenAPI, getOpenAPISpec. That answers are as it says is checked
//! for every answer of every test (`support/schema.rs`).

use crate::support::http::Request;
use crate::support::server::TestServer;
use pulumi_backend::routes::openapi::document;
use pulumi_backend::routes::shapes::SHAPES;
use pulumi_backend::routes::table::ROUTES;
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn it_is_served_at_both_places() {
    let server = TestServer::start();
    for path in ["/api/openapi", "/api/openapi/pulumi-spec.json"] {
        let answer = server.send(&Request::new("GET", path).authorization("")).ok();
        assert_eq!(answer.json(), document(), "{path}");
    }
}

#[test]
fn every_route_has_a_shape_and_no_other() {
    let routes: BTreeSet<&str> = ROUTES.iter().map(|route| route.name).collect();
    let shapes: BTreeSet<&str> = SHAPES.iter().map(|shape| shape.route).collect();
    assert_eq!(routes, shapes);
    assert_eq!(SHAPES.len(), ROUTES.len(), "one for each");
}

/// The operations that the vendor's own document and this one both describe, as far as the CLI carries it: its tests
/// hold an excerpt of eight operations, the rest are another product's. What must be there: query parameters that
/// count, and fields of the answer's objects with their types.
///
/// Source: pkg/cmd/pulumi/cloud/testdata/openapi_public.json. The known differences:
///
/// | the vendor has | here | why |
/// |---|---|---|
/// | `{tokenId}` | `{tokenID}` | a name of ours; a path has only the value |
/// | `filter` of `ListOrgTokens` | all are listed | one that has expired says so itself, by `isExpired` |
/// | `reason` of `CreateOrgToken` | not read | the record says who, when and from where; the description says why |
/// | `roleID` in the body, `role` in the answer | `role`, `limitedTo` | roles are named here, they have no ids |
/// | names of tokens are given once | may be given again | the id tells them apart |
/// | answers 200, 204 and 404 only | all that can come | a client should know them |
#[test]
fn what_the_vendor_describes_too_is_alike() {
    let document = document();
    let has_fields = |schema: &Value, fields: &[(&str, &str)]| {
        let name = schema["$ref"].as_str().expect("a reference").trim_start_matches('#');
        let schema = document.pointer(name).expect("a schema");
        for (field, kind) in fields {
            assert_eq!(schema["properties"][field]["type"], *kind, "{name}: {field}");
            let required = schema["required"].as_array().expect("a list");
            assert!(required.iter().any(|required| required == field), "{name}: {field} is always there");
        }
    };
    let tokens = &document["paths"]["/api/orgs/{orgName}/tokens"];
    let answer = |method: &str| &tokens[method]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(tokens["get"]["operationId"], "ListOrgTokens");
    has_fields(
        &answer("get")["properties"]["tokens"]["items"],
        &[
            ("admin", "boolean"),
            ("created", "string"),
            ("createdBy", "string"),
            ("description", "string"),
            ("expires", "integer"),
            ("id", "string"),
            ("lastUsed", "integer"),
            ("name", "string"),
        ],
    );
    assert_eq!(tokens["post"]["operationId"], "CreateOrgToken");
    has_fields(answer("post"), &[("id", "string"), ("tokenValue", "string")]);
    let asked = &document["components"]["schemas"]["NewToken"]["properties"];
    for (field, kind) in
        [("name", "string"), ("description", "string"), ("expires", "integer"), ("admin", "boolean")]
    {
        assert_eq!(asked[field]["type"], kind, "{field}");
    }
    let delete = &document["paths"]["/api/user/tokens/{tokenID}"]["delete"];
    assert_eq!(delete["operationId"], "DeletePersonalToken");
    assert!(delete["responses"]["204"].is_object() && delete["responses"]["404"].is_object());
}

/// References lead somewhere, names are there once, and each operation tells what its parts are.
#[test]
fn it_is_sound() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().expect("an end");
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    let mut names = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_string()), "{name} is there twice");
            assert!(!operation["summary"].as_str().unwrap_or("").is_empty(), "{name} has no summary");
            assert!(!operation["tags"][0].as_str().unwrap_or("").is_empty(), "{name} has no tag");
            let parameters = operation["parameters"].as_array().expect("parameters");
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
        }
    }
}
