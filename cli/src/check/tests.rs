//! The product's own files agree; what each disagreement says is in `tests/check.rs`.

use std::path::PathBuf;

use super::doors::is_like;
use super::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_products_template_pipelines_and_code_agree() {
    let template = TemplateFile::read(&root().join("template.yaml")).expect("the template");
    let files = specs_in(&root().join("pipelines")).expect("the specs");
    let (files, wrong) = read_all(&files);
    assert!(wrong.is_empty(), "{wrong:?}");
    let specs = Specs {
        files,
        is_all: true,
    };

    let found = disagreements(&template, &[], &specs).expect("the template is read");

    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn wildcards_are_iams() {
    assert!(is_like(
        "arn:*:rule/stack-*",
        "arn:aws:events:r:1:rule/stack-OnTick"
    ));
    assert!(is_like("s3:Get?bject", "s3:GetObject"));
    assert!(is_like("*", ""));
    assert!(!is_like("rule/stack-*", "rule/other-OnTick"));
    assert!(!is_like("rule/?", "rule/"));
}
