//! Where backups are put: a folder, or an S3-compatible bucket. A file appears there under its name once it is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::name;
use super::s3::Bucket;
use super::scratch;
use crate::config::backup::S3Settings;
use crate::error::Error;
use crate::pace::Pace;

/// A folder or a bucket.
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A bucket, with a prefix.
    Bucket(Box<Bucket>),
}

/// A place, and the name of a file there if one was given.
pub struct Target {
    /// Where.
    pub place: Place,
    /// Under which name; none leaves that to us, or means all that are there.
    pub name: Option<String>,
}

/// A backup that is in a place.
pub struct Listed {
    /// Its name.
    pub name: String,
    /// How large it is.
    pub n_bytes: u64,
}

impl Target {
    /// `DIR`, `FILE.backup`, `s3://bucket/prefix` or `s3://bucket/prefix/FILE.backup`.
    pub fn parse(text: &str, settings: &S3Settings) -> Result<Target, Error> {
        if text.starts_with("s3://") {
            let (bucket, name) = Bucket::parse(text, settings)?;
            return Ok(Target { place: Place::Bucket(Box::new(bucket)), name });
        }
        let path = Path::new(text);
        let is_file = !path.is_dir() && (path.is_file() || text.ends_with(name::SUFFIX));
        let name = path.file_name().and_then(|name| name.to_str()).filter(|_| is_file).map(String::from);
        let folder = match (&name, path.parent()) {
            (Some(_), Some(parent)) if !parent.as_os_str().is_empty() => parent,
            (Some(_), _) => Path::new("."),
            (None, _) => path,
        };
        Ok(Target { place: Place::Folder(folder.to_path_buf()), name })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Folder(folder) => {
                let full = std::path::absolute(folder).unwrap_or(folder.clone());
                // One spelling for one place, without a slash at the end.
                write!(f, "{}", full.components().collect::<PathBuf>().display())
            }
            Place::Bucket(bucket) => write!(f, "{bucket}"),
        }
    }
}

impl Place {
    /// Where a file is written before it gets its name: in the folder itself, or in `scratch`.
    pub fn staging(&self, name: &str, scratch: &Path) -> Result<PathBuf, Error> {
        match self {
            Place::Bucket(_) => Ok(scratch.join(name)),
            Place::Folder(folder) => {
                fs::create_dir_all(folder)
                    .map_err(|cause| Error::internal(format!("make {}", folder.display()), cause))?;
                Ok(part_in(folder, name))
            }
        }
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> Result<bool, Error> {
        match self {
            Place::Bucket(bucket) => bucket.has(name),
            Place::Folder(folder) => Ok(folder.join(name).exists()),
        }
    }

    /// Gives a whole file, that is on disk in its staging place, its name. Errors: there is one of that name.
    pub fn put(&self, name: &str, staged: &Path) -> Result<(), Error> {
        match self {
            Place::Bucket(bucket) => bucket.put(name, staged),
            Place::Folder(folder) => {
                let path = folder.join(name);
                let failed = |cause| Error::internal(format!("write {}", path.display()), cause);
                // A link, unlike a rename, never takes the place of another file.
                match fs::hard_link(staged, &path) {
                    Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {
                        return Err(Error::Conflict(format!("{} exists already", path.display())));
                    }
                    // A file system without links; our own names are never used twice.
                    Err(_) => fs::rename(staged, &path).map_err(failed)?,
                    Ok(()) => fs::remove_file(staged).map_err(failed)?,
                }
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
            }
        }
    }

    /// A local file with the content of a backup: itself, or a copy in `scratch`.
    pub fn fetch(&self, name: &str, scratch: &Path) -> Result<PathBuf, Error> {
        match self {
            Place::Folder(folder) => Ok(folder.join(name)),
            Place::Bucket(bucket) => {
                let path = scratch.join("fetched");
                bucket.get(name, &path)?;
                Ok(path)
            }
        }
    }

    /// The backups that have names of ours, newest first.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut found = match self {
            Place::Bucket(bucket) => {
                bucket.list()?.into_iter().map(|(name, n_bytes)| Listed { name, n_bytes }).collect()
            }
            Place::Folder(folder) => list_folder(folder)?,
        };
        found.retain(|listed| name::time_of(&listed.name).is_some());
        found.sort_by(|a, b| b.name.cmp(&a.name));
        Ok(found)
    }

    /// Deletes a backup.
    pub fn delete(&self, name: &str, pace: &mut Pace) -> Result<(), Error> {
        match self {
            Place::Bucket(bucket) => bucket.delete(name),
            Place::Folder(folder) => scratch::remove(&folder.join(name), pace)
                .map_err(|cause| Error::internal(format!("delete {name}"), cause)),
        }
    }
}

/// What a file is called before it is whole.
fn part_in(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.part"))
}

/// Removes what a crash has left of a file in a folder; of one for a bucket, the parts were in the scratch folder.
pub fn remove_part(place: &str, name: &str) {
    let part = part_in(Path::new(place), name);
    match fs::remove_file(&part) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            log::warn!("could not remove {}: {cause}", part.display());
        }
        _ => {}
    }
}

fn list_folder(folder: &Path) -> Result<Vec<Listed>, Error> {
    let failed = |cause| Error::internal(format!("list {}", folder.display()), cause);
    let entries = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let files = entries.map(|entry| {
        let entry = entry.map_err(failed)?;
        let n_bytes = entry.metadata().map_err(failed)?.len();
        Ok(Listed { name: entry.file_name().to_string_lossy().into_owned(), n_bytes })
    });
    files.collect()
}
