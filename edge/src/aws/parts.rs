//! S3's calls for data: stretches of objects, and objects in parts.
//!
//! Every body is held whole, so that it can be sent again, and goes with the CRC32 that its sender made when
//! it read the bytes: S3 refuses what arrived otherwise. Payloads are not signed. A signature would take a
//! SHA-256 of every byte and say no more than the CRC32 under TLS does.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Config};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use aws_smithy_types::base64;
use bytes::Bytes;

use super::clients::{ANSWER_WITHIN, each_within};
use super::s3::{classify, code, malformed};
use crate::store::{Piece, Span, StoreError, UploadedPart};
use crate::transfer::{MOST_IN_FLIGHT, MOST_REQUESTS};

/// Bytes a second of a line that is slow and lives: 10 Mbit/s.
const SLOW_LINE: u64 = 1_250_000;
/// S3 makes an object of its parts in up to several minutes and keeps the connection alive meanwhile; whoever
/// asks again earlier does not make it faster.
const COMPLETED_WITHIN: Duration = Duration::from_mins(5);

/// Bucket and key.
type Place<'p> = (&'p str, &'p str);

pub(super) async fn get_span(
    s3: &Client,
    (bucket, key): Place<'_>,
    span: Span,
    if_match: Option<&str>,
) -> Result<Option<Piece>, StoreError> {
    let what = || format!("GET s3://{bucket}/{key}");
    let changed = || StoreError::Changed {
        what: format!("s3://{bucket}/{key}"),
    };
    let request = s3
        .get_object()
        .bucket(bucket)
        .key(key)
        .set_if_match(if_match.map(str::to_owned));
    let request = if span.is_whole() {
        request
    } else {
        let last = (span.from + span.length).saturating_sub(1);
        request.range(format!("bytes={}-{last}", span.from))
    };
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            return match (code(&error), if_match) {
                (Some("NoSuchKey"), None) => Ok(None),
                (Some("NoSuchKey" | "PreconditionFailed" | "InvalidRange"), _) => Err(changed()),
                _ => Err(classify(error, what())),
            };
        }
    };
    // `bytes 0-99/200`; an answer without it is the whole object.
    let size = match answer.content_range() {
        Some(range) => range.rsplit('/').next().and_then(|size| size.parse().ok()),
        None => answer
            .content_length()
            .and_then(|size| size.try_into().ok()),
    };
    if size != Some(span.of) || answer.content_range().is_none() != span.is_whole() {
        return Err(changed());
    }
    let etag = answer
        .e_tag
        .take()
        .ok_or_else(|| malformed(&what(), "an answer without ETag"))?;
    let length = usize::try_from(span.length).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(length);
    while let Some(chunk) = answer
        .body
        .try_next()
        .await
        .map_err(|error| unreachable(what(), error))?
    {
        bytes.extend_from_slice(&chunk);
    }
    if bytes.len() != length {
        return Err(unreachable(what(), "the answer ended early"));
    }
    Ok(Some(Piece {
        bytes: bytes.into(),
        etag,
    }))
}

pub(super) async fn put_bytes(
    s3: &Client,
    (bucket, key): Place<'_>,
    bytes: Bytes,
    crc32: u32,
) -> Result<(), StoreError> {
    let size = bytes.len() as u64;
    s3.put_object()
        .bucket(bucket)
        .key(key)
        .body(ByteStream::from(bytes))
        .checksum_crc32(spelled(crc32))
        .customize()
        .config_override(waiting(sent_within(size)))
        .disable_payload_signing()
        .send()
        .await
        .map_err(|error| classify(error, format!("PUT s3://{bucket}/{key}")))?;
    Ok(())
}

pub(super) async fn begin_upload(
    s3: &Client,
    (bucket, key): Place<'_>,
) -> Result<String, StoreError> {
    let what = || format!("CreateMultipartUpload s3://{bucket}/{key}");
    let begun = s3
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        // One checksum of all bytes, which S3 verifies again when it makes the object of its parts.
        .checksum_type(ChecksumType::FullObject)
        .send()
        .await
        .map_err(|error| classify(error, what()))?;
    begun
        .upload_id
        .ok_or_else(|| malformed(&what(), "an answer without UploadId"))
}

pub(super) async fn put_part(
    s3: &Client,
    (bucket, key): Place<'_>,
    upload: &str,
    number: u32,
    bytes: Bytes,
    crc32: u32,
) -> Result<UploadedPart, StoreError> {
    let what = || format!("UploadPart {number} s3://{bucket}/{key}");
    let size = bytes.len() as u64;
    let sent = s3
        .upload_part()
        .bucket(bucket)
        .key(key)
        .upload_id(upload)
        .part_number(numbered(number))
        .body(ByteStream::from(bytes))
        .checksum_crc32(spelled(crc32))
        .customize()
        .config_override(waiting(sent_within(size)))
        .disable_payload_signing()
        .send()
        .await
        .map_err(|error| classify(error, what()))?;
    let etag = sent
        .e_tag
        .ok_or_else(|| malformed(&what(), "an answer without ETag"))?;
    Ok(UploadedPart {
        number,
        size,
        etag,
        crc32,
    })
}

pub(super) async fn complete_upload(
    s3: &Client,
    (bucket, key): Place<'_>,
    upload: &str,
    parts: &[UploadedPart],
    crc32: u32,
) -> Result<(), StoreError> {
    let size: u64 = parts.iter().map(|part| part.size).sum();
    let parts = parts.iter().map(|part| {
        CompletedPart::builder()
            .part_number(numbered(part.number))
            .e_tag(&part.etag)
            .checksum_crc32(spelled(part.crc32))
            .build()
    });
    let made = CompletedMultipartUpload::builder()
        .set_parts(Some(parts.collect()))
        .build();
    s3.complete_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(upload)
        .multipart_upload(made)
        .checksum_type(ChecksumType::FullObject)
        .checksum_crc32(spelled(crc32))
        .mpu_object_size(i64::try_from(size).unwrap_or(i64::MAX))
        .customize()
        .config_override(waiting(COMPLETED_WITHIN))
        .send()
        .await
        .map_err(|error| {
            classify(
                error,
                format!("CompleteMultipartUpload s3://{bucket}/{key}"),
            )
        })?;
    Ok(())
}

pub(super) async fn abort_upload(
    s3: &Client,
    (bucket, key): Place<'_>,
    upload: &str,
) -> Result<(), StoreError> {
    let aborted = s3
        .abort_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(upload)
        .send()
        .await;
    match aborted {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == Some("NoSuchUpload") => Ok(()),
        Err(error) => Err(classify(
            error,
            format!("AbortMultipartUpload s3://{bucket}/{key}"),
        )),
    }
}

/// How long one try of sending so many bytes may take. On a slow line the others that are under way take their
/// shares of it: as many as there may be, of its own size, until they are all that fits in flight.
fn sent_within(bytes: u64) -> Duration {
    let beside = bytes.saturating_mul(u64::from(MOST_REQUESTS));
    let on_the_line = beside.min(bytes.max(MOST_IN_FLIGHT));
    ANSWER_WITHIN + Duration::from_secs(on_the_line.div_ceil(SLOW_LINE))
}

fn waiting(attempt: Duration) -> Builder {
    Config::builder().timeout_config(each_within(attempt))
}

/// As S3 spells a CRC32: the base64 of its four bytes, the highest first.
fn spelled(crc32: u32) -> String {
    base64::encode(crc32.to_be_bytes())
}

/// At most 10,000.
fn numbered(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn unreachable(
    what: String,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Unreachable {
        what,
        source: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::PART;

    #[test]
    fn the_more_bytes_are_sent_the_longer_their_answer_may_take() {
        let cases = [
            (0, 10),
            (1, 11),
            (64 << 10, 16),
            (1 << 20, 91),
            (PART, 91),
            (MOST_IN_FLIGHT, 91),
            (500 << 20, 430),
        ];
        for (bytes, seconds) in cases {
            assert_eq!(sent_within(bytes).as_secs(), seconds, "{bytes}");
        }
    }
}
