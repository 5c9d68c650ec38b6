//! Uploads in parts. An upload is a folder with a file for each part; completing it makes one file of them. What is
//! neither completed nor aborted stays, as on AWS without a lifecycle rule.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode, header};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::answers::{error, escaped, plain, refused, set, xml_response};
use super::body::{CRC32, spelled};
use super::facts::{Attributes, AttributesRecord, etag_of, stamp_of};
use super::handler::{attributes, content, repeat_checksum};
use super::store::{Precondition, Refusal, Store};
use crate::front::Request;

/// S3's own limits.
const MOST_PARTS: u32 = 10_000;
const SMALLEST_PART: u64 = 5 << 20;
const XMLNS: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Of an upload's folder: what it is about.
const ABOUT: &str = "about.json";

#[derive(Debug, Serialize, Deserialize)]
struct About {
    bucket: String,
    key: String,
    attributes: Attributes,
}

/// A part, by a file beside its bytes: they are not read again to know it.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    etag: String,
    size: u64,
    crc32: u32,
}

/// As the list of parts names it.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    number: u32,
    etag: String,
}

/// Whether a request is about an upload.
pub(super) fn is_about(request: &Request) -> bool {
    ["uploads", "uploadId", "partNumber"]
        .iter()
        .any(|name| request.parameter(name).is_some())
}

/// Which operation that is, or what does not exist here.
pub(super) fn operation(method: &Method, request: &Request) -> Result<&'static str, String> {
    let has = |name: &str| request.parameter(name).is_some();
    match (
        method.as_str(),
        has("uploads"),
        has("uploadId"),
        has("partNumber"),
    ) {
        ("POST", true, false, false) => Ok("CreateMultipartUpload"),
        ("PUT", false, true, true) if request.headers.contains_key("x-amz-copy-source") => {
            Err("UploadPartCopy".to_owned())
        }
        ("PUT", false, true, true) => Ok("UploadPart"),
        ("POST", false, true, false)
            if request.headers.contains_key(header::IF_MATCH)
                || request.headers.contains_key(header::IF_NONE_MATCH) =>
        {
            Err("CompleteMultipartUpload with a condition".to_owned())
        }
        ("POST", false, true, false) => Ok("CompleteMultipartUpload"),
        ("DELETE", false, true, false) => Ok("AbortMultipartUpload"),
        ("GET", false, true, false) => Err("ListParts".to_owned()),
        _ => Err(format!("{method} of an upload")),
    }
}

/// Answers one of the operations.
pub(super) fn answer(
    store: &Store,
    operation: &str,
    (bucket, key): (&str, &str),
    request: &Request,
) -> Response<Body> {
    let resource = format!("/{bucket}/{key}");
    let done = match operation {
        "CreateMultipartUpload" => store.begin(bucket, key, request),
        "UploadPart" => match content(request, &resource) {
            Ok(bytes) => store.part(bucket, key, request, &bytes),
            Err(refusal) => return *refusal,
        },
        "CompleteMultipartUpload" => store.complete(bucket, key, request),
        _ => store.abort(bucket, key, request),
    };
    match done {
        Ok(response) => response,
        Err(Refusal::InvalidRequest(why)) if why.starts_with("Part number") => {
            error(StatusCode::BAD_REQUEST, "InvalidArgument", &why, &resource)
        }
        Err(refusal) => refused(&refusal, &resource),
    }
}

impl Store {
    fn begin(&self, bucket: &str, key: &str, request: &Request) -> Result<Response<Body>, Refusal> {
        self.path(bucket, key)?;
        let about = About {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            attributes: attributes(&request.headers),
        };
        let id = self.new_upload(&about)?;
        let mut response = xml_response(
            StatusCode::OK,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<InitiateMultipartUploadResult xmlns=\"{XMLNS}\"><Bucket>{}</Bucket><Key>{}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
                escaped(bucket),
                escaped(key)
            ),
        );
        for name in ["x-amz-checksum-algorithm", "x-amz-checksum-type"] {
            if let Some(value) = request.headers.get(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        Ok(response)
    }

    fn new_upload(&self, about: &About) -> Result<String, Refusal> {
        let mut id = String::new();
        for _ in 0..4 {
            write!(id, "{:016x}", fastrand::u64(..)).map_err(io::Error::other)?;
        }
        let text = serde_json::to_vec(about).map_err(io::Error::other)?;
        let path = self.folder.path("uploads").join(&id).join(ABOUT);
        self.folder.write(&path, &text)?;
        Ok(id)
    }

    /// The folder of the upload that a request names, if it is one of that key.
    fn upload(
        &self,
        bucket: &str,
        key: &str,
        request: &Request,
    ) -> Result<(PathBuf, About), Refusal> {
        self.path(bucket, key)?;
        let id = request.parameter("uploadId").unwrap_or_default();
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Refusal::NoSuchUpload);
        }
        let folder = self.folder.path("uploads").join(id);
        let about: About = match fs::read(folder.join(ABOUT)) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Refusal::NoSuchUpload);
            }
            Err(error) => return Err(error.into()),
        };
        if (about.bucket.as_str(), about.key.as_str()) != (bucket, key) {
            return Err(Refusal::NoSuchUpload);
        }
        Ok((folder, about))
    }

    fn part(
        &self,
        bucket: &str,
        key: &str,
        request: &Request,
        bytes: &[u8],
    ) -> Result<Response<Body>, Refusal> {
        let (folder, _) = self.upload(bucket, key, request)?;
        let number = request
            .parameter("partNumber")
            .and_then(|number| number.parse::<u32>().ok())
            .filter(|number| (1..=MOST_PARTS).contains(number))
            .ok_or_else(|| {
                let text = "Part number must be an integer between 1 and 10000, inclusive";
                Refusal::InvalidRequest(text.to_owned())
            })?;
        let part = Part {
            etag: etag_of(&mut &*bytes)?,
            size: bytes.len() as u64,
            crc32: crc32fast::hash(bytes),
        };
        let text = serde_json::to_vec(&part).map_err(io::Error::other)?;
        self.folder.write(&folder.join(number.to_string()), bytes)?;
        self.folder
            .write(&folder.join(format!("{number}.json")), &text)?;
        if !folder.join(ABOUT).exists() {
            // It was aborted meanwhile, and this would stay for ever.
            fs::remove_dir_all(&folder)?;
            return Err(Refusal::NoSuchUpload);
        }
        let mut response = plain(StatusCode::OK);
        set(response.headers_mut(), header::ETAG, &part.etag);
        repeat_checksum(request, &mut response);
        Ok(response)
    }

    fn complete(
        &self,
        bucket: &str,
        key: &str,
        request: &Request,
    ) -> Result<Response<Body>, Refusal> {
        let (folder, about) = self.upload(bucket, key, request)?;
        let named = named(&String::from_utf8_lossy(&request.body));
        if named.is_empty() {
            return Err(Refusal::InvalidRequest(
                "You must specify at least one part".to_owned(),
            ));
        }
        if !named.is_sorted_by(|one, next| one.number < next.number) {
            return Err(Refusal::InvalidPartOrder);
        }
        let mut digests = Md5::new();
        let mut crc32 = crc32fast::Hasher::new();
        let mut size = 0;
        for (n, Named { number, etag }) in named.iter().enumerate() {
            let text = match fs::read(folder.join(format!("{number}.json"))) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Refusal::InvalidPart);
                }
                text => text?,
            };
            let part: Part = serde_json::from_slice(&text).map_err(io::Error::other)?;
            if part.etag.trim_matches('"') != etag.trim_matches('"') {
                return Err(Refusal::InvalidPart);
            }
            if part.size < SMALLEST_PART && n + 1 < named.len() {
                return Err(Refusal::EntityTooSmall);
            }
            digests.update(hex::decode(part.etag.trim_matches('"')).map_err(io::Error::other)?);
            crc32.combine(&crc32fast::Hasher::new_with_initial_len(
                part.crc32, part.size,
            ));
            size += part.size;
        }
        let said = |name: &str| {
            request
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let crc32 = spelled(crc32.finalize());
        if said(CRC32).is_some_and(|said| said != crc32) {
            return Err(Refusal::BadDigest);
        }
        if said("x-amz-mp-object-size").is_some_and(|said| said != size.to_string()) {
            return Err(Refusal::InvalidRequest(
                "The provided 'x-amz-mp-object-size' header does not match what was computed."
                    .to_owned(),
            ));
        }
        let staged = self.folder.unnamed();
        let mut whole = File::create(&staged.at)?;
        for Named { number, .. } in &named {
            // Within the kernel, without a detour through this process.
            io::copy(
                &mut File::open(folder.join(number.to_string()))?,
                &mut whole,
            )?;
        }
        let etag = format!("\"{}-{}\"", hex::encode(digests.finalize()), named.len());
        let record = AttributesRecord {
            etag,
            attributes: about.attributes,
            file: Some(stamp_of(&whole.metadata()?)),
        };
        drop(whole);
        let precondition = Precondition::None;
        let etag = self.commit(
            (bucket, key),
            staged,
            record,
            &precondition,
            request.arrived,
        )?;
        fs::remove_dir_all(&folder)?;
        Ok(xml_response(
            StatusCode::OK,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUploadResult xmlns=\"{XMLNS}\"><Location>/{0}/{1}</Location><Bucket>{0}</Bucket><Key>{1}</Key><ETag>{2}</ETag><ChecksumCRC32>{crc32}</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>",
                escaped(bucket),
                escaped(key),
                escaped(&etag)
            ),
        ))
    }

    fn abort(&self, bucket: &str, key: &str, request: &Request) -> Result<Response<Body>, Refusal> {
        let (folder, _) = self.upload(bucket, key, request)?;
        fs::remove_dir_all(folder)?;
        Ok(plain(StatusCode::NO_CONTENT))
    }
}

/// The parts of a list of parts. SDKs write no attributes and no comments.
fn named(xml: &str) -> Vec<Named> {
    let element = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.trim().replace("&quot;", "\"").replace("&#34;", "\""))
    };
    xml.split("<Part>")
        .skip(1)
        .filter_map(|part| {
            Some(Named {
                number: element(part, "PartNumber")?.parse().ok()?,
                etag: element(part, "ETag")?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_parts_is_read_in_its_own_order() {
        let xml = "<CompleteMultipartUpload><Part><ETag>&quot;a&quot;</ETag><PartNumber>2</PartNumber></Part><Part><PartNumber>1</PartNumber><ETag>\"b\"</ETag></Part></CompleteMultipartUpload>";

        let named: Vec<_> = named(xml)
            .into_iter()
            .map(|part| (part.number, part.etag))
            .collect();

        assert_eq!(named, [(2, "\"a\"".to_owned()), (1, "\"b\"".to_owned())]);
    }
}
