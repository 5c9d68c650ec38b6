//! `trainspot local demo`: four stories in one local cloud, told by real binaries, and judged by what the
//! ledgers say. Judges only; it mends nothing and skips no check.

mod bug;
mod checks;
mod folder;
mod reclaim;
mod same_tick;
mod stage;
mod unchanged;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use comfy_table::ColumnConstraint;
use trainspot_edge::aws::Aws;

use crate::demo::checks::Checks;
use crate::demo::stage::Stage;
use crate::local::cloud::{Local, Parts};
use crate::local::data;
use crate::local::narrator::Narrator;
use crate::output;
use crate::problem::{Exit, Problem};
use crate::spec_file::SpecFile;

/// How long a reclaimed host lives here after its notice; two minutes in the cloud.
const NOTICE_LEAD: Duration = Duration::from_secs(10);

/// The table's column of places.
const PLACE_COLUMN: usize = 4;

/// Where the demo finds its parts.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Where the local cloud keeps its state; emptied first, if it is an earlier demo's
    #[arg(long, default_value = ".trainspot/demo", value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The dataset: Parquet made by `python -m trainer import`
    #[arg(
        long,
        default_value = ".trainspot/data/movielens-100k",
        value_name = "DIR"
    )]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) parts: Parts,
}

/// One story's end.
struct Told {
    title: &'static str,
    happened: String,
    place: String,
    checks: Checks,
}

/// The command.
pub(crate) async fn demo(arguments: &DemoArguments, port: u16) -> anyhow::Result<()> {
    let specs = Specs::parse()?;
    arguments.parts.check(&[&specs.recommender.pipeline])?;
    let files = data::files(&arguments.data, true)?;
    folder::make_ready(&arguments.folder)?;
    let local = Local::start(&arguments.parts, &arguments.folder, port, |settings| {
        settings.notice_lead = NOTICE_LEAD;
    })
    .await?;
    let stage = Stage {
        local,
        store: Aws::from_environment("").await,
        narrator: Narrator::new(),
        files,
    };
    let outcome = tokio::select! {
        told = tell_all(&stage, &specs) => Ok(told),
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            Err(Problem::new(Exit::Interrupted, "stopped by Ctrl-C before all stories were told"))
        }
    };
    let Stage {
        local, narrator, ..
    } = stage;
    drop(narrator);
    let base = local.results_place().of("");
    local.cloud.stop().await;
    verdict(&outcome?, &base)
}

/// The specs that the demo runs; they are part of the command, so that it tells the same stories everywhere.
struct Specs {
    recommender: SpecFile,
    same_tick: SpecFile,
    bug: SpecFile,
}

impl Specs {
    fn parse() -> Result<Self, Problem> {
        let parse = |name: &str, text: &str| SpecFile::parse(Path::new(name), text.to_owned());
        Ok(Self {
            recommender: parse(
                "cli/demo/recommender.toml",
                include_str!("../demo/recommender.toml"),
            )?,
            same_tick: parse(
                "cli/demo/demo-same-tick.toml",
                include_str!("../demo/demo-same-tick.toml"),
            )?,
            bug: parse(
                "cli/demo/demo-bug.toml",
                include_str!("../demo/demo-bug.toml"),
            )?,
        })
    }
}

async fn tell_all(stage: &Stage, specs: &Specs) -> Vec<Told> {
    let [first_tick, second_tick] = stage::last_two_ticks(jiff::Timestamp::now());
    let mut told = Vec::new();
    stage
        .narrator
        .line("\n== 1. a Spot host is reclaimed in the middle of the training");
    told.push(ended(
        reclaim::TITLE,
        reclaim::tell(stage, &specs.recommender, first_tick).await,
    ));
    stage
        .narrator
        .line("\n== 2. one tick comes three times at once, and its job is submitted twice");
    told.push(ended(
        same_tick::TITLE,
        same_tick::tell(stage, &specs.same_tick).await,
    ));
    stage
        .narrator
        .line("\n== 3. a tick comes, and the data did not change");
    told.push(ended(
        unchanged::TITLE,
        unchanged::tell(stage, &specs.recommender, second_tick).await,
    ));
    stage.narrator.line("\n== 4. the trainer has a bug");
    told.push(ended(bug::TITLE, bug::tell(stage, &specs.bug).await));
    told
}

/// A story that broke off is one with a failed check.
fn ended(title: &'static str, outcome: Result<(String, String, Checks), Problem>) -> Told {
    match outcome {
        Ok((happened, place, checks)) => Told {
            title,
            happened,
            place,
            checks,
        },
        Err(problem) => {
            let mut checks = Checks::default();
            checks.holds(
                "the story comes to its end",
                "an end",
                &problem.sentence,
                false,
            );
            Told {
                title,
                happened: "broke off".to_owned(),
                place: String::new(),
                checks,
            }
        }
    }
}

/// `base` is the folder that the places of the stories lie in.
fn verdict(told: &[Told], base: &str) -> anyhow::Result<()> {
    let mut table = output::table(&["", "story", "what happened", "verdict", "where"]);
    for (n, story) in (1..).zip(told) {
        let n_failed = story.checks.failed().count();
        let n_all = story.checks.all().len();
        let verdict = match n_failed {
            0 => format!("OK, {n_all} checks"),
            _ => format!("FAILED, {n_failed} of {n_all} checks"),
        };
        table.add_row(vec![
            n.to_string(),
            story.title.to_owned(),
            story.happened.clone(),
            verdict,
            story.place.clone(),
        ]);
    }
    // A place that is broken over two lines cannot be copied.
    if let Some(place) = table.column_mut(PLACE_COLUMN) {
        place.set_constraint(ColumnConstraint::ContentWidth);
    }
    let mut text = format!("{table}\nwhere: under {base}");
    for story in told {
        text.push_str(&format!(
            "\n\n{}\n{}",
            story.title,
            story.checks.render().trim_end()
        ));
    }
    output::print(&text)?;
    let failed: Vec<_> = told
        .iter()
        .flat_map(|story| story.checks.failed())
        .collect();
    let Some(first) = failed.first() else {
        return Ok(());
    };
    let n_all: usize = told.iter().map(|story| story.checks.all().len()).sum();
    let sentence = format!(
        "{} of {n_all} checks failed; the first: {first}",
        failed.len()
    );
    Err(Problem::new(Exit::EndedBadly, sentence).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command as a page has it, without arguments that a checkout already answers.
    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        arguments: DemoArguments,
    }

    #[test]
    fn the_dataset_is_looked_for_where_make_puts_it() {
        let makefile = include_str!("../../Makefile");
        let value = |name: &str| {
            let lines = makefile.lines().filter_map(|line| line.split_once(":="));
            let found = lines.into_iter().find(|(left, _)| left.trim() == name);
            found.expect("the Makefile has it").1.trim().to_owned()
        };

        let alone = <Alone as clap::Parser>::parse_from(["demo"]);

        let made = value("DATA").replace("$(STATE)", &value("STATE"));
        assert_eq!(alone.arguments.data, Path::new(&made));
    }

    #[test]
    fn the_demos_specs_parse() {
        let specs = Specs::parse().expect("the specs that are built in parse");

        let names = [&specs.recommender, &specs.same_tick, &specs.bug]
            .map(|spec| spec.pipeline.name.to_string());
        assert_eq!(names, ["recommender", "demo-same-tick", "demo-bug"]);
    }

    #[test]
    fn a_story_that_broke_off_fails_the_demo() {
        let told = ended(
            "a story",
            Err(Problem::new(Exit::EndedBadly, "no end in sight")),
        );

        let error = verdict(&[told], "buckets/results/").expect_err("a failed check");

        assert!(
            error.to_string().contains("seen: no end in sight"),
            "{error}"
        );
    }
}
