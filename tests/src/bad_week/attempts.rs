//! One attempt at work: what befalls it, how it ends, and what Batch sees of that.

use jiff::SignedDuration;
use trainspot_agent::host::Happening;
use trainspot_edge::memory::AttemptEnd;

use super::happens::Happens;
use super::host::Line;
use super::kind::Kind;
use super::{BadWeek, Role};
use crate::door::Door;
use crate::simulation::TaskId;

/// Between a Spot notice and the end of the host.
const NOTICE: SignedDuration = SignedDuration::from_mins(2);
/// Between SIGTERM and SIGKILL.
const GRACE: SignedDuration = SignedDuration::from_secs(30);
/// One attempt of one job, with its agent.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) job: String,
    pub(super) line: Line,
    pub(super) exits: Exits,
    /// Batch believes that its host is gone, or that it is over.
    pub(super) is_given_up: bool,
}

/// What Batch sees when the agent exits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exits {
    /// Its exit code.
    AsItSays,
    /// A host that went just then.
    HostLostThen,
    /// This, if the code is 137.
    Killed(AttemptEnd),
    /// This, whatever the code.
    As(AttemptEnd),
}

/// What befalls an attempt on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// A Spot notice.
    Reclaimed,
    /// The host goes without a word.
    HostLost,
    /// Batch gives the host up, and it lives on.
    GivenUp,
    /// It took too long.
    TimesOut,
    /// A person ends the job in the console.
    Terminated,
    /// Nobody is left on the host, and Batch sees this end.
    Gone(AttemptEnd),
}

impl<D: Door> BadWeek<D> {
    /// Something befalls an attempt, if it is still at work.
    pub(super) fn befall(&mut self, task: TaskId, fate: Fate) {
        let Some(Role::Agent(attempt)) = self.roles.get_mut(&task) else {
            return;
        };
        let job = attempt.job.clone();
        if attempt.is_given_up && !matches!(fate, Fate::Gone(_)) {
            return;
        }
        let now = self.edge.clock();
        self.story.tell(now, || format!("{fate:?} befalls {job}"));
        match fate {
            Fate::Reclaimed => {
                self.weather.struck(Kind::Reclaim);
                let goes_at = now + NOTICE;
                attempt.line.tell(Happening::SpotNotice {
                    goes_at: Some(goes_at),
                });
                let gone = Fate::Gone(AttemptEnd::host_lost());
                self.agenda.put(goes_at, Happens::Fate(task, gone));
            }
            Fate::TimesOut => {
                self.weather.struck(Kind::AttemptTimeout);
                attempt.exits = Exits::As(AttemptEnd::timed_out());
                attempt.line.tell(Happening::Terminate);
                let gone = Fate::Gone(AttemptEnd::timed_out());
                self.agenda.put(now + GRACE, Happens::Fate(task, gone));
            }
            Fate::GivenUp => {
                self.weather.struck(Kind::Zombie);
                attempt.is_given_up = true;
                self.edge
                    .batch(|batch| batch.end(&job, &AttemptEnd::host_lost()));
                if self.chance.bool() {
                    let thaws_at = self.within(300..10_800);
                    self.simulation.freeze(task, thaws_at);
                }
            }
            Fate::HostLost => {
                self.weather.struck(Kind::HostLost);
                self.befall(task, Fate::Gone(AttemptEnd::host_lost()));
            }
            Fate::Terminated => {
                self.weather.struck(Kind::TerminatedByPerson);
                self.edge.batch(|batch| {
                    let parent = job.split(':').next().unwrap_or(&job);
                    batch.terminate(parent, "not today")
                });
            }
            Fate::Gone(end) => {
                self.simulation.kill(task);
                self.roles.remove(&task);
                self.edge.batch(|batch| batch.end(&job, &end));
            }
        }
    }

    /// The agent is done.
    pub(super) fn exited(&mut self, attempt: Attempt, code: u8) {
        let job = attempt.job;
        self.tell(|| format!("the agent of {job} exits with {code}"));
        if attempt.is_given_up {
            return;
        }
        let end = match attempt.exits {
            Exits::HostLostThen => {
                self.weather.struck(Kind::LostAfterOutput);
                AttemptEnd::host_lost()
            }
            Exits::Killed(end) if code == 137 => end,
            Exits::As(end) => end,
            Exits::AsItSays | Exits::Killed(_) => AttemptEnd::exit(i32::from(code)),
        };
        self.edge.batch(|batch| batch.end(&job, &end));
    }

    /// A call killed the host.
    pub(super) fn host_is_gone(&mut self, attempt: &Attempt) {
        if !attempt.is_given_up {
            self.edge
                .batch(|batch| batch.end(&attempt.job, &AttemptEnd::host_lost()));
        }
    }

    /// Batch says that a job is over: whoever still works on it is told, and soon killed.
    pub(super) fn job_is_over(&mut self, job: &str) {
        let mut told = Vec::new();
        for (task, role) in &mut self.roles {
            let Role::Agent(attempt) = role else { continue };
            let is_of = attempt.job == job || attempt.job.starts_with(&format!("{job}:"));
            if is_of && !attempt.is_given_up {
                attempt.line.tell(Happening::Terminate);
                attempt.is_given_up = true;
                told.push(*task);
            }
        }
        for task in told {
            let gone = Fate::Gone(AttemptEnd::exit(137));
            self.agenda
                .put(self.now() + GRACE, Happens::Fate(task, gone));
        }
    }
}
