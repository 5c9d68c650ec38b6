//! From a spec's tables to a [`Pipeline`]: defaults, ranges, and what must go together.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeTable;

use super::error::{SpecError, suggestion};
use super::section::{Section, line_of};
use super::stage::{DEFAULT_GATHER, default_gather, seconds, stage};
use super::{
    Budget, DEFAULT_METRIC, DataSpec, Deadline, EvaluateSpec, GateSpec, NoticeKind, Overlap,
    Pipeline, Promote, RecommendSpec, Shards,
};
use crate::identity::PipelineName;
use crate::metrics::OF_THE_REFERENCE_TRAINER;

const DEFAULT_PRIORITY: u32 = 50;
/// Leaves room for one zero in Batch's 0 to 9,999, should priorities need a finer grain.
const MAX_PRIORITY: u32 = 99;
/// An array has at most so many children.
const MAX_SHARDS: u32 = 10_000;
const DEFAULT_MIN_GAIN: f64 = 0.01;

const TOP: [&str; 13] = [
    "name",
    "overlap",
    "finish_by",
    "within",
    "time_zone",
    "priority",
    "data",
    "train",
    "evaluate",
    "recommend",
    "gather",
    "budget",
    "notify",
];
const STAGE: [&str; 9] = [
    "program",
    "gpus",
    "vcpus",
    "memory_gib",
    "max_memory_gib",
    "timeout",
    "max_queue_wait",
    "max_checkpoint_age",
    "params",
];
const EVALUATE: [&str; 10] = [
    "program",
    "gpus",
    "vcpus",
    "memory_gib",
    "max_memory_gib",
    "timeout",
    "max_queue_wait",
    "max_checkpoint_age",
    "params",
    "gate",
];
const RECOMMEND: [&str; 10] = [
    "program",
    "gpus",
    "vcpus",
    "memory_gib",
    "max_memory_gib",
    "timeout",
    "max_queue_wait",
    "max_checkpoint_age",
    "params",
    "shards",
];

const GATE: [&str; 3] = ["metric", "min_gain", "promote"];
/// How the reference trainer's evaluate is called, whatever runs it and whatever follows.
const REFERENCE_EVALUATE: [&str; 3] = ["-m", "trainer", "evaluate"];

fn toml(text: &str) -> Result<Spanned<DeTable<'_>>, SpecError> {
    DeTable::parse(text).map_err(|error| SpecError {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        problem: error
            .message()
            .lines()
            .next()
            .unwrap_or("not TOML")
            .to_owned(),
    })
}

/// Refuses what the reference trainer would refuse once a training is paid for.
pub(super) fn refuse_before_it_runs(text: &str, pipeline: &Pipeline) -> Result<(), SpecError> {
    let Some(evaluate) = &pipeline.evaluate else {
        return Ok(());
    };
    let is_reference = evaluate
        .stage
        .program
        .windows(REFERENCE_EVALUATE.len())
        .any(|words| words == REFERENCE_EVALUATE);
    let metric = evaluate.gate.metric.as_str();
    if !is_reference || OF_THE_REFERENCE_TRAINER.contains(&metric) {
        return Ok(());
    }
    let table = toml(text)?;
    let section = Section::open(text, "", &table, &TOP)?.table("evaluate", &EVALUATE)?;
    let gate = section.and_then(|section| section.table("gate", &GATE).transpose());
    gate.transpose()?.map_or(Ok(()), |gate| {
        Err(gate.none_of("metric", metric, OF_THE_REFERENCE_TRAINER.into_iter()))
    })
}

/// Reads the whole spec.
pub(super) fn pipeline(text: &str) -> Result<Pipeline, SpecError> {
    let table = toml(text)?;
    let top = Section::open(text, "", &table, &TOP)?;
    let train = top
        .table("train", &STAGE)?
        .ok_or_else(|| top.error("train", "the table [train] is missing".to_owned()))?;
    let evaluate = top.table("evaluate", &EVALUATE)?;
    let recommend = top.table("recommend", &RECOMMEND)?;
    let gather = top.table("gather", &STAGE)?;
    if recommend.is_some() && evaluate.is_none() {
        let problem = "[recommend] needs [evaluate]: only what passed the gate is recommended";
        return Err(top.error("recommend", problem.to_owned()));
    }
    if gather.is_some() && recommend.is_none() {
        let problem = "[gather] needs [recommend]: there is nothing else to gather";
        return Err(top.error("gather", problem.to_owned()));
    }
    let gather = match (&gather, &recommend) {
        (Some(section), _) => Some(stage(section, Some(&DEFAULT_GATHER))?),
        (None, Some(_)) => Some(default_gather()),
        (None, None) => None,
    };
    let overlaps = [
        ("skip", Overlap::Skip),
        ("queue", Overlap::Queue),
        ("allow", Overlap::Allow),
    ];
    Ok(Pipeline {
        name: name(&top)?,
        overlap: top.choice("overlap", &overlaps)?.unwrap_or_default(),
        deadline: deadline(&top)?,
        time_zone: time_zone(&top)?,
        priority: top
            .whole("priority", 0..=MAX_PRIORITY)?
            .unwrap_or(DEFAULT_PRIORITY),
        data: data(&top)?,
        train: stage(&train, None)?,
        evaluate: evaluate.as_ref().map(evaluation).transpose()?,
        recommend: recommend.as_ref().map(recommendation).transpose()?,
        gather,
        budget: budget(&top)?,
        notify_on: notify_on(&top)?,
    })
}

fn name(top: &Section<'_>) -> Result<PipelineName, SpecError> {
    let written = required(top, "name")?;
    written.parse().map_err(|_| {
        top.must(
            "name",
            "1 to 40 of a-z, 0-9 and `-`, beginning with a letter",
        )
    })
}

fn required<'t>(section: &Section<'t>, field: &str) -> Result<&'t str, SpecError> {
    section.text_of(field)?.ok_or_else(|| {
        section.error(
            field,
            format!("the field `{field}`{} is missing", section.place()),
        )
    })
}

fn deadline(top: &Section<'_>) -> Result<Option<Deadline>, SpecError> {
    if top.has("finish_by") && top.has("within") {
        let problem = "`finish_by` and `within` are two deadlines; keep one of them";
        return Err(top.error("within", problem.to_owned()));
    }
    if let Some(written) = top.text_of("finish_by")? {
        let time = Time::strptime("%H:%M", written)
            .map_err(|_| top.must("finish_by", "a time of day such as \"07:00\""))?;
        return Ok(Some(Deadline::FinishBy { time }));
    }
    let within = seconds(top, "within", 1)?;
    Ok(within.map(|seconds| Deadline::Within { seconds }))
}

fn time_zone(top: &Section<'_>) -> Result<String, SpecError> {
    let Some(written) = top.text_of("time_zone")? else {
        return Ok("UTC".to_owned());
    };
    if let Ok(zone) = TimeZone::get(written) {
        // Names are found without regard to case; kept in the spelling of the zone data.
        return Ok(zone.iana_name().unwrap_or(written).to_owned());
    }
    let all: Vec<String> = jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .collect();
    let hint = suggestion(written, all.iter().map(String::as_str));
    let mut error = top.must("time_zone", "an IANA time zone such as \"Asia/Seoul\"");
    error.problem.push_str(&hint);
    Err(error)
}

fn data(top: &Section<'_>) -> Result<Option<DataSpec>, SpecError> {
    let Some(section) = top.table("data", &["prefix", "wait_for", "skip_if_unchanged"])? else {
        return Ok(None);
    };
    let prefix = required(&section, "prefix")?;
    // Without the slash the prefix of `clicks` would take in `clicks-old/` as well.
    if prefix.starts_with('/') || !prefix.ends_with('/') {
        return Err(section.must(
            "prefix",
            "a prefix that ends with `/` and does not begin with it",
        ));
    }
    Ok(Some(DataSpec {
        prefix: prefix.to_owned(),
        wait_for_s: seconds(&section, "wait_for", 1)?,
        skip_if_unchanged: section.flag("skip_if_unchanged")?.unwrap_or(false),
    }))
}

fn evaluation(section: &Section<'_>) -> Result<EvaluateSpec, SpecError> {
    let mut gate = GateSpec {
        metric: DEFAULT_METRIC.to_owned(),
        min_gain: DEFAULT_MIN_GAIN,
        promote: Promote::default(),
    };
    if let Some(table) = section.table("gate", &GATE)? {
        if let Some(metric) = table.text_of("metric")? {
            if metric.is_empty() {
                return Err(table.must("metric", "the name of a metric"));
            }
            metric.clone_into(&mut gate.metric);
        }
        gate.min_gain = table.amount("min_gain")?.unwrap_or(gate.min_gain);
        let choices = [("auto", Promote::Auto), ("ask", Promote::Ask)];
        gate.promote = table.choice("promote", &choices)?.unwrap_or_default();
    }
    Ok(EvaluateSpec {
        stage: stage(section, None)?,
        gate,
    })
}

fn recommendation(section: &Section<'_>) -> Result<RecommendSpec, SpecError> {
    let what = "\"auto\" or a number from 1 to 10000";
    let shards = match section.text_of("shards") {
        Ok(None | Some("auto")) => Shards::Auto,
        Ok(Some(_)) => return Err(section.must("shards", what)),
        Err(_) => match section.whole("shards", 1..=MAX_SHARDS) {
            Ok(Some(n)) => Shards::Fixed(n),
            _ => return Err(section.must("shards", what)),
        },
    };
    Ok(RecommendSpec {
        stage: stage(section, None)?,
        shards,
    })
}

fn budget(top: &Section<'_>) -> Result<Budget, SpecError> {
    let Some(section) = top.table("budget", &["max_usd_per_run", "max_usd_per_month"])? else {
        return Ok(Budget::default());
    };
    Ok(Budget {
        max_usd_per_run: section.amount("max_usd_per_run")?,
        max_usd_per_month: section.amount("max_usd_per_month")?,
    })
}

fn notify_on(top: &Section<'_>) -> Result<Vec<NoticeKind>, SpecError> {
    let Some(section) = top.table("notify", &["on"])? else {
        return Ok(NoticeKind::ALL.to_vec());
    };
    let Some(words) = section.words("on")? else {
        return Ok(NoticeKind::ALL.to_vec());
    };
    words
        .into_iter()
        .map(|word| {
            NoticeKind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == word)
                .ok_or_else(|| {
                    section.none_of("on", word, NoticeKind::ALL.iter().map(|kind| kind.as_str()))
                })
        })
        .collect()
}
