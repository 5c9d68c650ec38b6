//! The services behind the SDKs.

mod batch;
mod clients;
mod s3;
mod sns;

pub use clients::Aws;
