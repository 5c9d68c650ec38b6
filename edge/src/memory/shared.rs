//! What all sights of one world share.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use trainspot_shared::notice::Notice;

use super::batch::MemoryBatch;
use super::call::{Call, Fault, Travel};
use super::clock::VirtualClock;
use super::store::MemoryStore;
use super::timers::Timers;
use crate::store::{Condition, Put};

type Faults = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;
type Travels = Box<dyn FnMut(&Call) -> Travel + Send>;

/// Who writes when [`Fault::Overtaken`] or [`Fault::Overwritten`] strikes.
const RIVAL: &str = "rival";

/// An object that was written, for whoever watches every version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// When.
    pub at: Timestamp,
    /// Which invocation or worker asked for it.
    pub by: String,
    /// Where.
    pub bucket: String,
    /// Where in it.
    pub key: String,
    /// What.
    pub body: Vec<u8>,
}

pub(super) struct Shared {
    pub(super) clock: VirtualClock,
    pub(super) timers: Timers,
    pub(super) store: MemoryStore,
    pub(super) batch: Mutex<MemoryBatch>,
    pub(super) told: Mutex<Vec<Notice>>,
    pub(super) printed: Mutex<Vec<String>>,
    pub(super) chance: Mutex<fastrand::Rng>,
    pub(super) calls: Mutex<Vec<Call>>,
    pub(super) faults: Mutex<Option<Faults>>,
    pub(super) travels: Mutex<Option<Travels>>,
    /// Every write since somebody last took them; none when nobody watches.
    pub(super) written: Mutex<Option<Vec<Written>>>,
    pub(super) waits_by_timers: AtomicBool,
    pub(super) repeats_submissions: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) skew: SignedDuration,
    pub(super) calls: AtomicUsize,
    pub(super) is_killed: AtomicBool,
}

impl Caller {
    pub(super) fn of(name: &str, skew: SignedDuration) -> Self {
        Self {
            name: name.to_owned(),
            skew,
            calls: AtomicUsize::new(0),
            is_killed: AtomicBool::new(false),
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic in another test thread left is still whole: every change is one statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn at(begins_at: Timestamp, seed: u64) -> Self {
        let clock = VirtualClock::at(begins_at);
        let stamps = clock.clone();
        Self {
            store: MemoryStore::new(move || stamps.now()),
            batch: Mutex::new(MemoryBatch::new(clock.clone())),
            clock,
            timers: Timers::default(),
            told: Mutex::default(),
            printed: Mutex::default(),
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
            calls: Mutex::default(),
            faults: Mutex::default(),
            travels: Mutex::default(),
            written: Mutex::default(),
            waits_by_timers: AtomicBool::new(false),
            repeats_submissions: AtomicBool::new(false),
        }
    }

    /// Moves the clock on; what was late arrives on the way, each effect at its time.
    pub(super) fn advance_to(&self, until: Timestamp) {
        while let Some((at, effect)) = self.timers.take_effect(until) {
            self.move_clock(at);
            effect();
        }
        self.move_clock(until);
    }

    fn move_clock(&self, to: Timestamp) {
        self.clock.advance(to.duration_since(self.clock.now()));
        self.timers.wake_until(self.clock.now());
    }

    /// Writes, and keeps what was written for whoever watches.
    pub(super) fn put(
        &self,
        by: &str,
        bucket: &str,
        key: &str,
        body: &[u8],
        condition: &Condition,
    ) -> Put {
        let put = self.store.write(bucket, key, body, condition);
        if matches!(put, Put::Written(_))
            && let Some(written) = lock(&self.written).as_mut()
        {
            written.push(Written {
                at: self.clock.now(),
                by: by.to_owned(),
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                body: body.to_owned(),
            });
        }
        put
    }

    /// Another writer changes the document and nothing in it. What is no such document stays as it is.
    pub(super) fn rival_writes(&self, bucket: &str, key: &str) {
        let Some(there) = self.store.read(bucket, key) else {
            return;
        };
        let Ok(mut document) = serde_json::from_slice::<Value>(&there.body) else {
            return;
        };
        let Some(version) = document["version"].as_u64() else {
            return;
        };
        if document["write_id"].is_null() {
            return;
        }
        let drawn = lock(&self.chance).u128(..);
        document["version"] = Value::from(version + 1);
        document["write_id"] = Value::from(format!("{RIVAL} {drawn:032x}"));
        let condition = Condition::Matches(there.etag);
        // It was read a moment ago and nobody else is at work: it cannot be refused.
        let _ = self.put(
            RIVAL,
            bucket,
            key,
            document.to_string().as_bytes(),
            &condition,
        );
    }
}
