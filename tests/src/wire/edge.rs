//! The product's clients as an edge for the weeks.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use trainspot_edge::aws::Aws;
use trainspot_edge::jobs::{JobFound, JobRequest, JobsError, SubmitError};
use trainspot_edge::memory::MemoryEdge;
use trainspot_edge::store::{Condition, Fetched, Listed, Put, StoreError};
use trainspot_edge::topic::PublishError;
use trainspot_edge::{Jobs, Store, Topic, World};
use trainspot_shared::batch_event::JobSeen;
use trainspot_shared::identity::JobName;
use trainspot_shared::notice::Notice;

/// Every call goes to the clients as it is; only files are read and written here, and not by them: they
/// leave that to the threads of a runtime, and a week on a virtual clock has neither.
#[derive(Debug, Clone)]
pub struct WireEdge(pub(super) Aws<MemoryEdge>);

impl WireEdge {
    /// The clients themselves.
    pub const fn clients(&self) -> &Aws<MemoryEdge> {
        &self.0
    }
}

impl World for WireEdge {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn draw(&self) -> String {
        self.0.draw()
    }

    fn chance(&self) -> f64 {
        self.0.chance()
    }

    async fn pause(&self, duration: Duration) {
        self.0.pause(duration).await;
    }

    fn print(&self, line: &str) {
        self.0.print(line);
    }
}

impl Store for WireEdge {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        self.0.get(bucket, key).await
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        self.0.put(bucket, key, body, condition).await
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.0.list(bucket, prefix).await
    }

    async fn list_folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.0.list_folders(bucket, prefix).await
    }

    async fn fetch_file(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<&str>,
        to: &Path,
    ) -> Result<Option<u64>, StoreError> {
        let what = || format!("s3://{bucket}/{key}");
        let object = match (self.0.get(bucket, key).await?, if_match) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(StoreError::Changed { what: what() }),
            (Some(object), Some(etag)) if object.etag != etag => {
                return Err(StoreError::Changed { what: what() });
            }
            (Some(object), _) => object,
        };
        let size = object.body.len() as u64;
        std::fs::write(to, object.body).map_err(|source| StoreError::File {
            what: what(),
            source,
        })?;
        Ok(Some(size))
    }

    async fn put_file(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError> {
        let body = std::fs::read(from).map_err(|source| StoreError::File {
            what: format!("s3://{bucket}/{key}"),
            source,
        })?;
        self.0.put(bucket, key, body, Condition::Always).await?;
        Ok(())
    }
}

impl Jobs for WireEdge {
    async fn submit(&self, request: &JobRequest) -> Result<String, SubmitError> {
        self.0.submit(request).await
    }

    async fn describe(&self, ids: &[String]) -> Result<Vec<JobSeen>, JobsError> {
        self.0.describe(ids).await
    }

    async fn find(&self, queue: &str, name: &JobName) -> Result<Vec<JobFound>, JobsError> {
        self.0.find(queue, name).await
    }

    async fn terminate(&self, id: &str, reason: &str) -> Result<(), JobsError> {
        self.0.terminate(id, reason).await
    }
}

impl Topic for WireEdge {
    async fn publish(&self, notice: &Notice) -> Result<(), PublishError> {
        self.0.publish(notice).await
    }
}
