//! `trainspot local run`: one tick of one pipeline in a local cloud, watched to its end.

use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use trainspot_edge::aws::Aws;
use trainspot_shared::identity::{RunId, Tick};
use trainspot_shared::run::{End, Run};

use crate::local::chaos::ChaosArguments;
use crate::local::cloud::{Local, Parts};
use crate::local::narrator::Narrator;
use crate::local::reclaim::{ReclaimAt, Reclaiming};
use crate::local::{data, follow, serve, tick};
use crate::output;
use crate::problem::{Exit, Problem};
use crate::push;
use crate::show;
use crate::spec_file::SpecFile;

/// What to run, and on what.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The pipeline's spec
    #[arg(value_name = "PIPELINE_FILE")]
    pub(crate) file: PathBuf,
    /// Where the local cloud keeps its state
    #[arg(long, default_value = ".trainspot", value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The time of the tick; now, when nobody says
    #[arg(long, value_name = "RFC3339")]
    pub(crate) tick: Option<Timestamp>,
    /// A folder with the dataset's files, put under the pipeline's prefix
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Take a Spot host back once, with notice: the stage's, when so many per cent of it are done
    #[arg(long, value_name = "STAGE@PERCENT")]
    pub(crate) reclaim: Option<ReclaimAt>,
    /// Keep the local cloud running afterwards, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print the run's ledger as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) chaos: ChaosArguments,
    #[command(flatten)]
    pub(crate) parts: Parts,
}

/// The command. Everything that can be wrong without a cloud is found before the folder is touched.
pub(crate) async fn run(arguments: &RunArguments, port: u16) -> anyhow::Result<()> {
    let spec = SpecFile::read(&arguments.file)?;
    let is_checked = data::is_for_reference(&spec.pipeline);
    let files = arguments.data.as_deref();
    let files = files
        .map(|folder| data::files(folder, is_checked))
        .transpose()?;
    if files.is_some() && spec.pipeline.data.is_none() {
        let sentence = format!(
            "pipeline `{}` has no [data], but --data is given",
            spec.pipeline.name
        );
        return Err(Problem::new(Exit::Configuration, sentence).into());
    }
    arguments.parts.check(&[&spec.pipeline])?;
    if let Some(wanted) = &arguments.reclaim {
        wanted.check(&spec.pipeline)?;
    }
    let chaos = arguments.chaos.read()?;

    let local = Local::start(&arguments.parts, &arguments.folder, port, |settings| {
        settings.chaos = chaos;
    })
    .await?;
    let narrator = Narrator::new();
    let outcome = tokio::select! {
        outcome = drive(&local, &spec, files.as_deref(), arguments, &narrator) => outcome,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            Err(Problem::new(Exit::Interrupted, "stopped by Ctrl-C; jobs that ran are lost, as with their hosts")
                .hint("`trainspot local serve` over the same folder goes on with the run")
                .into())
        }
    };
    drop(narrator);
    let run = match outcome {
        Ok(run) => run,
        Err(error) => {
            local.cloud.stop().await;
            return Err(error);
        }
    };
    if arguments.json {
        output::print_json(&run)?;
    } else {
        output::print(&show::summary(&run, &local.results_place()))?;
    }
    if arguments.keep {
        // A document on stdout stays the only one.
        let greeting = serve::greeting(&local);
        if arguments.json {
            eprintln!("{greeting}");
        } else {
            output::print(&greeting)?;
        }
        serve::until_interrupted(local).await?;
    } else {
        local.cloud.stop().await;
    }
    verdict(&run)
}

async fn drive(
    local: &Local,
    spec: &SpecFile,
    files: Option<&[data::DataFile]>,
    arguments: &RunArguments,
    narrator: &Narrator,
) -> anyhow::Result<Run> {
    let began = Timestamp::now();
    let store = Aws::from_environment("").await;
    push::write(&store, &store, &local.results, spec).await?;
    if let (Some(wanted), Some(files)) = (&spec.pipeline.data, files) {
        let put = data::put((&store, &store), &local.data, wanted, files).await?;
        let others = match put.others {
            0 => String::new(),
            n => format!("; {n} other objects under the prefix belong to the dataset too"),
        };
        narrator.line(&format!(
            "dataset: {} files put, {} unchanged{others}",
            put.put, put.unchanged
        ));
    }
    let at = arguments.tick.unwrap_or_else(Timestamp::now);
    let run_id = tick::deliver(local, &store, &spec.pipeline.name, at).await?;
    narrator.line(&format!("run {run_id}"));
    let mut plan = Reclaiming::of(arguments.reclaim);
    let run = follow::follow(local, &store, &run_id, narrator, None, async |beat| {
        plan.hear(local, beat).await
    })
    .await?;
    if run.created_at < began {
        // Whoever corrected a program and tries it at once would take the old end for the new one.
        narrator.line(&was_there(&run_id, at));
    }
    plan.verdict(&run)?;
    Ok(run)
}

/// Why a tick at `at` made no run of its own, and what makes another one.
fn was_there(run_id: &RunId, at: Timestamp) -> String {
    let told = format!("run {run_id} was there before");
    let due = run_id.tick();
    if due == Tick::containing(at) {
        return format!(
            "{told}: the same minute is the same tick, and the same tick is the same run. \
             For another one wait a minute, or give another --tick"
        );
    }
    // The schedule's latest due tick stands for every moment of the day after it.
    let after = due.start() + SignedDuration::from_hours(25);
    format!(
        "{told}: its schedule was due then, and every firing within a day of that stands for the same run. \
         For another one give a --tick more than a day later, such as {after}, or a copy of the spec under another name"
    )
}

/// A run that ended badly is no error of this command, but a script must see it.
fn verdict(run: &Run) -> anyhow::Result<()> {
    match &run.end {
        Some(End::Failed { .. } | End::Cancelled { .. }) | None => {
            let sentence = format!("run `{}` ended as {}", run.id, crate::runs::state(run));
            Err(Problem::new(Exit::EndedBadly, sentence).into())
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use trainspot_shared::request::tick_of;
    use trainspot_shared::schedule::Schedule;

    use super::*;

    #[test]
    fn the_advice_for_another_run_of_a_schedule_makes_another_run() {
        let at: Timestamp = "2026-11-23T14:30:00Z".parse().expect("a time");
        let schedule = Schedule::parse("cron(0 2 ? * MON,FRI *)", "UTC").expect("a schedule");
        let run_of = |at| {
            let nightly = "nightly".parse().expect("a name");
            RunId::scheduled(nightly, tick_of(at, Some(&schedule)))
        };

        let told = was_there(&run_of(at), at);

        assert!(!told.contains("wait a minute"), "{told}");
        let (_, advised) = told.split_once("such as ").expect("a time is advised");
        let (advised, _) = advised.split_once(',').expect("as an example");
        let advised: Timestamp = advised.parse().expect("a time that --tick takes");
        assert_ne!(run_of(advised), run_of(at));
    }

    #[test]
    fn the_same_minute_has_passed_in_a_minute() {
        let at: Timestamp = "2026-11-23T14:30:20Z".parse().expect("a time");
        let nightly = "nightly".parse().expect("a name");

        let told = was_there(&RunId::scheduled(nightly, Tick::containing(at)), at);

        assert!(told.contains("wait a minute"), "{told}");
    }
}
