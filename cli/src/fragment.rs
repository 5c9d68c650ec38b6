//! `trainspot fragment`: what a further pipeline needs in the template, made from how the first one stands
//! there, ready to paste. Reads files only; writes none.

mod names;
mod resources;
mod yaml;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use trainspot_localcloud::Declared;
use trainspot_shared::identity::PipelineName;
use trainspot_shared::schedule::{SCHEDULES_VARIABLE, Schedule};

use self::resources::{Copied, copy};
use crate::check::{TemplateFile, Ticking, entry, ticks};
use crate::output;
use crate::problem::{Exit, Problem};
use crate::spec_file::SpecFile;

/// A rule knows no other zone; in another one a Scheduler schedule keeps the time.
const ZONE_OF_RULES: &str = "UTC";
/// How deep resources and the variables of all functions stand in the template.
const RESOURCE_DEPTH: usize = 1;
const VARIABLE_DEPTH: usize = 4;

/// Which pipeline, and when.
#[derive(Debug, Args)]
pub(crate) struct FragmentArguments {
    /// The further pipeline's spec
    pub(crate) file: PathBuf,
    /// When it runs: an expression such as `cron(0 4 * * ? *)` or `rate(1 day)`
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) schedule: String,
    /// The zone of the expression
    #[arg(long, value_name = "ZONE", default_value = ZONE_OF_RULES)]
    pub(crate) time_zone: String,
    /// The template that it will be pasted into
    #[arg(long, value_name = "FILE", default_value = "template.yaml")]
    pub(crate) template: PathBuf,
}

/// The command.
pub(crate) fn fragment(arguments: &FragmentArguments) -> anyhow::Result<()> {
    let spec = SpecFile::read(&arguments.file)?;
    let template = TemplateFile::read(&arguments.template)?;
    let schedule = Schedule::parse(&arguments.schedule, &arguments.time_zone).map_err(|error| {
        Problem::new(Exit::Configuration, error.to_string()).hint(
            "write it as EventBridge reads it, such as 'cron(0 2 ? * MON,FRI *)' or 'rate(1 day)'",
        )
    })?;
    let name = &spec.pipeline.name;
    output::print(&written(&template, name, &schedule)?)
}

/// The pieces, with a line before each that says where it goes.
fn written(
    template: &TemplateFile,
    name: &PipelineName,
    schedule: &Schedule,
) -> Result<String, Problem> {
    let ways = template.ways(&[])?;
    let first = first(&ways, name, schedule)?;
    let (declared, first) = (first.0, &first.1);
    let document = declared.document();
    let copied = copy(document, first, name, schedule)?;
    let Copied { resources, letters } = &copied;
    let mut pieces = vec![(
        format!("Under Resources, after {}:", first.rule.logical_id),
        blocks(resources),
    )];
    let variable = variable(document, name, schedule)?;
    pieces.push((
        format!("Instead of the present {SCHEDULES_VARIABLE}, under Globals.Function.Environment.Variables:"),
        yaml::entry(SCHEDULES_VARIABLE, &variable, VARIABLE_DEPTH),
    ));
    for (policy, value) in letters {
        pieces.push((
            format!("In {policy}, under aws:SourceArn, one line more:"),
            yaml::item(value, VARIABLE_DEPTH + 5),
        ));
    }
    let n = pieces.len();
    let mut text = format!(
        "# {n} pieces for {}. When they are in: `trainspot check`, `trainspot push`, `sam deploy`.\n",
        template.shown
    );
    for (i, (place, piece)) in pieces.iter().enumerate() {
        text.push_str(&format!("\n# {} of {n}. {place}\n\n{piece}", i + 1));
    }
    Ok(text)
}

fn blocks(resources: &[(String, Value)]) -> String {
    let blocks: Vec<String> = resources
        .iter()
        .map(|(logical_id, body)| yaml::entry(logical_id, body, RESOURCE_DEPTH))
        .collect();
    blocks.join("\n")
}

/// The pipeline whose rule or schedule is copied, in the way in which the template has it.
fn first<'t>(
    ways: &'t [Declared],
    name: &PipelineName,
    schedule: &Schedule,
) -> Result<(&'t Declared, Ticking<'t>), Problem> {
    let in_zone = schedule.time_zone() != ZONE_OF_RULES;
    let mut found = None;
    for declared in ways {
        // What is wrong with them is for `check` to say.
        for tick in ticks(declared, &mut Vec::new()) {
            if tick.pipeline == *name {
                let sentence = format!(
                    "pipeline `{name}` ticks already, by {}",
                    tick.rule.logical_id
                );
                return Err(Problem::new(Exit::Configuration, sentence)
                    .hint("change its schedule there, and in TRAINSPOT_SCHEDULES"));
            }
            if tick.schedule.is_scheduler == in_zone && found.is_none() {
                found = Some((declared, tick));
            }
        }
    }
    found.ok_or_else(|| {
        let kind = if in_zone {
            "Scheduler schedule"
        } else {
            "rule with a schedule"
        };
        Problem::new(
            Exit::Configuration,
            format!(
                "the template has no {kind} that ticks for a pipeline, so there is none to copy"
            ),
        )
        .hint("look at template.yaml of the release")
    })
}

/// The variable with the pipeline's entry.
fn variable(document: &Value, name: &PipelineName, schedule: &Schedule) -> Result<Value, Problem> {
    let wrong = || {
        Problem::new(
            Exit::Configuration,
            format!(
                "{SCHEDULES_VARIABLE} is not under Globals.Function.Environment.Variables as a text"
            ),
        )
    };
    let present = document
        .pointer("/Globals/Function/Environment/Variables")
        .and_then(|variables| variables.get(SCHEDULES_VARIABLE))
        .ok_or_else(wrong)?;
    let (text, is_sub) = match present {
        Value::String(text) => (text.as_str(), false),
        other => {
            let text = other.get("Fn::Sub").and_then(Value::as_str);
            (text.ok_or_else(wrong)?, true)
        }
    };
    let (before, after) = text.rsplit_once('}').ok_or_else(wrong)?;
    let between = if text.trim_end().contains('\n') {
        ",\n"
    } else {
        ","
    };
    let entry = entry(name, schedule.expression(), schedule.time_zone());
    let end = if between.contains('\n') { "\n" } else { "" };
    let text = format!("{}{between}{entry}{end}}}{after}", before.trim_end());
    Ok(if is_sub {
        json!({ "Fn::Sub": text })
    } else {
        Value::String(text)
    })
}

#[cfg(test)]
mod tests;
