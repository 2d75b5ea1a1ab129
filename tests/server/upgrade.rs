//! Databases of other versions: an upgrade leaves a snapshot, a crash in it loses nothing, a newer one is refused.

use crate::support::command::run;
use crate::support::process::TempDir;
use crate::support::server::TestServer;
use pulumi_backend::store::schema::{MIGRATIONS, migrate};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const FIRST: &str = "CREATE TABLE a (x INTEGER NOT NULL) STRICT; INSERT INTO a VALUES (1);";
const SECOND: &str = "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 7;";
const BAD: &str = "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1);";

fn open(folder: &TempDir) -> (Connection, PathBuf) {
    let path = folder.path().join("data.db");
    let conn = Connection::open(&path).expect("open");
    conn.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    (conn, path)
}

fn schema_version(conn: &Connection) -> i64 {
    conn.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
}

#[test]
fn an_upgrade_leaves_a_snapshot_of_what_was() {
    let folder = TempDir::new("upgrade");
    let (mut conn, path) = open(&folder);
    migrate(&mut conn, &path, &[FIRST]).expect("a new database");
    let n_files = || std::fs::read_dir(folder.path()).expect("the folder").count();
    let n_before = n_files();
    migrate(&mut conn, &path, &[FIRST]).expect("nothing to do");
    assert_eq!(n_files(), n_before, "nothing changed, so there is no snapshot");

    conn.execute_batch("CREATE TABLE foreign_to_us (x); INSERT INTO a VALUES (2)").expect("more rows");
    migrate(&mut conn, &path, &[FIRST, SECOND]).expect("an upgrade");
    assert_eq!(schema_version(&conn), 2);
    let sum: i64 = conn.query_row("SELECT sum(x * y) FROM a", [], |row| row.get(0)).expect("both rows");
    assert_eq!(sum, 21);

    let snapshot = folder.path().join("data.db-before-schema-2");
    assert_eq!(snapshot.metadata().expect("the snapshot").permissions().mode() & 0o777, 0o600);
    let before = Connection::open(&snapshot).expect("open the snapshot");
    assert_eq!(schema_version(&before), 1);
    let n: i64 = before.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).expect("the rows");
    assert_eq!(n, 2);
    before.execute_batch("SELECT x FROM foreign_to_us").expect("foreign tables are in it");
}

/// The migration that fails is undone whole; the next start tries again, and keeps the first snapshot.
#[test]
fn a_failed_upgrade_changes_nothing() {
    let folder = TempDir::new("upgrade-fails");
    let (mut conn, path) = open(&folder);
    migrate(&mut conn, &path, &[FIRST]).expect("a new database");
    migrate(&mut conn, &path, &[FIRST, SECOND, BAD]).expect_err("the third fails");
    assert_eq!(schema_version(&conn), 2, "what had run before is done");
    conn.execute_batch("SELECT x FROM b").expect_err("nothing of the third is there");
    migrate(&mut conn, &path, &[FIRST, SECOND, "CREATE TABLE b (x);"]).expect("the next start");
    let before = Connection::open(folder.path().join("data.db-before-schema-3")).expect("the snapshot");
    assert_eq!(schema_version(&before), 1, "the snapshot is of before the first try");
}

/// A start that was killed while it laid the snapshot leaves half a file under another name.
#[test]
fn a_snapshot_cut_short_is_laid_anew() {
    let folder = TempDir::new("upgrade-cut");
    let (mut conn, path) = open(&folder);
    migrate(&mut conn, &path, &[FIRST]).expect("a new database");
    std::fs::write(folder.path().join("data.db-before-schema-2-new"), "half a file").expect("write");
    migrate(&mut conn, &path, &[FIRST, SECOND]).expect("an upgrade");
    let before = Connection::open(folder.path().join("data.db-before-schema-2")).expect("the snapshot");
    assert_eq!(schema_version(&before), 1);
}

#[test]
fn a_newer_database_is_refused_and_foreign_tables_are_not() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    server.stop();
    let folder = server.folder();
    let conn = Connection::open(folder.join("pulumi-backend.db")).expect("open");
    conn.execute_batch("CREATE TABLE somebody_elses (x)").expect("a foreign table");
    assert!(run(&folder, &["stack", "list"]).ok().contains("organization/web/dev"));
    conn.pragma_update(None, "user_version", MIGRATIONS.len() + 1).expect("a newer one");
    let refused = run(&folder, &["stack", "list"]).fails(2);
    assert!(refused.contains("was written by a newer pulumi-backend"), "{refused}");
    assert!(refused.contains("start it with that version, or restore a backup"), "{refused}");
}
