//! A store in memory that can be made to fail.

use std::collections::BTreeMap;
use std::io::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use trainspot_edge::Store;
use trainspot_edge::store::{Condition, Fetched, Listed, Put, StoreError};

/// What goes wrong with every key that holds the text.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Unreachable(&'static str),
    Denied(&'static str),
}

#[derive(Debug, Default)]
struct Inside {
    objects: BTreeMap<String, Fetched>,
    fault: Option<Fault>,
    writes: u64,
}

/// The store; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Inside>>);

fn address(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

impl Shelf {
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    pub(crate) fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let inside = self.0.lock().unwrap();
        let prefix = address(bucket, prefix);
        let keys = inside.objects.keys().filter(|key| key.starts_with(&prefix));
        keys.map(|key| key[bucket.len() + 1..].to_owned()).collect()
    }

    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        self.0
            .lock()
            .unwrap()
            .objects
            .remove(&address(bucket, key))
            .unwrap();
    }

    pub(crate) fn read(&self, bucket: &str, key: &str) -> Option<Fetched> {
        self.0
            .lock()
            .unwrap()
            .objects
            .get(&address(bucket, key))
            .cloned()
    }

    pub(crate) fn write(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: &Condition,
    ) -> Put {
        let mut inside = self.0.lock().unwrap();
        let there = inside
            .objects
            .get(&address(bucket, key))
            .map(|object| object.etag.clone());
        let may = match condition {
            Condition::Absent => there.is_none(),
            Condition::Matches(etag) => there.as_ref() == Some(etag),
            Condition::Always => true,
        };
        if !may {
            return Put::Refused;
        }
        inside.writes += 1;
        let etag = format!("\"{:032x}\"", inside.writes);
        let object = Fetched {
            body,
            etag: etag.clone(),
            last_modified: Timestamp::now(),
        };
        inside.objects.insert(address(bucket, key), object);
        Put::Written(etag)
    }

    fn check(&self, key: &str) -> Result<(), StoreError> {
        match &self.0.lock().unwrap().fault {
            Some(Fault::Unreachable(text)) if key.contains(text) => Err(StoreError::Unreachable {
                what: key.to_owned(),
                source: Error::other("connection refused").into(),
            }),
            Some(Fault::Denied(text)) if key.contains(text) => Err(StoreError::Denied {
                what: key.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl Store for Shelf {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        self.check(key)?;
        Ok(self.read(bucket, key))
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        self.check(key)?;
        Ok(self.write(bucket, key, body, &condition))
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.check(prefix)?;
        let listed = self.keys(bucket, prefix).into_iter().filter_map(|key| {
            let object = self.read(bucket, &key)?;
            let size = object.body.len() as u64;
            Some(Listed {
                key,
                size,
                etag: object.etag,
                last_modified: object.last_modified,
            })
        });
        Ok(listed.collect())
    }

    async fn list_folders(&self, _: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        Err(StoreError::Denied {
            what: format!("the agent lists no folders: {prefix}"),
        })
    }

    async fn fetch_file(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<&str>,
        to: &Path,
    ) -> Result<Option<u64>, StoreError> {
        self.check(key)?;
        let found = self.read(bucket, key);
        let is_other = |etag: &str| found.as_ref().is_none_or(|object| object.etag != etag);
        if if_match.is_some_and(is_other) {
            return Err(StoreError::Changed {
                what: address(bucket, key),
            });
        }
        let Some(object) = found else { return Ok(None) };
        let size = object.body.len() as u64;
        tokio::fs::write(to, object.body)
            .await
            .map_err(|source| StoreError::File {
                what: key.to_owned(),
                source,
            })?;
        Ok(Some(size))
    }

    async fn put_file(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError> {
        self.check(key)?;
        let body = tokio::fs::read(from)
            .await
            .map_err(|source| StoreError::File {
                what: key.to_owned(),
                source,
            })?;
        self.write(bucket, key, body, &Condition::Always);
        Ok(())
    }
}
