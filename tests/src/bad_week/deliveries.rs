//! Events on their way, the functions that they wake, and what Lambda does when one fails.

use jiff::SignedDuration;
use serde_json::Value;

use super::happens::Happens;
use super::kind::Kind;
use super::plan::FUNCTION_TIMEOUT;
use super::watch::Checked;
use super::weather::Freeze;
use super::{BadWeek, Ending, Role};
use crate::door::Door;
use crate::simulation::TaskId;
use crate::waking::{Wake, answer_through};

/// How often supervision comes by.
pub(super) const SWEEP_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// When nothing was written and nothing is pending, a sweep would find only that time has passed; the
/// next one finds that as well. So the week may skip some, but not for longer than this.
const SWEEP_AT_LEAST_EVERY: SignedDuration = SignedDuration::from_mins(40);
/// Lambda tries an event that failed twice more.
const TRIES: usize = 3;

/// One request to a function; its tries share the id.
#[derive(Debug, Clone)]
pub(super) struct Invoked {
    pub(super) wake: Wake,
    /// Function and request id.
    pub(super) by: String,
    nth: usize,
}

impl<D: Door> BadWeek<D> {
    /// A request with an id of its own.
    pub(super) fn invocation(&mut self, wake: Wake) -> Invoked {
        self.invoked += 1;
        let function = wake.door().unwrap_or("nobody");
        Invoked {
            by: format!("{function}/{:08x}", self.invoked),
            wake,
            nth: 1,
        }
    }

    /// An event leaves; it may get lost, late, or doubled.
    pub(super) fn send(&mut self, wake: &Wake) {
        if wake.door().is_none() {
            return;
        }
        if self.in_percent(8) {
            self.weather.struck(Kind::LostEvent);
            self.tell(|| format!("lost: {}", label(wake)));
            return;
        }
        let times = if self.in_percent(12) {
            self.weather.struck(Kind::DuplicateEvent);
            self.chance.usize(2..4)
        } else {
            1
        };
        for _ in 0..times {
            let delay = match self.chance.u8(0..100) {
                0..84 => 0..3,
                84..96 => 30..1_800,
                _ => 1_800..21_600,
            };
            let at = if self.is_calm() {
                self.within(0..3)
            } else {
                self.within(delay)
            };
            if at.duration_since(self.now()) > SignedDuration::from_mins(5) {
                self.weather.struck(Kind::DelayedEvent);
            }
            let invoked = self.invocation(wake.clone());
            self.agenda.put(at, Happens::Arrives(invoked));
        }
    }

    /// What the week itself learns from an event, whether or not it reaches anybody.
    pub(super) fn see_event(&mut self, event: &Value) -> Checked {
        let detail = &event["detail"];
        if event["detail-type"] != "Batch Job State Change" {
            return Ok(());
        }
        let (id, name) = (text(detail, "jobId"), text(detail, "jobName"));
        let status = text(detail, "status");
        self.tell(|| format!("Batch: {id} {name} is {status} {}", detail["statusReason"]));
        let is_child = !detail["arrayProperties"]["index"].is_null();
        match status.as_str() {
            "SUBMITTED" if !is_child && self.watch.see_job(&id, &name, &self.weather)? => {
                self.weather.struck(Kind::LateTwin);
            }
            "RUNNABLE" => self.wait_for_host(&id, &name),
            "SUCCEEDED" | "FAILED" => self.job_is_over(&id),
            _ => {}
        }
        Ok(())
    }

    /// A function is woken.
    pub(super) fn arrives(&mut self, invoked: Invoked) {
        if let Wake::Event(event) = &invoked.wake {
            let job = text(&event["detail"], "jobId");
            let number = text(event, "id")
                .rsplit('-')
                .next()
                .and_then(|n| n.parse().ok());
            let newest = self.delivered.entry(job).or_insert(0);
            if number.is_some_and(|number| number < *newest) {
                self.weather.struck(Kind::ReorderedEvent);
            }
            *newest = (*newest).max(number.unwrap_or(0));
        }
        let skew = SignedDuration::from_secs(self.chance.i64(-15..=15));
        if skew.abs() > SignedDuration::from_secs(5) {
            self.weather.struck(Kind::ClockSkew);
        }
        let (by, nth) = (invoked.by.clone(), invoked.nth);
        self.tell(|| format!("{by} is woken by {} (try {nth})", label(&invoked.wake)));
        if self.in_percent(1) {
            self.weather.slow_down(&by);
        }
        let sight = self.edge.caller(&by, skew);
        let edge = self.door.edge(sight.clone());
        let settings = self.settings.clone();
        let wake = invoked.wake.clone();
        let task = self.simulation.begin(sight, async move {
            Ending::Answered(answer_through(&edge, &settings, &wake, &by).await)
        });
        self.roles.insert(task, Role::Function(invoked));
        self.agenda.put(
            self.now() + self.bug.function_lives(),
            Happens::TimeOut(task),
        );
    }

    pub(super) fn answered(&mut self, invoked: Invoked, answer: Result<Value, String>) {
        match answer {
            Ok(answer) => self.tell(|| format!("{} answers {answer}", invoked.by)),
            Err(why) => {
                self.weather.trouble(&invoked.by);
                self.tell(|| format!("{} fails: {why}", invoked.by));
                self.again(invoked);
            }
        }
    }

    pub(super) fn died(&mut self, invoked: Invoked, how: &str) {
        self.weather.trouble(&invoked.by);
        self.tell(|| format!("{} {how}", invoked.by));
        self.again(invoked);
    }

    fn again(&mut self, invoked: Invoked) {
        if invoked.nth >= TRIES {
            return;
        }
        let minutes = i64::try_from(invoked.nth).unwrap_or(1);
        let nth = invoked.nth + 1;
        let at = self.now() + SignedDuration::from_mins(minutes);
        self.agenda
            .put(at, Happens::Arrives(Invoked { nth, ..invoked }));
    }

    pub(super) fn time_out(&mut self, task: TaskId) {
        if let Some(thaws_at) = self.outlives.remove(&task) {
            self.agenda
                .put(thaws_at + FUNCTION_TIMEOUT / 2, Happens::TimeOut(task));
            return;
        }
        if !matches!(self.role(task), Some(Role::Function(_))) || !self.simulation.kill(task) {
            return;
        }
        if let Some(Role::Function(invoked)) = self.roles.remove(&task) {
            self.weather.struck(Kind::FunctionTimeout);
            self.died(invoked, "times out");
        }
    }

    /// While a function's whole host is frozen its time does not pass; a short freeze is its own.
    pub(super) fn outlive(&mut self, task: TaskId, freeze: &Freeze) {
        if freeze.is_long && matches!(self.role(task), Some(Role::Function(_))) {
            self.outlives.insert(task, freeze.until);
        }
    }

    /// Supervision's schedule fires.
    pub(super) fn sweep(&mut self) {
        let is_quiet = !self.wrote_since_sweep && !self.watch.has_pending();
        self.sweep_after = if is_quiet {
            (self.sweep_after * 2).min(SWEEP_AT_LEAST_EVERY)
        } else {
            SWEEP_EVERY
        };
        self.wrote_since_sweep = false;
        let mut next = self.now() + self.sweep_after;
        if is_quiet && self.is_idle() {
            // Nothing at all is going on until something is due.
            let due = self.next_tick();
            next = next.max(due.unwrap_or(next));
        }
        self.agenda.put(next, Happens::Sweep);
        if self.in_percent(10) {
            return;
        }
        let invoked = self.invocation(Wake::Sweep);
        self.arrives(invoked);
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn label(wake: &Wake) -> String {
    match wake {
        Wake::Request(payload) => payload.to_string(),
        Wake::Event(event) => {
            let detail = &event["detail"];
            format!(
                "{} {} {} ({})",
                text(detail, "jobId"),
                text(detail, "jobName"),
                text(detail, "status"),
                text(event, "detail-type")
            )
        }
        Wake::Sweep => "its schedule".to_owned(),
        Wake::Cancel { run_id, .. } => format!("a person who cancels {run_id}"),
    }
}
