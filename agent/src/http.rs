//! The smallest HTTP/1.1 client that the metadata service needs.
//!
//! The SDK's own client brings a provider chain, retries and pauses; a Spot notice wants an answer
//! within a second or none. Plain text over a link-local address: no TLS, no redirects, no chunks.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The service answers in milliseconds; where there is none, nothing answers at all.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Its answers are a few hundred bytes.
const LONGEST_ANSWER_BYTES: u64 = 64 * 1024;
const HTTP_PORT: u16 = 80;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Host and port of `http://<host>[:<port>][/]`.
pub(crate) fn authority(endpoint: &str) -> Option<(String, u16)> {
    let rest = endpoint.strip_prefix("http://")?.trim_end_matches('/');
    if rest.is_empty() || rest.contains('/') {
        return None;
    }
    // `[fd00:ec2::254]` has colons of its own.
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => Some((host.to_owned(), port.parse().ok()?)),
        _ => Some((rest.to_owned(), HTTP_PORT)),
    }
}

/// One request on a connection of its own.
pub(crate) async fn request(
    (host, port): &(String, u16),
    method: &str,
    path: &str,
    header: (&str, &str),
) -> io::Result<Answer> {
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{}: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        header.0, header.1
    );
    let exchange = async {
        let bare_host = host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = TcpStream::connect((bare_host, *port)).await?;
        stream.write_all(text.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut stream = stream.take(LONGEST_ANSWER_BYTES);
        // Not every server closes when it is asked to.
        while !is_complete(&answer) && stream.read_buf(&mut answer).await? > 0 {}
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP/1.1 answer"))
}

/// Whether the body is as long as the head says; without a word on it, the end of the stream tells.
fn is_complete(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| answer.len() >= end + 4 + length)
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status_line = head.lines().next()?;
    let status = status_line
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_as_the_sdks_write_them_parse() {
        let host = |text: &str| authority(text);

        assert_eq!(
            host("http://169.254.169.254"),
            Some(("169.254.169.254".to_owned(), 80))
        );
        assert_eq!(
            host("http://127.0.0.1:4100/"),
            Some(("127.0.0.1".to_owned(), 4100))
        );
        assert_eq!(
            host("http://[fd00:ec2::254]"),
            Some(("[fd00:ec2::254]".to_owned(), 80))
        );
        assert_eq!(host("https://169.254.169.254"), None);
        assert_eq!(host("http://"), None);
    }

    #[test]
    fn an_answer_is_complete_when_its_length_is_there() {
        assert!(!is_complete(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"
        ));
        assert!(is_complete(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        ));
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\n\r\nok"));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        assert_eq!(parse(b"garbled"), None);
        assert_eq!(
            parse(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"),
            Some(Answer {
                status: 404,
                body: "no".to_owned()
            })
        );
    }
}
