//! The services in memory, for proofs on a virtual clock.

mod store;

pub use store::MemoryStore;
