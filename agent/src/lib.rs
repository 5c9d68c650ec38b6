//! trainspot-agent: the container's entry point, around any program.
//!
//! One attempt: find the place in the stage's head, restore the newest checkpoint, fetch what was
//! pinned, run the program, ship and publish what it completes, and end with a code that tells
//! Batch and the failure classifier what to do. It works only while it owns the stage, writes only
//! under its own attempt's prefix, and publishes only by compare-and-swap on the head.
//!
//! # What the program sees
//!
//! `TRAINSPOT_RUN_ID`, `_PIPELINE`, `_STAGE`, `_SHARD`, `_SHARDS`, `_DATA_DIR`, `_INPUT_DIR`,
//! `_CHECKPOINT_DIR`, `_OUTPUT_DIR` and `_PARAMS` (a JSON file). It writes
//! `<checkpoint dir>/<step>.partial/` and renames it to `<step>/`; `progress.json`,
//! `metrics.jsonl`, `curve.json`, `training.json` and, when it gives up, `failure.json` in the
//! output directory. SIGTERM means checkpoint and end, SIGUSR1 checkpoint and go on. Ending with 0
//! means the output is complete, also after a SIGTERM. `MANIFEST.json` and `attempt.json` are the
//! agent's names.
//!
//! # What the agent listens to
//!
//! `TRAINSPOT_JOB` and Batch's variables say what to do. `TRAINSPOT_WORK_DIR`,
//! `TRAINSPOT_LINGER=1`, `TRAINSPOT_CONTRACT=1` (the program knows the codes 64 to 80),
//! `TRAINSPOT_STALL_S`, `TRAINSPOT_IMDS_POLL_S` and `AWS_EC2_METADATA_SERVICE_ENDPOINT` say how. For
//! tests only: `TRAINSPOT_TEST_IGNORE_HEADS=1` publishes whatever the heads say.

mod account;
mod assignment;
mod checkpoints;
mod ending;
mod error;
mod fetch;
mod file_digest;
mod file_set;
mod folder;
mod gpu;
mod heard;
mod heartbeat;
mod http;
mod log_tail;
mod memory_events;
mod patience;
mod place;
mod relative_path;
mod restore;
mod shipper;
mod stuck;
mod unread;
mod watch;
mod work;
mod workplace;

pub mod bound;
pub mod exit_code;
pub mod host;
pub mod log_line;
pub mod mask;
pub mod metadata;
pub mod nvidia;
pub mod process;
pub mod program;
pub mod reaper;
pub mod settings;
pub mod signals;

pub use assignment::Assignment;
pub use error::AgentError;
pub use host::Host;
pub use program::Program;
pub use settings::Settings;
pub use work::work;
