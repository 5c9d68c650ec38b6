//! Asynchronous invocations: accepted at once, held back, tried again, and at last put into the dead-letter queue
//! that the template names. They outlive a stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::accepted::Accepted;
use super::functions::{Functions, one_line};
use super::process::Outcome;
use crate::asked::Asked;
use crate::chaos::Held;
use crate::errors::StartError;
use crate::happening::{Happening, RecordedCall};
use crate::locked::locked;
use crate::template::Function;

/// Lambda's waits before the second and third try of a failed asynchronous invocation.
const MORE_TRIES_AFTER: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];
/// An event that is held behind another one's work comes at last without it.
const LONGEST_BEHIND: Duration = Duration::from_secs(10);

impl Functions {
    /// Accepts an asynchronous invocation and answers its request id at once.
    pub(crate) fn invoke_later(
        self: &Arc<Self>,
        function: &Function,
        payload: &Bytes,
        held: Held,
    ) -> String {
        let request_id = self.ids.uuid();
        let accepted = Accepted::new(&request_id, function, payload);
        if let Err(error) = accepted.save(&self.folder) {
            self.watch.broken("keep an accepted invocation", &error);
        }
        self.begin(function, accepted, held);
        request_id
    }

    /// Takes up what an earlier process had accepted and not brought to an end.
    pub(crate) fn resume(self: &Arc<Self>) -> Result<(), StartError> {
        for accepted in Accepted::load(&self.folder)? {
            match self.stack.function(&accepted.function) {
                Some(function) => self.begin(function, accepted, Held::NOT_AT_ALL),
                // The template has changed since then: nobody is left to be told.
                None => self.forget(&accepted),
            }
        }
        Ok(())
    }

    fn begin(self: &Arc<Self>, function: &Function, accepted: Accepted, held: Held) {
        let (this, function) = (Arc::clone(self), function.clone());
        let mut tasks = locked(&self.accepted);
        while tasks.try_join_next().is_some() {}
        if !self.running.is_stopped() {
            tasks.spawn(async move {
                if !this.hold(held).await {
                    return;
                }
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

    /// Waits as long as a delivery is held back. `false` if a stop came in between.
    async fn hold(&self, held: Held) -> bool {
        // Made before the look, so that a stop or an end in between is not missed.
        let (stopping, ended) = (self.stopping.notified(), self.ended.notified());
        if self.running.is_stopped() {
            return false;
        }
        let (longest, is_behind) = match held {
            Held::For(Duration::ZERO) => return true,
            Held::For(time) => (time, false),
            Held::Behind => (LONGEST_BEHIND, true),
        };
        tokio::select! {
            () = tokio::time::sleep(longest) => true,
            () = ended, if is_behind => true,
            () = stopping => false,
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
        if let Some(queue) = &function.on_failure {
            // Lambda keeps it with the right of the function's own role.
            self.watch.record(RecordedCall {
                at: Timestamp::now(),
                service: "sqs".to_owned(),
                operation: "SendMessage".to_owned(),
                resource: queue.clone(),
                status: 200,
                caller: format!("function/{}", function.logical_id),
                asked: Some(Asked::about("sqs:SendMessage", queue)),
            });
            let letter = record.to_string();
            if !self.letters.send(queue, letter, BTreeMap::new()) {
                let what = format!("the template has no queue `{queue}`");
                self.watch.broken("keep a dead letter", &what);
            }
        }
        self.watch.report(Happening::DeadLettered {
            function: function.logical_id.clone(),
            error: one_line(error),
        });
    }
}
