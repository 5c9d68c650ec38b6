//! What becomes of each call: drawn by the week's chance, until the calm.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use trainspot_edge::memory::{Call, CallKind, Fault, MemoryEdge, Travel};

use super::kind::{Kind, Tally};
use super::strike::{Strike, kind_of};

/// A freeze that somebody is to be put into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Freeze {
    pub(super) by: String,
    pub(super) until: Timestamp,
    pub(super) is_long: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) chance: fastrand::Rng,
    pub(super) calm_at: Timestamp,
    /// Whoever freezes for longer froze beyond its time.
    function_lives: SignedDuration,
    /// Of a thousand calls of functions, and of agents, so many go wrong.
    pub(super) of_functions: u32,
    pub(super) of_agents: u32,
    /// Invocations whose every call takes seconds.
    sluggish: BTreeSet<String>,
    /// How long the call that is just leaving is on its way, when a freeze says so.
    travel: Option<Travel>,
    freezes: Vec<Freeze>,
    tally: Tally,
    /// Submissions, terminations and notices that left, since the harness last looked.
    asked: Vec<Call>,
    /// Whoever may not have recorded what it did, and whoever froze for longer than it lives.
    troubled: BTreeSet<String>,
    /// Whoever froze for longer than a claim lives: its next call comes when others have taken over.
    frozen_long: BTreeSet<String>,
    /// Names of submissions one of which may land at any time.
    late_submissions: BTreeSet<String>,
    lines: Option<Vec<(Timestamp, String, String)>>,
    n_calls: usize,
}

/// Cheap to clone; clones are the same weather.
#[derive(Debug, Clone)]
pub(super) struct Weather(Arc<Mutex<State>>);

impl Weather {
    /// Comes over `edge`.
    pub(super) fn over(
        edge: &MemoryEdge,
        mut chance: fastrand::Rng,
        calm_at: Timestamp,
        function_lives: SignedDuration,
        is_told: bool,
    ) -> Self {
        let weather = Self(Arc::new(Mutex::new(State {
            of_functions: [4, 15, 40][chance.usize(0..3)],
            of_agents: [1, 4, 12][chance.usize(0..3)],
            chance,
            calm_at,
            function_lives,
            sluggish: BTreeSet::new(),
            travel: None,
            freezes: Vec::new(),
            tally: Tally::default(),
            asked: Vec::new(),
            troubled: BTreeSet::new(),
            late_submissions: BTreeSet::new(),
            frozen_long: BTreeSet::new(),
            lines: is_told.then(Vec::new),
            n_calls: 0,
        })));
        let (faults, travels) = (weather.clone(), weather.clone());
        edge.on_call(move |call| faults.lock().fault(call));
        edge.on_travel(move |call| travels.lock().travel(call));
        weather
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn struck(&self, kind: Kind) {
        self.lock().tally.struck(kind);
    }

    pub(super) fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    pub(super) fn n_calls(&self) -> usize {
        self.lock().n_calls
    }

    /// From now on every call of this invocation takes seconds.
    pub(super) fn slow_down(&self, by: &str) {
        self.lock().sluggish.insert(by.to_owned());
    }

    /// It died in the middle of whatever it did.
    pub(super) fn trouble(&self, by: &str) {
        self.lock().troubled.insert(by.to_owned());
    }

    pub(super) fn is_troubled(&self, by: &str) -> bool {
        self.lock().troubled.contains(by)
    }

    pub(super) fn may_land_late(&self, submission: &str) -> bool {
        self.lock().late_submissions.contains(submission)
    }

    pub(super) fn take_freezes(&self) -> Vec<Freeze> {
        std::mem::take(&mut self.lock().freezes)
    }

    pub(super) fn take_asked(&self) -> Vec<Call> {
        std::mem::take(&mut self.lock().asked)
    }

    pub(super) fn take_lines(&self) -> Vec<(Timestamp, String, String)> {
        self.lock()
            .lines
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

impl State {
    fn fault(&mut self, call: &Call) -> Option<Fault> {
        self.n_calls += 1;
        self.travel = None;
        let strike = self.draw(call);
        let fault = match strike {
            Some(Strike::Fault(fault)) => Some(fault),
            Some(Strike::Freeze { seconds, is_after }) => {
                self.freeze(call, seconds, is_after);
                None
            }
            None => None,
        };
        if let Some(kind) = fault.and_then(|fault| kind_of(fault, call)) {
            self.tally.struck(kind);
        }
        if let (Some(lines), Some(strike)) = (self.lines.as_mut(), strike) {
            let what = format!("{:?} {}: {strike:?}", call.kind, call.what);
            lines.push((call.at, call.by.clone(), what));
        }
        self.remember(call, fault);
        fault
    }

    /// What the checks must know to tell a bug from bad luck.
    fn remember(&mut self, call: &Call, fault: Option<Fault>) {
        if fault.is_some() {
            self.troubled.insert(call.by.clone());
        }
        let is_kept = matches!(
            call.kind,
            CallKind::Submit | CallKind::Terminate | CallKind::Publish
        );
        let never_arrives = matches!(
            fault,
            Some(Fault::LostBefore | Fault::KilledBefore | Fault::Throttled | Fault::Refused)
        );
        if is_kept && !never_arrives {
            self.asked.push(call.clone());
        }
        if call.kind == CallKind::Submit
            && (matches!(fault, Some(Fault::Late(_))) || self.frozen_long.contains(&call.by))
        {
            self.late_submissions.insert(call.what.clone());
        }
    }

    fn freeze(&mut self, call: &Call, seconds: i64, is_after: bool) {
        let until = call.at + SignedDuration::from_secs(seconds);
        let is_agent = call.by.starts_with("agent");
        let is_long = SignedDuration::from_secs(seconds) > self.function_lives;
        self.tally.struck(match (is_agent, is_long) {
            (true, _) => Kind::FrozenAgent,
            (false, true) => Kind::FrozenLong,
            (false, false) => Kind::FrozenShort,
        });
        if is_long {
            self.troubled.insert(call.by.clone());
            self.frozen_long.insert(call.by.clone());
        }
        // A call that is frozen afterwards has arrived at once and its answer is on its way.
        let (there, back) = if is_after { (0, 1) } else { (1, 0) };
        self.travel = Some(Travel {
            there: Duration::from_millis(there),
            back: Duration::from_millis(back),
        });
        self.freezes.push(Freeze {
            by: call.by.clone(),
            until,
            is_long,
        });
    }

    fn travel(&mut self, call: &Call) -> Travel {
        if let Some(travel) = self.travel.take() {
            return travel;
        }
        if call.by.starts_with("person") {
            return Travel::default();
        }
        let seconds = |chance: &mut fastrand::Rng| Duration::from_millis(chance.u64(2_000..9_000));
        if self.sluggish.contains(&call.by) {
            return Travel {
                there: seconds(&mut self.chance),
                back: Duration::ZERO,
            };
        }
        // Now and then one takes seconds, there or back; nearly all take as long as S3 does.
        match self.chance.u32(0..400) {
            0 if call.at < self.calm_at => Travel {
                there: seconds(&mut self.chance),
                back: Duration::ZERO,
            },
            1 if call.at < self.calm_at => Travel {
                there: Duration::ZERO,
                back: seconds(&mut self.chance),
            },
            _ => Travel {
                there: Duration::from_millis(self.chance.u64(5..200)),
                back: Duration::ZERO,
            },
        }
    }
}
