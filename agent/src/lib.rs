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
//! output directory. What it writes into the output directory is off the host within seconds: the files
//! that people watch under their names, small ones in packs under `unpublished/` in the attempt's results,
//! larger ones where they belong. SIGTERM means checkpoint and end, SIGUSR1 checkpoint and go on. Ending with 0
//! means the output is complete, also after a SIGTERM. `MANIFEST.json` and `attempt.json` are the
//! agent's names. Whatever it leaves running is killed after its end.
//!
//! # When it stands still
//!
//! A program with a heartbeat gets on while its step, total or detail changes, while it writes
//! metrics, or while something happens in its checkpoint directory; the heartbeat's time and rate are
//! no sign. After `TRAINSPOT_STALL_S` (600) without any it is ended with 74. So is a `train` stage
//! whose GPUs have all been idle for `TRAINSPOT_GPU_IDLE_S` (600), counted from the first step or the
//! last work of a GPU; asked of `nvidia-smi`, where `NVIDIA_VISIBLE_DEVICES` says that the container
//! was given one. First every process of it that catches SIGQUIT gets one, to write its stacks; then
//! SIGTERM; then SIGKILL. One that even that does not end is left behind.
//!
//! # When it has to go
//!
//! After a Spot notice the program has three quarters of the time until the host goes, 90 s of two minutes;
//! after SIGTERM two thirds of `TRAINSPOT_STOP_TIMEOUT_S` (30), or 20 s if a Spot notice came before. It is killed
//! then. Shipping is given up ten seconds before the host goes, or when nine tenths of the stop's time are over, for a
//! record to be there in any case. Each word may make that sooner, none later.
//!
//! # What is on record
//!
//! `attempt.json` is written when the work begins, when a notice comes, each minute beside whatever else is on its
//! way, and at the end whatever happened, with the last 200 lines, secrets masked: by name (`password=`, `--token x`, `Authorization:`), by shape
//! (keys of AWS, GitHub, Slack, Hugging Face and others, JSON web tokens, private keys, passwords in
//! addresses), and by value, for variables whose names say secret.
//!
//! # What the agent listens to
//!
//! `TRAINSPOT_JOB` and Batch's variables say what to do. `TRAINSPOT_WORK_DIR`,
//! `TRAINSPOT_LINGER=1`, `TRAINSPOT_CONTRACT=1` (the program knows the codes 64 to 80),
//! `TRAINSPOT_STALL_S`, `TRAINSPOT_STOP_TIMEOUT_S`, `TRAINSPOT_GPU_IDLE_S`, `TRAINSPOT_GPU_POLL_S` (30 at most),
//! `TRAINSPOT_IMDS_POLL_S` (2; 5 at most), `NVIDIA_VISIBLE_DEVICES` and
//! `AWS_EC2_METADATA_SERVICE_ENDPOINT` say how. SIGTERM tells it to go; SIGINT, SIGHUP and SIGUSR1 are
//! passed on. The instance's metadata service tells of the Spot notice and of the rebalance hint; where
//! there is none, one line says so. Credentials that S3 calls expired are asked for again. For tests
//! only: `TRAINSPOT_TEST_IGNORE_HEADS=1` publishes whatever the heads say.

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
mod held;
mod http;
mod live;
mod log_tail;
mod memory_events;
mod patience;
mod place;
mod relative_path;
mod restore;
mod shipper;
mod stuck;
mod time_left;
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
pub use time_left::TimeLeft;
pub use work::work;
