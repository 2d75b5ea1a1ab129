//! `doctor`: each thing that it looks for is brought about, and found.

use crate::support::command::{Done, run};
use crate::support::server::TestServer;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_sound_server_is_well() {
    let server = TestServer::start();
    let well = run(&server.folder(), &["doctor"]).ok();
    assert!(well.starts_with("all is well: schema 1, SQLite 3."), "{well}");
    server.stop();
    run(&server.folder(), &["doctor"]).ok();
}

#[test]
fn what_is_wrong_is_found_with_what_mends_it() {
    let server = TestServer::start();
    let folder = server.folder();
    let finds = |arguments: &[&str], about: &str, mend: &str| {
        let Done { code, out, err } = run(&folder, &[&["doctor"], arguments].concat());
        assert_eq!(code, 1, "{out}{err}");
        let lines: Vec<&str> = out.lines().collect();
        let at = lines
            .iter()
            .position(|line| line.starts_with(about))
            .unwrap_or_else(|| panic!("no {about}: {out}"));
        assert!(lines[at + 1].contains(mend), "{out}");
    };
    finds(&["--lease-duration", "60"], "settings: lease-duration is 60", "--lease-duration");
    finds(&["--log-level", "debug"], "settings: log-level is debug", "--log-level");
    finds(&["--disk-free-min", "18446744073709551615"], "disk: only", "make room");
    finds(&["--event-buffer-size", "5"], "settings: event-buffer-size does nothing", "leave it out");

    let key = folder.join("pulumi-backend.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    finds(
        &[],
        "permissions: others than its owner can read pulumi-backend.key",
        "chmod 600 pulumi-backend.key",
    );
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("chmod");

    let old = folder.join("pulumi-backend.db-before-schema-9");
    std::fs::write(&old, "").expect("write");
    finds(&[], "upgrade: ./pulumi-backend.db-before-schema-9", "rm ./pulumi-backend.db-before-schema-9");
    std::fs::remove_file(&old).expect("remove");

    let backup = folder.join("pulumi.db.bak");
    std::fs::write(&backup, "").expect("write");
    finds(&[], "key: the master key lies beside backups", "keep the backups elsewhere");
    std::fs::remove_file(&backup).expect("remove");
    run(&folder, &["doctor"]).ok();
}
