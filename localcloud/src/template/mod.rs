//! Reads `template.yaml`: the only source of queues, definitions, functions, rules, schedules, buckets and
//! topics. Knows `CloudFormation` and SAM as far as those need it; never what the product does with them.

mod batch;
mod conditions;
mod declared;
mod document;
mod functions;
mod intrinsics;
mod names;
mod rules;
mod stack;
mod stop_timeout;

#[cfg(test)]
pub(crate) use batch::RetryRule;
pub(crate) use batch::{Definition, Market, Queue, Retry, RetryAction};
pub use declared::{
    Declared, DeclaredFunction, DeclaredQueue, DeclaredResource, DeclaredRule, DeclaredSchedule,
    DeclaredTarget,
};
pub(crate) use functions::Function;
pub(crate) use rules::{Input, Rule, RuleKind, ScheduleKind, Trigger};
pub(crate) use stack::{LetterQueue, Stack};

/// The region of everything in the local cloud.
pub(crate) const REGION: &str = "us-east-1";
/// The account of everything in the local cloud.
pub(crate) const ACCOUNT: &str = "123456789012";
/// The name of the one stack.
pub(crate) const STACK_NAME: &str = "trainspot-local";
