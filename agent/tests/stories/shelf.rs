//! A store in memory that can be made to fail.

use std::collections::BTreeMap;
use std::io::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use trainspot_edge::Store;
use trainspot_edge::store::{
    Condition, Fetched, Listed, Piece, Put, Span, StoreError, UploadedPart,
};

/// What goes wrong with every key that holds the text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Unreachable(&'static str),
    Denied(&'static str),
    /// No answer, until the fault is another one.
    Silent(&'static str),
}

#[derive(Debug, Default)]
struct Inside {
    objects: BTreeMap<String, Fetched>,
    /// The parts of uploads that are not completed, by their ids.
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    /// How often bytes were sent: whole objects and parts.
    sent: Vec<String>,
    /// How often bytes were read: whole files and stretches of them.
    read: Vec<String>,
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

    /// The keys that bytes were sent to, each part and each small object once.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap().sent.clone()
    }

    /// The keys that bytes of files were read from since the last time.
    pub(crate) fn take_read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().read)
    }

    pub(crate) fn n_uploads(&self) -> usize {
        self.0.lock().unwrap().uploads.len()
    }

    pub(crate) fn span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        self.0.lock().unwrap().read.push(key.to_owned());
        let found = self.read(bucket, key);
        let is_other = |etag: &str| found.as_ref().is_none_or(|object| object.etag != etag);
        let changed = || StoreError::Changed {
            what: address(bucket, key),
        };
        if if_match.is_some_and(is_other) {
            return Err(changed());
        }
        let Some(object) = found else { return Ok(None) };
        if object.body.len() as u64 != span.of {
            return Err(changed());
        }
        let from = usize::try_from(span.from).unwrap();
        let until = from + usize::try_from(span.length).unwrap();
        Ok(Some(Piece {
            bytes: Bytes::from(object.body).slice(from..until),
            etag: object.etag,
        }))
    }

    pub(crate) fn begin(&self) -> String {
        let mut inside = self.0.lock().unwrap();
        inside.writes += 1;
        let id = format!("upload-{}", inside.writes);
        inside.uploads.insert(id.clone(), BTreeMap::new());
        id
    }

    pub(crate) fn part(&self, key: &str, upload: &str, number: u32, bytes: Bytes) -> bool {
        let mut inside = self.0.lock().unwrap();
        inside.sent.push(key.to_owned());
        let parts = inside.uploads.get_mut(upload);
        parts.is_some_and(|parts| {
            parts.insert(number, bytes);
            true
        })
    }

    pub(crate) fn complete(&self, bucket: &str, key: &str, upload: &str) -> bool {
        let parts = self.0.lock().unwrap().uploads.remove(upload);
        parts.is_some_and(|parts| {
            let body = parts.into_values().collect::<Vec<_>>().concat();
            self.write(bucket, key, body, &Condition::Always);
            true
        })
    }

    pub(crate) fn forget(&self, upload: &str) {
        self.0.lock().unwrap().uploads.remove(upload);
    }

    fn fault(&self, key: &str) -> Option<Fault> {
        let fault = self.0.lock().unwrap().fault?;
        let (Fault::Unreachable(text) | Fault::Denied(text) | Fault::Silent(text)) = fault;
        key.contains(text).then_some(fault)
    }

    pub(crate) async fn check(&self, key: &str) -> Result<(), StoreError> {
        loop {
            match self.fault(key) {
                Some(Fault::Unreachable(_)) => {
                    return Err(StoreError::Unreachable {
                        what: key.to_owned(),
                        source: Error::other("connection refused").into(),
                    });
                }
                Some(Fault::Denied(_)) => {
                    return Err(StoreError::Denied {
                        what: key.to_owned(),
                    });
                }
                Some(Fault::Silent(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                None => return Ok(()),
            }
        }
    }
}

impl Store for Shelf {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        self.check(key).await?;
        Ok(self.read(bucket, key))
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        self.check(key).await?;
        Ok(self.write(bucket, key, body, &condition))
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.check(prefix).await?;
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

    async fn get_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        self.check(key).await?;
        self.span(bucket, key, span, if_match)
    }

    async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<(), StoreError> {
        self.check(key).await?;
        assert_eq!(crc32fast::hash(&bytes), crc32, "{key}");
        self.0.lock().unwrap().sent.push(key.to_owned());
        self.write(bucket, key, bytes.to_vec(), &Condition::Always);
        Ok(())
    }

    async fn begin_upload(&self, _: &str, key: &str) -> Result<String, StoreError> {
        self.check(key).await?;
        Ok(self.begin())
    }

    async fn put_part(
        &self,
        _: &str,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<UploadedPart, StoreError> {
        self.check(&format!("{key} part {number}")).await?;
        assert_eq!(crc32fast::hash(&bytes), crc32, "{key}");
        let size = bytes.len() as u64;
        if !self.part(key, upload, number, bytes) {
            return Err(no_upload(key));
        }
        Ok(UploadedPart {
            number,
            size,
            etag: format!("\"{number}\""),
            crc32,
        })
    }

    async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        _: &[UploadedPart],
        _: u32,
    ) -> Result<(), StoreError> {
        self.check(key).await?;
        if self.complete(bucket, key, upload) {
            Ok(())
        } else {
            Err(no_upload(key))
        }
    }

    async fn abort_upload(&self, _: &str, key: &str, upload: &str) -> Result<(), StoreError> {
        self.check(key).await?;
        self.forget(upload);
        Ok(())
    }
}

fn no_upload(key: &str) -> StoreError {
    StoreError::NoUpload {
        what: key.to_owned(),
    }
}
