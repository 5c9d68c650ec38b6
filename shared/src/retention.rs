//! Which runs' results may be deleted. No lifecycle rule can tell: it knows ages, and a champion may be old.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::champion::Champion;
use crate::identity::RunId;
use crate::run::Run;

/// Why a run's results stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is not over, or something is still to be done about its end.
    Live,
    /// It trained the model that serves.
    Champion,
    /// It made the recommendations that serve.
    Recommendations,
    /// It trained the model before: the way back.
    Previous,
    /// A live run is measured against it.
    Compared,
    /// It ended not long ago.
    Young,
}

impl Kept {
    /// For a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Champion => "champion",
            Self::Recommendations => "its recommendations serve",
            Self::Previous => "champion before",
            Self::Compared => "a live run is measured against it",
            Self::Young => "young",
        }
    }
}

/// What must stay of a pipeline, whatever its age.
#[derive(Debug, Clone, Default)]
pub struct Spared(BTreeMap<RunId, Kept>);

impl Spared {
    /// By the pipeline's champion and its live runs.
    pub fn new<'a>(champion: Option<&Champion>, runs: impl IntoIterator<Item = &'a Run>) -> Self {
        let mut spared = BTreeMap::new();
        // The last word is the strongest reason.
        for run in runs.into_iter().filter(|run| !run.is_settled()) {
            if let Some(seen) = &run.champion_seen {
                spared.insert(seen.champion.run_id.clone(), Kept::Compared);
            }
        }
        if let Some(champion) = champion {
            if let Some(previous) = &champion.previous {
                spared.insert(previous.run_id.clone(), Kept::Previous);
            }
            if let Some(made) = &champion.recommendations_run_id {
                spared.insert(made.clone(), Kept::Recommendations);
            }
            spared.insert(champion.run_id.clone(), Kept::Champion);
        }
        Self(spared)
    }

    /// Why a run's results stay, `keep` after its end; `None`: they may go. A run that is over becomes champion
    /// by a person's hand only, so what may go now may go however long deleting takes, unless that person is at
    /// it at the same moment.
    pub fn kept(&self, run: &Run, now: Timestamp, keep: SignedDuration) -> Option<Kept> {
        if !run.is_settled() {
            return Some(Kept::Live);
        }
        // A ledger without the time of its end counts as young for ever rather than as old.
        let is_old = run.ended_at.is_some_and(|ended_at| ended_at + keep <= now);
        let spared = self.0.get(&run.id).copied();
        spared.or((!is_old).then_some(Kept::Young))
    }
}
