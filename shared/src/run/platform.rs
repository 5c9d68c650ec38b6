//! What the template made: queues and definitions, as the functions' environment tells them.

use serde::{Deserialize, Serialize};

use crate::identity::{Market, Stage};

/// Job definitions with their revisions, as the run found them when it began. It goes on with them through an
/// upgrade: a checkpoint of one trainer is not given to another in the middle of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definitions {
    /// Of the training.
    pub train: String,
    /// Of everything after it.
    pub post_processing: String,
}

impl Definitions {
    /// The job definition for a stage.
    pub fn of(&self, stage: Stage) -> &str {
        match stage {
            Stage::Train => &self.train,
            _ => &self.post_processing,
        }
    }
}

/// ARNs by role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// GPU Spot.
    pub spot_queue: String,
    /// GPU on-demand.
    pub on_demand_queue: String,
    /// CPU Spot, then CPU on-demand.
    pub post_processing_queue: String,
    /// With its revision.
    pub train_definition: String,
    /// With its revision.
    pub post_processing_definition: String,
    /// Of the training, by digest; part of the fingerprint.
    pub image: String,
    /// Of the stages after it, by digest; part of the fingerprint.
    pub post_processing_image: String,
    /// Where the job documents are.
    pub results_bucket: String,
    /// Instance types of the GPU queues; empty where the template does not tell.
    pub gpu_instance_types: Vec<String>,
    /// Instance types of the post-processing queue.
    pub cpu_instance_types: Vec<String>,
}

impl Platform {
    /// The queue for a stage: training goes by market; post-processing has one queue whose compute
    /// environments come in the order Spot, on-demand.
    pub fn queue(&self, stage: Stage, market: Market) -> &str {
        match (stage, market) {
            (Stage::Train, Market::Spot) => &self.spot_queue,
            (Stage::Train, Market::OnDemand) => &self.on_demand_queue,
            _ => &self.post_processing_queue,
        }
    }

    /// The instance types that a stage may get.
    pub fn instance_types(&self, stage: Stage) -> &[String] {
        match stage {
            Stage::Train => &self.gpu_instance_types,
            _ => &self.cpu_instance_types,
        }
    }

    /// The job definitions as they are now.
    pub fn definitions(&self) -> Definitions {
        Definitions {
            train: self.train_definition.clone(),
            post_processing: self.post_processing_definition.clone(),
        }
    }
}
