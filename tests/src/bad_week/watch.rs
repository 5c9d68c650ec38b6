//! What must hold in every version of every document, whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use trainspot_edge::drive::lease;
use trainspot_edge::memory::{Call, CallKind, Written};
use trainspot_shared::champion::Champion;
use trainspot_shared::identity::{JobName, RunId};
use trainspot_shared::pipeline_head::PipelineHead;
use trainspot_shared::run::{Need, Phase, Run};
use trainspot_shared::stage_head::StageHead;

use super::measured::Measured;
use super::plan::FUNCTION_TIMEOUT;
use super::weather::Weather;

/// A take-over waits so long after a lease.
const TAKE_OVER_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// Twice, and the time that the calls themselves take.
const TWO_SWEEPS: SignedDuration = SignedDuration::from_mins(11);

/// A rule that did not hold, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

pub(super) type Checked = Result<(), Violation>;

pub(super) fn violated<T>(what: String) -> Result<T, Violation> {
    Err(Violation(what))
}

/// Everything that was seen so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) ledgers: BTreeMap<RunId, Run>,
    pub(super) pipelines: BTreeMap<String, PipelineHead>,
    pub(super) measured: Measured,
    heads: BTreeMap<String, StageHead>,
    champions: BTreeMap<String, Champion>,
    /// Since when an action has been pending, and not before when it may be begun.
    pending: BTreeMap<(RunId, String), (Timestamp, Option<Timestamp>)>,
    /// Jobs by the name of their submission.
    made: BTreeMap<String, Vec<String>>,
    foreign: BTreeSet<String>,
    /// Who told of what.
    tellers: BTreeMap<String, Vec<String>>,
}

impl Watch {
    /// A job that is none of ours.
    pub(super) fn is_foreign(&mut self, id: String) {
        self.foreign.insert(id);
    }

    pub(super) fn is_known_foreign(&self, id: &str) -> bool {
        self.foreign.contains(id)
    }

    pub(super) fn n_jobs(&self) -> usize {
        self.made.values().map(Vec::len).sum()
    }

    /// One version of one document.
    pub(super) fn see(&mut self, written: &Written) -> Checked {
        let key = written.key.as_str();
        let wrong = |what: String| violated(format!("{key}, written by {}: {what}", written.by));
        if key.starts_with("models/") {
            return self
                .see_champion(written)
                .or_else(|Violation(what)| wrong(what));
        }
        let Some(rest) = key.strip_prefix("state/") else {
            return Ok(());
        };
        let seen = if key.ends_with("/run.json") {
            self.see_ledger(written)
        } else if rest.ends_with("/head.json") && rest.split('/').count() == 2 {
            self.see_pipeline(written)
        } else if key.ends_with("/head.json") {
            self.see_head(written)
        } else {
            Ok(())
        };
        seen.or_else(|Violation(what)| wrong(what))
    }

    fn see_ledger(&mut self, written: &Written) -> Checked {
        let next: Run = read(written)?;
        let before = self.ledgers.get(&next.id);
        rises(before.map(|run| run.version), next.version)?;
        if let Some(before) = before {
            if before.created_by != next.created_by {
                return violated(format!("made twice, by {}", before.created_by));
            }
            if before.is_final() && !next.is_final() {
                return violated("the run came back to life".to_owned());
            }
            if before.end.is_some() && before.end != next.end {
                return violated(format!("it ended twice: {:?}, {:?}", before.end, next.end));
            }
        }
        if next.is_final() && !before.is_some_and(Run::is_final) {
            self.measured.see_end(&next.id, &written.by);
        }
        if next.is_final() != next.end.is_some() {
            return violated(format!("{:?} with the end {:?}", next.phase, next.end));
        }
        if !has_something_to_wait_for(&next) {
            return violated(format!(
                "{:?}, and there is no live job, no pending action and nothing to wait for",
                next.phase
            ));
        }
        let id = next.id.clone();
        let is_pending = |action: &String| next.pending.iter().any(|p| p.id == *action);
        self.pending
            .retain(|(run, action), _| *run != id || is_pending(action));
        for pending in &next.pending {
            let known = self
                .pending
                .entry((id.clone(), pending.id.clone()))
                .or_insert((written.at, None));
            known.1 = pending.not_before;
        }
        self.ledgers.insert(id, next);
        Ok(())
    }

    fn see_pipeline(&mut self, written: &Written) -> Checked {
        let next: PipelineHead = read(written)?;
        let before = self.pipelines.get(&written.key);
        rises(before.map(|head| head.version), next.version)?;
        self.pipelines.insert(written.key.clone(), next);
        Ok(())
    }

    fn see_champion(&mut self, written: &Written) -> Checked {
        let next: Champion = read(written)?;
        let before = self.champions.get(&written.key);
        rises(before.map(|champion| champion.version), next.version)?;
        if let Some(before) = before
            && before.run_id.tick() > next.run_id.tick()
        {
            return violated(format!("{} over the newer {}", next.run_id, before.run_id));
        }
        self.champions.insert(written.key.clone(), next);
        Ok(())
    }

    fn see_head(&mut self, written: &Written) -> Checked {
        let next: StageHead = read(written)?;
        let before = self.heads.get(&written.key);
        // A shard that is submitted again may get its first head as a second version.
        rises(before.map(|head| head.version), next.version)?;
        let nobody = StageHead::absent_shard(next.base);
        let before = before.unwrap_or(&nobody);
        if next.owner.submission < before.owner.submission {
            return violated(format!("the owner fell from {:?}", before.owner));
        }
        if before.closed.is_some() && before.closed != next.closed {
            return violated("it was closed and is not any more".to_owned());
        }
        if before.output.is_some() && before.output != next.output {
            return violated(format!(
                "published twice: {:?}, then {:?}",
                before.output, next.output
            ));
        }
        let is_news =
            before.output != next.output || before.latest_checkpoint != next.latest_checkpoint;
        if is_news && before.closed.is_some() {
            return violated("something was published after it was closed".to_owned());
        }
        if is_news && before.output.is_some() {
            return violated("something was published after the output".to_owned());
        }
        if is_news {
            may_publish(written, before)?;
        }
        self.heads.insert(written.key.clone(), next);
        Ok(())
    }

    /// A job was made.
    pub(super) fn see_job(
        &mut self,
        id: &str,
        name: &str,
        weather: &Weather,
    ) -> Result<bool, Violation> {
        if self.foreign.contains(id) {
            return Ok(false);
        }
        let made = self.made.entry(name.to_owned()).or_default();
        made.push(id.to_owned());
        if made.len() > 1 && !weather.may_land_late(name) {
            return violated(format!(
                "{name} was submitted twice ({}), and no request of it was late",
                made.join(", ")
            ));
        }
        Ok(made.len() > 1)
    }

    /// A call that arrives, or may.
    pub(super) fn see_call(
        &mut self,
        call: &Call,
        weather: &Weather,
        name_of: impl Fn(&str) -> Option<String>,
    ) -> Checked {
        match call.kind {
            CallKind::Terminate => {
                if self.foreign.contains(&call.what) {
                    return violated(format!("{} ends the foreign job {}", call.by, call.what));
                }
                let name = name_of(&call.what).and_then(|name| name.parse::<JobName>().ok());
                let run = name.and_then(|name| self.ledgers.get(&name.run));
                if !run.is_some_and(Run::is_final) {
                    return violated(format!("{} ends {} of a live run", call.by, call.what));
                }
                Ok(())
            }
            CallKind::Publish => {
                let tellers = self.tellers.entry(call.what.clone()).or_default();
                let twice = tellers.iter().find(|by| !weather.is_troubled(by));
                if let Some(first) = twice {
                    return violated(format!(
                        "{} was told by {first} and again by {}, though nothing went wrong",
                        call.what, call.by
                    ));
                }
                tellers.push(call.by.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Once the calm has begun, nothing is pending for long.
    pub(super) fn see_time(&self, now: Timestamp, calm_at: Timestamp) -> Checked {
        let timeout = std::time::Duration::try_from(FUNCTION_TIMEOUT).unwrap_or_default();
        let bound = lease(timeout) + TAKE_OVER_AFTER + TWO_SWEEPS;
        for ((run, action), (since, not_before)) in &self.pending {
            let from = (*since).max(calm_at).max(not_before.unwrap_or(*since));
            if now.duration_since(from) > bound {
                return violated(format!("{run}: {action} is pending since {since}"));
            }
        }
        Ok(())
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}

fn read<D: serde::de::DeserializeOwned>(written: &Written) -> Result<D, Violation> {
    serde_json::from_slice(&written.body).map_err(|error| Violation(format!("unreadable: {error}")))
}

fn rises(before: Option<u64>, next: u64) -> Checked {
    let expected = before.unwrap_or(0) + 1;
    if next == expected {
        return Ok(());
    }
    violated(format!("version {next} after {before:?}"))
}

/// Only the owner, in person; of a fan-out's whole output the ledger's side, for the owner.
fn may_publish(written: &Written, before: &StageHead) -> Checked {
    let owner = &before.owner;
    let Some(worker) = written.by.strip_prefix("agent/") else {
        return Ok(());
    };
    let (job, attempt) = worker.split_once('#').unwrap_or((worker, ""));
    let parent = job.split(':').next().unwrap_or(job);
    let is_owner = owner.job_id.as_deref() == Some(parent)
        && owner.attempt.map(|n| n.to_string()).as_deref() == Some(attempt);
    if is_owner {
        return Ok(());
    }
    violated(format!("it publishes, and the owner is {owner:?}"))
}

fn has_something_to_wait_for(run: &Run) -> bool {
    let waits = match run.phase {
        Phase::Queued | Phase::WaitingForData | Phase::Final => true,
        Phase::Promoting | Phase::Closing => false,
        _ => {
            let stage = run.current_stage();
            let record = stage.and_then(|stage| run.stages.get(&stage));
            let current = record.and_then(|record| record.current());
            let has_live_job = current.is_some_and(|current| {
                current.job_id.is_some()
                    && current.job().is_none_or(|job| !job.status.is_terminal())
            });
            // Its job has ended and nobody could look at what it left: every sweep looks again.
            has_live_job || (stage.is_some() && run.needs() == stage.map(Need::StageEnd))
        }
    };
    waits || !run.pending.is_empty()
}
