//! Uploads in parts over the wire, with S3's own codes.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};

use super::place::Place;

const BUCKET: &str = "results-123456789012";
const KEY: &str = "checkpoints/weights";
const LARGE: usize = 5 << 20;

fn code<T, E: ProvideErrorMetadata>(answer: Result<T, SdkError<E>>) -> String {
    let error = answer.err().expect("it is refused");
    error.code().unwrap_or("no code").to_owned()
}

struct Upload {
    s3: Client,
    id: String,
}

impl Upload {
    async fn begin(place: &Place) -> Self {
        let s3 = place.s3();
        let begun = s3
            .create_multipart_upload()
            .bucket(BUCKET)
            .key(KEY)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .checksum_type(ChecksumType::FullObject)
            .metadata("step", "40")
            .send()
            .await
            .expect("it begins");
        assert_eq!(begun.checksum_algorithm, Some(ChecksumAlgorithm::Crc32));
        Self {
            s3,
            id: begun.upload_id.expect("it has an id"),
        }
    }

    async fn part(&self, number: i32, bytes: Vec<u8>) -> CompletedPart {
        let sent = self
            .s3
            .upload_part()
            .bucket(BUCKET)
            .key(KEY)
            .upload_id(&self.id)
            .part_number(number)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .expect("the part is taken");
        CompletedPart::builder()
            .part_number(number)
            .e_tag(sent.e_tag.expect("a part has an ETag"))
            .set_checksum_crc32(sent.checksum_crc32)
            .build()
    }

    async fn complete(
        &self,
        parts: Vec<CompletedPart>,
        crc32: Option<&str>,
    ) -> Result<String, String> {
        let made = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let completed = self
            .s3
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key(KEY)
            .upload_id(&self.id)
            .set_checksum_crc32(crc32.map(str::to_owned))
            .multipart_upload(made.build())
            .send()
            .await;
        match completed {
            Ok(completed) => Ok(completed.e_tag.expect("an object has an ETag")),
            refused => Err(code(refused)),
        }
    }
}

#[tokio::test]
async fn parts_become_one_object_with_its_own_etag_also_after_a_restart() {
    let place = Place::new().await;
    let upload = Upload::begin(&place).await;
    let missing = place.s3().get_object().bucket(BUCKET).key(KEY).send().await;
    assert_eq!(
        code(missing),
        "NoSuchKey",
        "nothing is there before the end"
    );

    // In another order, and one of them twice.
    let last = upload.part(2, b"the end".to_vec()).await;
    upload.part(1, vec![b'x'; LARGE]).await;
    let first = upload.part(1, vec![b'a'; LARGE]).await;
    let etag = upload
        .complete(vec![first, last], None)
        .await
        .expect("all parts are there");

    assert!(etag.ends_with("-2\""), "{etag}");
    let place = place.again().await;
    let s3 = place.s3();
    let there = s3.get_object().bucket(BUCKET).key(KEY).send().await;
    let there = there.expect("it is there");
    assert_eq!(there.e_tag.as_deref(), Some(etag.as_str()));
    let metadata = there.metadata.expect("it was said when it was begun");
    assert_eq!(metadata.get("step").map(String::as_str), Some("40"));
    let body = there.body.collect().await.expect("it comes").into_bytes();
    assert_eq!(body.len(), LARGE + 7);
    assert!(body.starts_with(b"aaa") && body.ends_with(b"the end"));
    let listed = s3.list_objects_v2().bucket(BUCKET).prefix(KEY).send().await;
    let listed = listed.expect("it lists").contents.expect("it is listed");
    assert_eq!(listed[0].e_tag.as_deref(), Some(etag.as_str()));
}

#[tokio::test]
async fn what_is_wrong_with_the_parts_is_said_in_s3s_own_codes() {
    let place = Place::new().await;
    let upload = Upload::begin(&place).await;
    let first = upload.part(1, vec![b'a'; LARGE]).await;
    let small = upload.part(2, b"small".to_vec()).await;
    let third = upload.part(3, b"third".to_vec()).await;
    let all = || vec![first.clone(), small.clone()];

    let order = upload
        .complete(vec![small.clone(), first.clone()], None)
        .await;
    assert_eq!(order, Err("InvalidPartOrder".to_owned()));
    let too_small = upload
        .complete(vec![first.clone(), small.clone(), third], None)
        .await;
    assert_eq!(too_small, Err("EntityTooSmall".to_owned()));
    let other = CompletedPart::builder().part_number(1).e_tag("\"ab\"");
    let other = upload.complete(vec![other.build()], None).await;
    assert_eq!(other, Err("InvalidPart".to_owned()));
    let garbled = upload.complete(all(), Some("AAAAAA==")).await;
    assert_eq!(garbled, Err("BadDigest".to_owned()));
    // None of that has ended it.
    let done = upload.complete(all(), None).await;
    assert!(done.is_ok(), "{done:?}");
    let again = upload.complete(all(), None).await;
    assert_eq!(again, Err("NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn a_part_that_changed_on_its_way_is_refused() {
    let place = Place::new().await;
    let upload = Upload::begin(&place).await;

    let garbled = upload
        .s3
        .upload_part()
        .bucket(BUCKET)
        .key(KEY)
        .upload_id(&upload.id)
        .part_number(1)
        .checksum_crc32("AAAAAA==")
        .body(ByteStream::from_static(b"something"))
        .send()
        .await;

    assert_eq!(code(garbled), "BadDigest");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let place = Place::new().await;
    let upload = Upload::begin(&place).await;
    let part = upload.part(1, b"alone".to_vec()).await;
    let abort = || {
        upload
            .s3
            .abort_multipart_upload()
            .bucket(BUCKET)
            .key(KEY)
            .upload_id(&upload.id)
            .send()
    };

    let first = abort().await;
    let second = abort().await;

    assert!(first.is_ok(), "{first:?}");
    assert_eq!(code(second), "NoSuchUpload");
    let completed = upload.complete(vec![part], None).await;
    assert_eq!(completed, Err("NoSuchUpload".to_owned()));
}
