//! What `trainspot check` says of each way in which template, pipelines and code can disagree: a template
//! that agrees is broken in one place, and every word is compared with a golden file.
//!
//! `UPDATE_GOLDEN=1` writes the files anew.

use std::path::Path;
use std::process::Command;

const TEMPLATE: &str = include_str!("templates/agreeing.yaml");
const SPEC: &str = "name = \"nightly\"\n[train]\nprogram = [\"true\"]\ngpus = 1\n";

/// Runs `check` over a template and a spec; answers the exit code and all that was said.
fn check(template: &str, specs: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let place = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    };
    write("template.yaml", template);
    for (name, text) in specs {
        write(&format!("pipelines/{name}"), text);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_trainspot"))
        .current_dir(place.path())
        .env_clear()
        .arg("check")
        .args(arguments)
        .output()
        .expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let said = text(output.stdout) + &text(output.stderr);
    (output.status.code(), said)
}

fn golden(name: &str, said: &str) {
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/check/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden.parent().expect("a folder")).expect("it can be made");
        std::fs::write(&golden, said).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&golden).expect("the golden file is there");
    assert_eq!(said, expected, "{}", golden.display());
}

/// The template with one text in place of another, which must be there.
fn with(was: &str, is: &str) -> String {
    assert!(TEMPLATE.contains(was), "`{was}` is not in the template");
    TEMPLATE.replace(was, is)
}

/// A disagreement stops `check` with 64, and its words are those of the golden file.
fn disagrees(name: &str, template: &str, specs: &[(&str, &str)]) {
    let (exit, said) = check(template, specs, &[]);

    assert_eq!(exit, Some(64), "{said}");
    assert!(said.contains("WRONG "), "{said}");
    golden(name, &said);
}

#[test]
fn files_that_agree_are_told_so() {
    let (exit, said) = check(TEMPLATE, &[("nightly.toml", SPEC)], &[]);

    assert_eq!(exit, Some(0), "{said}");
    golden("agrees", &said);
}

#[test]
fn each_disagreement_says_file_what_and_what_to_do() {
    let cases = [
        // variables, queues, definitions
        (
            "variable-missing",
            "        TRAINSPOT_TOPIC_ARN: !Ref Topic\n",
            "",
        ),
        (
            "variable-unread",
            "TRAINSPOT_IMAGE:",
            "TRAINSPOT_COLOUR: red\n        TRAINSPOT_IMAGE:",
        ),
        (
            "variable-unreadable",
            "TRAINSPOT_FUNCTION_TIMEOUT_S: 60",
            "TRAINSPOT_FUNCTION_TIMEOUT_S: soon",
        ),
        (
            "time-out-told-wrong",
            "TRAINSPOT_FUNCTION_TIMEOUT_S: 60",
            "TRAINSPOT_FUNCTION_TIMEOUT_S: 90",
        ),
        (
            "queue-is-no-queue",
            "SPOT_QUEUE: !Ref SpotQueue",
            "SPOT_QUEUE: !Ref Topic",
        ),
        (
            "queue-of-the-other-market",
            "SPOT_QUEUE: !Ref SpotQueue",
            "SPOT_QUEUE: !Ref OnDemandQueue",
        ),
        (
            "queue-without-share",
            "SchedulingPolicyArn: !Ref FairShare, ComputeEnvironmentOrder: [{Order: 1, ComputeEnvironment: !Ref Cpu}]",
            "ComputeEnvironmentOrder: [{Order: 1, ComputeEnvironment: !Ref Cpu}]",
        ),
        (
            "types-told-wrong",
            "TRAINSPOT_GPU_INSTANCE_TYPES: !Join [\",\", !Ref Types]",
            "TRAINSPOT_GPU_INSTANCE_TYPES: g6.xlarge",
        ),
        (
            "definition-is-none",
            "TRAINSPOT_TRAIN_JOB_DEFINITION: !Ref TrainJobDefinition",
            "TRAINSPOT_TRAIN_JOB_DEFINITION: !Ref SpotQueue",
        ),
        (
            "buckets-are-one",
            "TRAINSPOT_DATA_BUCKET: !Ref DataBucket",
            "TRAINSPOT_DATA_BUCKET: !Ref ResultsBucket",
        ),
        (
            "topic-is-none",
            "TRAINSPOT_TOPIC_ARN: !Ref Topic",
            "TRAINSPOT_TOPIC_ARN: !Ref Letters",
        ),
        (
            "image-told-wrong",
            "TRAINSPOT_IMAGE: !Ref ImageUri",
            "TRAINSPOT_IMAGE: another@sha256:1",
        ),
        (
            "post-processing-image-told-wrong",
            "TRAINSPOT_POST_PROCESSING_IMAGE: !Ref ImageUri",
            "TRAINSPOT_POST_PROCESSING_IMAGE: another@sha256:1",
        ),
        // doors and their permissions
        ("door-missing", "{Binary: fan-out}", "{Binary: fan-in}"),
        (
            "permission-missing",
            "SourceArn: !GetAtt OnFailed.Arn",
            "SourceArn: !GetAtt OnBlocked.Arn",
        ),
        (
            "letters-not-kept",
            "Arn: !GetAtt FanOut.Arn, DeadLetterConfig: {Arn: !GetAtt Letters.Arn}",
            "Arn: !GetAtt FanOut.Arn",
        ),
        (
            "letters-not-taken",
            "rule/${AWS::StackName}-On*",
            "rule/${AWS::StackName}-OnT*",
        ),
        (
            "rule-switched-off",
            "      State: ENABLED\n",
            "      State: DISABLED\n",
        ),
        // patterns
        ("pattern-misses", "status: [FAILED]", "status: [Failed]"),
        (
            "pattern-misses-a-queue",
            "!Ref PostProcessingQueue], status: [SUCCEEDED]",
            "!Ref OnDemandQueue], status: [SUCCEEDED]",
        ),
        (
            "pattern-takes-children",
            "status: [SUCCEEDED], arrayProperties: {index: [{exists: false}]}",
            "status: [SUCCEEDED]",
        ),
        (
            "pattern-takes-others",
            "jobQueue: [!Ref SpotQueue, !Ref OnDemandQueue, !Ref PostProcessingQueue], status: [RUNNING]",
            "status: [RUNNING]",
        ),
        (
            "pattern-wakes-another",
            "Arn: !GetAtt FanOut.Arn",
            "Arn: !GetAtt HandleFailure.Arn",
        ),
        // retries
        (
            "retry-missing",
            "          - {OnExitCode: \"76\", Action: RETRY}\n",
            "",
        ),
        (
            "retry-of-everything",
            "          - {OnReason: \"*\", Action: EXIT}\n",
            "",
        ),
        // schedules
        (
            "schedule-differs",
            "ScheduleExpression: cron(0 2 * * ? *)",
            "ScheduleExpression: cron(0 3 * * ? *)",
        ),
        (
            "schedule-unreadable",
            "cron(0 2 * * ? *)",
            "cron(0 2 * * * *)",
        ),
        (
            "schedule-not-told",
            "'{\"nightly\":{\"expression\":\"cron(0 2 * * ? *)\",\"time_zone\":\"UTC\"}}'",
            "'{}'",
        ),
        (
            "schedule-without-rule",
            "\"time_zone\":\"UTC\"}}'",
            "\"time_zone\":\"UTC\"},\"search\":{\"expression\":\"rate(1 day)\"}}'",
        ),
        ("tick-without-time", ",\"tick\":<time>", ""),
        (
            "no-sweep",
            "ScheduleExpression: rate(5 minutes)",
            "EventPattern: {source: [aws.ec2]}",
        ),
        // hosts
        (
            "host-too-small",
            "Default: \"g5.xlarge,g5.2xlarge\"",
            "Default: m6i.large",
        ),
        (
            "environment-too-small",
            "MaxvCpus: 16, InstanceTypes: !Ref Types",
            "MaxvCpus: 1, InstanceTypes: !Ref Types",
        ),
    ];
    for (name, was, is) in cases {
        disagrees(name, &with(was, is), &[("nightly.toml", SPEC)]);
    }
}

#[test]
fn a_pipeline_that_ticks_needs_a_spec() {
    let other = SPEC.replace("nightly", "weekly");

    disagrees("ticks-without-spec", TEMPLATE, &[("weekly.toml", &other)]);
}

#[test]
fn two_files_of_one_name_disagree() {
    // A folder of its own is a file's name too: `pipeline.toml` says nothing of what is in it.
    disagrees(
        "name-twice",
        TEMPLATE,
        &[("nightly.toml", SPEC), ("pipeline.toml", SPEC)],
    );
}

#[test]
fn a_copy_whose_name_was_forgotten_is_refused() {
    let specs = [("nightly.toml", SPEC), ("search.toml", SPEC)];

    let (alone, said) = check(TEMPLATE, &specs, &["pipelines/search.toml"]);
    let (among_all, all) = check(TEMPLATE, &specs, &[]);

    assert_eq!((alone, among_all), (Some(64), Some(64)), "{said}{all}");
    golden("name-forgotten", &said);
    assert!(all.contains("OK pipelines/nightly.toml"), "{all}");
    assert!(all.contains("pipelines/search.toml: "), "{all}");
}

#[test]
fn every_wrong_spec_is_explained_and_nothing_is_said_to_agree() {
    let typo = SPEC.replace("program", "progam");
    let no_name = SPEC.replace("name = \"nightly\"\n", "");

    let (exit, said) = check(
        TEMPLATE,
        &[
            ("nightly.toml", SPEC),
            ("a.toml", &typo),
            ("c.toml", &no_name),
        ],
        &[],
    );

    assert_eq!(exit, Some(64), "{said}");
    assert!(!said.contains("agrees with pipelines"), "{said}");
    golden("two-wrong-specs", &said);
}

#[test]
fn a_pipeline_that_only_people_start_is_a_note() {
    let other = SPEC.replace("nightly", "by-hand");

    let (exit, said) = check(
        TEMPLATE,
        &[("nightly.toml", SPEC), ("by-hand.toml", &other)],
        &[],
    );

    assert_eq!(exit, Some(0), "{said}");
    golden("without-schedule", &said);
}

#[test]
fn the_parameters_that_will_be_deployed_count() {
    let specs = [("nightly.toml", SPEC)];

    let (exit, said) = check(TEMPLATE, &specs, &["--parameter", "Types=m6i.large"]);
    let (unknown, told) = check(TEMPLATE, &specs, &["--parameter", "Typos=m6i.large"]);

    assert_eq!(exit, Some(64), "{said}");
    assert!(said.contains("no host of SpotQueue can take it"), "{said}");
    assert_eq!(unknown, Some(64), "{told}");
    golden("parameter-unknown", &told);
}

/// The training would be paid for before evaluate could refuse it.
#[test]
fn a_metric_that_the_reference_trainer_does_not_write_is_refused() {
    let with = |evaluate: &str, metric: &str| {
        format!("{SPEC}[evaluate]\nprogram = {evaluate}\n[evaluate.gate]\nmetric = \"{metric}\"\n")
    };
    let reference = "[\"python\", \"-m\", \"trainer\", \"evaluate\"]";

    let (typo, told) = check(
        TEMPLATE,
        &[("nightly.toml", &with(reference, "ndcg_at_ten"))],
        &[],
    );
    let (right, said) = check(
        TEMPLATE,
        &[("nightly.toml", &with(reference, "hr_at_10"))],
        &[],
    );
    let own = with("[\"/opt/judge\"]", "clicks_a_week");
    let (free, heard) = check(TEMPLATE, &[("nightly.toml", &own)], &[]);

    assert_eq!(typo, Some(64), "{told}");
    golden("metric-nobody-writes", &told);
    assert_eq!(right, Some(0), "{said}");
    assert_eq!(free, Some(0), "a program of one's own: {heard}");
}
