//! The names of things: pipelines, runs, stages, submissions, jobs, markets.
//!
//! Each is parsed once, at the door; code behind it cannot hold a wrong one.

mod job_name;
mod pipeline_name;
mod run_id;
mod stage;

pub use job_name::JobName;
pub use pipeline_name::PipelineName;
pub use run_id::{RunId, Tick};
pub use stage::{Market, Stage};

/// Why a text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not `[a-z][a-z0-9-]{0,39}`.
    #[error("pipeline name `{0}` is not 1 to 40 of a-z, 0-9 and `-`, beginning with a letter")]
    PipelineName(String),
    /// Not a minute in UTC.
    #[error("tick `{0}` is not a minute in UTC such as 20261123T0200Z")]
    Tick(String),
    /// Not `<pipeline>-<tick>[-m<hex>][-r<n>]`.
    #[error("run id `{0}` is not `<pipeline>-<tick>[-m<hex>][-r<n>]`")]
    RunId(String),
    /// Not `<run id>--<stage>-<n>`.
    #[error("job name `{0}` is not `<run id>--<stage>-<submission>`")]
    JobName(String),
    /// None of the four stages.
    #[error("stage `{0}` is none of train, evaluate, recommend, gather")]
    Stage(String),
}

/// Serde by `Display` and `FromStr`, for names that are one string in every document.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use serde_as_text;
