//! The data of each pipeline: objects below its prefix, and the one that says that all of it is there.

use serde_json::Value;
use trainspot_shared::pipeline::{DataSpec, Pipeline};

use super::super::call::{Answer, Call};
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, not_checked};
use super::buckets::data_bucket;

/// Enough to see what lies there; a dataset of more objects is not counted to its end.
const LOOKED_AT: &str = "1000";
const READY: &str = "_READY";

fn wanting(case: &Case) -> impl Iterator<Item = (&Pipeline, &DataSpec)> {
    let specs = case.specs.files.iter().map(|(_, spec)| &spec.pipeline);
    specs.filter_map(|pipeline| Some((pipeline, pipeline.data.as_ref()?)))
}

fn call(case: &Case, bucket: &str, data: &DataSpec) -> Call {
    case.call(
        "s3:ListBucket",
        [
            "s3api",
            "list-objects-v2",
            "--bucket",
            bucket,
            "--prefix",
            &data.prefix,
            "--max-items",
            LOOKED_AT,
        ],
    )
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    let Some(bucket) = data_bucket(case) else {
        return Vec::new();
    };
    wanting(case)
        .map(|(_, data)| call(case, &bucket, data))
        .collect()
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let Some(bucket) = data_bucket(case) else {
        return Vec::new();
    };
    wanting(case)
        .map(|(pipeline, data)| {
            let check = format!("data, {}", pipeline.name);
            let call = call(case, &bucket, data);
            match answers.of(&call) {
                Answer::Json(value) => judge(&check, &bucket, data, &value).asked(&call),
                Answer::Absent { .. } => Finding::bad(
                    &check,
                    format!("there is no bucket `{bucket}`"),
                    "give an existing one, or none for a new one",
                )
                .asked(&call),
                other => not_checked(&check, &call, &other),
            }
        })
        .collect()
}

fn judge(check: &str, bucket: &str, data: &DataSpec, answer: &Value) -> Finding {
    let prefix = &data.prefix;
    let keys: Vec<&str> = answer
        .get("Contents")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|object| object.get("Key").and_then(Value::as_str))
        .collect();
    let ready = format!("{prefix}{READY}");
    let n_objects = keys
        .iter()
        .filter(|key| **key != ready && !key.ends_with('/'))
        .count();
    let n_parquet = keys.iter().filter(|key| key.ends_with(".parquet")).count();
    let is_ready = keys.contains(&ready.as_str());
    let is_cut = answer.get("NextToken").is_some();
    let more = if is_cut { " or more" } else { "" };
    if n_objects == 0 {
        return Finding::warn(
            check,
            format!("nothing lies below s3://{bucket}/{prefix}: a run would have no data"),
            format!(
                "aws s3 cp <folder> s3://{bucket}/{prefix} --recursive, and the object {READY} last"
            ),
        );
    }
    // Of a long list only the first names were seen, and `_READY` sorts before small letters only.
    if data.wait_for_s.is_some() && !is_ready && !is_cut {
        return Finding::warn(
            check,
            format!(
                "{n_objects} objects, and no {ready}: a run would wait for it and then give up"
            ),
            format!("when all of the data is there: printf '' | aws s3 cp - s3://{bucket}/{ready}"),
        );
    }
    if n_parquet == 0 {
        return Finding::warn(
            check,
            format!("{n_objects}{more} objects, and none is called *.parquet"),
            "nothing, if the pipeline's own program reads them; the reference trainer reads Parquet",
        );
    }
    Finding::ok(
        check,
        format!("{n_objects}{more} objects below {prefix}, {n_parquet}{more} of them Parquet"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn verdict(keys: &[&str]) -> Verdict {
        let data = DataSpec {
            prefix: "clicks/".to_owned(),
            wait_for_s: Some(7200),
            skip_if_unchanged: true,
        };
        let list: Vec<_> = keys
            .iter()
            .map(|key| json!({"Key": key, "Size": 1}))
            .collect();
        judge("data", "b", &data, &json!({ "Contents": list })).verdict
    }

    #[test]
    fn data_is_parquet_below_the_prefix_and_ready() {
        assert_eq!(verdict(&["clicks/_READY", "clicks/1.parquet"]), Verdict::Ok);
        assert_eq!(verdict(&["clicks/1.parquet"]), Verdict::Warn);
        assert_eq!(verdict(&["clicks/_READY", "clicks/1.csv"]), Verdict::Warn);
        assert_eq!(verdict(&["clicks/_READY", "clicks/"]), Verdict::Warn);
        assert_eq!(verdict(&[]), Verdict::Warn);
    }
}
