//! Names that somebody may have meant, nearest first.

/// How many are shown.
const SHOWN: usize = 5;

/// `known`, the likest to `wanted` first, as a list for a sentence.
pub(crate) fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut ranked: Vec<_> = known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(a.1)));
    let more = ranked.len().saturating_sub(SHOWN);
    let mut text: Vec<_> = ranked
        .iter()
        .take(SHOWN)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    if more > 0 {
        text.push(format!("{more} more"));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_name_comes_first() {
        let known = [
            "search-20261123T0200Z",
            "recommender-20261120T0200Z",
            "recommender-20261123T0200Z",
        ];

        let text = nearest("recomender-20261123T0200Z", known);

        assert!(
            text.starts_with("`recommender-20261123T0200Z`, `recommender-20261120T0200Z`"),
            "{text}"
        );
    }
}
