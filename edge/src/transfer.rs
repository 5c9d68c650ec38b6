//! Files on their way to the store and back, in parts.
//!
//! A file of at most two parts is one request. A larger one goes up as an upload in parts and comes down as
//! ranged reads of one and the same version; what breaks off is a part, and only that part is repeated.
//! A file is read once on its way up: its SHA-256 for the manifest and each part's CRC32 for the wire come of
//! the same pass. All bytes that are held for requests are counted against one [`Room`], so that memory is
//! bounded however many files and connections there are.
//!
//! [`Transfer`] remembers what it has sent, by key and by the file's stamp: what is sent again unchanged costs
//! no request, and of an upload that broke off only the missing parts are sent.

mod buffers;
mod download;
mod journal;
mod local;
mod room;
mod spans;
mod tally;
mod under_way;
mod upload;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use download::{Arrived, Wanted};
pub(crate) use room::MOST_REQUESTS;
pub use room::{MOST_IN_FLIGHT, Room};
pub use spans::{PART, spans};
pub use upload::Sent;

use crate::store::{Store, StoreError};
use crate::world::World;
use buffers::Buffers;
use journal::Journal;
use tally::Tally;

/// Moves files between this host and the store.
#[derive(Debug)]
pub struct Transfer<'a, S, W> {
    store: &'a S,
    world: &'a W,
    part: u64,
    room: Room,
    buffers: Buffers,
    journal: Mutex<Journal>,
    tally: Mutex<Tally>,
}

impl<'a, S: Store, W: World> Transfer<'a, S, W> {
    /// In parts of [`PART`] bytes, with room for [`MOST_IN_FLIGHT`].
    pub fn new(store: &'a S, world: &'a W) -> Self {
        Self::of(store, world, PART, MOST_IN_FLIGHT)
    }

    /// In parts of `part` bytes, with room for `in_flight` of them at once.
    pub fn of(store: &'a S, world: &'a W, part: u64, in_flight: u64) -> Self {
        Self {
            store,
            world,
            part,
            room: Room::of(in_flight),
            buffers: Buffers::of(part, in_flight),
            journal: Mutex::default(),
            tally: Mutex::new(Tally::default()),
        }
    }

    /// Says what is on its way now, for the lines in the log: `sent` or `fetched`, and how many bytes.
    /// Counts on where another such job is still under way.
    pub fn begin(&self, verb: &'static str, bytes: u64) {
        lock(&self.tally).begin(verb, bytes, self.world.uptime());
    }

    fn count(&self, bytes: u64) {
        let line = lock(&self.tally).count(bytes, self.world.uptime());
        if let Some(line) = line {
            tracing::info!("{line}");
        }
    }

    /// Forgets the uploads that broke off and whose key does not begin with `prefix`: nobody will go on with
    /// them. What cannot be forgotten now is left to the bucket's lifecycle rule.
    pub async fn forget_all_but(&self, prefix: &str) {
        let left = lock(&self.journal).take_halves_outside(prefix);
        for ((bucket, key), upload) in left {
            self.forget(&bucket, &key, &upload).await;
        }
    }

    /// Forgets what was sent to keys that begin with `under`, and not with `but`: nobody will send that again,
    /// and a long training sends many times.
    pub fn forget_sent(&self, under: &str, but: &str) {
        lock(&self.journal).forget(under, but);
    }

    async fn forget(&self, bucket: &str, key: &str, upload: &str) {
        if let Err(error) = self.store.abort_upload(bucket, key, upload).await {
            tracing::info!("an upload stays half-done until the bucket's rule removes it: {error}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one statement, so what a panic left is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What went wrong with a local file, in the store's words.
fn local(what: impl FnOnce() -> String, source: std::io::Error) -> StoreError {
    StoreError::File {
        what: what(),
        source,
    }
}
