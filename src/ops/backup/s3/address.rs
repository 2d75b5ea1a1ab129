//! The address of a bucket, as the Pulumi CLI writes it:
//! `s3://bucket/prefix?endpoint=HOST:PORT&region=…&s3ForcePathStyle=true&disableSSL=true`.

use crate::error::Error;
use crate::http::pattern::decode;
use crate::ops::backup::name;
use crate::outbound::url::socket_address;

/// Where a bucket is.
pub struct Address {
    bucket: String,
    /// Without slashes at its ends; empty for the whole bucket.
    prefix: String,
    endpoint: String,
    /// As in the signature.
    pub region: String,
    is_path_style: bool,
    /// Whether plain HTTP was asked for.
    pub is_plain: bool,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl Address {
    /// Answers the name of a file too, if the address ends with one.
    pub fn parse(text: &str, default_region: &str) -> Result<(Address, Option<String>), Error> {
        let wrong = |why: String| Error::invalid("to", format!("'{text}': {why}"));
        let rest = text.strip_prefix("s3://").unwrap_or(text);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if bucket.is_empty() {
            return Err(wrong("names no bucket".into()));
        }
        let mut prefix = prefix.trim_matches('/').to_string();
        let mut file = None;
        if prefix.ends_with(name::SUFFIX) {
            let (folder, name) = prefix.rsplit_once('/').unwrap_or(("", &prefix));
            (file, prefix) = (Some(name.to_string()), folder.to_string());
        }
        let mut address = Address {
            bucket: bucket.into(),
            prefix,
            endpoint: String::new(),
            region: default_region.into(),
            is_path_style: false,
            is_plain: false,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value, true).ok_or_else(|| wrong(format!("{name} cannot be read")))?;
            match name {
                "endpoint" => address.endpoint = value,
                "region" => address.region = value,
                "s3ForcePathStyle" | "use_path_style" => address.is_path_style = value == "true",
                "disableSSL" | "disable_https" => address.is_plain = value == "true",
                // The CLI's own: which SDK, which profile. What is not known would be ignored at the cost of somebody's trust.
                "awssdk" => {}
                _ => return Err(wrong(format!("{name} is not known here"))),
            }
        }
        if address.region.is_empty() {
            address.region = "us-east-1".into();
        }
        address.set_endpoint().map_err(wrong)?;
        Ok((address, file))
    }

    fn set_endpoint(&mut self) -> Result<(), String> {
        if self.endpoint.is_empty() {
            self.endpoint = format!("s3.{}.amazonaws.com", self.region);
        }
        if let Some(host) = self.endpoint.strip_prefix("http://") {
            if !self.is_plain {
                return Err(
                    "plain HTTP only with disableSSL=true: anybody on the way could read along".into()
                );
            }
            self.endpoint = host.into();
        }
        let host = self.endpoint.strip_prefix("https://").unwrap_or(&self.endpoint).trim_end_matches('/');
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err("its endpoint is not HOST:PORT".into());
        }
        self.endpoint = host.into();
        Ok(())
    }

    /// As in the header.
    pub fn host(&self) -> String {
        match self.is_path_style {
            true => self.endpoint.clone(),
            false => format!("{}.{}", self.bucket, self.endpoint),
        }
    }

    /// `HOST:PORT`.
    pub fn socket_address(&self) -> String {
        socket_address(&self.host(), self.is_plain)
    }

    /// What is stored under a name of ours.
    pub fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.into() } else { format!("{}/{name}", self.prefix) }
    }

    /// The path of an object.
    pub fn path(&self, name: &str) -> String {
        match self.is_path_style {
            true => format!("/{}/{}", self.bucket, self.key(name)),
            false => format!("/{}", self.key(name)),
        }
    }

    /// The path of the bucket itself.
    pub fn path_of_bucket(&self) -> String {
        if self.is_path_style { format!("/{}", self.bucket) } else { "/".into() }
    }
}
