//! The results bucket as a person reaches it: which one, and by which clients.

use trainspot_edge::aws::Aws;

use crate::problem::{Exit, Problem};

/// The variable that names the bucket when no argument does; `trainspot local serve` prints it.
pub(crate) const BUCKET_VARIABLE: &str = "TRAINSPOT_RESULTS_BUCKET";

/// A bucket and the clients to reach it.
#[derive(Debug)]
pub(crate) struct Results {
    /// The clients; endpoint, region and credentials come from the environment.
    pub(crate) store: Aws,
    /// The bucket's name.
    pub(crate) bucket: String,
}

impl Results {
    /// The bucket that was named; clap has looked into the variable already.
    pub(crate) async fn open(bucket: Option<String>) -> Result<Self, Problem> {
        let bucket = bucket.filter(|name| !name.is_empty()).ok_or_else(|| {
            Problem::new(Exit::Configuration, "nobody says which the results bucket is")
                .hint(format!("give --bucket or {BUCKET_VARIABLE}; `trainspot local serve` prints it for a local cloud"))
        })?;
        Ok(Self {
            store: Aws::from_environment("").await,
            bucket,
        })
    }
}
