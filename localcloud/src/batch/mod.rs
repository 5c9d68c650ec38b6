//! AWS Batch: submissions, states, retries, time-outs, arrays, and the events about them. A job's attempt is a
//! child process on a host of its own. Follows the strings and shapes of real captures; decides nothing about
//! what a job is for.

mod api;
mod attempt;
mod blocked;
mod container;
mod container_engine;
mod engine;
mod host;
mod job;
mod outcome;
mod records;
mod recovery;
mod retry;
mod shape;
mod state;
mod submit;
mod views;
mod work;

pub(crate) use api::handle;
pub(crate) use container::not_done;
pub(crate) use container_engine::ContainerEngine;
pub(crate) use engine::Batch;
pub use engine::Reclaim;
pub(crate) use host::HostSettings;
pub use job::JobSnapshot;
pub(crate) use retry::allows;
