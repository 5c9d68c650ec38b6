//! What comes at its time: ticks, deliveries, hosts, people.

use jiff::Timestamp;
use serde_json::json;
use trainspot_edge::memory::AttemptEnd;

use super::attempts::Fate;
use super::deliveries::Invoked;
use super::kind::Kind;
use super::people::Deed;
use super::plan::DATA;
use super::watch::Checked;
use super::{BadWeek, Role};
use crate::door::Door;
use crate::simulation::TaskId;
use crate::waking::Wake;

/// Something that comes at its time.
#[derive(Debug)]
pub(super) enum Happens {
    /// The schedule of a pipeline fires, by its place in the plan.
    Tick { pipeline: usize, at: Timestamp },
    /// Data is written, and with it the marker that it is all there.
    Data { pipeline: usize, content: String },
    /// A function is woken.
    Arrives(Invoked),
    /// Supervision's schedule fires.
    Sweep,
    /// A function's time is over.
    TimeOut(TaskId),
    /// A host is there for a job.
    Host(String),
    /// Batch tells of the queue's head.
    Blocked { job: String, reason: &'static str },
    /// Something befalls an attempt.
    Fate(TaskId, Fate),
    /// Somebody else's job comes, with a name that looks so.
    ForeignJob(u8),
    /// Somebody else's job ends.
    ForeignEnds(String),
    /// A person does something.
    Person(Deed),
}

impl<D: Door> BadWeek<D> {
    pub(super) fn happens(&mut self, happens: Happens) -> Checked {
        match happens {
            Happens::Tick { pipeline, at } => self.tick(pipeline, at),
            Happens::Data { pipeline, content } => self.data(pipeline, &content),
            Happens::Arrives(invoked) => self.arrives(invoked),
            Happens::Sweep => {
                self.watch.see_time(self.now(), self.plan.calm_at)?;
                self.sweep();
            }
            Happens::TimeOut(task) => self.time_out(task),
            Happens::Host(job) => self.host_for(&job),
            Happens::Blocked { job, reason } => {
                self.tell(|| format!("the queue of {job} is blocked: {reason}"));
                self.edge.batch(|batch| batch.block(&job, reason));
            }
            Happens::Fate(task, fate) => self.befall(task, fate),
            Happens::ForeignJob(kind) => self.foreign_job(kind),
            Happens::ForeignEnds(job) => {
                let end = AttemptEnd::exit(i32::from(self.chance.bool()));
                self.edge.batch(|batch| batch.end(&job, &end));
            }
            Happens::Person(deed) => self.person(deed),
        }
        Ok(())
    }

    /// Every tick, when it is due, with the data of its day.
    pub(super) fn plan_ticks(&mut self) {
        for pipeline in 0..self.plan.pipelines.len() {
            let planned = self.plan.pipelines[pipeline].clone();
            for (nth, at) in planned.ticks.into_iter().enumerate() {
                self.agenda.put(at, Happens::Tick { pipeline, at });
                let is_unchanged = nth > 0 && self.chance.u8(0..100) < 12;
                let content = if is_unchanged {
                    self.weather.struck(Kind::DataUnchanged);
                    format!("data {}", nth - 1)
                } else {
                    format!("data {nth}")
                };
                let is_late = planned.waits_for_data && self.chance.bool();
                let minutes = if is_late {
                    self.weather.struck(Kind::DataLate);
                    self.chance.i64(1..140)
                } else {
                    -1
                };
                let at = at + jiff::SignedDuration::from_mins(minutes);
                self.agenda.put(at, Happens::Data { pipeline, content });
            }
        }
    }

    fn data(&mut self, pipeline: usize, content: &str) {
        let prefix = self.plan.pipelines[pipeline].prefix;
        self.write(DATA, &format!("{prefix}part-0.parquet"), content.as_bytes());
        self.write(DATA, &format!("{prefix}_READY"), b"");
        self.tell(|| format!("{prefix} holds {content}"));
    }

    fn tick(&mut self, pipeline: usize, at: Timestamp) {
        let name = self.plan.pipelines[pipeline].name.clone();
        let key = trainspot_shared::layout::pipeline_head(&name);
        let head = self.watch.pipelines.get(&key);
        let is_live = |run: &trainspot_shared::identity::RunId| {
            self.watch
                .ledgers
                .get(run)
                .is_none_or(|run| !run.is_final())
        };
        if head.is_some_and(|head| head.started().any(is_live)) {
            self.weather.struck(Kind::Overlap);
        }
        // The rule's event is as late as EventBridge is; its time is told to the second.
        let time = at + jiff::SignedDuration::from_secs(self.chance.i64(-20..60));
        let payload = json!({"pipeline": name, "tick": time.to_string()});
        self.tell(|| format!("the tick {at} of {name} fires"));
        if self.in_percent(10) {
            self.weather.struck(Kind::LostTick);
            self.tell(|| "... and is delivered by nobody".to_owned());
            return;
        }
        let times = if self.in_percent(30) { 3 } else { 1 };
        if times > 1 {
            self.weather.struck(Kind::DuplicateTick);
        }
        for _ in 0..times {
            let delay = if self.in_percent(20) { 0..1_800 } else { 0..30 };
            let arrives_at = self.within(delay);
            let invoked = self.invocation(Wake::Request(payload.clone()));
            self.agenda.put(arrives_at, Happens::Arrives(invoked));
        }
    }

    pub(super) fn role(&self, task: TaskId) -> Option<&Role> {
        self.roles.get(&task)
    }
}
