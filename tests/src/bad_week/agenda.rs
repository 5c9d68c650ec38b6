//! What is to happen when.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Things at the same moment happen in the order in which they were put down.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    put_down: u64,
    items: BTreeMap<(Timestamp, u64), T>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self {
            put_down: 0,
            items: BTreeMap::new(),
        }
    }
}

impl<T> Agenda<T> {
    pub(super) fn put(&mut self, at: Timestamp, item: T) {
        self.put_down += 1;
        self.items.insert((at, self.put_down), item);
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.items.keys().next().map(|(at, _)| *at)
    }

    /// The next one, if it is due by `now`.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<T> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Timestamp, &T)> {
        self.items.iter().map(|((at, _), item)| (*at, item))
    }
}
