use proptest::prelude::*;
use test_case::test_case;

use super::*;

const WHOLE: &str = r#"
name = "recommender"
overlap = "queue"
finish_by = "07:00"
time_zone = "Asia/Seoul"
priority = 60

[data]
prefix = "interactions/"
wait_for = "2h"
skip_if_unchanged = true

[train]
program = ["python", "-m", "trainer", "train"]
gpus = 1
vcpus = 4
memory_gib = 15
max_memory_gib = 60
timeout = "6h"
params = { model = "sequential-two-tower", epochs = 20, seed = 7, rate = 0.5, deep = { on = [true, 1] } }

[evaluate]
program = ["python", "-m", "trainer", "evaluate"]
[evaluate.gate]
metric = "ndcg_at_10"
min_gain = 0.02
promote = "ask"

[recommend]
program = ["python", "-m", "trainer", "recommend"]
shards = 16
params = { top_k = 50 }

[budget]
max_usd_per_run = 20.0
max_usd_per_month = 150

[notify]
on = ["failed", "kept_champion"]
"#;

const LEAST: &str = "name = \"least\"\n[train]\nprogram = [\"train\"]\n";

/// [`LEAST`] with lines of its own before `[train]` and others after it.
fn least(top: &str, rest: &str) -> String {
    format!("name = \"least\"\n{top}\n[train]\nprogram = [\"train\"]\n{rest}")
}

fn problem(text: &str) -> String {
    Pipeline::parse(text)
        .expect_err("a spec with a mistake")
        .to_string()
}

fn tick(text: &str) -> Tick {
    text.parse().expect("a tick")
}

#[test]
fn a_whole_spec_is_read() {
    let pipeline = Pipeline::parse(WHOLE).expect("a whole spec");

    assert_eq!(pipeline.name.as_str(), "recommender");
    assert_eq!(pipeline.overlap, Overlap::Queue);
    assert_eq!(
        pipeline.deadline,
        Some(Deadline::FinishBy {
            time: Time::constant(7, 0, 0, 0)
        })
    );
    assert_eq!(
        (pipeline.time_zone.as_str(), pipeline.priority),
        ("Asia/Seoul", 60)
    );
    let data = pipeline.data.as_ref().expect("there is a table");
    assert_eq!(
        (data.wait_for_s, data.skip_if_unchanged),
        (Some(7200), true)
    );
    let train = &pipeline.train;
    assert_eq!(
        (
            train.gpus,
            train.vcpus,
            train.memory_gib,
            train.max_memory_gib
        ),
        (1, 4, 15, 60)
    );
    assert_eq!(train.timeout_s, 21_600);
    assert_eq!(
        serde_json::to_string(&train.params).expect("JSON"),
        r#"{"deep":{"on":[true,1]},"epochs":20,"model":"sequential-two-tower","rate":0.5,"seed":7}"#
    );
    let gate = &pipeline.evaluate.as_ref().expect("there is a table").gate;
    assert_eq!(
        (gate.metric.as_str(), gate.promote),
        ("ndcg_at_10", Promote::Ask)
    );
    assert_eq!(
        pipeline.recommend.as_ref().map(|r| r.shards),
        Some(Shards::Fixed(16))
    );
    let gather = pipeline.stage(Stage::Gather).expect("comes with recommend");
    assert_eq!(gather.program, ["python", "-m", "trainer", "gather"]);
    assert_eq!(pipeline.budget.max_usd_per_month, Some(150.0));
    assert!(pipeline.notifies_on(NoticeKind::Failed) && !pipeline.notifies_on(NoticeKind::Late));
}

#[test]
fn every_pipeline_of_this_repository_is_read_and_named_like_its_file() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines");
    let mut n_read = 0;
    for entry in std::fs::read_dir(folder).expect("there is a folder of pipelines") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a file that was just listed");
        let pipeline = Pipeline::parse(&text).expect("a spec without a mistake");

        let stem = path.file_stem().and_then(|stem| stem.to_str());
        assert_eq!(stem, Some(pipeline.name.as_str()));
        n_read += 1;
    }

    assert!(n_read > 0);
}

#[test]
fn the_least_spec_has_the_documented_defaults() {
    let pipeline = Pipeline::parse(LEAST).expect("the least spec");

    assert_eq!(pipeline.overlap, Overlap::Skip);
    assert_eq!(pipeline.deadline, None);
    assert_eq!(
        (pipeline.time_zone.as_str(), pipeline.priority),
        ("UTC", 50)
    );
    let train = &pipeline.train;
    assert_eq!(
        (
            train.gpus,
            train.vcpus,
            train.memory_gib,
            train.max_memory_gib
        ),
        (0, 2, 4, 16)
    );
    assert_eq!(train.timeout_s, 6 * 3600);
    assert_eq!(pipeline.notify_on, NoticeKind::ALL);
    for stage in [Stage::Evaluate, Stage::Recommend, Stage::Gather] {
        assert_eq!(pipeline.stage(stage), None);
    }
}

#[test]
fn the_gate_and_the_shards_have_defaults() {
    let text = least(
        "",
        "[evaluate]\nprogram = [\"e\"]\n[recommend]\nprogram = [\"r\"]\n",
    );
    let pipeline = Pipeline::parse(&text).expect("a spec");

    let gate = pipeline.evaluate.expect("there is a table").gate;

    let expected = GateSpec {
        metric: "ndcg_at_10".to_owned(),
        min_gain: 0.01,
        promote: Promote::Auto,
    };
    assert_eq!(gate, expected);
    assert_eq!(pipeline.recommend.map(|r| r.shards), Some(Shards::Auto));
}

#[test]
fn a_spec_survives_the_document() {
    let pipeline = Pipeline::parse(WHOLE).expect("a whole spec");

    let text = serde_json::to_string(&pipeline).expect("JSON");

    assert_eq!(
        serde_json::from_str::<Pipeline>(&text).expect("the same"),
        pipeline
    );
}

#[test_case(
    "pririty = 3",
    "",
    "line 2: unknown field `pririty`; did you mean `priority`?"
)]
#[test_case(
    "priority = 120",
    "",
    "line 2: `priority` must be 0 to 99, received: 120"
)]
#[test_case(
    "priority = -1",
    "",
    "line 2: `priority` must be 0 to 99, received: -1"
)]
#[test_case(
    "priority = \"high\"",
    "",
    "line 2: `priority` must be 0 to 99, received: \"high\""
)]
#[test_case(
    "overlap = \"skipp\"",
    "",
    "line 2: `overlap` must be one of skip, queue, allow, received: \"skipp\"; did you mean `skip`?"
)]
#[test_case(
    "finish_by = \"7\"",
    "",
    "line 2: `finish_by` must be a time of day such as \"07:00\", received: \"7\""
)]
#[test_case(
    "finish_by = \"07:00\"\nwithin = \"12h\"",
    "",
    "line 3: `finish_by` and `within` are two deadlines; keep one of them"
)]
#[test_case(
    "within = \"-2h\"",
    "",
    "line 2: `within` must be a length of time such as \"90m\" or \"12h\", received: \"-2h\""
)]
#[test_case(
    "time_zone = \"Asia/Seol\"",
    "",
    "line 2: `time_zone` must be an IANA time zone such as \"Asia/Seoul\", received: \"Asia/Seol\"; did you mean `Asia/Seoul`?"
)]
#[test_case(
    "",
    "gpus = 1.5",
    "line 5: `gpus` in [train] must be 0 to 8, received: 1.5"
)]
#[test_case(
    "",
    "timeout = \"30s\"",
    "line 5: `timeout` in [train] must be a length of time such as \"90m\", at least 60 s, received: \"30s\""
)]
#[test_case(
    "",
    "memory_gib = 8\nmax_memory_gib = 4",
    "line 6: `max_memory_gib` in [train] must be 8 to 2048, received: 4"
)]
#[test_case(
    "",
    "params = { a = nan }",
    "line 5: `params` in [train] may hold finite numbers only, received: nan"
)]
#[test_case(
    "",
    "params = 3",
    "line 5: `params` in [train] must be a table, received: 3"
)]
#[test_case(
    "",
    "[data]\nprefix = \"clicks\"",
    "line 6: `prefix` in [data] must be a prefix that ends with `/` and does not begin with it, received: \"clicks\""
)]
#[test_case(
    "",
    "[data]\nwait_for = \"2h\"",
    "line 5: the field `prefix` in [data] is missing"
)]
#[test_case(
    "",
    "[data]\nprefix = \"a/\"\nskip_if_unchanged = 1",
    "line 7: `skip_if_unchanged` in [data] must be true or false, received: 1"
)]
#[test_case(
    "",
    "[evaluate]\n",
    "line 5: the field `program` in [evaluate] is missing"
)]
#[test_case(
    "",
    "[evaluate]\nprogram = [\"e\"]\n[evaluate.gate]\nmin_gian = 1",
    "line 8: unknown field `min_gian` in [evaluate.gate]; did you mean `min_gain`?"
)]
#[test_case(
    "",
    "[evaluate]\nprogram = [\"e\"]\n[evaluate.gate]\nmin_gain = -0.5",
    "line 8: `min_gain` in [evaluate.gate] must be a number, 0 or more, received: -0.5"
)]
#[test_case(
    "",
    "[recommend]\nprogram = [\"r\"]",
    "line 5: [recommend] needs [evaluate]: only what passed the gate is recommended"
)]
#[test_case(
    "",
    "[gather]",
    "line 5: [gather] needs [recommend]: there is nothing else to gather"
)]
#[test_case(
    "",
    "[evaluate]\nprogram = [\"e\"]\n[recommend]\nprogram = [\"r\"]\nshard = 4",
    "line 9: unknown field `shard` in [recommend]; did you mean `shards`?"
)]
#[test_case(
    "",
    "[evaluate]\nprogram = [\"e\"]\n[recommend]\nprogram = [\"r\"]\nshards = 0",
    "line 9: `shards` in [recommend] must be \"auto\" or a number from 1 to 10000, received: 0"
)]
#[test_case(
    "",
    "[evaluate]\nprogram = [\"e\"]\n[recommend]\nprogram = [\"r\"]\nshards = \"many\"",
    "line 9: `shards` in [recommend] must be \"auto\" or a number from 1 to 10000, received: \"many\""
)]
#[test_case(
    "",
    "[budget]\nmax_usd_per_run = inf",
    "line 6: `max_usd_per_run` in [budget] must be a number, 0 or more, received: inf"
)]
#[test_case(
    "",
    "[notify]\non = [\"fail\"]",
    "line 6: `on` in [notify] must be one of failed, succeeded, kept_champion, moved, skipped, late, cancelled, at_risk, received: [\"fail\"]; did you mean `failed`?"
)]
#[test_case("", "[trian]", "line 5: unknown field `trian`; did you mean `train`?")]
fn a_mistake_names_line_field_and_value(top: &str, rest: &str, message: &str) {
    assert_eq!(problem(&least(top, rest)), message);
}

#[test_case("", "line 1: the table [train] is missing")]
#[test_case("[train]\nprogram = [\"t\"]", "line 1: the field `name` is missing")]
#[test_case(
    "name = \"Big Model\"\n[train]\nprogram = [\"t\"]",
    "line 1: `name` must be 1 to 40 of a-z, 0-9 and `-`, beginning with a letter, received: \"Big Model\""
)]
#[test_case(
    "name = \"a\"\n[train]\nprogram = []",
    "line 3: `program` in [train] must be a program and its arguments, received: []"
)]
#[test_case(
    "name = \"a\"\n[train]\nprogram = [\"t\", \"\"]",
    "line 3: `program` in [train] must be a list of texts, none of them empty, received: [\"t\", \"\"]"
)]
#[test_case(
    "name = \"a\"\ntrain = 1",
    "line 2: `train` must be a table, received: 1"
)]
fn a_spec_without_its_core_says_so(text: &str, message: &str) {
    assert_eq!(problem(text), message);
}

#[test]
fn what_is_not_toml_names_the_line() {
    let message = problem("name = \"a\"\n[train\nprogram = [\"t\"]\n");

    assert!(message.starts_with("line 2: "), "{message}");
    assert!(message.lines().count() <= 4, "{message}");
}

#[test_case("07:00", "Asia/Seoul", "20261123T0200Z", "2026-11-23T22:00:00Z"; "later the same day in UTC")]
#[test_case("07:00", "UTC", "20261123T0200Z", "2026-11-23T07:00:00Z"; "the same morning")]
#[test_case("07:00", "UTC", "20261123T0700Z", "2026-11-24T07:00:00Z"; "the tick itself is not after the tick")]
#[test_case("07:00", "UTC", "20261231T0900Z", "2027-01-01T07:00:00Z"; "over the end of the year")]
#[test_case("02:30", "Europe/Berlin", "20260328T1200Z", "2026-03-29T01:30:00Z"; "a time that the clocks skip counts after the gap")]
#[test_case("02:30", "Europe/Berlin", "20261024T1200Z", "2026-10-25T00:30:00Z"; "a time that comes twice counts the first time")]
#[test_case("02:30", "Europe/Berlin", "20261025T0045Z", "2026-10-26T01:30:00Z"; "and not the second time")]
fn finish_by_is_the_first_such_time_after_the_tick(time: &str, zone: &str, at: &str, by: &str) {
    let text = least(
        &format!("finish_by = \"{time}\"\ntime_zone = \"{zone}\""),
        "",
    );
    let pipeline = Pipeline::parse(&text).expect("a spec");

    let deadline = pipeline.deadline_after(tick(at)).expect("it has one");

    assert_eq!(deadline.to_string(), by);
}

#[test]
fn within_counts_from_the_tick() {
    let pipeline = Pipeline::parse(&least("within = \"1d 12h\"", "")).expect("a spec");

    let deadline = pipeline
        .deadline_after(tick("20261123T0200Z"))
        .expect("it has one");

    assert_eq!(deadline.to_string(), "2026-11-24T14:00:00Z");
    let without = Pipeline::parse(LEAST).expect("a spec");
    assert_eq!(without.deadline_after(tick("20261123T0200Z")), None);
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic_or_talk_at_length(text in "\\PC{0,80}", at in 0_usize..600) {
        let mut spoiled = WHOLE.to_owned();
        let at = (0..=at.min(spoiled.len())).rev().find(|at| spoiled.is_char_boundary(*at)).unwrap_or(0);
        spoiled.insert_str(at, &text);

        if let Err(error) = Pipeline::parse(&spoiled) {
            prop_assert!(error.to_string().lines().count() <= 4, "{}", error);
            prop_assert!(error.line >= 1 && error.line <= spoiled.lines().count().max(1));
        }
    }

    #[test]
    fn a_deadline_is_always_after_its_tick_and_within_two_days(
        second in 1_700_000_000_i64..1_900_000_000, hour in 0_u8..24, minute in 0_u8..60,
        zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Seoul", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
    ) {
        let text = least(&format!("finish_by = \"{hour:02}:{minute:02}\"\ntime_zone = \"{zone}\""), "");
        let pipeline = Pipeline::parse(&text).expect("a spec");
        let tick = Tick::containing(Timestamp::from_second(second).expect("in range"));

        let deadline = pipeline.deadline_after(tick).expect("it has one");

        prop_assert!(deadline > tick.start());
        prop_assert!(deadline.duration_since(tick.start()) <= SignedDuration::from_hours(49));
    }
}
