"""The loops of docs/operations.md that take away what a deleted stack leaves, run as they stand against moto."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from moto_account import Account
from translated import ROOT

# More than one page of a listing, which is a thousand, versions and markers together.
N_OBJECTS = 600
AWS = ROOT / ".venv-aws" / "bin"


def loops() -> tuple[str, str]:
    """The block's two parts: for buckets, and for job definitions."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("**Tear down.**")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if "rm versions" in block]
    buckets, between, definitions = block.partition("for DEFINITION")
    return buckets, between + definitions


def run(text: str, account: Account, folder: Path) -> None:
    """In a shell, with the `aws` command of `make deploy-tools`; it must end well."""
    done = subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env={
            "PATH": f"{AWS}:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": account.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("is_versioned", [True, False])
def test_a_bucket_with_versions_and_markers_goes(tmp_path: Path, is_versioned: bool) -> None:
    """Two pages of versions, and markers where they were deleted; no bucket is left."""
    account = Account()
    account.reset()
    s3 = account.client("s3")
    for bucket in ("results", "data"):
        s3.create_bucket(Bucket=bucket)
        if is_versioned:
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for n in range(N_OBJECTS):
        s3.put_object(Bucket="results", Key=f'state/it\'s "{n}".json', Body=b"1")
        s3.put_object(Bucket="results", Key=f'state/it\'s "{n}".json', Body=b"2")
    s3.delete_object(Bucket="results", Key='state/it\'s "0".json')

    text = loops()[0].replace("<ResultsBucketName>", "results").replace("<DataBucketName>", "data")
    run(text, account, tmp_path)

    assert s3.list_buckets()["Buckets"] == []
    assert list(tmp_path.iterdir()) == []
    account.close()


def test_revisions_of_the_stacks_definitions_go_and_others_stay(tmp_path: Path) -> None:
    """Each revision, of both definitions."""
    account = Account()
    account.reset()
    batch = account.client("batch")
    for name in ("trainspot-train", "trainspot-post-processing", "trainspot-train", "other-train"):
        batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties={"image": "i", "memory": 8, "vcpus": 1}
        )

    run(loops()[1].replace("<stack>", "trainspot"), account, tmp_path)

    left = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    assert [one["jobDefinitionName"] for one in left] == ["other-train"]
    account.close()
