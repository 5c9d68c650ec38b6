//! Whole runs, told as stories. One binary: each would link all of AWS again.

mod admission;
mod champion;
mod duplicates;
mod failures;
mod large_fan_outs;
mod lost_answers;
mod metrics;
mod notices;
mod overview;
mod refusals;
mod remedies;
mod requests;
mod supervision;
mod template;
mod upgrade;

const MONDAY: &str = "2026-11-23T02:00:00Z";
const FRIDAY: &str = "2026-11-27T02:00:00Z";
