"""What the test of the roles takes for granted: rights that nobody used here, and calls that nobody may make."""

from __future__ import annotations

from judgement import Finding

LOOK_UP = (
    "whoever takes over a submission whose answer was lost looks its name up: proven in "
    "tests/tests/crashes.rs, and met by chance here"
)
REFUSED = (
    "where Batch refuses a first submission to Spot, the same invocation submits on-demand, or ends the "
    "run and reports it: shared/src/run/carried.rs"
)
BROKEN_OFF = (
    "an upload in parts is forgotten when its file went away or changed on the way: edge/tests/transfer.rs"
)
ON_DEMAND = "arn:aws:batch:us-east-1:123456789012:job-queue/trainspot-local-OnDemandQueue"
REPORTS = "arn:aws:s3:::trainspot-local-resultsbucket/reports/*"
# Granted, and made by nobody here; each with its reason.
NOT_CALLED_HERE = {
    (
        "SecretReaderRole",
        "",
    ): "the ECS agent on the host reads a secret before the container starts",
    ("", "s3:ListBucket on"): (
        "without it S3 answers 403 for a key that is not there, and absent could not be told from "
        "forbidden: whoever may read a bucket may list it"
    ),
    ("SubmitTrainingFunctionRole", "batch:ListJobs on *"): LOOK_UP,
    ("SubmitTrainingFunctionRole", "batch:DescribeJobs on *"): LOOK_UP,
    ("DrivePolicy", "batch:ListJobs on *"): LOOK_UP,
    ("SubmitTrainingFunctionRole", "batch:SubmitJob on " + ON_DEMAND): REFUSED,
    ("SubmitTrainingFunctionRole", "s3:PutObject on " + REPORTS): REFUSED,
    ("TrainJobRole", "s3:AbortMultipartUpload on"): BROKEN_OFF,
}


def is_excepted(finding: Finding) -> bool:
    """Whether a reason was given."""
    return any(finding.who.startswith(who) and finding.what.startswith(what) for who, what in NOT_CALLED_HERE)


RUN = "state/recommender/recommender-20261123T0200Z"
JOBS = ("job/TrainJobDefinition", "job/PostProcessingJobDefinition")
DRIVERS = (
    "function/HandleFailureFunction",
    "function/SuperviseRunsFunction",
    "function/FanOutFunction",
)
SUBMITTER = "function/SubmitTrainingFunction"
# Whoever could do these could publish by another way than the stage's head, or undo what is remembered.
NEVER = [
    *[
        (JOBS, action, f"arn:aws:s3:::trainspot-local-resultsbucket/{key}")
        for action in ("s3:PutObject", "s3:DeleteObject")
        for key in (
            f"{RUN}/run.json",
            f"{RUN}/train/job-1.json",
            "state/recommender/head.json",
            "models/recommender/champion.json",
            "pipelines/recommender.toml",
            "reports/recommender/index.html",
            "state/recommender/recommender-20261123T0200Z/train/other.json",
        )
    ],
    (JOBS, "s3:PutObject", "arn:aws:s3:::trainspot-local-databucket/interactions/part-0.parquet"),
    (
        JOBS,
        "batch:SubmitJob",
        "arn:aws:batch:us-east-1:123456789012:job-queue/trainspot-local-SpotQueue",
    ),
    (JOBS, "sns:Publish", "arn:aws:sns:us-east-1:123456789012:trainspot-local-NotificationTopic"),
    *[
        ((*DRIVERS, SUBMITTER), "s3:PutObject", f"arn:aws:s3:::{key}")
        for key in (
            "trainspot-local-databucket/interactions/part-0.parquet",
            "trainspot-local-resultsbucket/pipelines/recommender.toml",
            "trainspot-local-resultsbucket/results/recommender/x/train/1-1/model",
            "trainspot-local-resultsbucket/checkpoints/recommender/x/train/1/1/weights",
        )
    ],
    *[
        (
            (*DRIVERS, SUBMITTER),
            "s3:DeleteObject",
            f"arn:aws:s3:::trainspot-local-resultsbucket/{key}",
        )
        for key in (f"{RUN}/run.json", "models/recommender/champion.json")
    ],
    (
        (SUBMITTER,),
        "s3:PutObject",
        "arn:aws:s3:::trainspot-local-resultsbucket/models/recommender/champion.json",
    ),
]
