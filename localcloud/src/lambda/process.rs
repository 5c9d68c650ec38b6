//! One execution environment: a function's process and the Runtime API on a port of its own.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::listening::Port;
use crate::locked::locked;
use crate::processes;
use crate::template::Function;

/// Lambda's limit for the time before a function first asks for work.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// Lambda's limit of a synchronous answer, in bytes.
const LARGEST_ANSWER: usize = 6 * 1024 * 1024;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Answered(Value),
    /// The function reported an error, or died, or took too long: Lambda's error document.
    Failed(Value),
}

/// A process that is ready for an invocation or busy with one.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid: i32,
    token: String,
    work: mpsc::Sender<Work>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    function_arn: String,
    next: tokio::sync::Mutex<mpsc::Receiver<Work>>,
    current: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
}

#[derive(Debug)]
struct Work {
    request_id: String,
    payload: Bytes,
    timeout: Duration,
    taken: oneshot::Sender<()>,
    done: oneshot::Sender<Outcome>,
}

/// Where a process comes from.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) binary: &'a Path,
    pub(super) log: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
    /// Of its credentials.
    pub(super) token: String,
    pub(super) workdir: &'a Path,
}

impl Process {
    pub(super) async fn start(function: &Function, start: Start<'_>) -> io::Result<Self> {
        let (work, next) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            function_arn: function.arn.clone(),
            next: tokio::sync::Mutex::new(next),
            current: Mutex::default(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(hand_out))
            .route(
                "/2018-06-01/runtime/invocation/{request_id}/response",
                post(answered),
            )
            .route(
                "/2018-06-01/runtime/invocation/{request_id}/error",
                post(failed),
            )
            .route("/2018-06-01/runtime/init/error", post(init_failed))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(shared);
        let port = Port::open(0).await?;
        let address = port.address.clone();
        let server = port.serve(router);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&start.log)?;
        let spawned = Command::new(start.binary)
            .env_clear()
            .envs(start.environment)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .current_dir(start.workdir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                server.abort();
                return Err(error);
            }
        };
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .unwrap_or_default();
        Ok(Self {
            child,
            pid,
            token: start.token,
            work,
            server,
        })
    }

    /// Runs one invocation. `false` says that the process must not be used again.
    pub(super) async fn invoke(
        &mut self,
        request_id: &str,
        payload: Bytes,
        timeout: Duration,
    ) -> (Outcome, bool) {
        let (taken, was_taken) = oneshot::channel();
        let (done, mut outcome) = oneshot::channel();
        let work = Work {
            request_id: request_id.to_owned(),
            payload,
            timeout,
            taken,
            done,
        };
        if self.work.send(work).await.is_err() {
            return (
                error(
                    "Runtime.ExitError",
                    format!("RequestId: {request_id} Error: the runtime is gone"),
                ),
                false,
            );
        }
        // The function's own time runs from when it has the event; before that it initialises.
        tokio::select! {
            // An init error ends the work without its being taken.
            early = &mut outcome => return (early.unwrap_or_else(|_| lost(request_id)), false),
            status = self.child.wait() => return (exited(request_id, status), false),
            _ = was_taken => {}
            () = tokio::time::sleep(INIT_LIMIT) => {
                let text = format!("RequestId: {request_id} Error: Init phase exceeded {} s", INIT_LIMIT.as_secs());
                return (error("Sandbox.Timedout", text), false);
            }
        }
        tokio::select! {
            // An answer that came in before the process ended counts.
            biased;
            outcome = &mut outcome => (outcome.unwrap_or_else(|_| lost(request_id)), true),
            status = self.child.wait() => (exited(request_id, status), false),
            () = tokio::time::sleep(timeout) => {
                let seconds = timeout.as_secs_f64();
                let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
                (error("Sandbox.Timedout", format!("{now} {request_id} Task timed out after {seconds:.2} seconds")), false)
            }
        }
    }

    /// The process's id, which is its group's.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// The session token by which its calls are known.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Kills the process and whatever it started in its group, and waits for it.
    pub(super) async fn end(mut self) {
        processes::signal_group(self.pid, Signal::KILL);
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, pid = self.pid, "wait for a function's process");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn error(kind: &str, message: impl Into<String>) -> Outcome {
    Outcome::Failed(json!({ "errorType": kind, "errorMessage": message.into() }))
}

fn lost(request_id: &str) -> Outcome {
    error(
        "Runtime.ExitError",
        format!("RequestId: {request_id} Error: the runtime dropped the invocation"),
    )
}

fn exited(request_id: &str, status: io::Result<std::process::ExitStatus>) -> Outcome {
    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    error(
        "Runtime.ExitError",
        format!("RequestId: {request_id} Error: Runtime exited: {how}"),
    )
}

async fn hand_out(State(shared): State<Arc<Shared>>) -> Response {
    let Some(work) = shared.next.lock().await.recv().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let deadline =
        Timestamp::now().as_millisecond() + i64::try_from(work.timeout.as_millis()).unwrap_or(0);
    *locked(&shared.current) = Some((work.request_id.clone(), work.done));
    // Fails only when the invoker has given up.
    let _ = work.taken.send(());
    (
        [
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", work.request_id),
            ("lambda-runtime-deadline-ms", deadline.to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                shared.function_arn.clone(),
            ),
        ],
        work.payload,
    )
        .into_response()
}

async fn answered(
    State(shared): State<Arc<Shared>>,
    UrlPath(request_id): UrlPath<String>,
    body: Bytes,
) -> Response {
    if body.len() > LARGEST_ANSWER {
        finish(
            &shared,
            &request_id,
            error(
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            ),
        );
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let outcome = if body.is_empty() {
        Outcome::Answered(Value::Null)
    } else {
        match serde_json::from_slice(&body) {
            Ok(value) => Outcome::Answered(value),
            Err(why) => error("Runtime.MalformedResponse", why.to_string()),
        }
    };
    finish(&shared, &request_id, outcome)
}

async fn failed(
    State(shared): State<Arc<Shared>>,
    UrlPath(request_id): UrlPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    finish(&shared, &request_id, reported(&headers, &body))
}

async fn init_failed(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let outcome = reported(&headers, &body);
    if let Ok(mut next) = shared.next.try_lock()
        && let Ok(work) = next.try_recv()
    {
        // Fails only when the invoker has given up.
        let _ = work.done.send(outcome);
    }
    accepted()
}

fn reported(headers: &HeaderMap, body: &Bytes) -> Outcome {
    let kind = headers
        .get("lambda-runtime-function-error-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("Unhandled");
    match serde_json::from_slice::<Value>(body) {
        Ok(document @ Value::Object(_)) => Outcome::Failed(document),
        _ => error(kind, String::from_utf8_lossy(body).into_owned()),
    }
}

fn finish(shared: &Shared, request_id: &str, outcome: Outcome) -> Response {
    let current = locked(&shared.current).take_if(|(current, _)| current == request_id);
    let Some((_, done)) = current else {
        let body = json!({ "errorType": "InvalidRequestID", "errorMessage": "Invalid request ID" });
        return (StatusCode::BAD_REQUEST, body.to_string()).into_response();
    };
    // Fails only when the invoker has given up.
    let _ = done.send(outcome);
    accepted()
}

fn accepted() -> Response {
    (
        StatusCode::ACCEPTED,
        [("content-type", "application/json")],
        r#"{"status":"OK"}"#,
    )
        .into_response()
}
