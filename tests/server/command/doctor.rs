//! `doctor`: each thing that it looks for is brought about, and found.

use crate::support::command::{Done, run};
use crate::support::server::TestServer;
use std::os::unix::fs::PermissionsExt;

/// Ended on 2020-02-01.
const ENDED: &str = "-----BEGIN CERTIFICATE-----
MIH+MIGmAgEBMAoGCCqGSM49BAMCMAwxCjAIBgNVBAMMAXQwHhcNMjAwMTAxMDAw
MDAwWhcNMjAwMjAxMDAwMDAwWjAMMQowCAYDVQQDDAF0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAE0uJ5U3E4f2zpLek/VWcn+e9tXfXVCPCbYCzIBw2qv4guENPd
stwfndbjpVlnkvofO4WCcK+tGgVGe1OHV+b/wjAKBggqhkjOPQQDAgNHADBEAiAA
uv5h4897ctS8SpcMQVXURh2FqYq/0rThg9dpJhXAyAIgS7a3WxwggkaQVO3rbW8O
PmIuSbJ4c9VpSKT5FvJzg14=
-----END CERTIFICATE-----
";
/// Ends in 2099.
const VALID: &str = "-----BEGIN CERTIFICATE-----
MIIBAjCBqAIBATAKBggqhkjOPQQDAjAMMQowCAYDVQQDDAF0MCAXDTIwMDEwMTAw
MDAwMFoYDzIwOTkxMjMxMjM1OTU5WjAMMQowCAYDVQQDDAF0MFkwEwYHKoZIzj0C
AQYIKoZIzj0DAQcDQgAE0uJ5U3E4f2zpLek/VWcn+e9tXfXVCPCbYCzIBw2qv4gu
ENPdstwfndbjpVlnkvofO4WCcK+tGgVGe1OHV+b/wjAKBggqhkjOPQQDAgNJADBG
AiEApIYdzpDcaIZ1cgyIzz4d6eKu225LmyK47rZOXvjzwRQCIQCNaYF8JPQcYPjj
RISVEFmPXHD+NHv7hdVbXx+fXnEYRw==
-----END CERTIFICATE-----
";

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

#[test]
fn a_certificate_that_ends_is_found_and_so_is_a_key_that_others_can_read() {
    let server = TestServer::start();
    let folder = server.folder();
    let write = |name: &str, text: &str, mode: u32| {
        std::fs::write(folder.join(name), text).expect("write");
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    let doctor = |arguments: &[&str]| run(&folder, &[&["doctor"], arguments].concat());
    let files = ["--tls-cert", "web.pem", "--tls-key", "web.key"];
    write("web.key", "", 0o600);
    write("web.pem", VALID, 0o644);
    doctor(&files).ok();
    // What counts is the one of the chain that ends first.
    write("web.pem", &format!("{VALID}{ENDED}"), 0o644);
    let found = found_by(doctor(&files));
    assert!(
        found.contains("certificate: web.pem ends on 2020-02-01, or has ended\n    renew it;"),
        "{found}"
    );
    write("web.pem", "no certificate", 0o644);
    assert!(found_by(doctor(&files)).contains("web.pem has no certificate in it"));

    write("web.pem", VALID, 0o644);
    write("web.key", "", 0o640);
    assert!(
        found_by(doctor(&files)).contains("others than its owner can read web.key\n    chmod 600 web.key")
    );

    let own = ["--tls-local-ca", "localhost"];
    doctor(&own).ok();
    write("local-ca.pem", ENDED, 0o644);
    let found = found_by(doctor(&own));
    assert!(found.contains("    rm ./local-ca.pem ./local-ca.key, restart the server"), "{found}");
}

#[test]
fn what_opens_the_data_to_others_is_found() {
    let server = TestServer::start();
    let folder = server.folder();
    let doctor = |arguments: &[&str]| run(&folder, &[&["doctor"], arguments].concat());
    let found = found_by(doctor(&["--management-addr", "0.0.0.0:9000"]));
    assert!(found.contains("settings: 0.0.0.0:9000 (--management-addr) tells figures"), "{found}");
    doctor(&["--management-addr", "127.0.0.1:9000"]).ok();

    let config = folder.join("settings.conf");
    std::fs::write(&config, "PULUMI_BACKEND_SINGLE_TENANT_TOKEN=pul-0123456789abcdef\n").expect("write");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let found = found_by(doctor(&["--config", "settings.conf"]));
    assert!(found.contains("others than its owner can read settings.conf"), "{found}");

    let mode = |mode: u32| {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    mode(0o777);
    let found = found_by(doctor(&[]));
    assert!(found.contains("permissions: everybody can replace files in .\n    chmod o-w ."), "{found}");
    mode(0o1777);
    doctor(&[]).ok();
}

#[track_caller]
fn found_by(doctor: Done) -> String {
    assert_eq!(doctor.code, 1, "{}{}", doctor.out, doctor.err);
    doctor.out
}
