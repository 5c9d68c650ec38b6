//! Objects in a map, with S3's conditions, on whatever clock is passed in.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use crate::store::{Condition, Fetched, Listed, Piece, Put, Span, Store, StoreError, UploadedPart};

type Objects = BTreeMap<(String, String), Fetched>;
/// The parts of each upload that is not completed, by its id.
type Uploads = BTreeMap<String, BTreeMap<u32, Bytes>>;
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Cheap to clone; clones share the objects.
#[derive(Clone)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
    uploads: Arc<Mutex<Uploads>>,
    clock: Clock,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "MemoryStore({} objects)",
            self.with(|objects| objects.len())
        )
    }
}

impl MemoryStore {
    /// An empty one; `clock` stamps what is written.
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            objects: Arc::default(),
            uploads: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    /// Every key of a bucket with its body, for assertions.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.with(|objects| {
            objects
                .keys()
                .filter(|(b, _)| b == bucket)
                .map(|(_, key)| key.clone())
                .collect()
        })
    }

    /// An object, without waiting.
    pub fn read(&self, bucket: &str, key: &str) -> Option<Fetched> {
        self.with(|objects| objects.get(&(bucket.to_owned(), key.to_owned())).cloned())
    }

    /// Removes an object, as a person does, without waiting.
    pub fn remove(&self, bucket: &str, key: &str) {
        self.with(|objects| objects.remove(&(bucket.to_owned(), key.to_owned())));
    }

    /// Writes an object if `condition` allows it, without waiting.
    pub fn write(&self, bucket: &str, key: &str, body: &[u8], condition: &Condition) -> Put {
        let now = (self.clock)();
        self.with(|objects| {
            let place = (bucket.to_owned(), key.to_owned());
            let there = objects.get(&place).map(|object| object.etag.as_str());
            let may = match condition {
                Condition::Absent => there.is_none(),
                Condition::Matches(etag) => there == Some(etag.as_str()),
                Condition::Always => true,
            };
            if !may {
                return Put::Refused;
            }
            let etag = etag_of(body);
            objects.insert(
                place,
                Fetched {
                    body: body.to_owned(),
                    etag: etag.clone(),
                    last_modified: now,
                },
            );
            Put::Written(etag)
        })
    }

    /// Objects by prefix, without waiting.
    pub fn objects_under(&self, bucket: &str, prefix: &str) -> Vec<Listed> {
        let from = (bucket.to_owned(), prefix.to_owned());
        self.with(|objects| {
            objects
                .range(from..)
                .take_while(|((b, key), _)| b == bucket && key.starts_with(prefix))
                .map(|((_, key), object)| Listed {
                    key: key.clone(),
                    size: object.body.len() as u64,
                    etag: object.etag.clone(),
                    last_modified: object.last_modified,
                })
                .collect()
        })
    }

    /// The distinct next path parts under `prefix`, without waiting.
    pub fn folders_under(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let mut folders: Vec<String> = self
            .objects_under(bucket, prefix)
            .iter()
            .filter_map(|object| {
                let (folder, _) = object.key.strip_prefix(prefix)?.split_once('/')?;
                Some(format!("{folder}/"))
            })
            .collect();
        folders.dedup();
        folders
    }

    /// A stretch of an object, without waiting.
    pub fn read_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        let changed = || {
            Err(StoreError::Changed {
                what: format!("s3://{bucket}/{key}"),
            })
        };
        let Some(object) = self.read(bucket, key) else {
            return if_match.map_or(Ok(None), |_| changed());
        };
        if if_match.is_some_and(|etag| etag != object.etag) || object.body.len() as u64 != span.of {
            return changed();
        }
        let bytes = Bytes::from(object.body);
        let until = usize::try_from(span.from + span.length).unwrap_or(usize::MAX);
        let from = usize::try_from(span.from).unwrap_or(usize::MAX);
        if until > bytes.len() || from > until {
            return changed();
        }
        Ok(Some(Piece {
            bytes: bytes.slice(from..until),
            etag: object.etag,
        }))
    }

    /// Begins an upload, without waiting.
    pub fn begin_parts(&self) -> String {
        self.with_uploads(|uploads| {
            let number = uploads.len() + self.with(|objects| objects.len());
            let mut id = format!("upload-{number}");
            while uploads.contains_key(&id) {
                id.push('x');
            }
            uploads.insert(id.clone(), BTreeMap::new());
            id
        })
    }

    /// Takes a part in, without waiting; `what` is for the error.
    pub fn write_part(
        &self,
        what: &str,
        upload: &str,
        number: u32,
        bytes: &Bytes,
        crc32: u32,
    ) -> Result<UploadedPart, StoreError> {
        checked(what, bytes, crc32)?;
        self.with_uploads(|uploads| {
            let parts = uploads.get_mut(upload).ok_or_else(|| no_upload(what))?;
            parts.insert(number, bytes.clone());
            Ok(UploadedPart {
                number,
                size: bytes.len() as u64,
                etag: etag_of(bytes),
                crc32,
            })
        })
    }

    /// The object's bytes, of exactly these parts; the upload is no more, without waiting.
    pub fn take_parts(
        &self,
        what: &str,
        upload: &str,
        parts: &[UploadedPart],
        crc32: u32,
    ) -> Result<Vec<u8>, StoreError> {
        let bytes = self.with_uploads(|uploads| {
            let there = uploads.get(upload).ok_or_else(|| no_upload(what))?;
            let mut bytes = Vec::new();
            for part in parts {
                let part = there.get(&part.number).ok_or_else(|| no_upload(what))?;
                bytes.extend_from_slice(part);
            }
            Ok::<_, StoreError>(bytes)
        })?;
        checked(what, &bytes, crc32)?;
        self.forget_parts(upload);
        Ok(bytes)
    }

    /// Forgets an upload, without waiting.
    pub fn forget_parts(&self, upload: &str) {
        self.with_uploads(|uploads| uploads.remove(upload));
    }

    /// How many uploads are neither completed nor forgotten.
    pub fn n_uploads(&self) -> usize {
        self.with_uploads(|uploads| uploads.len())
    }

    fn with_uploads<T>(&self, act: impl FnOnce(&mut Uploads) -> T) -> T {
        act(&mut self.uploads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Objects) -> T) -> T {
        // A poisoned map is still a map: a panic in another test thread changes nothing here.
        act(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Equal bytes have equal `ETags`, as in S3. Not a digest that anybody may rely on: a proof writes a
/// hundred thousand documents.
fn etag_of(body: &[u8]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(body);
        hasher.finish()
    };
    format!("\"{:016x}{:016x}\"", half(0), half(1))
}

impl Store for MemoryStore {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        Ok(self.read(bucket, key))
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        Ok(self.write(bucket, key, &body, &condition))
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        Ok(self.objects_under(bucket, prefix))
    }

    async fn list_folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.folders_under(bucket, prefix))
    }

    async fn get_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        self.read_span(bucket, key, span, if_match)
    }

    async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<(), StoreError> {
        checked(key, &bytes, crc32)?;
        self.write(bucket, key, &bytes, &Condition::Always);
        Ok(())
    }

    async fn begin_upload(&self, _bucket: &str, _key: &str) -> Result<String, StoreError> {
        Ok(self.begin_parts())
    }

    async fn put_part(
        &self,
        _bucket: &str,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<UploadedPart, StoreError> {
        self.write_part(key, upload, number, &bytes, crc32)
    }

    async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        parts: &[UploadedPart],
        crc32: u32,
    ) -> Result<(), StoreError> {
        let bytes = self.take_parts(key, upload, parts, crc32)?;
        self.write(bucket, key, &bytes, &Condition::Always);
        Ok(())
    }

    async fn abort_upload(
        &self,
        _bucket: &str,
        _key: &str,
        upload: &str,
    ) -> Result<(), StoreError> {
        self.forget_parts(upload);
        Ok(())
    }
}

fn checked(what: &str, bytes: &[u8], crc32: u32) -> Result<(), StoreError> {
    if crc32fast::hash(bytes) == crc32 {
        return Ok(());
    }
    Err(StoreError::Garbled {
        what: what.to_owned(),
    })
}

fn no_upload(what: &str) -> StoreError {
    StoreError::NoUpload {
        what: what.to_owned(),
    }
}
