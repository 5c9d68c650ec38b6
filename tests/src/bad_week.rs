//! A bad week: two pipelines with two ticks each, everything that AWS may do to them, and people.
//!
//! The functions are the real handlers and the agents the real library around a scripted program, all at
//! once on one virtual clock. After each step every document that changed is held against the rules. Then
//! trouble ends, and everything must come to rest. Same seed, same week.

mod agenda;
mod attempts;
mod calm;
mod deliveries;
mod folder;
mod happens;
mod host;
mod hosts;
mod kind;
mod measured;
mod people;
mod plan;
mod program;
mod proving;
mod story;
mod strike;
mod watch;
mod weather;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use trainspot_edge::memory::{MemoryBatch, MemoryEdge};
use trainspot_edge::settings::Settings;
use trainspot_edge::store::Condition;
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::PipelineHead;

pub use kind::{Kind, Tally};
pub use plan::Bug;
pub use proving::{Failure, Outcome, Weeks, play};
pub use watch::Violation;

use agenda::Agenda;
use attempts::Attempt;
use deliveries::Invoked;
use happens::Happens;
use plan::{BEGINS_AT, DATA, Plan, RESULTS};
use story::Story;
use watch::{Checked, Watch, violated};
use weather::Weather;

use crate::door::Door;
use crate::simulation::{Simulation, TaskId};
use crate::turns::Ended;
use crate::waking::Wake;
use crate::week::at;

/// More steps than any week needs: one that goes on for ever fails.
const STEPS_MAX: usize = 3_000_000;
/// After the trouble everything comes to rest within this.
const REST_WITHIN: SignedDuration = SignedDuration::from_hours(40);

/// How one that was at work ended.
#[derive(Debug)]
enum Ending {
    /// A function, with its answer.
    Answered(Result<serde_json::Value, String>),
    /// An agent, with its exit code.
    Exited(u8),
    /// A person's own call.
    Done,
}

/// Who is at work.
#[derive(Debug)]
enum Role {
    Function(Invoked),
    Agent(Attempt),
    Person,
}

/// The week.
struct BadWeek<D> {
    door: D,
    edge: MemoryEdge,
    settings: Arc<Settings>,
    plan: Plan,
    bug: Bug,
    chance: fastrand::Rng,
    weather: Weather,
    simulation: Simulation<Ending>,
    roles: BTreeMap<TaskId, Role>,
    agenda: Agenda<Happens>,
    watch: Watch,
    story: Story,
    folder: tempfile::TempDir,
    invoked: u32,
    sweep_after: SignedDuration,
    wrote_since_sweep: bool,
    /// Pauses of each pipeline: since when, and until when.
    pauses: BTreeMap<String, Vec<(Timestamp, Option<Timestamp>)>>,
    /// Functions whose time stands still, until when.
    outlives: BTreeMap<TaskId, Timestamp>,
    /// The newest event of each job that was delivered.
    delivered: BTreeMap<String, u64>,
}

impl<D: Door> BadWeek<D> {
    fn new(door: D, seed: u64, bug: Bug, is_told: bool) -> Result<Self, Violation> {
        let mut chance = fastrand::Rng::with_seed(seed);
        let plan = Plan::draw(&mut chance);
        let edge = MemoryEdge::new(seed, at(BEGINS_AT));
        edge.wait_by_timers();
        edge.keep_writes();
        if bug == Bug::RepeatedSubmissions {
            edge.plant_repeated_submissions();
        }
        let weather = Weather::over(
            &edge,
            chance.fork(),
            plan.calm_at,
            bug.function_lives(),
            is_told,
        );
        let folder = folder::make()
            .map_err(|error| Violation(format!("no folder for the agents: {error}")))?;
        let mut week = Self {
            door,
            settings: Arc::new(plan.settings(bug)),
            edge,
            bug,
            weather,
            simulation: Simulation::default(),
            roles: BTreeMap::new(),
            agenda: Agenda::default(),
            watch: Watch::default(),
            story: Story::told(is_told),
            folder,
            invoked: 0,
            sweep_after: deliveries::SWEEP_EVERY,
            wrote_since_sweep: true,
            pauses: BTreeMap::new(),
            outlives: BTreeMap::new(),
            delivered: BTreeMap::new(),
            plan,
            chance,
        };
        week.push_pipelines();
        week.plan_ticks();
        week.plan_people();
        week.plan_foreign_jobs();
        let first_sweep = week.now() + deliveries::SWEEP_EVERY;
        week.agenda.put(first_sweep, Happens::Sweep);
        Ok(week)
    }

    fn now(&self) -> Timestamp {
        self.edge.clock()
    }

    fn is_calm(&self) -> bool {
        self.now() >= self.plan.calm_at
    }

    fn in_percent(&mut self, percent: u8) -> bool {
        !self.is_calm() && self.chance.u8(0..100) < percent
    }

    /// A moment between so many seconds from now; trouble is over when the calm begins.
    fn within(&mut self, seconds: std::ops::Range<i64>) -> Timestamp {
        let later = self.now() + SignedDuration::from_secs(self.chance.i64(seconds));
        if self.is_calm() {
            later
        } else {
            later.min(self.plan.calm_at)
        }
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        let now = self.now();
        self.story.tell(now, line);
    }

    fn write(&self, bucket: &str, key: &str, body: &[u8]) {
        self.edge
            .objects()
            .write(bucket, key, body, &Condition::Always);
    }

    fn push_pipelines(&mut self) {
        for pipeline in self.plan.pipelines.clone() {
            let spec = pipeline.spec.to_string();
            self.write(
                RESULTS,
                &layout::pipeline_spec(&pipeline.name),
                spec.as_bytes(),
            );
            let head = PipelineHead::first(pipeline.name.clone(), self.now(), "push".to_owned());
            let key = layout::pipeline_head(&pipeline.name);
            let body = serde_json::to_vec(&head).expect("a head is JSON");
            self.write(RESULTS, &key, &body);
            self.watch.pipelines.insert(key, head);
            let data = format!("{}part-0.parquet", pipeline.prefix);
            self.write(DATA, &data, b"first");
        }
    }

    /// Everything that happens until all is at rest.
    fn live(&mut self) -> Checked {
        let gives_up_at = self.plan.calm_at + REST_WITHIN;
        for _ in 0..STEPS_MAX {
            if let Some((task, end)) = self.simulation.turn(self.now(), &mut self.chance) {
                if let Some(end) = end {
                    self.ended(task, end);
                }
                self.look()?;
                continue;
            }
            if self.is_at_rest() {
                return self.check_rest();
            }
            let moments = [
                self.edge.next_moment(),
                self.simulation.next_thaw(),
                self.agenda.next(),
            ];
            let Some(next) = moments.into_iter().flatten().min() else {
                return violated("nothing can happen any more, and all is not at rest".to_owned());
            };
            if next > gives_up_at {
                return violated(format!(
                    "{REST_WITHIN:#} after the trouble all is not at rest"
                ));
            }
            self.edge.advance_to(next);
            self.look()?;
            while let Some(happens) = self.agenda.take_due(self.now()) {
                self.happens(happens)?;
                self.look()?;
            }
        }
        violated(format!("{STEPS_MAX} steps were not enough"))
    }

    fn ended(&mut self, task: TaskId, end: Ended<Ending>) {
        match (self.roles.remove(&task), end) {
            (Some(Role::Function(invoked)), Ended::Answered(Ending::Answered(answer))) => {
                self.answered(invoked, answer);
            }
            (Some(Role::Function(invoked)), _) => self.died(invoked, "is killed"),
            (Some(Role::Agent(attempt)), Ended::Answered(Ending::Exited(code))) => {
                self.exited(attempt, code);
            }
            (Some(Role::Agent(attempt)), _) => self.host_is_gone(&attempt),
            (Some(Role::Person) | None, _) => {}
        }
    }

    /// After each step: what changed, who froze, what Batch tells of.
    fn look(&mut self) -> Checked {
        for (at, by, what) in self.weather.take_lines() {
            self.story.tell(at, || format!("{by}: {what}"));
        }
        for freeze in self.weather.take_freezes() {
            if let Some(task) = self.simulation.named(&freeze.by) {
                self.simulation.freeze(task, freeze.until);
                self.outlive(task, &freeze);
            }
        }
        for written in self.edge.take_writes() {
            self.wrote_since_sweep = true;
            let name = written.key.split('/').nth(2).unwrap_or_default();
            let before = name
                .parse()
                .ok()
                .and_then(|run| self.watch.ledgers.get(&run));
            self.story.tell_write(&written, before);
            self.watch.see(&written)?;
        }
        for line in self.edge.take_printed() {
            self.watch.measured.see_printed(&line)?;
        }
        for call in self.weather.take_asked() {
            let edge = &self.edge;
            let name_of =
                |id: &str| edge.batch(|batch| batch.job(id).map(|job| job.seen.name.clone()));
            self.watch.see_call(&call, &self.weather, name_of)?;
        }
        for event in self.edge.batch(MemoryBatch::take_events) {
            self.see_event(&event)?;
            self.send(&Wake::Event(event));
        }
        Ok(())
    }

    /// Every object and every call in one number.
    fn fingerprint(&self) -> String {
        let mut text = format!("{} calls at {}\n", self.weather.n_calls(), self.now());
        for object in self.edge.objects().objects_under(RESULTS, "") {
            text.push_str(&format!("{} {}\n", object.key, object.etag));
        }
        sha256_hex(text.as_bytes())
    }
}
