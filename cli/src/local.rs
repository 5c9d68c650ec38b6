//! Everything that needs a local cloud: serve one, run a pipeline in one, and what the demo builds on.

pub mod address;
pub mod cloud;
pub mod data;
pub mod follow;
pub mod narrator;
pub mod run;
pub mod serve;
pub mod tick;
