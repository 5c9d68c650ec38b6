//! Keys of resources for a further pipeline.

use trainspot_shared::identity::PipelineName;

/// `nightly-embeddings` as a part of a key: `NightlyEmbeddings`.
pub(super) fn camel(name: &PipelineName) -> String {
    name.as_str()
        .split('-')
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

/// The key that stands for `to` as `key` stands for `from`.
pub(super) fn key_of(key: &str, from: &PipelineName, to: &PipelineName) -> String {
    let (from, to) = (camel(from), camel(to));
    if key.contains(&from) {
        key.replace(&from, &to)
    } else {
        format!("{key}Of{to}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trainspot_shared::identity::PipelineName;

    fn name(text: &str) -> PipelineName {
        text.parse().expect("a valid name")
    }

    #[test]
    fn a_key_takes_the_pipelines_name() {
        let (first, other) = (name("recommender"), name("nightly-embeddings"));

        assert_eq!(
            key_of("OnTickOfRecommenderInZone", &first, &other),
            "OnTickOfNightlyEmbeddingsInZone"
        );
        assert_eq!(
            key_of("TickInZoneRole", &first, &other),
            "TickInZoneRoleOfNightlyEmbeddings"
        );
    }
}
