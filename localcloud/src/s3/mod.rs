//! The part of S3 that a product binary, the cli or a documented `aws` command uses: conditional puts, ranged
//! gets, uploads in parts, heads, listings, deletes. Written by hand rather than with an S3 framework: a few operations over
//! plain files need one lock, and share recording, refusing and 501s with the other services.

mod answers;
mod body;
mod facts;
mod handler;
mod list_answer;
mod listing;
mod reading;
mod store;
mod uploads;

pub(crate) use answers::slow_down;
pub(crate) use handler::handle;
pub(crate) use store::Store;
