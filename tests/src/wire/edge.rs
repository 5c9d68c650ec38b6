//! The product's clients as an edge for the weeks.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use trainspot_edge::aws::Aws;
use trainspot_edge::jobs::{JobFound, JobRequest, JobsError, SubmitError};
use trainspot_edge::memory::MemoryEdge;
use trainspot_edge::store::{
    Condition, Fetched, Listed, Piece, Put, Span, StoreError, UploadedPart,
};
use trainspot_edge::topic::PublishError;
use trainspot_edge::{Jobs, Store, Topic, World};
use trainspot_shared::batch_event::JobSeen;
use trainspot_shared::identity::JobName;
use trainspot_shared::notice::Notice;

/// Every call goes to the clients as it is.
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

    async fn get_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        self.0.get_span(bucket, key, span, if_match).await
    }

    async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<(), StoreError> {
        self.0.put_bytes(bucket, key, bytes, crc32).await
    }

    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String, StoreError> {
        self.0.begin_upload(bucket, key).await
    }

    async fn put_part(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<UploadedPart, StoreError> {
        self.0
            .put_part(bucket, key, upload, number, bytes, crc32)
            .await
    }

    async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        parts: &[UploadedPart],
        crc32: u32,
    ) -> Result<(), StoreError> {
        self.0
            .complete_upload(bucket, key, upload, parts, crc32)
            .await
    }

    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<(), StoreError> {
        self.0.abort_upload(bucket, key, upload).await
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
