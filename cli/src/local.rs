//! Everything that needs a local cloud: serve one, run a pipeline in one, and what the demo builds on.

pub(crate) mod address;
pub(crate) mod chaos;
pub(crate) mod cloud;
pub(crate) mod containers;
pub(crate) mod data;
pub(crate) mod folder_lock;
pub(crate) mod follow;
pub(crate) mod narrator;
pub(crate) mod reclaim;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod tick;
