//! What may be typed. Every command says in its help how it is used.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::ask::Asking;
use crate::cancel::CancelArguments;
use crate::check::CheckArguments;
use crate::clean::CleanArguments;
use crate::demo::DemoArguments;
use crate::doctor::DoctorArguments;
use crate::fragment::FragmentArguments;
use crate::local::chaos::ChaosArguments;
use crate::local::cloud::Parts;
use crate::local::run::RunArguments;
use crate::promote::PromoteArguments;
use crate::redrive::RedriveArguments;
use crate::results::BUCKET_VARIABLE;

const EXAMPLES: &str = "\
Examples:
  trainspot check                                     every spec in pipelines/, and the template
  trainspot doctor                                    what would keep a run from ending well
  trainspot fragment pipelines/search.toml --schedule 'cron(0 4 * * ? *)'
  trainspot push pipelines/recommender.toml           give a spec to the functions
  trainspot runs recommender --limit 5
  trainspot show recommender-20261123T0200Z
  trainspot start recommender --force                 a run now, also if nothing changed
  trainspot retry recommender-20261123T0200Z          a finished run once more
  trainspot cancel recommender-20261123T0200Z         end a run that is live
  trainspot promote recommender-20261123T0200Z        make its challenger the champion
  trainspot pause recommender                         skip its ticks until `resume`
  trainspot redrive --dry-run                         events that were given up
  trainspot clean --keep-days 90                      delete what old runs left
  trainspot local run pipelines/recommender.toml --data .trainspot/data/movielens-100k
  trainspot local serve                               a cloud for `aws` and for the commands above

Exit codes: 0 ok, 1 what was asked about ended badly or is over, 2 usage, 3 the run that was asked for was skipped,
64 configuration or spec, 65 data, 69 store or function unreachable, 75 folder in use, 77 denied.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  trainspot doctor --region us-east-1                     before the first deploy
  trainspot doctor --stack trainspot --region us-east-1
  trainspot doctor --commands                             with the `aws` command of each finding
  trainspot doctor --json | jq '.findings[] | select(.verdict == \"bad\")'

It needs the `aws` command. What it may not read it says it could not check, with the missing right.
Exit codes: 0 nothing is bad, 1 something is, 2 usage, 64 template or samconfig.toml, 69 AWS was not asked.";

const FRAGMENT_EXAMPLES: &str = "\
Examples:
  trainspot fragment pipelines/search.toml --schedule 'cron(0 4 * * ? *)'
  trainspot fragment pipelines/search.toml --schedule 'cron(0 4 ? * SUN *)' --time-zone Asia/Seoul";

const SERVE_EXAMPLES: &str = "\
Examples:
  trainspot local serve --port 4566
  (in another shell, with the printed exports)
  aws s3 ls \"s3://$TRAINSPOT_RESULTS_BUCKET/\"
  trainspot runs

  trainspot local serve --chaos bad-week.toml --seed 7    (what goes wrong on purpose)
  trainspot local serve --gbps 2.5                        (the network of a small Spot host)";

const RUN_EXAMPLES: &str = "\
Examples:
  trainspot local run pipelines/recommender.toml --data .trainspot/data/movielens-100k
  trainspot local run pipelines/recommender.toml --tick 2026-11-23T02:00:00Z --keep";

const START_EXAMPLES: &str = "\
Examples:
  trainspot start recommender
  trainspot start recommender --force --json | jq -r .run_id

With --bucket (or TRAINSPOT_RESULTS_BUCKET) the answer has the run's state, and a run that was skipped at once, such as
beside a live one, exits with 3. Without, `state` is null.";

const RETRY_EXAMPLES: &str = "\
Examples:
  trainspot retry recommender-20261123T0200Z";

const PROMOTE_EXAMPLES: &str = "\
Examples:
  trainspot promote recommender-20261123T0200Z --dry-run
  trainspot promote recommender-20261123T0200Z            after `promote = \"ask\"`
  trainspot promote recommender-20261120T0200Z            back to the champion before; its notice names it";

const CANCEL_EXAMPLES: &str = "\
Examples:
  trainspot cancel recommender-20261123T0200Z
  trainspot cancel recommender-20261123T0200Z --because 'the export was cut off'";

const REDRIVE_EXAMPLES: &str = "\
Examples:
  trainspot redrive --dry-run
  trainspot redrive --json | jq '.[] | select(.went | not)'";

const CLEAN_EXAMPLES: &str = "\
Examples:
  trainspot clean --dry-run
  trainspot clean recommender --keep-days 30";

const SHOW_EXAMPLES: &str = "\
Examples:
  trainspot show recommender-20261123T0200Z
  trainspot show recommender-20261123T0200Z --json | jq .end";

/// Retrains models on GPU Spot capacity in AWS Batch, on schedule, before a deadline
#[derive(Debug, Parser)]
#[command(name = "trainspot", version, after_help = EXAMPLES)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "parsed once in a process")]
pub(crate) enum Command {
    /// Check specs, and whether template, pipelines and code agree; touches no cloud
    Check(CheckArguments),
    /// Say what would keep a run from ending well, before the first deploy and after it
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArguments),
    /// Print what a further pipeline needs in the template
    #[command(after_help = FRAGMENT_EXAMPLES)]
    Fragment(FragmentArguments),
    /// Give a spec to the functions
    Push {
        /// The spec
        file: PathBuf,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// List runs, newest first
    Runs {
        /// Only this pipeline's
        pipeline: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
        /// For scripts
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// Show one run: stages, attempts, gate, cost, history, where its files lie
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The run's id
        run: String,
        /// The whole ledger, for scripts
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// Start a run now
    #[command(after_help = START_EXAMPLES)]
    Start {
        /// Of which pipeline; it must have been pushed
        pipeline: String,
        /// Also if data, spec and image are the same as in the last run that ended well
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// Run a finished run again, for the same tick, with spec and data as they are now
    #[command(after_help = RETRY_EXAMPLES)]
    Retry {
        /// The run's id
        run: String,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// End a live run: its stage is closed, its jobs are ended, and people are told
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel {
        #[command(flatten)]
        arguments: CancelArguments,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// Make a run's challenger the champion, or an earlier champion again
    #[command(after_help = PROMOTE_EXAMPLES)]
    Promote {
        #[command(flatten)]
        arguments: PromoteArguments,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// Skip a pipeline's ticks from now on; live runs go on, and `start` still works
    Pause {
        /// Which pipeline
        pipeline: String,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// Let a pipeline's ticks count again from now on; those of the pause are not made up
    Resume {
        /// Which pipeline
        pipeline: String,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// Send events that were given up (dead letters) to their functions again
    #[command(after_help = REDRIVE_EXAMPLES)]
    Redrive(RedriveArguments),
    /// Delete what the jobs of old runs wrote; champion, the one before and live runs' needs stay
    #[command(after_help = CLEAN_EXAMPLES)]
    Clean {
        #[command(flatten)]
        arguments: CleanArguments,
        #[command(flatten)]
        bucket: Bucket,
    },
    /// Work with a cloud on this machine
    #[command(subcommand)]
    Local(LocalCommand),
}

/// Which results bucket.
#[derive(Debug, Args)]
pub(crate) struct Bucket {
    /// The results bucket
    #[arg(long, env = BUCKET_VARIABLE, value_name = "NAME")]
    pub(crate) bucket: Option<String>,
}

/// What to do with a local cloud.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Keep a local cloud running over a folder until Ctrl-C
    #[command(after_help = SERVE_EXAMPLES)]
    Serve {
        /// Where it keeps its state
        #[arg(long, default_value = ".trainspot", value_name = "DIR")]
        folder: PathBuf,
        /// Where it listens on 127.0.0.1; 0 takes any free port
        #[arg(long, default_value_t = 0, value_name = "PORT")]
        port: u16,
        /// How fast the network to it is, all connections together; without, as fast as the machine
        #[arg(long, value_name = "GBPS")]
        gbps: Option<f64>,
        #[command(flatten)]
        chaos: ChaosArguments,
        #[command(flatten)]
        parts: Parts,
    },
    /// Run one tick of a pipeline and watch it to its end
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArguments),
    /// Show four stories in one local cloud: a reclaim, a tick delivered three times, unchanged data, a bug
    Demo(DemoArguments),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_page_for_operators_names_the_commands_without_json() {
        let page = include_str!("../../docs/operations.md");
        let (before, _) = page.split_once(" have `--json`").expect("the page says so");
        let (_, named) = before.rsplit_once("All but ").expect("and which have not");
        let named: BTreeSet<String> = named
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();

        let command = CommandLine::command();
        let has_json = |command: &&clap::Command| {
            let mut arguments = command.get_arguments();
            arguments.any(|argument| argument.get_long() == Some("json"))
        };
        let without: BTreeSet<String> = command
            .get_subcommands()
            .filter(|command| !command.has_subcommands() && !has_json(command))
            .map(|command| command.get_name().to_owned())
            .collect();

        assert_eq!(named, without);
    }
}
