//! All functions of the stack: who runs, who idles, and what happens to a failed asynchronous invocation.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::accepted::Accepted;
use super::process::{Outcome, Process, Start};
use super::running::Running;
use crate::errors::StartError;
use crate::folder::Folder;
use crate::happening::{Happening, Watch};
use crate::ids::Ids;
use crate::locked::locked;
use crate::sqs::Letters;
use crate::template::{Function, REGION, Stack};

/// Lambda's waits before the second and third try of a failed asynchronous invocation.
const MORE_TRIES_AFTER: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

/// What a synchronous invocation comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct InvokeAnswer {
    /// The invocation.
    pub request_id: String,
    /// What the function answered, or Lambda's error document.
    pub payload: Value,
    /// `Unhandled` when the function failed.
    pub function_error: Option<String>,
}

/// Where functions come from and what they are told.
#[derive(Debug, Clone)]
pub(crate) struct FunctionSettings {
    pub(crate) binaries: PathBuf,
    pub(crate) endpoint_url: String,
    pub(crate) retry_scale: f64,
}

/// Lambda.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(super) stack: Arc<Stack>,
    folder: Arc<Folder>,
    ids: Arc<Ids>,
    watch: Arc<Watch>,
    letters: Arc<Letters>,
    settings: FunctionSettings,
    /// Idle processes, by function.
    idle: Mutex<HashMap<String, Vec<Process>>>,
    /// Asynchronous invocations on their way.
    accepted: Mutex<JoinSet<()>>,
    running: Running,
    /// Wakes what waits for its next try when the cloud stops.
    stopping: Notify,
}

impl Functions {
    pub(crate) fn new(
        stack: Arc<Stack>,
        folder: Arc<Folder>,
        ids: Arc<Ids>,
        watch: Arc<Watch>,
        letters: Arc<Letters>,
        settings: FunctionSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            stack,
            folder,
            ids,
            watch,
            letters,
            settings,
            idle: Mutex::default(),
            accepted: Mutex::default(),
            running: Running::default(),
            stopping: Notify::new(),
        })
    }

    /// Invokes a function and waits for its answer.
    pub(crate) async fn invoke(&self, function: &Function, payload: Bytes) -> InvokeAnswer {
        let request_id = self.ids.uuid();
        match self.run(function, &request_id, payload).await {
            Outcome::Answered(payload) => InvokeAnswer {
                request_id,
                payload,
                function_error: None,
            },
            Outcome::Failed(payload) => InvokeAnswer {
                request_id,
                payload,
                function_error: Some("Unhandled".into()),
            },
        }
    }

    /// Accepts an asynchronous invocation and answers its request id at once.
    pub(crate) fn invoke_later(self: &Arc<Self>, function: &Function, payload: Bytes) -> String {
        let request_id = self.ids.uuid();
        let accepted = Accepted::new(&request_id, function, &payload);
        if let Err(error) = accepted.save(&self.folder) {
            self.watch.broken("keep an accepted invocation", &error);
        }
        self.begin(function, accepted);
        request_id
    }

    /// Takes up what an earlier process had accepted and not brought to an end.
    pub(crate) fn resume(self: &Arc<Self>) -> Result<(), StartError> {
        for accepted in Accepted::load(&self.folder)? {
            match self.stack.function(&accepted.function) {
                Some(function) => self.begin(function, accepted),
                // The template has changed since then: nobody is left to be told.
                None => self.forget(&accepted),
            }
        }
        Ok(())
    }

    fn begin(self: &Arc<Self>, function: &Function, accepted: Accepted) {
        let (this, function) = (Arc::clone(self), function.clone());
        let mut tasks = locked(&self.accepted);
        while tasks.try_join_next().is_some() {}
        if !self.running.is_stopped() {
            tasks.spawn(async move {
                let payload = accepted.payload.clone().into();
                let is_done = this
                    .run_until_done(&function, &accepted.request_id, payload)
                    .await;
                if is_done {
                    this.forget(&accepted);
                }
            });
        }
    }

    fn forget(&self, accepted: &Accepted) {
        if let Err(error) = accepted.remove(&self.folder) {
            self.watch.broken("forget an accepted invocation", &error);
        }
    }

    /// A retried invocation keeps its request id. `false` if a stop came in between: the next start goes on.
    async fn run_until_done(&self, function: &Function, request_id: &str, payload: Bytes) -> bool {
        let mut waits = MORE_TRIES_AFTER.iter().take(function.more_tries as usize);
        loop {
            // Made before the work begins, so that a stop in between is not missed.
            let stopping = self.stopping.notified();
            let Outcome::Failed(error) = self.run(function, request_id, payload.clone()).await
            else {
                return true;
            };
            if self.running.is_stopped() {
                return false; // It died of the stop.
            }
            let Some(wait) = waits.next() else {
                self.dead_letter(function, request_id, &payload, &error);
                return true;
            };
            tokio::select! {
                () = tokio::time::sleep(wait.mul_f64(self.settings.retry_scale)) => {}
                () = stopping => return false,
            }
        }
    }

    fn dead_letter(&self, function: &Function, request_id: &str, payload: &Bytes, error: &Value) {
        let event = serde_json::from_slice(payload)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(payload)));
        let record = json!({
            "version": "1.0",
            "timestamp": Timestamp::now().to_string(),
            "requestContext": {
                "requestId": request_id,
                "functionArn": format!("{}:$LATEST", function.arn),
                "condition": "RetriesExhausted",
                "approximateInvokeCount": function.more_tries + 1,
            },
            "requestPayload": event,
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "responsePayload": error,
        });
        if let Some(queue) = &function.on_failure
            && !self
                .letters
                .send(queue, record.to_string(), BTreeMap::new())
        {
            self.watch.broken(
                "keep a dead letter",
                &format!("the template has no queue `{queue}`"),
            );
        }
        self.watch.report(Happening::DeadLettered {
            function: function.logical_id.clone(),
            error: one_line(error),
        });
    }

    async fn run(&self, function: &Function, request_id: &str, payload: Bytes) -> Outcome {
        self.watch.report(Happening::InvocationStarted {
            function: function.logical_id.clone(),
            request_id: request_id.to_owned(),
        });
        let begun = Instant::now();
        let outcome = self.run_in_a_process(function, request_id, payload).await;
        self.watch.report(Happening::InvocationEnded {
            function: function.logical_id.clone(),
            request_id: request_id.to_owned(),
            error: match &outcome {
                Outcome::Answered(_) => None,
                Outcome::Failed(error) => Some(one_line(error)),
            },
            duration: begun.elapsed(),
        });
        outcome
    }

    async fn run_in_a_process(
        &self,
        function: &Function,
        request_id: &str,
        payload: Bytes,
    ) -> Outcome {
        let idle = locked(&self.idle)
            .get_mut(&function.logical_id)
            .and_then(Vec::pop);
        let mut process = match idle {
            Some(process) => process,
            None => match self.start(function).await {
                Ok(process) => process,
                Err(error) => {
                    let binary = self.settings.binaries.join(&function.binary);
                    let message = format!("start `{}`: {error}", binary.display());
                    self.watch.broken("start a function", &message);
                    return Outcome::Failed(
                        json!({ "errorType": "Runtime.InvalidEntrypoint", "errorMessage": message }),
                    );
                }
            },
        };
        if !self.running.begin(process.pid()) {
            process.end().await;
            return Outcome::Failed(
                json!({ "errorType": "Runtime.Stopped", "errorMessage": "the local cloud is stopping" }),
            );
        }
        let (outcome, reusable) = process.invoke(request_id, payload, function.timeout).await;
        self.running.finish(process.pid());
        if reusable && !self.running.is_stopped() {
            locked(&self.idle)
                .entry(function.logical_id.clone())
                .or_default()
                .push(process);
        } else {
            process.end().await;
        }
        outcome
    }

    async fn start(&self, function: &Function) -> std::io::Result<Process> {
        let binary = self.settings.binaries.join(&function.binary);
        let binary: &Path = &binary;
        let workdir = self.folder.path("tmp");
        let start = Start {
            binary,
            log: self
                .folder
                .path("logs/lambda")
                .join(format!("{}.log", function.logical_id)),
            environment: self.environment(function),
            workdir: &workdir,
        };
        Process::start(function, start).await
    }

    fn environment(&self, function: &Function) -> BTreeMap<String, String> {
        let mut all = function.environment.clone();
        let caller = format!("function.{}", function.logical_id);
        all.extend(crate::cloud::sdk_environment(
            &self.settings.endpoint_url,
            &caller,
        ));
        let mut set = |name: &str, value: String| {
            all.insert(name.to_owned(), value);
        };
        set("PATH", "/usr/local/bin:/usr/bin:/bin".into());
        set("TZ", ":UTC".into());
        set("LANG", "en_US.UTF-8".into());
        set("_HANDLER", function.handler.clone());
        set(
            "LAMBDA_TASK_ROOT",
            self.settings.binaries.to_string_lossy().into_owned(),
        );
        set("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".into());
        set("AWS_REGION", REGION.into());
        set("AWS_LAMBDA_FUNCTION_NAME", function.name.clone());
        set("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into());
        set(
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            function.memory_mb.to_string(),
        );
        set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into());
        set(
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", function.name),
        );
        set(
            "AWS_LAMBDA_LOG_STREAM_NAME",
            format!("local/[$LATEST]{}", self.ids.hex(32)),
        );
        set(
            "AWS_LAMBDA_LOG_FORMAT",
            if function.json_logs { "JSON" } else { "Text" }.into(),
        );
        all
    }

    /// Ends every process, busy or idle, and waits for them.
    pub(crate) async fn stop(&self) {
        self.running.stop();
        self.stopping.notify_waiters();
        let mut accepted = std::mem::take(&mut *locked(&self.accepted));
        while accepted.join_next().await.is_some() {}
        let idle = std::mem::take(&mut *locked(&self.idle));
        for process in idle.into_values().flatten() {
            process.end().await;
        }
    }
}

fn one_line(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {}", text("errorType"), text("errorMessage"))
}
