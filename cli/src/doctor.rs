//! `trainspot doctor`: what would keep a run from ending well, before the first deploy and after it. Looks,
//! and changes nothing. Asks AWS through the `aws` command (docs/adr/0005-doctor-asks-the-aws-command.md).

mod call;
mod case;
mod checks;
mod command;
mod deploy_config;
mod finding;
mod reach;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use self::call::{Answer, Gap};
use self::case::{Case, Deployed};
use self::checks::ALL;
use self::command::Aws;
use self::deploy_config::DeployConfig;
use self::finding::{Finding, Verdict, not_checked};
use self::reach::reach;
use crate::check::{self, Specs, TemplateFile, Weight};
use crate::output;
use crate::problem::{Exit, Problem};

/// Where `sam deploy --guided` writes down what it was told.
const DEPLOY_CONFIG: &str = "samconfig.toml";
/// Which stack, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// The stack; else samconfig.toml says. Without any, only the account and the files are looked at
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// The region; else samconfig.toml, `AWS_REGION`, or the `aws` command's own
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// A parameter of the template as it will be deployed; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = check::parameter)]
    parameter: Vec<(String, String)>,
    /// The template that the stack was, or will be, deployed from
    #[arg(long, default_value = "template.yaml", value_name = "FILE")]
    template: PathBuf,
    /// The folder with the specs
    #[arg(long, default_value = "pipelines", value_name = "DIR")]
    pipelines: PathBuf,
    /// How long one `aws` may take
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    time_limit: u64,
    /// Show the command by which each thing was asked
    #[arg(long)]
    commands: bool,
    /// For scripts; always with the commands
    #[arg(long)]
    json: bool,
}

/// Everything that was found, for scripts.
#[derive(Debug, Serialize)]
struct Report {
    region: Option<String>,
    account: Option<String>,
    stack: Option<String>,
    findings: Vec<Finding>,
}

/// The command.
pub(crate) async fn doctor(arguments: &DoctorArguments) -> anyhow::Result<()> {
    let template = TemplateFile::read(&arguments.template)?;
    let written = DeployConfig::read(Path::new(DEPLOY_CONFIG))?;
    let mut findings = Vec::new();
    let specs = specs(&arguments.pipelines, &mut findings);
    let mut given = written.parameters.clone();
    given.extend(arguments.parameter.iter().cloned());
    let aws = Aws {
        time_limit: Duration::from_secs(arguments.time_limit),
    };
    let reached = reach(aws, arguments.region.as_deref(), &written).await;
    let (region, account) = match &reached {
        Ok((region, account)) => (region.clone(), account.clone()),
        Err(_) => Default::default(),
    };
    let named = arguments.stack.clone().or(written.stack);
    let mut asked = Vec::new();
    let stack = match (&reached, &named) {
        (Ok(_), Some(name)) => stack(aws, &region, name, &mut asked).await,
        _ => None,
    };
    if named.is_none() {
        asked.push(Finding::warn(
            "stack",
            "nobody says which it is: only the account and the files are looked at",
            "give --stack, when there is one",
        ));
    }
    let parameters = parameters(&template, stack.as_ref(), &given)?;
    findings.extend(agreement(&template, &parameters, &specs)?);
    let case = Case {
        template: template.declared(&parameters)?,
        region,
        account,
        given,
        stack,
        specs,
        now: Timestamp::now(),
        zone: TimeZone::system(),
    };
    findings.extend(checks::tick_findings(&case));
    findings.append(&mut asked);
    match &reached {
        Ok(_) => {
            let calls = ALL.iter().flat_map(|check| (check.calls)(&case)).collect();
            let answers = aws.ask_all(calls).await;
            findings.extend(
                ALL.iter()
                    .flat_map(|check| (check.findings)(&case, &answers)),
            );
        }
        Err(gap) => findings.push(Finding::unknown("AWS", gap.sentence(), gap.hint())),
    }
    let report = Report {
        region: Some(case.region).filter(|region| !region.is_empty()),
        account: Some(case.account).filter(|account| !account.is_empty()),
        stack: case.stack.map(|stack| stack.name),
        findings,
    };
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&table::written(&report.findings, arguments.commands))?;
    }
    ending(&report.findings, reached.err())
}

/// What the process ends with.
fn ending(findings: &[Finding], gap: Option<Gap>) -> anyhow::Result<()> {
    if let Some(gap) = gap {
        let sentence = format!("AWS was not asked: {}", gap.sentence());
        return Err(Problem::new(Exit::Unreachable, sentence)
            .hint(gap.hint())
            .into());
    }
    let n_bad = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Bad)
        .count();
    match n_bad {
        0 => Ok(()),
        1 => Err(Problem::new(Exit::EndedBadly, "1 thing is bad").into()),
        n => Err(Problem::new(Exit::EndedBadly, format!("{n} things are bad")).into()),
    }
}

/// The stack as `CloudFormation` has it; `None`, and a finding, when it is not there or nobody may say.
async fn stack(aws: Aws, region: &str, name: &str, found: &mut Vec<Finding>) -> Option<Deployed> {
    let [describe, list] = checks::stack_asked(region, name);
    let (stacks, resources) = tokio::join!(aws.ask(&describe), aws.ask(&list));
    match (&stacks, &resources) {
        (Answer::Json(stacks_json), Answer::Json(resources)) => {
            let stack = Deployed::read(stacks_json, resources);
            if stack.is_none() {
                found.push(not_checked("stack", &describe, &stacks));
            }
            stack
        }
        (Answer::Absent { .. }, _) => {
            found.push(
                Finding::warn(
                    "stack",
                    format!("there is no stack `{name}` in {region}: only the account and the files are looked at"),
                    "sam build && sam deploy --guided, or give the right --stack and --region",
                )
                .asked(&describe),
            );
            None
        }
        (Answer::Json(_), other) => {
            found.push(not_checked("stack", &list, other));
            None
        }
        (other, _) => {
            found.push(not_checked("stack", &describe, other));
            None
        }
    }
}

/// Those of the stack, or else those that were given.
fn parameters(
    template: &TemplateFile,
    stack: Option<&Deployed>,
    given: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, Problem> {
    let Some(stack) = stack else {
        let given = given.iter();
        return Ok(given
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect());
    };
    let declared = template.parameters()?;
    let deployed = stack.parameters.iter();
    Ok(deployed
        .filter(|(name, _)| declared.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}

/// Every spec that can be read; a finding for each that cannot.
fn specs(folder: &Path, found: &mut Vec<Finding>) -> Specs {
    let files = match check::specs_in(folder) {
        Ok(files) => files,
        Err(error) => {
            found.push(Finding::warn(
                "specs",
                error.to_string(),
                "give --pipelines",
            ));
            Vec::new()
        }
    };
    let (read, wrong) = check::read_all(&files);
    for problem in &wrong {
        found.push(Finding::bad(
            "specs",
            problem.sentence.clone(),
            "mend it; `trainspot check` says more",
        ));
    }
    Specs {
        is_all: wrong.is_empty() && !read.is_empty(),
        files: read,
    }
}

/// What `trainspot check` says.
fn agreement(
    template: &TemplateFile,
    parameters: &[(String, String)],
    specs: &Specs,
) -> Result<Vec<Finding>, Problem> {
    const CHECK: &str = "template, pipelines, code";
    let found = check::disagreements(template, parameters, specs)?;
    if found.is_empty() {
        return Ok(vec![Finding::ok(CHECK, "they agree")]);
    }
    Ok(found
        .iter()
        .map(|one| {
            let file = one.file.as_deref().unwrap_or_default();
            let what = format!("{file}, {}: {}", one.place, one.what);
            match one.weight {
                Weight::Wrong => Finding::bad(CHECK, what, &one.todo),
                Weight::Note => Finding::warn(CHECK, what, &one.todo),
            }
        })
        .collect())
}
