//! `ListObjectsV2`, in pages.

use trainspot_edge::Store as _;
use trainspot_edge::memory::MemoryEdge;
use trainspot_edge::store::Listed;

use super::answer::{Answer, Response, xml};
use super::request::Request;
use super::s3::trouble;

/// S3 may give fewer than were asked for, and here it does: a client that reads one page is wrong here.
const PAGE: usize = 3;

/// One page. Its token is the last name on it, so that what comes and goes between pages moves nothing.
pub(super) async fn answer(sight: &MemoryEdge, bucket: &str, request: &Request) -> Answer {
    let prefix = request.asks("prefix").unwrap_or_default();
    let after = request.asks("continuation-token").unwrap_or_default();
    let entries = match request.asks("delimiter") {
        None => match sight.list(bucket, prefix).await {
            Ok(objects) => objects.iter().map(object).collect(),
            Err(error) => return trouble(sight, &error),
        },
        // Whoever asks for folders does not look at objects beside them.
        Some("/") => match sight.list_folders(bucket, prefix).await {
            Ok(folders) => folders
                .iter()
                .map(|name| folder(&format!("{prefix}{name}")))
                .collect(),
            Err(error) => return trouble(sight, &error),
        },
        Some(other) => panic!("a delimiter `{other}`"),
    };
    page(bucket, prefix, after, entries)
}

/// A name, and how it is listed.
type Entry = (String, String);

fn object(listed: &Listed) -> Entry {
    let Listed {
        key,
        size,
        etag,
        last_modified,
    } = listed;
    let told = format!(
        "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>",
        xml(key),
        last_modified.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        xml(etag)
    );
    (key.clone(), told)
}

fn folder(name: &str) -> Entry {
    let told = format!(
        "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>",
        xml(name)
    );
    (name.to_owned(), told)
}

fn page(bucket: &str, prefix: &str, after: &str, mut entries: Vec<Entry>) -> Answer {
    entries.sort();
    entries.retain(|(name, _)| name.as_str() > after);
    let is_truncated = entries.len() > PAGE;
    entries.truncate(PAGE);
    let token = entries
        .last()
        .filter(|_| is_truncated)
        .map(|(name, _)| {
            format!(
                "<NextContinuationToken>{}</NextContinuationToken>",
                xml(name)
            )
        })
        .unwrap_or_default();
    let listed: String = entries.into_iter().map(|(_, told)| told).collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{}</Name><Prefix>{}</Prefix><MaxKeys>1000</MaxKeys><IsTruncated>{is_truncated}</IsTruncated>{token}{listed}</ListBucketResult>",
        xml(bucket),
        xml(prefix)
    );
    Response::new(200, "application/xml", body).into()
}
