//! The services in memory, for proofs on a virtual clock: nothing random outside a seed, no waiting.
//!
//! [`MemoryEdge`] is a whole [`Edge`](crate::drive::Edge). A proof moves its jobs by hand through
//! [`MemoryBatch`], carries the events that come of it to whom it likes, and says by
//! [`MemoryEdge::on_call`] which call goes wrong and how. No decision of trainspot's is made here.

mod batch;
mod batch_event;
mod call;
mod clock;
mod edge;
mod services;
mod shared;
mod store;
mod timers;

pub use batch::{ATTEMPTS_MAX, AttemptEnd, BatchJob, MemoryBatch, is_retried};
pub use call::{Call, CallKind, Fault, Precondition, Travel};
pub use clock::VirtualClock;
pub use edge::MemoryEdge;
pub use shared::Written;
pub use store::MemoryStore;
