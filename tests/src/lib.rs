//! Whole runs told as stories: the real handlers over services in memory, on a virtual clock.
//!
//! A [`Week`] is a world with one pipeline. It plays what lies around the functions: the schedule that
//! ticks, Batch's hosts, the agents on them ([`Worker`]), and the events on their way. It decides
//! nothing that trainspot decides. A story says what goes wrong and looks at how it ends.
#![expect(
    clippy::missing_panics_doc,
    reason = "a story that cannot go on panics; that is how it fails"
)]

mod deed;
mod door;
mod results;
mod simulation;
mod spec;
mod telling;
mod turns;
mod waking;
mod week;
mod wire;
mod worker;

pub mod bad_week;

pub use deed::Deed;
pub use door::{Door, InMemory};
pub use results::Results;
pub use simulation::{Simulation, TaskId};
pub use spec::Spec;
pub use turns::{Ended, Invocation, by_turns, run};
pub use waking::{Wake, answer, answer_through};
pub use week::{Week, at, minutes};
pub use wire::{OverTheWire, WireEdge, WithRepeatedSubmissions};
pub use worker::{Arrival, Worker};
