//! All services at once, on one clock and one seed, for any number of invocations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};
use trainspot_shared::notice::Notice;

use super::batch::MemoryBatch;
use super::call::{Call, CallKind, Fault, Travel};
use super::shared::{Caller, Shared, Written, lock};
use super::store::MemoryStore;

/// One invocation's sight of the world. Each call gives way once before it arrives, so that a proof
/// which polls several invocations by turns interleaves them at every call.
#[derive(Clone)]
pub struct MemoryEdge {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Arc<Caller>,
}

impl std::fmt::Debug for MemoryEdge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "MemoryEdge({} at {})",
            self.caller.name,
            self.shared.clock.now()
        )
    }
}

impl MemoryEdge {
    /// An empty world at `begins_at`; all chance and all ids come of `seed`.
    pub fn new(seed: u64, begins_at: Timestamp) -> Self {
        Self {
            shared: Arc::new(Shared::at(begins_at, seed)),
            caller: Arc::new(Caller::of("proof", SignedDuration::ZERO)),
        }
    }

    /// The same world for another invocation, whose host's clock is off by `skew`.
    #[must_use]
    pub fn caller(&self, name: &str, skew: SignedDuration) -> Self {
        Self {
            shared: self.shared.clone(),
            caller: Arc::new(Caller::of(name, skew)),
        }
    }

    /// Whose sight this is.
    pub fn name(&self) -> &str {
        &self.caller.name
    }

    /// A fault has killed this invocation: its future is to be dropped, it will never be ready.
    pub fn is_killed(&self) -> bool {
        self.caller.is_killed.load(Ordering::SeqCst)
    }

    /// Moves the clock on; effects that were late arrive on the way, each at its time.
    pub fn advance(&self, by: SignedDuration) {
        self.advance_to(self.shared.clock.now() + by);
    }

    /// The same to a moment; never back.
    pub fn advance_to(&self, until: Timestamp) {
        self.shared.advance_to(until);
    }

    /// The clock that no host's is off from.
    pub fn clock(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// When somebody who waits is to go on, or something late arrives; none when nobody waits.
    pub fn next_moment(&self) -> Option<Timestamp> {
        self.shared.timers.next()
    }

    /// From now on a pause lasts until somebody moves the clock. Before, it moves the clock itself.
    pub fn wait_by_timers(&self) {
        self.shared.waits_by_timers.store(true, Ordering::SeqCst);
    }

    /// From now on every write is kept for [`MemoryEdge::take_writes`].
    pub fn keep_writes(&self) {
        lock(&self.shared.written).get_or_insert_default();
    }

    /// The writes since the last time, in the order in which they arrived.
    pub fn take_writes(&self) -> Vec<Written> {
        lock(&self.shared.written)
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// A bug on purpose: from now on `SubmitJob` is sent again by its client when no answer comes, as the
    /// SDK would do by itself.
    pub fn plant_repeated_submissions(&self) {
        self.shared
            .repeats_submissions
            .store(true, Ordering::SeqCst);
    }

    /// The objects, without a call being counted.
    pub fn objects(&self) -> &MemoryStore {
        &self.shared.store
    }

    /// Batch itself, for whoever plays the hosts.
    pub fn batch<T>(&self, act: impl FnOnce(&mut MemoryBatch) -> T) -> T {
        act(&mut lock(&self.shared.batch))
    }

    /// What SNS took, in order; the same notice twice if it was sent twice.
    pub fn told(&self) -> Vec<Notice> {
        lock(&self.shared.told).clone()
    }

    /// How many notices SNS took.
    pub fn n_told(&self) -> usize {
        lock(&self.shared.told).len()
    }

    /// The lines that were printed since the last time, in order.
    pub fn take_printed(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.printed))
    }

    /// The calls since the `since`-th.
    pub fn calls_since(&self, since: usize) -> Vec<Call> {
        let calls = lock(&self.shared.calls);
        calls.get(since..).unwrap_or_default().to_vec()
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// How many calls of each kind there were since the `since`-th.
    pub fn counts_since(&self, since: usize) -> BTreeMap<CallKind, usize> {
        let mut counts = BTreeMap::new();
        for call in lock(&self.shared.calls).iter().skip(since) {
            *counts.entry(call.kind).or_insert(0) += 1;
        }
        counts
    }

    /// From now on `faults` is asked what becomes of each call.
    pub fn on_call(&self, faults: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        *lock(&self.shared.faults) = Some(Box::new(faults));
    }

    /// From now on `travels` is asked how long each call is on its way; needs
    /// [`MemoryEdge::wait_by_timers`].
    pub fn on_travel(&self, travels: impl FnMut(&Call) -> Travel + Send + 'static) {
        *lock(&self.shared.travels) = Some(Box::new(travels));
    }

    /// From now on every call goes well.
    pub fn calm(&self) {
        *lock(&self.shared.faults) = None;
    }
}
