//! Writes down what was called, for whoever judges the roles: one line of JSON for each question to IAM, under a
//! first one that says what the stack's resources are called.

use std::collections::BTreeMap;

use serde_json::json;
use trainspot_localcloud::{Asked, LocalCloud};

use crate::place::Place;

/// Of the template, as far as calls name them.
const NAMED: [&str; 13] = [
    "DataBucket",
    "ResultsBucket",
    "NotificationTopic",
    "DeadLetterQueue",
    "SpotQueue",
    "OnDemandQueue",
    "PostProcessingQueue",
    "TrainJobDefinition",
    "PostProcessingJobDefinition",
    "SubmitTrainingFunction",
    "HandleFailureFunction",
    "SuperviseRunsFunction",
    "FanOutFunction",
];

/// Writes `<name>.jsonl`. A job is called after its definition, as its role is.
pub(crate) fn write(place: &Place, cloud: &LocalCloud, name: &str) {
    let physical: BTreeMap<&str, String> = NAMED
        .into_iter()
        .map(|id| (id, cloud.physical(id).expect("the template has it")))
        .collect();
    let definitions: BTreeMap<String, &str> = physical
        .iter()
        .filter(|(id, _)| id.ends_with("JobDefinition"))
        .map(|(id, arn)| (arn.clone(), *id))
        .collect();
    let jobs: BTreeMap<String, String> = cloud
        .jobs()
        .into_iter()
        .map(|job| (job.job_id, job.definition))
        .collect();
    let principal = |caller: &str| match caller.strip_prefix("job/") {
        None => caller.to_owned(),
        Some(id) => {
            let definition = jobs.get(id).and_then(|arn| definitions.get(arn));
            let definition = definition.expect("only jobs of the template's definitions call");
            format!("job/{definition}")
        }
    };
    let mut times: BTreeMap<(String, Asked), usize> = BTreeMap::new();
    for call in cloud.calls() {
        if let Some(asked) = call.asked
            && call.caller != "person"
        {
            *times.entry((principal(&call.caller), asked)).or_default() += 1;
        }
    }
    let mut lines = json!({ "physical": physical }).to_string();
    for ((principal, asked), times) in times {
        let context: BTreeMap<String, String> = asked.context.into_iter().collect();
        let line = json!({
            "principal": principal,
            "action": asked.action,
            "resources": asked.resources,
            "context": context,
            "times": times,
        });
        lines.push('\n');
        lines.push_str(&line.to_string());
    }
    lines.push('\n');
    let folder = place.recorded_calls();
    std::fs::create_dir_all(&folder).expect("the folder of what is built is writable");
    let whole = folder.join(format!("{name}.jsonl"));
    let half = whole.with_extension("half");
    std::fs::write(&half, lines).expect("writable");
    std::fs::rename(&half, &whole).expect("writable");
}
