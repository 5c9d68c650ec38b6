//! The AWS that a laptop needs, in one process, driven by `template.yaml`: S3, Batch, SNS, `EventBridge` and
//! Lambda with the real wire protocols, the real function binaries, and child processes for containers.
//!
//! It contains no business rule, and implements only the calls that a product binary, the cli or a documented
//! `aws` command makes. Anything else is answered 501 and reported.

mod asked;
mod batch;
mod chaos;
mod cloud;
mod errors;
mod events;
mod folder;
mod front;
mod front_struck;
mod happening;
mod ids;
mod imds;
mod lambda;
mod listening;
mod locked;
mod processes;
mod s3;
mod settings;
mod sns;
mod sqs;
mod template;
mod throttle;

pub use asked::Asked;
pub use batch::{JobSnapshot, Reclaim};
pub use chaos::{
    CallChaos, CapacityChaos, Chaos, ChaosError, EventChaos, FunctionChaos, HostChaos,
};
pub use cloud::LocalCloud;
pub use errors::{Refused, StartError};
pub use happening::{Happening, RecordedCall};
pub use lambda::InvokeAnswer;
pub use settings::{Image, Settings};
pub use sns::PublishedNotice;
pub use template::{
    Declared, DeclaredFunction, DeclaredQueue, DeclaredResource, DeclaredRule, DeclaredSchedule,
    DeclaredTarget,
};
