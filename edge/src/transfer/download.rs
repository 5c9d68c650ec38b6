//! An object on its way down: ranged reads side by side into a file that gets its name when it is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::local::{Half, aside, digest_span};
use super::spans::spans;
use super::under_way::UnderWay;
use super::{Transfer, local};
use crate::patience::patiently;
use crate::refused::Refused;
use crate::store::{Piece, Span, Store, StoreError};
use crate::world::World;

/// How often bytes are read that are not what the manifest says. More would not make a torn set whole.
const TRIES: usize = 2;

/// An object that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// Where it lies.
    pub bucket: &'w str,
    /// Its key there.
    pub key: &'w str,
    /// In bytes, as it was pinned or as its manifest says.
    pub size: u64,
    /// The version that was pinned.
    pub if_match: Option<&'w str>,
    /// What its manifest says of the bytes, in lowercase hexadecimal.
    pub sha256: Option<&'w str>,
    /// Of each part, if the manifest says so: tells which part to read again.
    pub crc32: &'w [u32],
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// The file is there, as it was wanted.
    Whole,
    /// There is no such object.
    Absent,
    /// There is one of another version, size or content.
    Other,
}

impl<S: Store, W: World> Transfer<'_, S, W> {
    /// Fetches an object into the file `to`, which is there only if all of it has arrived as wanted. A part is
    /// repeated for as long as `patience`, and goes on at its own bytes of the same version.
    pub async fn fetch(
        &self,
        patience: Duration,
        wanted: &Wanted<'_>,
        to: &Path,
    ) -> Result<Arrived, StoreError> {
        let mut tries = 1;
        loop {
            let arrived = match self.fetch_once(patience, wanted, to).await {
                Err(StoreError::Changed { .. }) => return Ok(Arrived::Other),
                Err(StoreError::Refused(refused)) => {
                    return Err(StoreError::Refused(Refused {
                        is_pinned: wanted.if_match.is_some(),
                        ..refused
                    }));
                }
                other => other?,
            };
            if arrived != Arrived::Other || tries == TRIES {
                return Ok(arrived);
            }
            tries += 1;
        }
    }

    async fn fetch_once(
        &self,
        patience: Duration,
        wanted: &Wanted<'_>,
        to: &Path,
    ) -> Result<Arrived, StoreError> {
        let half = Half::of(to);
        let spans = spans(wanted.size, self.part);
        let Some((first, others)) = spans.split_first() else {
            unreachable!("there is always one part");
        };
        let cut_as_here = wanted.crc32.len() == spans.len();
        let arriving = Arriving {
            wanted,
            crc32: if cut_as_here { wanted.crc32 } else { &[] },
            to,
        };
        let room = self.room.take(first.length).await;
        let Some(piece) = self
            .part(patience, &arriving, 0, *first, wanted.if_match)
            .await?
        else {
            return Ok(Arrived::Absent);
        };
        if others.is_empty() {
            let is_it = arriving.put_whole(&half, piece).await?;
            drop(room);
            return if is_it {
                half.finish().map_err(|source| arriving.failed(source))?;
                Ok(Arrived::Whole)
            } else {
                Ok(Arrived::Other)
            };
        }
        let file = Arc::new(half.create().map_err(|source| arriving.failed(source))?);
        let etag = piece.etag.clone();
        let (tell, told) = unbounded_channel();
        let read = async {
            // Ends with the reading, and the digest with it.
            let tell = tell;
            arriving.write(&file, *first, piece, &tell).await?;
            drop(room);
            let mut under_way = UnderWay::none();
            for (span, n) in others.iter().zip(1..) {
                let room = under_way.beside(self.room.take(span.length)).await?;
                let (arriving, file, etag, tell) = (&arriving, &file, etag.as_str(), &tell);
                under_way.add(Box::pin(async move {
                    let _room = room;
                    match self.part(patience, arriving, n, *span, Some(etag)).await? {
                        Some(piece) => arriving.write(file, *span, piece, tell).await,
                        None => Err(arriving.changed()),
                    }
                }));
            }
            under_way.all().await
        };
        let (read, digest) = tokio::join!(read, arriving.digest(&file, told));
        read?;
        if digest?.as_deref() != wanted.sha256 {
            return Ok(Arrived::Other);
        }
        half.finish().map_err(|source| arriving.failed(source))?;
        Ok(Arrived::Whole)
    }

    /// A part as its manifest has it; one that is not is [`StoreError::Garbled`] and read again.
    async fn part(
        &self,
        patience: Duration,
        arriving: &Arriving<'_>,
        n: usize,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        let wanted = arriving.wanted;
        let crc32 = arriving.crc32.get(n).copied();
        let mut garbled = 0;
        loop {
            let get = || {
                self.store
                    .get_span(wanted.bucket, wanted.key, span, if_match)
            };
            let piece = patiently(self.world, patience, get).await?;
            let is_garbled =
                |piece: &Piece| crc32.is_some_and(|crc32| crc32 != crc32fast::hash(&piece.bytes));
            if !piece.as_ref().is_some_and(is_garbled) {
                self.count(piece.as_ref().map_or(0, |_| span.length));
                return Ok(piece);
            }
            garbled += 1;
            if garbled == TRIES {
                return Err(arriving.changed());
            }
        }
    }
}

struct Arriving<'w> {
    wanted: &'w Wanted<'w>,
    /// Of each part; none if another version of us cut the file, which then has its SHA-256 alone.
    crc32: &'w [u32],
    to: &'w Path,
}

impl Arriving<'_> {
    fn failed(&self, source: io::Error) -> StoreError {
        let wanted = self.wanted;
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull {
                path: self.to.to_owned(),
                size: wanted.size,
            },
            _ => local(|| format!("s3://{}/{}", wanted.bucket, wanted.key), source),
        }
    }

    fn changed(&self) -> StoreError {
        StoreError::Changed {
            what: format!("s3://{}/{}", self.wanted.bucket, self.wanted.key),
        }
    }

    /// A small object; `false`: its content is not the one that is wanted.
    async fn put_whole(&self, half: &Half, piece: Piece) -> Result<bool, StoreError> {
        let sha256 = self.wanted.sha256.map(str::to_owned);
        let file = half.create().map_err(|source| self.failed(source))?;
        let work = move || {
            if sha256.is_some_and(|sha256| sha256 != hex::encode(Sha256::digest(&piece.bytes))) {
                return Ok(false);
            }
            file.write_all_at(&piece.bytes, 0)?;
            Ok(true)
        };
        aside(self.wanted.size, work)
            .await
            .map_err(|source| self.failed(source))
    }

    async fn write(
        &self,
        file: &Arc<File>,
        span: Span,
        piece: Piece,
        tell: &UnboundedSender<Span>,
    ) -> Result<(), StoreError> {
        let file = Arc::clone(file);
        let work = move || file.write_all_at(&piece.bytes, span.from);
        aside(span.length, work)
            .await
            .map_err(|source| self.failed(source))?;
        // Nobody listens any more when the digest failed; that is answered instead.
        let _ = tell.send(span);
        Ok(())
    }

    /// Follows the parts as they come to lie without a gap; what was just written is still in memory. `None` if no
    /// digest is wanted or not all parts came.
    async fn digest(
        &self,
        file: &Arc<File>,
        mut told: UnboundedReceiver<Span>,
    ) -> Result<Option<String>, StoreError> {
        let mut digest = Sha256::new();
        let (mut done, mut waiting) = (0, Vec::new());
        while let Some(span) = told.recv().await {
            if self.wanted.sha256.is_none() {
                continue;
            }
            waiting.push(span);
            while let Ok(more) = told.try_recv() {
                waiting.push(more);
            }
            waiting.sort_by_key(|span: &Span| std::cmp::Reverse(span.from));
            let mut until = done;
            while let Some(next) = waiting.pop_if(|span| span.from == until) {
                until += next.length;
            }
            if until > done {
                let (file, span) = (Arc::clone(file), (done, until));
                let work = move || {
                    digest_span(&file, span, &mut digest)?;
                    Ok(digest)
                };
                digest = aside(until - done, work)
                    .await
                    .map_err(|source| self.failed(source))?;
                done = until;
            }
        }
        let is_whole = done == self.wanted.size && self.wanted.sha256.is_some();
        Ok(is_whole.then(|| hex::encode(digest.finalize())))
    }
}
