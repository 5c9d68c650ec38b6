//! The questions that the parts of the cloud ask before they do their work: is this one struck?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::draws::Draws;
use super::plan::{Chaos, seconds};
use super::sessions::{Doom, Sessions};
use crate::batch::Reclaim;
use crate::happening::{Happening, Watch};

/// What becomes of an event's delivery to one function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventFate {
    /// None: it is dropped.
    pub(crate) first: Option<Held>,
    /// A second delivery.
    pub(crate) second: Option<Held>,
}

/// How long a delivery is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    For(Duration),
    /// Until another one's work has ended.
    Behind,
}

impl Held {
    pub(crate) const NOT_AT_ALL: Self = Self::For(Duration::ZERO);
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallFate {
    Answered,
    /// No effect, no answer.
    Cut,
    /// Effect, no answer.
    AnswerLost,
    /// No answer, and the effect after this time.
    Late(Duration),
    /// Refused as one too many.
    Throttled,
    /// The caller dies at it.
    CallerDies(Doom),
}

/// A call as far as chaos looks at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallSeen<'a> {
    /// `function/<logical id>`, `job/<job id>` or `person`.
    pub(crate) caller: &'a str,
    /// Of the caller's credentials.
    pub(crate) token: Option<&'a str>,
    /// Whose door it came in by.
    pub(crate) service: &'a str,
    /// Its path.
    pub(crate) what: &'a str,
    /// Whether it changes something.
    pub(crate) is_change: bool,
}

/// Who is struck, by the plan.
#[derive(Debug)]
pub(crate) struct Strikes {
    plan: Chaos,
    is_on: AtomicBool,
    draws: Draws,
    sessions: Sessions,
    watch: Arc<Watch>,
}

impl Strikes {
    /// Without a plan nothing is ever struck.
    pub(crate) fn new(plan: Option<Chaos>, watch: Arc<Watch>) -> Arc<Self> {
        let is_on = plan.is_some();
        let plan = plan.unwrap_or_default();
        Arc::new(Self {
            is_on: AtomicBool::new(is_on),
            draws: Draws::new(plan.seed),
            sessions: Sessions::default(),
            plan,
            watch,
        })
    }

    /// Nothing is struck any more; what is on its way comes late all the same.
    pub(crate) fn calm(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Whether one of these shares was drawn, and which: they exclude each other.
    fn one_of(&self, kind: &'static str, shares: &[f64]) -> Option<usize> {
        // Without a draw where nothing can strike, so that a plan's other kinds stay as they are.
        if !self.is_on() || shares.iter().all(|share| *share <= 0.0) {
            return None;
        }
        let mut drawn = self.draws.per_cent(kind);
        for (n, share) in shares.iter().enumerate() {
            if drawn < *share {
                return Some(n);
            }
            drawn -= share;
        }
        None
    }

    fn tell(&self, kind: &'static str, what: String) {
        self.watch.report(Happening::Struck { kind, what });
    }

    /// What becomes of an event. One that `must_come` is not lost or held back.
    pub(crate) fn event(&self, function: &str, about: &str, must_come: bool) -> EventFate {
        let plan = &self.plan.events;
        let longest = seconds(plan.delay_max_s);
        let shares = [plan.drop, plan.delay, plan.reorder];
        let first = match self.one_of("event", &shares).filter(|_| !must_come) {
            Some(0) => {
                self.tell("event dropped", format!("{about} to {function}"));
                None
            }
            Some(1) => {
                let wait = self.draws.within("event delay", longest);
                let wait_s = wait.as_secs_f64();
                self.tell(
                    "event delayed",
                    format!("{about} to {function}, by {wait_s:.1} s"),
                );
                Some(Held::For(wait))
            }
            Some(_) => {
                self.tell("event reordered", format!("{about} to {function}"));
                Some(Held::Behind)
            }
            None => Some(Held::NOT_AT_ALL),
        };
        let second = self.one_of("event twice", &[plan.duplicate]).map(|_| {
            self.tell("event duplicated", format!("{about} to {function}"));
            if self.draws.coin("event twice at once") {
                Held::NOT_AT_ALL
            } else {
                Held::For(self.draws.within("event twice delay", longest))
            }
        });
        EventFate { first, second }
    }

    /// Whether the process that begins an invocation is to die in it.
    pub(crate) fn begin(&self, token: &str, function: &str, pid: i32) {
        let plan = &self.plan.functions;
        if self.one_of("function", &[plan.kill]).is_some() {
            let doom = Doom {
                pid,
                function: function.to_owned(),
                calls_left: self.draws.count("function call", plan.kill_within_calls),
                after_effect: self.draws.coin("function effect"),
            };
            self.sessions.condemn(token, doom);
        }
    }

    /// The invocation is over.
    pub(crate) fn end(&self, token: &str) {
        self.sessions.spare(token);
    }

    /// What becomes of a call. People's calls are never struck.
    pub(crate) fn call(&self, call: CallSeen<'_>) -> CallFate {
        if let Some(doom) = call.token.and_then(|token| self.sessions.call(token)) {
            let when = if doom.after_effect { "after" } else { "before" };
            let (function, what) = (&doom.function, format!("{} {}", call.service, call.what));
            self.tell(
                "function killed",
                format!("{function}, {when} {what} took effect"),
            );
            return CallFate::CallerDies(doom);
        }
        if !(call.caller.starts_with("function/") || call.caller.starts_with("job/")) {
            return CallFate::Answered;
        }
        let plan = &self.plan.calls;
        let shares = [plan.cut, plan.lose_answer, plan.throttle, plan.late];
        let (caller, what) = (call.caller, format!("{} {}", call.service, call.what));
        match self.one_of("call", &shares) {
            Some(0) => {
                self.tell("call cut", format!("{caller}: {what}"));
                CallFate::Cut
            }
            Some(1) => {
                self.tell("answer lost", format!("{caller}: {what}"));
                CallFate::AnswerLost
            }
            Some(2) => {
                self.tell("call throttled", format!("{caller}: {what}"));
                CallFate::Throttled
            }
            Some(_) if call.is_change => {
                let wait = self.draws.within("call delay", seconds(plan.late_max_s));
                let wait_s = wait.as_secs_f64();
                self.tell("effect late", format!("{caller}: {what}, by {wait_s:.1} s"));
                CallFate::Late(wait)
            }
            _ => CallFate::Answered,
        }
    }

    /// Whether the Spot host of an attempt that now runs is taken back: when, and how.
    pub(crate) fn host(&self) -> Option<(Duration, Reclaim)> {
        let plan = &self.plan.hosts;
        let how = match self.one_of("host", &[plan.reclaim, plan.lose])? {
            0 => Reclaim::WithNotice(seconds(plan.notice_s)),
            _ => Reclaim::WithoutNotice,
        };
        let after = self.draws.within("host delay", seconds(plan.within_s));
        Some((after, how))
    }

    /// The host is taken back now.
    pub(crate) fn host_struck(&self, job_name: &str, how: Reclaim) {
        let kind = match how {
            Reclaim::WithNotice(_) => "host reclaimed",
            Reclaim::WithoutNotice => "host lost",
        };
        self.tell(kind, job_name.to_owned());
    }

    /// Whether a Spot queue gets no hosts from this submission on, and for how long.
    pub(crate) fn capacity(&self, queue: &str) -> Option<Duration> {
        let plan = &self.plan.capacity;
        self.one_of("capacity", &[plan.withhold])?;
        let long = self
            .draws
            .within("capacity time", seconds(plan.withhold_max_s));
        let long_s = long.as_secs_f64();
        self.tell("capacity withheld", format!("{queue}, for {long_s:.1} s"));
        Some(long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(text: &str) -> Arc<Strikes> {
        let chaos = Chaos::parse(text, 7).expect("a chaos file");
        Strikes::new(Some(chaos), Arc::new(Watch::new()))
    }

    fn call(caller: &str, is_change: bool) -> CallSeen<'_> {
        CallSeen {
            caller,
            token: None,
            service: "s3",
            what: "/b/k",
            is_change,
        }
    }

    #[test]
    fn a_share_strikes_about_as_often_as_it_says() {
        let strikes = strikes("[events]\ndrop = 20\ndelay = 30\nduplicate = 50\n");
        let fates: Vec<_> = (0..1000).map(|_| strikes.event("f", "e", false)).collect();
        let share =
            |fits: &dyn Fn(&EventFate) -> bool| fates.iter().filter(|fate| fits(fate)).count() / 10;

        assert!((16..=24).contains(&share(&|fate| fate.first.is_none())));
        let delayed = |fate: &EventFate| fate.first.is_some_and(|held| held != Held::NOT_AT_ALL);
        assert!((25..=35).contains(&share(&delayed)));
        assert!((45..=55).contains(&share(&|fate| fate.second.is_some())));
    }

    #[test]
    fn an_event_that_must_come_is_doubled_at_worst() {
        let strikes = strikes("[events]\ndrop = 100\nduplicate = 100\n");

        let fate = strikes.event("f", "e", true);

        assert_eq!(fate.first, Some(Held::NOT_AT_ALL));
        assert!(fate.second.is_some());
    }

    #[test]
    fn people_are_never_struck_and_nothing_is_in_a_calm() {
        let strikes = strikes("[calls]\nlose_answer = 100\n");

        assert_eq!(strikes.call(call("person", true)), CallFate::Answered);
        assert_eq!(strikes.call(call("job/1", true)), CallFate::AnswerLost);
        strikes.calm();
        assert_eq!(strikes.call(call("job/1", true)), CallFate::Answered);
    }

    #[test]
    fn what_changes_nothing_has_no_late_effect() {
        let strikes = strikes("[calls]\nlate = 100\n");

        assert_eq!(strikes.call(call("job/1", false)), CallFate::Answered);
        assert!(matches!(
            strikes.call(call("job/1", true)),
            CallFate::Late(_)
        ));
    }
}
