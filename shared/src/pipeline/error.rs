//! What is wrong with a spec, for the person who wrote it.

/// One mistake: where, which field, what is wrong, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct SpecError {
    /// From 1.
    pub line: usize,
    /// At most three lines.
    pub problem: String,
}

/// Below this likeness a suggestion would only puzzle; clap draws the line there as well.
const ALIKE: f64 = 0.7;

/// The candidate that was probably meant.
pub(super) fn closest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(written, candidate), candidate))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or nothing.
pub(super) fn suggestion<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    closest(written, candidates)
        .map(|candidate| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}
