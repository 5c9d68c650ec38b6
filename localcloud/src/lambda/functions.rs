//! All functions of the stack: who runs, who idles, and what happens to a failed asynchronous invocation.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::process::{Outcome, Process, Start};
use super::running::Running;
use crate::chaos::Strikes;
use crate::folder::Folder;
use crate::happening::{Happening, Watch};
use crate::ids::Ids;
use crate::locked::locked;
use crate::sqs::Letters;
use crate::template::{Function, REGION, Stack};

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
    pub(super) folder: Arc<Folder>,
    pub(super) ids: Arc<Ids>,
    pub(super) watch: Arc<Watch>,
    pub(super) letters: Arc<Letters>,
    strikes: Arc<Strikes>,
    pub(super) settings: FunctionSettings,
    /// Idle processes, by function.
    idle: Mutex<HashMap<String, Vec<Process>>>,
    /// Asynchronous invocations on their way.
    pub(super) accepted: Mutex<JoinSet<()>>,
    pub(super) running: Running,
    /// Wakes what waits for its next try when the cloud stops.
    pub(super) stopping: Notify,
    /// Wakes what is held behind another one.
    pub(super) ended: Notify,
}

impl Functions {
    pub(crate) fn new(
        stack: Arc<Stack>,
        folder: Arc<Folder>,
        ids: Arc<Ids>,
        watch: Arc<Watch>,
        letters: Arc<Letters>,
        strikes: Arc<Strikes>,
        settings: FunctionSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            stack,
            folder,
            ids,
            watch,
            letters,
            strikes,
            settings,
            idle: Mutex::default(),
            accepted: Mutex::default(),
            running: Running::default(),
            stopping: Notify::new(),
            ended: Notify::new(),
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

    pub(super) async fn run(
        &self,
        function: &Function,
        request_id: &str,
        payload: Bytes,
    ) -> Outcome {
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
        self.ended.notify_waiters();
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
        self.strikes
            .begin(process.token(), &function.logical_id, process.pid());
        let (outcome, reusable) = process.invoke(request_id, payload, function.timeout).await;
        self.strikes.end(process.token());
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
        let token = self.ids.hex(32);
        let start = Start {
            binary,
            log: self
                .folder
                .path("logs/lambda")
                .join(format!("{}.log", function.logical_id)),
            environment: self.environment(function, &token),
            token,
            workdir: &workdir,
        };
        Process::start(function, start).await
    }

    fn environment(&self, function: &Function, token: &str) -> BTreeMap<String, String> {
        let mut all = function.environment.clone();
        let caller = format!("function.{}", function.logical_id);
        all.extend(crate::cloud::sdk_environment(
            &self.settings.endpoint_url,
            &caller,
        ));
        let mut set = |name: &str, value: String| {
            all.insert(name.to_owned(), value);
        };
        // A function's credentials are a session's; here it also says which process calls.
        set("AWS_SESSION_TOKEN", token.to_owned());
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

pub(super) fn one_line(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {}", text("errorType"), text("errorMessage"))
}
