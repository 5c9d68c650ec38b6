//! Whole attempts: the agent around a real shell program, over a store in memory or over the wire.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod bench;
mod binary;
mod ending;
mod expired;
mod large_files;
mod last_shipping;
mod live_outputs;
mod namespaces;
mod ownership;
mod pruned;
mod reclaim;
mod refused;
mod shelf;
mod stages;
mod still;
mod turns;
mod wire;
mod zombies;
