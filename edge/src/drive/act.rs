//! Carrying one action out, under its claim. Every action may have been carried out before, wholly or
//! in part, by somebody who died: each looks for its own effect first, or has an effect that repeats well.

use std::time::Duration;

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use trainspot_shared::champion::Champion;
use trainspot_shared::failure::Class;
use trainspot_shared::identity::{RunId, Stage};
use trainspot_shared::layout::{self, file};
use trainspot_shared::measure;
use trainspot_shared::metrics::Metrics;
use trainspot_shared::pipeline_head::{LastSuccess, PipelineHead, TakenMarker};
use trainspot_shared::report::{Curve, ReportInput};
use trainspot_shared::run::{Action, Outcome, Pending, Promotion, Run, Submit};
use trainspot_shared::stage_head::{Grant, GrantRefused, PublishRefused, Published, StageHead};
use trainspot_shared::{cost::Usd, notice::Notice};

use super::Edge;
use super::look::{HEADS_AT_ONCE, json};
use crate::cas::{self, CasError, Decision};
use crate::chain::chain;
use crate::jobs::{JobRequest, SubmitError};
use crate::metrics;
use crate::settings::Settings;
use crate::store::{Condition, StoreError};
use crate::topic::PublishError;

/// The longest that one call takes; an action is begun only while its lease has that much left.
const CALL: SignedDuration = SignedDuration::from_secs(15);
/// So often, over about two hours, Batch is asked to end a job. Then it is left to its time-out: it owns
/// nothing, and a run whose last wish is never heard would not settle.
const TERMINATE_TRIES: u32 = 18;
/// As often a report is tried that S3 refuses: a run does not wait longer for its page.
const REPORT_TRIES: u32 = 18;
/// About a day: for a person to mend what keeps the champion from being changed, which would cost a training, and
/// for SNS to come back.
const DAYLONG_TRIES: u32 = 150;
/// After a refusal for load the next try waits 10 s, then 20, 40 … at most this: less than two sweeps, so that the
/// second one tries again.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(570);
/// So many shards are granted before the ledger says so: whoever takes a submission over begins there.
const GRANTS_AT_A_TIME: usize = 500;

/// Carries `pending` out. A fault of a service releases the claim, so that whoever comes next tries
/// again; only a submission can be unclear.
pub(super) async fn act<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
    pending: &Pending,
) -> Outcome {
    let deadline = pending.claim.as_ref().map(|claim| claim.expires_at);
    if deadline.is_some_and(|at| edge.now() + CALL > at) {
        return Outcome::Unclear {
            why: "the lease ran short before it was begun".to_owned(),
        };
    }
    let done = match &pending.action {
        Action::Submit(submit) => submit_job(edge, settings, submit, pending).await,
        Action::Close {
            stage,
            base,
            reason,
        } => close(edge, settings, &run.id, *stage, *base, reason).await,
        Action::Terminate { job_id, reason } => match edge.terminate(job_id, reason).await {
            Ok(()) => Ok(Outcome::Terminated),
            Err(error) if pending.tries >= TERMINATE_TRIES => {
                Ok(Outcome::NotTerminated { why: chain(&error) })
            }
            Err(error) => Ok(back_off(edge, pending, &error)),
        },
        Action::PublishShards {
            stage, submission, ..
        } => publish_shards(edge, settings, &run.id, *stage, *submission).await,
        Action::Promote(promotion) => promote(edge, settings, &run.id, promotion).await,
        Action::WriteReport => write_report(edge, settings, run).await,
        Action::Notify(notice) => Ok(notify(edge, pending, notice).await),
        Action::RecordEnd {
            cost,
            success,
            marker,
        } => {
            let seen = (success.as_ref(), marker.as_ref());
            record_end(edge, settings, &run.id, *cost, seen).await
        }
    };
    done.unwrap_or_else(|error| put_off(edge, pending, &error))
}

/// What S3 refuses it refuses until a person mends it. Every sweep says so meanwhile; then it is given up, where the
/// run can end without it.
fn put_off<E: Edge>(edge: &E, pending: &Pending, error: &CasError) -> Outcome {
    if error.may_pass() {
        return back_off(edge, pending, error);
    }
    let why = chain(error);
    if tries(&pending.action).is_some_and(|most| pending.tries >= most) {
        let class = match error {
            CasError::Store(StoreError::Denied { .. }) => Class::PermissionDenied,
            _ => Class::Unknown,
        };
        return Outcome::GivenUp { class, why };
    }
    match back_off(edge, pending, error) {
        Outcome::Released { not_before, .. } => Outcome::Released {
            not_before,
            refused: Some(why),
        },
        other => other,
    }
}

/// How often an action is tried that S3 refuses. None for those that write what the run's state is: an end that is
/// recorded without them would not be true, and what refuses them keeps the run from settling anyway.
const fn tries(action: &Action) -> Option<u32> {
    match action {
        Action::WriteReport => Some(REPORT_TRIES),
        Action::Promote(_) => Some(DAYLONG_TRIES),
        _ => None,
    }
}

fn back_off<E: Edge>(
    edge: &E,
    pending: &Pending,
    error: &(dyn std::error::Error + 'static),
) -> Outcome {
    let wait = Duration::from_secs(10)
        .saturating_mul(1 << pending.tries.saturating_sub(1).min(10))
        .min(LONGEST_BACK_OFF);
    tracing::warn!(action = %pending.id, error, wait_s = wait.as_secs(), "action put off");
    Outcome::Released {
        not_before: later(edge.now(), wait),
        refused: None,
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).map_or(now, |wait| now + wait)
}

async fn submit_job<E: Edge>(
    edge: &E,
    settings: &Settings,
    submit: &Submit,
    pending: &Pending,
) -> Result<Outcome, CasError> {
    let bucket = &settings.results_bucket;
    let document = &submit.document;
    let key = layout::job(&document.run_id, document.stage, document.submission);
    let body = serde_json::to_vec_pretty(document).map_err(|e| StoreError::Malformed {
        key: key.clone(),
        why: e.to_string(),
    })?;
    cas::write_if_absent(edge, edge, bucket, &key, &body).await?;
    let refused = grant(edge, settings, submit, None).await?;
    if refused.is_none() {
        let shards = document.shard_of_index.as_deref().unwrap_or_default();
        let granted = grant_shards(edge, settings, submit, shards, pending.granted).await?;
        if granted < shards.len() {
            return Ok(Outcome::Granted { shards: granted });
        }
    }
    if pending.is_unclear {
        // Also when the head would not have it: a job that nobody knows of would wait for a host.
        match edge.find(&submit.queue, &submit.name).await {
            Ok(found) => {
                if let Some(first) = found.first() {
                    return Ok(Outcome::Submitted {
                        job_id: first.id.clone(),
                    });
                }
            }
            // Without the look-up a second job might be made; the claim stands, somebody looks again.
            Err(error) => {
                return Ok(Outcome::Unclear {
                    why: error.to_string(),
                });
            }
        }
    }
    if let Some(refused) = refused {
        return Ok(Outcome::Withdrawn(refused));
    }
    let request = JobRequest {
        name: submit.name.clone(),
        queue: submit.queue.clone(),
        definition: submit.definition.clone(),
        command: document.program.clone(),
        job_document: format!("s3://{bucket}/{key}"),
        gpus: submit.gpus,
        vcpus: submit.vcpus,
        memory_mib: submit.memory_mib,
        timeout_s: submit.timeout_s,
        array_size: submit.array_size,
        share: submit.share.clone(),
        priority: submit.priority,
    };
    Ok(match edge.submit(&request).await {
        Ok(job_id) => Outcome::Submitted { job_id },
        Err(error @ SubmitError::Throttled { .. }) => back_off(edge, pending, &error),
        Err(SubmitError::Refused { why, .. }) => Outcome::SubmitRefused { why },
        Err(SubmitError::Unclear { why, .. }) => Outcome::Unclear { why },
    })
}

/// Gives the next of the shards that are submitted again to the submission, side by side; gives how many of them
/// have it now. One that is done meanwhile is no reason to withdraw the others; its child will exit 0.
async fn grant_shards<E: Edge>(
    edge: &E,
    settings: &Settings,
    submit: &Submit,
    shards: &[u32],
    granted: usize,
) -> Result<usize, CasError> {
    let next = shards.iter().skip(granted).take(GRANTS_AT_A_TIME).copied();
    let next: Vec<Result<u32, CasError>> = next.map(Ok).collect();
    futures::stream::iter(next)
        .try_for_each_concurrent(HEADS_AT_ONCE, |shard| async move {
            grant(edge, settings, submit, Some(shard)).await.map(drop)
        })
        .await?;
    Ok(shards.len().min(granted + GRANTS_AT_A_TIME))
}

/// Gives the stage, or a shard of it, to the submission. Only ever raises.
async fn grant<E: Edge>(
    edge: &E,
    settings: &Settings,
    submit: &Submit,
    shard: Option<u32>,
) -> Result<Option<GrantRefused>, CasError> {
    let document = &submit.document;
    let key = layout::stage_head(&document.run_id, document.stage, shard);
    cas::change(
        edge,
        edge,
        &settings.results_bucket,
        &key,
        |head: Option<&StageHead>, write_id| {
            let n = document.submission;
            let decided = match head {
                // The very first head is made with its owner in it; later ones begin from the base.
                None if n == document.base => Grant::Write(StageHead::first(n, write_id)),
                None => StageHead::absent_shard(document.base).grant(n, write_id),
                Some(head) => head.grant(n, write_id),
            };
            match decided {
                Grant::Write(head) => Decision::Write(Box::new(head), None),
                Grant::Stands => Decision::Leave(None),
                Grant::Refused(why) => Decision::Leave(Some(why)),
            }
        },
    )
    .await
}

async fn close<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &RunId,
    stage: Stage,
    base: u32,
    reason: &str,
) -> Result<Outcome, CasError> {
    let key = layout::stage_head(run, stage, None);
    let now = edge.now();
    cas::change(
        edge,
        edge,
        &settings.results_bucket,
        &key,
        |head: Option<&StageHead>, write_id| {
            let head = head
                .cloned()
                .unwrap_or_else(|| StageHead::absent_shard(base));
            match head.close(reason, now, write_id) {
                Some(closed) => Decision::Write(Box::new(closed), Outcome::Closed),
                None if head.output.is_some() => {
                    Decision::Leave(Outcome::HadOutput(Box::new(head)))
                }
                None => Decision::Leave(Outcome::Closed),
            }
        },
    )
    .await
}

async fn publish_shards<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &RunId,
    stage: Stage,
    submission: u32,
) -> Result<Outcome, CasError> {
    let output = Published {
        prefix: layout::stage_results(run, stage),
        // Each shard has its own manifest, named by its own head.
        manifest_sha256: String::new(),
        step: 0,
        submission,
        attempt: 1,
        at: edge.now(),
    };
    let key = layout::stage_head(run, stage, None);
    cas::change(
        edge,
        edge,
        &settings.results_bucket,
        &key,
        |head: Option<&StageHead>, write_id| {
            let Some(head) = head else {
                return Decision::Leave(Outcome::NotPublished);
            };
            match head.publish_shards(output.clone(), write_id) {
                Ok(head) => Decision::Write(Box::new(head), Outcome::Published(output.clone())),
                Err(PublishRefused::HasOutput) => Decision::Leave(
                    head.output
                        .clone()
                        .map_or(Outcome::NotPublished, Outcome::Published),
                ),
                Err(_) => Decision::Leave(Outcome::NotPublished),
            }
        },
    )
    .await
}

async fn promote<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &RunId,
    promotion: &Promotion,
) -> Result<Outcome, CasError> {
    let bucket = &settings.results_bucket;
    let key = layout::champion(run.pipeline());
    let draft = &promotion.champion;
    // My own write, by content: somebody may have written on top of it.
    let is_mine = |there: &Champion| {
        there.run_id == draft.run_id
            && there.candidate == draft.candidate
            && there.recommendations == draft.recommendations
            && there.recommendations_run_id == draft.recommendations_run_id
    };
    let read = || cas::read::<Champion>(edge, bucket, &key);
    let seen = read().await?;
    if seen.as_ref().is_some_and(|there| is_mine(&there.document)) {
        return Ok(Outcome::Promoted);
    }
    if seen.as_ref().map(|there| &there.etag) != promotion.over.as_ref() {
        return Ok(Outcome::ChampionChanged);
    }
    let champion = Champion {
        version: seen.map_or(0, |there| there.document.version) + 1,
        write_id: edge.draw(),
        ..draft.clone()
    };
    if cas::write(edge, bucket, &key, &champion, promotion.over.as_deref()).await? {
        return Ok(Outcome::Promoted);
    }
    let there = read().await?;
    Ok(if there.is_some_and(|there| is_mine(&there.document)) {
        Outcome::Promoted
    } else {
        Outcome::ChampionChanged
    })
}

async fn write_report<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &Run,
) -> Result<Outcome, CasError> {
    let bucket = &settings.results_bucket;
    let output = |stage: Stage, name: &str| {
        let output = run
            .stages
            .get(&stage)
            .and_then(|record| record.output.as_ref());
        output.map(|output| format!("{}{name}", output.prefix))
    };
    let metrics: Option<Metrics> =
        optional(edge, bucket, output(Stage::Evaluate, file::METRICS)).await?;
    let curve: Option<Curve> = optional(edge, bucket, output(Stage::Train, file::CURVE)).await?;
    let recommendations =
        optional(edge, bucket, output(Stage::Gather, file::RECOMMENDATIONS)).await?;
    let page = trainspot_shared::report::render(&ReportInput {
        run,
        metrics: metrics.as_ref(),
        curve: curve.as_ref(),
        recommendations: recommendations.as_ref(),
        results_bucket: bucket,
    });
    edge.put(
        bucket,
        &layout::report(&run.id),
        page.into_bytes(),
        Condition::Always,
    )
    .await?;
    Ok(Outcome::Reported)
}

/// A document that a page can do without.
async fn optional<E: Edge, T: serde::de::DeserializeOwned>(
    edge: &E,
    bucket: &str,
    key: Option<String>,
) -> Result<Option<T>, StoreError> {
    let Some(key) = key else { return Ok(None) };
    Ok(match json(edge, bucket, &key).await? {
        Ok(document) => Some(document),
        Err(why) => {
            tracing::warn!(why, "the report does without a document");
            None
        }
    })
}

async fn notify<E: Edge>(edge: &E, pending: &Pending, notice: &Notice) -> Outcome {
    match edge.publish(notice).await {
        Ok(()) => Outcome::Told { at: edge.now() },
        Err(PublishError::Refused { why }) => Outcome::Undeliverable {
            why,
            at: edge.now(),
        },
        // A notice that nobody takes for a day keeps no run alive.
        Err(error @ PublishError::Later { .. }) if pending.tries >= DAYLONG_TRIES => {
            Outcome::Undeliverable {
                why: error.to_string(),
                at: edge.now(),
            }
        }
        Err(error @ PublishError::Later { .. }) => back_off(edge, pending, &error),
    }
}

async fn record_end<E: Edge>(
    edge: &E,
    settings: &Settings,
    run: &RunId,
    cost: Usd,
    (success, marker): (Option<&LastSuccess>, Option<&TakenMarker>),
) -> Result<Outcome, CasError> {
    let key = layout::pipeline_head(run.pipeline());
    let month = cas::change(
        edge,
        edge,
        &settings.results_bucket,
        &key,
        |head: Option<&PipelineHead>, write_id| {
            let next = head.and_then(|head| {
                head.record_end(run, cost, success.cloned(), marker.cloned(), write_id)
            });
            match next {
                Some(head) => {
                    let month = measure::month_spend(&head, run);
                    Decision::Write(Box::new(head), month)
                }
                None => Decision::Leave(None),
            }
        },
    )
    .await?;
    metrics::tell(edge, settings, run, || month.into_iter().collect());
    Ok(Outcome::Recorded)
}
