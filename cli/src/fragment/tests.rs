//! A fragment is pasted into the product's template as its own words say, and `check` must then find nothing.

use std::path::PathBuf;

use super::*;
use crate::check::{Specs, disagreements};

const TEMPLATE: &str = include_str!("../../../template.yaml");
const SPEC: &str = "name = \"nightly-embeddings\"\n[train]\nprogram = [\"true\"]\n";

fn template(text: &str) -> TemplateFile {
    TemplateFile {
        shown: "template.yaml".to_owned(),
        text: text.to_owned(),
    }
}

fn fragment_for(expression: &str, zone: &str) -> Result<String, Problem> {
    let name = "nightly-embeddings".parse().expect("a valid name");
    let schedule = Schedule::parse(expression, zone).expect("a valid schedule");
    written(&template(TEMPLATE), &name, &schedule)
}

/// The template with the pieces where their headlines say.
fn pasted(fragment: &str) -> String {
    let mut pieces = fragment.split("\n# ").skip(1).map(|piece| {
        let (_, body) = piece
            .split_once("\n\n")
            .expect("a headline, then the piece");
        body.to_owned()
    });
    let (resources, variable) = (
        pieces.next().expect("resources"),
        pieces.next().expect("the variable"),
    );
    assert_eq!(pieces.next(), None, "two edits, not more: {fragment}");
    let mut lines: Vec<String> = Vec::new();
    let mut is_skipping = false;
    for line in TEMPLATE.lines() {
        let depth = line.len() - line.trim_start().len();
        if line.trim_start().starts_with("TRAINSPOT_SCHEDULES:") {
            lines.push(variable.trim_end().to_owned());
            is_skipping = true;
            continue;
        }
        is_skipping &= depth > VARIABLE_DEPTH * 2;
        if is_skipping {
            continue;
        }
        if line == "Outputs:" {
            lines.push(resources.clone());
        }
        lines.push(line.to_owned());
    }
    lines.join("\n")
}

fn specs() -> Specs {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let first = root.join("pipelines/recommender.toml");
    let second = PathBuf::from("pipelines/nightly-embeddings.toml");
    Specs {
        files: vec![
            (first.clone(), SpecFile::read(&first).expect("the example")),
            (
                second.clone(),
                SpecFile::parse(&second, SPEC.to_owned()).expect("a spec"),
            ),
        ],
        is_all: true,
    }
}

fn agrees(expression: &str, zone: &str) {
    let fragment = fragment_for(expression, zone).expect("a fragment");

    let template = template(&pasted(&fragment));
    let found = disagreements(&template, &[], &specs()).expect("the template is read");

    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, Vec::<String>::new(), "{fragment}");
}

#[test]
fn pasted_in_utc_it_agrees() {
    agrees("cron(30 4 * * ? *)", "UTC");
}

#[test]
fn pasted_in_a_zone_it_agrees() {
    agrees("cron(30 4 * * ? *)", "Asia/Seoul");
}

#[test]
fn half_of_it_is_not_enough() {
    let fragment = fragment_for("rate(1 day)", "UTC").expect("a fragment");
    let whole = pasted(&fragment);
    let without_permission =
        whole.replace("TickOfNightlyEmbeddingsMayWakeSubmitTraining:", "Other:");
    let without_permission = without_permission.replace(
        "SourceArn: !GetAtt OnTickOfNightlyEmbeddings.Arn",
        "SourceArn: !GetAtt OnSweep.Arn",
    );

    let found = disagreements(&template(&without_permission), &[], &specs()).expect("it is read");

    assert!(
        found
            .iter()
            .any(|found| found.place == "OnTickOfNightlyEmbeddings"
                && found.what.contains("may not wake")),
        "{found:?}"
    );
}

#[test]
fn a_pipeline_that_ticks_already_is_refused() {
    let name = "recommender".parse().expect("a valid name");
    let schedule = Schedule::parse("rate(1 day)", "UTC").expect("a valid schedule");

    let refused = written(&template(TEMPLATE), &name, &schedule);

    let problem = refused.expect_err("it is there");
    assert!(
        problem
            .sentence
            .contains("ticks already, by OnTickOfRecommender"),
        "{problem}"
    );
}
