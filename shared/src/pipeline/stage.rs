//! One stage of a spec: its program and what it takes.

use std::collections::BTreeMap;

use jiff::SpanRelativeTo;

use super::StageSpec;
use super::error::SpecError;
use super::section::Section;

const DEFAULT_VCPUS: u32 = 2;
const DEFAULT_MEMORY_GIB: u32 = 4;
/// The largest GPU hosts that Batch offers (p5, p6) have 8 GPUs, 192 vCPUs and 2,048 GiB.
const MAX_GPUS: u32 = 8;
const MAX_VCPUS: u32 = 192;
const MAX_MEMORY_GIB: u32 = 2048;
const MAX_MEMORY_FACTOR: u32 = 4;
const DEFAULT_TIMEOUT_S: u32 = 6 * 60 * 60;
/// Batch refuses a shorter one.
const MIN_TIMEOUT_S: u64 = 60;
/// Supervision comes by every five minutes; a shorter limit would be told at once or never in time.
const MIN_LIMIT_S: u64 = 300;
const DEFAULT_MAX_QUEUE_WAIT_S: u32 = 2 * 60 * 60;
const DEFAULT_MAX_CHECKPOINT_AGE_S: u32 = 60 * 60;
pub(super) const DEFAULT_GATHER: [&str; 4] = ["python", "-m", "trainer", "gather"];

/// Reads the fields that every stage has.
pub(super) fn stage(
    section: &Section<'_>,
    default_program: Option<&[&str]>,
) -> Result<StageSpec, SpecError> {
    let program = match (section.words("program")?, default_program) {
        (Some(words), _) if words.is_empty() => {
            return Err(section.must("program", "a program and its arguments"));
        }
        (Some(words), _) => words,
        (None, Some(words)) => words.to_vec(),
        (None, None) => {
            let problem = format!("the field `program`{} is missing", section.place());
            return Err(section.error("program", problem));
        }
    };
    let memory_gib = section
        .whole("memory_gib", 1..=MAX_MEMORY_GIB)?
        .unwrap_or(DEFAULT_MEMORY_GIB);
    let max_memory_gib = section
        .whole("max_memory_gib", memory_gib..=MAX_MEMORY_GIB)?
        .unwrap_or_else(|| default_cap(memory_gib));
    // Batch takes seconds as a 32-bit integer.
    let limit = |field, at_least, default| match seconds(section, field, at_least)? {
        None => Ok(default),
        Some(seconds) => i32::try_from(seconds)
            .map(i32::cast_unsigned)
            .map_err(|_| section.must(field, "less than 24,855 days")),
    };
    let timeout_s = limit("timeout", MIN_TIMEOUT_S, DEFAULT_TIMEOUT_S)?;
    let max_queue_wait_s = limit("max_queue_wait", MIN_LIMIT_S, DEFAULT_MAX_QUEUE_WAIT_S)?;
    let max_checkpoint_age_s = limit(
        "max_checkpoint_age",
        MIN_LIMIT_S,
        DEFAULT_MAX_CHECKPOINT_AGE_S,
    )?;
    Ok(StageSpec {
        program: program.into_iter().map(str::to_owned).collect(),
        gpus: section.whole("gpus", 0..=MAX_GPUS)?.unwrap_or(0),
        vcpus: section
            .whole("vcpus", 1..=MAX_VCPUS)?
            .unwrap_or(DEFAULT_VCPUS),
        memory_gib,
        max_memory_gib,
        timeout_s,
        max_queue_wait_s,
        max_checkpoint_age_s,
        params: section.free("params")?,
    })
}

/// The gather stage of a spec that has none of its own.
pub(super) fn default_gather() -> StageSpec {
    StageSpec {
        program: DEFAULT_GATHER.map(str::to_owned).to_vec(),
        gpus: 0,
        vcpus: DEFAULT_VCPUS,
        memory_gib: DEFAULT_MEMORY_GIB,
        max_memory_gib: default_cap(DEFAULT_MEMORY_GIB),
        timeout_s: DEFAULT_TIMEOUT_S,
        max_queue_wait_s: DEFAULT_MAX_QUEUE_WAIT_S,
        max_checkpoint_age_s: DEFAULT_MAX_CHECKPOINT_AGE_S,
        params: BTreeMap::new(),
    }
}

fn default_cap(memory_gib: u32) -> u32 {
    memory_gib
        .saturating_mul(MAX_MEMORY_FACTOR)
        .min(MAX_MEMORY_GIB)
}

/// A length of time such as `2h`, `90m` or `1d 12h`, in whole seconds; a day has 24 hours.
pub(super) fn seconds(
    section: &Section<'_>,
    field: &str,
    at_least: u64,
) -> Result<Option<u64>, SpecError> {
    let Some(written) = section.text_of(field)? else {
        return Ok(None);
    };
    let length = written
        .parse::<jiff::Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|length| u64::try_from(length.as_secs()).ok())
        .filter(|seconds| *seconds >= at_least);
    let what = if at_least > 1 {
        format!("a length of time such as \"90m\", at least {at_least} s")
    } else {
        "a length of time such as \"90m\" or \"12h\"".to_owned()
    };
    length.map(Some).ok_or_else(|| section.must(field, &what))
}
