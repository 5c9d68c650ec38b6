//! The variables of the functions, the queues, definitions and buckets that they name, and the time-out.
//! What the code reads is found by letting it read: there is no second list.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use trainspot_edge::settings::{Settings, SettingsError};
use trainspot_localcloud::{Declared, DeclaredFunction, DeclaredQueue};

use super::disagreement::Disagreement;

/// Ours begin so; the others are AWS's.
const OURS: &str = "TRAINSPOT_";

/// What a function finds when it starts with the template's variables.
pub(super) fn settings(function: &DeclaredFunction<'_>) -> Result<Settings, SettingsError> {
    Settings::read(|name| function.environment.get(name).cloned())
}

/// Of all functions; what is wrong in several is said once.
pub(super) fn disagreements(template: &Declared) -> Vec<Disagreement> {
    let mut found: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    let mut n_functions = 0;
    for function in template.functions() {
        n_functions += 1;
        for (what, todo) in of_function(template, &function) {
            found
                .entry((what, todo))
                .or_default()
                .push(function.logical_id);
        }
    }
    found
        .into_iter()
        .map(|((what, todo), functions)| {
            let place = if functions.len() == n_functions {
                "Globals.Function".to_owned()
            } else {
                functions.join(", ")
            };
            Disagreement::new(place, what, todo)
        })
        .collect()
}

type Found = Vec<(String, String)>;

fn of_function(template: &Declared, function: &DeclaredFunction<'_>) -> Found {
    let read = RefCell::new(BTreeSet::new());
    let settings = Settings::read(|name| {
        read.borrow_mut().insert(name.to_owned());
        function.environment.get(name).cloned()
    });
    let settings = match settings {
        Ok(settings) => settings,
        Err(SettingsError::Missing(name)) => {
            return vec![(
                format!("the code reads the variable `{name}`, and the template does not set it"),
                format!("add {name} under Environment.Variables"),
            )];
        }
        Err(error) => {
            return vec![(
                error.to_string(),
                "write it as the code reads it".to_owned(),
            )];
        }
    };
    let mut found = Vec::new();
    let read = read.into_inner();
    for name in function.environment.keys() {
        if name.starts_with(OURS) && !read.contains(name) {
            found.push((
                format!("the template sets the variable `{name}`, and no code reads it"),
                "remove it, or spell it as the code does".to_owned(),
            ));
        }
    }
    if settings.function_timeout != function.timeout {
        found.push((
            format!(
                "a function may take {} s and is told {} s; the lease of a claim is three times what it is told",
                function.timeout.as_secs(),
                settings.function_timeout.as_secs()
            ),
            "let Timeout and TRAINSPOT_FUNCTION_TIMEOUT_S name the same parameter".to_owned(),
        ));
    }
    named(template, &settings, &mut found);
    found
}

/// Whether what the variables name is what the code takes it for.
fn named(template: &Declared, settings: &Settings, found: &mut Found) {
    let platform = &settings.platform;
    let mut queue = |variable: &str,
                     arn: &str,
                     is_right: fn(&DeclaredQueue<'_>) -> bool,
                     must: &str,
                     types: &[String]| {
        let Some(queue) = template.queues().find(|queue| queue.arn == arn) else {
            found.push((
                format!("`{variable}` names `{arn}`, which is no job queue of the template"),
                format!("let it be !Ref of {must}"),
            ));
            return;
        };
        if !is_right(&queue) {
            found.push((
                format!(
                    "`{variable}` names {}, which is not {must}",
                    queue.logical_id
                ),
                format!("let it be !Ref of {must}"),
            ));
        }
        if !queue.is_fair_share {
            found.push((
                format!(
                    "{} has no scheduling policy, and every submission says its share: Batch refuses that",
                    queue.logical_id
                ),
                "give the queue a SchedulingPolicyArn".to_owned(),
            ));
        }
        // One list is told for both markets, and on-demand may have fewer types.
        let is_told = |name: &String| types.contains(name);
        let has = |name: &String| queue.instance_types.contains(name);
        let is_one_list =
            queue.instance_types.iter().all(is_told) && (!queue.is_spot || types.iter().all(has));
        if !types.is_empty() && !is_one_list {
            found.push((
                format!(
                    "the functions are told other instance types for {} than its environments have",
                    queue.logical_id
                ),
                "let both name the same parameter; on-demand may have fewer".to_owned(),
            ));
        }
    };
    queue(
        "TRAINSPOT_SPOT_QUEUE",
        &platform.spot_queue,
        |queue| queue.is_spot,
        "a queue whose first hosts are Spot",
        &platform.gpu_instance_types,
    );
    queue(
        "TRAINSPOT_ON_DEMAND_QUEUE",
        &platform.on_demand_queue,
        |queue| !queue.is_spot,
        "a queue of on-demand hosts",
        &platform.gpu_instance_types,
    );
    queue(
        "TRAINSPOT_POST_PROCESSING_QUEUE",
        &platform.post_processing_queue,
        |_| true,
        "a queue for the stages after the training",
        &platform.cpu_instance_types,
    );
    let mut resource = |variable: &str, value: &str, kind: &'static str, noun: &str| {
        if !template
            .of_kind(kind)
            .any(|(_, resource)| resource.physical == value)
        {
            found.push((
                format!("`{variable}` names `{value}`, which is no {noun} of the template"),
                format!("let it be !Ref of a resource of type {kind}"),
            ));
        }
    };
    let (kind, noun) = ("AWS::Batch::JobDefinition", "job definition");
    resource(
        "TRAINSPOT_TRAIN_JOB_DEFINITION",
        &platform.train_definition,
        kind,
        noun,
    );
    resource(
        "TRAINSPOT_POST_PROCESSING_JOB_DEFINITION",
        &platform.post_processing_definition,
        kind,
        noun,
    );
    resource(
        "TRAINSPOT_TOPIC_ARN",
        &settings.topic_arn,
        "AWS::SNS::Topic",
        "topic",
    );
    resource(
        "TRAINSPOT_RESULTS_BUCKET",
        &settings.results_bucket,
        "AWS::S3::Bucket",
        "bucket",
    );
    // The data bucket may be one that was there before the stack.
    if settings.data_bucket == settings.results_bucket {
        found.push((
            "data and results are in one bucket: the job's role could then write the data"
                .to_owned(),
            "give them two".to_owned(),
        ));
    }
    let mut image = |variable: &str, told: &str, definition: &str, of: &str| {
        let image = template
            .of_kind("AWS::Batch::JobDefinition")
            .find(|(_, declared)| declared.physical == definition)
            .and_then(|(_, declared)| declared.properties.as_ref().ok())
            .and_then(|properties| properties.pointer("/ContainerProperties/Image"))
            .and_then(serde_json::Value::as_str);
        if image.is_some_and(|image| image != told) {
            found.push((
                format!("`{variable}` is not the image of {of}: \"same data, same spec, same image\" would lie"),
                "let both name the same parameter".to_owned(),
            ));
        }
    };
    image(
        "TRAINSPOT_IMAGE",
        &platform.image,
        &platform.train_definition,
        "the training",
    );
    image(
        "TRAINSPOT_POST_PROCESSING_IMAGE",
        &platform.post_processing_image,
        &platform.post_processing_definition,
        "the stages after it",
    );
}
