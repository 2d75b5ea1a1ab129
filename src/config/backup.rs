//! The settings of backups, and of the S3-compatible bucket that they may go to.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::given::Values;
use super::{days, number};
use crate::domain::schedule::{Schedule, duration_secs};
use crate::error::Error;

/// When and where backups are made, and how long they are kept.
#[derive(Clone, Debug)]
pub struct BackupSettings {
    /// A folder or the address of a bucket; empty if none is set.
    pub dir: String,
    /// When they are made by themselves.
    pub every: Option<Schedule>,
    /// How many are kept; none keeps all.
    pub n_keep: Option<usize>,
    /// How old they get, in seconds; none keeps all.
    pub keep_secs: Option<i64>,
    /// From which age of the last good one on the CLI warns, in seconds.
    pub warn_after_secs: Option<i64>,
    /// The way into buckets.
    pub s3: S3Settings,
}

/// The way into S3-compatible buckets.
#[derive(Clone)]
pub struct S3Settings {
    /// From `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// From `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: Zeroizing<String>,
    /// From `AWS_SESSION_TOKEN`.
    pub session_token: Zeroizing<String>,
    /// From `AWS_REGION`; empty if not set.
    pub region: String,
    /// A file with credentials, which counts more than the environment.
    pub credentials_file: Option<PathBuf>,
    /// A program that prints credentials, which counts most.
    pub credentials_command: Option<String>,
    /// Certificates that a server is checked against.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl BackupSettings {
    pub(super) fn from_values(values: &Values) -> Result<BackupSettings, Error> {
        let given = |name| Some(values.text(name)).filter(|text| !text.is_empty());
        let n_keep = number("backup-keep", values.text("backup-keep"), 0, 1_000_000)? as usize;
        let every = given("backup-every").map(Schedule::parse).transpose();
        let warn_after = given("backup-warn-after").map(duration_secs).transpose();
        let settings = BackupSettings {
            dir: values.text("backup-dir").to_string(),
            every: every.map_err(|why| Error::invalid("backup-every", why))?,
            n_keep: Some(n_keep).filter(|n| *n > 0),
            keep_secs: days("backup-keep-days", values.text("backup-keep-days"))?,
            warn_after_secs: warn_after.map_err(|why| Error::invalid("backup-warn-after", why))?,
            s3: S3Settings {
                access_key: values.aws("AWS_ACCESS_KEY_ID").to_string(),
                secret_key: Zeroizing::new(values.aws("AWS_SECRET_ACCESS_KEY").to_string()),
                session_token: Zeroizing::new(values.aws("AWS_SESSION_TOKEN").to_string()),
                region: match values.aws("AWS_REGION") {
                    "" => values.aws("AWS_DEFAULT_REGION").to_string(),
                    region => region.to_string(),
                },
                credentials_file: given("s3-credentials-file").map(PathBuf::from),
                credentials_command: given("s3-credentials-command").map(String::from),
                ca_file: given("s3-ca-file").map(PathBuf::from),
            },
        };
        if settings.every.is_some() && settings.dir.is_empty() {
            return Err(Error::invalid(
                "backup-every",
                "says when, and nothing says where: set --backup-dir",
            ));
        }
        Ok(settings)
    }
}
