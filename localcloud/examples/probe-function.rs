//! A function for the tests of the local cloud: does what its event says, and writes each event it sees to the
//! folder that the event or its job's environment names.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

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
