//! Story 2: one tick comes three times at the same moment, and somebody submits its job a second time.
//! One run, one job's work, whatever happens.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use trainspot_edge::jobs::{JobRequest, Jobs as _};
use trainspot_localcloud::{Happening, InvokeAnswer, JobSnapshot};
use trainspot_shared::identity::{JobName, RunId, Stage as RunStage};
use trainspot_shared::layout;
use trainspot_shared::run::Run;
use trainspot_shared::stage_head::StageHead;

use crate::demo::checks::{Checks, or_none};
use crate::demo::stage::{self, Stage};
use crate::ledgers;
use crate::local::{follow, tick};
use crate::problem::{Exit, Problem};
use crate::spec_file::SpecFile;

/// In the table.
pub(crate) const TITLE: &str = "one tick three times";
/// The exit code of a job that is not the owner.
const NOT_OWNER: i32 = 79;
/// What an invocation may say that made no run.
const LOSERS: [&str; 3] = ["already_there", "lost_the_create", "lost_the_cas"];
/// The twin finds out at its start.
const TWIN_LONGEST: Duration = Duration::from_mins(1);

/// Tells it.
pub(crate) async fn tell(
    stage: &Stage,
    spec: &SpecFile,
) -> Result<(String, String, Checks), Problem> {
    stage.prepare(spec).await?;
    let mut checks = Checks::default();
    let at = Timestamp::now();
    let name = &spec.pipeline.name;
    let mut happenings = stage.local.cloud.happenings();
    let (first, second, third) = tokio::join!(
        tick::invoke(&stage.local, name, at),
        tick::invoke(&stage.local, name, at),
        tick::invoke(&stage.local, name, at),
    );
    let answers = [first?, second?, third?];
    checks.equal(
        "processes that took the tick at the same moment",
        3,
        most_at_once(&mut happenings),
    );
    let run_id = one_run(stage, &answers, &mut checks).await?;
    stage.narrator.line(&format!("run {run_id}"));

    let mut twin: Option<String> = None;
    let mut n_before_twin = 0;
    let run = stage
        .follow(&run_id, async |beat| {
            // With a heartbeat the first job is at work for certain.
            if twin.is_none() && beat.job.stage == RunStage::Train && beat.progress.is_some() {
                n_before_twin = jobs_named(stage, &beat.job).len();
                twin = Some(submit_twin(stage, spec, &beat.job).await?);
                stage
                    .narrator
                    .line(&format!("{}: submitted a second time by hand", beat.job));
            }
            Ok(())
        })
        .await?;
    checks.equal("the run's end", "succeeded".to_owned(), stage::end(&run));
    checks.equal("jobs that the three deliveries submitted", 1, n_before_twin);
    let exit_code = match &twin {
        Some(id) => ended(stage, id).await?.exit_code,
        None => None,
    };
    checks.equal(
        "exit code of the twin",
        NOT_OWNER.to_string(),
        or_none(exit_code),
    );
    output_is_the_first_jobs(stage, &run, twin.as_deref(), &mut checks).await?;
    let outcomes: Vec<_> = answers.iter().map(outcome).collect();
    let happened = format!(
        "{}; the twin ended with exit code {}",
        outcomes.join(", "),
        or_none(exit_code)
    );
    Ok((happened, layout::ledger(&run_id), checks))
}

/// Three answers, one run, one maker.
async fn one_run(
    stage: &Stage,
    answers: &[InvokeAnswer; 3],
    checks: &mut Checks,
) -> Result<RunId, Problem> {
    let run_id =
        |answer: &InvokeAnswer| or_none(answer.payload.get("run_id").and_then(Value::as_str));
    let [first, ..] = answers;
    let named = run_id(first);
    let n_same = answers
        .iter()
        .filter(|answer| run_id(answer) == named)
        .count();
    checks.equal("answers that name the same run", 3, n_same);
    let makers: Vec<_> = answers
        .iter()
        .filter(|answer| outcome(answer) == "created")
        .collect();
    checks.equal("invocations that made the run", 1, makers.len());
    let n_losers = answers
        .iter()
        .filter(|answer| LOSERS.contains(&outcome(answer).as_str()))
        .count();
    checks.equal(
        "invocations that found it made, or lost the write",
        2,
        n_losers,
    );
    let run_id: RunId = named.parse().map_err(|_| {
        Problem::new(
            Exit::EndedBadly,
            format!("submit-training answered {}", first.payload),
        )
    })?;
    let pipeline = std::slice::from_ref(run_id.pipeline());
    let n_runs = ledgers::run_ids(&stage.store, &stage.local.results, pipeline)
        .await?
        .len();
    checks.equal("runs of the pipeline", 1, n_runs);
    let ledger = ledgers::ledger(&stage.store, &stage.local.results, &run_id).await?;
    let created_by = or_none(ledger.map(|ledger| ledger.created_by));
    let maker = or_none(makers.first().map(|answer| answer.request_id.as_str()));
    checks.holds(
        "the ledger names its maker",
        &maker,
        &created_by,
        created_by.contains(&maker),
    );
    Ok(run_id)
}

fn outcome(answer: &InvokeAnswer) -> String {
    or_none(answer.payload.get("outcome").and_then(Value::as_str))
}

/// How many invocations were under way at once; a process takes one at a time.
fn most_at_once(happenings: &mut tokio::sync::broadcast::Receiver<Happening>) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    while let Ok(happening) = happenings.try_recv() {
        match happening {
            Happening::InvocationStarted { function, .. } if function == tick::SUBMIT_TRAINING => {
                now += 1;
            }
            Happening::InvocationEnded { function, .. } if function == tick::SUBMIT_TRAINING => {
                now = now.saturating_sub(1);
            }
            _ => {}
        }
        most = most.max(now);
    }
    most
}

fn jobs_named(stage: &Stage, name: &JobName) -> Vec<JobSnapshot> {
    let jobs = follow::jobs_of(&stage.local, &name.run);
    jobs.into_iter()
        .filter(|(known, _)| known == name)
        .map(|(_, job)| job)
        .collect()
}

/// The same submission again, as somebody would who had lost the answer. Gives the job's id.
async fn submit_twin(stage: &Stage, spec: &SpecFile, name: &JobName) -> Result<String, Problem> {
    let missing =
        |what: &str| Problem::new(Exit::EndedBadly, format!("{what} of `{name}` is not known"));
    let ledger = ledgers::ledger(&stage.store, &stage.local.results, &name.run).await?;
    let submission = ledger
        .and_then(|ledger| ledger.stages.get(&name.stage)?.current().cloned())
        .ok_or_else(|| missing("the submission"))?;
    let cloud = &stage.local.cloud;
    let is_post_processing =
        cloud.physical("PostProcessingQueue").as_ref() == Some(&submission.queue);
    let definition = if is_post_processing {
        "PostProcessingJobDefinition"
    } else {
        "TrainJobDefinition"
    };
    let work = &spec.pipeline.train;
    let request = JobRequest {
        name: name.clone(),
        queue: submission.queue,
        definition: cloud
            .physical(definition)
            .ok_or_else(|| missing("the job definition"))?,
        command: work.program.clone(),
        job_document: format!(
            "s3://{}/{}",
            stage.local.results,
            layout::job(&name.run, name.stage, name.submission)
        ),
        gpus: work.gpus,
        vcpus: work.vcpus,
        memory_mib: submission.memory_mib,
        timeout_s: work.timeout_s,
        array_size: None,
        // Batch takes letters and digits only.
        share: spec
            .pipeline
            .name
            .as_str()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect(),
        priority: spec.pipeline.priority,
    };
    stage
        .store
        .submit(&request)
        .await
        .map_err(|error| Problem::new(Exit::EndedBadly, error.to_string()))
}

/// Waits for a job's end.
async fn ended(stage: &Stage, id: &str) -> Result<JobSnapshot, Problem> {
    let began = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        look.tick().await;
        let job = stage
            .local
            .cloud
            .jobs()
            .into_iter()
            .find(|job| job.job_id == id);
        match job {
            Some(job) if matches!(job.status.as_str(), "SUCCEEDED" | "FAILED") => return Ok(job),
            _ if began.elapsed() > TWIN_LONGEST => {
                let sentence = format!(
                    "the twin `{id}` did not end within {} s",
                    TWIN_LONGEST.as_secs()
                );
                return Err(Problem::new(Exit::EndedBadly, sentence));
            }
            _ => {}
        }
    }
}

/// What the stage's head points to is the work of the job that came first.
async fn output_is_the_first_jobs(
    stage: &Stage,
    run: &Run,
    twin: Option<&str>,
    checks: &mut Checks,
) -> Result<(), Problem> {
    let name = JobName {
        run: run.id.clone(),
        stage: RunStage::Train,
        submission: 1,
    };
    let first = jobs_named(stage, &name)
        .into_iter()
        .find(|job| Some(job.job_id.as_str()) != twin);
    let first = or_none(first.map(|job| job.job_id));
    let head = stage
        .document(&layout::stage_head(&run.id, RunStage::Train, None))
        .await?;
    let head = serde_json::from_value::<StageHead>(head).ok();
    let owner = head.as_ref().and_then(|head| head.owner.job_id.clone());
    checks.equal("the owner of the stage", first.clone(), or_none(owner));
    let output = head.and_then(|head| head.output);
    checks.equal(
        "the attempt that published the output",
        "submission 1, attempt 1".to_owned(),
        or_none(
            output
                .as_ref()
                .map(|o| format!("submission {}, attempt {}", o.submission, o.attempt)),
        ),
    );
    // The twin has the same submission and attempt, so the output's own record tells whose it is.
    let record = match &output {
        Some(output) => {
            stage
                .document(&format!("{}{}", output.prefix, layout::file::ATTEMPT))
                .await?
        }
        None => Value::Null,
    };
    checks.equal(
        "the job whose record lies with the output",
        first,
        or_none(record.get("job_id").and_then(Value::as_str)),
    );
    Ok(())
}
