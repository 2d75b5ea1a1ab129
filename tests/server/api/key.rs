//! The master key: where it comes from, that no other is taken, and that it can be changed while the server runs.
//! Routes: showKeys, rotateMasterKey, renewStackKey.

use crate::support::command::{Done, run, run_with};
use crate::support::process::{ServerProcess, TempDir};
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const DB: &str = "pulumi-backend.db";
const KEY: &str = "pulumi-backend.key";

fn encrypt(stack: &TestStack, plaintext: &str) -> String {
    let body = stack.post("/encrypt", &json!({ "plaintext": plaintext })).ok().json();
    body["ciphertext"].as_str().expect("a ciphertext").to_string()
}

#[track_caller]
fn opens(stack: &TestStack, ciphertext: &str, plaintext: &str) {
    let opened = stack.post("/decrypt", &json!({ "ciphertext": ciphertext })).ok().json();
    assert_eq!(opened["plaintext"], plaintext);
}

/// A database with a stack, and no server.
fn stopped() -> (TempDir, String) {
    let folder = TempDir::new("key");
    let mut process = ServerProcess::start(&[]);
    process.stop();
    for name in [DB, KEY] {
        fs::copy(process.dir().join(name), folder.path().join(name)).expect("copy the data");
    }
    let key = fs::read_to_string(folder.path().join(KEY)).expect("the key");
    (folder, key.trim().to_string())
}

fn show(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Done {
    run_with(folder, &[&["key", "show", "--json"], arguments].concat(), environment)
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).expect("write a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("make it private");
}

#[test]
fn the_key_comes_from_the_first_place_that_has_it() {
    let (folder, key) = stopped();
    let at = |name: &str| folder.path().join(name);
    let wrong = "00".repeat(32);
    fs::rename(at(KEY), at("elsewhere.key")).expect("move the key");
    fs::create_dir(at("credentials")).expect("make a folder");
    fs::write(at("credentials/master-key"), &key).expect("write the credential");
    let credentials = at("credentials").display().to_string();
    let command = format!("echo {key}");

    let source = |arguments: &[&str], environment: &[(&str, &str)]| {
        show(folder.path(), arguments, environment).json()["source"].as_str().expect("a source").to_string()
    };
    let variable = ("PULUMI_BACKEND_MASTER_KEY", key.as_str());
    let systemd = ("CREDENTIALS_DIRECTORY", credentials.as_str());
    assert_eq!(source(&["--master-key", &key], &[("PULUMI_BACKEND_MASTER_KEY", &wrong)]), "given (flag)");
    assert_eq!(
        source(&["--master-key-file", "none"], &[variable]),
        "given (environment PULUMI_BACKEND_MASTER_KEY)"
    );
    assert!(source(&["--master-key-file", "elsewhere.key"], &[systemd]).ends_with("elsewhere.key"));
    assert!(source(&["--master-key-command", "false"], &[systemd]).contains("credential"));
    assert_eq!(source(&["--master-key-command", &command], &[]), "printed by --master-key-command");
    let warned = show(folder.path(), &["--master-key", &key], &[]).err;
    assert!(warned.contains("list of processes"), "{warned}");
    assert!(!warned.contains(&key), "the key is not printed");

    let bytes: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&key[2 * i..2 * i + 2], 16).expect("hex")).collect();
    write_private(&at("base64.key"), &STANDARD.encode(&bytes));
    assert!(source(&["--master-key-file", "base64.key"], &[]).ends_with("base64.key"));
}

#[test]
fn no_other_key_is_taken_and_nothing_is_changed_by_trying() {
    let (folder, key) = stopped();
    let db = folder.path().join(DB);
    let fingerprint = show(folder.path(), &[], &[]).json()["fingerprint"].as_str().expect("text").to_string();
    let before = fs::read(&db).expect("the database");

    let other = "ab".repeat(32);
    let refused = show(folder.path(), &[], &[("PULUMI_BACKEND_MASTER_KEY", &other)]).fails(2);
    assert!(refused.contains(&fingerprint) && refused.contains("Nothing was changed"), "{refused}");
    assert!(!refused.contains(&other) && !refused.contains(&key), "{refused}");
    for text in ["", "short", "zz", &"q".repeat(64)] {
        show(folder.path(), &["--master-key-file", "bad.key"], &[]).fails(2);
        write_private(&folder.path().join("bad.key"), text);
        show(folder.path(), &["--master-key-file", "bad.key"], &[]).fails(2);
        fs::remove_file(folder.path().join("bad.key")).expect("remove it");
    }
    fs::remove_file(folder.path().join(KEY)).expect("lose the key");
    let lost = show(folder.path(), &[], &[]).fails(2);
    assert!(lost.contains("cannot be read without it") && lost.contains(&fingerprint), "{lost}");
    assert!(!folder.path().join(KEY).exists(), "no new key is made");
    assert!(fs::read(&db).expect("the database") == before, "the database was changed");
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_cure() {
    let (folder, _) = stopped();
    let key = folder.path().join(KEY);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("open it to the group");
    let refused = show(folder.path(), &[], &[]).fails(2);
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn a_program_that_gives_no_key_is_quoted_by_its_complaint_and_never_by_its_output() {
    let (folder, _) = stopped();
    let says = |command: &str| show(folder.path(), &["--master-key-command", command], &[]).fails(2);
    let failed = says("echo s3cr3t-output; echo the vault is sealed >&2; exit 3");
    assert!(failed.contains("the vault is sealed") && failed.contains("exit status: 3"), "{failed}");
    assert!(!failed.contains("s3cr3t-output"), "{failed}");
    let strange = says("echo s3cr3t-output");
    assert!(strange.contains("did not print a key") && !strange.contains("s3cr3t-output"), "{strange}");
}

#[test]
fn a_program_does_not_inherit_the_key() {
    let (folder, key) = stopped();
    fs::rename(folder.path().join(KEY), folder.path().join("k")).expect("move the key");
    let command = "test -z \"$PULUMI_BACKEND_MASTER_KEY\" && cat k";
    let environment = [("PULUMI_BACKEND_MASTER_KEY", "")];
    show(folder.path(), &["--master-key-command", command], &environment).ok();
    assert!(!key.is_empty());
}

#[test]
fn the_master_key_changes_under_traffic() {
    let server = TestServer::start();
    let folder = server.folder();
    let stack = server.create_stack("web", "dev");
    let old_secret = encrypt(&stack, "b2xk");
    stack.update_to(&["a", "b"]);

    let is_over = AtomicBool::new(false);
    let rotated = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut n = 0;
            while !is_over.load(Ordering::Relaxed) {
                n += 1;
                let made = server.create_stack("traffic", &format!("s{n}"));
                let secret = encrypt(&made, "dHJhZmZpYw==");
                opens(&made, &secret, "dHJhZmZpYw==");
                opens(&stack, &old_secret, "b2xk");
            }
            n
        });
        let rotated: Vec<_> = (0..3).map(|_| run(&folder, &["key", "rotate", "--json"]).json()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(traffic.join().expect("the traffic goes on") > 0);
        rotated
    });
    assert_eq!(rotated[0]["to"], rotated[1]["from"]);
    assert_ne!(rotated[0]["to"], rotated[0]["from"]);

    server.crash_and_restart();
    opens(&stack, &old_secret, "b2xk");
    assert_eq!(stack.resource_names(), ["web-dev", "a", "b"]);
    for made in run(&folder, &["stack", "list", "--json"]).json()["stacks"].as_array().expect("stacks") {
        let made = server
            .stack(made["projectName"].as_str().expect("text"), made["stackName"].as_str().expect("text"));
        opens(&made, &encrypt(&made, "bmV3"), "bmV3");
    }
    let kept = rotated[0]["oldKeyKeptAs"].as_str().expect("the old key's file");
    server.stop();
    let refused = show(&folder, &["--master-key-file", kept], &[]).fails(2);
    assert!(refused.contains(rotated[2]["to"].as_str().expect("text")), "{refused}");
}

#[test]
fn a_rotation_that_is_cut_short_leaves_a_key_that_opens() {
    let (folder, _) = stopped();
    let at = |name: &str| folder.path().join(name);
    let fingerprint =
        || show(folder.path(), &[], &[]).json()["fingerprint"].as_str().expect("text").to_string();
    let first = fingerprint();
    // Before the commit: the next key lies there, the database knows nothing of it.
    write_private(&at("pulumi-backend.key.next"), &"cd".repeat(32));
    assert_eq!(fingerprint(), first);
    // After the commit, before the files were exchanged.
    let rotated = run(folder.path(), &["key", "rotate", "--json"]).json();
    let kept = Path::new(rotated["oldKeyKeptAs"].as_str().expect("a path")).to_path_buf();
    fs::rename(at(KEY), at("pulumi-backend.key.next")).expect("undo the last step");
    fs::copy(&kept, at(KEY)).expect("undo the step before");
    let started = show(folder.path(), &[], &[]);
    assert!(started.err.contains("finished a change of the master key"), "{}", started.err);
    assert_eq!(started.json()["fingerprint"], rotated["to"]);
    // And between the two steps of the exchange, where the old key has two names.
    fs::rename(at(KEY), at("pulumi-backend.key.next")).expect("undo the last step");
    fs::remove_file(at(KEY)).unwrap_or_default();
    fs::hard_link(&kept, at(KEY)).expect("undo half of the step before");
    assert_eq!(fingerprint(), rotated["to"].as_str().expect("text"));
    assert_eq!(fs::metadata(at(KEY)).expect("the key").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_key_from_elsewhere_is_changed_to_one_that_is_given() {
    let (folder, key) = stopped();
    fs::remove_file(folder.path().join(KEY)).expect("remove it");
    let environment = [("PULUMI_BACKEND_MASTER_KEY", key.as_str())];
    let refused = run_with(folder.path(), &["key", "rotate"], &environment).fails(2);
    assert!(refused.contains("--new-key-file"), "{refused}");
    let new = "0123456789abcdef".repeat(4);
    write_private(&folder.path().join("new.key"), &new);
    let done = run_with(folder.path(), &["key", "rotate", "--new-key-file", "new.key"], &environment).ok();
    assert!(done.contains("before the next start"), "{done}");
    show(folder.path(), &[], &environment).fails(2);
    show(folder.path(), &["--master-key-file", "new.key"], &[]).ok();
}

#[test]
fn a_renewed_stack_key_opens_what_the_old_one_sealed() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    let mut secrets = vec![encrypt(&stack, "b25l")];
    for _ in 0..2 {
        run(&server.folder(), &["key", "renew", "organization/web/dev"]).ok();
        secrets.push(encrypt(&stack, "b25l"));
    }
    stack.update_to(&["a", "b"]);
    let all_open = || secrets.iter().for_each(|secret| opens(&stack, secret, "b25l"));
    all_open();
    server.crash_and_restart();
    all_open();
    assert_eq!(stack.resource_names(), ["web-dev", "a", "b"]);
    let keys = run(&server.folder(), &["key", "show", "--json"]).json();
    assert_eq!(keys["stacks"][0]["generations"], 3);
    run(&server.folder(), &["key", "renew", "organization/web/none"]).fails(3);
}

/// What a program is told that prints a key: the environment, but for what is secret in it.
#[test]
fn programs_that_print_secrets_do_not_see_ours() {
    let (folder, key) = stopped();
    let secret = "not-for-the-children-0123456789";
    let seen = folder.path().join("seen");
    let see = |then: &str| format!("env > {}; {then}", seen.display());
    let check = |known: &str| {
        let text = fs::read_to_string(&seen).expect("the program ran");
        assert!(text.contains(known) && !text.contains(secret) && !text.contains(&key), "{text}");
        fs::remove_file(&seen).expect("forget it");
    };
    let environment = [("PULUMI_BACKEND_SINGLE_TENANT_TOKEN", secret), ("AWS_REGION", "eu-test-1")];
    show(folder.path(), &["--master-key-command", &see(&format!("echo {key}"))], &environment).ok();
    check("AWS_REGION");
    let environment = [environment[0], environment[1], ("PULUMI_BACKEND_MASTER_KEY", &key)];
    let backup =
        ["backup", "--to", "s3://b?endpoint=127.0.0.1:1&disableSSL=true", "--s3-credentials-command"];
    let done = run_with(folder.path(), &[&backup[..], &[see("exit 3").as_str()]].concat(), &environment);
    assert!(done.code != 0 && !done.err.contains(secret) && !done.err.contains(&key), "{}", done.err);
    check("AWS_REGION");
}

/// A file system without hard links gets a copy, also in the place of one that was cut short.
#[test]
fn the_old_key_is_kept_where_files_have_one_name() {
    use pulumi_backend::crypto::master::MasterKey;
    use pulumi_backend::ops::key_file;
    use std::io::{Error, ErrorKind};
    let folder = TempDir::new("key-file");
    let path = folder.path().join(KEY);
    let [old, next] = [(); 2].map(|()| MasterKey::random().expect("random"));
    let is_at = |path: &Path, key: &MasterKey| {
        assert_eq!(key_file::read(path).expect("a key").fingerprint(), key.fingerprint());
    };
    key_file::make(&path, &old).expect("write the key");
    key_file::write_next(&path, &next).expect("write the next key");
    let cut_short = folder.path().join(format!("{KEY}.old-{}", old.fingerprint()));
    write_private(&cut_short, "0123");
    let no_links = |_: &Path, _: &Path| Err(Error::from(ErrorKind::Unsupported));
    let kept = key_file::take_next_by(&path, &old.fingerprint(), no_links).expect("exchange them");
    assert_eq!(kept, cut_short);
    is_at(&kept, &old);
    is_at(&path, &next);
    assert_eq!(fs::metadata(&kept).expect("a file").permissions().mode() & 0o777, 0o600);

    // One that is there and whole, by a link or a copy, is as good.
    key_file::write_next(&path, &old).expect("write the next key");
    let kept = key_file::take_next(&path, &next.fingerprint()).expect("by a link");
    is_at(&kept, &next);
    is_at(&path, &old);
    assert!(!key_file::next_path(&path).exists());
}
