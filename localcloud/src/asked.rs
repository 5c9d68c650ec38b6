//! What IAM is asked before a call is carried out: the action, and every resource that the caller must be allowed it
//! on, as AWS's service authorization reference lists them. Nothing is decided by it here; whoever tests roles
//! holds it against their policies.

use serde_json::Value;

use crate::front::Request;
use crate::template::{ACCOUNT, REGION, Stack};

/// One question to IAM.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// As IAM spells it: `s3:GetObject` for a `HeadObject` too.
    pub action: String,
    /// The ARN of each resource, or `*` where the action knows none. All of them must be allowed.
    pub resources: Vec<String>,
    /// What a condition could ask for, by its key.
    pub context: Vec<(String, String)>,
}

impl Asked {
    /// About one resource, with nothing to go by but its ARN.
    pub(crate) fn about(action: &str, resource: impl Into<String>) -> Self {
        Self {
            action: action.to_owned(),
            resources: vec![resource.into()],
            context: Vec::new(),
        }
    }
}

/// The question of a call at the wire; none for what the local cloud does not have.
pub(crate) fn asked(stack: &Stack, service: &str, request: &Request) -> Option<Asked> {
    match service {
        "s3" => of_s3(request),
        "batch" => of_batch(stack, request),
        "sns" => form_urlencoded::parse(&request.body)
            .find(|(name, _)| name == "TopicArn" || name == "TargetArn")
            .map(|(_, topic)| Asked::about("sns:Publish", topic)),
        _ => None,
    }
}

fn of_s3(request: &Request) -> Option<Asked> {
    let path = request.path.trim_start_matches('/');
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let arn = if key.is_empty() {
        format!("arn:aws:s3:::{bucket}")
    } else {
        format!("arn:aws:s3:::{bucket}/{key}")
    };
    let action = match (request.method.as_str(), key.is_empty()) {
        // Beginning an upload in parts, its parts and its completion are all one action.
        ("PUT" | "POST", false) => "s3:PutObject",
        ("GET" | "HEAD", false) => "s3:GetObject",
        ("DELETE", false) if request.parameter("uploadId").is_some() => "s3:AbortMultipartUpload",
        ("DELETE", false) => "s3:DeleteObject",
        ("GET", true) => "s3:ListBucket",
        _ => return None,
    };
    let mut asked = Asked::about(action, arn);
    if action == "s3:ListBucket"
        && let Some(prefix) = request.parameter("prefix")
    {
        asked.context.push(("s3:prefix".into(), prefix.into()));
    }
    Some(asked)
}

fn of_batch(stack: &Stack, request: &Request) -> Option<Asked> {
    let body: Value = serde_json::from_slice(&request.body).ok()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let job = |id: &str| format!("arn:aws:batch:{REGION}:{ACCOUNT}:job/{id}");
    match request.path.as_str() {
        "/v1/submitjob" => {
            let queue = stack.queue(text("jobQueue")?)?;
            let definition = stack.definition(text("jobDefinition")?)?;
            // The reference lists a definition as `name` and as `name:revision`, and the job, which has no id yet.
            let mut resources = vec![queue.arn.clone(), definition.arn.clone()];
            if let Some((without_revision, _)) = definition.arn.rsplit_once(':') {
                resources.push(without_revision.to_owned());
            }
            resources.push(job("*"));
            let share =
                text("shareIdentifier").map(|share| ("batch:ShareIdentifier".into(), share.into()));
            Some(Asked {
                action: "batch:SubmitJob".into(),
                resources,
                context: share.into_iter().collect(),
            })
        }
        "/v1/terminatejob" => Some(Asked::about("batch:TerminateJob", job(text("jobId")?))),
        "/v1/describejobs" => Some(Asked::about("batch:DescribeJobs", "*")),
        "/v1/listjobs" => Some(Asked::about("batch:ListJobs", "*")),
        "/v1/describejobqueues" => Some(Asked::about("batch:DescribeJobQueues", "*")),
        "/v1/describejobdefinitions" => Some(Asked::about("batch:DescribeJobDefinitions", "*")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Method};

    use super::*;

    const TEMPLATE: &str = "
Resources:
  Hosts:
    Type: AWS::Batch::ComputeEnvironment
    Properties: {Type: MANAGED, ComputeResources: {Type: SPOT, MaxvCpus: 4}}
  Queue:
    Type: AWS::Batch::JobQueue
    Properties:
      JobQueueName: spot
      Priority: 1
      ComputeEnvironmentOrder: [{Order: 1, ComputeEnvironment: !Ref Hosts}]
  Definition:
    Type: AWS::Batch::JobDefinition
    Properties:
      JobDefinitionName: train
      Type: container
      ContainerProperties:
        Image: i
        ResourceRequirements: [{Type: VCPU, Value: '1'}, {Type: MEMORY, Value: '64'}]
";

    fn asks(service: &str, method: Method, target: &str, body: &str) -> Option<String> {
        let stack = Stack::parse(TEMPLATE, &[].into()).expect("a template");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method,
            path: path.into(),
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
            arrived: 0,
        };
        let asked = asked(&stack, service, &request)?;
        let context: Vec<_> = asked
            .context
            .iter()
            .map(|(key, value)| format!(" {key}={value}"))
            .collect();
        Some(format!(
            "{} {}{}",
            asked.action,
            asked.resources.join(" "),
            context.concat()
        ))
    }

    #[test]
    fn each_call_asks_for_what_the_reference_lists() {
        let of = |service: &str, method: Method, target: &str, body: &str| {
            asks(service, method, target, body).unwrap_or_else(|| "nothing".to_owned())
        };

        assert_eq!(
            of(
                "s3",
                Method::HEAD,
                "/b/state/r/run%20one.json?x-id=HeadObject",
                ""
            ),
            "s3:GetObject arn:aws:s3:::b/state/r/run one.json"
        );
        assert_eq!(
            of("s3", Method::PUT, "/b/k", ""),
            "s3:PutObject arn:aws:s3:::b/k"
        );
        assert_eq!(
            of("s3", Method::POST, "/b/k?uploads", ""),
            "s3:PutObject arn:aws:s3:::b/k"
        );
        assert_eq!(
            of("s3", Method::DELETE, "/b/k?uploadId=0a", ""),
            "s3:AbortMultipartUpload arn:aws:s3:::b/k"
        );
        assert_eq!(
            of("s3", Method::GET, "/b?list-type=2&prefix=state%2F", ""),
            "s3:ListBucket arn:aws:s3:::b s3:prefix=state/"
        );
        let batch = "arn:aws:batch:us-east-1:123456789012";
        assert_eq!(
            of(
                "batch",
                Method::POST,
                "/v1/submitjob",
                r#"{"jobName":"j","jobQueue":"spot","jobDefinition":"train","shareIdentifier":"p"}"#
            ),
            format!(
                "batch:SubmitJob {batch}:job-queue/spot {batch}:job-definition/train:1 {batch}:job-definition/train \
                 {batch}:job/* batch:ShareIdentifier=p"
            )
        );
        assert_eq!(
            of(
                "batch",
                Method::POST,
                "/v1/terminatejob",
                r#"{"jobId":"a","reason":"b"}"#
            ),
            format!("batch:TerminateJob {batch}:job/a")
        );
        assert_eq!(
            of("batch", Method::POST, "/v1/listjobs", "{}"),
            "batch:ListJobs *"
        );
        assert_eq!(
            of(
                "sns",
                Method::POST,
                "/",
                "Action=Publish&TopicArn=arn%3Aaws%3Asns%3Ar%3Aa%3At&Message=m"
            ),
            "sns:Publish arn:aws:sns:r:a:t"
        );
        assert_eq!(of("batch", Method::POST, "/v1/canceljob", "{}"), "nothing");
    }
}
