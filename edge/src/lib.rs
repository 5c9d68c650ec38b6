//! The only crate that touches S3, Batch and SNS.
//!
//! [`Store`], [`Jobs`], [`Topic`] and [`World`] are implemented twice: by [`aws`] with the SDKs and by
//! [`memory`] for proofs on a virtual clock. [`drive`] carries a run's decisions out over either;
//! [`transfer`] moves files over either.

pub mod aws;
pub mod cas;
pub mod chain;
pub mod drive;
#[cfg(feature = "lambda")]
pub mod function;
pub mod jobs;
pub mod memory;
pub mod metrics;
pub mod patience;
#[cfg(feature = "planted")]
pub mod planted;
pub mod refused;
pub mod settings;
pub mod store;
pub mod topic;
pub mod transfer;
pub mod world;

pub use jobs::Jobs;
pub use store::Store;
pub use topic::Topic;
pub use world::World;
