//! The bytes of a put as SDKs send them: plain, or `aws-chunked` with a checksum in the trailer. Chunk
//! signatures are not verified (nobody here has a real key); CRC32 and MD5 checksums are.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::HeaderMap;
use md5::{Digest, Md5};

/// The checksum that SDKs send by themselves.
pub(super) const CRC32: &str = "x-amz-checksum-crc32";

/// What is wrong with a body, as S3's error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadBody {
    #[error(
        "The Content-MD5 or checksum value that you specified did not match what the server received."
    )]
    BadDigest,
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    IncompleteBody,
}

/// Unwraps a body and checks what its headers and trailers say about it.
pub(super) fn content(headers: &HeaderMap, body: Bytes) -> Result<Bytes, BadBody> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let chunked = text("x-amz-content-sha256").is_some_and(|kind| kind.starts_with("STREAMING-"))
        || text("content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked"));
    let (content, trailers) = if chunked {
        unchunk(&body)?
    } else {
        (body, BTreeMap::new())
    };
    if let Some(length) = text("x-amz-decoded-content-length")
        && length.parse() != Ok(content.len())
    {
        return Err(BadBody::IncompleteBody);
    }
    let crc32 = trailers
        .get(CRC32)
        .map(String::as_str)
        .or_else(|| text(CRC32));
    if crc32.is_some_and(|said| said != spelled(crc32fast::hash(&content))) {
        return Err(BadBody::BadDigest);
    }
    if text("content-md5").is_some_and(|said| said != base64(&Md5::digest(&content))) {
        return Err(BadBody::BadDigest);
    }
    Ok(content)
}

/// `<hex size>[;chunk-signature=…]\r\n<bytes>\r\n … 0[;…]\r\n<trailer>\r\n…\r\n`
fn unchunk(body: &[u8]) -> Result<(Bytes, BTreeMap<String, String>), BadBody> {
    let mut content = Vec::with_capacity(body.len());
    let mut rest = body;
    loop {
        let (line, after) = line(rest).ok_or(BadBody::IncompleteBody)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| BadBody::IncompleteBody)?;
        if size == 0 {
            rest = after;
            break;
        }
        let (chunk, after) = after
            .split_at_checked(size)
            .ok_or(BadBody::IncompleteBody)?;
        content.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n").ok_or(BadBody::IncompleteBody)?;
    }
    let mut trailers = BTreeMap::new();
    while let Some((trailer, after)) = line(rest) {
        if let Some((name, value)) = trailer.split_once(':') {
            trailers.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
        rest = after;
    }
    Ok((content.into(), trailers))
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((std::str::from_utf8(line).ok()?, rest.get(2..)?))
}

/// A CRC32 on the wire.
pub(super) fn spelled(crc32: u32) -> String {
    base64(&crc32.to_be_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let letter = ALPHABET
                .get(index as usize)
                .copied()
                .map_or('=', char::from);
            out.push(if digit > group.len() { '=' } else { letter });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    axum::http::HeaderName::from_static(name),
                    value.parse().expect("a plain text is a header value"),
                )
            })
            .collect()
    }

    #[test]
    fn base64_pads_as_the_standard_says() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }

    #[test]
    fn a_signed_chunked_body_is_unwrapped_and_its_trailer_checked() {
        let crc = base64(&crc32fast::hash(b"hello world").to_be_bytes());
        let body = format!(
            "6;chunk-signature=ab\r\nhello \r\n5;chunk-signature=cd\r\nworld\r\n0;chunk-signature=ef\r\nx-amz-checksum-crc32:{crc}\r\nx-amz-trailer-signature:00\r\n\r\n"
        );
        let headers = headers(&[
            (
                "x-amz-content-sha256",
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            ),
            ("x-amz-decoded-content-length", "11"),
        ]);

        assert_eq!(
            content(&headers, body.clone().into()),
            Ok(Bytes::from_static(b"hello world"))
        );
        assert_eq!(
            content(&headers, body.replace("world", "words").into()),
            Err(BadBody::BadDigest)
        );
        assert_eq!(
            content(
                &headers,
                body.get(..30).unwrap_or_default().to_owned().into()
            ),
            Err(BadBody::IncompleteBody)
        );
    }

    #[test]
    fn a_plain_body_is_checked_against_its_headers() {
        let md5 = base64(&Md5::digest(b"hello"));

        assert_eq!(
            content(&headers(&[("content-md5", &md5)]), "hello".into()),
            Ok("hello".into())
        );
        assert_eq!(
            content(&headers(&[("content-md5", &md5)]), "hallo".into()),
            Err(BadBody::BadDigest)
        );
        assert_eq!(
            content(
                &headers(&[("x-amz-checksum-crc32", "AAAAAA==")]),
                "hello".into()
            ),
            Err(BadBody::BadDigest)
        );
    }
}
