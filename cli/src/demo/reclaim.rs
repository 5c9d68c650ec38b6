//! Story 1: a tick becomes a champion although the Spot host of its training is taken back.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use trainspot_localcloud::Reclaim;
use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::champion::Champion;
use trainspot_shared::identity::{RunId, Stage as RunStage};
use trainspot_shared::layout;
use trainspot_shared::pipeline::Shards;
use trainspot_shared::progress::Progress;
use trainspot_shared::run::Run;

use crate::demo::checks::{Checks, or_none};
use crate::demo::stage::{self, Stage};
use crate::local::tick;
use crate::problem::{Exit, Problem};
use crate::spec_file::SpecFile;

/// In the table.
pub(crate) const TITLE: &str = "reclaim in training";
/// The host is taken back when this much is done.
const RECLAIM_AT: f64 = 0.3;
/// Two minutes in the cloud.
const LEAD: Duration = Duration::from_secs(10);
/// At most this much work may be done twice after a notice.
const REPEATED_MAX_S: f64 = 2.0;
/// The exit code of an attempt that left with its checkpoint published.
const PREEMPTED: i32 = 75;

/// Tells it.
pub(crate) async fn tell(
    stage: &Stage,
    spec: &SpecFile,
    at: Timestamp,
) -> Result<(String, String, Checks), Problem> {
    stage.prepare(spec).await?;
    let run_id = tick::deliver(&stage.local, &stage.store, &spec.pipeline.name, at).await?;
    stage.narrator.line(&format!("run {run_id}"));
    let mut reclaimed_at = None;
    let run = stage
        .follow(&run_id, async |beat| {
            let share = beat.progress.as_ref().map_or(0.0, Progress::share);
            let is_due =
                beat.job.stage == RunStage::Train && beat.attempt == 1 && share >= RECLAIM_AT;
            if is_due && reclaimed_at.is_none() {
                let reclaim = stage
                    .local
                    .cloud
                    .reclaim(&beat.job_id, Reclaim::WithNotice(LEAD))
                    .await;
                reclaim.map_err(|error| Problem::new(Exit::EndedBadly, error.to_string()))?;
                reclaimed_at = Some(share);
            }
            Ok(())
        })
        .await?;
    let mut checks = Checks::default();
    checks.holds(
        "the host is reclaimed during the first attempt",
        format!("at {:.0} % or later", RECLAIM_AT * 100.0),
        reclaimed_at.map_or("never".to_owned(), |share| {
            format!("at {:.0} %", share * 100.0)
        }),
        reclaimed_at.is_some(),
    );
    checks.equal("the run's end", "succeeded".to_owned(), stage::end(&run));
    let resumed = training(stage, &run, &mut checks).await?;
    what_follows(stage, &run, spec, &mut checks).await?;
    champion(stage, &run_id, &run, &mut checks).await?;
    let totals = run.totals();
    let candidate = run
        .gate
        .as_ref()
        .map_or("no gate", |gate| gate.candidate.as_str());
    let happened = format!(
        "reclaimed at {}, resumed at step {}, {:.1} s of work repeated; champion: {candidate}; {} for {} on-demand",
        reclaimed_at.map_or("no time".to_owned(), |share| format!(
            "{:.0} %",
            share * 100.0
        )),
        or_none(resumed),
        totals.repeated_s(),
        totals.cost,
        totals.on_demand_cost,
    );
    Ok((happened, layout::report(&run_id), checks))
}

/// One submission, two attempts on two hosts, and nothing lost between them. Gives the step.
async fn training(stage: &Stage, run: &Run, checks: &mut Checks) -> Result<Option<u64>, Problem> {
    let train = run.stages.get(&RunStage::Train);
    let submissions = train.map_or(&[][..], |record| &record.submissions);
    checks.equal("submissions of the training", 1, submissions.len());
    let empty = Vec::new();
    let records = submissions
        .first()
        .map_or(&empty, |submission| &submission.records);
    let attempt = |n: u32| records.iter().find(|record| record.attempt == n);
    let (first, second) = (attempt(1), attempt(2));
    checks.holds(
        "attempts in that submission",
        "2 or more",
        records.len(),
        records.len() >= 2,
    );
    checks.equal(
        "exit code of the first attempt",
        PREEMPTED.to_string(),
        or_none(first.and_then(|record| record.exit_code)),
    );
    checks.equal(
        "why the first attempt left",
        "spot_notice".to_owned(),
        or_none(first.and_then(|record| record.notice.clone())),
    );
    let host = |record: Option<&AttemptRecord>| {
        or_none(record.and_then(|record| record.instance_id.clone()))
    };
    checks.holds(
        "the second attempt is on another host",
        "two hosts",
        format!("{} and {}", host(first), host(second)),
        first.is_some() && second.is_some() && host(first) != host(second),
    );
    let published = first.and_then(|record| record.published_step);
    let resumed = second.and_then(|record| record.resumed_from);
    checks.holds(
        "the second attempt resumes where the first one published",
        format!("step {}", or_none(published)),
        format!("step {}", or_none(resumed)),
        resumed.is_some_and(|step| step > 0) && resumed == published,
    );
    let repeated = run.totals().repeated_s();
    checks.holds(
        "work done twice",
        format!("at most {REPEATED_MAX_S} s"),
        format!("{repeated:.2} s"),
        records.len() >= 2 && repeated <= REPEATED_MAX_S,
    );
    let told = match train.and_then(|record| record.output.as_ref()) {
        Some(output) => {
            stage
                .document(&format!("{}{}", output.prefix, layout::file::TRAINING))
                .await?
        }
        None => Value::Null,
    };
    let told = told.get("resumed_from").and_then(Value::as_u64);
    checks.holds(
        "the published training.json says so too",
        format!("step {}", or_none(resumed)),
        format!("step {}", or_none(told)),
        told.is_some() && told == resumed,
    );
    Ok(resumed)
}

/// Shards and their verification.
async fn what_follows(
    stage: &Stage,
    run: &Run,
    spec: &SpecFile,
    checks: &mut Checks,
) -> Result<(), Problem> {
    let wanted = match spec
        .pipeline
        .recommend
        .as_ref()
        .map(|recommend| recommend.shards)
    {
        Some(Shards::Fixed(n)) => n,
        _ => 0,
    };
    let record = run.stages.get(&RunStage::Recommend);
    let mut n_published = 0;
    for shard in 0..wanted {
        let head = stage
            .document(&layout::stage_head(
                &run.id,
                RunStage::Recommend,
                Some(shard),
            ))
            .await?;
        n_published += u32::from(head.get("output").is_some_and(|output| !output.is_null()));
    }
    checks.equal("shards with published recommendations", wanted, n_published);
    checks.equal(
        "shards of the stage, by the ledger",
        wanted.to_string(),
        or_none(record.and_then(|record| record.shards)),
    );
    let gathered = match run
        .stages
        .get(&RunStage::Gather)
        .and_then(|record| record.output.as_ref())
    {
        Some(output) => {
            stage
                .document(&format!(
                    "{}{}",
                    output.prefix,
                    layout::file::RECOMMENDATIONS
                ))
                .await?
        }
        None => Value::Null,
    };
    let seen = |field: &str| {
        gathered
            .get(field)
            .map_or("nothing".to_owned(), Value::to_string)
    };
    checks.equal(
        "shards that gather verified",
        wanted.to_string(),
        seen("shards"),
    );
    checks.equal(
        "gather's verdict",
        "verified: true".to_owned(),
        format!("verified: {}", seen("verified")),
    );
    Ok(())
}

/// Champion, notice and report.
async fn champion(
    stage: &Stage,
    run_id: &RunId,
    run: &Run,
    checks: &mut Checks,
) -> Result<(), Problem> {
    let document = stage.document(&layout::champion(run_id.pipeline())).await?;
    let champion = serde_json::from_value::<Champion>(document).ok();
    checks.equal(
        "the champion's run",
        run_id.to_string(),
        or_none(
            champion
                .as_ref()
                .map(|champion| champion.run_id.to_string()),
        ),
    );
    checks.equal(
        "the champion is the gate's best candidate",
        or_none(run.gate.as_ref().map(|gate| gate.candidate.clone())),
        or_none(champion.map(|champion| champion.candidate)),
    );
    checks.equal(
        "notices of the success",
        1,
        stage.notices(run_id, "succeeded").len(),
    );
    let report = layout::report(run_id);
    checks.holds("the report", "a page", &report, stage.has(&report).await?);
    Ok(())
}
