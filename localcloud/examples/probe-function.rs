//! A function for the tests of the local cloud: does what its event says, and writes each event it sees to the
//! folder that the event or its job's environment names.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(probe)).await
}

async fn probe(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let asked = &event.payload;
    // One write: other processes of the function write to the same file.
    std::io::stderr().write_all(format!("saw {asked}\n").as_bytes())?;
    if let Some(folder) = asked.get("meet_in").and_then(Value::as_str) {
        meet(
            Path::new(folder),
            asked.get("of").and_then(Value::as_u64).unwrap_or(1),
        )
        .await?;
    }
    if let Some(path) = asked
        .get("count_in")
        .and_then(Value::as_str)
        .map(PathBuf::from)
    {
        let before: u64 = fs::read_to_string(&path)
            .unwrap_or_default()
            .parse()
            .unwrap_or(0);
        fs::write(&path, (before + 1).to_string())?;
    }
    if let Some(path) = asked.get("put").and_then(Value::as_str) {
        put(path).await?;
    }
    if let Some(code) = asked.get("exit").and_then(Value::as_i64) {
        std::process::exit(i32::try_from(code).unwrap_or(1));
    }
    if asked.get("hang").is_some() {
        std::future::pending::<()>().await;
    }
    if asked.get("fail").is_some() {
        return Err("asked to fail".into());
    }
    let variables: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    Ok(json!({
        "event": event.payload,
        "request_id": event.context.request_id,
        "function_arn": event.context.invoked_function_arn,
        "process": std::process::id(),
        "environment": variables,
    }))
}

/// Puts an object, signed as the SDKs do as far as the local cloud reads it.
async fn put(path: &str) -> Result<(), Error> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let address = variable("AWS_ENDPOINT_URL").replace("http://", "");
    let request = format!(
        "PUT /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 3\r\nx-amz-security-token: {}\r\nauthorization: AWS4-HMAC-SHA256 Credential={}/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\nput",
        variable("AWS_SESSION_TOKEN"),
        variable("AWS_ACCESS_KEY_ID"),
    );
    let mut stream = tokio::net::TcpStream::connect(&address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    Err(format!("no good answer: {answer}").into())
}

/// Returns when as many processes as said are here at once.
async fn meet(folder: &Path, of: u64) -> Result<(), Error> {
    fs::write(folder.join(std::process::id().to_string()), "here")?;
    let deadline = Instant::now() + Duration::from_secs(1);
    while (fs::read_dir(folder)?.count() as u64) < of {
        if Instant::now() > deadline {
            return Err("nobody else came".into());
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
