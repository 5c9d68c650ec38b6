//! A file on its way up: read once, sent in parts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::SemaphorePermit;

use super::buffers::Buffers;
use super::local::{Stamp, aside};
use super::spans::spans;
use super::under_way::UnderWay;
use super::{Transfer, local, lock};
use crate::patience::patiently;
use crate::store::{Span, Store, StoreError, UploadedPart};
use crate::world::World;

/// How often a file is sent from the start when it moves under our hands, or its upload is gone.
const TRIES: usize = 3;

/// A file that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// In bytes.
    pub size: u64,
    /// Lowercase hexadecimal.
    pub sha256: String,
    /// Of each part in order, as [`spans`] cuts the file.
    pub crc32: Vec<u32>,
}

/// Bytes that were read and have their place in the room.
struct Part<'r> {
    number: u32,
    bytes: Bytes,
    crc32: u32,
    _room: SemaphorePermit<'r>,
}

/// The one pass over a file.
struct Reading {
    file: Arc<File>,
    digest: Sha256,
    crc32: Vec<u32>,
}

impl Reading {
    async fn next(&mut self, span: Span, buffers: &Buffers) -> io::Result<(Bytes, u32)> {
        let file = Arc::clone(&self.file);
        let mut digest = std::mem::take(&mut self.digest);
        let length = usize::try_from(span.length).map_err(io::Error::other)?;
        let mut buffer = buffers.take(length);
        let work = move || {
            file.read_exact_at(buffer.as_mut(), span.from)?;
            digest.update(&buffer);
            let crc32 = crc32fast::hash(buffer.as_ref());
            Ok((digest, Bytes::from_owner(buffer), crc32))
        };
        let (digest, bytes, crc32) = aside(span.length, work).await?;
        self.digest = digest;
        self.crc32.push(crc32);
        Ok((bytes, crc32))
    }

    fn sent(self, size: u64) -> Sent {
        Sent {
            size,
            sha256: hex::encode(self.digest.finalize()),
            crc32: self.crc32,
        }
    }
}

impl<S: Store, W: World> Transfer<'_, S, W> {
    /// Sends a file, whatever is there under its key, and answers what it was. The same file sent to the
    /// same key once more costs nothing; of an upload that broke off the missing parts are sent. A part is
    /// repeated for as long as `patience`. [`StoreError::Moving`]: it was written to all the time.
    pub async fn send(
        &self,
        patience: Duration,
        (bucket, key): (&str, &str),
        from: &Path,
    ) -> Result<Sent, StoreError> {
        let mut tries = 1;
        loop {
            let sent = self.send_once(patience, (bucket, key), from).await;
            let again = match sent {
                Err(again @ (StoreError::Moving { .. } | StoreError::NoUpload { .. })) => again,
                other => return other,
            };
            // The parts that are there are another content's, or nowhere.
            let half = lock(&self.journal).take_half(bucket, key);
            if let (Some(upload), StoreError::Moving { .. }) = (half, &again) {
                self.forget(bucket, key, &upload).await;
            }
            if tries == TRIES {
                return Err(again);
            }
            tries += 1;
        }
    }

    /// Sends bytes that are no file, whatever is there under the key.
    pub async fn send_bytes(
        &self,
        patience: Duration,
        (bucket, key): (&str, &str),
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        let _room = self.room.take(bytes.len() as u64).await;
        let crc32 = crc32fast::hash(&bytes);
        let put = || self.store.put_bytes(bucket, key, bytes.clone(), crc32);
        patiently(self.world, patience, put).await
    }

    async fn send_once(
        &self,
        patience: Duration,
        (bucket, key): (&str, &str),
        from: &Path,
    ) -> Result<Sent, StoreError> {
        let failed = |source| failed((bucket, key), from, source);
        let file = Arc::new(File::open(from).map_err(failed)?);
        let stamp = Stamp::of(&file).map_err(failed)?;
        let known = lock(&self.journal).done(bucket, key, stamp);
        if let Some(sent) = known {
            self.count(sent.size);
            return Ok(sent);
        }
        let mut reading = Reading {
            file: Arc::clone(&file),
            digest: Sha256::new(),
            crc32: Vec::new(),
        };
        let still = || match Stamp::of(&file) {
            Ok(now) if now == stamp => Ok(()),
            Ok(_) => Err(StoreError::Moving {
                path: from.to_owned(),
            }),
            Err(source) => Err(failed(source)),
        };
        let parts = spans(stamp.size, self.part);
        if let [whole] = parts.as_slice() {
            let _room = self.room.take(whole.length).await;
            let (bytes, crc32) = reading.next(*whole, &self.buffers).await.map_err(failed)?;
            still()?;
            let put = || self.store.put_bytes(bucket, key, bytes.clone(), crc32);
            patiently(self.world, patience, put).await?;
            self.count(whole.length);
        } else {
            let upload = self.upload(patience, (bucket, key), stamp).await?;
            let uploaded = self
                .send_parts(
                    patience,
                    (bucket, key, &upload),
                    (&mut reading, from),
                    &parts,
                )
                .await?;
            still()?;
            let crc32 = crc32_of_all(&uploaded);
            let complete = || {
                self.store
                    .complete_upload(bucket, key, &upload, &uploaded, crc32)
            };
            patiently(self.world, patience, complete).await?;
        }
        let sent = reading.sent(stamp.size);
        lock(&self.journal).finish(bucket, key, stamp, sent.clone());
        Ok(sent)
    }

    /// The upload that broke off, if the file is still the same; else a new one.
    async fn upload(
        &self,
        patience: Duration,
        (bucket, key): (&str, &str),
        stamp: Stamp,
    ) -> Result<String, StoreError> {
        let half = lock(&self.journal).half(bucket, key).cloned();
        if let Some(half) = half {
            if half.stamp == stamp {
                return Ok(half.upload);
            }
            lock(&self.journal).take_half(bucket, key);
            self.forget(bucket, key, &half.upload).await;
        }
        let begin = || self.store.begin_upload(bucket, key);
        let upload = patiently(self.world, patience, begin).await?;
        lock(&self.journal).begin(bucket, key, stamp, upload.clone());
        Ok(upload)
    }

    /// Reads the parts in order and sends them side by side; answers them in order.
    async fn send_parts(
        &self,
        patience: Duration,
        (bucket, key, upload): (&str, &str, &str),
        (reading, from): (&mut Reading, &Path),
        parts: &[Span],
    ) -> Result<Vec<UploadedPart>, StoreError> {
        let mut under_way = UnderWay::none();
        for (span, number) in parts.iter().zip(1..) {
            let room = under_way.beside(self.room.take(span.length)).await?;
            let read = under_way.beside(reading.next(*span, &self.buffers)).await?;
            let (bytes, crc32) = read.map_err(|source| failed((bucket, key), from, source))?;
            let part = Part {
                number,
                bytes,
                crc32,
                _room: room,
            };
            under_way.add(Box::pin(self.send_part(
                patience,
                (bucket, key, upload),
                part,
            )));
        }
        let mut uploaded = under_way.all().await?;
        uploaded.sort_by_key(|part| part.number);
        Ok(uploaded)
    }

    async fn send_part(
        &self,
        patience: Duration,
        (bucket, key, upload): (&str, &str, &str),
        part: Part<'_>,
    ) -> Result<UploadedPart, StoreError> {
        let size = part.bytes.len() as u64;
        let there = lock(&self.journal)
            .half(bucket, key)
            .and_then(|half| half.parts.get(&part.number).cloned())
            .filter(|there| (there.size, there.crc32) == (size, part.crc32));
        let uploaded = if let Some(there) = there {
            there
        } else {
            let put = || {
                let bytes = part.bytes.clone();
                self.store
                    .put_part(bucket, key, upload, part.number, bytes, part.crc32)
            };
            patiently(self.world, patience, put).await?
        };
        lock(&self.journal).part(bucket, key, uploaded.clone());
        self.count(size);
        Ok(uploaded)
    }
}

/// What is wrong with the file.
fn failed((bucket, key): (&str, &str), from: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::Moving {
            path: from.to_owned(),
        },
        _ => local(|| format!("s3://{bucket}/{key}"), source),
    }
}

/// Of all bytes, out of the parts'.
fn crc32_of_all(parts: &[UploadedPart]) -> u32 {
    let mut all = crc32fast::Hasher::new();
    for part in parts {
        all.combine(&crc32fast::Hasher::new_with_initial_len(
            part.crc32, part.size,
        ));
    }
    all.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_checksums_make_the_wholes() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let parts: Vec<_> = bytes
            .chunks(300)
            .zip(1..)
            .map(|(chunk, number)| UploadedPart {
                number,
                size: chunk.len() as u64,
                etag: String::new(),
                crc32: crc32fast::hash(chunk),
            })
            .collect();

        assert_eq!(crc32_of_all(&parts), crc32fast::hash(&bytes));
    }
}
