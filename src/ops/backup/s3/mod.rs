//! A bucket of an S3-compatible server: files go in, come back, are listed and deleted. Whatever a server answers
//! in passing (500, 503, a connection that breaks) is tried again.

mod address;
mod credentials;
pub mod sign;
mod xml;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use self::address::Address;
use self::sign::Credentials;
use super::scratch::Steady;
use crate::clock::{Clock, date_time};
use crate::config::backup::S3Settings;
use crate::error::Error;
use crate::limits;
use crate::outbound::tls::Tls;
use crate::outbound::{Answer, Body, Patience, Server};

/// A bucket and a prefix in it.
pub struct Bucket {
    address: Address,
    server: Server,
    credentials: Credentials,
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)
    }
}

/// One request, but for what all have.
struct Call<'a> {
    method: &'a str,
    name: &'a str,
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'a str, String)],
    body: Body,
}

const NOTHING: Body = Body::Bytes(Vec::new());

impl Bucket {
    /// From an address as the CLI has it. Answers the name of a file too, if the address ends with one.
    pub fn parse(text: &str, settings: &S3Settings) -> Result<(Bucket, Option<String>), Error> {
        let (address, name) = Address::parse(text, &settings.region)?;
        let tls = match address.is_plain {
            true => None,
            false => Some(Tls::new(settings.ca_file.as_deref(), "s3-ca-file")?),
        };
        let (host, address_text) = (address.host(), address.socket_address());
        let (patience, body_bytes_max) = (Patience::Silence, limits::S3_BODY_BYTES_MAX);
        let server = Server { host, address: address_text, tls, patience, body_bytes_max };
        Ok((Bucket { address, server, credentials: credentials::find(settings)? }, name))
    }

    /// Stores a file under a name that no other has. It is there whole, or not at all.
    pub fn put(&self, name: &str, file: &Path) -> Result<(), Error> {
        let failed = |cause| Error::internal(format!("read {}", file.display()), cause);
        let n_bytes = file.metadata().map_err(failed)?.len();
        if self.find(name)?.is_some() {
            return Err(Error::Conflict(format!("{self}/{name} exists already")));
        }
        if n_bytes > limits::S3_SINGLE_BYTES_MAX {
            return self.put_in_parts(name, file, n_bytes);
        }
        let body = Body::Part { file: file.into(), from: 0, n_bytes };
        self.expect(&Call { method: "PUT", name, query: &[], headers: &[], body }).map(drop)
    }

    /// Whether something is stored under this name.
    pub fn has(&self, name: &str) -> Result<bool, Error> {
        Ok(self.find(name)?.is_some())
    }

    /// Copies what is stored under a name to a new local file.
    pub fn get(&self, name: &str, to: &Path) -> Result<(), Error> {
        let found = self.find(name)?.ok_or_else(|| Error::NotFound(format!("there is no {self}/{name}")))?;
        let failed = |cause| Error::internal(format!("write {}", to.display()), cause);
        let mut file = Steady::create(to)?;
        let mut from = 0;
        while from < found.n_bytes {
            let last = (from + limits::S3_PIECE_BYTES).min(found.n_bytes) - 1;
            let mut headers = vec![("range", format!("bytes={from}-{last}"))];
            headers.extend(found.etag.iter().map(|etag| ("if-match", etag.clone())));
            let answer =
                self.expect(&Call { method: "GET", name, query: &[], headers: &headers, body: NOTHING })?;
            if answer.body.len() as u64 != last + 1 - from {
                return Err(Error::internal(format!("read {self}/{name}"), "a piece of another length came"));
            }
            file.write_all(&answer.body).map_err(failed)?;
            from = last + 1;
        }
        file.finish().map(drop).map_err(failed)
    }

    /// Names under the prefix, with their lengths, in any order.
    pub fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        let prefix = self.address.key("");
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", prefix.as_str())];
            if !token.is_empty() {
                query.push(("continuation-token", &token));
            }
            let answer = self.request(
                &Call { method: "GET", name: "", query: &query, headers: &[], body: NOTHING },
                true,
            )?;
            let answer = self.check("list", answer)?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            for entry in xml::all(&text, "Contents") {
                let key = xml::first(entry, "Key").unwrap_or_default();
                let size = xml::first(entry, "Size").and_then(|size| size.parse().ok()).unwrap_or(0);
                found.extend(key.strip_prefix(&prefix).map(|name| (name.to_string(), size)));
            }
            match xml::first(&text, "NextContinuationToken") {
                Some(next) if !next.is_empty() && next != token => token = next,
                _ => return Ok(found),
            }
        }
    }

    /// Deletes what is stored under a name.
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        self.expect(&Call { method: "DELETE", name, query: &[], headers: &[], body: NOTHING }).map(drop)
    }

    fn find(&self, name: &str) -> Result<Option<Found>, Error> {
        let answer =
            self.request(&Call { method: "HEAD", name, query: &[], headers: &[], body: NOTHING }, false)?;
        if answer.status == 404 {
            return Ok(None);
        }
        let answer = self.check(name, answer)?;
        let n_bytes = answer.header("content-length").and_then(|n| n.parse().ok());
        let n_bytes =
            n_bytes.ok_or_else(|| Error::internal(format!("look at {name}"), "it has no length"))?;
        Ok(Some(Found { n_bytes, etag: answer.header("etag").map(String::from) }))
    }

    /// Above a certain size a file goes in parts, each of which can be sent again by itself.
    fn put_in_parts(&self, name: &str, file: &Path, n_bytes: u64) -> Result<(), Error> {
        let begin = Call { method: "POST", name, query: &[("uploads", "")], headers: &[], body: NOTHING };
        let begun = self.expect(&begin)?;
        let upload = xml::first(&String::from_utf8_lossy(&begun.body), "UploadId");
        let upload = upload.ok_or_else(|| Error::internal(format!("store {name}"), "no upload id came"))?;
        let done = self.put_parts(name, file, n_bytes, &upload);
        if done.is_err() {
            let query = [("uploadId", upload.as_str())];
            let abort = Call { method: "DELETE", name, query: &query, headers: &[], body: NOTHING };
            if let Err(cause) = self.expect(&abort) {
                log::warn!("parts of {name} may be left in {self}: {cause}");
            }
        }
        done
    }

    fn put_parts(&self, name: &str, file: &Path, n_bytes: u64, upload: &str) -> Result<(), Error> {
        let part_bytes = limits::S3_PART_BYTES.max(n_bytes.div_ceil(limits::S3_PARTS_MAX));
        let mut parts = String::new();
        for (n, from) in (0..n_bytes).step_by(part_bytes as usize).enumerate() {
            let number = (n + 1).to_string();
            let body = Body::Part { file: file.into(), from, n_bytes: part_bytes.min(n_bytes - from) };
            let query = [("partNumber", number.as_str()), ("uploadId", upload)];
            let answer = self.expect(&Call { method: "PUT", name, query: &query, headers: &[], body })?;
            let etag = xml::escape(answer.header("etag").unwrap_or_default());
            parts.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
        }
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let query = [("uploadId", upload)];
        let body = Body::Bytes(body.into_bytes());
        let answer = self.expect(&Call { method: "POST", name, query: &query, headers: &[], body });
        match answer {
            // It may have been completed by a request whose answer was lost.
            Err(Error::NotFound(_)) if self.find(name)?.is_some_and(|found| found.n_bytes == n_bytes) => {
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    /// An answer below 300.
    fn expect(&self, call: &Call) -> Result<Answer, Error> {
        let answer = self.request(call, false)?;
        self.check(call.name, answer)
    }

    fn check(&self, name: &str, answer: Answer) -> Result<Answer, Error> {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        // The end of an upload in parts may fail with a 200.
        let is_error = answer.status >= 300 || text.trim_start().contains("<Error>");
        if !is_error {
            return Ok(answer);
        }
        let said = |tag| xml::first(&text, tag).unwrap_or_default();
        let region =
            answer.header("x-amz-bucket-region").map(|region| format!("; the bucket is in region {region}"));
        let why = format!(
            "{self} answered {}: {} {}{}",
            answer.status,
            said("Code"),
            said("Message"),
            region.unwrap_or_default()
        );
        match answer.status {
            404 => Err(Error::NotFound(format!("{name}: {why}"))),
            _ => Err(Error::internal(format!("use {name} in the bucket"), why)),
        }
    }

    /// Sends a call, again and again if that may help.
    fn request(&self, call: &Call, is_bucket: bool) -> Result<Answer, Error> {
        let mut pause = Duration::from_millis(limits::S3_PAUSE_MILLIS);
        for n in 1.. {
            let failure = match self.send(call, is_bucket) {
                Ok(answer) if !is_passing(&answer) => return Ok(answer),
                Ok(answer) if n == limits::S3_ATTEMPTS => return Ok(answer),
                Ok(answer) => format!("status {}", answer.status),
                Err(cause) if n == limits::S3_ATTEMPTS || Tls::is_refusal(&cause) => {
                    return Err(Error::internal(format!("reach {self}"), cause));
                }
                Err(cause) => cause.to_string(),
            };
            log::info!("{self}: {} {} is tried again: {failure}", call.method, call.name);
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(limits::S3_PAUSE_MILLIS_MAX));
        }
        unreachable!("the last attempt returns")
    }

    fn send(&self, call: &Call, is_bucket: bool) -> std::io::Result<Answer> {
        let time = format!("{}Z", date_time(Clock::default().now_unix()).replace(['-', ':'], ""));
        let body_sha256 = call.body.sha256()?;
        let path = if is_bucket { self.address.path_of_bucket() } else { self.address.path(call.name) };
        let mut headers = vec![
            ("host", self.server.host.clone()),
            ("x-amz-content-sha256", body_sha256.clone()),
            ("x-amz-date", time.clone()),
        ];
        if !self.credentials.session_token.is_empty() {
            headers.push(("x-amz-security-token", self.credentials.session_token.to_string()));
        }
        headers.extend(call.headers.iter().cloned());
        let signed = sign::Request {
            method: call.method,
            path: &path,
            query: call.query,
            headers: &headers,
            body_sha256: &body_sha256,
        };
        let authorization =
            sign::authorization(&signed, &self.credentials, &self.address.region, "s3", &time);
        let query = sign::query_text(call.query);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut head = format!("{} {}{mark}{query} HTTP/1.1\r\n", call.method, sign::encode(&path, true));
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let n_bytes = call.body.n_bytes();
        head.push_str(&format!(
            "authorization: {authorization}\r\ncontent-length: {n_bytes}\r\nconnection: close\r\n"
        ));
        self.server.exchange(&head, &call.body)
    }
}

struct Found {
    n_bytes: u64,
    etag: Option<String>,
}

/// Whether it will be different the next time.
fn is_passing(answer: &Answer) -> bool {
    let says = |code: &str| String::from_utf8_lossy(&answer.body).contains(code);
    matches!(answer.status, 429 | 500 | 502 | 503 | 504)
        || (answer.status == 400 && says("<Code>RequestTimeout</Code>"))
        || (answer.status == 200 && answer.body.len() < 4096 && says("<Code>InternalError</Code>"))
}
