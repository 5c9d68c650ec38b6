//! S3 as the [`Store`].

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use bytes::Bytes;
use jiff::Timestamp;

use super::credentials::refusal;
use super::{Aws, parts};
use crate::refused::Refused;
use crate::store::{Condition, Fetched, Listed, Piece, Put, Span, Store, StoreError, UploadedPart};
use crate::world::World;

impl<W: World> Store for Aws<W> {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        let what = || format!("GET s3://{bucket}/{key}");
        let answer = match self.s3.get_object().bucket(bucket).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if code(&error) == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(classify(error, what())),
        };
        let (etag, last_modified) = stamps(&answer, &what())?;
        let body = answer
            .body
            .collect()
            .await
            .map_err(|e| StoreError::Unreachable {
                what: what(),
                source: e.into(),
            })?
            .to_vec();
        Ok(Some(Fetched {
            body,
            etag,
            last_modified,
        }))
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        let request = self
            .s3
            .put_object()
            .bucket(bucket)
            .key(key)
            .body(ByteStream::from(body));
        let request = match &condition {
            Condition::Absent => request.if_none_match("*"),
            Condition::Matches(etag) => request.if_match(etag),
            Condition::Always => request,
        };
        match request.send().await {
            Ok(answer) => Ok(Put::Written(answer.e_tag.unwrap_or_default())),
            Err(error) if condition != Condition::Always && is_refusal(&error) => Ok(Put::Refused),
            Err(error) => Err(classify(error, format!("PUT s3://{bucket}/{key}"))),
        }
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let what = || format!("LIST s3://{bucket}/{prefix}");
        let mut pages = self
            .s3
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(error, what()))?;
            for object in page.contents.unwrap_or_default() {
                all.push(Listed {
                    key: object.key.unwrap_or_default(),
                    size: u64::try_from(object.size.unwrap_or_default()).unwrap_or_default(),
                    etag: object.e_tag.unwrap_or_default(),
                    last_modified: object
                        .last_modified
                        .and_then(timestamp)
                        .ok_or_else(|| malformed(prefix, "an object without LastModified"))?,
                });
            }
        }
        Ok(all)
    }

    async fn list_folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let what = || format!("LIST s3://{bucket}/{prefix}");
        let mut pages = self
            .s3
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .delimiter("/")
            .into_paginator()
            .send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(error, what()))?;
            let folders = page.common_prefixes.unwrap_or_default();
            all.extend(
                folders
                    .into_iter()
                    .filter_map(|folder| Some(folder.prefix?.strip_prefix(prefix)?.to_owned())),
            );
        }
        Ok(all)
    }

    async fn get_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        parts::get_span(&self.s3, (bucket, key), span, if_match).await
    }

    async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<(), StoreError> {
        parts::put_bytes(&self.s3, (bucket, key), bytes, crc32).await
    }

    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String, StoreError> {
        parts::begin_upload(&self.s3, (bucket, key)).await
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
        parts::put_part(&self.s3, (bucket, key), upload, number, bytes, crc32).await
    }

    async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        uploaded: &[UploadedPart],
        crc32: u32,
    ) -> Result<(), StoreError> {
        parts::complete_upload(&self.s3, (bucket, key), upload, uploaded, crc32).await
    }

    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<(), StoreError> {
        parts::abort_upload(&self.s3, (bucket, key), upload).await
    }
}

fn stamps(answer: &GetObjectOutput, what: &str) -> Result<(String, Timestamp), StoreError> {
    let etag = answer
        .e_tag
        .clone()
        .ok_or_else(|| malformed(what, "an answer without ETag"))?;
    let last_modified = answer
        .last_modified
        .and_then(timestamp)
        .ok_or_else(|| malformed(what, "an answer without Last-Modified"))?;
    Ok((etag, last_modified))
}

fn timestamp(at: DateTime) -> Option<Timestamp> {
    Timestamp::from_second(at.secs()).ok()
}

pub(super) fn malformed(key: &str, why: &str) -> StoreError {
    StoreError::Malformed {
        key: key.to_owned(),
        why: why.to_owned(),
    }
}

pub(super) fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

/// 412 and 409 both mean: somebody was there. So does a 404 under `If-Match`.
fn is_refusal<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(
        code(error),
        Some("PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey")
    )
}

pub(super) fn classify<E>(error: SdkError<E, HttpResponse>, what: String) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let message = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::message);
    let status = error
        .raw_response()
        .map_or(0, |answer| answer.status().as_u16());
    if let Some(refused) = refusal(code(&error), message) {
        return StoreError::Unreachable {
            what,
            source: refused.into(),
        };
    }
    match code(&error) {
        Some("AccessDenied") => StoreError::Denied { what },
        Some("NoSuchBucket") => StoreError::NoBucket { what },
        Some("BadDigest" | "XAmzContentChecksumMismatch") => StoreError::Garbled { what },
        Some("NoSuchUpload") => StoreError::NoUpload { what },
        Some(code) if Refused::is_final(status, code) => StoreError::Refused(Refused {
            code: code.to_owned(),
            message: message.unwrap_or("no reason given").to_owned(),
            what,
            is_pinned: false,
        }),
        _ => StoreError::Unreachable {
            what,
            source: error.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::error::ErrorMetadata;
    use aws_sdk_s3::operation::get_object::GetObjectError;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    /// What an answer with that status and word comes to.
    fn classified(status: u16, code: &str) -> StoreError {
        let said = ErrorMetadata::builder().code(code).message("No.").build();
        let status = status.try_into().expect("a status");
        let error = SdkError::service_error(
            GetObjectError::generic(said),
            HttpResponse::new(status, SdkBody::empty()),
        );
        classify(error, "GET s3://data/a".to_owned())
    }

    #[test]
    fn every_answer_of_s3s_has_its_error() {
        let cases = [
            (403, "AccessDenied", "permission for"),
            (404, "NoSuchBucket", "bucket of"),
            (400, "BadDigest", "checksum of"),
            (404, "NoSuchUpload", "upload of"),
            (403, "InvalidObjectState", "S3 refuses"),
            (400, "KeyTooLongError", "S3 refuses"),
            (400, "KMS.DisabledException", "S3 refuses"),
            (301, "PermanentRedirect", "S3 refuses"),
            (400, "AuthorizationHeaderMalformed", "S3 refuses"),
            (400, "ExpiredToken", "reach the store"),
            (403, "RequestTimeTooSkewed", "reach the store"),
            (400, "RequestTimeout", "reach the store"),
            (409, "OperationAborted", "reach the store"),
            (429, "TooManyRequests", "reach the store"),
            (503, "SlowDown", "reach the store"),
            (500, "InternalError", "reach the store"),
        ];
        for (status, code, begins) in cases {
            let error = classified(status, code);

            let said = error.to_string();
            assert!(said.starts_with(begins), "{status} {code}: {said}");
            let may_pass = matches!(begins, "reach the store" | "checksum of");
            assert_eq!(error.may_pass(), may_pass, "{status} {code}");
        }
    }
}
