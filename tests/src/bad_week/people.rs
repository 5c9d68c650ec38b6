//! People: they cancel, retry, force, pause, and have jobs of their own.

use jiff::SignedDuration;
use serde_json::json;
use trainspot_edge::World as _;
use trainspot_edge::cas::{self, Decision};
use trainspot_edge::jobs::JobRequest;
use trainspot_shared::identity::{JobName, RunId, Stage, Tick};
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::PipelineHead;

use super::happens::Happens;
use super::kind::Kind;
use super::plan::RESULTS;
use super::{BadWeek, Ending, Role};
use crate::door::Door;
use crate::waking::Wake;

/// What a person does, to a pipeline by its place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Cancels(usize),
    Retries(usize),
    Forces(usize),
    Pauses(usize),
    Resumes(usize),
}

impl<D: Door> BadWeek<D> {
    /// None, one, two or three things, while something is going on.
    pub(super) fn plan_people(&mut self) {
        for _ in 0..self.chance.u8(0..4) {
            let pipeline = self.chance.usize(0..self.plan.pipelines.len());
            let tick = self.plan.pipelines[pipeline].ticks[self.chance.usize(0..2)];
            let at = tick + SignedDuration::from_secs(self.chance.i64(60..18_000));
            let deed = match self.chance.u8(0..4) {
                0 => Deed::Cancels(pipeline),
                1 => Deed::Retries(pipeline),
                2 => Deed::Forces(pipeline),
                _ => {
                    // Also just before the tick.
                    let early = SignedDuration::from_secs(self.chance.i64(0..20_000));
                    let at = (at - early).max(self.now() + SignedDuration::from_mins(1));
                    self.agenda.put(at, Happens::Person(Deed::Pauses(pipeline)));
                    let lasts = SignedDuration::from_secs(self.chance.i64(600..20_000));
                    self.agenda
                        .put(at + lasts, Happens::Person(Deed::Resumes(pipeline)));
                    continue;
                }
            };
            self.agenda.put(at, Happens::Person(deed));
        }
    }

    pub(super) fn plan_foreign_jobs(&mut self) {
        for _ in 0..self.chance.u8(0..3) {
            let pipeline = self.chance.usize(0..self.plan.pipelines.len());
            let tick = self.plan.pipelines[pipeline].ticks[self.chance.usize(0..2)];
            let at = tick + SignedDuration::from_secs(self.chance.i64(60..10_000));
            let kind = self.chance.u8(0..3);
            self.agenda.put(at, Happens::ForeignJob(kind));
        }
    }

    pub(super) fn person(&mut self, deed: Deed) {
        match deed {
            Deed::Cancels(pipeline) => {
                let Some(run_id) = self.some_run(pipeline, false) else {
                    return;
                };
                self.weather.struck(Kind::Cancel);
                let because = "no longer wanted".to_owned();
                let invoked = self.invocation(Wake::Cancel { run_id, because });
                self.arrives(invoked);
            }
            Deed::Retries(pipeline) => {
                // The cli looks for a run that is over, whose repeat nobody asked for.
                let Some(over) = self.some_run(pipeline, true) else {
                    return;
                };
                let mut repeat = over.next_repeat();
                while self.watch.ledgers.contains_key(&repeat) {
                    repeat = repeat.next_repeat();
                }
                self.weather.struck(Kind::Retry);
                self.ask(pipeline, &repeat);
            }
            Deed::Forces(pipeline) => {
                let name = self.plan.pipelines[pipeline].name.clone();
                let drawn = format!("{:032x}", self.chance.u128(..));
                let tick = Tick::containing(self.now());
                if let Ok(run) = RunId::manual(name, tick, &drawn) {
                    self.weather.struck(Kind::Force);
                    self.ask(pipeline, &run);
                }
            }
            Deed::Pauses(pipeline) => self.pause(pipeline, true),
            Deed::Resumes(pipeline) => self.pause(pipeline, false),
        }
    }

    /// As the cli asks for a repeat, or with force; now and then somebody presses twice.
    fn ask(&mut self, pipeline: usize, run: &RunId) {
        let name = self.plan.pipelines[pipeline].name.clone();
        let payload = json!({"pipeline": name, "run_id": run, "force": true});
        for _ in 0..=u8::from(self.in_percent(20)) {
            let invoked = self.invocation(Wake::Request(payload.clone()));
            self.arrives(invoked);
        }
    }

    fn some_run(&mut self, pipeline: usize, is_over: bool) -> Option<RunId> {
        let name = &self.plan.pipelines[pipeline].name;
        let runs: Vec<RunId> = self
            .watch
            .ledgers
            .values()
            .filter(|run| run.id.pipeline() == name && run.is_final() == is_over)
            .map(|run| run.id.clone())
            .collect();
        (!runs.is_empty()).then(|| runs[self.chance.usize(0..runs.len())].clone())
    }

    fn pause(&mut self, pipeline: usize, is_pause: bool) {
        let name = self.plan.pipelines[pipeline].name.clone();
        let now = self.now();
        let pauses = self.pauses.entry(name.to_string()).or_default();
        if is_pause {
            self.weather.struck(Kind::Pause);
            pauses.push((now, None));
        } else if let Some((_, until)) = pauses.iter_mut().rfind(|(_, until)| until.is_none()) {
            *until = Some(now);
        }
        self.invoked += 1;
        let sight = self.edge.caller(
            &format!("person/{:08x}", self.invoked),
            SignedDuration::ZERO,
        );
        let edge = self.door.edge(sight.clone());
        let key = layout::pipeline_head(&name);
        let task = self.simulation.begin(sight, async move {
            let changed = cas::change(&edge, &edge, RESULTS, &key, |head, write_id| {
                let next = head.and_then(|head: &PipelineHead| {
                    if is_pause {
                        head.pause(edge.now(), write_id)
                    } else {
                        head.resume(edge.now(), write_id)
                    }
                });
                next.map_or(Decision::Leave(()), |head| {
                    Decision::Write(Box::new(head), ())
                })
            });
            // A person whose wish failed sees it; the checks go by what the head says.
            let _ = changed.await;
            Ending::Done
        });
        self.roles.insert(task, Role::Person);
    }

    /// Somebody else's job in one of the queues: no name of ours, one of a run that does not exist, or
    /// one of a submission that nobody made.
    pub(super) fn foreign_job(&mut self, kind: u8) {
        let pipeline = self.chance.usize(0..self.plan.pipelines.len());
        let name = self.plan.pipelines[pipeline].name.clone();
        let nobody = RunId::scheduled(name.clone(), Tick::containing(jiff::Timestamp::UNIX_EPOCH));
        let run = self
            .some_run(pipeline, false)
            .unwrap_or_else(|| nobody.clone());
        let (run, submission) = match kind {
            0 | 1 => (nobody, 1),
            _ => (run, 90),
        };
        let job_name = JobName {
            run,
            stage: Stage::Train,
            submission,
        };
        let shown = match kind {
            0 => "cpu-stress-test-1760707009".to_owned(),
            _ => job_name.to_string(),
        };
        let request = JobRequest {
            queue: self.settings.platform.spot_queue.clone(),
            definition: self.settings.platform.train_definition.clone(),
            name: job_name,
            command: vec!["true".to_owned()],
            job_document: String::new(),
            gpus: 1,
            vcpus: 4,
            memory_mib: 1_024,
            timeout_s: 3_600,
            array_size: None,
            share: "somebody".to_owned(),
            priority: 0,
        };
        self.weather.struck(Kind::ForeignJob);
        let id = self
            .edge
            .batch(|batch| batch.submit_foreign(&shown, &request));
        self.watch.is_foreign(id);
    }
}
