//! S3 over the wire.

use std::collections::BTreeSet;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, Length};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::place::Place;

const BUCKET: &str = "results-123456789012";
const WRITERS: usize = 16;
const ROUNDS: usize = 200;

/// Status and code of a refusal.
fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> (u16, String) {
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned())
}

async fn put(
    client: &Client,
    key: &str,
    body: &str,
    none_match: bool,
    etag: Option<String>,
) -> Result<String, (u16, String)> {
    client
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .body(ByteStream::from(body.as_bytes().to_vec()))
        .set_if_none_match(none_match.then(|| "*".into()))
        .set_if_match(etag)
        .send()
        .await
        .map(|put| put.e_tag.expect("a put answers an ETag"))
        .map_err(|error| refusal(&error))
}

async fn body(client: &Client, key: &str) -> String {
    let got = client
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .expect("the object is there");
    let bytes = got
        .body
        .collect()
        .await
        .expect("the body comes whole")
        .into_bytes();
    String::from_utf8(bytes.into()).expect("the tests write texts")
}

#[tokio::test]
async fn conditional_puts_answer_as_on_aws() {
    let place = Place::new().await;
    let s3 = place.s3();

    let first = put(&s3, "state/head.json", "1", true, None)
        .await
        .expect("nothing is there yet");
    assert_eq!(
        first,
        format!("\"{}\"", "c4ca4238a0b923820dcc509a6f75849b"),
        "the quoted MD5 of `1`"
    );
    let again = put(&s3, "state/head.json", "2", true, None).await;
    assert_eq!(again, Err((412, "PreconditionFailed".into())));
    let second = put(&s3, "state/head.json", "2", false, Some(first.clone()))
        .await
        .expect("the ETag is the current one");
    let stale = put(&s3, "state/head.json", "3", false, Some(first)).await;
    assert_eq!(stale, Err((412, "PreconditionFailed".into())));
    let missing = put(&s3, "state/none.json", "3", false, Some(second)).await;
    assert_eq!(missing, Err((404, "NoSuchKey".into())));

    assert_eq!(body(&s3, "state/head.json").await, "2");
    let on_disk = std::fs::read_to_string(
        place
            .folder
            .join("buckets")
            .join(BUCKET)
            .join("state/head.json"),
    );
    assert_eq!(on_disk.expect("an object is a plain file"), "2");
}

/// A writer with one connection of its own and nothing between it and the wire.
struct Writer(BufStream<TcpStream>);

impl Writer {
    async fn connect(place: &Place) -> Self {
        let address = place
            .cloud
            .endpoint_url()
            .trim_start_matches("http://")
            .to_owned();
        let stream = TcpStream::connect(address).await.expect("the door is open");
        stream.set_nodelay(true).expect("the connection is open");
        Self(BufStream::new(stream))
    }

    /// Puts under a condition and answers the status.
    async fn put(&mut self, key: &str, body: &str, condition: &str) -> u16 {
        let request = format!(
            "PUT /{BUCKET}/{key} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n{condition}\r\nauthorization: AWS4-HMAC-SHA256 Credential=K/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
            body.len()
        );
        self.0
            .write_all(request.as_bytes())
            .await
            .expect("the request goes out");
        self.0.flush().await.expect("the request goes out");
        let (mut status, mut length, mut line) = (0, 0, String::new());
        loop {
            line.clear();
            self.0
                .read_line(&mut line)
                .await
                .expect("the answer comes in");
            let text = line.trim_end();
            if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
                status = rest
                    .split(' ')
                    .next()
                    .and_then(|word| word.parse().ok())
                    .expect("an answer has a status");
            } else if let Some(rest) = text.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length is a number");
            } else if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0
            .read_exact(&mut body)
            .await
            .expect("the body comes in");
        status
    }
}

/// All writers put at once, each its own body; answers the one that was told it had won, and what the others were told.
async fn race(
    writers: &mut [Writer],
    key: &str,
    what: &str,
    condition: &str,
) -> (String, BTreeSet<u16>) {
    let bodies: Vec<String> = (0..writers.len())
        .map(|writer| format!("{key} {what} by {writer}"))
        .collect();
    let puts = writers
        .iter_mut()
        .zip(&bodies)
        .map(|(writer, body)| writer.put(key, body, condition));
    let statuses = futures::future::join_all(puts).await;
    let winners: Vec<usize> = statuses
        .iter()
        .enumerate()
        .filter(|(_, status)| **status == 200)
        .map(|(writer, _)| writer)
        .collect();
    let [winner] = winners.as_slice() else {
        panic!("{key} was won by {winners:?}: {statuses:?}")
    };
    let others: BTreeSet<u16> = statuses
        .iter()
        .copied()
        .filter(|status| *status != 200)
        .collect();
    assert!(
        others.iter().all(|status| [409, 412].contains(status)),
        "{key}: {statuses:?}"
    );
    (bodies[*winner].clone(), others)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_conditional_puts_exactly_one_wins_also_across_a_restart() {
    let mut place = Place::new().await;
    let mut writers = Vec::new();
    let (mut winners_seen, mut refusals_seen) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        if round % (ROUNDS / 2) == 0 {
            writers.clear();
            place = place.again().await;
            for _ in 0..WRITERS {
                writers.push(Writer::connect(&place).await);
            }
        }
        let s3 = place.s3();
        if round == ROUNDS / 2 {
            let late = put(&s3, "race/0", "late", true, None).await;
            assert_eq!(
                late,
                Err((412, "PreconditionFailed".into())),
                "what was won before the restart stays won"
            );
        }
        let key = format!("race/{round}");

        let (created, refusals) = race(&mut writers, &key, "created", "if-none-match: *").await;
        assert_eq!(body(&s3, &key).await, created);
        let head = s3
            .head_object()
            .bucket(BUCKET)
            .key(&key)
            .send()
            .await
            .expect("the object is there");
        let current = format!("if-match: {}", head.e_tag.expect("an object has an ETag"));
        let (changed, more) = race(&mut writers, &key, "changed", &current).await;
        assert_eq!(body(&s3, &key).await, changed);
        winners_seen.extend(created.rsplit(' ').next().map(str::to_owned));
        refusals_seen.extend(refusals.union(&more).copied());
    }

    assert!(
        winners_seen.len() > 1,
        "nobody raced: {winners_seen:?} always won"
    );
    assert!(refusals_seen.contains(&412), "{refusals_seen:?}");
}

#[tokio::test]
async fn reads_take_ranges_and_conditions() {
    let place = Place::new().await;
    let s3 = place.s3();
    let etag = put(&s3, "data/a.txt", "0123456789", false, None)
        .await
        .expect("the put works");
    let get = || s3.get_object().bucket(BUCKET).key("data/a.txt");

    let part = get()
        .range("bytes=2-4")
        .if_match(&etag)
        .send()
        .await
        .expect("the range is there");
    assert_eq!(part.content_range.as_deref(), Some("bytes 2-4/10"));
    assert_eq!(
        part.body
            .collect()
            .await
            .expect("it comes whole")
            .into_bytes(),
        "234"
    );
    let tail = get()
        .range("bytes=-3")
        .send()
        .await
        .expect("the range is there");
    assert_eq!(
        tail.body
            .collect()
            .await
            .expect("it comes whole")
            .into_bytes(),
        "789"
    );
    let beyond = get()
        .range("bytes=10-")
        .send()
        .await
        .expect_err("there is no byte 10");
    assert_eq!(refusal(&beyond), (416, "InvalidRange".into()));
    let changed = get()
        .if_match("\"other\"")
        .send()
        .await
        .expect_err("the ETag is another");
    assert_eq!(refusal(&changed), (412, "PreconditionFailed".into()));
    let same = get()
        .if_none_match(&etag)
        .send()
        .await
        .expect_err("304 is no success");
    assert_eq!(refusal(&same).0, 304);
    let missing = s3
        .get_object()
        .bucket(BUCKET)
        .key("data/b.txt")
        .send()
        .await
        .expect_err("there is no such key");
    assert_eq!(refusal(&missing), (404, "NoSuchKey".into()));
    let elsewhere = s3
        .get_object()
        .bucket("elsewhere")
        .key("x")
        .send()
        .await
        .expect_err("there is no such bucket");
    assert_eq!(refusal(&elsewhere), (404, "NoSuchBucket".into()));

    let head = s3
        .head_object()
        .bucket(BUCKET)
        .key("data/a.txt")
        .send()
        .await
        .expect("the object is there");
    assert_eq!((head.content_length, head.e_tag), (Some(10), Some(etag)));
    assert!(head.last_modified.is_some());
    let missing = s3
        .head_object()
        .bucket(BUCKET)
        .key("data/b.txt")
        .send()
        .await
        .expect_err("there is no such key");
    assert!(missing.into_service_error().is_not_found());
}

#[tokio::test]
async fn a_streamed_body_arrives_as_it_was_with_what_was_said_about_it() {
    let mut place = Place::new().await;
    let file = place.scratch("upload");
    let content = "abcdefghijklmnopqrstuvwxyz".repeat(8_000);
    std::fs::write(&file, &content).expect("the scratch file can be written");
    // From a path the SDK sends `aws-chunked` with a checksum in the trailer.
    let stream = ByteStream::read_from()
        .path(&file)
        .length(Length::Exact(208_000))
        .build()
        .await
        .expect("the file can be read");

    let put = place
        .s3()
        .put_object()
        .bucket(BUCKET)
        .key("models/m.bin")
        .content_type("text/html")
        .metadata("run", "r1")
        .body(stream);
    put.send().await.expect("the put works");

    assert_eq!(body(&place.s3(), "models/m.bin").await, content);
    place = place.again().await;
    let head = place
        .s3()
        .head_object()
        .bucket(BUCKET)
        .key("models/m.bin")
        .send()
        .await
        .expect("it outlives a restart");
    assert_eq!(head.content_type.as_deref(), Some("text/html"));
    assert_eq!(
        head.metadata
            .and_then(|all| all.get("run").cloned())
            .as_deref(),
        Some("r1")
    );
}

#[tokio::test]
async fn listings_have_pages_prefixes_and_awkward_keys() {
    let place = Place::new().await;
    let s3 = place.s3();
    let keys = [
        "a b/+&<é>.txt",
        "list/1",
        "list/2",
        "list/2-x",
        "list/2d/deep",
        "list/3/x",
        "list/3/y",
        "other",
    ];
    for key in keys {
        put(&s3, key, key, false, None)
            .await
            .expect("the put works");
    }

    let mut seen = Vec::new();
    let mut pages = s3
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("list/")
        .delimiter("/")
        .max_keys(2)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.expect("a page comes");
        assert!(page.key_count.is_some_and(|count| count <= 2));
        seen.extend(
            page.contents
                .unwrap_or_default()
                .into_iter()
                .filter_map(|object| object.key),
        );
        seen.extend(
            page.common_prefixes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|prefix| prefix.prefix),
        );
    }
    assert_eq!(
        seen,
        ["list/1", "list/2", "list/2-x", "list/2d/", "list/3/"]
    );

    let all = s3
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .expect("a listing comes");
    let all: Vec<String> = all
        .contents
        .unwrap_or_default()
        .into_iter()
        .filter_map(|object| object.key)
        .collect();
    assert_eq!(all, keys);
    assert_eq!(body(&s3, keys[0]).await, keys[0]);
}

#[tokio::test]
async fn deletes_are_idempotent_and_leave_no_folder_in_the_way() {
    let place = Place::new().await;
    let s3 = place.s3();
    put(&s3, "a/b/c", "1", false, None)
        .await
        .expect("the put works");

    for _ in 0..2 {
        s3.delete_object()
            .bucket(BUCKET)
            .key("a/b/c")
            .send()
            .await
            .expect("a delete always works");
    }

    assert_eq!(
        put(&s3, "a/b/c", "2", true, None).await.err(),
        None,
        "a deleted key is absent"
    );
    s3.delete_object()
        .bucket(BUCKET)
        .key("a/b/c")
        .send()
        .await
        .expect("a delete always works");
    put(&s3, "a/b", "file where a folder was", true, None)
        .await
        .expect("the empty folder is gone");
}

#[tokio::test]
async fn what_is_not_here_is_answered_501_and_reported() {
    let mut place = Place::new().await;
    let s3 = place.s3();

    let error = s3
        .list_buckets()
        .send()
        .await
        .expect_err("this does not exist here");
    assert_eq!(refusal(&error), (501, "NotImplemented".into()));
    place.until("the report", |happening| matches!(happening, trainspot_localcloud::Happening::NotImplemented { service, .. } if service == "s3")).await;
    let error = s3
        .list_multipart_uploads()
        .bucket(BUCKET)
        .send()
        .await
        .expect_err("nor does this");
    assert_eq!(refusal(&error), (501, "NotImplemented".into()));
    let both = put(&s3, "x", "1", false, None).await;
    let under = put(&s3, "x/y", "1", false, None).await;
    assert!(both.is_ok());
    assert_eq!(
        under,
        Err((501, "NotImplemented".into())),
        "a file cannot be a folder too"
    );
    let outside = put(&s3, "../../escape", "1", false, None).await;
    assert!(outside.is_err(), "{outside:?}");
}
