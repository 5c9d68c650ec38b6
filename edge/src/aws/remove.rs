//! Deleting, which people do and functions and jobs never: not part of [`Store`](crate::store::Store), so that
//! nothing that decides can ask for it.

use super::Aws;
use super::s3::classify;
use crate::store::StoreError;
use crate::world::World;

impl<W: World> Aws<W> {
    /// Deletes an object; `Ok` also if there is none. In a bucket with versions it can be brought back for as
    /// long as the bucket keeps old ones.
    pub async fn remove(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        let deleted = self.s3.delete_object().bucket(bucket).key(key).send().await;
        deleted
            .map(|_| ())
            .map_err(|error| classify(error, format!("DELETE s3://{bucket}/{key}")))
    }
}
