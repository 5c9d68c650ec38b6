"""Each built function answers under AWS's own emulator of the Lambda runtime, against moto's S3, Batch and SNS.

The local cloud hosts functions too; here the host is somebody else's. The environment of each function is read
back from moto's Lambda, so that what CloudFormation would hand over is what is tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator import BUILT, Emulated
from intrinsics import Stack
from moto_account import Account
from translated import IMAGE, ROOT, read

PARAMETERS = {"ImageUri": IMAGE}
RUN = "recommender-20261123T0200Z"


class Place:
    """A deployed stack in moto, with a pipeline and its data."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.account = Account()
        self.account.reset()
        self.account.package(read(), {})
        cloudformation = self.account.client("cloudformation")
        cloudformation.create_stack(**self.account.arguments(PARAMETERS))
        self.stack: Stack = self.account.stack(PARAMETERS)
        spec = (ROOT / "pipelines" / "recommender.toml").read_bytes()
        self.put("ResultsBucket", "pipelines/recommender.toml", spec)
        self.put("DataBucket", "interactions/part-0.parquet", b"some rows")
        self.put("DataBucket", "interactions/_READY", b"")

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """As a person pushes it."""
        name = self.stack.ref(bucket)
        self.account.client("s3").put_object(Bucket=name, Key=key, Body=body)

    def start(self, function: str, **changed: str) -> Emulated:
        """The function with its environment, and some of it changed."""
        found = self.account.client("lambda").get_function_configuration(FunctionName=self.stack.ref(function))
        # moto keeps a number a number; Lambda hands over texts.
        variables = {name: str(v) for name, v in found["Environment"]["Variables"].items()}
        aws = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            # By a number, so that the SDK puts a bucket's name into the path.
            "AWS_ENDPOINT_URL": self.account.url.replace("localhost", "127.0.0.1"),
        }
        return Emulated(function, variables | aws | changed, self.logs / f"{function}.log")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One account for all functions: what one of them leaves, the next one finds."""
    assert BUILT.is_dir(), "there is nothing built: `make sam-build`"
    made = Place(tmp_path_factory.mktemp("logs"))
    yield made
    made.account.close()


def event(name: str) -> Any:
    """One of the repository's real events."""
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


def test_submit_training_makes_one_run_of_a_tick(place: Place) -> None:
    """And of the same tick again, none."""
    with place.start("SubmitTrainingFunction") as function:
        first = function.invoke(event("request-tick-of-rule"))
        again = function.invoke(event("request-tick-of-rule"))

    assert (first["outcome"], first["run_id"]) == ("created", RUN)
    assert (again["outcome"], again["run_id"]) == ("already_there", RUN)
    ledger = place.account.client("s3").get_object(
        Bucket=place.stack.ref("ResultsBucket"), Key=f"state/recommender/{RUN}/run.json"
    )
    (job,) = submitted(place)
    assert json.loads(ledger["Body"].read())["id"] == RUN
    assert job["jobName"] == f"{RUN}--train-1"


def submitted(place: Place) -> list[dict[str, Any]]:
    """Every job of the Spot queue, whatever became of it in moto."""
    batch, queue = place.account.client("batch"), place.stack.ref("SpotQueue")
    statuses = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
    return [
        job for status in statuses for job in batch.list_jobs(jobQueue=queue, jobStatus=status)["jobSummaryList"]
    ]


def test_submit_training_says_what_is_wrong_with_a_request(place: Place) -> None:
    """In a sentence that names it; a retry would not help, so that it is an answer."""
    with place.start("SubmitTrainingFunction") as function:
        unknown = function.invoke({"pipeline": "nobody"})
        wrong = function.invoke({"pipelin": "recommender"})
        garbage = function.invoke(b"no json")

    assert unknown["outcome"] == "refused"
    assert unknown["because"].startswith("there is no pipeline `nobody`: s3://")
    assert wrong["outcome"] == "refused"
    assert wrong["because"].endswith("it has no field `pipelin`")
    assert "errorType" in garbage and "failed to deserialize" in garbage["errorMessage"]


def test_an_error_that_a_retry_may_mend_is_an_error(place: Place) -> None:
    """With a word that alarms can count by, and the call and its key."""
    with place.start("SubmitTrainingFunction", TRAINSPOT_RESULTS_BUCKET="not-there") as function:
        answer = function.invoke(event("request-tick-of-rule"))

    assert answer["errorType"] == "AdmitFailed"
    assert "s3://not-there/state/recommender/head.json" in answer["errorMessage"], answer


def test_fan_out_takes_a_jobs_end(place: Place) -> None:
    """Of a run of ours, of somebody else's job, and what is no event."""
    with place.start("FanOutFunction") as function:
        ours = function.invoke(event("batch-succeeded"))
        foreign = function.invoke(event("batch-succeeded-foreign-job"))
        wrong = function.invoke({"detail": {}})

    assert ours["run_id"] == RUN
    assert foreign["outcome"].endswith("is not one of ours")
    assert "missing field `detail-type`" in wrong["errorMessage"]


def test_handle_failure_takes_a_jobs_end_and_a_blocked_queue(place: Place) -> None:
    """And says of what is no event where it stops being one."""
    with place.start("HandleFailureFunction") as function:
        failed = function.invoke(event("batch-failed-exit-1"))
        blocked = function.invoke(event("batch-queue-blocked-no-capacity"))
        wrong = function.invoke([1])

    assert (failed["run_id"], blocked["run_id"]) == (RUN, RUN)
    assert "invalid type: integer `1`" in wrong["errorMessage"]


def test_supervise_runs_sweeps_and_ends_a_run(place: Place) -> None:
    """By the schedule's event, and by a person's command."""
    with place.start("SuperviseRunsFunction") as function:
        swept = function.invoke(event("schedule-rule"))["swept"]
        wrong = function.invoke({"cancle": {"run_id": RUN}})
        cancel = function.invoke({"cancel": {"run_id": RUN, "because": "a test"}})["cancel"]

    assert swept["failures"] == [], swept
    assert wrong["refused"]["because"].startswith("there is no command `cancle`")
    assert (cancel["run_id"], cancel["outcome"]) == (RUN, "cancelled")


def test_without_an_image_a_function_does_not_start(place: Place) -> None:
    """Between the first deployment and the first image nothing works half."""
    function = place.start("SubmitTrainingFunction", TRAINSPOT_IMAGE="")
    with function, pytest.raises(AssertionError, match="there is no image yet"):
        function.invoke(event("request-tick-of-rule"))
