//! Schedules: a rule or schedule for each pipeline, what the functions are told of it, and its spec are three
//! places that must say the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use trainspot_localcloud::{Declared, DeclaredRule, DeclaredSchedule};
use trainspot_shared::identity::PipelineName;
use trainspot_shared::request::{Request, RequestKind};
use trainspot_shared::schedule::{SCHEDULES_VARIABLE, Schedule, Schedules};

use super::Specs;
use super::disagreement::Disagreement;
use super::doors::{SUBMIT_TRAINING, SUPERVISE_RUNS};
use super::variables;

/// `supervise-runs` takes an event of this source for a sweep.
const SWEEP_SOURCE: &str = "aws.events";

/// A rule or schedule that ticks for a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Ticking<'t> {
    pub(crate) rule: DeclaredRule<'t>,
    pub(crate) schedule: DeclaredSchedule<'t>,
    pub(crate) pipeline: PipelineName,
}

/// Every rule that wakes submit-training by time; what one sends that cannot be read is said in `found`.
pub(crate) fn ticks<'t>(template: &'t Declared, found: &mut Vec<Disagreement>) -> Vec<Ticking<'t>> {
    let mut all = Vec::new();
    for rule in template.rules() {
        let Some(schedule) = rule.schedule else {
            continue;
        };
        for target in &rule.targets {
            let door = template.function(target.function_arn);
            if door.is_none_or(|function| function.binary != SUBMIT_TRAINING) {
                continue;
            }
            let at = Timestamp::UNIX_EPOCH;
            let request = target
                .payload_of_tick(at)
                .and_then(|sent| Request::parse(&sent).map_err(|error| error.to_string()));
            let why = match request {
                Ok(request) if request.kind == (RequestKind::Tick { at }) => {
                    all.push(Ticking {
                        rule: rule.clone(),
                        schedule,
                        pipeline: request.pipeline,
                    });
                    continue;
                }
                Ok(_) => "it says no tick, or another than the one that is due".to_owned(),
                Err(why) => why,
            };
            found.push(Disagreement::new(
                rule.logical_id,
                format!("what it sends submit-training is no tick: {why}"),
                "copy the input of another pipeline's rule; `trainspot fragment` prints one",
            ));
        }
    }
    all
}

pub(super) fn disagreements(template: &Declared, specs: &Specs) -> Vec<Disagreement> {
    let mut found = Vec::new();
    let ticking = ticks(template, &mut found);
    for tick in &ticking {
        let DeclaredSchedule {
            expression,
            time_zone,
            ..
        } = tick.schedule;
        if let Err(error) = Schedule::parse(expression, time_zone) {
            found.push(Disagreement::new(
                tick.rule.logical_id,
                error.to_string(),
                "write it as EventBridge reads it: cron(minute hour day month weekday year), one day field `?`",
            ));
        }
    }
    let told = template
        .functions()
        .find(|function| function.binary == SUPERVISE_RUNS)
        .and_then(|function| variables::settings(&function).ok())
        .map(|settings| settings.schedules);
    if let Some(told) = &told {
        rules_and_variable(&ticking, told, &mut found);
        pipelines(&ticking, told, specs, &mut found);
    }
    sweeps(template, &mut found);
    found
}

/// What the rules do against what the functions are told.
fn rules_and_variable(ticking: &[Ticking<'_>], told: &Schedules, found: &mut Vec<Disagreement>) {
    let mut by_pipeline: BTreeMap<&PipelineName, Vec<&Ticking<'_>>> = BTreeMap::new();
    for tick in ticking {
        by_pipeline.entry(&tick.pipeline).or_default().push(tick);
    }
    for (pipeline, ticks) in &by_pipeline {
        if let [first, second, ..] = ticks.as_slice() {
            found.push(Disagreement::new(
                second.rule.logical_id,
                format!("pipeline `{pipeline}` ticks by {} already", first.rule.logical_id),
                "leave one of them: a pipeline has one schedule, and a cron can name several days and hours",
            ));
        }
        for tick in ticks {
            let said = (tick.schedule.expression, tick.schedule.time_zone);
            match told.get(pipeline) {
                None => found.push(Disagreement::new(
                    SCHEDULES_VARIABLE,
                    format!(
                        "pipeline `{pipeline}` ticks by {}, and the functions are not told: a lost tick would not be made up",
                        tick.rule.logical_id
                    ),
                    format!("add {}", entry(pipeline, said.0, said.1)),
                )),
                Some(schedule) if (schedule.expression(), schedule.time_zone()) != said => {
                    found.push(Disagreement::new(
                        SCHEDULES_VARIABLE,
                        format!(
                            "{} fires by `{}` in {}, and the functions are told `{}` in {}",
                            tick.rule.logical_id,
                            said.0,
                            said.1,
                            schedule.expression(),
                            schedule.time_zone()
                        ),
                        "write the same in both",
                    ));
                }
                Some(_) => {}
            }
        }
    }
    for (pipeline, _) in told.iter() {
        if !by_pipeline.contains_key(pipeline) {
            found.push(Disagreement::new(
                SCHEDULES_VARIABLE,
                format!("pipeline `{pipeline}` has an entry, and no rule fires for it"),
                format!("paste what `trainspot fragment pipelines/{pipeline}.toml` prints, or remove the entry"),
            ));
        }
    }
}

/// Pipelines that tick against specs.
fn pipelines(
    ticking: &[Ticking<'_>],
    told: &Schedules,
    specs: &Specs,
    found: &mut Vec<Disagreement>,
) {
    let has_spec = |name: &PipelineName| {
        specs
            .files
            .iter()
            .any(|(_, spec)| spec.pipeline.name == *name)
    };
    for tick in ticking {
        let name = &tick.pipeline;
        if specs.is_all && !has_spec(name) {
            found.push(Disagreement::new(
                tick.rule.logical_id,
                format!("pipeline `{name}` ticks, and there is no spec of that name: every tick would be refused"),
                format!("write pipelines/{name}.toml and push it, or remove the rule"),
            ));
        }
    }
    for (i, (file, spec)) in specs.files.iter().enumerate() {
        let name = &spec.pipeline.name;
        let mut earlier = specs.files.iter().take(i);
        if let Some((first, _)) = earlier.find(|(_, other)| other.pipeline.name == *name) {
            let what = format!("pipeline `{name}` is in {} already", first.display());
            found.push(
                Disagreement::new("name", what, "give one of them another name").in_file(file),
            );
        }
        let is_ticking = ticking.iter().any(|tick| tick.pipeline == *name);
        if !is_ticking && told.get(name).is_none() {
            found.push(
                Disagreement::new(
                    "schedule",
                    format!("pipeline `{name}` has none: only `trainspot start {name}` runs it"),
                    format!("`trainspot fragment {} --schedule 'cron(…)'` prints what the template needs", file.display()),
                )
                .in_file(file)
                .note(),
            );
        }
    }
}

/// Without sweeps a lost event is a lost run.
fn sweeps(template: &Declared, found: &mut Vec<Disagreement>) {
    let mut sweeping = template.rules().filter(|rule| {
        rule.schedule.is_some()
            && rule.is_enabled
            && rule.targets.iter().any(|target| {
                let door = template.function(target.function_arn);
                let sent = target.payload_of_tick(Timestamp::UNIX_EPOCH).ok();
                let source = sent.as_ref().and_then(|sent| sent.get("source"));
                door.is_some_and(|function| function.binary == SUPERVISE_RUNS)
                    && source.and_then(Value::as_str) == Some(SWEEP_SOURCE)
            })
    });
    if sweeping.next().is_none() {
        found.push(Disagreement::new(
            "Resources",
            "no rule wakes supervise-runs by time, so what no event told of would never be seen",
            "add a rule with a ScheduleExpression, such as rate(5 minutes), that sends its event as it is",
        ));
    }
}

/// One pipeline's entry of the variable.
pub(crate) fn entry(pipeline: &PipelineName, expression: &str, time_zone: &str) -> String {
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    format!(
        "{}:{{\"expression\":{},\"time_zone\":{}}}",
        quoted(pipeline.as_str()),
        quoted(expression),
        quoted(time_zone)
    )
}
