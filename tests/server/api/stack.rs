//! Stacks: made, found, listed, tagged, renamed, taken away.
//! Routes without a word of their own in the path: projectExists, createStack, getStack, deleteStack.

use crate::support::http::Request;
use crate::support::server::{ORG, TestServer};
use serde_json::{Value, json};

#[test]
fn a_new_stack_is_empty() {
    let server = TestServer::start();
    let stack = server.stack("web", "dev");
    assert!(stack.create(json!({ "tags": { "pulumi:project": "web" } })).expect(&[200]).json().is_object());
    let info = stack.info();
    for (name, value) in
        [("orgName", ORG), ("projectName", "web"), ("stackName", "dev"), ("activeUpdate", "")]
    {
        assert_eq!(info[name], value, "{name} of {info}");
    }
    assert_eq!(info["version"], 0);
    assert_eq!(info["tags"], json!({ "pulumi:project": "web" }));
    assert!(info["id"].as_str().is_some_and(|id| !id.is_empty()), "{info}");
    // Any `config`, even `{}`, makes the CLI refuse `config set`.
    for absent in ["config", "currentOperation"] {
        assert!(info.get(absent).is_none_or(|it| absent != "config" && it.is_null()), "{absent} in {info}");
    }
}

#[test]
fn a_stack_is_made_once() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["a"])).ok();
    stack
        .create(json!({ "tags": { "a": "b" } }))
        .expect_error(409, "Conflict: Stack 'organization/web/dev' already exists.");
    assert_eq!(stack.resource_names(), ["web-dev", "a"]);
    assert_eq!(stack.info()["tags"], json!({}));
}

#[test]
fn of_two_who_make_a_stack_at_once_one_wins() {
    let server = TestServer::start();
    for round in 0..10 {
        let name = format!("dev{round}");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| server.stack("web", &name).create(json!({})).expect(&[200, 409]).status)
                })
                .collect();
            threads.into_iter().map(|it| it.join().expect("a status")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    }
}

#[test]
fn stack_names() {
    let server = TestServer::start();
    for good in ["dev", "a", "A.b-c_1", "dev.json", "0", &"x".repeat(100), "-", "_"] {
        check(&server, "web", good, true);
        assert_eq!(server.stack("web", good).info()["stackName"], good, "case and spelling are kept");
    }
    for bad in ["", " ", "a b", "a/b", "é", "a\u{0}", "a\nb", "a%2Fb", "a:b", "a?b", &"x".repeat(101)] {
        check(&server, "web", bad, false);
    }
    check(&server, &"p".repeat(100), "dev", true);
    check(&server, &"p".repeat(101), "dev", false);
    check(&server, "we%20b", "dev", false);

    #[track_caller]
    fn check(server: &TestServer, project: &str, name: &str, is_accepted: bool) {
        let response = server.post(&format!("/api/stacks/{ORG}/{project}"), &json!({ "stackName": name }));
        response.expect(&[if is_accepted { 200 } else { 400 }]);
    }
}

#[test]
fn names_that_differ_in_case_only_are_two_stacks() {
    let server = TestServer::start();
    let (lower, upper) = (server.create_stack("web", "dev"), server.create_stack("web", "Dev"));
    lower.import(&lower.deployment(&["a"])).ok();
    assert_eq!(upper.export()["deployment"].get("resources"), None);
}

#[test]
fn a_stack_cannot_be_made_of_bad_input() {
    let server = TestServer::start();
    let target = format!("/api/stacks/{ORG}/web");
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"dev\"",
        "{}",
        r#"{"stackName":1}"#,
        r#"{"stackName":null}"#,
        r#"{"stackName":"dev","tags":[]}"#,
        r#"{"stackName":"dev","tags":{"a":1}}"#,
        r#"{"stackName":"dev","tags":{"a b":"x"}}"#,
        r#"{"stackName":"dev","state":[]}"#,
        r#"{"stackName":"dev","state":{"version":9,"deployment":{}}}"#,
        r#"{"stackName":"dev"} trailing"#,
    ] {
        server.send(&Request::new("POST", &target).bytes(body)).expect(&[400]);
    }
    server.post("/api/stacks/nobody/web", &json!({ "stackName": "dev" })).expect(&[403, 404]);
    server.stack("web", "dev").get("").expect(&[404]);
}

#[test]
fn a_stack_may_bring_a_state_along() {
    let server = TestServer::start();
    let stack = server.stack("web", "dev");
    let state = json!({ "version": 3, "deployment": {
        "manifest": { "time": "0001-01-01T00:00:00Z", "magic": "", "version": "" },
        "secrets_providers": { "type": "passphrase", "state": { "salt": "v1:abc:def" } }, "metadata": {},
    }});
    stack.create(json!({ "state": state })).ok();
    assert_eq!(stack.export(), state);
    assert_eq!(stack.info()["version"], 0, "it is no update");
    assert_eq!(stack.history(), [] as [Value; 0]);
}

#[test]
fn a_stack_that_does_not_exist_says_so() {
    let server = TestServer::start();
    let stack = server.stack("web", "nope");
    let message = "Not Found: Stack 'organization/web/nope' not found";
    for rest in [
        "",
        "/export",
        "/export/1",
        "/updates",
        "/updates/latest",
        "/updates/latest/previews?asc=false&pageSize=1&page=1",
    ] {
        stack.get(rest).expect_error(404, message);
    }
    stack.delete(false).expect_error(404, message);
    stack.delete(true).expect_error(404, message);
    stack.send(&stack.request("PATCH", "/tags").json(&json!({}))).expect_error(404, message);
    stack.post("/rename", &json!({ "newName": "dev", "newProject": "web" })).expect_error(404, message);
    stack.import(&stack.deployment(&[])).expect_error(404, message);
    for kind in ["preview", "update", "refresh", "destroy"] {
        stack
            .post(&format!("/{kind}"), &crate::support::stack::create_update_body(false))
            .expect_error(404, message);
    }
    server.get("/api/stacks/nobody/web/dev").expect(&[403, 404]);
}

#[test]
fn the_list_has_every_stack_once() {
    let server = TestServer::start();
    for i in 0..250 {
        server.create_stack(if i % 2 == 0 { "even" } else { "odd" }, &format!("stack-{i}"));
    }
    let all = list(&server, "");
    let mut names: Vec<&str> = all.iter().map(|it| it["stackName"].as_str().expect("a name")).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((all.len(), names.len()), (250, 250));
    let one = &all[0];
    assert_eq!(one["orgName"], ORG);
    // 0 would be shown as "in progress", and null as never.
    assert!(one.get("lastUpdate").is_none_or(Value::is_null), "{one}");
    assert_eq!(list(&server, "?project=odd").len(), 125);
    assert_eq!(list(&server, "?project=odd&organization=organization").len(), 125);
    assert_eq!(list(&server, "?organization=nobody").len(), 0);
    assert_eq!(list(&server, "?project=none").len(), 0);
    server.get("/api/user/stacks?continuationToken=made-up").expect(&[400]);
}

/// All pages of the list of stacks.
fn list(server: &TestServer, query: &str) -> Vec<Value> {
    let mut stacks = Vec::new();
    let mut target = format!("/api/user/stacks{query}");
    loop {
        let page = server.get(&target).expect(&[200]).json();
        stacks.extend(page["stacks"].as_array().expect("stacks").iter().cloned());
        let token = &page["continuationToken"];
        let Some(token) = token.as_str() else { return stacks };
        assert!(!token.is_empty(), "the CLI follows an empty token for ever");
        let mark = if query.is_empty() { '?' } else { '&' };
        target = format!("/api/user/stacks{query}{mark}continuationToken={token}");
    }
}

#[test]
fn the_list_goes_by_tags() {
    let server = TestServer::start();
    for (name, tags) in [("a", json!({ "team": "ops" })), ("b", json!({ "team": "web" })), ("c", json!({}))] {
        server.stack("web", name).create(json!({ "tags": tags })).ok();
    }
    let names = |query: &str| -> Vec<String> {
        list(&server, query).iter().map(|it| it["stackName"].as_str().expect("a name").to_string()).collect()
    };
    assert_eq!(names("?tagName=team"), ["a", "b"]);
    assert_eq!(names("?tagName=team&tagValue=web"), ["b"]);
    assert_eq!(names("?tagName=none"), [] as [&str; 0]);
    assert_eq!(names("?tagName=team&tagValue=%2A"), [] as [&str; 0]);
}

#[test]
fn the_list_tells_when_and_how_many() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a", "b"]);
    let one = &list(&server, "")[0];
    assert_eq!(one["resourceCount"], 3);
    assert!(one["lastUpdate"].as_i64().is_some_and(|it| it > 1_700_000_000), "{one}");
    let update = stack.start_update();
    assert_eq!(list(&server, "")[0]["lastUpdate"], 0, "0 is shown as in progress");
    update.complete("failed").ok();
    assert!(list(&server, "")[0]["lastUpdate"].as_i64().is_some_and(|it| it > 1_700_000_000));
}

#[test]
fn a_project_exists_while_it_has_a_stack() {
    let server = TestServer::start();
    let head = |project: &str| server.call("HEAD", &format!("/api/stacks/{ORG}/{project}"));
    head("web").expect(&[404]);
    let stack = server.create_stack("web", "dev");
    let found = head("web").expect(&[200, 204]);
    assert_eq!(found.header("content-encoding"), None);
    head("we").expect(&[404]);
    stack.delete(false).ok();
    head("web").expect(&[404]);
}

#[test]
fn a_stack_with_resources_is_deleted_by_force_only() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["a"])).ok();
    stack.delete(false).expect_error(400, "Bad Request: Stack still contains resources.");
    stack
        .send(&stack.request("DELETE", ""))
        .expect_error(400, "Bad Request: Stack still contains resources.");
    assert_eq!(stack.resource_names(), ["web-dev", "a"]);
    stack.delete(true).ok();
    stack.get("").expect(&[404]);
    stack.delete(true).expect(&[404]);
}

#[test]
fn a_stack_with_nothing_but_its_root_is_deleted() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&[])).ok();
    stack.delete(false).ok();
    stack.get("").expect(&[404]);
}

#[test]
fn a_stack_made_again_under_an_old_name_is_new() {
    let server = TestServer::start();
    let stack = server.stack("web", "dev");
    stack.create(json!({ "tags": { "a": "b" } })).ok();
    let first_id = stack.info()["id"].clone();
    stack.update_to(&["a"]);
    stack.delete(true).ok();
    stack.create(json!({})).ok();
    let info = stack.info();
    assert_ne!(info["id"], first_id);
    assert_eq!((&info["version"], &info["activeUpdate"], &info["tags"]), (&json!(0), &json!(""), &json!({})));
    assert_eq!(stack.history(), [] as [Value; 0]);
    assert_eq!(stack.resources(), [] as [Value; 0]);
    stack.get("/export/1").expect(&[404]);
}

#[test]
fn a_stack_is_not_deleted_under_a_running_update() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    stack.delete(false).expect(&[409]);
    stack.delete(true).expect(&[409]);
    update.complete("succeeded").ok();
    stack.delete(false).ok();
}

#[test]
fn tags_are_replaced_as_a_whole() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let patch = |body: &str| stack.send(&stack.request("PATCH", "/tags").bytes(body));
    patch(r#"{"pulumi:project":"web","a.b-c_d:e":"é ✓ \"quoted\""}"#).ok();
    assert_eq!(stack.info()["tags"], json!({ "pulumi:project": "web", "a.b-c_d:e": "é ✓ \"quoted\"" }));
    patch(&json!({ "n".repeat(40): "v".repeat(256) }).to_string()).ok();
    let tags = stack.info()["tags"].clone();
    assert_eq!(tags, json!({ "n".repeat(40): "v".repeat(256) }), "the old ones are gone");
    for bad in [
        "",
        "{",
        "[]",
        "1",
        r#"{"a":1}"#,
        r#"{"a":null}"#,
        r#"{"":"x"}"#,
        r#"{"a b":"x"}"#,
        r#"{"é":"x"}"#,
        &json!({ "n".repeat(41): "v" }).to_string(),
        &json!({ "n": "v".repeat(257) }).to_string(),
    ] {
        patch(bad).expect(&[400]);
        assert_eq!(stack.info()["tags"], tags, "{bad} changed the tags");
    }
    patch(&json!({ "n": "é".repeat(256) }).to_string()).ok(); // Characters, not bytes.
    patch("null").ok();
    assert_eq!(stack.info()["tags"], json!({}));
    stack.send(&stack.request("PATCH", "/tags").json(&json!({ "a": "b" })).gzip()).ok();
    assert_eq!(stack.info()["tags"], json!({ "a": "b" }));
}

#[test]
fn a_link_to_remote_configuration_is_kept_or_refused() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let config = json!({ "environment": "web/dev" });
    let answer = stack.send(&stack.request("PUT", "/config").json(&config));
    if answer.is_ok() {
        assert_eq!(stack.info()["config"]["environment"], "web/dev");
    } else {
        answer.expect(&[400, 404, 409, 501]);
        assert!(stack.info().get("config").is_none(), "refused, so it is not there");
    }
    stack.send(&stack.request("PUT", "/config").bytes("{")).expect(&[400, 404]);
}

#[test]
fn a_rename_carries_everything_along() {
    let server = TestServer::start();
    let stack = server.stack("web", "dev");
    stack.create(json!({ "tags": { "pulumi:project": "web", "mine": "kept" } })).ok();
    let secret = stack.post("/encrypt", &json!({ "plaintext": "YQ==" })).ok().json()["ciphertext"].clone();
    let provider = stack.urn("pulumi:providers:test", "default");
    let foreign = "urn:pulumi:dev::other::test:index:Thing::x";
    let mut deployment = stack.deployment(&["a", "b"]);
    let inner = &mut deployment["deployment"];
    inner["secrets_providers"] = json!({ "type": "service", "state": { "url": server.url(), "owner": ORG, "project": "web", "stack": "dev" } });
    inner["resources"]
        .as_array_mut()
        .expect("resources")
        .insert(1, json!({ "urn": provider, "custom": true, "id": "p::1", "type": "pulumi:providers:test" }));
    inner["resources"][3]["provider"] = json!(format!("{provider}::p::1"));
    inner["resources"][3]["propertyDependencies"] = json!({ "size": [stack.urn("test:index:Thing", "a")] });
    inner["resources"][3]["inputs"]["reference"] = json!({ "4dabf18193072939515e22adb298388d": "5cf8f73096256a8f31e491e813e4eb8e", "urn": stack.urn("test:index:Thing", "a"), "id": "id-a" });
    inner["resources"][3]["inputs"]["text"] = json!(foreign);
    inner["resources"][3]["inputs"]["number"] = json!(1.0);
    inner["pending_operations"] = json!([{ "resource": stack.resource("c"), "type": "creating" }]);
    stack.import(&deployment).ok();
    let before = stack.get("/export").ok().text().to_string();

    stack.post("/rename", &json!({ "newName": "prod", "newProject": "shop" })).ok();
    let renamed = server.stack("shop", "prod");
    stack.get("").expect(&[404]);
    let info = renamed.info();
    assert_eq!(
        (&info["projectName"], &info["stackName"], &info["version"]),
        (&json!("shop"), &json!("prod"), &json!(1))
    );
    assert_eq!(info["tags"], json!({ "pulumi:project": "shop", "mine": "kept" }));
    let after = renamed.get("/export").ok().text().to_string();
    let expected = before
        .replace("urn:pulumi:dev::web::", "urn:pulumi:prod::shop::")
        .replace("pulumi:pulumi:Stack::web-dev", "pulumi:pulumi:Stack::shop-prod")
        .replace(r#""project":"web","stack":"dev""#, r#""project":"shop","stack":"prod""#);
    let trees = [&after, &expected].map(|text| crate::support::json::Tree::parse(text));
    assert_eq!(crate::support::json::first_difference(&trees[0], &trees[1]), None);
    let opened = renamed.post("/decrypt", &json!({ "ciphertext": secret })).ok().json();
    assert_eq!(opened["plaintext"], "YQ==");
    assert_eq!(renamed.history().len(), 1);
    renamed.get("/export/1").ok();

    renamed.post("/rename", &json!({ "newName": "dev", "newProject": "web" })).ok();
    let there_and_back = crate::support::json::Tree::parse(stack.get("/export").ok().text());
    assert_eq!(
        crate::support::json::first_difference(&there_and_back, &crate::support::json::Tree::parse(&before)),
        None
    );
    assert_eq!(stack.update_to(&["a"]).version, 2, "versions go on");
}

#[test]
fn a_rename_is_refused_where_it_would_hurt() {
    let server = TestServer::start();
    let (dev, prod) = (server.create_stack("web", "dev"), server.create_stack("web", "prod"));
    dev.import(&dev.deployment(&["a"])).ok();
    prod.import(&prod.deployment(&["b"])).ok();
    let rename =
        |name: &str, project: &str| dev.post("/rename", &json!({ "newName": name, "newProject": project }));
    rename("prod", "web").expect(&[409]);
    for (name, project) in [("", "web"), ("a b", "web"), ("new", "a/b"), (&*"x".repeat(101), "web")] {
        rename(name, project).expect(&[400]);
    }
    for body in ["", "{", "[]", r#"{"newName":1,"newProject":"web"}"#] {
        dev.send(&dev.request("POST", "/rename").bytes(body)).expect(&[400]);
    }
    let update = dev.start_update();
    rename("new", "web").expect(&[409]);
    update.complete("succeeded").ok();
    assert_eq!(dev.resource_names(), ["web-dev", "a"]);
    assert_eq!(prod.resource_names(), ["web-prod", "b"]);
    server.stack("web", "new").get("").expect(&[404]);
}

#[test]
fn stacks_of_two_projects_do_not_touch_each_other() {
    let server = TestServer::start();
    let (web, shop) = (server.create_stack("web", "dev"), server.create_stack("shop", "dev"));
    web.update_to(&["a"]);
    let update = shop.start_checkpoints();
    web.update_to(&["a", "b"]);
    update.complete("succeeded").ok();
    assert_eq!(shop.resources(), [] as [Value; 0]);
    shop.delete(true).ok();
    assert_eq!(web.resource_names(), ["web-dev", "a", "b"]);
}

#[test]
fn the_users_own_name_is_an_organization_too() {
    let server = TestServer::start();
    server.post("/api/stacks/admin/web", &json!({ "stackName": "dev" })).ok();
    let info = server.get("/api/stacks/admin/web/dev").ok().json();
    assert_eq!((&info["orgName"], &info["stackName"]), (&json!("admin"), &json!("dev")));
    server.stack("web", "dev").get("").expect(&[404]);
    assert_eq!(list(&server, "?organization=admin").len(), 1);
}

#[test]
fn tags_can_be_changed_while_an_update_runs() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    stack.send(&stack.request("PATCH", "/tags").json(&json!({ "a": "b" }))).ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.info()["tags"], json!({ "a": "b" }));
}
