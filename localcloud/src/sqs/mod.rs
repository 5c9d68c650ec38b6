//! SQS, as far as a dead-letter queue goes: what is put away is kept as files, received, hidden for a while, and
//! deleted.

mod api;
mod letters;

pub(crate) use api::handle;
pub(crate) use letters::Letters;
