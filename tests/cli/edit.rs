//! Editing a state by hand: delete, protect, move.

use crate::support::site::Site;

const PROGRAM: &str = "
resources:
  a: { type: world:Thing, properties: { value: { fn::secret: hush-1234 } } }
  b: { type: world:Thing, properties: { value: '${a.id}' } }
  c: { type: world:Thing }
";

#[test]
fn delete_and_protect() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let urn = |name: &str| format!("urn:pulumi:dev::web::world:index:Thing::{name}");
    project.write_program(PROGRAM);
    project.up().ok();

    project.pulumi(&["state", "delete", "--yes", &urn("a")]).fails();
    assert_eq!(project.export().names(), ["a", "b", "c"]);
    project.pulumi(&["state", "delete", "--yes", &urn("c")]).ok();
    assert_eq!(project.export().names(), ["a", "b"]);
    project.pulumi(&["state", "protect", "--yes", &urn("a")]).ok();
    assert_eq!(project.export().resource("a")["protect"], true);
    project.pulumi(&["state", "unprotect", "--all", "--yes"]).ok();
    project.pulumi(&["state", "delete", "--yes", "--target-dependents", &urn("a")]).ok();
    assert_eq!(project.export().names(), [""; 0]);
    assert_eq!(project.world.names(), ["a", "b", "c"], "only the state was edited");
    let history = project.pulumi(&["stack", "history", "--json"]).ok().json();
    let versions: Vec<i64> =
        history.as_array().expect("a list").iter().filter_map(|u| u["version"].as_i64()).collect();
    assert_eq!(versions, [5, 4, 3, 2, 1]);
}

#[test]
fn move_to_another_stack() {
    let Some(site) = Site::start() else { return };
    let web = site.stack("web", "dev");
    web.write_program(PROGRAM);
    web.up().ok();
    let shop = site.stack("shop", "dev").with("WORLD_DIR", web.world.folder());
    shop.write_program("");
    shop.up().ok();
    let moved = "urn:pulumi:dev::web::world:index:Thing::";
    let (from, to) = ("organization/web/dev", "organization/shop/dev");
    let (a, b) = (format!("{moved}a"), format!("{moved}b"));
    web.pulumi(&["state", "move", "--yes", "--source", from, "--dest", to, &a, &b]).ok();
    assert_eq!(web.export().names(), ["c"]);
    assert_eq!(shop.export().names(), ["a", "b"]);

    web.write_program("resources: { c: { type: world:Thing } }");
    web.expect_no_changes();
    shop.write_program(&PROGRAM.replace("  c: { type: world:Thing }", ""));
    shop.expect_no_changes();
    shop.pulumi(&["stack", "export", "--show-secrets"]).ok().says("hush-1234");
    assert_eq!(web.world.names(), ["a", "b", "c"]);
}
