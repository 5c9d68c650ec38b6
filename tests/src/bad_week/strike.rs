//! Which call is struck, and by what.

use jiff::SignedDuration;
use trainspot_edge::memory::{Call, CallKind, Fault, Precondition};

use super::kind::Kind;
use super::weather::State;

/// What lands later than this lands beyond the lease and the two minutes after it.
const BEYOND_LEASE: SignedDuration = SignedDuration::from_mins(6);

/// What one call of a function, or of an agent, may suffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    Fault(Fault),
    /// For so many seconds, before or after the call took effect.
    Freeze {
        seconds: i64,
        is_after: bool,
    },
}

impl State {
    /// None, most of the time.
    pub(super) fn draw(&mut self, call: &Call) -> Option<Strike> {
        if call.at >= self.calm_at || call.by.starts_with("person") {
            return None;
        }
        let is_agent = call.by.starts_with("agent");
        let rate = if is_agent {
            self.of_agents
        } else {
            self.of_functions
        };
        // The rare calls, and the writes that everything rests on, get more than their share.
        let share = match (call.kind, call.precondition) {
            (CallKind::Submit | CallKind::Publish, _) => 5,
            (CallKind::Terminate | CallKind::Find, _) => 4,
            (_, Precondition::Absent | Precondition::Matches) => 2,
            _ => 1,
        };
        if self.chance.u32(0..1_000) >= rate * share {
            return None;
        }
        Some(self.strike(call, is_agent)).filter(|strike| match strike {
            Strike::Fault(fault) => fault.can_strike(call),
            Strike::Freeze { .. } => true,
        })
    }

    fn strike(&mut self, call: &Call, is_agent: bool) -> Strike {
        use Fault::{
            Conflict, KilledAfter, KilledBefore, LostAfter, LostBefore, Overtaken, Overwritten,
            Refused, Repeated, Throttled,
        };
        let has_effect = !matches!(
            call.kind,
            CallKind::Get | CallKind::List | CallKind::Describe | CallKind::Find
        );
        // Only whoever freezes between SNS's answer and its own record tells a short lease from a long one.
        let is_told = call.kind == CallKind::Publish;
        let freeze = self.draw_freeze(call, is_agent);
        let late = Strike::Fault(Fault::Late(self.draw_lateness(call)));
        let strikes: &[(u32, Strike)] = &[
            (10, Strike::Fault(LostBefore)),
            (10, Strike::Fault(KilledBefore)),
            (if has_effect { 12 } else { 1 }, Strike::Fault(LostAfter)),
            (if has_effect { 10 } else { 1 }, Strike::Fault(KilledAfter)),
            (if has_effect { 12 } else { 0 }, late),
            (if has_effect { 6 } else { 1 }, Strike::Fault(Repeated)),
            (if is_told { 40 } else { 8 }, freeze),
            (
                if is_agent { 0 } else { throttles(call) },
                Strike::Fault(Throttled),
            ),
            (
                if is_agent { 0 } else { refuses(call) },
                Strike::Fault(Refused),
            ),
            (5, Strike::Fault(Conflict)),
            (5, Strike::Fault(Overtaken)),
            (5, Strike::Fault(Overwritten)),
        ];
        let possible: Vec<(u32, Strike)> = strikes
            .iter()
            .filter(|(_, strike)| match strike {
                Strike::Fault(fault) => fault.can_strike(call),
                Strike::Freeze { .. } => true,
            })
            .copied()
            .collect();
        let mut lot = self
            .chance
            .u32(0..possible.iter().map(|(weight, _)| weight).sum());
        for (weight, strike) in possible {
            if lot < weight {
                return strike;
            }
            lot -= weight;
        }
        Strike::Fault(LostBefore)
    }

    fn draw_freeze(&mut self, call: &Call, is_agent: bool) -> Strike {
        let is_short = !is_agent && self.chance.u8(0..10) < 6;
        let seconds = if is_short {
            self.chance.i64(20..58)
        } else {
            self.chance.i64(300..7_200)
        };
        let left = self.calm_at.duration_since(call.at).as_secs();
        Strike::Freeze {
            seconds: seconds.min(left.max(1)),
            is_after: self.chance.bool(),
        }
    }

    fn draw_lateness(&mut self, call: &Call) -> SignedDuration {
        let minutes = match self.chance.u8(0..10) {
            0..2 => self.chance.i64(1..6),
            2..9 => self.chance.i64(6..40),
            _ => self.chance.i64(40..240),
        };
        SignedDuration::from_mins(minutes).min(self.calm_at.duration_since(call.at))
    }
}

/// A refusal for load is Batch's and SNS's; the store's client tries again by itself.
const fn throttles(call: &Call) -> u32 {
    if matches!(
        call.kind,
        CallKind::Submit | CallKind::Publish | CallKind::Terminate
    ) {
        10
    } else {
        0
    }
}

/// For good: a job definition that is gone, a topic that is.
const fn refuses(call: &Call) -> u32 {
    match call.kind {
        CallKind::Submit => 4,
        CallKind::Publish => 14,
        _ => 0,
    }
}

/// What the table calls it.
pub(super) fn kind_of(fault: Fault, call: &Call) -> Option<Kind> {
    let is_agent = call.by.starts_with("agent");
    Some(match fault {
        Fault::LostBefore => Kind::UnansweredBefore,
        Fault::LostAfter => Kind::UnansweredAfter,
        Fault::Late(after) if after >= BEYOND_LEASE => Kind::LateEffect,
        Fault::Late(_) => return None,
        Fault::Repeated => Kind::RepeatedCall,
        Fault::Throttled => Kind::Throttled,
        Fault::Refused if call.kind == CallKind::Submit => Kind::RefusedSubmit,
        Fault::Refused => Kind::RefusedNotice,
        Fault::Conflict => Kind::Conflict,
        Fault::Overtaken => Kind::Overtaken,
        Fault::Overwritten => Kind::Overwritten,
        Fault::KilledBefore | Fault::KilledAfter if is_agent => Kind::HostLostAtCall,
        Fault::KilledBefore => Kind::KilledBefore,
        Fault::KilledAfter => Kind::KilledAfter,
    })
}
