//! The checks. Each says which calls it needs and what it makes of the answers; both are plain functions.

mod account_quotas;
mod alarms;
mod batch_answer;
mod buckets;
mod dataset;
mod environments;
mod functions;
mod image;
mod letters;
mod network;
mod offerings;
mod pushed;
mod queues;
mod roles;
mod spend;
mod stack;
mod subscriptions;
mod ticks;
mod wakers;
mod way_out;

use super::call::Call;
use super::case::Case;
use super::command::Answers;
use super::finding::Finding;

/// A check: its calls, and what they mean. The order is that of the table.
pub(crate) struct Check {
    pub(crate) calls: fn(&Case) -> Vec<Call>,
    pub(crate) findings: fn(&Case, &Answers) -> Vec<Finding>,
}

macro_rules! check {
    ($room:ident) => {
        Check {
            calls: $room::calls,
            findings: $room::findings,
        }
    };
}

/// Those that ask AWS. Before the first deploy each asks only what makes sense then.
pub(crate) const ALL: [Check; 17] = [
    check!(stack),
    check!(account_quotas),
    check!(network),
    check!(way_out),
    check!(image),
    check!(roles),
    check!(environments),
    check!(queues),
    check!(functions),
    check!(wakers),
    check!(buckets),
    check!(dataset),
    check!(pushed),
    check!(subscriptions),
    check!(letters),
    check!(alarms),
    check!(spend),
];

pub(crate) use stack::asked as stack_asked;
pub(crate) use ticks::findings as tick_findings;
