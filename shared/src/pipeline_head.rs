//! The pipeline's head: the overlap lock, the list of live runs and what the last success saw.
//!
//! All changes are pure: from the head that was read to the head to write by compare-and-swap. Each
//! recognises its own effect by content, so that a repeated or half-answered change changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cost::Usd;
use crate::identity::{PipelineName, RunId, Tick};
use crate::pipeline::Overlap;

/// More live runs than this are refused with a notice: something asks in a loop.
pub const LIVE_RUNS_MAX: usize = 100;

/// What the head says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Go on.
    Start,
    /// Wait for the run before.
    Queue,
    /// The run before is still live, and the pipeline says to skip.
    SkipOverlap,
    /// A newer request took its place in the queue.
    SkipSuperseded,
    /// Ticks are paused.
    SkipPaused,
    /// [`LIVE_RUNS_MAX`] is reached.
    RefuseTooMany,
}

/// Who asked for a run, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// A schedule.
    Tick,
    /// A person.
    Manual {
        /// Run even if nothing changed.
        force: bool,
    },
    /// Supervision found a due tick without a run.
    LostTick,
}

/// One live run with its whole request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The run.
    pub run_id: RunId,
    /// How it was asked for.
    pub origin: Origin,
    /// What it was told.
    pub admission: Admission,
    /// When.
    pub at: Timestamp,
    /// Function and request id of whoever entered it.
    pub by: String,
}

/// What the last run that ended well had seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSuccess {
    /// The run.
    pub run_id: RunId,
    /// Of dataset, spec and image.
    pub fingerprint: String,
    /// When it ended.
    pub at: Timestamp,
}

impl LastSuccess {
    /// Whether it takes the place of `known`: never an older tick over a newer one.
    pub(crate) fn follows(&self, known: Option<&Self>) -> bool {
        known.is_none_or(|known| known.run_id.tick() <= self.run_id.tick())
    }
}

/// The `_READY` that a run's data was pinned by. The next export has written it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenMarker {
    /// The run that pinned its data.
    pub run_id: RunId,
    /// When the marker was written, by S3's clock.
    pub at: Timestamp,
}

impl TakenMarker {
    /// Whether it is a newer one than `known`.
    pub(crate) fn follows(&self, known: Option<&Self>) -> bool {
        known.is_none_or(|known| known.at < self.at)
    }
}

/// The document `state/<pipeline>/head.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineHead {
    /// Format of this document.
    pub schema: u32,
    /// Rises with every write.
    pub version: u64,
    /// Random per write.
    pub write_id: String,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Ticks are skipped while this holds a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// Older ticks are never made up: first push, schedule change, resume.
    pub ticks_from: Timestamp,
    /// The schedule that supervision saw last, to tell when it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_seen: Option<String>,
    /// Live runs, oldest first.
    #[serde(default)]
    pub entries: Vec<Entry>,
    /// For skip-if-unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<LastSuccess>,
    /// The newest marker that a run took: one that is no newer says nothing about the next export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_marker: Option<TakenMarker>,
    /// Month (`2026-11`) → run → dollars. A map by run, never an increment: a repeated write adds nothing.
    #[serde(default)]
    pub spend: BTreeMap<String, BTreeMap<String, Usd>>,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    /// It was entered before; this is its entry.
    Already(Entry),
    /// Write this head; the entry is in it.
    Write(Box<PipelineHead>, Entry),
}

impl PipelineHead {
    /// The head of a pipeline that has none.
    pub fn first(pipeline: PipelineName, ticks_from: Timestamp, write_id: String) -> Self {
        Self {
            schema: 1,
            version: 1,
            write_id,
            pipeline,
            paused_at: None,
            ticks_from,
            schedule_seen: None,
            entries: Vec::new(),
            last_success: None,
            last_marker: None,
            spend: BTreeMap::new(),
            unknown: Map::new(),
        }
    }

    fn next(&self, write_id: String) -> Self {
        Self {
            version: self.version + 1,
            write_id,
            ..self.clone()
        }
    }

    /// The entry of a run.
    pub fn entry(&self, run_id: &RunId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.run_id == *run_id)
    }

    /// The runs that were told to start: each may block the next tick until its ledger is final.
    pub fn started(&self) -> impl Iterator<Item = &RunId> {
        self.entries
            .iter()
            .filter(|entry| entry.admission == Admission::Start)
            .map(|entry| &entry.run_id)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a request's parts come from four sources"
    )]
    /// Enters a request with its verdict. `is_final` are the entered runs whose ledger is final.
    pub fn admit(
        &self,
        run_id: &RunId,
        origin: Origin,
        overlap: Overlap,
        is_final: &BTreeSet<RunId>,
        at: Timestamp,
        by: &str,
        write_id: String,
    ) -> Admitted {
        if let Some(entry) = self.entry(run_id) {
            return Admitted::Already(entry.clone());
        }
        let mut next = self.next(write_id);
        // Who waited before comes first, also when it is not the sweep that finds the way free.
        next.start_queued(is_final);
        let is_blocked = next.started().any(|run| !is_final.contains(run));
        let is_paused = self.paused_at.is_some() && !matches!(origin, Origin::Manual { .. });
        let admission = if is_paused {
            Admission::SkipPaused
        } else if self.entries.len() >= LIVE_RUNS_MAX {
            Admission::RefuseTooMany
        } else {
            match overlap {
                _ if !is_blocked => Admission::Start,
                Overlap::Allow => Admission::Start,
                Overlap::Queue => Admission::Queue,
                Overlap::Skip => Admission::SkipOverlap,
            }
        };
        let entry = Entry {
            run_id: run_id.clone(),
            origin,
            admission,
            at,
            by: by.to_owned(),
        };
        if admission == Admission::Queue {
            for queued in &mut next.entries {
                if queued.admission == Admission::Queue {
                    queued.admission = Admission::SkipSuperseded;
                }
            }
        }
        next.entries.push(entry.clone());
        Admitted::Write(Box::new(next), entry)
    }

    /// Enters a run again that was settled, removed, and is not settled any more: a job of it came up that
    /// nobody knew of. Its ledger is final, so it blocks nobody. `None` if its entry is still there.
    pub fn reenter(
        &self,
        run_id: &RunId,
        origin: Origin,
        at: Timestamp,
        by: &str,
        write_id: String,
    ) -> Option<Self> {
        if self.entry(run_id).is_some() {
            return None;
        }
        let mut next = self.next(write_id);
        next.entries.push(Entry {
            run_id: run_id.clone(),
            origin,
            admission: Admission::Start,
            at,
            by: by.to_owned(),
        });
        Some(next)
    }

    /// Starts the queued run if none blocks it now.
    fn start_queued(&mut self, is_final: &BTreeSet<RunId>) {
        let is_blocked = self.started().any(|run| !is_final.contains(run));
        let mut entries = self.entries.iter_mut();
        if !is_blocked && let Some(queued) = entries.find(|e| e.admission == Admission::Queue) {
            queued.admission = Admission::Start;
        }
    }

    /// Records how a run ended: its cost, the marker it took, and what it saw if it ended well. `None` if that
    /// stands already.
    pub fn record_end(
        &self,
        run_id: &RunId,
        cost: Usd,
        success: Option<LastSuccess>,
        marker: Option<TakenMarker>,
        write_id: String,
    ) -> Option<Self> {
        let month = run_id
            .tick()
            .to_string()
            .get(..6)
            .map(|t| format!("{}-{}", &t[..4], &t[4..]))?;
        let mut next = self.next(write_id);
        next.spend
            .entry(month)
            .or_default()
            .insert(run_id.to_string(), cost);
        if let Some(success) = success
            && success.follows(self.last_success.as_ref())
        {
            next.last_success = Some(success);
        }
        if let Some(marker) = marker
            && marker.follows(self.last_marker.as_ref())
        {
            next.last_marker = Some(marker);
        }
        let is_new = next.spend != self.spend
            || next.last_success != self.last_success
            || next.last_marker != self.last_marker;
        is_new.then_some(next)
    }

    /// Removes the runs of which nothing is left to do, and starts the queued one if none blocks it now.
    /// `None` if nothing changes.
    pub fn settle(
        &self,
        settled: &BTreeSet<RunId>,
        is_final: &BTreeSet<RunId>,
        write_id: String,
    ) -> Option<Self> {
        let mut next = self.next(write_id);
        next.entries
            .retain(|entry| !settled.contains(&entry.run_id));
        next.start_queued(is_final);
        (next.entries != self.entries).then_some(next)
    }

    /// Ticks are skipped from `at` on. `None` if they are already.
    pub fn pause(&self, at: Timestamp, write_id: String) -> Option<Self> {
        if self.paused_at.is_some() {
            return None;
        }
        Some(Self {
            paused_at: Some(at),
            ..self.next(write_id)
        })
    }

    /// Ticks count again from `at` on, and those of the pause are never made up. `None` if none is paused.
    pub fn resume(&self, at: Timestamp, write_id: String) -> Option<Self> {
        self.paused_at?;
        Some(Self {
            paused_at: None,
            ticks_from: self.ticks_from.max(at),
            ..self.next(write_id)
        })
    }

    /// Takes the schedule in that the template gives this pipeline (none: an empty text). Another one than
    /// before makes ticks count from `at` on, as those that it would have had earlier were never due; the
    /// first that is seen only is recorded. `None` if nothing changes.
    pub fn see_schedule(&self, schedule: &str, at: Timestamp, write_id: String) -> Option<Self> {
        if self.schedule_seen.as_deref() == Some(schedule) {
            return None;
        }
        let mut next = self.next(write_id);
        if self.schedule_seen.is_some() {
            next.ticks_from = self.ticks_from.max(at);
        }
        next.schedule_seen = Some(schedule.to_owned());
        Some(next)
    }

    /// Whether a due tick that has no run is to be made up.
    pub fn makes_up(&self, tick: Tick) -> bool {
        self.paused_at.is_none() && tick.start() >= self.ticks_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a valid time")
    }

    fn run(day: u32) -> RunId {
        format!("recommender-202611{day:02}T0200Z")
            .parse()
            .expect("a valid id")
    }

    fn head() -> PipelineHead {
        PipelineHead::first(
            "recommender".parse().expect("a name"),
            at("2026-11-01T00:00:00Z"),
            "w0".to_owned(),
        )
    }

    fn admit(
        head: &PipelineHead,
        day: u32,
        overlap: Overlap,
        is_final: &[RunId],
    ) -> (PipelineHead, Admission) {
        let is_final = is_final.iter().cloned().collect();
        match head.admit(
            &run(day),
            Origin::Tick,
            overlap,
            &is_final,
            at("2026-11-20T02:00:00Z"),
            "f",
            "w".to_owned(),
        ) {
            Admitted::Write(head, entry) => (*head, entry.admission),
            Admitted::Already(entry) => (head.clone(), entry.admission),
        }
    }

    #[test]
    fn the_same_request_is_entered_once() {
        let (once, _) = admit(&head(), 20, Overlap::Skip, &[]);

        let (twice, admission) = admit(&once, 20, Overlap::Skip, &[]);

        assert_eq!(twice, once);
        assert_eq!(admission, Admission::Start);
    }

    #[test]
    fn a_live_run_makes_the_next_tick_skip_queue_or_start_as_the_pipeline_says() {
        let (live, _) = admit(&head(), 20, Overlap::Skip, &[]);

        assert_eq!(
            admit(&live, 23, Overlap::Skip, &[]).1,
            Admission::SkipOverlap
        );
        assert_eq!(admit(&live, 23, Overlap::Queue, &[]).1, Admission::Queue);
        assert_eq!(admit(&live, 23, Overlap::Allow, &[]).1, Admission::Start);
    }

    #[test]
    fn a_final_run_that_is_still_entered_does_not_block() {
        let (live, _) = admit(&head(), 20, Overlap::Skip, &[]);

        assert_eq!(
            admit(&live, 23, Overlap::Skip, &[run(20)]).1,
            Admission::Start
        );
    }

    #[test]
    fn a_newer_request_supersedes_the_queued_one_and_starts_when_nothing_blocks() {
        let (live, _) = admit(&head(), 20, Overlap::Queue, &[]);
        let (one, _) = admit(&live, 23, Overlap::Queue, &[]);
        let (two, _) = admit(&one, 27, Overlap::Queue, &[]);
        let done: BTreeSet<_> = [run(20)].into();

        let settled = two
            .settle(&done, &done, "w9".to_owned())
            .expect("something changes");

        let told: Vec<_> = settled
            .entries
            .iter()
            .map(|e| (e.run_id.to_string(), e.admission))
            .collect();
        assert_eq!(
            told,
            [
                (run(23).to_string(), Admission::SkipSuperseded),
                (run(27).to_string(), Admission::Start)
            ]
        );
        assert_eq!(
            settled.settle(&BTreeSet::new(), &done, "w10".to_owned()),
            None
        );
    }

    #[test]
    fn the_queued_run_starts_before_a_newer_request_whoever_finds_that_nothing_blocks() {
        let (live, _) = admit(&head(), 20, Overlap::Queue, &[]);
        let (queued, _) = admit(&live, 23, Overlap::Queue, &[]);

        let (after, admission) = admit(&queued, 27, Overlap::Queue, &[run(20)]);

        assert_eq!(admission, Admission::Queue);
        let told: Vec<_> = after.entries.iter().map(|e| e.admission).collect();
        assert_eq!(
            told,
            [Admission::Start, Admission::Start, Admission::Queue],
            "20 is over, 23 begins, 27 waits for it"
        );
    }

    #[test]
    fn a_paused_pipeline_skips_ticks_and_still_runs_what_a_person_asks_for() {
        let since = at("2026-11-19T00:00:00Z");
        let paused = head()
            .pause(since, "w1".to_owned())
            .expect("it was not paused");

        assert_eq!(paused.paused_at, Some(since));
        assert_eq!(
            paused.pause(at("2026-11-20T00:00:00Z"), "w2".to_owned()),
            None
        );
        assert_eq!(
            admit(&paused, 20, Overlap::Skip, &[]).1,
            Admission::SkipPaused
        );
        assert!(!paused.makes_up(run(20).tick()));
        let asked = paused.admit(
            &run(20),
            Origin::Manual { force: false },
            Overlap::Skip,
            &BTreeSet::new(),
            since,
            "f",
            "w".to_owned(),
        );
        assert!(
            matches!(&asked, Admitted::Write(_, entry) if entry.admission == Admission::Start),
            "{asked:?}"
        );
    }

    #[test]
    fn ticks_of_a_pause_are_never_made_up() {
        let paused = head()
            .pause(at("2026-11-19T00:00:00Z"), "w1".to_owned())
            .expect("it was not paused");
        let resumed = paused
            .resume(at("2026-11-21T12:00:00Z"), "w2".to_owned())
            .expect("it was paused");

        assert_eq!((resumed.paused_at, resumed.version), (None, 3));
        assert!(!resumed.makes_up(run(20).tick()));
        assert!(resumed.makes_up(run(23).tick()));
        assert_eq!(
            resumed.resume(at("2026-11-24T00:00:00Z"), "w3".to_owned()),
            None
        );
    }

    #[test]
    fn another_schedule_makes_ticks_count_anew_and_the_first_one_seen_does_not() {
        let now = at("2026-11-21T12:00:00Z");
        let see =
            |head: &PipelineHead, schedule: &str| head.see_schedule(schedule, now, "w".to_owned());
        let first = see(&head(), "cron(0 2 ? * MON,FRI *) UTC").expect("it was not recorded");
        let other = see(&first, "cron(0 3 ? * MON,FRI *) UTC").expect("it is another");

        assert!(first.makes_up(run(20).tick()));
        assert_eq!(see(&first, "cron(0 2 ? * MON,FRI *) UTC"), None);
        assert!(!other.makes_up(run(20).tick()));
        assert!(other.makes_up(run(23).tick()));
    }

    #[test]
    fn a_run_that_comes_back_is_entered_once_and_blocks_nobody() {
        let reenter = |head: &PipelineHead| {
            let now = at("2026-11-21T12:00:00Z");
            head.reenter(&run(20), Origin::Tick, now, "f", "w".to_owned())
        };

        let back = reenter(&head()).expect("it was not there");

        assert_eq!(reenter(&back), None);
        assert_eq!(
            admit(&back, 23, Overlap::Skip, &[run(20)]).1,
            Admission::Start
        );
    }

    #[test]
    fn an_end_recorded_twice_counts_once() {
        let cost = Usd::from_micros(1_250_000);
        let once = head()
            .record_end(&run(20), cost, None, None, "w1".to_owned())
            .expect("new");

        assert_eq!(
            once.record_end(&run(20), cost, None, None, "w2".to_owned()),
            None
        );
        assert_eq!(once.spend["2026-11"].len(), 1);
    }
}
