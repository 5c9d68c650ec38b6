//! What may go wrong in a week, by name.

use std::collections::BTreeMap;

macro_rules! kinds {
    ($($kind:ident = $name:literal,)*) => {
        /// One way in which a week can be bad.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each has its name beside it")]
        pub enum Kind { $($kind,)* }

        impl Kind {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// In words.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    LostEvent = "event lost",
    DuplicateEvent = "event delivered again",
    DelayedEvent = "event delayed by minutes to hours",
    ReorderedEvent = "event overtaken by a later one",
    LostTick = "tick delivered by nobody",
    DuplicateTick = "tick delivered again",
    Throttled = "call throttled",
    RefusedSubmit = "submission refused for good",
    RefusedNotice = "notice refused for good",
    UnansweredBefore = "call that never arrives",
    UnansweredAfter = "answer lost, effect done",
    LateEffect = "effect that lands after the lease",
    RepeatedCall = "call sent again by its client",
    Conflict = "write refused though nobody else wrote (409)",
    Overtaken = "write overtaken by another writer (412)",
    Overwritten = "own write overwritten before its answer came",
    KilledBefore = "function killed before a call",
    KilledAfter = "function killed after a call",
    FrozenShort = "function frozen within its time",
    FrozenLong = "function frozen beyond its lease",
    FunctionTimeout = "function timed out",
    ClockSkew = "hosts' clocks apart",
    Reclaim = "host reclaimed with notice",
    HostLost = "host lost without a word",
    HostLostAtCall = "host lost in the middle of an upload",
    LostAfterOutput = "host lost once its output was there",
    Zombie = "agent that works on after it was given up",
    FrozenAgent = "agent frozen for minutes to hours",
    LateTwin = "second job of a submission",
    NoCapacity = "no capacity for hours",
    Misconfigured = "queue blocked by misconfiguration",
    OutOfMemory = "out of memory",
    AttemptTimeout = "attempt timed out",
    PullTransient = "image pull failed for the moment",
    PullRefused = "image pull failed for good",
    ProgramFailed = "program failed",
    TerminatedByPerson = "job terminated by a person",
    ForeignJob = "foreign job in the queue",
    Cancel = "person cancels",
    Retry = "person retries",
    Force = "person forces a run",
    Pause = "ticks paused and resumed",
    DataLate = "data later than the tick",
    DataUnchanged = "data unchanged",
    Overlap = "tick while the run before is live",
}

/// How often each struck.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Kind, u64>);

impl Tally {
    /// It struck.
    pub fn struck(&mut self, kind: Kind) {
        *self.0.entry(kind).or_insert(0) += 1;
    }

    /// How often.
    pub fn times(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// Every kind that struck.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.0.keys().copied()
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        for (kind, times) in &other.0 {
            *self.0.entry(*kind).or_insert(0) += times;
        }
    }
}
