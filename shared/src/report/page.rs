//! The page around the sections.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    ReportInput, candidates, failure, gate_checks, headline, loss_curve, money, shards, story,
    time_line,
};
use crate::identity::Stage;
use crate::run::Run;

const STYLE: &str = include_str!("page.css");
/// Even if text of a program were taken for markup, nothing could be run or loaded.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole page.
pub(super) fn page(input: &ReportInput<'_>) -> Markup {
    let run = input.run;
    let (_, word) = headline::end_word(run.end.as_ref());
    let mut sections: Vec<(&str, &str, Markup)> = Vec::new();
    if let Some(failure) = failure::section(input) {
        sections.push(("failure", "What went wrong", failure));
    }
    sections.extend([
        ("attempts", "Attempts", time_line::section(input)),
        ("loss", "Loss", loss_curve::section(input)),
        ("gate", "Gate", gate_checks::section(input)),
        ("candidates", "Candidates", candidates::section(input)),
        ("shards", "Recommendations", shards::section(input)),
        ("money", "Money", money::section(input)),
        ("history", "History", story::history(input)),
        ("notices", "Notices", story::notices(input)),
    ]);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                title { (run.id) " " (word) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (headline::header(input))
                    nav aria-label="Sections" {
                        @for (id, name, _) in &sections { a href={ "#" (id) } { (name) } }
                    }
                    @for (id, name, content) in &sections {
                        section id=(id) { h2 { (name) } (content) }
                    }
                }
            }
        }
    }
}

/// Why a stage's document is not on the page.
pub(super) fn why_missing(run: &Run, stage: Stage, file: &str) -> String {
    let has_stage = run
        .pipeline()
        .map_or(true, |pipeline| pipeline.stage(stage).is_some());
    let record = run.stages.get(&stage);
    if !has_stage {
        format!("Not here: the pipeline has no {stage} stage.")
    } else if record.is_none_or(|record| record.submissions.is_empty()) {
        format!("Not here: the run did not come to its {stage} stage.")
    } else if record.is_some_and(|record| record.output.is_none()) {
        format!("Not here: the {stage} stage published no output.")
    } else {
        format!("Not here: the {stage} stage's output has no {file}, or it could not be read.")
    }
}

/// Text in which what stands between backticks is a name.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
