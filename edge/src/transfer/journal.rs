//! What was sent so far, by key.

use std::collections::BTreeMap;

use super::local::Stamp;
use super::upload::Sent;
use crate::store::UploadedPart;

type Place = (String, String);

/// An upload that broke off.
#[derive(Debug, Clone)]
pub(super) struct HalfDone {
    pub(super) stamp: Stamp,
    pub(super) upload: String,
    pub(super) parts: BTreeMap<u32, UploadedPart>,
}

/// The journal.
#[derive(Debug, Default)]
pub(super) struct Journal {
    done: BTreeMap<Place, (Stamp, Sent)>,
    halves: BTreeMap<Place, HalfDone>,
}

fn place(bucket: &str, key: &str) -> Place {
    (bucket.to_owned(), key.to_owned())
}

impl Journal {
    /// What was sent to that key, if the file is still the same.
    pub(super) fn done(&self, bucket: &str, key: &str, stamp: Stamp) -> Option<Sent> {
        let (then, sent) = self.done.get(&place(bucket, key))?;
        (*then == stamp).then(|| sent.clone())
    }

    pub(super) fn finish(&mut self, bucket: &str, key: &str, stamp: Stamp, sent: Sent) {
        let place = place(bucket, key);
        self.halves.remove(&place);
        self.done.insert(place, (stamp, sent));
    }

    /// Forgets what was sent to keys that begin with `under`, and not with `but`.
    pub(super) fn forget(&mut self, under: &str, but: &str) {
        self.done
            .retain(|(_, key), _| !key.starts_with(under) || key.starts_with(but));
    }

    pub(super) fn half(&self, bucket: &str, key: &str) -> Option<&HalfDone> {
        self.halves.get(&place(bucket, key))
    }

    pub(super) fn begin(&mut self, bucket: &str, key: &str, stamp: Stamp, upload: String) {
        let half = HalfDone {
            stamp,
            upload,
            parts: BTreeMap::new(),
        };
        self.halves.insert(place(bucket, key), half);
    }

    pub(super) fn part(&mut self, bucket: &str, key: &str, part: UploadedPart) {
        if let Some(half) = self.halves.get_mut(&place(bucket, key)) {
            half.parts.insert(part.number, part);
        }
    }

    /// The id of an upload that nobody goes on with.
    pub(super) fn take_half(&mut self, bucket: &str, key: &str) -> Option<String> {
        let half = self.halves.remove(&place(bucket, key))?;
        Some(half.upload)
    }

    pub(super) fn take_halves_outside(&mut self, prefix: &str) -> Vec<(Place, String)> {
        let halves = std::mem::take(&mut self.halves);
        let (kept, left): (BTreeMap<_, _>, BTreeMap<_, _>) = halves
            .into_iter()
            .partition(|((_, key), _)| key.starts_with(prefix));
        self.halves = kept;
        let ids = left.into_iter().map(|(place, half)| (place, half.upload));
        ids.collect()
    }
}
