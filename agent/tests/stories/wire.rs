//! HTTP for tests: a server on port 0, and S3's few calls over a [`Shelf`] on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use trainspot_edge::store::{Condition, Put};

use crate::shelf::Shelf;

#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Decoded, without the query.
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into().into_bytes(),
        }
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        error(status, code)
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
}

pub(crate) async fn serve(answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                // The other end may be killed in the middle; then there is nobody to answer.
                while let Some(request) = read(&mut stream).await {
                    if write(&mut stream, answer(request)).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Server { url }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&n| n > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    });
    let mut request = Request {
        method,
        path: decoded(path),
        query: query.collect(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|&n| n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        request
            .headers
            .insert(name.to_lowercase(), value.trim().to_owned());
    }
    if request.header("expect").is_some() {
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .ok()?;
    }
    let length = request
        .header("content-length")
        .unwrap_or("0")
        .parse()
        .ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let is_chunked = request.header("content-encoding") == Some("aws-chunked");
    request.body = if is_chunked { unchunked(&body)? } else { body };
    Some(request)
}

/// `<hex size>[;…]\r\n<data>\r\n … 0\r\n<trailers>`
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}

async fn write(stream: &mut BufReader<TcpStream>, answer: Answer) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} -\r\nContent-Length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in answer.headers {
        write!(head, "{name}: {value}\r\n").map_err(std::io::Error::other)?;
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&answer.body).await?;
    stream.flush().await
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let value = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        if let (b'%', Some(value)) = (byte, value) {
            bytes.push(value);
            rest = &after[2..];
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// S3 as the agent uses it, path style.
pub(crate) async fn serve_s3(shelf: Shelf) -> Server {
    serve(move |request| s3_answer(&shelf, request)).await
}

pub(crate) fn s3_answer(shelf: &Shelf, request: Request) -> Answer {
    let path = request.path.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    match (request.method.as_str(), key) {
        ("GET", "") => listing(shelf, bucket, request.query.get("prefix").unwrap()),
        ("GET", key) => object(shelf, bucket, key, &request),
        ("POST", _) if request.query.contains_key("uploads") => Answer::ok(format!(
            "<InitiateMultipartUploadResult><UploadId>{}</UploadId></InitiateMultipartUploadResult>",
            shelf.begin()
        )),
        ("PUT", key) if request.query.contains_key("uploadId") => {
            let (upload, number) = (&request.query["uploadId"], &request.query["partNumber"]);
            let number = number.parse().unwrap();
            if shelf.part(key, upload, number, request.body.into()) {
                Answer {
                    headers: vec![("ETag", format!("\"{number}\""))],
                    ..Answer::status(200)
                }
            } else {
                error(404, "NoSuchUpload")
            }
        }
        ("POST", key) => {
            if shelf.complete(bucket, key, &request.query["uploadId"]) {
                Answer::ok("<CompleteMultipartUploadResult/>")
            } else {
                error(404, "NoSuchUpload")
            }
        }
        ("PUT", key) => {
            let condition = match (request.header("if-none-match"), request.header("if-match")) {
                (Some("*"), None) => Condition::Absent,
                (None, Some(etag)) => Condition::Matches(etag.to_owned()),
                (None, None) => Condition::Always,
                other => panic!("the agent never asks for {other:?}"),
            };
            let (bucket, key) = (bucket.to_owned(), key.to_owned());
            match shelf.write(&bucket, &key, request.body, &condition) {
                Put::Written(etag) => Answer {
                    headers: vec![("ETag", etag)],
                    ..Answer::status(200)
                },
                Put::Refused => error(412, "PreconditionFailed"),
            }
        }
        (method, _) => panic!("the agent never asks to {method}"),
    }
}

fn object(shelf: &Shelf, bucket: &str, key: &str, request: &Request) -> Answer {
    let Some(object) = shelf.read(bucket, key) else {
        return error(404, "NoSuchKey");
    };
    let if_match = request.header("if-match");
    if if_match.is_some_and(|etag| etag != object.etag) {
        return error(412, "PreconditionFailed");
    }
    let utc = object.last_modified.to_zoned(TimeZone::UTC);
    let mut headers = vec![
        ("ETag", object.etag),
        (
            "Last-Modified",
            utc.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        ),
    ];
    let Some(range) = request.header("range") else {
        return Answer {
            status: 200,
            headers,
            body: object.body,
        };
    };
    let (from, last) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .unwrap();
    let (from, last): (usize, usize) = (from.parse().unwrap(), last.parse().unwrap());
    headers.push((
        "Content-Range",
        format!("bytes {from}-{last}/{}", object.body.len()),
    ));
    Answer {
        status: 206,
        headers,
        body: object.body[from..=last].to_vec(),
    }
}

fn listing(shelf: &Shelf, bucket: &str, prefix: &str) -> Answer {
    let mut contents = String::new();
    for key in shelf.keys(bucket, prefix) {
        let size = shelf.read(bucket, &key).unwrap().body.len();
        let now = Timestamp::now();
        write!(
            contents,
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>x</ETag><LastModified>{now}</LastModified></Contents>"
        )
        .unwrap();
    }
    Answer::ok(format!("<ListBucketResult>{contents}</ListBucketResult>"))
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    Answer {
        status,
        headers: Vec::new(),
        body: body.into_bytes(),
    }
}
