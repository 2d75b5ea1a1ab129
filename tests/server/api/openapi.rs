//! The document that describes the API. Routes: getOpenAPI, getOpenAPISpec. That answers are as it says is checked
//! for every answer of every test (`support/schema.rs`).

use crate::support::http::Request;
use crate::support::server::TestServer;
use pulumi_backend::routes::openapi::document;
use pulumi_backend::routes::shapes::SHAPES;
use pulumi_backend::routes::table::ROUTES;
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
