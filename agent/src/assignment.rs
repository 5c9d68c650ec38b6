//! Which job this container is: read once from the environment that Batch sets.

use trainspot_shared::job::JOB_VARIABLE;

use crate::error::AgentError;

/// One attempt of one job, as Batch tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The results bucket.
    pub bucket: String,
    /// Where the job document lies in it.
    pub job_key: String,
    /// Batch's id; of an array child, the parent's.
    pub job_id: String,
    /// From 1.
    pub attempt: u32,
    /// Of an array child, from 0.
    pub array_index: Option<u32>,
}

impl Assignment {
    /// Parses the variables that `variable` looks up.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, AgentError> {
        let need = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| AgentError::Configuration(format!("`{name}` is not set")))
        };
        let job = need(JOB_VARIABLE)?;
        let (bucket, job_key) = job
            .strip_prefix("s3://")
            .and_then(|rest| rest.split_once('/'))
            .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
            .ok_or_else(|| {
                AgentError::Configuration(format!(
                    "`{JOB_VARIABLE}` must be `s3://<bucket>/<key>`, received: `{job}`"
                ))
            })?;
        let (job_id, index_of_id) = job_id(&need("AWS_BATCH_JOB_ID")?)?;
        let attempt: u32 = number("AWS_BATCH_JOB_ATTEMPT", &need("AWS_BATCH_JOB_ATTEMPT")?)?;
        if attempt == 0 {
            return Err(AgentError::Configuration(
                "`AWS_BATCH_JOB_ATTEMPT` must be 1 or more, received: 0".to_owned(),
            ));
        }
        let array_index = match variable("AWS_BATCH_JOB_ARRAY_INDEX").filter(|v| !v.is_empty()) {
            Some(text) => Some(number("AWS_BATCH_JOB_ARRAY_INDEX", &text)?),
            None => index_of_id,
        };
        Ok(Self {
            bucket: bucket.to_owned(),
            job_key: job_key.to_owned(),
            job_id,
            attempt,
            array_index,
        })
    }
}

/// `<id>` or, of an array child, `<id>:<index>`.
fn job_id(text: &str) -> Result<(String, Option<u32>), AgentError> {
    let (id, index) = match text.split_once(':') {
        Some((id, index)) => (id, Some(number("AWS_BATCH_JOB_ID", index)?)),
        None => (text, None),
    };
    if id.is_empty() {
        return Err(AgentError::Configuration(format!(
            "`AWS_BATCH_JOB_ID` must be a job id, received: `{text}`"
        )));
    }
    Ok((id.to_owned(), index))
}

fn number(name: &str, text: &str) -> Result<u32, AgentError> {
    text.parse().map_err(|_| {
        AgentError::Configuration(format!(
            "`{name}` must hold a whole number, received: `{text}`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Result<Assignment, AgentError> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        Assignment::from_variables(|name| variables.get(name).map(|&value| value.to_owned()))
    }

    const JOB: (&str, &str) = ("TRAINSPOT_JOB", "s3://results/state/p/job-1.json");

    #[test]
    fn an_array_child_is_its_parents_job_and_has_an_index() {
        let assignment = parse(&[
            JOB,
            ("AWS_BATCH_JOB_ID", "abc:7"),
            ("AWS_BATCH_JOB_ATTEMPT", "2"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "7"),
        ])
        .expect("Batch's own variables parse");

        assert_eq!(assignment.job_id, "abc");
        assert_eq!((assignment.attempt, assignment.array_index), (2, Some(7)));
        assert_eq!(assignment.bucket, "results");
        assert_eq!(assignment.job_key, "state/p/job-1.json");
    }

    #[test]
    fn a_plain_job_has_no_index() {
        let assignment = parse(&[
            JOB,
            ("AWS_BATCH_JOB_ID", "abc"),
            ("AWS_BATCH_JOB_ATTEMPT", "1"),
        ])
        .expect("Batch's own variables parse");

        assert_eq!(assignment.array_index, None);
    }

    #[test]
    fn whatever_is_missing_or_garbled_is_named() {
        let id = ("AWS_BATCH_JOB_ID", "abc");
        let attempt = ("AWS_BATCH_JOB_ATTEMPT", "1");
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[id, attempt], "`TRAINSPOT_JOB`"),
            (
                &[("TRAINSPOT_JOB", "https://x/y"), id, attempt],
                "https://x/y",
            ),
            (
                &[("TRAINSPOT_JOB", "s3://bucket-only"), id, attempt],
                "s3://bucket-only",
            ),
            (&[JOB, attempt], "`AWS_BATCH_JOB_ID`"),
            (&[JOB, ("AWS_BATCH_JOB_ID", "abc:x"), attempt], "`x`"),
            (&[JOB, id], "`AWS_BATCH_JOB_ATTEMPT`"),
            (&[JOB, id, ("AWS_BATCH_JOB_ATTEMPT", "0")], "received: 0"),
        ];
        for (variables, named) in cases {
            let error = parse(variables).expect_err("a wrong environment is refused");

            assert!(
                error.to_string().contains(named),
                "{error} does not name {named}"
            );
            assert_eq!(crate::exit_code::of_error(&error), 64);
        }
    }
}
