//! Backups in an S3-compatible bucket: signed, tried again, in parts, back again.

use crate::support::command::{Done, run_with};
use crate::support::process::TempDir;
use crate::support::s3::{ACCESS_KEY, Fault, REGION, S3Server, SECRET_KEY};
use crate::support::s3s::{self, S3s};
use crate::support::seed::Rng;
use crate::support::server::TestServer;
use pulumi_backend::config::backup::S3Settings;
use pulumi_backend::ops::backup::s3::Bucket;
use pulumi_backend::ops::backup::s3::sign::{Credentials, Request, authorization};
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

fn settings() -> S3Settings {
    S3Settings {
        access_key: ACCESS_KEY.into(),
        secret_key: Zeroizing::new(SECRET_KEY.into()),
        session_token: Zeroizing::default(),
        region: String::new(),
        credentials_file: None,
        credentials_command: None,
        ca_file: None,
    }
}

fn bucket(url: &str) -> Bucket {
    Bucket::parse(url, &settings()).expect("an address").0
}

fn with_keys(folder: &Path, arguments: &[&str]) -> Done {
    run_with(folder, arguments, &[("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)])
}

/// The examples of the vendor's own pages: "Signature Calculations for the Authorization Header" of S3, and `get-vanilla`
/// of its test suite.
#[test]
fn published_signatures() {
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const S3_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let s3 =
        |method, path, query: &[(&str, &str)], more: &[(&str, &str)], body_sha256: &str, expected: &str| {
            let mut headers = vec![
                ("host", "examplebucket.s3.amazonaws.com".to_string()),
                ("x-amz-content-sha256", body_sha256.to_string()),
                ("x-amz-date", "20130524T000000Z".to_string()),
            ];
            headers.extend(more.iter().map(|(name, value)| (*name, value.to_string())));
            let request = Request { method, path, query, headers: &headers, body_sha256 };
            let credentials = Credentials {
                access_key: "AKIAIOSFODNN7EXAMPLE".into(),
                secret_key: Zeroizing::new(S3_SECRET.into()),
                session_token: Zeroizing::default(),
            };
            let header = authorization(&request, &credentials, "us-east-1", "s3", "20130524T000000Z");
            assert!(header.ends_with(&format!("Signature={expected}")), "{method} {path}: {header}");
        };
    s3(
        "GET",
        "/test.txt",
        &[],
        &[("range", "bytes=0-9")],
        EMPTY,
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    s3(
        "PUT",
        "/test$file.text",
        &[],
        &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    s3(
        "GET",
        "/",
        &[("lifecycle", "")],
        &[],
        EMPTY,
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    s3(
        "GET",
        "/",
        &[("max-keys", "2"), ("prefix", "J")],
        &[],
        EMPTY,
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );

    let headers =
        [("host", "example.amazonaws.com".to_string()), ("x-amz-date", "20150830T123600Z".to_string())];
    let request = Request { method: "GET", path: "/", query: &[], headers: &headers, body_sha256: EMPTY };
    let credentials = Credentials {
        access_key: "AKIDEXAMPLE".into(),
        secret_key: Zeroizing::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into()),
        session_token: Zeroizing::default(),
    };
    let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                    SignedHeaders=host;x-amz-date, \
                    Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    assert_eq!(authorization(&request, &credentials, "us-east-1", "service", "20150830T123600Z"), expected);
}

#[test]
fn a_backup_goes_to_a_bucket_and_is_restored_from_there() {
    let s3 = S3Server::start();
    let server = TestServer::start();
    server.create_stack("web", "dev").update_to(&["a", "b"]);
    let folder = server.folder();
    server.stop();
    let url = s3.url("team/state");
    let made = with_keys(&folder, &["backup", "--to", &url, "--json"]).json();
    assert!(made["verifiedAt"].is_string(), "{made}");
    let name = made["name"].as_str().expect("a name");
    assert_eq!(s3.objects().into_keys().collect::<Vec<_>>(), [format!("/backups/team/state/{name}")]);
    assert_eq!(s3.refused(), Vec::<String>::new());

    let secret = format!("{} {}", made, with_keys(&folder, &["backup", "list"]).ok());
    assert!(!secret.contains(SECRET_KEY), "{secret}");
    let wrong = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let refused = run_with(&folder, &["backup", "--to", &url], &wrong);
    assert!(refused.code == 1 && refused.out.contains("403"), "{} {}", refused.out, refused.err);
    fs::remove_file(folder.join("pulumi-backend.db")).expect("lose the database");
    with_keys(&folder, &["restore", "--from", &url]).ok();
    server.restart();
    assert_eq!(server.stack("web", "dev").resource_names(), ["web-dev", "a", "b"]);
}

#[test]
fn whatever_a_server_answers_in_passing_is_tried_again() {
    let folder = TempDir::new("bucket");
    let file = folder.path().join("file");
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&file, &content).expect("write a file");
    let s3 = S3Server::start();
    let bucket = bucket(&s3.url("x"));
    use Fault::*;
    s3.fail_with(&[Status(500), Status(503), Reset]);
    bucket.put("a", &file).expect("put");
    s3.fail_with(&[Reset, Status(503), HalfBody]);
    let back = folder.path().join("back");
    bucket.get("a", &back).expect("get");
    assert!(fs::read(&back).expect("the copy") == content);
    for name in ["b", "c", "d", "e"] {
        bucket.put(name, &file).expect("put");
    }
    s3.fail_with(&[Status(500), HalfBody]);
    let mut names: Vec<String> = bucket.list().expect("list").into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d", "e"], "over three pages");
    s3.fail_with(&[LostAnswer]);
    bucket.delete("b").expect("delete");
    assert_eq!(bucket.list().expect("list").len(), 4);
    assert_eq!(s3.refused(), Vec::<String>::new());
    assert!(bucket.put("a", &file).is_err(), "what is there is not written over");
}

#[test]
fn a_large_file_goes_in_parts() {
    let folder = TempDir::new("bucket");
    let file = folder.path().join("large");
    let mut rng = Rng::new(1);
    let block: Vec<u8> = (0..128 << 10).flat_map(|_| rng.next().to_le_bytes()).collect();
    let content: Vec<u8> = (0..65u8).flat_map(|n| [&[n], &block[1..]].concat()).collect();
    fs::write(&file, &content).expect("write a file");
    let s3 = S3Server::start();
    let bucket = bucket(&s3.url("x"));
    // It is looked for, the upload begins at the second attempt, the first part comes at the third.
    use Fault::*;
    s3.fail_with(&[No, Status(503), No, Reset, Status(500)]);
    bucket.put("large", &file).expect("put");
    assert!(s3.objects()["/backups/x/large"] == content);
    let back = folder.path().join("back");
    bucket.get("large", &back).expect("get");
    assert!(fs::read(&back).expect("the copy") == content);
    assert_eq!((s3.n_uploads(), s3.refused().len()), (0, 0));
}

#[test]
fn an_upload_that_fails_leaves_no_parts_and_no_file() {
    let folder = TempDir::new("bucket");
    let file = folder.path().join("large");
    fs::File::create(&file).and_then(|file| file.set_len(65 << 20)).expect("a sparse file");
    let s3 = S3Server::start();
    // It is looked for, the upload begins, the first part is refused.
    s3.fail_with(&[Fault::No, Fault::No, Fault::Status(403)]);
    assert!(bucket(&s3.url("x")).put("large", &file).is_err());
    assert_eq!((s3.n_uploads(), s3.objects().len()), (0, 0));
}

#[test]
fn a_wrong_key_is_told_by_the_servers_words() {
    let s3 = S3Server::start();
    let mut wrong = settings();
    wrong.secret_key = Zeroizing::new("another".into());
    let (bucket, _) = Bucket::parse(&s3.url("x"), &wrong).expect("an address");
    let told = bucket.list().expect_err("refused").to_string();
    assert!(told.contains("403") && told.contains("SignatureDoesNotMatch"), "{told}");
    assert_eq!(s3.refused().len(), 1, "a refusal is not tried again");
}

#[test]
fn addresses_are_read_as_the_cli_reads_them() {
    let why = |url: &str| Bucket::parse(url, &settings()).map(drop).expect_err(url).to_string();
    assert!(why("s3://b?endpoint=http://localhost:9").contains("disableSSL"));
    assert!(why("s3://").contains("names no bucket"));
    assert!(why("s3://b?colour=red&disableSSL=true").contains("colour"));
    let none = S3Settings { access_key: String::new(), ..settings() };
    let refused = Bucket::parse("s3://b?disableSSL=true", &none).map(drop).expect_err("no credentials");
    assert!(refused.to_string().contains("AWS_ACCESS_KEY_ID"), "{refused}");
    let (bucket, name) =
        Bucket::parse("s3://b/p/q/x.backup?disableSSL=true", &settings()).expect("an address");
    assert_eq!((bucket.to_string(), name), ("s3://b/p/q".into(), Some("x.backup".into())));
}

#[test]
fn credentials_come_from_a_file_or_a_command_too() {
    let folder = TempDir::new("bucket");
    let s3 = S3Server::start();
    let file = folder.path().join("credentials");
    let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n");
    fs::write(&file, text).expect("write");
    let bare = S3Settings { access_key: "nobody".into(), ..settings() };
    let from_file = S3Settings { credentials_file: Some(file), ..bare.clone() };
    let json = format!(r#"{{"Version":1,"AccessKeyId":"{ACCESS_KEY}","SecretAccessKey":"{SECRET_KEY}"}}"#);
    let from_command = S3Settings { credentials_command: Some(format!("echo '{json}'")), ..bare.clone() };
    for (settings, is_right) in [(bare, false), (from_file, true), (from_command, true)] {
        let (bucket, _) = Bucket::parse(&s3.url("x"), &settings).expect("an address");
        assert_eq!(bucket.list().is_ok(), is_right);
    }
    assert_ne!(REGION, "us-east-1", "the region of the address counts");
}

/// Not our own idea of a signature: what another's server thinks of it.
#[test]
fn a_real_s3_server_takes_gives_lists_and_refuses() {
    let Some(s3) = S3s::start() else { return };
    let folder = TempDir::new("bucket");
    let keys = S3Settings {
        access_key: s3s::ACCESS_KEY.into(),
        secret_key: Zeroizing::new(s3s::SECRET_KEY.into()),
        ..settings()
    };
    let (bucket, _) = Bucket::parse(&s3.url("a b/ü"), &keys).expect("an address");
    let file = folder.path().join("file");
    let mut rng = Rng::new(7);
    let mut round = |n_bytes: usize, name: &str| {
        let content: Vec<u8> = (0..n_bytes.div_ceil(8)).flat_map(|_| rng.next().to_le_bytes()).collect();
        fs::write(&file, &content).expect("write a file");
        bucket.put(name, &file).expect("put");
        let back = folder.path().join(format!("back-{name}"));
        bucket.get(name, &back).expect("get");
        assert!(fs::read(&back).expect("the copy") == content, "{name}");
        assert!(bucket.put(name, &file).is_err(), "what is there is not written over");
    };
    round(0, "empty");
    round(100_000, "small +&=%");
    round((64 << 20) + 12_345, "in parts");
    let mut names: Vec<String> = bucket.list().expect("list").into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["empty", "in parts", "small +&=%"]);
    bucket.delete("in parts").expect("delete");
    assert_eq!(bucket.list().expect("list").len(), 2);

    let wrong = S3Settings { secret_key: Zeroizing::new("wrong".into()), ..keys };
    let (bucket, _) = Bucket::parse(&s3.url("a b/ü"), &wrong).expect("an address");
    let told = bucket.list().expect_err("refused").to_string();
    assert!(told.contains("403") && told.contains("SignatureDoesNotMatch"), "{told}");
}

#[test]
fn backups_in_a_real_s3_server_are_kept_by_the_rule_and_restored() {
    let Some(s3) = S3s::start() else { return };
    let server = TestServer::start();
    server.create_stack("web", "dev").update_to(&["a", "b"]);
    let folder = server.folder();
    server.stop();
    let url = s3.url("team");
    let keys = [("AWS_ACCESS_KEY_ID", s3s::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", s3s::SECRET_KEY)];
    for _ in 0..3 {
        let arguments = ["backup", "--backup-dir", &url, "--backup-keep", "2", "--json"];
        let made = run_with(&folder, &arguments, &keys).json();
        assert!(made["verifiedAt"].is_string(), "{made}");
    }
    assert_eq!(s3.names("team").iter().filter(|name| name.ends_with(".backup")).count(), 2);
    let wrong = [("AWS_ACCESS_KEY_ID", s3s::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let refused = run_with(&folder, &["backup", "--to", &url], &wrong);
    assert!(refused.code == 1 && refused.out.contains("403"), "{} {}", refused.out, refused.err);
    fs::remove_file(folder.join("pulumi-backend.db")).expect("lose the database");
    run_with(&folder, &["restore", "--from", &url], &keys).ok();
    server.restart();
    assert_eq!(server.stack("web", "dev").resource_names(), ["web-dev", "a", "b"]);
}

#[test]
#[cfg(feature = "tls")]
fn a_bucket_behind_tls_must_show_a_certificate_of_a_trusted_ca() {
    use crate::support::tls_front::TlsFront;
    let (ours, theirs) = (TempDir::new("ca"), TempDir::new("ca"));
    let s3 = S3Server::start();
    let (front, stranger) =
        (TlsFront::start(ours.path(), &s3.address), TlsFront::start(theirs.path(), &s3.address));
    let server = TestServer::start();
    server.create_stack("web", "dev").update_to(&["a"]);
    let folder = server.folder();
    server.stop();
    let url = |front: &TlsFront| {
        format!("s3://backups/x?endpoint={}&region={REGION}&s3ForcePathStyle=true", front.address)
    };
    let ca = front.ca.to_str().expect("UTF-8");
    let made = with_keys(&folder, &["backup", "--to", &url(&front), "--s3-ca-file", ca, "--json"]).json();
    assert!(made["verifiedAt"].is_string(), "{made}");
    assert_eq!((s3.objects().len(), s3.refused().len()), (1, 0));
    for arguments in [
        &["backup", "--to", &url(&stranger), "--s3-ca-file", ca][..],
        &["backup", "--to", &url(&front), "--s3-ca-file", stranger.ca.to_str().expect("UTF-8")],
    ] {
        let refused = with_keys(&folder, arguments);
        assert!(refused.code == 1 && refused.out.contains("certificate"), "{} {}", refused.out, refused.err);
    }
    assert_eq!(s3.objects().len(), 1);
    fs::remove_file(folder.join("pulumi-backend.db")).expect("lose the database");
    with_keys(&folder, &["restore", "--from", &url(&front), "--s3-ca-file", ca]).ok();
    server.restart();
    assert_eq!(server.stack("web", "dev").resource_names(), ["web-dev", "a"]);
}
