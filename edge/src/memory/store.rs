//! Objects in a map, with S3's conditions, on whatever clock is passed in.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::store::{Condition, Fetched, Listed, Put, Store, StoreError};

type Objects = BTreeMap<(String, String), Fetched>;
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Cheap to clone; clones share the objects.
#[derive(Clone)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
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

    // Files in proofs are small, and a proof on a virtual clock has no threads to wait for.
    async fn fetch_file(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<&str>,
        to: &Path,
    ) -> Result<Option<u64>, StoreError> {
        let what = || format!("s3://{bucket}/{key}");
        match (self.read(bucket, key), if_match) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(StoreError::Changed { what: what() }),
            (Some(object), Some(etag)) if object.etag != etag => {
                Err(StoreError::Changed { what: what() })
            }
            (Some(object), _) => {
                let size = object.body.len() as u64;
                std::fs::write(to, object.body).map_err(|source| StoreError::File {
                    what: what(),
                    source,
                })?;
                Ok(Some(size))
            }
        }
    }

    async fn put_file(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError> {
        let body = std::fs::read(from).map_err(|source| StoreError::File {
            what: format!("s3://{bucket}/{key}"),
            source,
        })?;
        self.write(bucket, key, &body, &Condition::Always);
        Ok(())
    }
}
