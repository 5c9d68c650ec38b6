//! A run's pinned dataset: which objects, and exactly which versions of them.

use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;

/// One object in the data bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DatasetObject {
    /// In the data bucket.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// As S3 gives it, with its quotes; the agent reads with `If-Match`.
    pub etag: String,
}

/// The document `dataset-<sha>.json`, written once per run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Format of this document.
    pub schema: u32,
    /// The data bucket.
    pub bucket: String,
    /// The pipeline's prefix in it; a file's name in the data directory is its key without this.
    pub prefix: String,
    /// Sorted by key.
    pub objects: Vec<DatasetObject>,
}

impl Dataset {
    /// The objects under `prefix`, without the `_READY` marker and empty folder markers.
    pub fn of(bucket: &str, prefix: &str, listed: impl IntoIterator<Item = DatasetObject>) -> Self {
        let mut objects: Vec<_> = listed
            .into_iter()
            .filter(|object| !object.key.ends_with('/') && !object.key.ends_with(READY))
            .collect();
        objects.sort();
        Self {
            schema: 1,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            objects,
        }
    }

    /// In bytes.
    pub fn size_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }

    /// Same objects, same spec, same images: nothing new to learn. The first image is of the training, the other
    /// of the stages after it.
    pub fn fingerprint(
        &self,
        spec_sha256: &str,
        image: &str,
        post_processing_image: &str,
    ) -> String {
        let mut text = format!("{spec_sha256}\n{image}\n");
        // One image for all is written once, as it always was: an upgrade of trainspot trains nothing anew.
        if post_processing_image != image {
            text.push_str(post_processing_image);
            text.push('\n');
        }
        for object in &self.objects {
            for part in [
                &object.key,
                " ",
                &object.size.to_string(),
                " ",
                &object.etag,
                "\n",
            ] {
                text.push_str(part);
            }
        }
        sha256_hex(text.as_bytes())
    }
}

/// The marker that a pipeline with `wait_for` waits for, directly under its prefix.
pub const READY: &str = "_READY";

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, etag: &str) -> DatasetObject {
        DatasetObject {
            key: key.to_owned(),
            size: 1,
            etag: etag.to_owned(),
        }
    }

    #[test]
    fn the_order_of_a_listing_does_not_change_the_fingerprint_but_content_does() {
        let a = Dataset::of(
            "b",
            "i/",
            [
                object("i/2", "y"),
                object("i/1", "x"),
                object("i/_READY", "r"),
            ],
        );
        let b = Dataset::of("b", "i/", [object("i/1", "x"), object("i/2", "y")]);
        let c = Dataset::of("b", "i/", [object("i/1", "x"), object("i/2", "z")]);

        assert_eq!(a.fingerprint("s", "i", "i"), b.fingerprint("s", "i", "i"));
        assert_ne!(a.fingerprint("s", "i", "i"), c.fingerprint("s", "i", "i"));
    }

    #[test]
    fn every_image_that_a_run_uses_counts() {
        let data = Dataset::of("b", "i/", [object("i/1", "x")]);
        let pairs = [
            ("gpu:1", "gpu:1"),
            ("gpu:1", "cpu:1"),
            ("gpu:1", "cpu:2"),
            ("gpu:2", "cpu:1"),
        ];
        let mut fingerprints = pairs
            .map(|(gpu, cpu)| data.fingerprint("s", gpu, cpu))
            .to_vec();

        fingerprints.sort();
        fingerprints.dedup();

        assert_eq!(fingerprints.len(), pairs.len());
    }
}
