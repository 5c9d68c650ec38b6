//! Stages and markets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::IdentityError;

/// One step of a run; each is one Batch job at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Heavy: the model.
    Train,
    /// Metrics of every candidate, and of the champion on the same split.
    Evaluate,
    /// The fan-out: recommendations, one shard a child.
    Recommend,
    /// Verifies all shards.
    Gather,
}

impl Stage {
    /// In the order in which a run goes through them.
    pub const ALL: [Self; 4] = [Self::Train, Self::Evaluate, Self::Recommend, Self::Gather];

    /// The word used in keys, job names and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Evaluate => "evaluate",
            Self::Recommend => "recommend",
            Self::Gather => "gather",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| IdentityError::Stage(text.to_owned()))
    }
}

/// How capacity is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    /// Spare capacity; may be reclaimed with two minutes' notice.
    Spot,
    /// Full price; stays.
    OnDemand,
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spot => "spot",
            Self::OnDemand => "on_demand",
        })
    }
}
