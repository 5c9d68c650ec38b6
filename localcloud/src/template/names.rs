//! What resources are called: names, `Ref` and `Fn::GetAtt`, in AWS's forms.

use serde_json::Value;

use super::intrinsics::{Outcome, Scope, as_text};
use super::{ACCOUNT, REGION, STACK_NAME};

impl Scope {
    /// What `Ref` of a resource gives.
    pub(super) fn physical_id(&self, logical_id: &str) -> Outcome<String> {
        self.physical(logical_id, 0)
    }

    pub(super) fn physical(&self, logical_id: &str, depth: usize) -> Outcome<String> {
        let (kind, name) = self.kind_and_name(logical_id, depth)?;
        Ok(match kind {
            "AWS::Batch::JobQueue" => arn("batch", &format!("job-queue/{name}")),
            "AWS::Batch::JobDefinition" => arn("batch", &format!("job-definition/{name}:1")),
            "AWS::Batch::ComputeEnvironment" => {
                arn("batch", &format!("compute-environment/{name}"))
            }
            "AWS::Batch::SchedulingPolicy" => arn("batch", &format!("scheduling-policy/{name}")),
            "AWS::SNS::Topic" => arn("sns", &name),
            "AWS::SQS::Queue" => format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"),
            "AWS::IAM::ManagedPolicy" => format!("arn:aws:iam::{ACCOUNT}:policy/{name}"),
            _ => name,
        })
    }

    pub(super) fn attribute(
        &self,
        logical_id: &str,
        attribute: &str,
        depth: usize,
    ) -> Outcome<String> {
        let (kind, name) = self.kind_and_name(logical_id, depth)?;
        if !attribute.ends_with("Arn") {
            return Ok(match (kind, attribute) {
                (_, "QueueName" | "TopicName" | "Name" | "RoleName") => name,
                ("AWS::EC2::LaunchTemplate", _) => "1".to_owned(),
                (_, other) => format!("{name}.{other}"),
            });
        }
        Ok(match kind {
            "AWS::S3::Bucket" => format!("arn:aws:s3:::{name}"),
            "AWS::Serverless::Function" | "AWS::Lambda::Function" => {
                arn("lambda", &format!("function:{name}"))
            }
            "AWS::Events::Rule" => arn("events", &format!("rule/{name}")),
            "AWS::Scheduler::Schedule" => arn("scheduler", &format!("schedule/default/{name}")),
            "AWS::SQS::Queue" => arn("sqs", &name),
            "AWS::Logs::LogGroup" => arn("logs", &format!("log-group:{name}:*")),
            "AWS::IAM::Role" => format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
            "AWS::IAM::InstanceProfile" => {
                format!("arn:aws:iam::{ACCOUNT}:instance-profile/{name}")
            }
            _ => self.physical(logical_id, depth)?,
        })
    }

    /// The name a resource has, given or made up as `CloudFormation` would.
    pub(super) fn name(&self, logical_id: &str) -> Outcome<String> {
        self.kind_and_name(logical_id, 0).map(|(_, name)| name)
    }

    fn kind_and_name(&self, logical_id: &str, depth: usize) -> Outcome<(&str, String)> {
        let body = self
            .resources
            .get(logical_id)
            .ok_or_else(|| format!("the template has no resource `{logical_id}`"))?;
        if !self.exists(body)? {
            return Err(format!("the condition of `{logical_id}` is false"));
        }
        let kind = body.get("Type").and_then(Value::as_str).unwrap_or_default();
        let property = match kind {
            "AWS::S3::Bucket" => "BucketName",
            "AWS::Batch::JobQueue" => "JobQueueName",
            "AWS::Batch::JobDefinition" => "JobDefinitionName",
            "AWS::Batch::ComputeEnvironment" => "ComputeEnvironmentName",
            "AWS::SNS::Topic" => "TopicName",
            "AWS::SQS::Queue" => "QueueName",
            "AWS::Serverless::Function" | "AWS::Lambda::Function" => "FunctionName",
            "AWS::Logs::LogGroup" => "LogGroupName",
            "AWS::IAM::Role" => "RoleName",
            "AWS::IAM::InstanceProfile" => "InstanceProfileName",
            "AWS::IAM::ManagedPolicy" => "ManagedPolicyName",
            "AWS::Events::Rule" | "AWS::Scheduler::Schedule" | "AWS::Batch::SchedulingPolicy" => {
                "Name"
            }
            // `Ref` of anything else is its logical id.
            _ => return Ok((kind, logical_id.to_owned())),
        };
        let given = match body
            .get("Properties")
            .and_then(|properties| properties.get(property))
        {
            Some(raw) => self.evaluate(raw, depth + 1)?,
            None => None,
        };
        let name = match given.as_ref().and_then(as_text) {
            Some(name) => name,
            None if kind == "AWS::S3::Bucket" => {
                format!("{STACK_NAME}-{}", logical_id.to_lowercase())
            }
            None => format!("{STACK_NAME}-{logical_id}"),
        };
        Ok((kind, name))
    }
}

/// An ARN in the local cloud's region and account.
pub(super) fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}
