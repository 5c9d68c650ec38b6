//! What every side of trainspot agrees on: names, documents, keys, events and decisions.
//!
//! Nothing here reads a clock, draws a number or talks to a service: this crate has neither an
//! async runtime nor an SDK, and time, ids and randomness come in as arguments.

pub mod attempt;
pub mod batch_event;
pub mod champion;
pub mod command;
pub mod cost;
pub mod dataset;
pub mod digest;
pub mod failure;
pub mod gate;
pub mod host_shape;
pub mod identity;
pub mod job;
pub mod layout;
pub mod manifest;
pub mod measure;
pub mod metrics;
pub mod notice;
pub mod pipeline;
pub mod pipeline_head;
pub mod progress;
pub mod report;
pub mod request;
pub mod retention;
pub mod run;
pub mod schedule;
pub mod shard_plan;
pub mod stage_head;
