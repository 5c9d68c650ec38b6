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
mod results;
mod spec;
mod telling;
mod turns;
mod week;
mod worker;

pub use deed::Deed;
pub use results::Results;
pub use spec::Spec;
pub use turns::{Ended, Invocation, by_turns, run};
pub use week::{Wake, Week, answer, at, minutes};
pub use worker::{Arrival, Worker};
