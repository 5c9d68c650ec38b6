//! Lambda: real function binaries behind the Runtime API, one invocation at a time per process, more processes
//! when all are busy. Knows nothing of what a function does.

mod accepted;
mod api;
mod asynchronous;
mod functions;
mod process;
mod running;

pub(crate) use api::handle;
pub use functions::InvokeAnswer;
pub(crate) use functions::{FunctionSettings, Functions};
