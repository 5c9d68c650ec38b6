//! Waiting on the virtual clock, and effects that arrive later than they were sent.
//!
//! Nobody waits for real: whoever moves the clock wakes whom it passes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use jiff::Timestamp;

use super::clock::VirtualClock;

type Place = (Timestamp, u64);
type Effect = Box<dyn FnOnce() + Send>;

/// What is due when. Two things due at the same moment come in the order in which they were asked for.
#[derive(Default)]
struct Agenda {
    asked: u64,
    sleepers: BTreeMap<Place, Waker>,
    effects: BTreeMap<Place, Effect>,
}

impl Agenda {
    fn place(&mut self, at: Timestamp) -> Place {
        self.asked += 1;
        (at, self.asked)
    }
}

/// Cheap to clone; clones share what is due.
#[derive(Clone, Default)]
pub(super) struct Timers(Arc<Mutex<Agenda>>);

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Agenda> {
        // What a panic in another test thread left is still whole: every change is one statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `effect` happens when the clock comes to `at`.
    pub(super) fn later(&self, at: Timestamp, effect: Effect) {
        let mut agenda = self.lock();
        let place = agenda.place(at);
        agenda.effects.insert(place, effect);
    }

    /// The first effect that is due by `until`, with its time.
    pub(super) fn take_effect(&self, until: Timestamp) -> Option<(Timestamp, Effect)> {
        let mut agenda = self.lock();
        let first = agenda.effects.first_entry()?;
        let at = first.key().0;
        (at <= until).then(|| (at, first.remove()))
    }

    /// Wakes everybody whose time has come by `now`.
    pub(super) fn wake_until(&self, now: Timestamp) {
        let mut agenda = self.lock();
        while let Some(first) = agenda.sleepers.first_entry() {
            if first.key().0 > now {
                return;
            }
            first.remove().wake();
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let agenda = self.lock();
        let sleeper = agenda.sleepers.keys().next().map(|place| place.0);
        let effect = agenda.effects.keys().next().map(|place| place.0);
        sleeper.into_iter().chain(effect).min()
    }

    /// Ready once `clock` shows `until`. A sleep that is dropped is due no more.
    pub(super) fn sleep(&self, clock: &VirtualClock, until: Timestamp) -> Sleep {
        Sleep {
            timers: self.clone(),
            clock: clock.clone(),
            until,
            place: None,
        }
    }
}

/// See [`Timers::sleep`].
pub(super) struct Sleep {
    timers: Timers,
    clock: VirtualClock,
    until: Timestamp,
    place: Option<Place>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.until {
            return Poll::Ready(());
        }
        let mut agenda = self.timers.lock();
        let place = match self.place {
            Some(place) => place,
            None => agenda.place(self.until),
        };
        agenda.sleepers.insert(place, context.waker().clone());
        drop(agenda);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.timers.lock().sleepers.remove(&place);
        }
    }
}
