//! Objects as plain files behind one lock. A put is decided and made visible under that lock, by a rename, so
//! that of any number of racing conditional puts exactly one wins, also across a restart.
//! A file that somebody else puts into the folder is an object like any other.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use md5::{Digest, Md5};

use super::facts::{Attributes, AttributesRecord, Facts, Stamp, etag_of, facts_of, stamp_of};
use crate::folder::{Folder, Staged};
use crate::locked::locked;

/// S3's own limit.
const LONGEST_KEY: usize = 1024;

/// The objects of all buckets.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) folder: Arc<Folder>,
    buckets: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `ETag`s and attributes of files that did not change since.
    known: HashMap<PathBuf, (Stamp, Facts)>,
    /// Counts changes; and the count at each key's last change, to tell a put that overlapped another.
    changes: u64,
    changed: HashMap<PathBuf, u64>,
}

/// On what a put depends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Precondition {
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: <etag>`, in quotes.
    Is(String),
}

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("The specified bucket does not exist")]
    NoSuchBucket,
    #[error("The specified key does not exist.")]
    NoSuchKey,
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed,
    #[error(
        "The conditional request cannot succeed due to a conflicting operation against this resource."
    )]
    Conflict,
    #[error("Your key is too long")]
    KeyTooLong,
    #[error(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )]
    NoSuchUpload,
    #[error(
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
    )]
    InvalidPart,
    #[error(
        "The list of parts was not in ascending order. The parts list must be specified in order by part number."
    )]
    InvalidPartOrder,
    #[error("Your proposed upload is smaller than the minimum allowed size")]
    EntityTooSmall,
    #[error("{0}")]
    InvalidRequest(String),
    #[error(
        "The Content-MD5 or checksum value that you specified did not match what the server received."
    )]
    BadDigest,
    #[error("objects are plain files here, and `{0}` cannot be one")]
    NoFile(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Store {
    pub(crate) fn new(folder: Arc<Folder>, buckets: Vec<String>) -> io::Result<Self> {
        for bucket in &buckets {
            fs::create_dir_all(folder.path("buckets").join(bucket))?;
        }
        Ok(Self {
            folder,
            buckets,
            state: Mutex::default(),
        })
    }

    /// Marks the moment a put arrived. A change of the same key by somebody else between this and the put's
    /// commit is a conflict, as on AWS.
    pub(crate) fn arrival(&self) -> u64 {
        locked(&self.state).changes
    }

    /// Stores an object and answers its `ETag`.
    pub(crate) fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        attributes: &Attributes,
        precondition: &Precondition,
        arrived: u64,
    ) -> Result<String, Refusal> {
        let etag = etag_of(&mut &*bytes)?;
        // Outside the lock: others need not wait for a large object's bytes.
        let staged = self.folder.stage(bytes)?;
        let record = AttributesRecord::of(&etag, attributes);
        self.commit((bucket, key), staged, record, precondition, arrived)
    }

    /// Makes a staged file the object, or leaves all as it was.
    pub(super) fn commit(
        &self,
        (bucket, key): (&str, &str),
        staged: Staged,
        record: AttributesRecord,
        precondition: &Precondition,
        arrived: u64,
    ) -> Result<String, Refusal> {
        let path = self.path(bucket, key)?;
        let mut state = locked(&self.state);
        let present = match self.look(&mut state, bucket, key, &path) {
            Ok(facts) => Some(facts),
            Err(Refusal::NoSuchKey) => None,
            Err(other) => return Err(other),
        };
        let overlapped = state
            .changed
            .get(&path)
            .is_some_and(|changed| *changed > arrived);
        match (precondition, &present) {
            (Precondition::None, _) => {}
            (Precondition::Is(_), None) => return Err(Refusal::NoSuchKey),
            _ if overlapped => return Err(Refusal::Conflict),
            (Precondition::Absent, Some(_)) => return Err(Refusal::PreconditionFailed),
            (Precondition::Is(wanted), Some(facts)) if *wanted != facts.etag => {
                return Err(Refusal::PreconditionFailed);
            }
            _ => {}
        }
        if path.is_dir() {
            return Err(Refusal::NoFile(key.to_owned()));
        }
        let record_path = self.attributes_path(bucket, key);
        if record.is_plain() {
            remove_if_there(&record_path)?;
        } else {
            // Written first: until the object itself is there, the record does not fit and counts for nothing.
            self.folder.write(
                &record_path,
                &serde_json::to_vec(&record).map_err(io::Error::other)?,
            )?;
        }
        staged.place(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::IsADirectory => Refusal::NoFile(key.to_owned()),
            _ => Refusal::Io(error),
        })?;
        state.changes += 1;
        let change = state.changes;
        state.changed.insert(path.clone(), change);
        let etag = record.etag;
        if let Ok(metadata) = fs::metadata(&path) {
            let facts = Facts {
                etag: etag.clone(),
                attributes: record.attributes,
                ..facts_of(&metadata)
            };
            state.known.insert(path, (stamp_of(&metadata), facts));
        }
        Ok(etag)
    }

    /// What is known of an object.
    pub(crate) fn head(&self, bucket: &str, key: &str) -> Result<Facts, Refusal> {
        let path = self.path(bucket, key)?;
        self.look(&mut locked(&self.state), bucket, key, &path)
    }

    /// An object's facts and the bytes of `range(size)`, of one and the same content.
    pub(crate) fn get(
        &self,
        bucket: &str,
        key: &str,
        range: impl FnOnce(&Facts) -> Option<(u64, u64)>,
    ) -> Result<(Facts, Option<Vec<u8>>), Refusal> {
        let path = self.path(bucket, key)?;
        let (facts, mut file) = {
            let mut state = locked(&self.state);
            let facts = self.look(&mut state, bucket, key, &path)?;
            // The open file keeps this content whatever is renamed over its name.
            (facts, File::open(&path)?)
        };
        let Some((start, length)) = range(&facts) else {
            return Ok((facts, None));
        };
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
        file.take(length).read_to_end(&mut bytes)?;
        Ok((facts, Some(bytes)))
    }

    /// Removes an object; absent ones too.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> Result<(), Refusal> {
        let path = self.path(bucket, key)?;
        let mut state = locked(&self.state);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::IsADirectory
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        remove_if_there(&self.attributes_path(bucket, key))?;
        state.known.remove(&path);
        state.changes += 1;
        let change = state.changes;
        state.changed.insert(path.clone(), change);
        // S3 has no folders: an empty one would stand in the way of an object of its name.
        let root = self.folder.path("buckets").join(bucket);
        let mut parent = path.parent();
        while let Some(folder) = parent.filter(|folder| *folder != root) {
            if fs::remove_dir(folder).is_err() {
                break; // It holds other objects.
            }
            parent = folder.parent();
        }
        Ok(())
    }

    /// All objects whose key begins with `prefix` and comes after `after`, in S3's order (bytes of the key).
    pub(crate) fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
    ) -> Result<Vec<String>, Refusal> {
        let root = self.bucket(bucket)?;
        // Only the deepest folder that the prefix names whole has to be walked.
        let (folder, _) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let start = if folder.split('/').any(|part| part == "..") {
            root.clone()
        } else {
            root.join(folder)
        };
        let mut keys = Vec::new();
        let _held = locked(&self.state);
        walk(&start, &root, &mut keys)?;
        keys.retain(|key| key.starts_with(prefix) && key.as_str() > after);
        keys.sort_unstable();
        Ok(keys)
    }

    fn bucket(&self, bucket: &str) -> Result<PathBuf, Refusal> {
        if self.buckets.iter().any(|known| known == bucket) {
            return Ok(self.folder.path("buckets").join(bucket));
        }
        Err(Refusal::NoSuchBucket)
    }

    pub(super) fn path(&self, bucket: &str, key: &str) -> Result<PathBuf, Refusal> {
        let root = self.bucket(bucket)?;
        if key.len() > LONGEST_KEY {
            return Err(Refusal::KeyTooLong);
        }
        let is_name = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && !part.contains('\0')
                && part.len() <= 255
        };
        if !key.split('/').all(is_name) {
            return Err(Refusal::NoFile(key.to_owned()));
        }
        Ok(root.join(key))
    }

    fn attributes_path(&self, bucket: &str, key: &str) -> PathBuf {
        // Hashed: an attribute file must not collide with the folders of longer keys.
        let name = hex::encode(Md5::digest(key.as_bytes()));
        self.folder.path("attributes").join(bucket).join(name)
    }

    fn look(
        &self,
        state: &mut State,
        bucket: &str,
        key: &str,
        path: &Path,
    ) -> Result<Facts, Refusal> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Err(Refusal::NoSuchKey),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(Refusal::NoSuchKey);
            }
            Err(error) => return Err(error.into()),
        };
        let stamp = stamp_of(&metadata);
        if let Some((known, facts)) = state.known.get(path)
            && *known == stamp
        {
            return Ok(facts.clone());
        }
        let record = match fs::read(self.attributes_path(bucket, key)) {
            Ok(bytes) => serde_json::from_slice::<AttributesRecord>(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let (etag, attributes) = match record {
            Some(record) if record.file == Some(stamp) => (record.etag, record.attributes),
            other => {
                let etag = etag_of(&mut File::open(path)?)?;
                let fits = |record: &AttributesRecord| record.file.is_none() && record.etag == etag;
                let attributes = other.filter(fits).map(|record| record.attributes);
                (etag, attributes.unwrap_or_default())
            }
        };
        let facts = Facts {
            etag,
            attributes,
            ..facts_of(&metadata)
        };
        state.known.insert(path.to_owned(), (stamp, facts.clone()));
        Ok(facts)
    }
}

fn walk(folder: &Path, root: &Path, keys: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path.is_dir() {
            walk(&path, root, keys)?;
        } else if let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            keys.push(key.to_owned());
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
