//! The classes of failure, each with a plain sentence for a notice that is read at night.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A Spot host taken back, with a notice on record.
    Reclaimed,
    /// A host that went without one.
    HostLost,
    /// The queue's time limit: no instance to be had.
    NoCapacity,
    /// Nothing the queue has could ever run the job as it was submitted.
    Misconfigured,
    /// The host's memory, not the GPU's.
    OutOfMemory,
    /// The image could not be pulled, this time.
    ImageTransient,
    /// The image is not there or may not be pulled.
    ImageRefused,
    /// Docker or the ECS agent of the host.
    HostFault,
    /// The container could not be made or started.
    ContainerRefused,
    /// The attempt took longer than its time-out.
    Timeout,
    /// Exit code 64.
    BadConfiguration,
    /// Exit code 65.
    BadData,
    /// Exit code 70.
    Bug,
    /// Exit code 78.
    QualityFloor,
    /// Exit code 69.
    StoreUnreachable,
    /// Exit code 74.
    Stalled,
    /// Exit code 77, or a role that may not start the container.
    PermissionDenied,
    /// Exit code 79.
    NotOwner,
    /// Exit code 80.
    HandedOver,
    /// Exit codes 75 and 76, with Batch's retries used up.
    Preempted,
    /// A reason that begins `trainspot:`.
    EndedByUs,
    /// Terminated or cancelled by somebody else.
    EndedByPerson,
    /// A signal, with no cause on record.
    Killed,
    /// An array's parent: some of its children failed.
    ShardsFailed,
    /// It failed because of another job or its queue.
    Derived,
    /// Exit codes 126 and 127: there is no such program.
    BadCommand,
    /// Any other exit code of the program's own.
    Program,
    /// SUCCEEDED, and nothing published.
    NoOutput,
    /// None of these.
    Unknown,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 29] = [
        Self::Reclaimed,
        Self::HostLost,
        Self::NoCapacity,
        Self::Misconfigured,
        Self::OutOfMemory,
        Self::ImageTransient,
        Self::ImageRefused,
        Self::HostFault,
        Self::ContainerRefused,
        Self::Timeout,
        Self::BadConfiguration,
        Self::BadData,
        Self::Bug,
        Self::QualityFloor,
        Self::StoreUnreachable,
        Self::Stalled,
        Self::PermissionDenied,
        Self::NotOwner,
        Self::HandedOver,
        Self::Preempted,
        Self::EndedByUs,
        Self::EndedByPerson,
        Self::Killed,
        Self::ShardsFailed,
        Self::Derived,
        Self::BadCommand,
        Self::Program,
        Self::NoOutput,
        Self::Unknown,
    ];

    /// The word in documents, log fields and message attributes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reclaimed => "reclaimed",
            Self::HostLost => "host_lost",
            Self::NoCapacity => "no_capacity",
            Self::Misconfigured => "misconfigured",
            Self::OutOfMemory => "out_of_memory",
            Self::ImageTransient => "image_transient",
            Self::ImageRefused => "image_refused",
            Self::HostFault => "host_fault",
            Self::ContainerRefused => "container_refused",
            Self::Timeout => "timeout",
            Self::BadConfiguration => "bad_configuration",
            Self::BadData => "bad_data",
            Self::Bug => "bug",
            Self::QualityFloor => "quality_floor",
            Self::StoreUnreachable => "store_unreachable",
            Self::Stalled => "stalled",
            Self::PermissionDenied => "permission_denied",
            Self::NotOwner => "not_owner",
            Self::HandedOver => "handed_over",
            Self::Preempted => "preempted",
            Self::EndedByUs => "ended_by_us",
            Self::EndedByPerson => "ended_by_person",
            Self::Killed => "killed",
            Self::ShardsFailed => "shards_failed",
            Self::Derived => "derived",
            Self::BadCommand => "bad_command",
            Self::Program => "program",
            Self::NoOutput => "no_output",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened, in a plain sentence.
pub const fn explain(class: Class) -> &'static str {
    match class {
        Class::Reclaimed => "AWS took the Spot host back, with two minutes' notice.",
        Class::HostLost => {
            "The host went away without a notice: a Spot reclaim, or somebody or something ended the instance."
        }
        Class::NoCapacity => "AWS had no instance of the wanted types to give.",
        Class::Misconfigured => {
            "The job can never start as it was submitted: no host of the queue fits it."
        }
        Class::OutOfMemory => {
            "The program needed more memory than the container has. This is the host's memory, not the GPU's."
        }
        Class::ImageTransient => {
            "The image could not be pulled, for a reason that often passes: network, throttling or the registry."
        }
        Class::ImageRefused => {
            "The image cannot be pulled: it is not there, may not be read, or does not fit on the disk."
        }
        Class::HostFault => "The host's Docker or ECS agent failed. The program had no part in it.",
        Class::ContainerRefused => {
            "The container could not be made or started: a mount, the GPU runtime, or a secret."
        }
        Class::Timeout => "The attempt ran longer than its time-out allows and was ended.",
        Class::BadConfiguration => "The configuration is wrong, as the program or the gate says.",
        Class::BadData => {
            "The program or the agent says that the data is wrong, or was changed during the run."
        }
        Class::Bug => "The program failed in a way that it did not foresee.",
        Class::QualityFloor => "The model was trained and is below the quality floor.",
        Class::StoreUnreachable => "S3 could not be reached from the container for long.",
        Class::Stalled => "The program made no progress for long and was ended.",
        Class::PermissionDenied => "A role, a policy or a key denies what the run needs.",
        Class::NotOwner => "The job found that another one does its work, and left.",
        Class::HandedOver => "The job handed its work over to another host.",
        Class::Preempted => {
            "The job was interrupted again and again until its attempts were used up."
        }
        Class::EndedByUs => "trainspot ended the job.",
        Class::EndedByPerson => "Somebody terminated or cancelled the job.",
        Class::Killed => "A signal ended the program, and nothing on record says why.",
        Class::ShardsFailed => "Some shards of the fan-out failed.",
        Class::Derived => {
            "The job never ran: another job it depends on failed, or its queue was deleted."
        }
        Class::BadCommand => "The container has no such program, or it may not be executed.",
        Class::Program => "The program ended with an exit code of its own.",
        Class::NoOutput => "The job says that it succeeded, but it published no output.",
        Class::Unknown => "The job failed for a reason that trainspot does not know.",
    }
}

/// What a person may do about it, in a plain sentence.
pub const fn next_step(class: Class) -> &'static str {
    match class {
        Class::Reclaimed | Class::Preempted => {
            "Nothing, unless it happens often: then add instance types or zones to the Spot environment, or move the deadline."
        }
        Class::HostLost => {
            "Nothing, if it was Spot. If several jobs went at once, look for a deployment or a change of the compute environment."
        }
        Class::NoCapacity => {
            "Add instance types or zones to the compute environment, or check the account's vCPU quota for GPU instances."
        }
        Class::Misconfigured => {
            "Compare gpus, vcpus and memory_gib in the spec with the queue's instance types and its limit of vCPUs."
        }
        Class::OutOfMemory => {
            "Raise memory_gib in the spec, or max_memory_gib so that one retry may take more."
        }
        Class::ImageTransient => {
            "Nothing at first. If it goes on, check the hosts' way to the registry (NAT or endpoints) and its pull limits."
        }
        Class::ImageRefused => {
            "Check the image's name and tag in the template, that it was pushed, and that the hosts' role may pull it."
        }
        Class::HostFault => {
            "Nothing at first. If it goes on, give the hosts a faster or larger disk, or a newer machine image."
        }
        Class::ContainerRefused => {
            "Read the evidence: check the job definition's mounts, secrets and command, and that the image fits the hosts' GPU driver."
        }
        Class::Timeout => {
            "Raise timeout in the spec, or make the work smaller. It resumes from its last checkpoint if it made progress."
        }
        Class::BadConfiguration => {
            "Correct what the evidence names in the spec, mostly the stage's params, push it, and run again."
        }
        Class::BadData => {
            "Check what was written under the pipeline's prefix; write whole objects and never change them during a run."
        }
        Class::Bug | Class::Program => {
            "Read the last log lines and correct the program; then run again with force."
        }
        Class::QualityFloor => {
            "Look at the report: too little data, a broken feed, or params that do not learn. The champion stays."
        }
        Class::StoreUnreachable => {
            "Check the hosts' way to S3 (the gateway endpoint) and the status of AWS."
        }
        Class::Stalled => {
            "Read the last log lines: a hanging data loader, a dead GPU, or a deadlock. Then run again with force."
        }
        Class::PermissionDenied => {
            "Find the denied call in the evidence or the last log lines, and allow it: in the role, the bucket's policy or the key's."
        }
        Class::NotOwner | Class::HandedOver | Class::EndedByUs => "Nothing.",
        Class::EndedByPerson => "Ask who ended it; run again with force if it was a mistake.",
        Class::Killed => {
            "Read the last log lines. If it comes again, look at memory and at the GPU driver."
        }
        Class::ShardsFailed => {
            "Nothing yet: only those shards run again. See the report for which ones."
        }
        Class::Derived => "Look at the job or the queue that the evidence names.",
        Class::BadCommand => "Correct program in the spec, or put the program into the image.",
        Class::NoOutput => {
            "Check that the program writes into TRAINSPOT_OUTPUT_DIR and runs under trainspot-agent."
        }
        Class::Unknown => {
            "Read the evidence and the log stream; if it is worth a class of its own, tell the maintainers."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_in_the_list_once_and_spelled_alike_everywhere() {
        let mut words: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
        for class in Class::ALL {
            let spelled = serde_json::to_value(class).expect("a text");
            assert_eq!(spelled, class.as_str());
        }
        words.sort_unstable();
        words.dedup();

        assert_eq!(words.len(), Class::ALL.len());
    }

    #[test]
    fn every_class_has_whole_sentences() {
        for class in Class::ALL {
            for sentence in [explain(class), next_step(class)] {
                assert!(
                    sentence.ends_with('.') && sentence.is_ascii(),
                    "{class}: {sentence}"
                );
            }
        }
    }
}
