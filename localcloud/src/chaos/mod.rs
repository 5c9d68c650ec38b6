//! Bad weeks on purpose: which event, call, function or host is struck, and how. Decides only that; whoever asks
//! carries it out where it happens. Every strike is told.

mod draws;
mod plan;
mod sessions;
mod strikes;

pub use plan::{CallChaos, CapacityChaos, Chaos, ChaosError, EventChaos, FunctionChaos, HostChaos};
pub(crate) use strikes::{CallFate, CallSeen, Held, Strikes};
