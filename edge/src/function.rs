//! What the entries of the four functions share: subscriber, settings, clients, and the error that the
//! runtime reports. No decision is made here.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use lambda_runtime::{Context, Diagnostic};
use serde::Serialize;
use serde_json::Value;
use trainspot_shared::batch_event::{ArrayRole, BatchEvent, BatchEventKind, JobSeen, wants};
use trainspot_shared::identity::{JobName, RunId};
use trainspot_shared::run::Observation;

use crate::aws::Aws;
use crate::chain::chain;
use crate::drive::{DriveError, Edge, drive};
use crate::settings::Settings;

/// A started function: everything that is built once per process.
#[derive(Debug)]
pub struct Function {
    name: &'static str,
    /// The clients.
    pub aws: Aws,
    /// The template's variables.
    pub settings: Settings,
}

impl Function {
    /// Reads the environment and builds the clients. An error ends the process before its first event, and is
    /// then what `main` prints and a person reads: a sentence, and so not the error's type.
    pub async fn start(name: &'static str) -> Result<Self, lambda_runtime::Error> {
        lambda_runtime::tracing::init_default_subscriber();
        let settings = Settings::read(|variable| std::env::var(variable).ok())
            .map_err(|error| error.to_string())?;
        let aws = Aws::from_environment(&settings.topic_arn).await;
        Ok(Self {
            name,
            aws,
            settings,
        })
    }

    /// Function and request id, as claims and ledgers name whoever did something.
    pub fn by(&self, context: &Context) -> String {
        format!("{}/{}", self.name, context.request_id)
    }
}

/// A failure that a retry may mend; what can never work is an answer, not a failure.
#[derive(Debug)]
pub struct Failed {
    error_type: &'static str,
    message: String,
}

impl Failed {
    /// `error_type` is a stable word that alarms can count by; the message holds the whole chain.
    pub fn new(error_type: &'static str, error: &dyn std::error::Error) -> Self {
        Self {
            error_type,
            message: chain(error),
        }
    }
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        Self {
            error_type: failed.error_type.to_owned(),
            error_message: failed.message,
        }
    }
}

/// What became of a job's event.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct JobAnswer {
    /// The run that was driven; none if the job is nobody's or not ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Where the run stands now, or why nothing was done.
    pub outcome: String,
}

/// The three doors to one room: a job's new state, or a blocked queue, taken into the ledger of its run.
/// What is not ours, or not whole, is an answer: a retry would not mend it.
pub async fn drive_job_event<E: Edge>(
    edge: &E,
    settings: &Settings,
    event: &EventBridgeEvent<Value>,
    by: &str,
) -> Result<JobAnswer, Failed> {
    let nothing = |why: String| {
        tracing::warn!(why, "event put aside");
        JobAnswer {
            run_id: None,
            outcome: why,
        }
    };
    let time = event
        .time
        .and_then(|time| Timestamp::from_second(time.timestamp()).ok());
    let Some(time) = time else {
        return Ok(nothing("the event has no `time`".to_owned()));
    };
    let id = event.id.as_deref().unwrap_or_default();
    let detail = &event.detail;
    let event = match BatchEvent::of(id, &event.source, &event.detail_type, time, detail) {
        Ok(event) => event,
        Err(error) => return Ok(nothing(error.to_string())),
    };
    let job = event.job();
    let Ok(name) = job.name.parse::<JobName>() else {
        return Ok(nothing(format!("job `{}` is not one of ours", job.name)));
    };
    let observations = match &event.kind {
        BatchEventKind::StateChange(job) => vec![Observation::Job(Box::new(job.clone()))],
        BatchEventKind::QueueBlocked { job, reason } => {
            // The event may be old, and it may end a job: Batch is asked first what has become of it.
            let described = edge.describe(std::slice::from_ref(&job.id)).await;
            let now = match described {
                Ok(jobs) => jobs.into_iter().find(|now| now.id == job.id),
                Err(error) => return Err(Failed::new("DescribeFailed", &error)),
            };
            // One that Batch does not tell of is unknown, never lost.
            let now = now.unwrap_or_else(|| JobSeen {
                status_reason: None,
                ..job.clone()
            });
            let blocked = Observation::QueueBlocked {
                job_id: job.id.clone(),
                status: now.status,
                reason: reason.clone(),
                wants: wants(detail),
            };
            let is_child = matches!(now.array, Some(ArrayRole::Child { .. }));
            // The ledger may not know of the job yet, if SubmitJob's answer was lost.
            let seen = (!is_child).then(|| Observation::Job(Box::new(now)));
            seen.into_iter().chain([blocked]).collect()
        }
    };
    match Box::pin(drive(edge, settings, &name.run, observations, by)).await {
        Ok(run) => {
            let outcome = run.end.as_ref().map_or_else(
                || format!("{:?}", run.phase).to_lowercase(),
                |end| end.as_str().to_owned(),
            );
            Ok(JobAnswer {
                run_id: Some(name.run),
                outcome,
            })
        }
        Err(DriveError::NoRun(run)) => Ok(nothing(format!("there is no ledger of run `{run}`"))),
        Err(error) => Err(Failed::new("DriveFailed", &error)),
    }
}
