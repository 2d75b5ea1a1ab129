//! Who we are to a bucket: from a command, a file, or the environment.

use serde_json::Value;
use zeroize::Zeroizing;

use super::sign::Credentials;
use crate::config::backup::S3Settings;
use crate::error::Error;
use crate::ops::key_source;

/// The credentials of the settings, asked for anew each time: some end soon.
pub fn find(settings: &S3Settings) -> Result<Credentials, Error> {
    if let Some(command) = &settings.credentials_command {
        let printed = key_source::output_of("s3-credentials-command", command)?;
        return parse("s3-credentials-command", &String::from_utf8_lossy(&printed));
    }
    if let Some(file) = &settings.credentials_file {
        let text = std::fs::read_to_string(file).map_err(|cause| {
            Error::invalid("s3-credentials-file", format!("cannot read {}: {cause}", file.display()))
        })?;
        return parse("s3-credentials-file", &Zeroizing::new(text));
    }
    let found = Credentials {
        access_key: settings.access_key.clone(),
        secret_key: settings.secret_key.clone(),
        session_token: settings.session_token.clone(),
    };
    complete("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", found)
}

/// Lines `aws_access_key_id = …`, or the JSON that the tools of AWS call a credential process's.
fn parse(setting: &str, text: &str) -> Result<Credentials, Error> {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let value = |line_name: &str, json_name: &str| {
        if let Some(value) = json[json_name].as_str() {
            return value.to_string();
        }
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let found = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(line_name));
        found.map_or(String::new(), |(_, value)| value.trim().to_string())
    };
    let found = Credentials {
        access_key: value("aws_access_key_id", "AccessKeyId"),
        secret_key: Zeroizing::new(value("aws_secret_access_key", "SecretAccessKey")),
        session_token: Zeroizing::new(value("aws_session_token", "SessionToken")),
    };
    complete(setting, found)
}

fn complete(setting: &str, found: Credentials) -> Result<Credentials, Error> {
    if found.access_key.is_empty() || found.secret_key.is_empty() {
        return Err(Error::invalid(setting, "no access key and secret key for the bucket is there"));
    }
    Ok(found)
}
