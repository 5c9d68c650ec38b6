//! The services behind the SDKs.

mod batch;
mod clients;
mod credentials;
#[cfg(feature = "invoke")]
mod invoke;
mod parts;
#[cfg(feature = "invoke")]
mod remove;
mod renewal;
mod s3;
mod sns;

pub use clients::{Aws, behaviour};
pub use credentials::{CredentialsRefused, refusal};
#[cfg(feature = "invoke")]
pub use invoke::{InvokeError, Invoker};
