//! What the template tells every function through its environment.

use std::time::Duration;

use trainspot_shared::run::Platform;
use trainspot_shared::schedule::Schedules;

/// Parsed once at the start; a missing or wrong variable ends the process with its name.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Read only.
    pub data_bucket: String,
    /// State, results, models, reports.
    pub results_bucket: String,
    /// Where notices go.
    pub topic_arn: String,
    /// Queues and definitions.
    pub platform: Platform,
    /// When each pipeline is due.
    pub schedules: Schedules,
    /// This function's own time-out; a claim's lease is three times that.
    pub function_timeout: Duration,
    /// Under which name metrics are told; none are without one.
    pub metrics_namespace: Option<String>,
    /// For proofs only.
    #[cfg(feature = "planted")]
    pub planted: crate::planted::Planted,
}

/// Which variable is wrong.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not set.
    #[error("variable `{0}` is not set; the template sets it for every function")]
    Missing(&'static str),
    /// The stack was deployed to have somewhere to push an image to, and has none.
    #[error(
        "there is no image yet: push one to the stack's ImageRepositoryUri and deploy again with its digest as ImageUri"
    )]
    NoImage,
    /// Set to nonsense.
    #[error("variable `{name}`: {why}")]
    Wrong {
        /// Which.
        name: &'static str,
        /// How.
        why: String,
    },
}

impl Settings {
    /// Reads the environment through `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let get = |name: &'static str| {
            variable(name)
                .filter(|v| !v.is_empty())
                .ok_or(SettingsError::Missing(name))
        };
        // Only for saying which number of a job is too large; without them the sentence is shorter.
        let list = |name: &str| -> Vec<String> {
            let written = variable(name).unwrap_or_default();
            let words = written.split(',').map(str::trim);
            words
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let image = variable("TRAINSPOT_IMAGE").ok_or(SettingsError::Missing("TRAINSPOT_IMAGE"))?;
        if image.is_empty() {
            return Err(SettingsError::NoImage);
        }
        let results_bucket = get("TRAINSPOT_RESULTS_BUCKET")?;
        let timeout_name = "TRAINSPOT_FUNCTION_TIMEOUT_S";
        let timeout_s: u64 = get(timeout_name)?
            .parse()
            .map_err(|e: std::num::ParseIntError| SettingsError::Wrong {
                name: timeout_name,
                why: e.to_string(),
            })?;
        let schedules =
            Schedules::parse(&get("TRAINSPOT_SCHEDULES")?).map_err(|e| SettingsError::Wrong {
                name: "TRAINSPOT_SCHEDULES",
                why: e.to_string(),
            })?;
        Ok(Self {
            data_bucket: get("TRAINSPOT_DATA_BUCKET")?,
            topic_arn: get("TRAINSPOT_TOPIC_ARN")?,
            platform: Platform {
                spot_queue: get("TRAINSPOT_SPOT_QUEUE")?,
                on_demand_queue: get("TRAINSPOT_ON_DEMAND_QUEUE")?,
                post_processing_queue: get("TRAINSPOT_POST_PROCESSING_QUEUE")?,
                train_definition: get("TRAINSPOT_TRAIN_JOB_DEFINITION")?,
                post_processing_definition: get("TRAINSPOT_POST_PROCESSING_JOB_DEFINITION")?,
                image,
                post_processing_image: get("TRAINSPOT_POST_PROCESSING_IMAGE")?,
                results_bucket: results_bucket.clone(),
                gpu_instance_types: list("TRAINSPOT_GPU_INSTANCE_TYPES"),
                cpu_instance_types: list("TRAINSPOT_CPU_INSTANCE_TYPES"),
            },
            results_bucket,
            schedules,
            function_timeout: Duration::from_secs(timeout_s),
            metrics_namespace: variable("TRAINSPOT_METRICS_NAMESPACE")
                .filter(|name| !name.is_empty()),
            #[cfg(feature = "planted")]
            planted: crate::planted::Planted::None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl Fn(&str) -> Option<Option<&'static str>>) -> Result<Settings, String> {
        let variable = |name: &str| match (change(name), name) {
            (Some(value), _) => value.map(str::to_owned),
            (None, "TRAINSPOT_FUNCTION_TIMEOUT_S") => Some("60".to_owned()),
            (None, "TRAINSPOT_SCHEDULES") => Some("{}".to_owned()),
            (None, name) => Some(name.to_lowercase()),
        };
        Settings::read(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn a_missing_variable_is_named() {
        for missing in ["TRAINSPOT_RESULTS_BUCKET", "TRAINSPOT_IMAGE"] {
            let error = read(|name| (name == missing).then_some(None)).expect_err("one is missing");

            assert!(
                error.contains(missing) && error.contains("not set"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_stack_without_an_image_says_what_to_do() {
        let error = read(|name| (name == "TRAINSPOT_IMAGE").then_some(Some("")));

        assert_eq!(
            error.expect_err("there is none"),
            "there is no image yet: push one to the stack's ImageRepositoryUri and deploy again with its digest as ImageUri"
        );
    }

    #[test]
    fn metrics_are_told_only_under_a_name() {
        let namespace = |value: Option<&'static str>| {
            let settings = read(|name| (name == "TRAINSPOT_METRICS_NAMESPACE").then_some(value));
            settings.expect("it may be missing").metrics_namespace
        };

        assert_eq!(
            namespace(Some("trainspot/prod")).as_deref(),
            Some("trainspot/prod")
        );
        assert_eq!(namespace(Some("")), None);
        assert_eq!(namespace(None), None);
    }
}
