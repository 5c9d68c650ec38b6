//! The services behind the SDKs.

mod batch;
mod clients;
#[cfg(feature = "invoke")]
mod invoke;
#[cfg(feature = "invoke")]
mod remove;
mod s3;
mod sns;

pub use clients::{Aws, behaviour};
#[cfg(feature = "invoke")]
pub use invoke::{InvokeError, Invoker};
