//! The file of a backup: one database, in pieces, and a manifest that says what each byte of it must be.
//!
//! `FIRST · piece · piece · … · manifest (JSON) · its length (8 bytes) · its SHA-256 · LAST`. A piece is up to 1 MiB of
//! the database, deflated where that helps. The manifest stands at the end, so that the file is written in one go.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::crypto::{hex, unhex};
use crate::domain::read;
use crate::error::Error;
use crate::pace::Pace;
use crate::store::backup::Facts;

const FIRST: &[u8; 24] = b"pulumi-backend backup 1\n";
const LAST: &[u8; 24] = b"\nend of the backup, all\n";
/// Length and hash of the manifest, and the end mark.
const TRAILER_BYTES: usize = 8 + 32 + 24;
/// Of the database in one piece.
const PIECE_BYTES: usize = 1 << 20;
/// A manifest has about 100 bytes for each piece: this is enough for a database of 600 GB.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Level 1: what is sealed does not get smaller, and the rest gets small enough.
const LEVEL_FAST: u8 = 1;

/// What a backup is, and what each piece of it must be.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of the server that made it.
    pub server_version: String,
    /// Migrations that had run.
    pub schema_version: u32,
    /// When it was begun.
    pub made_at: String,
    /// The same in seconds since 1970.
    pub made_at_unix: i64,
    /// Of the master key that it needs.
    pub key_fingerprint: String,
    /// Rows of each table.
    pub counts: BTreeMap<String, u64>,
    /// The last entry of the audit record, if there is one.
    pub audit_head: Option<AuditHead>,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// SHA-256 of the database, in hex.
    pub database_sha256: String,
    /// The pieces, in order.
    pub pieces: Vec<Piece>,
}

/// Where the audit record stood.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct AuditHead {
    /// Number of the last entry.
    pub sequence: i64,
    /// Its hash, in hex.
    pub hash: String,
}

/// One piece as it is in the file.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Piece {
    /// Its length.
    pub bytes: u32,
    /// Whether it is deflated.
    pub deflated: bool,
    /// SHA-256 of it, in hex.
    pub sha256: String,
}

impl Manifest {
    /// Without its pieces yet.
    pub fn new(facts: Facts, made_at_unix: i64) -> Manifest {
        let head = facts.audit_head.map(|(sequence, hash)| AuditHead { sequence, hash: hex(&hash) });
        Manifest {
            server_version: env!("CARGO_PKG_VERSION").into(),
            schema_version: facts.schema_version,
            made_at: format!("{}Z", clock::date_time(made_at_unix)),
            made_at_unix,
            key_fingerprint: facts.key_fingerprint,
            counts: facts.counts,
            audit_head: head,
            database_bytes: 0,
            database_sha256: String::new(),
            pieces: Vec::new(),
        }
    }

    /// What differs between the manifest and the database that came out of the file, if anything does.
    pub fn differs(&self, facts: Facts) -> Option<String> {
        let found = Manifest::new(facts, self.made_at_unix);
        if found.schema_version != self.schema_version || found.key_fingerprint != self.key_fingerprint {
            return Some("schema version or key are not those of the manifest".into());
        }
        if found.audit_head != self.audit_head {
            return Some("the audit record does not end where the manifest says".into());
        }
        let name = self.counts.keys().chain(found.counts.keys());
        let differing = name.into_iter().find(|name| self.counts.get(*name) != found.counts.get(*name));
        differing.map(|name| format!("table {name} has not the rows that the manifest counts"))
    }
}

/// Writes the database in `db`, which nobody changes, as a backup. Answers the manifest with its pieces.
pub fn pack(
    db: &mut impl Read,
    mut manifest: Manifest,
    out: &mut impl Write,
    pace: &mut Pace,
) -> Result<Manifest, Error> {
    let failed = |cause| Error::internal("write the backup", cause);
    let mut whole = Sha256::new();
    let mut plain = Vec::with_capacity(PIECE_BYTES);
    out.write_all(FIRST).map_err(failed)?;
    loop {
        pace.done(plain.len() as u64)?;
        plain.clear();
        db.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut plain).map_err(failed)?;
        if plain.is_empty() {
            break;
        }
        whole.update(&plain);
        manifest.database_bytes += plain.len() as u64;
        let deflated = compress_to_vec(&plain, LEVEL_FAST);
        let is_worth_it = deflated.len() < plain.len() / 16 * 15;
        let stored = if is_worth_it { &deflated } else { &plain };
        out.write_all(stored).map_err(failed)?;
        manifest.pieces.push(Piece {
            bytes: stored.len() as u32,
            deflated: is_worth_it,
            sha256: hex(&Sha256::digest(stored)),
        });
    }
    manifest.database_sha256 = hex(&whole.finalize());
    let text = serde_json::to_vec(&manifest).map_err(|cause| Error::internal("write the manifest", cause))?;
    out.write_all(&text)
        .and_then(|()| out.write_all(&(text.len() as u64).to_le_bytes()))
        .and_then(|()| out.write_all(&Sha256::digest(&text)))
        .and_then(|()| out.write_all(LAST))
        .map_err(failed)?;
    Ok(manifest)
}

/// A backup whose frame and manifest have been found whole.
pub struct Archive<R> {
    input: R,
    manifest: Manifest,
}

impl Archive<File> {
    /// Opens the file of a backup.
    pub fn open(path: &Path) -> Result<Archive<File>, Error> {
        let file = File::open(path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound(format!("there is no backup {}", path.display())),
            _ => Error::internal(format!("open {}", path.display()), cause),
        })?;
        Archive::read(file)
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Reads frame and manifest. Errors: a sentence on what is not as it was written.
    pub fn read(mut input: R) -> Result<Archive<R>, Error> {
        let n_bytes = input.seek(SeekFrom::End(0)).map_err(unreadable)?;
        let n_frame = (FIRST.len() + TRAILER_BYTES) as u64;
        let n_inside = n_bytes.checked_sub(n_frame).ok_or_else(|| damaged("it is cut short"))?;
        let mut first = [0; FIRST.len()];
        read_at(&mut input, 0, &mut first)?;
        let mut trailer = [0; TRAILER_BYTES];
        read_at(&mut input, n_bytes - TRAILER_BYTES as u64, &mut trailer)?;
        if first != *FIRST {
            return Err(damaged("it does not begin as one"));
        }
        if trailer[40..] != *LAST {
            return Err(damaged("it does not end as one: it may be cut short"));
        }
        let n_manifest = u64::from_le_bytes(trailer[..8].try_into().expect("eight bytes"));
        if n_manifest > n_inside.min(MANIFEST_BYTES_MAX) {
            return Err(damaged("its manifest cannot be that long"));
        }
        let mut text = vec![0; n_manifest as usize];
        read_at(&mut input, n_bytes - TRAILER_BYTES as u64 - n_manifest, &mut text)?;
        if Sha256::digest(&text)[..] != trailer[8..40] {
            return Err(damaged("its manifest is not as it was written"));
        }
        let manifest: Manifest =
            read::from_bytes(&text).map_err(|cause| damaged(&format!("its manifest: {cause}")))?;
        let n_pieces: u64 = manifest.pieces.iter().map(|piece| u64::from(piece.bytes)).sum();
        if n_pieces != n_inside - n_manifest {
            return Err(damaged("its pieces are not as long as its manifest says"));
        }
        Ok(Archive { input, manifest })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes the database that is in it, checking each byte. What was written before an error is to be thrown away.
    pub fn unpack(&mut self, out: &mut impl Write, pace: &mut Pace) -> Result<(), Error> {
        self.input.seek(SeekFrom::Start(FIRST.len() as u64)).map_err(unreadable)?;
        let (mut whole, mut n_bytes) = (Sha256::new(), 0);
        pace.begin("unpacking", self.manifest.database_bytes);
        for (n, piece) in self.manifest.pieces.iter().enumerate() {
            let plain =
                read_piece(&mut self.input, piece).map_err(|why| damaged(&format!("piece {n}: {why}")))?;
            whole.update(&plain);
            n_bytes += plain.len() as u64;
            out.write_all(&plain).map_err(|cause| Error::internal("unpack the backup", cause))?;
            pace.done(plain.len() as u64)?;
        }
        let is_whole = unhex(&self.manifest.database_sha256).is_some_and(|hash| hash == whole.finalize()[..]);
        if !is_whole || n_bytes != self.manifest.database_bytes {
            return Err(damaged("the pieces do not make up the database"));
        }
        Ok(())
    }
}

fn read_piece(input: &mut impl Read, piece: &Piece) -> Result<Vec<u8>, String> {
    if piece.bytes as usize > PIECE_BYTES {
        return Err("cannot be that long".into());
    }
    let mut stored = vec![0; piece.bytes as usize];
    input.read_exact(&mut stored).map_err(|cause| cause.to_string())?;
    if unhex(&piece.sha256).is_none_or(|hash| hash != Sha256::digest(&stored)[..]) {
        return Err("is not as it was written".into());
    }
    if !piece.deflated {
        return Ok(stored);
    }
    decompress_to_vec_with_limit(&stored, PIECE_BYTES).map_err(|_| "does not inflate".into())
}

fn read_at(input: &mut (impl Read + Seek), place: u64, bytes: &mut [u8]) -> Result<(), Error> {
    input.seek(SeekFrom::Start(place)).and_then(|_| input.read_exact(bytes)).map_err(unreadable)
}

fn unreadable(cause: std::io::Error) -> Error {
    Error::internal("read the backup", cause)
}

fn damaged(why: &str) -> Error {
    Error::internal("read the backup", format!("this is no backup, or a damaged one: {why}"))
}
