//! Batch's hosts, and the agents that begin on them.

use std::time::Duration;

use jiff::SignedDuration;
use trainspot_agent::{Assignment, Settings, work};
use trainspot_edge::memory::{AttemptEnd, BatchJob};
use trainspot_shared::batch_event::{ArrayRole, JobStatus};

use super::attempts::{Attempt, Exits, Fate};
use super::happens::Happens;
use super::host::Line;
use super::kind::Kind;
use super::plan::Bug;
use super::program::{Failing, Script, Scripted};
use super::{BadWeek, Ending, Role};
use crate::door::Door;

const CAPACITY: &str = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [g4dn.xlarge]";
const MISCONFIGURATION: &str = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue.";

/// What is drawn for an attempt before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lot {
    Fate(Fate, Kind),
    NeverStarts(&'static str, Kind),
    OutOfMemory,
    Fails(i32),
    LosesHostAtTheEnd,
    Fine,
}

impl<D: Door> BadWeek<D> {
    /// A job is in its queue.
    pub(super) fn wait_for_host(&mut self, job: &str, name: &str) {
        let seconds = if self.in_percent(5) {
            self.weather.struck(Kind::NoCapacity);
            self.tell(|| format!("there is no capacity for {job} {name}"));
            let blocked = Happens::Blocked {
                job: job.to_owned(),
                reason: CAPACITY,
            };
            self.agenda
                .put(self.now() + SignedDuration::from_mins(20), blocked);
            3_600..18_000
        } else {
            5..240
        };
        let mut at = self.within(seconds);
        if self.in_percent(1) {
            self.weather.struck(Kind::Misconfigured);
            let blocked = Happens::Blocked {
                job: job.to_owned(),
                reason: MISCONFIGURATION,
            };
            self.agenda
                .put(self.now() + SignedDuration::from_mins(10), blocked);
            at = self.plan.calm_at;
        }
        self.agenda.put(at, Happens::Host(job.to_owned()));
    }

    /// A host is there.
    pub(super) fn host_for(&mut self, id: &str) {
        let job = self.edge.batch(|batch| batch.job(id).cloned());
        let Some(job) = job.filter(|job| job.seen.status == JobStatus::Runnable) else {
            return;
        };
        if self.watch.is_known_foreign(id) {
            self.edge.batch(|batch| batch.start(id));
            let at = self.within(600..7_200);
            return self.agenda.put(at, Happens::ForeignEnds(id.to_owned()));
        }
        let lot = self.draw_lot();
        if let Lot::NeverStarts(reason, kind) = lot {
            self.weather.struck(kind);
            self.edge.batch(|batch| batch.find_host(id));
            let end = AttemptEnd::never_started(reason);
            return self.edge.batch(|batch| batch.end(id, &end));
        }
        self.edge.batch(|batch| batch.start(id));
        self.start_agent(&job, &lot);
    }

    fn draw_lot(&mut self) -> Lot {
        if self.is_calm() {
            return Lot::Fine;
        }
        match self.chance.u16(0..1_000) {
            0..110 => Lot::Fate(Fate::Reclaimed, Kind::Reclaim),
            110..170 => Lot::Fate(Fate::HostLost, Kind::HostLost),
            170..240 => Lot::Fate(Fate::GivenUp, Kind::Zombie),
            240..255 => Lot::Fate(Fate::TimesOut, Kind::AttemptTimeout),
            255..263 => Lot::Fate(Fate::Terminated, Kind::TerminatedByPerson),
            263..285 => Lot::NeverStarts(
                "CannotPullContainerError: pull image manifest has been retried 7 time(s): dial tcp: i/o timeout",
                Kind::PullTransient,
            ),
            285..292 => Lot::NeverStarts(
                "CannotPullContainerError: pull image manifest: not found: manifest unknown",
                Kind::PullRefused,
            ),
            292..315 => Lot::OutOfMemory,
            315..327 => Lot::Fails([1, 65, 70, 143][self.chance.usize(0..4)]),
            327..365 => Lot::LosesHostAtTheEnd,
            _ => Lot::Fine,
        }
    }

    fn start_agent(&mut self, job: &BatchJob, lot: &Lot) {
        let number = u32::try_from(job.seen.attempts.len()).unwrap_or(u32::MAX - 1) + 1;
        let id = job.seen.id.clone();
        let script = self.draw_script(job, lot);
        let takes = script.step_takes * u32::try_from(script.steps).unwrap_or(1);
        let address = job.request.job_document.strip_prefix("s3://");
        let (bucket, key) = address
            .and_then(|rest| rest.split_once('/'))
            .unwrap_or_default();
        let (parent, array_index) = match job.seen.array {
            Some(ArrayRole::Child { index }) => {
                (id.split(':').next().unwrap_or(&id).to_owned(), Some(index))
            }
            _ => (id.clone(), None),
        };
        let assignment = Assignment {
            bucket: bucket.to_owned(),
            job_key: key.to_owned(),
            job_id: parent,
            attempt: number,
            array_index,
        };
        let is_on_demand = job.seen.queue.contains("on-demand");
        let line = Line::to_host(if is_on_demand { "on-demand" } else { "spot" });
        let skew = SignedDuration::from_secs(self.chance.i64(-15..=15));
        let name = format!("agent/{id}#{number}");
        let sight = self.edge.caller(&name, skew);
        let settings = self.agent_settings();
        let edge = self.door.edge(sight.clone());
        let mut program = Scripted::of(sight.clone(), script);
        let mut host = line.clone();
        let task = self.simulation.begin(sight, async move {
            let code = work(
                &edge,
                &edge,
                &settings,
                &assignment,
                &mut program,
                &mut host,
            )
            .await;
            Ending::Exited(code)
        });
        self.tell(|| format!("{name} begins, {lot:?}"));
        let exits = match lot {
            Lot::OutOfMemory => Exits::Killed(AttemptEnd::out_of_memory()),
            Lot::LosesHostAtTheEnd => Exits::HostLostThen,
            _ => Exits::AsItSays,
        };
        if let Lot::Fate(fate, _) = lot {
            let latest = i64::try_from(takes.as_secs()).unwrap_or(3_600).max(60);
            // Some come before the first call is answered, some at the very end.
            let at = self.within(0..latest + 60);
            self.agenda.put(at, Happens::Fate(task, fate.clone()));
        }
        let attempt = Attempt {
            job: id,
            line,
            exits,
            is_given_up: false,
        };
        self.roles.insert(task, Role::Agent(attempt));
    }

    fn agent_settings(&mut self) -> Settings {
        let mut settings = Settings::in_folder(self.folder.path().to_owned());
        // What it ships and how often is the agent's own; a virtual hour need not be 3,600 looks.
        settings.sweep_every = Duration::from_secs(self.chance.u64(100..400));
        settings.stall_after = Duration::from_hours(2);
        settings.ignore_heads = self.bug == Bug::NoStageHead;
        settings
    }

    fn draw_script(&mut self, job: &BatchJob, lot: &Lot) -> Script {
        let is_training = job.request.name.stage == trainspot_shared::identity::Stage::Train;
        let (steps, minutes) = if is_training {
            (self.chance.u64(3..9), self.chance.u64(4..14))
        } else {
            (self.chance.u64(1..4), self.chance.u64(1..5))
        };
        let fails_at = self.chance.u64(1..=steps);
        Script {
            steps,
            step_takes: Duration::from_mins(minutes),
            checkpoint_every: self.chance.u64(1..4),
            results: self.plan.results,
            fails: match lot {
                Lot::OutOfMemory => {
                    self.weather.struck(Kind::OutOfMemory);
                    Some((fails_at, Failing::Killed))
                }
                Lot::Fails(code) => {
                    self.weather.struck(Kind::ProgramFailed);
                    Some((fails_at, Failing::Exit(*code)))
                }
                _ => None,
            },
        }
    }
}
